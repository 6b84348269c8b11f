package tunneltest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// assertRefusedFor checks that a request is refused, with a Retry-After of this many seconds.
func (f *fake) assertRefusedFor(seconds int) {
	f.t.Helper()
	r := f.fetch(f.accountPath("/cfd_tunnel"))
	require.Equal(f.t, http.StatusTooManyRequests, r.status)
	var errors []struct{ Code int }
	require.NoError(f.t, json.Unmarshal(r.envelope().Errors, &errors))
	require.Len(f.t, errors, 1)
	assert.Contains(f.t, []int{971, 10429}, errors[0].Code)
	assert.Equal(f.t, fmt.Sprint(seconds), r.header.Get("Retry-After"))
	assert.Equal(f.t, "application/json", r.header.Get("Content-Type"))
	assert.Equal(f.t, http.StatusTooManyRequests, f.lastRequest().Status)
	assert.False(f.t, f.lastRequest().Done)
}

func (f *fake) assertAllowed() response {
	f.t.Helper()
	r := f.fetch(f.accountPath("/cfd_tunnel"))
	r.result()
	return r
}

func TestWithQuota_RefusesForWholeWindow(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithQuota(3, 5*time.Minute), tunneltest.WithClock(c.Now))
	for range 3 {
		f.assertAllowed()
		c.advance(time.Second)
	}
	c.advance(7 * time.Second) // 10s after noon
	f.assertRefusedFor(300)
	c.advance(100 * time.Second)
	f.assertRefusedFor(200)
	c.advance(195 * time.Second)
	f.assertRefusedFor(5) // the allowed requests are older than the window
	c.advance(4500 * time.Millisecond)
	f.assertRefusedFor(1) // rounded up
	c.advance(500*time.Millisecond - time.Nanosecond)
	f.assertRefusedFor(1)
	c.advance(time.Nanosecond)
	for range 3 {
		f.assertAllowed()
	}
	f.assertRefusedFor(300)
}

func TestWithQuota_AllOperations(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithQuota(1, time.Hour))
	f.assertAllowed()
	for _, r := range []struct{ method, path string }{
		{http.MethodPost, f.accountPath("/cfd_tunnel")}, {http.MethodGet, f.accountPath("/tunnels")}, {http.MethodDelete, f.accountPath("/cfd_tunnel/" + unknownID)},
		{http.MethodGet, "/zones"}, {http.MethodGet, "/accounts/ffffffffffffffffffffffffffffffff/cfd_tunnel"},
	} {
		assert.Equal(t, http.StatusTooManyRequests,
			f.send(r.method, r.path, `{"name":"web"}`).status, "%s %s", r.method, r.path)
	}
}

// Requests late in one window and early in the next count together.
func TestWithQuota_SlidingWindow(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithQuota(2, 5*time.Minute), tunneltest.WithClock(c.Now))
	f.assertAllowed()
	c.advance(200 * time.Second)
	f.assertAllowed()
	c.advance(100 * time.Second)
	f.assertAllowed() // the first request is older than the window
	c.advance(199 * time.Second)
	f.assertRefusedFor(300)
}

func TestWithQuota_EvenlySpacedRequests(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithQuota(4, time.Minute), tunneltest.WithClock(c.Now))
	for range 20 {
		f.assertAllowed()
		c.advance(15 * time.Second)
	}
}

func TestWithQuota_None(t *testing.T) {
	t.Parallel()
	for _, opts := range [][]tunneltest.Option{nil, {tunneltest.WithQuota(0, time.Minute)}} {
		f := start(t, append(opts, tunneltest.WithClock(func() time.Time { return noon }))...)
		for range 5 {
			f.assertAllowed()
		}
	}
}

func TestWithQuota_Headers(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithQuota(3, 5*time.Minute), tunneltest.WithClock(c.Now))
	for _, ratelimit := range []string{`"default";r=2;t=300`, `"default";r=1;t=200`, `"default";r=0;t=100`} {
		r := f.assertAllowed()
		assert.Equal(t, `"default";q=3;w=300`, r.header.Get("Ratelimit-Policy"))
		assert.Equal(t, ratelimit, r.header.Get("Ratelimit"))
		assert.Empty(t, r.header.Get("Retry-After"))
		c.advance(100 * time.Second)
	}
	// The first request is older than the window now.
	assert.Equal(t, `"default";r=0;t=100`, f.assertAllowed().header.Get("Ratelimit"))
	refused := f.fetch(f.accountPath("/cfd_tunnel"))
	assert.Equal(t, http.StatusTooManyRequests, refused.status)
	assert.Equal(t, `"default";q=3;w=300`, refused.header.Get("Ratelimit-Policy"))
	assert.Regexp(t, `^"default";r=\d+;t=\d+$`, refused.header.Get("Ratelimit"))
}

func TestWithQuota_HeadersOfErrors(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithQuota(10, time.Minute))
	f.Inject(tunneltest.Fault{Status: 503})
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusNotFound} {
		r := f.fetch(f.accountPath("/cfd_tunnel/" + unknownID))
		assert.Equal(t, status, r.status)
		assert.Equal(t, `"default";q=10;w=60`, r.header.Get("Ratelimit-Policy"))
	}
}

func TestWithQuota_FractionalSeconds(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithQuota(1, 1500*time.Millisecond),
		tunneltest.WithClock(func() time.Time { return noon }))
	assert.Equal(t, `"default";q=1;w=2`, f.assertAllowed().header.Get("Ratelimit-Policy"))
	f.assertRefusedFor(2)
}

// Failed requests count like successful ones.
func TestWithQuota_FailuresCount(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithQuota(3, time.Hour),
		tunneltest.WithClock(func() time.Time { return noon }))
	f.Inject(tunneltest.Fault{Status: 503})
	f.Inject(tunneltest.Fault{Cut: tunneltest.CutAfter})
	_ = f.fetch(f.accountPath("/cfd_tunnel"))
	_, err := f.try(http.MethodGet, f.accountPath("/cfd_tunnel"), "")
	require.Error(t, err)
	f.fetch("/ips").assertError(http.StatusNotFound, 7000)
	f.assertRefusedFor(3600)
}

func TestWithQuota_ConcurrentRequests(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithQuota(5, time.Hour))
	var allowed atomic.Int32
	var group sync.WaitGroup
	for range 12 {
		group.Go(func() {
			r, err := f.try(http.MethodGet, f.accountPath("/cfd_tunnel"), "")
			if assert.NoError(t, err) && r.status == http.StatusOK {
				allowed.Add(1)
			}
		})
	}
	group.Wait()
	assert.EqualValues(t, 5, allowed.Load())
}

func TestClient_WaitsForQuota(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := startInBubble(t, tunneltest.WithQuota(2, 10*time.Second))
		_, err := f.client().Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
		require.NoError(t, err)
		_, err = f.client().Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
		require.NoError(t, err)

		_, err = f.client().Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
		require.ErrorIs(t, err, cftunnel.ErrRateLimited)
		var refusal *cftunnel.Error
		require.ErrorAs(t, err, &refusal)
		assert.Equal(t, 10*time.Second, refusal.RetryAfter)

		began := time.Now()
		_, err = f.client(cftunnel.WithRetry(cftunnel.RetryPolicy{})).Tunnels.List(t.Context(),
			cftunnel.TunnelListParams{})
		require.NoError(t, err)
		assert.Equal(t, 10*time.Second, time.Since(began))
	})
}

func TestWithQuota_HeaderOfRefusal(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithQuota(1, time.Hour))
	f.fetch(f.accountPath("/cfd_tunnel"))
	assert.Equal(t, `"default";r=0;t=3600`,
		f.fetch(f.accountPath("/cfd_tunnel")).header.Get("Ratelimit"))
}
