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

// refusedFor checks that a request is refused for so many more seconds.
func (f *fake) refusedFor(seconds int) {
	f.t.Helper()
	r := f.send(http.MethodGet, f.below("/cfd_tunnel"), "")
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

func (f *fake) admitted() reply {
	f.t.Helper()
	r := f.send(http.MethodGet, f.below("/cfd_tunnel"), "")
	r.result()
	return r
}

func TestPastTheQuotaEverythingIsRefusedForAWholeWindow(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithQuota(3, 5*time.Minute), tunneltest.WithClock(c.Now))
	for range 3 {
		f.admitted()
		c.advance(time.Second)
	}
	c.advance(7 * time.Second) // ten seconds after noon
	f.refusedFor(300)
	c.advance(100 * time.Second)
	f.refusedFor(200)
	c.advance(195 * time.Second)
	f.refusedFor(5) // the three of the beginning are more than a window old
	c.advance(4500 * time.Millisecond)
	f.refusedFor(1) // rounded up, so that who waits so long has waited long enough
	c.advance(500*time.Millisecond - time.Nanosecond)
	f.refusedFor(1)
	c.advance(time.Nanosecond)
	for range 3 {
		f.admitted()
	}
	f.refusedFor(300)
}

func TestARefusalIsOfEveryOperation(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithQuota(1, time.Hour))
	f.admitted()
	for _, r := range []struct{ method, path string }{
		{http.MethodPost, f.below("/cfd_tunnel")}, {http.MethodGet, f.below("/tunnels")}, {http.MethodDelete, f.below("/cfd_tunnel/" + nobody)},
		{http.MethodGet, "/zones"}, {http.MethodGet, "/accounts/ffffffffffffffffffffffffffffffff/cfd_tunnel"},
	} {
		assert.Equal(t, http.StatusTooManyRequests, f.send(r.method, r.path, `{"name":"web"}`).status, "%s %s", r.method, r.path)
	}
}

// No window of any place holds more than the quota: requests late in one fixed window and early in the next count together.
func TestTheWindowSlides(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithQuota(2, 5*time.Minute), tunneltest.WithClock(c.Now))
	f.admitted()
	c.advance(200 * time.Second)
	f.admitted()
	c.advance(100 * time.Second)
	f.admitted() // the first is a window old
	c.advance(199 * time.Second)
	f.refusedFor(300)
}

func TestRequestsAtThePaceOfTheQuotaAreNeverRefused(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithQuota(4, time.Minute), tunneltest.WithClock(c.Now))
	for range 20 {
		f.admitted()
		c.advance(15 * time.Second)
	}
}

func TestWithoutAQuotaNothingIsRefused(t *testing.T) {
	t.Parallel()
	for _, opts := range [][]tunneltest.Option{nil, {tunneltest.WithQuota(0, time.Minute)}} {
		f := start(t, append(opts, tunneltest.WithClock(func() time.Time { return noon }))...)
		for range 5 {
			f.admitted()
		}
	}
}

func TestHeadersOfTheQuota(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithQuota(3, 5*time.Minute), tunneltest.WithClock(c.Now))
	for _, ratelimit := range []string{`"default";r=2;t=300`, `"default";r=1;t=200`, `"default";r=0;t=100`} {
		r := f.admitted()
		assert.Equal(t, `"default";q=3;w=300`, r.header.Get("Ratelimit-Policy"))
		assert.Equal(t, ratelimit, r.header.Get("Ratelimit"))
		assert.Empty(t, r.header.Get("Retry-After"))
		c.advance(100 * time.Second)
	}
	// By now the first is a window old.
	assert.Equal(t, `"default";r=0;t=100`, f.admitted().header.Get("Ratelimit"))
	refused := f.send(http.MethodGet, f.below("/cfd_tunnel"), "")
	assert.Equal(t, http.StatusTooManyRequests, refused.status)
	assert.Equal(t, `"default";q=3;w=300`, refused.header.Get("Ratelimit-Policy"))
	assert.Regexp(t, `^"default";r=\d+;t=\d+$`, refused.header.Get("Ratelimit"))
}

func TestFailuresCarryTheHeadersOfTheQuotaToo(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithQuota(10, time.Minute))
	f.Inject(tunneltest.Fault{Status: 503})
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusNotFound} {
		r := f.send(http.MethodGet, f.below("/cfd_tunnel/"+nobody), "")
		assert.Equal(t, status, r.status)
		assert.Equal(t, `"default";q=10;w=60`, r.header.Get("Ratelimit-Policy"))
	}
}

func TestFractionsOfASecondAreRoundedUp(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithQuota(1, 1500*time.Millisecond), tunneltest.WithClock(func() time.Time { return noon }))
	assert.Equal(t, `"default";q=1;w=2`, f.admitted().header.Get("Ratelimit-Policy"))
	f.refusedFor(2)
}

// What fails counts like what succeeds.
func TestFailuresCountAgainstTheQuota(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithQuota(3, time.Hour), tunneltest.WithClock(func() time.Time { return noon }))
	f.Inject(tunneltest.Fault{Status: 503})
	f.Inject(tunneltest.Fault{Cut: tunneltest.CutAfter})
	_ = f.send(http.MethodGet, f.below("/cfd_tunnel"), "")
	_, err := f.try(http.MethodGet, f.below("/cfd_tunnel"), "")
	require.Error(t, err)
	f.send(http.MethodGet, "/ips", "").fails(http.StatusNotFound, 7000)
	f.refusedFor(3600)
}

func TestConcurrentRequestsNeverExceedTheQuota(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithQuota(5, time.Hour))
	var admitted atomic.Int32
	var group sync.WaitGroup
	for range 12 {
		group.Go(func() {
			r, err := f.try(http.MethodGet, f.below("/cfd_tunnel"), "")
			if assert.NoError(t, err) && r.status == http.StatusOK {
				admitted.Add(1)
			}
		})
	}
	group.Wait()
	assert.EqualValues(t, 5, admitted.Load())
}

func TestTheClientWaitsForTheEndOfARefusal(t *testing.T) {
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
		_, err = f.client(cftunnel.WithRetry(cftunnel.RetryPolicy{})).Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
		require.NoError(t, err)
		assert.Equal(t, 10*time.Second, time.Since(began))
	})
}

func TestRatelimitHeaderTellsOfARefusal(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithQuota(1, time.Hour))
	f.send(http.MethodGet, f.below("/cfd_tunnel"), "")
	assert.Equal(t, `"default";r=0;t=3600`, f.send(http.MethodGet, f.below("/cfd_tunnel"), "").header.Get("Ratelimit"))
}
