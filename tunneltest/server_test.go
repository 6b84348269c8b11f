package tunneltest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func TestServer_URL(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	defer srv.Close()
	assert.Regexp(t, `^http://127\.0\.0\.1:\d+/client/v4$`, srv.URL())
	again := srv.URL()
	assert.Equal(t, srv.URL(), again, "every call returns the same URL")
}

func TestServer_PathOutsideBase(t *testing.T) {
	t.Parallel()
	f := start(t)
	right := f.accountPath("/cfd_tunnel")
	f.fetch(right).result()
	f.base = f.withoutPath()
	for _, path := range []string{right, "/client" + right, "/client/v5" + right, "/client/v4x" + right} {
		f.fetch(path).assertError(http.StatusNotFound, 7000)
		assert.Empty(t, f.lastRequest().Operation, path)
	}
}

func TestHandler_WithoutListener(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	defer srv.Close()
	path := "/client/v4/accounts/" + srv.AccountID() + "/cfd_tunnel"
	req := httptest.NewRequest(http.MethodGet, path, nil)
	req.Header.Set("Authorization", "Bearer "+srv.APIToken().Reveal())
	recorder := httptest.NewRecorder()
	srv.Handler().ServeHTTP(recorder, req)
	assert.Equal(t, http.StatusOK, recorder.Code)
	assert.Equal(t, "application/json", recorder.Header().Get("Content-Type"))
	require.Len(t, srv.Requests(), 1)
	assert.Equal(t, opList, srv.Requests()[0].Operation)
}

// The handler on another HTTP server has the same state as the server's own URL.
func TestHandler_SharesState(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	elsewhere := httptest.NewServer(f.Handler())
	defer elsewhere.Close()
	f.base = elsewhere.URL + "/client/v4"
	assert.Equal(t, "web", f.get(id).Name)
}

func TestNewServer_Defaults(t *testing.T) {
	t.Parallel()
	one, other := tunneltest.NewServer(), tunneltest.NewServer()
	assert.Regexp(t, "^[0-9a-f]{32}$", one.AccountID())
	assert.NotEqual(t, one.AccountID(), other.AccountID())
	// API tokens from before 2026 have 40 characters and no prefix.
	assert.Regexp(t, "^[0-9a-f]{40}$", one.APIToken().Reveal())
	assert.NotEqual(t, one.APIToken(), other.APIToken())
}

func TestNewServer_AccountAndToken(t *testing.T) {
	t.Parallel()
	const account, token = "0123456789abcdef0123456789abcdef", "cfat_0123456789-abc"
	f := start(t, tunneltest.WithAccountID(account), tunneltest.WithAPIToken(token))
	assert.Equal(t, account, f.AccountID())
	assert.Equal(t, token, f.APIToken().Reveal())
	r, err := f.tryWith(http.MethodGet, "/accounts/"+account+"/cfd_tunnel", "",
		http.Header{"Authorization": {"Bearer " + token}})
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, r.status)
}

func TestNewClient(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	require.NoError(t, err)
	defer client.CloseIdleConnections()
	assert.Equal(t, srv.AccountID(), client.AccountID())
	tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "web"})
	require.NoError(t, err)
	found, err := client.Tunnels.FindByName(t.Context(), "web")
	require.NoError(t, err)
	assert.Equal(t, tunnel.ID, found.ID)
}

func TestNewClient_Options(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	defer srv.Close()
	const account = "ffffffffffffffffffffffffffffffff"
	client, err := srv.NewClient(cftunnel.WithAccountID(account), cftunnel.WithAPIToken("another"),
		cftunnel.WithUserAgent("own/1"))
	require.NoError(t, err)
	defer client.CloseIdleConnections()
	assert.Equal(t, account, client.AccountID())
	_, err = client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
	require.ErrorIs(t, err, cftunnel.ErrUnauthorized)
	require.Len(t, srv.Requests(), 1)
	assert.Contains(t, srv.Requests()[0].Header.Get("User-Agent"), "own/1")

	_, err = srv.NewClient(cftunnel.WithBaseURL("nowhere"))
	var bad *cftunnel.InvalidArgumentError
	require.ErrorAs(t, err, &bad)
}

// Without a rate limit, the fourth request would be refused.
func TestNewClient_RateLimitIsQuota(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer(tunneltest.WithQuota(3, time.Hour))
	defer srv.Close()
	client, err := srv.NewClient()
	require.NoError(t, err)
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 4 {
		_, err = client.Tunnels.List(ctx, cftunnel.TunnelListParams{})
	}
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, cftunnel.ErrRateLimited)
	assert.Less(t, len(srv.Requests()), 4)
}

func TestNewClient_NoQuota(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	require.NoError(t, err)
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// The default rate limit allows a burst of 120 and then 3.56 requests per second, so it could
	// not send 350 requests before the deadline.
	for i := range 350 {
		_, err := client.Tunnels.List(ctx, cftunnel.TunnelListParams{PerPage: 1})
		require.NoError(t, err, "request %d", i+1)
	}
}

func TestServer_Accounts(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithAccountID("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"))
	id, _ := f.create("web")
	other, err := f.client().ForAccount("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")
	require.NoError(t, err)

	_, err = other.Tunnels.Get(t.Context(), id)
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	page, err := other.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
	require.NoError(t, err)
	assert.Empty(t, page.Items)
	tunnel, err := other.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "web"})
	require.NoError(t, err, "names are unique per account")
	assert.Equal(t, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", tunnel.AccountTag)

	same, err := f.client().ForAccount("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	require.NoError(t, err)
	tunnel, err = same.Tunnels.Get(t.Context(), id)
	require.NoError(t, err, "account IDs are case-insensitive")
	assert.Equal(t, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", tunnel.AccountTag)
}

func TestWithClock(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	id, token := f.create("web")
	assert.Equal(t, noon, f.get(id).CreatedAt)
	assert.Equal(t, noon, f.lastRequest().Time)
	connected := c.advance(time.Hour)
	connector := f.connect(token)
	assert.Equal(t, connected, f.get(id).ConnsActiveAt)
	disconnected := c.advance(time.Hour)
	f.Disconnect(connector)
	assert.Equal(t, disconnected, f.get(id).ConnsInactiveAt)
	deleted := c.advance(time.Hour)
	f.delete(id)
	assert.Equal(t, deleted, f.get(id).DeletedAt)
	seeded := c.advance(time.Hour)
	assert.Equal(t, seeded, f.SeedTunnels(1)[0].CreatedAt)
	assert.Equal(t, seeded, f.get(f.SeedTunnels(1)[0].ID).CreatedAt)
}

func TestWithLatency_BeforeWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := startInBubble(t, tunneltest.WithLatency(250*time.Millisecond))
		began := time.Now()
		tunnel, err := f.client().Tunnels.Create(t.Context(),
			cftunnel.TunnelCreateParams{Name: "web"})
		require.NoError(t, err)
		assert.Equal(t, 250*time.Millisecond, time.Since(began))
		assert.Equal(t, 250*time.Millisecond, tunnel.CreatedAt.Sub(began),
			"the tunnel is created after the latency")
		assert.True(t, f.lastRequest().Time.Equal(began), "the request is recorded when it arrives")
	})
}

func TestWithLatency_ConcurrentRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := startInBubble(t, tunneltest.WithLatency(time.Second))
		began := time.Now()
		var group sync.WaitGroup
		for range 5 {
			group.Go(func() {
				_, err := f.client().Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
				assert.NoError(t, err)
			})
		}
		group.Wait()
		assert.Equal(t, time.Second, time.Since(began), "requests do not wait for each other")
	})
}

// A request is carried out even if the client does not wait for the response.
func TestServer_ClientTimeout(t *testing.T) {
	t.Parallel()
	for _, slow := range []struct {
		name  string
		opts  []tunneltest.Option
		fault tunneltest.Fault
	}{
		{"before the work", []tunneltest.Option{tunneltest.WithLatency(time.Minute)}, tunneltest.Fault{}},
		{"after the work", nil, tunneltest.Fault{Delay: time.Minute}},
	} {
		t.Run(slow.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := startInBubble(t, slow.opts...)
				f.Inject(slow.fault)
				_, err := f.client(cftunnel.WithTimeout(time.Second)).Tunnels.Create(t.Context(),
					cftunnel.TunnelCreateParams{Name: "web"})
				require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
				time.Sleep(2 * time.Minute)
				assert.True(t, f.lastRequest().Done)
				_, err = f.client(cftunnel.WithTimeout(time.Hour)).Tunnels.FindByName(t.Context(),
					"web")
				require.NoError(t, err)
			})
		})
	}
}

func TestClose_Twice(t *testing.T) {
	t.Parallel()
	for _, listening := range []bool{false, true} {
		t.Run(fmt.Sprintf("listening %t", listening), func(t *testing.T) {
			t.Parallel()
			srv := tunneltest.NewServer()
			if listening {
				srv.URL()
			}
			srv.Close()
			assert.NotPanics(t, srv.Close)
		})
	}
}

func TestClose_StopsListening(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.fetch(f.accountPath("/cfd_tunnel")).result()
	f.Close()
	_, err := f.try(http.MethodGet, f.accountPath("/cfd_tunnel"), "")
	require.Error(t, err)
	assert.Len(t, f.Requests(), 1, "requests are available after Close")
}

func TestClose_RequestInFlight(t *testing.T) {
	t.Parallel()
	arrived, once := make(chan struct{}), sync.Once{}
	f := start(t, tunneltest.WithClock(func() time.Time {
		// The server calls the clock when a request arrives.
		once.Do(func() { close(arrived) })
		return noon
	}))
	f.Inject(tunneltest.Fault{Delay: time.Hour})
	responded := make(chan struct{})
	go func() {
		defer close(responded)
		_, _ = f.try(http.MethodGet, f.accountPath("/cfd_tunnel"), "")
	}()
	<-arrived
	f.Close()
	f.Close()
	<-responded
}

func TestClose_EndsDelays(t *testing.T) {
	t.Parallel()
	for _, slow := range []struct {
		name string
		opts []tunneltest.Option
	}{
		{"latency", []tunneltest.Option{tunneltest.WithLatency(time.Hour)}},
		{"delay", nil},
	} {
		t.Run(slow.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := startInBubble(t, slow.opts...)
				if slow.opts == nil {
					f.Inject(tunneltest.Fault{Delay: time.Hour})
				}
				began := time.Now()
				responded := make(chan struct{})
				go func() {
					defer close(responded)
					_, _ = f.try(http.MethodGet, f.accountPath("/cfd_tunnel"), "")
				}()
				synctest.Wait()
				require.Len(t, f.Requests(), 1)
				f.Close()
				<-responded
				assert.Zero(t, time.Since(began))
			})
		})
	}
}

func TestSeedTunnels_EqualGet(t *testing.T) {
	t.Parallel()
	// Responses have neither nanoseconds nor a time zone.
	at := time.Date(2026, time.October, 5, 14, 0, 0, 123456789, time.FixedZone("CEST", 2*60*60))
	f := start(t, tunneltest.WithClock(func() time.Time { return at }),
		tunneltest.WithAccountID("ABCDEF0123456789abcdef0123456789"))
	seeded := f.SeedTunnels(3)
	require.Len(t, seeded, 3)
	for i := range seeded {
		assert.Equal(t, *f.get(seeded[i].ID), seeded[i])
	}
	page, err := f.client().Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
	require.NoError(t, err)
	assert.Equal(t, page.Items, seeded)

	assert.Equal(t, cftunnel.ConfigSourceCloudflare, seeded[0].ConfigSource)
	assert.Equal(t, cftunnel.TunnelTypeCloudflared, seeded[0].Type)
	assert.Equal(t, cftunnel.TunnelStatusInactive, seeded[0].Status)
	assert.Equal(t, "abcdef0123456789abcdef0123456789", seeded[0].AccountTag)
	assert.Equal(t, time.Date(2026, time.October, 5, 12, 0, 0, 123456000, time.UTC),
		seeded[0].CreatedAt)
}

func TestSeedTunnels_Distinct(t *testing.T) {
	t.Parallel()
	f := start(t)
	names, ids := map[string]bool{}, map[string]bool{}
	for range 3 {
		for _, tunnel := range f.SeedTunnels(2) {
			names[tunnel.Name], ids[tunnel.ID] = true, true
		}
	}
	assert.Len(t, names, 6)
	assert.Len(t, ids, 6)
	assert.Empty(t, f.SeedTunnels(0))
}

func TestSeedTunnels_Tokens(t *testing.T) {
	t.Parallel()
	f := start(t)
	seeded := f.SeedTunnels(2)
	var tokens []cftunnel.Secret
	for _, tunnel := range seeded {
		token, err := f.client().Tunnels.Token(t.Context(), tunnel.ID)
		require.NoError(t, err)
		f.connect(token)
		tokens = append(tokens, token)
	}
	assert.NotEqual(t, tokens[0], tokens[1])
	assert.Equal(t, cftunnel.TunnelStatusHealthy, f.get(seeded[1].ID).Status)
}

// Changes of the returned tunnels do not change the server.
func TestSeedTunnels_Copies(t *testing.T) {
	t.Parallel()
	f := start(t)
	seeded := f.SeedTunnels(1)
	copy(seeded[0].Metadata, "xx")
	assert.JSONEq(t, "{}", string(f.get(seeded[0].ID).Metadata))
}

// This test is for the race detector.
func TestServer_ConcurrentUse(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer(tunneltest.WithQuota(1_000_000, time.Hour))
	defer srv.Close()
	client, err := srv.NewClient(cftunnel.WithoutRateLimit(),
		cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 1}))
	require.NoError(t, err)
	defer client.CloseIdleConnections()
	const workers = 8
	var group sync.WaitGroup
	for i := range workers {
		group.Go(func() {
			ctx := t.Context()
			tunnel, err := client.Tunnels.Create(ctx,
				cftunnel.TunnelCreateParams{Name: fmt.Sprintf("tunnel-%d", i)})
			if !assert.NoError(t, err) {
				return
			}
			connector, err := srv.Connect(tunnel.Token)
			assert.NoError(t, err)
			srv.Inject(tunneltest.Fault{Operation: opDelete, Header: http.Header{"X-Test": {"1"}}})
			_, err = client.Tunnels.Update(ctx, tunnel.ID,
				cftunnel.TunnelUpdateParams{Name: fmt.Sprintf("renamed-%d", i)})
			assert.NoError(t, err)
			_, err = client.Tunnels.Token(ctx, tunnel.ID)
			assert.NoError(t, err)
			for _, err := range client.Tunnels.All(ctx, cftunnel.TunnelListParams{}) {
				assert.NoError(t, err)
			}
			for _, r := range srv.Requests() {
				r.Header.Set("X-Test", "1")
				r.Query.Set("x", "1")
				_ = r.Status
			}
			srv.SeedTunnels(1)
			srv.Disconnect(connector)
			srv.ClearFaults()
			_, err = client.Tunnels.Delete(ctx, tunnel.ID, cftunnel.TunnelDeleteParams{})
			assert.NoError(t, err)
			_ = srv.URL()
		})
	}
	group.Wait()
	page, err := client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
	require.NoError(t, err)
	assert.Len(t, page.Items, workers, "the seeded tunnels remain")
	for _, r := range srv.Requests() {
		assert.Equal(t, http.StatusOK, r.Status, "%s", r.Operation)
		assert.True(t, r.Done)
	}
}

// Only one of several concurrent creates with the same name succeeds.
func TestTunnelsCreate_ConcurrentSameName(t *testing.T) {
	t.Parallel()
	f := start(t)
	const workers = 8
	statuses := make([]int, workers)
	var group sync.WaitGroup
	for i := range statuses {
		group.Go(func() {
			r, err := f.try(http.MethodPost, f.accountPath("/cfd_tunnel"), `{"name":"web"}`)
			assert.NoError(t, err)
			statuses[i] = r.status
		})
	}
	group.Wait()
	counts := map[int]int{}
	for _, status := range statuses {
		counts[status]++
	}
	assert.Equal(t, map[int]int{http.StatusOK: 1, http.StatusConflict: workers - 1}, counts)
}

func TestServer_IncompleteBody(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	defer srv.Close()
	broken := io.MultiReader(strings.NewReader(`{"name":"web"}`), failingReader{})
	req := httptest.NewRequest(http.MethodPost,
		"/client/v4/accounts/"+srv.AccountID()+"/cfd_tunnel", broken)
	req.Header.Set("Authorization", "Bearer "+srv.APIToken().Reveal())
	assert.PanicsWithValue(t, http.ErrAbortHandler,
		func() { srv.Handler().ServeHTTP(httptest.NewRecorder(), req) })
	require.Len(t, srv.Requests(), 1)
	assert.False(t, srv.Requests()[0].Done)
	assert.Zero(t, srv.Requests()[0].Status)
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestClose_BeforeURL(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	srv.Close()
	client, err := srv.NewClient(cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 1}))
	require.NoError(t, err)
	_, err = client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
	require.Error(t, err)
	assert.Empty(t, srv.Requests())
}

func TestServer_PrintedWithoutToken(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithQuota(10, time.Hour))
	f.fetch(f.accountPath("/cfd_tunnel"))
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		assert.NotContains(t, fmt.Sprintf(verb, f.Server), f.APIToken().Reveal())
	}
}
