package bench

import (
	"context"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

type ours struct{ client *cftunnel.Client }

func newOurs(c Config) (Client, error) {
	options := []cftunnel.Option{cftunnel.WithBaseURL(c.BaseURL), cftunnel.WithAPIToken(Token), cftunnel.WithAccountID(c.AccountID)}
	if c.HTTP != nil {
		options = append(options, cftunnel.WithHTTPClient(c.HTTP))
	}
	if !c.Paced {
		options = append(options, cftunnel.WithoutRateLimit())
	}
	client, err := cftunnel.NewClient(options...)
	return ours{client}, err
}

func (o ours) Get(ctx context.Context, tunnelID string) (Seen, error) {
	t, err := o.client.Tunnels.Get(ctx, tunnelID)
	if err != nil {
		return Seen{}, err
	}
	return Seen{1, t.Name, t.CreatedAt}, nil
}

func (o ours) Create(ctx context.Context, name, secret string) (Seen, error) {
	t, err := o.client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: name, Secret: cftunnel.NewSecret(secret)})
	if err != nil {
		return Seen{}, err
	}
	return Seen{1, t.Name, t.CreatedAt}, nil
}

func (o ours) Page(ctx context.Context) (Seen, error) {
	page, err := o.client.Tunnels.List(ctx, cftunnel.TunnelListParams{Page: 1, PerPage: 1000})
	if err != nil {
		return Seen{}, err
	}
	t := page.Items[len(page.Items)-1]
	return Seen{len(page.Items), t.Name, t.CreatedAt}, nil
}

func (o ours) Connectors(ctx context.Context, tunnelID string) (Seen, error) {
	connectors, err := o.client.Connectors.List(ctx, tunnelID)
	if err != nil {
		return Seen{}, err
	}
	c := connectors[len(connectors)-1]
	return Seen{len(connectors), c.ID, c.RunAt}, nil
}

func (o ours) All(ctx context.Context) (Seen, error) {
	var all Seen
	for t, err := range o.client.Tunnels.All(ctx, cftunnel.TunnelListParams{}) {
		if err != nil {
			return Seen{}, err
		}
		all = Seen{all.Count + 1, t.Name, t.CreatedAt}
	}
	return all, nil
}
