package tunneltest_test

import (
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// The bubble ends only if all its goroutines have ended, so this also tests that Close ends them.
func TestInMemory_Synctest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := tunneltest.NewServer(tunneltest.InMemory(), tunneltest.WithQuota(2, time.Hour))
		defer srv.Close()
		client, err := srv.NewClient(cftunnel.WithLimiter(noLimit{}),
			cftunnel.WithTimeout(time.Hour),
			cftunnel.WithRetry(cftunnel.RetryPolicy{MaxDelay: 2 * time.Hour}))
		require.NoError(t, err)
		began := time.Now()
		for range 3 {
			_, err := client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
			require.NoError(t, err)
		}
		assert.Equal(t, time.Hour, time.Since(began))

		srv.Inject(tunneltest.Fault{Delay: time.Minute})
		began = time.Now()
		_, err = client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
		require.NoError(t, err)
		assert.Equal(t, time.Minute, time.Since(began))
	})
}

// noLimit is a limiter that never waits.
type noLimit struct{}

func (noLimit) Wait(ctx context.Context) error { return ctx.Err() }

func TestInMemory_ConcurrentRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := tunneltest.NewServer(tunneltest.InMemory(), tunneltest.WithLatency(time.Second))
		defer srv.Close()
		client, err := srv.NewClient()
		require.NoError(t, err)
		began := time.Now()
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() {
				_, err := client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
				assert.NoError(t, err)
			})
		}
		group.Wait()
		assert.Equal(t, time.Second, time.Since(began))
		for _, r := range srv.Requests() {
			assert.Equal(t, http.StatusOK, r.Status)
		}
	})
}

func TestInMemory_Close(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := tunneltest.NewServer(tunneltest.InMemory())
		client, err := srv.NewClient(cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 1}))
		require.NoError(t, err)
		srv.Inject(tunneltest.Fault{Delay: 1000 * time.Hour})
		ended := make(chan error)
		go func() {
			_, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "web"})
			ended <- err
		}()
		synctest.Wait()
		srv.Close()
		require.ErrorIs(t, <-ended, cftunnel.ErrOutcomeUnknown, "the request in flight")

		_, err = client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "web"})
		require.Error(t, err)
		require.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown, "no connection was made")
		assert.Len(t, srv.Requests(), 1)
	})
}

func TestInMemory_Unused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tunneltest.NewServer(tunneltest.InMemory()).Close()
		closed := tunneltest.NewServer(tunneltest.InMemory())
		closed.Close()
		_, err := closed.HTTPClient().Get(closed.URL())
		require.ErrorContains(t, err, "closed")
	})
}

func TestHTTPClient(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]tunneltest.Option{
		"in memory": {tunneltest.InMemory()}, "on a port": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := tunneltest.NewServer(opts...)
			defer srv.Close()
			path := "/accounts/" + srv.AccountID() + "/cfd_tunnel"
			url := srv.URL() + path
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
			require.NoError(t, err)
			request.Header.Set("Authorization", "Bearer "+srv.APIToken().Reveal())
			response, err := srv.HTTPClient().Do(request)
			require.NoError(t, err)
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			assert.Equal(t, http.StatusOK, response.StatusCode)
			assert.Contains(t, string(body), `"success":true`)
			assert.Equal(t, "/client/v4"+path, request.URL.Path)
			srv.HTTPClient().Timeout = time.Nanosecond
			assert.Zero(t, srv.HTTPClient().Timeout, "each call returns a new client")
		})
	}
}
