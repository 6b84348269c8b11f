package cftunnel_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func TestRateLimit_SharedAcrossAccounts(t *testing.T) {
	t.Parallel()
	const quota, window = 1200, 5 * time.Minute
	inBubble(t, func(t *testing.T, h *harness) {
		parent := h.newClient()
		clients := []*cftunnel.Client{parent}
		for _, digit := range "abcd" {
			child, err := parent.ForAccount(strings.Repeat(string(digit), 32))
			require.NoError(t, err)
			clients = append(clients, child)
		}
		const calls = 10_000
		work := make(chan int)
		var group sync.WaitGroup
		for worker := range 64 {
			group.Go(func() {
				for range work {
					assert.NoError(t, list(t.Context(), clients[worker%len(clients)]))
				}
			})
		}
		began := time.Now()
		for i := range calls {
			work <- i
		}
		close(work)
		group.Wait()
		took := time.Since(began)

		requests := h.srv.Requests()
		require.Len(t, requests, calls)
		for i := range requests {
			assert.Equal(t, 200, requests[i].Status)
			if i >= quota {
				assert.Greater(t, requests[i].Time.Sub(requests[i-quota].Time), window)
			}
		}
		assert.Greater(t, calls/took.Minutes(), 0.88*quota/window.Minutes(),
			"most of the quota is used")
	}, tunneltest.WithQuota(quota, window))
}

func TestRateLimit_Retries(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client := h.newClient(cftunnel.WithRateLimit(10, 10*time.Second), quick)
		h.srv.Inject(tunneltest.Fault{Status: 500, Times: tunneltest.Always})
		for range 10 {
			require.ErrorIs(t, list(t.Context(), client), cftunnel.ErrServer)
		}
		requests := h.srv.Requests()
		require.Len(t, requests, 40)
		for i := 10; i < len(requests); i++ {
			assert.Greater(t, requests[i].Time.Sub(requests[i-10].Time), 10*time.Second)
		}
	})
}

func TestRateLimit_WaitBeyondDeadline(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client := h.newClient(cftunnel.WithRateLimit(1, time.Minute))
		require.NoError(t, list(t.Context(), client))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		err := list(ctx, client)
		assert.Zero(t, time.Since(began))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		failure, ok := errors.AsType[*cftunnel.Error](err)
		require.True(t, ok)
		assert.Zero(t, failure.Attempts)
		assert.NotErrorIs(t, err, cftunnel.ErrRateLimited, "no request was refused")
		assert.Len(t, h.srv.Requests(), 1)
	})
}

func TestRateLimit_CancelledWaiters(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		// The burst is one request; the next one is sent about 1.1 s later.
		client := h.newClient(cftunnel.WithRateLimit(10, 10*time.Second))
		require.NoError(t, list(t.Context(), client))
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() { assert.ErrorIs(t, list(ctx, client), context.Canceled) })
		}
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		cancel()
		group.Wait()
		require.NoError(t, list(t.Context(), client))
		requests := h.srv.Requests()
		require.Len(t, requests, 2, "a cancelled call sends nothing")
		assert.Less(t, requests[1].Time.Sub(requests[0].Time), 1200*time.Millisecond)
	})
}

func TestHold_TooLong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		retryAfter string
		deadline   time.Duration
	}{
		"beyond the deadline":          {"10", 3 * time.Second},
		"beyond MaxDelay":              {"300", time.Hour},
		"beyond both":                  {"300", 3 * time.Second},
		"beyond MaxDelay, as a date":   {"Sat, 01 Jan 2000 00:05:00 GMT", time.Hour}, // synctest's clock starts in 2000
		"beyond the range of an int64": {"99999999999999999999", time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, h *harness) {
				parent := h.newClient()
				child, err := parent.ForAccount(strings.Repeat("a", 32))
				require.NoError(t, err)
				h.srv.Inject(tunneltest.Fault{
					Status: 429, Header: http.Header{"Retry-After": {test.retryAfter}},
					Body: refusalBody(10429),
				})
				ctx, cancel := context.WithTimeout(t.Context(), test.deadline)
				defer cancel()
				began := time.Now()

				err = list(ctx, parent)
				require.ErrorIs(t, err, cftunnel.ErrRateLimited)
				assert.True(t, cftunnel.HasCode(err, 10429))
				failure, ok := errors.AsType[*cftunnel.Error](err)
				require.True(t, ok)
				assert.Equal(t, 429, failure.StatusCode)
				assert.Equal(t, 1, failure.Attempts)
				assert.GreaterOrEqual(t, failure.RetryAfter, 10*time.Second)

				for _, client := range []*cftunnel.Client{parent, child} {
					_, err = client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "n"})
					require.ErrorIs(t, err, cftunnel.ErrRateLimited)
					require.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
					failure, ok = errors.AsType[*cftunnel.Error](err)
					require.True(t, ok)
					assert.Zero(t, failure.Attempts)
					assert.GreaterOrEqual(t, failure.RetryAfter, 10*time.Second)
				}
				assert.Zero(t, time.Since(began))
				assert.Len(t, h.srv.Requests(), 1)
			})
		})
	}
}

func TestHold_Short(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]cftunnel.Option{
		"rate limit":      cftunnel.WithRateLimit(1200, 5*time.Minute),
		"no rate limit":   cftunnel.WithoutRateLimit(),
		"another limiter": cftunnel.WithLimiter(rate.NewLimiter(rate.Inf, 1)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, h *harness) {
				parent := h.newClient(opt)
				child, err := parent.ForAccount(strings.Repeat("a", 32))
				require.NoError(t, err)
				h.srv.Inject(tunneltest.Fault{
					Status: 429, Header: http.Header{"Retry-After": {"7"}},
				})
				began := time.Now()
				var group sync.WaitGroup
				group.Go(func() { assert.NoError(t, list(t.Context(), parent)) })
				synctest.Wait()
				for range 3 {
					group.Go(func() { assert.NoError(t, list(t.Context(), child)) })
				}
				group.Wait()
				for _, request := range h.srv.Requests()[1:] {
					assert.GreaterOrEqual(t, request.Time.Sub(began), 7*time.Second)
				}
				assert.Less(t, time.Since(began), 10*time.Second)
			})
		})
	}
}

func TestHold_PacedAfterEnd(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client := h.newClient()
		h.srv.Inject(tunneltest.Fault{Status: 429, Header: http.Header{"Retry-After": {"20"}}})
		var group sync.WaitGroup
		group.Go(func() { assert.NoError(t, list(t.Context(), client)) })
		synctest.Wait()
		for range 50 {
			group.Go(func() { assert.NoError(t, list(t.Context(), client)) })
		}
		group.Wait()
		requests := h.srv.Requests()[1:]
		require.Len(t, requests, 51)
		for i := 1; i < len(requests); i++ {
			assert.Greater(t, requests[i].Time.Sub(requests[i-1].Time), 200*time.Millisecond)
		}
	})
}

func TestHold_NoRetryAfter(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client := h.newClient()
		h.srv.Inject(tunneltest.Fault{Operation: opCreate, Status: 429})
		tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
		require.NoError(t, err)
		assert.Equal(t, "n", tunnel.Name)
		assert.Len(t, h.srv.Requests(), 2)
		assert.Equal(t, 1, h.carriedOut(opCreate))
	})
}

func TestWithLimiter_WaitsAndHolds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		limiter := &countingLimiter{}
		client := h.newClient(cftunnel.WithLimiter(limiter))
		h.srv.Inject(tunneltest.Fault{Status: 500})
		h.srv.Inject(tunneltest.Fault{Status: 429, Header: http.Header{"Retry-After": {"1"}}})
		require.NoError(t, list(t.Context(), client))
		assert.EqualValues(t, 3, limiter.waits.Load())
		assert.EqualValues(t, 1, limiter.holds.Load())
	})
}

type brokenLimiter struct{ err error }

func (l brokenLimiter) Wait(context.Context) error { return l.err }

func TestWithLimiter_Errors(t *testing.T) {
	t.Parallel()
	t.Run("limiter fails", func(t *testing.T) {
		t.Parallel()
		broken := errors.New("redis is down")
		srv, client := newFake(t, cftunnel.WithLimiter(brokenLimiter{broken}))
		err := list(t.Context(), client)
		require.ErrorIs(t, err, broken)
		assert.NotErrorIs(t, err, context.DeadlineExceeded)
		assert.Empty(t, srv.Requests())
	})
	t.Run("x/time/rate refuses to wait", func(t *testing.T) {
		t.Parallel()
		srv, client := newFake(t, cftunnel.WithLimiter(rate.NewLimiter(rate.Every(time.Hour), 1)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, list(ctx, client))
		require.ErrorIs(t, list(ctx, client), context.DeadlineExceeded)
		assert.Len(t, srv.Requests(), 1)
	})
}

func TestHold_DuringPauseOfAnotherCall(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		policy := cftunnel.RetryPolicy{BaseDelay: 10 * time.Second, MaxDelay: 10 * time.Second}
		client := h.newClient(cftunnel.WithRetry(policy))
		h.srv.Inject(tunneltest.Fault{Status: 503})
		h.srv.Inject(tunneltest.Fault{Status: 429, Header: http.Header{"Retry-After": {"300"}}})
		var first error
		var group sync.WaitGroup
		group.Go(func() { first = list(t.Context(), client) })
		synctest.Wait()
		require.ErrorIs(t, list(t.Context(), client), cftunnel.ErrRateLimited)
		group.Wait()
		require.ErrorIs(t, first, cftunnel.ErrRateLimited)
		require.ErrorIs(t, first, cftunnel.ErrServer)
		failure, ok := errors.AsType[*cftunnel.Error](first)
		require.True(t, ok)
		assert.Greater(t, failure.RetryAfter, 4*time.Minute)
	})
}

func TestRateLimit_SlowTokenSource(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		ready := make(chan struct{})
		source := func(context.Context) (cftunnel.Secret, error) {
			<-ready
			return h.srv.APIToken(), nil
		}
		limit := cftunnel.WithRateLimit(100, 10*time.Second)
		client := h.newClient(limit, cftunnel.WithTokenSource(source))
		var group sync.WaitGroup
		for range 180 {
			group.Go(func() { assert.NoError(t, list(t.Context(), client)) })
		}
		time.Sleep(10 * time.Second)
		close(ready)
		group.Wait()
		requests := h.srv.Requests()
		for i := 100; i < len(requests); i++ {
			assert.Greater(t, requests[i].Time.Sub(requests[i-100].Time), 10*time.Second)
		}
	})
}

func TestWithLimiter_EmbedsRateLimiter(t *testing.T) {
	t.Parallel()
	limiter := struct{ *rate.Limiter }{rate.NewLimiter(rate.Every(time.Hour), 1)}
	_, client := newFake(t, cftunnel.WithLimiter(limiter))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, list(ctx, client))
	require.ErrorIs(t, list(ctx, client), context.DeadlineExceeded)
}

// limiterFunc is a function as a Limiter. It has a Burst method like the limiters of x/time/rate.
type limiterFunc func(context.Context) error

func (f limiterFunc) Wait(ctx context.Context) error { return f(ctx) }
func (f limiterFunc) Burst() int                     { return 1 }

func TestHold_BeginsWhileLimiterWaits(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client := h.newClient(cftunnel.WithLimiter(limiterFunc(func(context.Context) error {
			time.Sleep(5 * time.Second)
			return nil
		})))
		h.srv.Inject(tunneltest.Fault{Status: 429, Header: http.Header{"Retry-After": {"20"}}})
		began := time.Now()
		var group sync.WaitGroup
		group.Go(func() { assert.NoError(t, list(t.Context(), client)) })
		time.Sleep(time.Second)
		group.Go(func() { assert.NoError(t, list(t.Context(), client)) })
		group.Wait()
		requests := h.srv.Requests()
		require.Len(t, requests, 3)
		for _, request := range requests[1:] {
			assert.GreaterOrEqual(t, request.Time.Sub(began), 25*time.Second)
		}
	})
}

func TestWithLimiter_ErrorsWithoutDeadline(t *testing.T) {
	t.Parallel()
	broken := errors.New("redis is down")
	deadline, stop := context.WithTimeout(t.Context(), time.Hour)
	t.Cleanup(stop)
	for name, test := range map[string]struct {
		ctx     context.Context
		limiter cftunnel.Limiter
	}{
		"burst of 0":  {deadline, rate.NewLimiter(1, 0)},
		"no deadline": {t.Context(), limiterFunc(func(context.Context) error { return broken })},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, client := newFake(t, cftunnel.WithLimiter(test.limiter))
			err := list(test.ctx, client)
			require.Error(t, err)
			require.NotErrorIs(t, err, context.DeadlineExceeded)
			assert.Empty(t, srv.Requests())
		})
	}
	t.Run("cancelled context", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		_, client := newFake(t, cftunnel.WithLimiter(limiterFunc(func(context.Context) error {
			cancel()
			return broken
		})))
		err := list(ctx, client)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, broken)
		require.NotErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestHold_TooLongWithoutRateLimit(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client := h.newClient(cftunnel.WithoutRateLimit())
		h.srv.Inject(tunneltest.Fault{Status: 429, Header: http.Header{"Retry-After": {"31"}}})
		began := time.Now()
		require.ErrorIs(t, list(t.Context(), client), cftunnel.ErrRateLimited)
		require.ErrorIs(t, list(t.Context(), client), cftunnel.ErrRateLimited)
		assert.Zero(t, time.Since(began))
		assert.Len(t, h.srv.Requests(), 1)
	})
}

func TestWithRateLimit_AfterWithoutRateLimit(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client := h.newClient(cftunnel.WithoutRateLimit(), cftunnel.WithRateLimit(1, time.Minute))
		began := time.Now()
		require.NoError(t, list(t.Context(), client))
		require.NoError(t, list(t.Context(), client))
		assert.GreaterOrEqual(t, time.Since(began), time.Minute)
	})
}
