package cftunnel_test

import (
	"context"
	"errors"
	"fmt"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func publish(ctx context.Context, client *cftunnel.Client) error {
	tunnel, _, err := client.Tunnels.Ensure(ctx, cftunnel.TunnelCreateParams{Name: "blog", ConfigSource: cftunnel.ConfigSourceCloudflare})
	if err != nil {
		return err
	}
	_, err = client.Tunnels.UpdateConfiguration(ctx, tunnel.ID, cftunnel.TunnelConfig{Ingress: []cftunnel.IngressRule{
		{Hostname: "blog.example.com", Service: "http://localhost:8080"},
		{Service: "http_status:404"}, // the last rule matches everything
	}})
	if failure, ok := errors.AsType[*cftunnel.Error](err); ok && errors.Is(err, cftunnel.ErrRateLimited) {
		return fmt.Errorf("again in %s: %w", failure.RetryAfter, err)
	} else if err != nil {
		return err
	}
	rotation, err := client.Tunnels.RotateSecret(ctx, tunnel.ID, cftunnel.RotateParams{})
	if errors.Is(err, cftunnel.ErrOutcomeUnknown) {
		return fmt.Errorf("which token holds is for docs/operating.md to say: %w", err)
	} else if err != nil {
		return err
	}
	fmt.Println("run cloudflared with", rotation.Token) // [REDACTED]: its Reveal has the text
	_, err = client.Tunnels.CleanupAndDelete(ctx, tunnel.ID)
	return err
}

func Example_readme() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		panic(err)
	}
	if err := publish(context.Background(), client); err != nil {
		panic(err)
	}
	for _, r := range srv.Requests() {
		fmt.Println(r.Operation, r.Status)
	}
	// Output:
	// run cloudflared with [REDACTED]
	// GET /accounts/{account_id}/cfd_tunnel 200
	// POST /accounts/{account_id}/cfd_tunnel 200
	// PUT /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations 200
	// PATCH /accounts/{account_id}/cfd_tunnel/{tunnel_id} 200
	// DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections 200
	// DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id} 200
}
