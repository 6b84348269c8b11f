package bench

import (
	"context"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

type ours struct{ client *cftunnel.Client }

func newOurs(c Config) (Client, error) {
	options := []cftunnel.Option{
		cftunnel.WithBaseURL(c.BaseURL), cftunnel.WithAPIToken(Token),
		cftunnel.WithAccountID(c.AccountID), cftunnel.WithoutRateLimit(),
	}
	if c.HTTP != nil {
		options = append(options, cftunnel.WithHTTPClient(c.HTTP))
	}
	client, err := cftunnel.NewClient(options...)
	return ours{client}, err
}

func (o ours) Get(ctx context.Context, tunnelID string) (Result, error) {
	t, err := o.client.Tunnels.Get(ctx, tunnelID)
	if err != nil {
		return Result{}, err
	}
	return Result{1, t.Name, t.CreatedAt}, nil
}

func (o ours) Create(ctx context.Context, name, secret string) (Result, error) {
	params := cftunnel.TunnelCreateParams{Name: name, Secret: cftunnel.NewSecret(secret)}
	t, err := o.client.Tunnels.Create(ctx, params)
	if err != nil {
		return Result{}, err
	}
	return Result{1, t.Name, t.CreatedAt}, nil
}

func (o ours) Page(ctx context.Context) (Result, error) {
	page, err := o.client.Tunnels.List(ctx, cftunnel.TunnelListParams{Page: 1, PerPage: 1000})
	if err != nil {
		return Result{}, err
	}
	t := page.Items[len(page.Items)-1]
	return Result{len(page.Items), t.Name, t.CreatedAt}, nil
}

func (o ours) All(ctx context.Context) (Result, error) {
	var all Result
	for t, err := range o.client.Tunnels.All(ctx, cftunnel.TunnelListParams{}) {
		if err != nil {
			return Result{}, err
		}
		all = Result{all.Count + 1, t.Name, t.CreatedAt}
	}
	return all, nil
}

func (o ours) Routes(ctx context.Context) (Result, error) {
	page, err := o.client.Routes.List(ctx, cftunnel.RouteListParams{Page: 1, PerPage: 1000})
	if err != nil {
		return Result{}, err
	}
	r := page.Items[len(page.Items)-1]
	return Result{len(page.Items), r.Network.String(), r.CreatedAt}, nil
}

func (o ours) Record(ctx context.Context, zoneID, name, target string) (Result, error) {
	r, err := o.client.DNSRecords.Create(ctx, zoneID, cftunnel.DNSRecordCreateParams{
		Type: "CNAME", Name: name, Content: target, Proxied: true,
	})
	if err != nil {
		return Result{}, err
	}
	return Result{1, r.Name, r.CreatedOn}, nil
}
