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

// holdingLimiter is a caller's Limiter that has Hold. It never waits.
type holdingLimiter struct {
	mu    sync.Mutex
	until []time.Time
}

func (l *holdingLimiter) Wait(context.Context) error { return nil }

func (l *holdingLimiter) Hold(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = append(l.until, until)
}

// limiters are options for every kind of limiter. None of them delays the few requests of a test.
var limiters = map[string]func(t *testing.T) cftunnel.Option{
	"default quota": func(*testing.T) cftunnel.Option { return cftunnel.WithRateLimit(1200, 5*time.Minute) },
	"no rate limit": func(*testing.T) cftunnel.Option { return cftunnel.WithoutRateLimit() },
	"x/time/rate": func(*testing.T) cftunnel.Option {
		return cftunnel.WithLimiter(rate.NewLimiter(rate.Inf, 1))
	},
	"with Hold": func(*testing.T) cftunnel.Option { return cftunnel.WithLimiter(&holdingLimiter{}) },
	"without Hold": func(*testing.T) cftunnel.Option {
		return cftunnel.WithLimiter(limiterFunc(func(context.Context) error { return nil }))
	},
	"shared": func(t *testing.T) cftunnel.Option {
		limiter, err := cftunnel.NewLimiter(1200, 5*time.Minute)
		require.NoError(t, err)
		return cftunnel.WithLimiter(limiter)
	},
	"shared, embedded in a caller's limiter": func(t *testing.T) cftunnel.Option {
		limiter, err := cftunnel.NewLimiter(1200, 5*time.Minute)
		require.NoError(t, err)
		return cftunnel.WithLimiter(struct{ *cftunnel.QuotaLimiter }{limiter})
	},
}

// A 429 without Retry-After delays all clients that share the limiter. Each further 429 delays them
// longer.
func TestHold_WithoutRetryAfter(t *testing.T) {
	t.Parallel()
	for name, limiter := range limiters {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, h *harness) {
				parent := h.newClient(limiter(t))
				child, err := parent.ForAccount(strings.Repeat("a", 32))
				require.NoError(t, err)
				h.srv.Inject(tunneltest.Fault{Status: 429, Times: 3})
				began := time.Now()
				var group sync.WaitGroup
				ctx, maxAttempts := t.Context(), cftunnel.MaxAttempts(10)
				group.Go(func() { assert.NoError(t, list(ctx, parent, maxAttempts)) })
				synctest.Wait()
				group.Go(func() { assert.NoError(t, list(ctx, child, maxAttempts)) })
				group.Wait()
				var times []time.Duration
				for _, r := range h.srv.Requests() {
					times = append(times, r.Time.Sub(began).Truncate(time.Second))
				}
				require.GreaterOrEqual(t, len(times), 4)
				assert.Zero(t, times[0])
				assert.Equal(t, 5*time.Second, times[1], "the hold ends")
				for _, at := range times[2:] {
					assert.GreaterOrEqual(t, at, 5*time.Second)
				}
				assert.GreaterOrEqual(t, times[len(times)-1], 15*time.Second,
					"the second hold is longer")
			})
		})
	}
}

// Holds without Retry-After double until the server sends a response other than 429.
func TestHold_DoublesUntilAnotherResponse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		policy cftunnel.RetryPolicy
		faults []tunneltest.Fault
		want   []time.Duration // between the requests
	}{
		"doubled": {
			cftunnel.RetryPolicy{MaxAttempts: 5, MaxDelay: time.Hour},
			[]tunneltest.Fault{{Status: 429, Times: 4}},
			[]time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second},
		},
		"at most MaxDelay": {
			cftunnel.RetryPolicy{MaxAttempts: 6, MaxDelay: 12 * time.Second},
			[]tunneltest.Fault{{Status: 429, Times: 5}},
			[]time.Duration{5 * time.Second, 10 * time.Second, 12 * time.Second, 12 * time.Second, 12 * time.Second},
		},
		"short MaxDelay": {
			cftunnel.RetryPolicy{MaxDelay: time.Second},
			[]tunneltest.Fault{{Status: 429, Times: 3}},
			[]time.Duration{time.Second, time.Second, time.Second},
		},
		"reset by another response": {
			cftunnel.RetryPolicy{MaxAttempts: 6, BaseDelay: 1, MaxDelay: time.Hour},
			[]tunneltest.Fault{{Status: 429, Times: 2}, {Status: 503}, {Status: 429, Times: 2}},
			[]time.Duration{5 * time.Second, 10 * time.Second, 0, 5 * time.Second, 10 * time.Second},
		},
		"not reset by a lost connection": {
			cftunnel.RetryPolicy{MaxAttempts: 4, BaseDelay: 1, MaxDelay: time.Hour},
			[]tunneltest.Fault{{Status: 429}, {Cut: tunneltest.CutBefore}, {Status: 429}},
			[]time.Duration{5 * time.Second, 0, 10 * time.Second},
		},
		"unreadable Retry-After": {
			cftunnel.RetryPolicy{},
			[]tunneltest.Fault{{Status: 429, Header: http.Header{"Retry-After": {"soon"}}}},
			[]time.Duration{5 * time.Second},
		},
		"with Retry-After": {
			cftunnel.RetryPolicy{},
			[]tunneltest.Fault{{Status: 429, Header: http.Header{"Retry-After": {"2"}}, Times: 2}, {Status: 429}},
			[]time.Duration{2 * time.Second, 2 * time.Second, 5 * time.Second},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, h *harness) {
				client := h.newClient(cftunnel.WithRetry(test.policy), cftunnel.WithoutRateLimit())
				for _, fault := range test.faults {
					h.srv.Inject(fault)
				}
				require.NoError(t, list(t.Context(), client))
				requests := h.srv.Requests()
				require.Len(t, requests, len(test.want)+1)
				for i, want := range test.want {
					pause := requests[i+1].Time.Sub(requests[i].Time)
					assert.Equal(t, want, pause.Truncate(time.Millisecond), "pause %d", i)
				}
			})
		})
	}
}

// Clients that share a quota share its holds.
func TestQuotaLimiter_SharesHolds(t *testing.T) {
	t.Parallel()
	newClients := func(
		t *testing.T, h *harness,
	) (limiter *cftunnel.QuotaLimiter, one, other *cftunnel.Client) {
		limiter, err := cftunnel.NewLimiter(1200, 5*time.Minute)
		require.NoError(t, err)
		opt := cftunnel.WithLimiter(limiter)
		return limiter, h.newClient(opt), h.newClient(opt)
	}
	t.Run("of a 429", func(t *testing.T) {
		t.Parallel()
		for name, header := range map[string]http.Header{
			"without Retry-After": nil, "with Retry-After": {"Retry-After": {"5"}},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, h *harness) {
					_, one, other := newClients(t, h)
					h.srv.Inject(tunneltest.Fault{Status: 429, Header: header})
					err := list(t.Context(), one, cftunnel.MaxAttempts(1))
					require.ErrorIs(t, err, cftunnel.ErrRateLimited)
					began := time.Now()
					require.NoError(t, list(t.Context(), other))
					assert.Equal(t, 5*time.Second, time.Since(began))
				})
			})
		}
	})
	t.Run("of the caller", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, h *harness) {
			limiter, one, other := newClients(t, h)
			began := time.Now()
			limiter.Hold(began.Add(20 * time.Second))
			require.NoError(t, list(t.Context(), one))
			assert.Equal(t, 20*time.Second, time.Since(began))

			limiter.Hold(time.Now().Add(time.Minute)) // beyond MaxDelay
			began = time.Now()
			for _, client := range []*cftunnel.Client{one, other} {
				err := list(t.Context(), client)
				assertHeld(t, err, time.Minute)
			}
			require.NoError(t, limiter.Wait(t.Context()),
				"MaxDelay does not limit QuotaLimiter.Wait")
			assert.Equal(t, time.Minute, time.Since(began))
			assert.Len(t, h.srv.Requests(), 1)
		})
	})
	t.Run("beyond the deadline", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, h *harness) {
			limiter, one, _ := newClients(t, h)
			limiter.Hold(time.Now().Add(10 * time.Second))
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			began := time.Now()
			assertHeld(t, list(ctx, one), 10*time.Second)
			assert.Zero(t, time.Since(began))
		})
	})
}

// assertHeld checks the error of a call that was not sent because of a hold. rest is the rest of
// the hold.
func assertHeld(t *testing.T, err error, rest time.Duration) {
	t.Helper()
	require.ErrorIs(t, err, cftunnel.ErrRateLimited)
	failure, ok := errors.AsType[*cftunnel.Error](err)
	require.True(t, ok)
	assert.Zero(t, failure.Attempts)
	assert.Equal(t, rest, failure.RetryAfter)
}

// The client calls Hold of a Limiter for each 429.
func TestWithLimiter_ReceivesHolds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		limiter := &holdingLimiter{}
		client := h.newClient(cftunnel.WithLimiter(limiter))
		began := time.Now()
		h.srv.Inject(tunneltest.Fault{Status: 429})
		h.srv.Inject(tunneltest.Fault{Status: 429, Header: http.Header{"Retry-After": {"3"}}})
		require.NoError(t, list(t.Context(), client))
		assert.Equal(t, []time.Time{began.Add(5 * time.Second), began.Add(8 * time.Second)}, limiter.until)
	})
}

// If the wait for the rate limit exceeds the deadline, the error has the wait in RetryAfter.
func TestRateLimit_ErrorHasRetryAfter(t *testing.T) {
	t.Parallel()
	shared := func(t *testing.T) cftunnel.Option {
		limiter, err := cftunnel.NewLimiter(1, time.Minute)
		require.NoError(t, err)
		return cftunnel.WithLimiter(limiter)
	}
	for name, opt := range map[string]func(*testing.T) cftunnel.Option{
		"own":    func(*testing.T) cftunnel.Option { return cftunnel.WithRateLimit(1, time.Minute) },
		"shared": shared,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, h *harness) {
				client := h.newClient(opt(t))
				require.NoError(t, list(t.Context(), client))
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				_, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "n"})
				require.ErrorIs(t, err, context.DeadlineExceeded)
				assert.NotErrorIs(t, err, cftunnel.ErrRateLimited)
				assert.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
				failure, ok := errors.AsType[*cftunnel.Error](err)
				require.True(t, ok)
				assert.Zero(t, failure.Attempts)
				assert.InDelta(t, time.Minute, failure.RetryAfter, float64(time.Second))
				assert.Len(t, h.srv.Requests(), 1)
			})
		})
	}
}

// If the wait before a retry exceeds the deadline, the error keeps that of the first attempt.
func TestRateLimit_RetryBeyondDeadline(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client := h.newClient(cftunnel.WithRateLimit(1, time.Minute))
		tunnel := h.srv.SeedTunnels(1)[0]
		h.srv.Inject(tunneltest.Fault{Status: 503, Work: true})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := client.Tunnels.Update(ctx, tunnel.ID, cftunnel.TunnelUpdateParams{Name: "n"})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, cftunnel.ErrServer)
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		failure, ok := errors.AsType[*cftunnel.Error](err)
		require.True(t, ok)
		assert.Equal(t, 503, failure.StatusCode)
		assert.Equal(t, 1, failure.Attempts)
		assert.Greater(t, failure.RetryAfter, 50*time.Second)
	})
}

// failingRateLimiter is a limiter of x/time/rate whose Wait fails with err.
type failingRateLimiter struct {
	*rate.Limiter
	err error
}

func (l failingRateLimiter) Wait(context.Context) error { return l.err }

func TestWithLimiter_OwnErrorIsNotDeadline(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"redis is down", "rate: Wait(n=1) exceeds limiter's burst 0", "would exceed context deadline",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			limiter := failingRateLimiter{rate.NewLimiter(1, 1), errors.New(text)}
			srv, client := newFake(t, cftunnel.WithLimiter(limiter))
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			err := list(ctx, client)
			require.ErrorContains(t, err, text)
			assert.NotErrorIs(t, err, context.DeadlineExceeded)
			assert.NotErrorIs(t, err, cftunnel.ErrRateLimited)
			assert.Empty(t, srv.Requests())
		})
	}
}
