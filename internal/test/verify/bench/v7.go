package bench

import (
	"context"

	"github.com/cloudflare/cloudflare-go/v7/dns"
	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/zero_trust"
)

// v7 uses the packages zero_trust and dns of cloudflare-go v7. The root package of v7 does not
// change the costs of a call, but those of a build.
type v7 struct {
	tunnels   *zero_trust.TunnelCloudflaredService
	routes    *zero_trust.NetworkRouteService
	records   *dns.RecordService
	accountID string
}

func newV7(c Config) (Client, error) {
	options := []option.RequestOption{
		option.WithBaseURL(c.BaseURL + "/"), option.WithAPIToken(Token),
	}
	if c.HTTP != nil {
		options = append(options, option.WithHTTPClient(c.HTTP))
	}
	return &v7{
		tunnels:   zero_trust.NewTunnelCloudflaredService(options...),
		routes:    zero_trust.NewNetworkRouteService(options...),
		records:   dns.NewRecordService(options...),
		accountID: c.AccountID,
	}, nil
}

func (c *v7) Get(ctx context.Context, tunnelID string) (Result, error) {
	// The function that sets a field, cloudflare.F, is in the root package, which is not imported.
	var params zero_trust.TunnelCloudflaredGetParams
	params.AccountID.Value, params.AccountID.Present = c.accountID, true
	t, err := c.tunnels.Get(ctx, tunnelID, params)
	if err != nil {
		return Result{}, err
	}
	return Result{1, t.Name, t.CreatedAt}, nil
}

func (c *v7) Create(ctx context.Context, name, secret string) (Result, error) {
	var params zero_trust.TunnelCloudflaredNewParams
	params.AccountID.Value, params.AccountID.Present = c.accountID, true
	params.Name.Value, params.Name.Present = name, true
	params.TunnelSecret.Value, params.TunnelSecret.Present = secret, true
	t, err := c.tunnels.New(ctx, params)
	if err != nil {
		return Result{}, err
	}
	return Result{1, t.Name, t.CreatedAt}, nil
}

func (c *v7) Page(ctx context.Context) (Result, error) {
	page, err := c.tunnels.List(ctx, c.listParams())
	if err != nil {
		return Result{}, err
	}
	t := page.Result[len(page.Result)-1]
	return Result{len(page.Result), t.Name, t.CreatedAt}, nil
}

func (c *v7) listParams() zero_trust.TunnelCloudflaredListParams {
	var params zero_trust.TunnelCloudflaredListParams
	params.AccountID.Value, params.AccountID.Present = c.accountID, true
	params.IsDeleted.Value, params.IsDeleted.Present = false, true
	params.Page.Value, params.Page.Present = 1, true
	params.PerPage.Value, params.PerPage.Present = 1000, true
	return params
}

func (c *v7) All(ctx context.Context) (Result, error) {
	var all Result
	pager := c.tunnels.ListAutoPaging(ctx, c.listParams())
	for pager.Next() {
		t := pager.Current()
		all = Result{all.Count + 1, t.Name, t.CreatedAt}
	}
	return all, pager.Err()
}

func (c *v7) Routes(ctx context.Context) (Result, error) {
	var params zero_trust.NetworkRouteListParams
	params.AccountID.Value, params.AccountID.Present = c.accountID, true
	params.IsDeleted.Value, params.IsDeleted.Present = false, true
	params.Page.Value, params.Page.Present = 1, true
	params.PerPage.Value, params.PerPage.Present = 1000, true
	page, err := c.routes.List(ctx, params)
	if err != nil {
		return Result{}, err
	}
	r := page.Result[len(page.Result)-1]
	return Result{len(page.Result), r.Network, r.CreatedAt}, nil
}

func (c *v7) Record(ctx context.Context, zoneID, name, target string) (Result, error) {
	var record dns.CNAMERecordParam
	record.Type.Value, record.Type.Present = dns.CNAMERecordTypeCNAME, true
	record.Name.Value, record.Name.Present = name, true
	record.Content.Value, record.Content.Present = target, true
	record.TTL.Value, record.TTL.Present = dns.TTL1, true
	record.Proxied.Value, record.Proxied.Present = true, true
	params := dns.RecordNewParams{Body: record}
	params.ZoneID.Value, params.ZoneID.Present = zoneID, true
	r, err := c.records.New(ctx, params)
	if err != nil {
		return Result{}, err
	}
	return Result{1, r.Name, r.CreatedOn}, nil
}
