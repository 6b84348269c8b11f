package bench

import (
	"context"

	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/zero_trust"
)

// v7 uses package zero_trust of cloudflare-go v7. The root package of v7 does not change the costs
// of a call, but those of a build.
type v7 struct {
	tunnels   *zero_trust.TunnelCloudflaredService
	accountID string
}

func newV7(c Config) (Client, error) {
	options := []option.RequestOption{
		option.WithBaseURL(c.BaseURL + "/"), option.WithAPIToken(Token),
	}
	if c.HTTP != nil {
		options = append(options, option.WithHTTPClient(c.HTTP))
	}
	tunnels := zero_trust.NewTunnelCloudflaredService(options...)
	return &v7{tunnels: tunnels, accountID: c.AccountID}, nil
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
