package cftunnel_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/filemode"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// The code of README.md, docs/errors-and-retries.md and docs/rate-limits.md. That of
// docs/getting-started.md is in gettingstarted_test.go.

// serve makes blog.example.com lead to a local web server. It can be repeated at any time.
func serve(ctx context.Context, client *cftunnel.Client) error {
	tunnel, _, err := client.Tunnels.Ensure(ctx, cftunnel.TunnelCreateParams{
		Name: "blog", ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	if err != nil {
		return err
	}
	_, err = client.Hostnames.Publish(ctx, tunnel.ID, cftunnel.PublishParams{
		Hostname: "blog.example.com", Service: "http://localhost:8080",
	})
	return err
}

// deleteTunnel deletes a tunnel that no replica runs. It can be called again after any error.
func deleteTunnel(ctx context.Context, client *cftunnel.Client, tunnelID string) error {
	_, err := client.Tunnels.Delete(ctx, tunnelID, cftunnel.TunnelDeleteParams{})
	switch {
	case errors.Is(err, cftunnel.ErrOutcomeUnknown):
		return fmt.Errorf("whether the tunnel is deleted is unknown; try again: %w", err)
	case errors.Is(err, cftunnel.ErrNotFound):
		return nil // there is no such tunnel
	case errors.Is(err, cftunnel.ErrActiveConnections):
		return fmt.Errorf("stop cloudflared first: %w", err)
	}
	return err
}

func newPatientClient() (*cftunnel.Client, error) {
	return cftunnel.NewClient(
		cftunnel.WithEnvironment(),
		cftunnel.WithRetry(cftunnel.RetryPolicy{MaxDelay: 10 * time.Minute}),
	)
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
		if err := serve(context.Background(), client); err != nil {
			panic(err)
		}
	}
	for _, r := range srv.Requests() {
		if r.Method != http.MethodGet {
			fmt.Println(r.Operation, r.Status)
		}
	}
	// Output:
	// POST /accounts/{account_id}/cfd_tunnel 200
	// PUT /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations 200
	// POST /zones/{zone_id}/dns_records 200
}

// setFakeEnvironment makes WithEnvironment configure a client of srv.
func setFakeEnvironment(t *testing.T, srv *tunneltest.Server) {
	t.Helper()
	t.Setenv("CLOUDFLARE_BASE_URL", srv.URL())
	t.Setenv("CLOUDFLARE_API_TOKEN", srv.APIToken().Reveal())
	t.Setenv("CLOUDFLARE_ACCOUNT_ID", srv.AccountID())
}

// TestDocs_GettingStartedProgram changes the environment and the working directory, so it is not
// parallel.
func TestDocs_GettingStartedProgram(t *testing.T) {
	srv := tunneltest.NewServer()
	t.Cleanup(srv.Close)
	srv.SeedZone("example.com")
	setFakeEnvironment(t, srv)
	t.Chdir(t.TempDir())
	for range 2 {
		main()
	}

	client, err := srv.NewClient()
	require.NoError(t, err)
	tunnel, err := client.Tunnels.FindByName(t.Context(), "blog")
	require.NoError(t, err)
	hostnames, err := client.Hostnames.List(t.Context(), tunnel.ID)
	require.NoError(t, err)
	require.Len(t, hostnames, 1)
	assert.Equal(t, "blog.example.com", hostnames[0].Hostname)
	assert.Equal(t, cftunnel.DNSStateReady, hostnames[0].DNS)

	filemode.AssertPrivate(t, "blog.token")
	token, err := os.ReadFile("blog.token")
	require.NoError(t, err)
	_, err = srv.Connect(cftunnel.NewSecret(string(token)))
	require.NoError(t, err, "a replica runs with the token")
}

//nolint:paralleltest // it changes the environment
func TestDocs_PatientClient(t *testing.T) {
	srv := tunneltest.NewServer()
	t.Cleanup(srv.Close)
	setFakeEnvironment(t, srv)
	client, err := newPatientClient()
	require.NoError(t, err)
	_, err = client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
	require.NoError(t, err)
}

func TestDocs_DeleteTunnel(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	t.Cleanup(srv.Close)
	client, err := srv.NewClient()
	require.NoError(t, err)
	tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{
		Name: "blog", ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	require.NoError(t, err)
	connector, err := srv.Connect(tunnel.Token)
	require.NoError(t, err)
	require.ErrorIs(t, deleteTunnel(t.Context(), client, tunnel.ID), cftunnel.ErrActiveConnections)
	srv.Disconnect(connector)
	require.NoError(t, deleteTunnel(t.Context(), client, tunnel.ID))
	require.NoError(t, deleteTunnel(t.Context(), client, tunnel.ID), "again")
}
