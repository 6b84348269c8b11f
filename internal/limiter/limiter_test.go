package limiter_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/limiter"
)

// Each test runs in a synctest bubble. Its clock stands still while a goroutine runs, so times are
// exact. The bubble ends only when no goroutine is left.

const maxHold = time.Hour

// waitTimes calls Wait n times, one after another, and returns the time of each release, counted
// from now.
func waitTimes(t *testing.T, l *limiter.Limiter, n int) []time.Duration {
	t.Helper()
	began := time.Now()
	times := make([]time.Duration, n)
	for i := range times {
		require.NoError(t, l.Wait(t.Context()))
		times[i] = time.Since(began)
	}
	return times
}

// caller calls Wait in its own goroutine.
type caller struct {
	began time.Time
	done  chan struct{}
	// err and took are set when done is closed.
	err  error
	took time.Duration
}

// queue starts a caller. It returns when the caller blocks or has returned.
func queue(ctx context.Context, l *limiter.Limiter) *caller {
	c := &caller{began: time.Now(), done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.err = l.Wait(ctx)
		c.took = time.Since(c.began)
	}()
	synctest.Wait()
	return c
}

func (c *caller) result() (time.Duration, error) {
	<-c.done
	return c.took, c.err
}

func (c *caller) waits() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// atOnce runs f and asserts that no time passes.
func atOnce(t *testing.T, f func()) {
	t.Helper()
	began := time.Now()
	f()
	assert.Zero(t, time.Since(began), "time passed")
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// requireQuota requires that no window, including both ends, has more than the given number of
// times. The times must be sorted.
func requireQuota(t *testing.T, times []time.Time, requests int, window time.Duration) {
	t.Helper()
	for i := requests; i < len(times); i++ {
		if took := times[i].Sub(times[i-requests]); took <= window {
			require.Failf(t, "too many", "%d requests, from request %d on, within %s",
				requests+1, i-requests, took)
		}
	}
}

// recorder records the times of releases.
type recorder struct {
	mu    sync.Mutex
	times []time.Time
}

func (r *recorder) record() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times = append(r.times, time.Now())
}

func TestLimiter_NeverExceedsQuota(t *testing.T) {
	t.Parallel()
	cases := []struct {
		requests int
		window   time.Duration
	}{
		{1, time.Second}, {2, time.Second}, {3, 7 * time.Millisecond}, {9, time.Minute}, {10, time.Second}, {19, time.Second},
		{20, time.Second}, {21, time.Second}, {29, time.Hour}, {100, time.Minute}, {101, time.Second}, {1200, 5 * time.Minute},
	}
	for _, c := range cases {
		t.Run(fmt.Sprintf("%d in %s", c.requests, c.window), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := limiter.New(c.requests, c.window, maxHold)
				var seen recorder
				// Without a pause, and again after a pause in which the burst refills.
				for range 2 {
					var callers sync.WaitGroup
					for range 64 {
						callers.Go(func() {
							for range max(2, 2*c.requests/64) {
								assert.NoError(t, l.Wait(t.Context()))
								seen.record()
							}
						})
					}
					callers.Wait()
					time.Sleep(c.window / 2)
				}
				requireQuota(t, seen.times, c.requests, c.window)
			})
		})
	}
}

func TestLimiter_NeverExceedsQuotaWithCancelsAndHolds(t *testing.T) {
	t.Parallel()
	for _, requests := range []int{1, 2, 19, 20, 100} {
		t.Run(fmt.Sprint(requests), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const window = time.Minute
				l := limiter.New(requests, window, window)
				var seen recorder
				var callers sync.WaitGroup
				for n := range 64 {
					random := rand.New(rand.NewPCG(uint64(requests), uint64(n)))
					upTo := func(d time.Duration) time.Duration {
						return time.Duration(random.Int64N(int64(d)))
					}
					callers.Go(func() {
						for range 30 {
							ctx, cancel := context.WithTimeout(t.Context(), maxHold)
							switch random.IntN(4) {
							case 0:
								cancel()
								ctx, cancel = context.WithTimeout(t.Context(), upTo(window))
							case 1:
								time.AfterFunc(upTo(window/8), cancel)
							case 2:
								if n == 0 {
									l.Hold(time.Now().Add(upTo(window / 4)))
								}
							}
							if l.Wait(ctx) == nil {
								seen.record()
							} else {
								time.Sleep(upTo(window / 16))
							}
							cancel()
						}
					})
				}
				callers.Wait()
				require.Greater(t, len(seen.times), requests)
				requireQuota(t, seen.times, requests, window)
			})
		})
	}
}

func TestLimiter_BurstThenEvenRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		times := waitTimes(t, limiter.New(1200, 5*time.Minute, maxHold), 120+1068)
		for i, at := range times {
			if i < 120 {
				require.Zero(t, at, "request %d", i+1)
				continue
			}
			// The rate is 3.56 requests per second.
			want := time.Duration(float64(i-119) / 3.56 * float64(time.Second))
			require.InDelta(t, want, at, float64(time.Microsecond), "request %d", i+1)
		}
		assert.InDelta(t, 5*time.Minute, times[len(times)-1], float64(time.Second),
			"nearly the whole quota can be used")
	})
}

func TestLimiter_SmallQuota(t *testing.T) {
	t.Parallel()
	for _, requests := range []int{1, 2, 5, 19, 20} {
		t.Run(fmt.Sprint(requests), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const windows = 20
				times := waitTimes(t, limiter.New(requests, time.Minute, maxHold), windows*requests)
				assert.Less(t, times[len(times)-1], windows*time.Minute*115/100)
			})
		})
	}
}

func TestLimiter_BurstRefills(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter.New(100, time.Minute, maxHold)
		atOnce(t, func() { waitTimes(t, l, 10) })
		time.Sleep(time.Hour)
		atOnce(t, func() { waitTimes(t, l, 10) })
		assert.NotZero(t, waitTimes(t, l, 1)[0])
	})
}

func TestLimiter_Order(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter.New(5, 5*time.Second, maxHold)
		var mu sync.Mutex
		var order, want []int
		start := func(n int) {
			want = append(want, n)
			go func() {
				assert.NoError(t, l.Wait(t.Context()))
				mu.Lock()
				defer mu.Unlock()
				order = append(order, n)
			}()
			synctest.Wait()
		}
		for n := range 50 {
			start(n)
		}
		// A hold checks all waiters. It must not change their order.
		l.Hold(time.Now().Add(10 * time.Second))
		for n := range 50 {
			start(50 + n)
			time.Sleep(300 * time.Millisecond)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		assert.Equal(t, want, order)
	})
}

func TestLimiter_NewCallerDoesNotOvertakeQueue(t *testing.T) {
	t.Parallel()
	// The order in which the goroutines run is random.
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			l := limiter.New(1, 9900*time.Millisecond, maxHold)
			l.Hold(time.Now().Add(time.Minute))
			queued := queue(t.Context(), l)
			var late recorder
			var arrivals sync.WaitGroup
			for range 10 {
				arrivals.Go(func() {
					time.Sleep(time.Minute)
					assert.NoError(t, l.Wait(t.Context()))
					late.record()
				})
			}
			arrivals.Wait()
			took, err := queued.result()
			require.NoError(t, err)
			require.Equal(t, time.Minute, took)
			gap := late.times[0].Sub(queued.began.Add(took)).Round(time.Millisecond)
			require.Equal(t, 10*time.Second, gap)
		})
	}
}

func TestLimiter_CanceledCallersUseNoTokens(t *testing.T) {
	t.Parallel()
	for name, canceled := range map[string]int{"none": 0, "with the reservation": 1, "100": 100} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				// One request every 10 seconds.
				l := limiter.New(1, 9900*time.Millisecond, maxHold)
				waitTimes(t, l, 1)
				ctx, cancel := context.WithCancel(t.Context())
				callers := make([]*caller, canceled)
				for i := range callers {
					callers[i] = queue(ctx, l)
				}
				time.Sleep(4 * time.Second)
				cancel()
				for _, c := range callers {
					took, err := c.result()
					require.ErrorIs(t, err, context.Canceled)
					require.Equal(t, 4*time.Second, took)
				}
				assert.InDelta(t, 6*time.Second, waitTimes(t, l, 1)[0], float64(time.Microsecond))
				assert.InDelta(t, 10*time.Second, waitTimes(t, l, 1)[0], float64(time.Microsecond))
			})
		})
	}
}

func TestLimiter_CanceledCallersLeaveQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter.New(1, 9900*time.Millisecond, maxHold)
		waitTimes(t, l, 1)
		ctx, cancel := context.WithCancel(t.Context())
		for range 50 {
			queue(ctx, l)
		}
		behind := queue(t.Context(), l)
		for range 50 {
			queue(ctx, l)
		}
		last := queue(t.Context(), l)
		time.Sleep(4 * time.Second)
		cancel()

		took, err := behind.result()
		require.NoError(t, err)
		assert.InDelta(t, 10*time.Second, took, float64(time.Microsecond))
		took, err = last.result()
		require.NoError(t, err)
		assert.InDelta(t, 20*time.Second, took, float64(time.Microsecond))
	})
}

func TestLimiter_CanceledCallerReturnsAtOnce(t *testing.T) {
	t.Parallel()
	hold := func(l *limiter.Limiter) { l.Hold(time.Now().Add(time.Minute)) }
	for name, prepare := range map[string]func(*limiter.Limiter, context.Context){
		"first in the queue":          func(*limiter.Limiter, context.Context) {},
		"in the queue":                func(l *limiter.Limiter, ctx context.Context) { queue(ctx, l) },
		"during a hold":               func(l *limiter.Limiter, _ context.Context) { hold(l) },
		"in the queue, during a hold": func(l *limiter.Limiter, ctx context.Context) { hold(l); queue(ctx, l) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := limiter.New(1, time.Minute, maxHold)
				waitTimes(t, l, 1)
				prepare(l, t.Context())
				ctx, cancel := context.WithCancelCause(t.Context())
				c := queue(ctx, l)
				time.Sleep(time.Second)
				require.True(t, c.waits())
				cancel(errors.New("the caller's own reason"))
				took, err := c.result()
				require.ErrorIs(t, err, context.Canceled)
				assert.Equal(t, time.Second, took)
			})
		})
	}
}

func TestLimiter_EndedContextUsesNoToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter.New(1, time.Minute, maxHold)
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		atOnce(t, func() {
			require.ErrorIs(t, l.Wait(canceled), context.Canceled)
			late := within(t, -time.Second)
			require.ErrorIs(t, l.Wait(late), context.DeadlineExceeded) //nolint:contextcheck // another context
			waitTimes(t, l, 1)                                         //nolint:contextcheck // the test's context
		})
	})
}

func TestLimiter_DeadlineTooEarly(t *testing.T) {
	t.Parallel()
	// One request every 10 seconds: with n callers ahead, a caller waits for 10·(n+1) seconds.
	for _, ahead := range []int{0, 1, 2, 20} {
		t.Run(fmt.Sprintf("%d ahead", ahead), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := limiter.New(1, 9900*time.Millisecond, maxHold)
				waitTimes(t, l, 1)
				for range ahead {
					queue(t.Context(), l)
				}
				need := time.Duration(ahead+1) * 10 * time.Second

				for _, deadline := range []time.Duration{1, time.Second, need - time.Millisecond} {
					atOnce(t, func() {
						err := l.Wait(within(t, deadline))
						require.ErrorIs(t, err, context.DeadlineExceeded)
						var held *limiter.HeldError
						require.NotErrorAs(t, err, &held)
					})
				}
				// Rejected callers have no place in the queue.
				took, err := queue(within(t, need+time.Millisecond), l).result()
				require.NoError(t, err)
				assert.InDelta(t, need, took, float64(time.Microsecond))
			})
		})
	}
}

// A caller that arrives while the first waiter leaves the queue with its token must not count that
// waiter twice.
func TestLimiter_ServedCallerIsNotCountedTwice(t *testing.T) {
	t.Parallel()
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			l := limiter.New(1, 9900*time.Millisecond, maxHold)
			waitTimes(t, l, 1)
			front := queue(t.Context(), l)
			var others sync.WaitGroup
			for range 8 {
				others.Go(func() {
					ctx := within(t, 11*time.Second)
					time.Sleep(10 * time.Second)
					// These callers have one second left, so none of them joins the queue.
					for more := 50; more > 0; more-- {
						if front.waits() {
							more = 50
						}
						if !assert.ErrorContains(t, l.Wait(ctx), "in 10s") {
							return
						}
					}
				})
			}
			others.Wait()
			_, err := front.result()
			require.NoError(t, err)
		})
	}
}

func TestLimiter_DeadlineAfterPartOfTheWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter.New(1, 9900*time.Millisecond, maxHold)
		waitTimes(t, l, 1)
		queue(t.Context(), l)
		time.Sleep(9 * time.Second)
		// The caller ahead is released in 1 second, and this one 10 seconds later.
		atOnce(t, func() {
			early := within(t, 10900*time.Millisecond)
			require.ErrorIs(t, l.Wait(early), context.DeadlineExceeded)
		})
		took, err := queue(within(t, 11100*time.Millisecond), l).result()
		require.NoError(t, err)
		assert.InDelta(t, 11*time.Second, took, float64(time.Microsecond))
	})
}

func TestLimiter_HoldDelaysAllCallers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const rest = time.Minute
		l := limiter.New(10, 9900*time.Millisecond, maxHold)
		waitTimes(t, l, 1)
		reserved := queue(t.Context(), l)
		queued := queue(t.Context(), l)
		require.True(t, reserved.waits())

		l.Hold(time.Now().Add(rest))
		late := queue(t.Context(), l)
		time.Sleep(rest - 1)
		synctest.Wait()
		assert.True(t, reserved.waits(), "caller with a reservation")
		assert.True(t, queued.waits(), "caller in the queue")
		assert.True(t, late.waits(), "caller during the hold")

		for i, c := range []*caller{reserved, queued, late} {
			took, err := c.result()
			require.NoError(t, err)
			assert.InDelta(t, rest+time.Duration(i)*time.Second, took, float64(time.Microsecond))
		}
	})
}

func TestLimiter_HoldDelaysBurst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter.New(1200, 5*time.Minute, maxHold)
		l.Hold(time.Now().Add(time.Minute))
		assert.Equal(t, []time.Duration{time.Minute}, waitTimes(t, l, 1))
	})
}

func TestLimiter_NoBurstAfterHold(t *testing.T) {
	t.Parallel()
	for _, callers := range []int{3, 200} {
		t.Run(fmt.Sprintf("%d waiters", callers), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := limiter.New(1200, 5*time.Minute, maxHold)
				l.Hold(time.Now().Add(time.Minute))
				var waiting []*caller
				for range callers {
					waiting = append(waiting, queue(t.Context(), l))
				}
				for i, c := range waiting {
					took, err := c.result()
					require.NoError(t, err)
					want := time.Minute + time.Duration(float64(i)/3.56*float64(time.Second))
					require.InDelta(t, want, took, float64(time.Microsecond), "caller %d", i)
				}
			})
		})
	}
	t.Run("callers at the end of the hold", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l := limiter.New(1200, 5*time.Minute, maxHold)
			l.Hold(time.Now().Add(time.Minute))
			time.Sleep(time.Minute)
			times := waitTimes(t, l, 50)
			assert.Zero(t, times[0])
			assert.InDelta(t, 49/3.56, times[49].Seconds(), 0.001)
		})
	})
	t.Run("callers long after the hold", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l := limiter.New(1200, 5*time.Minute, maxHold)
			l.Hold(time.Now().Add(time.Minute))
			waitTimes(t, l, 1)
			time.Sleep(5 * time.Minute)
			atOnce(t, func() { waitTimes(t, l, 120) })
		})
	})
}

// The number of tokens gathered during a hold is usually not whole.
func TestLimiter_OneCallerAtEndOfHold(t *testing.T) {
	t.Parallel()
	for _, gathered := range []float64{1, 1.01, 1.5, 1.99, 2, 2.99, 10.99, 119.99, 500} {
		t.Run(fmt.Sprint(gathered), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := limiter.New(1200, 5*time.Minute, maxHold)
				waitTimes(t, l, 120)
				rest := time.Duration(gathered / 3.56 * float64(time.Second))
				l.Hold(time.Now().Add(rest))
				for i, at := range waitTimes(t, l, 4) {
					require.InDelta(t, rest.Seconds()+float64(i)/3.56, at.Seconds(), 1e-6,
						"request %d", i+1)
				}
			})
		})
	}
}

func TestLimiter_HoldInThePast(t *testing.T) {
	t.Parallel()
	for name, ago := range map[string]time.Duration{"now": 0, "a moment ago": 1, "an hour ago": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := limiter.New(100, time.Minute, maxHold)
				l.Hold(time.Now().Add(-ago))
				assert.Zero(t, l.Held())
				atOnce(t, func() { waitTimes(t, l, 10) })
				waiting := queue(t.Context(), l)
				l.Hold(time.Now().Add(-ago))
				took, err := waiting.result()
				require.NoError(t, err)
				assert.InDelta(t, 1/1.483, took.Seconds(), 0.001)
			})
		})
	}
}

func TestLimiter_HoldRejectsNewCaller(t *testing.T) {
	t.Parallel()
	const maxHold = 30 * time.Second
	cases := []struct {
		name       string
		hold, left time.Duration // left is the time until the context's deadline, 0 for none
		rejected   bool
	}{
		{"as long as maxHold", maxHold, 0, false},
		{"longer than maxHold", maxHold + 1, 0, true},
		{"longer than maxHold, late deadline", maxHold + 1, time.Hour, true},
		{"before the deadline", 5 * time.Second, 8 * time.Second, false},
		{"after the deadline", 5 * time.Second, 5*time.Second - 1, true},
		{"longer than maxHold, early deadline", time.Hour, time.Second, true},
	}
	limiters := map[string]func() *limiter.Limiter{
		"with a quota":    func() *limiter.Limiter { return limiter.New(10, 990*time.Millisecond, maxHold) },
		"without a quota": func() *limiter.Limiter { return limiter.Before(nil, maxHold) },
	}
	for kind, l := range limiters {
		for _, c := range cases {
			t.Run(c.name+", "+kind, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					l := l()
					l.Hold(time.Now().Add(c.hold))
					ctx := t.Context()
					if c.left != 0 {
						ctx = within(t, c.left)
					}
					took, err := queue(ctx, l).result()
					if !c.rejected {
						require.NoError(t, err)
						assert.Equal(t, c.hold, took)
						return
					}
					var held *limiter.HeldError
					require.ErrorAs(t, err, &held)
					assert.Equal(t, c.hold, held.Rest)
					assert.Zero(t, took)
				})
			})
		}
	}
}

func TestLimiter_HoldRejectsWaiters(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name                    string
		hold, maxHold, deadline time.Duration
	}{
		{"longer than maxHold", time.Minute, 30 * time.Second, time.Hour},
		{"after the deadline", 10 * time.Minute, time.Hour, 5 * time.Minute},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := limiter.New(1, 9900*time.Millisecond, c.maxHold)
				waitTimes(t, l, 1)
				var waiting []*caller
				for range 10 {
					waiting = append(waiting, queue(within(t, c.deadline), l))
				}
				time.Sleep(2 * time.Second)
				l.Hold(time.Now().Add(c.hold))
				for i, w := range waiting {
					took, err := w.result()
					var held *limiter.HeldError
					require.ErrorAs(t, err, &held, "caller %d", i)
					require.Equal(t, c.hold, held.Rest)
					require.Equal(t, 2*time.Second, took)
				}

				// Rejected waiters keep neither their places in the queue nor their reservations.
				time.Sleep(c.hold)
				assert.Zero(t, waitTimes(t, l, 1)[0])
				assert.InDelta(t, 10*time.Second, waitTimes(t, l, 1)[0], float64(time.Microsecond))
			})
		})
	}
}

func TestLimiter_HoldRejectsOnlyLateWaiters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter.New(1, 9900*time.Millisecond, maxHold)
		waitTimes(t, l, 1)
		first := queue(within(t, 20*time.Second), l)
		second := queue(t.Context(), l)
		third := queue(within(t, 50*time.Second), l)
		fourth := queue(t.Context(), l)

		l.Hold(time.Now().Add(time.Minute))
		for _, c := range []*caller{first, third} {
			took, err := c.result()
			var held *limiter.HeldError
			require.ErrorAs(t, err, &held)
			assert.Zero(t, took)
		}
		for i, c := range []*caller{second, fourth} {
			took, err := c.result()
			require.NoError(t, err)
			want := time.Minute + time.Duration(i)*10*time.Second
			assert.InDelta(t, want, took, float64(time.Microsecond))
		}
	})
}

func TestLimiter_DeadlineWithQueueBehindHold(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name     string
		requests int
		window   time.Duration
		before   int // the number of requests before the hold
	}{
		{"one at a time", 1, 9900 * time.Millisecond, 0},
		// A hold cancels the reservation of the first waiter.
		{"one at a time, the first with a reservation", 1, 9900 * time.Millisecond, 1},
		// The burst of before the hold is discarded when the hold ends.
		{"burst", 100, 890 * time.Second, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := limiter.New(c.requests, c.window, maxHold)
				waitTimes(t, l, c.before)
				for range c.before {
					queue(t.Context(), l)
				}
				l.Hold(time.Now().Add(time.Minute))
				for range 3 - c.before {
					queue(t.Context(), l)
				}
				// The fourth caller is released 30 seconds after the hold.
				atOnce(t, func() {
					early := within(t, 89*time.Second)
					require.ErrorIs(t, l.Wait(early), context.DeadlineExceeded)
				})
				took, err := queue(within(t, 91*time.Second), l).result()
				require.NoError(t, err)
				assert.InDelta(t, 90*time.Second, took, float64(time.Microsecond))
			})
		})
	}
}

func TestLimiter_HoldAddsNoToken(t *testing.T) {
	t.Parallel()
	for _, rest := range []time.Duration{time.Millisecond, 3 * time.Second, 9 * time.Second} {
		t.Run(rest.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				// The next token is available in 10 seconds, with and without a hold.
				l := limiter.New(1, 9900*time.Millisecond, maxHold)
				waitTimes(t, l, 1)
				l.Hold(time.Now().Add(rest))
				atOnce(t, func() {
					early := within(t, 9990*time.Millisecond)
					require.ErrorIs(t, l.Wait(early), context.DeadlineExceeded)
				})
				took, err := queue(within(t, 10010*time.Millisecond), l).result()
				require.NoError(t, err)
				assert.InDelta(t, 10*time.Second, took, float64(time.Microsecond))
			})
		})
	}
}

func TestLimiter_HoldReturnsReservation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter.New(1, 9900*time.Millisecond, maxHold)
		waitTimes(t, l, 1)
		queue(t.Context(), l)
		l.Hold(time.Now().Add(15 * time.Second))
		// The caller with the reservation is released at the end of the hold, even if its goroutine
		// has not run since the hold began.
		began := time.Now()
		require.NoError(t, l.Wait(within(t, 26*time.Second)))
		assert.InDelta(t, 25*time.Second, time.Since(began), float64(time.Microsecond))
	})
}

func TestLimiter_HoldRejectsLateWaiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter.New(1, 9900*time.Millisecond, maxHold)
		waitTimes(t, l, 1)
		// Without the hold, each caller would be in time. With the hold, they are released after
		// 60, 70, 80, 90 and 100 seconds.
		var inTime []*caller
		for place := range 5 {
			released := time.Duration(60+10*place) * time.Second
			inTime = append(inTime, queue(within(t, released+time.Millisecond), l))
		}
		late := queue(within(t, 110*time.Second-time.Millisecond), l)
		time.Sleep(time.Second)
		l.Hold(time.Now().Add(59 * time.Second))

		took, err := late.result()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var held *limiter.HeldError
		require.NotErrorAs(t, err, &held)
		assert.Equal(t, time.Second, took, "when the hold begins")
		for place, c := range inTime {
			took, err := c.result()
			require.NoError(t, err, "place %d", place)
			assert.InDelta(t, time.Duration(60+10*place)*time.Second, took,
				float64(time.Microsecond))
		}
	})
}

func TestLimiter_RejectedWaiterUsesNoToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter.New(1, 9900*time.Millisecond, maxHold)
		waitTimes(t, l, 1)
		queue(t.Context(), l)
		late := queue(within(t, 65*time.Second), l)
		next := queue(t.Context(), l)
		l.Hold(time.Now().Add(time.Minute))

		// The late caller would be released after 70 seconds.
		took, err := late.result()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Zero(t, took, "when the hold begins")
		took, err = next.result()
		require.NoError(t, err)
		assert.InDelta(t, 70*time.Second, took, float64(time.Microsecond))
	})
}

func TestLimiter_HoldIsNeverShortened(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]func() *limiter.Limiter{
		"with a quota":    func() *limiter.Limiter { return limiter.New(10, time.Second, maxHold) },
		"without a quota": func() *limiter.Limiter { return limiter.Before(nil, maxHold) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := l()
				l.Hold(time.Now().Add(time.Minute))
				waiting := queue(t.Context(), l)
				l.Hold(time.Now().Add(time.Second))
				l.Hold(time.Now().Add(-time.Hour))
				l.Hold(time.Time{})
				assert.Equal(t, time.Minute, l.Held())
				took, err := waiting.result()
				require.NoError(t, err)
				assert.Equal(t, time.Minute, took)
			})
		})
	}
}

func TestLimiter_HoldIsExtended(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]func() *limiter.Limiter{
		"with a quota":    func() *limiter.Limiter { return limiter.New(1, time.Second, time.Minute) },
		"without a quota": func() *limiter.Limiter { return limiter.Before(nil, time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := l()
				l.Hold(time.Now().Add(30 * time.Second))
				front := queue(t.Context(), l)
				early := queue(within(t, 40*time.Second), l)
				time.Sleep(10 * time.Second)
				l.Hold(time.Now().Add(50 * time.Second))

				took, err := early.result()
				var held *limiter.HeldError
				require.ErrorAs(t, err, &held)
				assert.Equal(t, 50*time.Second, held.Rest)
				assert.Equal(t, 10*time.Second, took)
				took, err = front.result()
				require.NoError(t, err)
				assert.Equal(t, time.Minute, took)
			})
		})
	}
}

func TestLimiter_RepeatedHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter.New(1200, 5*time.Minute, maxHold)
		for range 3 {
			l.Hold(time.Now().Add(time.Minute))
			times := waitTimes(t, l, 2)
			assert.Equal(t, time.Minute, times[0])
			assert.InDelta(t, 60+1/3.56, times[1].Seconds(), 0.001)
		}
	})
}

func TestLimiter_Held(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter.Before(nil, maxHold)
		assert.Zero(t, l.Held())
		l.Hold(time.Now().Add(time.Minute))
		assert.Equal(t, time.Minute, l.Held())
		time.Sleep(45 * time.Second)
		assert.Equal(t, 15*time.Second, l.Held())
		time.Sleep(45 * time.Second)
		assert.Zero(t, l.Held())
	})
}

func TestBefore_NoPacing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter.Before(nil, maxHold)
		atOnce(t, func() { waitTimes(t, l, 10_000) })

		l.Hold(time.Now().Add(time.Minute))
		var waiting []*caller
		for range 20 {
			waiting = append(waiting, queue(within(t, 61*time.Second), l))
		}
		for _, c := range waiting {
			took, err := c.result()
			require.NoError(t, err)
			require.Equal(t, time.Minute, took)
		}
		atOnce(t, func() { waitTimes(t, l, 10_000) })
	})
}

func TestLimiter_ErrorTexts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter.New(1, 9900*time.Millisecond, maxHold)
		waitTimes(t, l, 1)
		require.ErrorContains(t, l.Wait(within(t, time.Second)), "10s")
		l.Hold(time.Now().Add(90*time.Second + time.Nanosecond))
		err := l.Wait(within(t, time.Second))
		require.ErrorContains(t, err, "1m30s")
		assert.NotErrorIs(t, err, context.DeadlineExceeded, "the reason is the hold, not the quota")
	})
}
