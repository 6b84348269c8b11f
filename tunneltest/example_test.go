package tunneltest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func ExampleServer() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	srv.SeedTunnels(2)
	client, err := srv.NewClient() // for the code under test
	if err != nil {
		log.Fatal(err)
	}
	for tunnel, err := range client.Tunnels.All(context.Background(), cftunnel.TunnelListParams{}) {
		fmt.Println(tunnel.Name, err)
	}
	// Output:
	// seed-00001 <nil>
	// seed-00002 <nil>
}

// The tunnel is created but the response is lost. A program that simply retries would create a
// second tunnel.
func ExampleServer_Inject() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	srv.Inject(tunneltest.Fault{
		Operation: "POST /accounts/{account_id}/cfd_tunnel",
		Cut:       tunneltest.CutAfter,
	})
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	params := cftunnel.TunnelCreateParams{Name: "blog"}
	_, err = client.Tunnels.Create(ctx, params)
	fmt.Println("outcome unknown:", errors.Is(err, cftunnel.ErrOutcomeUnknown))
	tunnel, created, err := client.Tunnels.Ensure(ctx, params)
	fmt.Println(tunnel.Name, "created:", created, err)
	// Output:
	// outcome unknown: true
	// blog created: false <nil>
}

// A token that exceeds the quota is refused for a whole window, as on the real API.
func ExampleWithQuota() {
	srv := tunneltest.NewServer(tunneltest.WithQuota(2, 5*time.Minute))
	defer srv.Close()
	client, err := srv.NewClient(cftunnel.WithoutRateLimit()) // its default rate limit is the quota
	if err != nil {
		log.Fatal(err)
	}

	for range 3 {
		var info cftunnel.ResponseInfo
		_, err := client.Tunnels.List(context.Background(), cftunnel.TunnelListParams{},
			cftunnel.CaptureResponse(&info))
		rateLimited := errors.Is(err, cftunnel.ErrRateLimited)
		fmt.Println(rateLimited, info.Header.Get("Ratelimit"), info.RetryAfter)
	}
	// Output:
	// false "default";r=1;t=300 0s
	// false "default";r=0;t=300 0s
	// true "default";r=0;t=300 5m0s
}

// A tunnel is healthy while a connector runs with its token.
func ExampleServer_Connect() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	tunnel, _ := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "blog"})

	replica, err := srv.Connect(tunnel.Token)
	if err != nil {
		log.Fatal(err)
	}
	tunnel, _ = client.Tunnels.Get(ctx, tunnel.ID)
	fmt.Println(tunnel.Status)
	srv.SetConnections(replica, 2) // instead of four
	tunnel, _ = client.Tunnels.Get(ctx, tunnel.ID)
	fmt.Println(tunnel.Status)
	srv.Disconnect(replica)
	tunnel, _ = client.Tunnels.Get(ctx, tunnel.ID)
	fmt.Println(tunnel.Status)
	// Output:
	// healthy
	// degraded
	// down
}

// The delete was sent twice and carried out once.
func ExampleServer_Requests() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	tunnel := srv.SeedTunnels(1)[0]
	srv.Inject(tunneltest.Fault{Status: http.StatusBadGateway})
	retry := cftunnel.RetryPolicy{BaseDelay: time.Nanosecond} // retries at once
	client, err := srv.NewClient(cftunnel.WithRetry(retry))
	if err != nil {
		log.Fatal(err)
	}
	params := cftunnel.TunnelDeleteParams{}
	if _, err := client.Tunnels.Delete(context.Background(), tunnel.ID, params); err != nil {
		log.Fatal(err)
	}
	for _, request := range srv.Requests() {
		fmt.Println(request.Operation, request.Done, request.Status)
	}
	// Output:
	// DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id} false 502
	// DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id} true 200
}

// A read-only token cannot read the token of a tunnel, which needs a permission to write.
func ExampleServer_AddToken() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	reader := srv.AddToken(tunneltest.Token{ReadOnly: true})
	client, err := srv.NewClient(cftunnel.WithAPIToken(reader.Reveal()))
	if err != nil {
		log.Fatal(err)
	}
	tunnel := srv.SeedTunnels(1)[0]
	_, err = client.Tunnels.Get(context.Background(), tunnel.ID)
	fmt.Println(err)
	_, err = client.Tunnels.Token(context.Background(), tunnel.ID)
	fmt.Println(errors.Is(err, cftunnel.ErrForbidden))
	// Output:
	// <nil>
	// true
}

// The rest of this file is the code of docs/testing.md. A test compares them.

// publish creates a tunnel with this name if there is none, and routes a hostname to a service.
func publish(ctx context.Context, client *cftunnel.Client, name, hostname, service string) error {
	tunnel, _, err := client.Tunnels.Ensure(ctx, cftunnel.TunnelCreateParams{
		Name:         name,
		ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	if err != nil {
		return err
	}
	setRules := func(config *cftunnel.TunnelConfig) error {
		config.Ingress = []cftunnel.IngressRule{
			{Hostname: hostname, Service: service},
			{Service: "http_status:404"},
		}
		return nil
	}
	_, err = client.Tunnels.ModifyConfiguration(ctx, tunnel.ID, setRules)
	return err
}

func TestPublish(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		t.Fatal(err)
	}
	err = publish(t.Context(), client, "blog", "blog.example.com", "http://localhost:8080")
	if err != nil {
		t.Fatal(err)
	}
	tunnel, err := client.Tunnels.FindByName(t.Context(), "blog")
	if err != nil {
		t.Fatal(err)
	}
	configured, err := client.Tunnels.Configuration(t.Context(), tunnel.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got := configured.Config.Ingress[0].Hostname; got != "blog.example.com" {
		t.Errorf("the tunnel serves %q", got)
	}
}

func TestPublish_LostResponses(t *testing.T) {
	t.Parallel()
	const create = "POST /accounts/{account_id}/cfd_tunnel"
	srv := tunneltest.NewServer()
	defer srv.Close()
	retry := cftunnel.RetryPolicy{BaseDelay: time.Nanosecond} // retries at once
	client, err := srv.NewClient(cftunnel.WithRetry(retry))
	if err != nil {
		t.Fatal(err)
	}
	srv.Inject(tunneltest.Fault{Operation: create, Cut: tunneltest.CutAfter})
	srv.Inject(tunneltest.Fault{Status: http.StatusBadGateway, Body: "<html>bad gateway</html>"})
	err = publish(t.Context(), client, "blog", "blog.example.com", "http://localhost:8080")
	if err != nil {
		t.Fatal(err)
	}
	created := 0
	for _, request := range srv.Requests() {
		if request.Operation == create && request.Done {
			created++
		}
	}
	if created != 1 {
		t.Errorf("created %d tunnels", created)
	}
}

func TestPublish_ReadOnlyToken(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	defer srv.Close()
	reader := srv.AddToken(tunneltest.Token{ReadOnly: true})
	client, err := srv.NewClient(cftunnel.WithAPIToken(reader.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	err = publish(t.Context(), client, "blog", "blog.example.com", "http://localhost:8080")
	if !errors.Is(err, cftunnel.ErrForbidden) {
		t.Errorf("got %v", err)
	}
}

func TestPublish_RateLimited(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer(tunneltest.WithQuota(3, 5*time.Minute))
	defer srv.Close()
	client, err := srv.NewClient(cftunnel.WithoutRateLimit())
	if err != nil {
		t.Fatal(err)
	}
	// The fourth request would have to wait for five minutes, which is longer than the client's
	// MaxDelay. It fails at once.
	err = publish(t.Context(), client, "blog", "blog.example.com", "http://localhost:8080")
	if !errors.Is(err, cftunnel.ErrRateLimited) {
		t.Errorf("got %v", err)
	}
}

func TestReplicas(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		t.Fatal(err)
	}
	tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "blog"})
	if err != nil {
		t.Fatal(err)
	}
	status := func() cftunnel.TunnelStatus {
		seen, err := client.Tunnels.Get(t.Context(), tunnel.ID)
		if err != nil {
			t.Fatal(err)
		}
		return seen.Status
	}
	replica, err := srv.Connect(tunnel.Token)
	if err != nil || status() != cftunnel.TunnelStatusHealthy {
		t.Error("with a replica:", status(), err)
	}
	srv.SetConnections(replica, 1) // instead of four
	if status() != cftunnel.TunnelStatusDegraded {
		t.Error("with one connection:", status())
	}
	srv.Disconnect(replica)
	if status() != cftunnel.TunnelStatusDown {
		t.Error("without a replica:", status())
	}
	_, err = client.Tunnels.RotateSecret(t.Context(), tunnel.ID, cftunnel.RotateParams{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := srv.Connect(tunnel.Token); err == nil {
		t.Error("the old token still works")
	}
}

func TestPublish_WaitsForQuota(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := tunneltest.NewServer(tunneltest.InMemory(), tunneltest.WithQuota(3, 5*time.Minute))
		defer srv.Close()
		client, err := srv.NewClient(
			cftunnel.WithoutRateLimit(),
			cftunnel.WithRetry(cftunnel.RetryPolicy{MaxDelay: 10 * time.Minute}),
		)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		err = publish(t.Context(), client, "blog", "blog.example.com", "http://localhost:8080")
		if err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited != 5*time.Minute {
			t.Errorf("the client waited for %s", waited)
		}
	})
}

// idle returns the names of the tunnels that have had no connection since the given time.
func idle(
	ctx context.Context, client *cftunnel.Client, since time.Time,
) (names []string, err error) {
	for tunnel, err := range client.Tunnels.All(ctx, cftunnel.TunnelListParams{}) {
		if err != nil {
			return nil, err
		}
		if lost := tunnel.ConnsInactiveAt; !lost.IsZero() && lost.Before(since) {
			names = append(names, tunnel.Name)
		}
	}
	return names, nil
}

func TestIdle(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	defer srv.Close()
	now := time.Now()
	srv.Seed(tunneltest.TunnelSeed{Name: "new"})
	srv.Seed(tunneltest.TunnelSeed{Name: "stopped", ConnsInactiveAt: now.AddDate(0, -2, 0)})
	srv.Seed(tunneltest.TunnelSeed{
		Name:      "running",
		CreatedAt: now.AddDate(0, -2, 0),
		Status:    cftunnel.TunnelStatusHealthy,
	})
	client, err := srv.NewClient()
	if err != nil {
		t.Fatal(err)
	}
	names, err := idle(t.Context(), client, now.AddDate(0, -1, 0))
	if err != nil || !slices.Equal(names, []string{"stopped"}) {
		t.Error(names, err)
	}
}

// apps calls an endpoint that the client has no method for.
func apps(ctx context.Context, client *cftunnel.Client) (names []string, err error) {
	var list []struct{ Name string }
	err = client.Do(ctx, http.MethodGet, "/accounts/"+client.AccountID()+"/access/apps", nil, &list)
	for _, app := range list {
		names = append(names, app.Name)
	}
	return names, err
}

func TestApps(t *testing.T) {
	t.Parallel()
	const list = "GET /accounts/{account_id}/access/apps"
	srv := tunneltest.NewServer()
	defer srv.Close()
	srv.Handle(list, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		const body = `{"success":true,"errors":[],"messages":[],"result":[{"name":"wiki"}]}`
		_, _ = io.WriteString(w, body)
	}))
	srv.Inject(tunneltest.Fault{Operation: list, Status: http.StatusServiceUnavailable})
	retry := cftunnel.RetryPolicy{BaseDelay: time.Nanosecond} // retries at once
	client, err := srv.NewClient(cftunnel.WithRetry(retry))
	if err != nil {
		t.Fatal(err)
	}
	names, err := apps(t.Context(), client)
	if err != nil || !slices.Equal(names, []string{"wiki"}) {
		t.Error(names, err)
	}
}

// finder is the part of a client that isUp needs. *cftunnel.TunnelsService implements it.
type finder interface {
	FindByName(
		ctx context.Context, name string, opts ...cftunnel.CallOption,
	) (*cftunnel.Tunnel, error)
}

func isUp(ctx context.Context, tunnels finder, name string) (bool, error) {
	tunnel, err := tunnels.FindByName(ctx, name)
	switch {
	case errors.Is(err, cftunnel.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	return tunnel.Status == cftunnel.TunnelStatusHealthy, nil
}

// stub is a finder that always returns the same tunnel and error.
type stub struct {
	tunnel *cftunnel.Tunnel
	err    error
}

func (s stub) FindByName(
	context.Context, string, ...cftunnel.CallOption,
) (*cftunnel.Tunnel, error) {
	return s.tunnel, s.err
}

func TestIsUp(t *testing.T) {
	t.Parallel()
	healthy := &cftunnel.Tunnel{Status: cftunnel.TunnelStatusHealthy}
	if up, err := isUp(t.Context(), stub{tunnel: healthy}, "blog"); !up || err != nil {
		t.Error("healthy:", up, err)
	}
	if up, err := isUp(t.Context(), stub{err: cftunnel.ErrNotFound}, "blog"); up || err != nil {
		t.Error("missing:", up, err)
	}
	refused := &cftunnel.Error{StatusCode: http.StatusForbidden}
	_, err := isUp(t.Context(), stub{err: refused}, "blog")
	if !errors.Is(err, cftunnel.ErrForbidden) {
		t.Error("refused:", err)
	}
}
