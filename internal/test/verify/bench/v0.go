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
	options := []cloudflare.Option{cloudflare.BaseURL(c.BaseURL)}
	if c.HTTP != nil {
		options = append(options, cloudflare.HTTPClient(c.HTTP))
	}
	if !c.Paced {
		options = append(options, cloudflare.UsingRateLimit(math.MaxFloat64)) // rate.Inf: its limiter lets everybody through
	}
	api, err := cloudflare.NewWithAPIToken(Token, options...)
	return &v0{api: api, account: cloudflare.AccountIdentifier(c.AccountID)}, err
}

func (c *v0) Get(ctx context.Context, tunnelID string) (Seen, error) {
	t, err := c.api.GetTunnel(ctx, c.account, tunnelID)
	if err != nil {
		return Seen{}, err
	}
	return Seen{1, t.Name, *t.CreatedAt}, nil
}

func (c *v0) Create(ctx context.Context, name, secret string) (Seen, error) {
	t, err := c.api.CreateTunnel(ctx, c.account, cloudflare.TunnelCreateParams{Name: name, Secret: secret})
	if err != nil {
		return Seen{}, err
	}
	return Seen{1, t.Name, *t.CreatedAt}, nil
}

func (c *v0) Page(ctx context.Context) (Seen, error) {
	return c.list(ctx, cloudflare.ResultInfo{Page: 1, PerPage: 1000})
}

func (c *v0) list(ctx context.Context, page cloudflare.ResultInfo) (Seen, error) {
	tunnels, _, err := c.api.ListTunnels(ctx, c.account, cloudflare.TunnelListParams{IsDeleted: new(false), ResultInfo: page})
	if err != nil {
		return Seen{}, err
	}
	t := tunnels[len(tunnels)-1]
	return Seen{len(tunnels), t.Name, *t.CreatedAt}, nil
}

func (c *v0) Connectors(ctx context.Context, tunnelID string) (Seen, error) {
	connectors, err := c.api.ListTunnelConnections(ctx, c.account, tunnelID)
	if err != nil {
		return Seen{}, err
	}
	connector := connectors[len(connectors)-1]
	return Seen{len(connectors), connector.ID, *connector.RunAt}, nil
}

// All is the one way that this client has to turn pages: where none is named it reads them all, 100 tunnels each, and returns one slice.
func (c *v0) All(ctx context.Context) (Seen, error) { return c.list(ctx, cloudflare.ResultInfo{}) }
