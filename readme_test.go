package cftunnel_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func serve(ctx context.Context, client *cftunnel.Client) (cftunnel.Secret, error) {
	tunnel, _, err := client.Tunnels.Ensure(ctx, cftunnel.TunnelCreateParams{
		Name:         "blog",
		ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	if err != nil {
		return cftunnel.Secret{}, err
	}
	_, err = client.Hostnames.Publish(ctx, tunnel.ID, cftunnel.PublishParams{
		Hostname: "blog.example.com",
		Service:  "http://localhost:8080",
	})
	if errors.Is(err, cftunnel.ErrHostnameTaken) {
		return cftunnel.Secret{}, fmt.Errorf("somebody else owns the DNS record: %w", err)
	} else if err != nil {
		return cftunnel.Secret{}, err
	}
	// cloudflared tunnel run --token-file FILE needs it: see Secret.WriteFile. It prints as [REDACTED].
	return client.Tunnels.Token(ctx, tunnel.ID)
}

func Example_readme() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	srv.SeedZone("example.com")
	client, err := srv.NewClient()
	if err != nil {
		panic(err)
	}
	for range 2 { // the second time, nothing is left to do
		token, err := serve(context.Background(), client)
		if err != nil {
			panic(err)
		}
		fmt.Println(token)
	}
	for _, r := range srv.Requests() {
		if r.Method != http.MethodGet {
			fmt.Println(r.Operation, r.Status)
		}
	}
	// Output:
	// [REDACTED]
	// [REDACTED]
	// POST /accounts/{account_id}/cfd_tunnel 200
	// PUT /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations 200
	// POST /zones/{zone_id}/dns_records 200
}
