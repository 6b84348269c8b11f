package bench

import (
	"context"
	"math"

	cloudflare "github.com/cloudflare/cloudflare-go"
)

type v0 struct {
	api     *cloudflare.API
	account *cloudflare.ResourceContainer
}

func newV0(c Config) (Client, error) {
	options := []cloudflare.Option{
		cloudflare.BaseURL(c.BaseURL), cloudflare.UsingRateLimit(math.MaxFloat64), // rate.Inf: no limit
	}
	if c.HTTP != nil {
		options = append(options, cloudflare.HTTPClient(c.HTTP))
	}
	api, err := cloudflare.NewWithAPIToken(Token, options...)
	return &v0{api: api, account: cloudflare.AccountIdentifier(c.AccountID)}, err
}

func (c *v0) Get(ctx context.Context, tunnelID string) (Result, error) {
	t, err := c.api.GetTunnel(ctx, c.account, tunnelID)
	if err != nil {
		return Result{}, err
	}
	return Result{1, t.Name, *t.CreatedAt}, nil
}

func (c *v0) Create(ctx context.Context, name, secret string) (Result, error) {
	params := cloudflare.TunnelCreateParams{Name: name, Secret: secret}
	t, err := c.api.CreateTunnel(ctx, c.account, params)
	if err != nil {
		return Result{}, err
	}
	return Result{1, t.Name, *t.CreatedAt}, nil
}

func (c *v0) Page(ctx context.Context) (Result, error) {
	return c.list(ctx, cloudflare.ResultInfo{Page: 1, PerPage: 1000})
}

func (c *v0) list(ctx context.Context, page cloudflare.ResultInfo) (Result, error) {
	params := cloudflare.TunnelListParams{IsDeleted: new(false), ResultInfo: page}
	tunnels, _, err := c.api.ListTunnels(ctx, c.account, params)
	if err != nil {
		return Result{}, err
	}
	t := tunnels[len(tunnels)-1]
	return Result{len(tunnels), t.Name, *t.CreatedAt}, nil
}

// All gets every page. v0 does this, with 100 tunnels a page, if the parameters have no page
// number.
func (c *v0) All(ctx context.Context) (Result, error) {
	return c.list(ctx, cloudflare.ResultInfo{})
}

func (c *v0) Routes(ctx context.Context) (Result, error) {
	routes, err := c.api.ListTunnelRoutes(ctx, c.account, cloudflare.TunnelRoutesListParams{
		IsDeleted:         new(false),
		PaginationOptions: cloudflare.PaginationOptions{Page: 1, PerPage: 1000},
	})
	if err != nil {
		return Result{}, err
	}
	r := routes[len(routes)-1]
	return Result{len(routes), r.Network, *r.CreatedAt}, nil
}

func (c *v0) Record(ctx context.Context, zoneID, name, target string) (Result, error) {
	zone := cloudflare.ZoneIdentifier(zoneID)
	r, err := c.api.CreateDNSRecord(ctx, zone, cloudflare.CreateDNSRecordParams{
		Type: "CNAME", Name: name, Content: target, TTL: 1, Proxied: new(true),
	})
	if err != nil {
		return Result{}, err
	}
	return Result{1, r.Name, r.CreatedOn}, nil
}
