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

func TestURLEndsInTheBasePathOfTheRealAPI(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	defer srv.Close()
	assert.Regexp(t, `^http://127\.0\.0\.1:\d+/client/v4$`, srv.URL())
	again := srv.URL()
	assert.Equal(t, srv.URL(), again, "every call names the same listener")
}

func TestRequestsBesideTheBasePathFindNoRoute(t *testing.T) {
	t.Parallel()
	f := start(t)
	right := f.below("/cfd_tunnel")
	f.send(http.MethodGet, right, "").result()
	f.base = f.withoutPath()
	for _, path := range []string{right, "/client" + right, "/client/v5" + right, "/client/v4x" + right} {
		f.send(http.MethodGet, path, "").fails(http.StatusNotFound, 7000)
		assert.Empty(t, f.lastRequest().Operation, path)
	}
}

func TestHandlerServesWithoutAListener(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	defer srv.Close()
	req := httptest.NewRequest(http.MethodGet, "/client/v4/accounts/"+srv.AccountID()+"/cfd_tunnel", nil)
	req.Header.Set("Authorization", "Bearer "+srv.APIToken().Reveal())
	recorder := httptest.NewRecorder()
	srv.Handler().ServeHTTP(recorder, req)
	assert.Equal(t, http.StatusOK, recorder.Code)
	assert.Equal(t, "application/json", recorder.Header().Get("Content-Type"))
	require.Len(t, srv.Requests(), 1)
	assert.Equal(t, opList, srv.Requests()[0].Operation)
}

// Whoever serves the handler elsewhere sees the same tunnels as whoever goes by the URL.
func TestHandlerAndURLShareTheState(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	elsewhere := httptest.NewServer(f.Handler())
	defer elsewhere.Close()
	f.base = elsewhere.URL + "/client/v4"
	assert.Equal(t, "web", f.get(id).Name)
}

func TestDefaultsAreRandomAndWellFormed(t *testing.T) {
	t.Parallel()
	one, other := tunneltest.NewServer(), tunneltest.NewServer()
	assert.Regexp(t, "^[0-9a-f]{32}$", one.AccountID())
	assert.NotEqual(t, one.AccountID(), other.AccountID())
	// API tokens of before 2026 are 40 plain characters.
	assert.Regexp(t, "^[0-9a-f]{40}$", one.APIToken().Reveal())
	assert.NotEqual(t, one.APIToken(), other.APIToken())
}

func TestOptionsNameAccountAndToken(t *testing.T) {
	t.Parallel()
	const account, token = "0123456789abcdef0123456789abcdef", "cfat_0123456789-abc"
	f := start(t, tunneltest.WithAccountID(account), tunneltest.WithAPIToken(token))
	assert.Equal(t, account, f.AccountID())
	assert.Equal(t, token, f.APIToken().Reveal())
	r, err := f.tryWith(http.MethodGet, "/accounts/"+account+"/cfd_tunnel", "", http.Header{"Authorization": {"Bearer " + token}})
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, r.status)
}

func TestNewClientWorksAtOnce(t *testing.T) {
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

func TestNewClientsOptionsWin(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	defer srv.Close()
	const account = "ffffffffffffffffffffffffffffffff"
	client, err := srv.NewClient(cftunnel.WithAccountID(account), cftunnel.WithAPIToken("another"), cftunnel.WithUserAgent("own/1"))
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

// A client that is paced below the quota is never refused; one that is not paced would be, at the fourth request.
func TestNewClientIsPacedToTheQuota(t *testing.T) {
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

func TestNewClientIsNotPacedWithoutAQuota(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	require.NoError(t, err)
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// The default pace lets 120 through at once and then 3.56 a second: 230 more would not be in time.
	for i := range 350 {
		_, err := client.Tunnels.List(ctx, cftunnel.TunnelListParams{PerPage: 1})
		require.NoError(t, err, "request %d", i+1)
	}
}

func TestEveryAccountHasTunnelsOfItsOwn(t *testing.T) {
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
	require.NoError(t, err, "a name is taken in its own account only")
	assert.Equal(t, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", tunnel.AccountTag)

	same, err := f.client().ForAccount("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	require.NoError(t, err)
	tunnel, err = same.Tunnels.Get(t.Context(), id)
	require.NoError(t, err, "hexadecimal digits of either case are the same account")
	assert.Equal(t, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", tunnel.AccountTag)
}

func TestClockGivesEveryTime(t *testing.T) {
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

func TestLatencyComesBeforeTheWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := startInBubble(t, tunneltest.WithLatency(250*time.Millisecond))
		began := time.Now()
		tunnel, err := f.client().Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "web"})
		require.NoError(t, err)
		assert.Equal(t, 250*time.Millisecond, time.Since(began))
		assert.Equal(t, 250*time.Millisecond, tunnel.CreatedAt.Sub(began), "the tunnel is made when the latency has passed")
		assert.True(t, f.lastRequest().Time.Equal(began), "the request is recorded when it comes")
	})
}

func TestLatencyDelaysEveryRequestAtOnce(t *testing.T) {
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
		assert.Equal(t, time.Second, time.Since(began), "requests do not queue behind each other")
	})
}

// A client that gave up leaves a tunnel behind: that is how programs come to orphans, so the fake must do it too.
func TestWorkIsDoneThoughTheClientHasGone(t *testing.T) {
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
				_, err := f.client(cftunnel.WithTimeout(time.Second)).Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "web"})
				require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
				time.Sleep(2 * time.Minute)
				assert.True(t, f.lastRequest().Done)
				_, err = f.client(cftunnel.WithTimeout(time.Hour)).Tunnels.FindByName(t.Context(), "web")
				require.NoError(t, err)
			})
		})
	}
}

func TestCloseTwice(t *testing.T) {
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

func TestCloseEndsTheListener(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.send(http.MethodGet, f.below("/cfd_tunnel"), "").result()
	f.Close()
	_, err := f.try(http.MethodGet, f.below("/cfd_tunnel"), "")
	require.Error(t, err)
	assert.Len(t, f.Requests(), 1, "what was recorded is there after the end")
}

func TestCloseCutsRequestsInFlight(t *testing.T) {
	t.Parallel()
	arrived, once := make(chan struct{}), sync.Once{}
	f := start(t, tunneltest.WithClock(func() time.Time {
		// The server asks the time when a request comes.
		once.Do(func() { close(arrived) })
		return noon
	}))
	f.Inject(tunneltest.Fault{Delay: time.Hour})
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_, _ = f.try(http.MethodGet, f.below("/cfd_tunnel"), "")
	}()
	<-arrived
	f.Close()
	f.Close()
	<-answered
}

func TestCloseEndsDelays(t *testing.T) {
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
				answered := make(chan struct{})
				go func() {
					defer close(answered)
					_, _ = f.try(http.MethodGet, f.below("/cfd_tunnel"), "")
				}()
				synctest.Wait()
				require.Len(t, f.Requests(), 1)
				f.Close()
				<-answered
				assert.Zero(t, time.Since(began))
			})
		})
	}
}

func TestSeedTunnelsAreWhatGetReturns(t *testing.T) {
	t.Parallel()
	// Nanoseconds and a time zone, neither of which an answer has.
	at := time.Date(2026, time.October, 5, 14, 0, 0, 123456789, time.FixedZone("CEST", 2*60*60))
	f := start(t, tunneltest.WithClock(func() time.Time { return at }), tunneltest.WithAccountID("ABCDEF0123456789abcdef0123456789"))
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
	assert.Equal(t, time.Date(2026, time.October, 5, 12, 0, 0, 123456000, time.UTC), seeded[0].CreatedAt)
}

func TestSeedTunnelsAreDistinctAcrossCalls(t *testing.T) {
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

func TestSeedTunnelsHaveTokensThatRun(t *testing.T) {
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

// What a caller does with the tunnels that it was given must not reach the server.
func TestSeedTunnelsAreCopies(t *testing.T) {
	t.Parallel()
	f := start(t)
	seeded := f.SeedTunnels(1)
	copy(seeded[0].Metadata, "xx")
	assert.JSONEq(t, "{}", string(f.get(seeded[0].ID).Metadata))
}

// It is the race detector that judges here.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer(tunneltest.WithQuota(1_000_000, time.Hour))
	defer srv.Close()
	client, err := srv.NewClient(cftunnel.WithoutRateLimit(), cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 1}))
	require.NoError(t, err)
	defer client.CloseIdleConnections()
	const workers = 8
	var group sync.WaitGroup
	for i := range workers {
		group.Go(func() {
			ctx := t.Context()
			tunnel, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: fmt.Sprintf("tunnel-%d", i)})
			if !assert.NoError(t, err) {
				return
			}
			connector, err := srv.Connect(tunnel.Token)
			assert.NoError(t, err)
			srv.Inject(tunneltest.Fault{Operation: opDelete, Header: http.Header{"X-Test": {"1"}}})
			_, err = client.Tunnels.Update(ctx, tunnel.ID, cftunnel.TunnelUpdateParams{Name: fmt.Sprintf("renamed-%d", i)})
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
	assert.Len(t, page.Items, workers, "the seeded ones are left")
	for _, r := range srv.Requests() {
		assert.Equal(t, http.StatusOK, r.Status, "%s", r.Operation)
		assert.True(t, r.Done)
	}
}

// Of many who want one name at the same time, one gets it.
func TestConcurrentCreatesOfOneName(t *testing.T) {
	t.Parallel()
	f := start(t)
	const workers = 8
	statuses := make([]int, workers)
	var group sync.WaitGroup
	for i := range statuses {
		group.Go(func() {
			r, err := f.try(http.MethodPost, f.below("/cfd_tunnel"), `{"name":"web"}`)
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

func TestABodyThatBreaksOffIsNotCarriedOut(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	defer srv.Close()
	broken := io.MultiReader(strings.NewReader(`{"name":"web"}`), failingReader{})
	req := httptest.NewRequest(http.MethodPost, "/client/v4/accounts/"+srv.AccountID()+"/cfd_tunnel", broken)
	req.Header.Set("Authorization", "Bearer "+srv.APIToken().Reveal())
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() { srv.Handler().ServeHTTP(httptest.NewRecorder(), req) })
	require.Len(t, srv.Requests(), 1)
	assert.False(t, srv.Requests()[0].Done)
	assert.Zero(t, srv.Requests()[0].Status)
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestURLOfAClosedServerRefuses(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	srv.Close()
	client, err := srv.NewClient(cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 1}))
	require.NoError(t, err)
	_, err = client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
	require.Error(t, err)
	assert.Empty(t, srv.Requests())
}

func TestPrintOfAServerShowsNoToken(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithQuota(10, time.Hour))
	f.send(http.MethodGet, f.below("/cfd_tunnel"), "")
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		assert.NotContains(t, fmt.Sprintf(verb, f.Server), f.APIToken().Reveal())
	}
}
