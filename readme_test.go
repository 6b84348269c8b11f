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

// The code of README.md, docs/errors-and-retries.md, docs/rate-limits.md and
// docs/secrets-and-rotation.md. That of docs/getting-started.md is in gettingstarted_test.go.

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

// nextPass returns how long a reconcile loop should wait after a pass with this error, and whether
// the next pass will fail too unless somebody changes something.
func nextPass(err error, interval time.Duration) (wait time.Duration, permanent bool) {
	if e, ok := errors.AsType[*cftunnel.Error](err); ok {
		interval = max(interval, e.RetryAfter)
	}
	if errors.Is(err, cftunnel.ErrOutcomeUnknown) {
		return interval, false // the next pass reads what was carried out
	}
	for _, target := range []error{
		cftunnel.ErrBadRequest, cftunnel.ErrUnauthorized, cftunnel.ErrForbidden,
		cftunnel.ErrHostnameTaken, cftunnel.ErrLocallyManaged,
	} {
		permanent = permanent || errors.Is(err, target)
	}
	_, invalid := errors.AsType[*cftunnel.InvalidArgumentError](err)
	return interval, permanent || invalid
}

// replaceLeakedToken replaces the secret of a tunnel, drops the connections of the tunnel, and
// returns the new token. After an error, the old token or its connections may still work.
func replaceLeakedToken(
	ctx context.Context, client *cftunnel.Client, tunnelID string,
) (cftunnel.Secret, error) {
	params := cftunnel.RotateParams{CleanupConnections: true}
	rotation, err := client.Tunnels.RotateSecret(ctx, tunnelID, params)
	if err != nil && rotation != nil && rotation.Tunnel != nil {
		// The secret is replaced. Only the clean-up failed.
		err = client.Connectors.Cleanup(ctx, tunnelID, cftunnel.CleanupParams{})
	}
	if err != nil {
		return cftunnel.Secret{}, err
	}
	return rotation.Token, nil
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

func TestDocs_NextPass(t *testing.T) {
	t.Parallel()
	status := func(status int) error { return &cftunnel.Error{StatusCode: status} }
	unknown := fmt.Errorf("%w: %w", cftunnel.ErrOutcomeUnknown, status(http.StatusForbidden))
	limited := &cftunnel.Error{StatusCode: http.StatusTooManyRequests, RetryAfter: time.Hour}
	for name, test := range map[string]struct {
		err       error
		wait      time.Duration
		permanent bool
	}{
		"success":           {nil, time.Minute, false},
		"server":            {status(http.StatusBadGateway), time.Minute, false},
		"rate limited":      {limited, time.Hour, false},
		"outcome unknown":   {unknown, time.Minute, false},
		"concurrent update": {cftunnel.ErrConcurrentUpdate, time.Minute, false},
		"deadline":          {context.DeadlineExceeded, time.Minute, false},
		"forbidden":         {status(http.StatusForbidden), time.Minute, true},
		"hostname taken":    {cftunnel.ErrHostnameTaken, time.Minute, true},
		"invalid argument":  {&cftunnel.InvalidArgumentError{}, time.Minute, true},
	} {
		wait, permanent := nextPass(test.err, time.Minute)
		assert.Equal(t, test.wait, wait, name)
		assert.Equal(t, test.permanent, permanent, name)
	}
}

func TestDocs_ReplaceLeakedToken(t *testing.T) {
	t.Parallel()
	const (
		update  = "PATCH /accounts/{account_id}/cfd_tunnel/{tunnel_id}"
		cleanup = "DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections"
	)
	for name, test := range map[string]struct {
		fault tunneltest.Fault
		calls int // until one succeeds
	}{
		"no fault":             {tunneltest.Fault{Operation: update, Work: true}, 1},
		"clean-up fails":       {tunneltest.Fault{Operation: cleanup, Status: 503}, 1},
		"clean-up is lost":     {tunneltest.Fault{Operation: cleanup, Cut: tunneltest.CutAfter}, 1},
		"update fails":         {tunneltest.Fault{Operation: update, Cut: tunneltest.CutBefore}, 2},
		"its response is lost": {tunneltest.Fault{Operation: update, Cut: tunneltest.CutAfter}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, client := newFake(t, cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 1}))
			tunnelID := srv.SeedTunnels(1)[0].ID
			old, err := client.Tunnels.Token(t.Context(), tunnelID)
			require.NoError(t, err)
			_, err = srv.Connect(old)
			require.NoError(t, err)
			srv.Inject(test.fault)
			for range test.calls - 1 {
				_, err = replaceLeakedToken(t.Context(), client, tunnelID)
				require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
			}
			token, err := replaceLeakedToken(t.Context(), client, tunnelID)
			require.NoError(t, err)
			connectors, err := client.Connectors.List(t.Context(), tunnelID)
			require.NoError(t, err)
			assert.Empty(t, connectors)
			_, err = srv.Connect(old)
			require.Error(t, err)
			_, err = srv.Connect(token)
			require.NoError(t, err)
		})
	}
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
