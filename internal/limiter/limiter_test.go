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

// Each test runs in a synctest bubble: its clock stands still while anybody runs, so times are exact, and it ends only when no
// goroutine is left.

const patience = time.Hour

// passes takes n passes, one after another, and returns when each came, counted from now.
func passes(t *testing.T, l *limiter.Limiter, n int) []time.Duration {
	t.Helper()
	began := time.Now()
	times := make([]time.Duration, n)
	for i := range times {
		require.NoError(t, l.Wait(t.Context()))
		times[i] = time.Since(began)
	}
	return times
}

// caller is one that waits in a goroutine of its own.
type caller struct {
	began time.Time
	done  chan struct{}
	// err and took are there when done is closed.
	err  error
	took time.Duration
}

// queue starts a caller and returns when it waits, or is through.
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

// atOnce runs f and checks that no time passes.
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

// requireQuota slides a window, both its ends included, over times in order.
func requireQuota(t *testing.T, times []time.Time, requests int, window time.Duration) {
	t.Helper()
	for i := requests; i < len(times); i++ {
		if took := times[i].Sub(times[i-requests]); took <= window {
			require.Failf(t, "too many", "%d requests from number %d on within %s", requests+1, i-requests, took)
		}
	}
}

// recorder remembers when requests were let through.
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
				l := limiter.New(c.requests, c.window, patience)
				var seen recorder
				// Twice without a break, and once more when the pause has filled the burst again.
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
					upTo := func(d time.Duration) time.Duration { return time.Duration(random.Int64N(int64(d))) }
					callers.Go(func() {
						for range 30 {
							ctx, cancel := context.WithTimeout(t.Context(), patience)
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
		times := passes(t, limiter.New(1200, 5*time.Minute, patience), 120+1068)
		for i, at := range times {
			if i < 120 {
				require.Zero(t, at, "request %d", i+1)
				continue
			}
			// 3.56 a second.
			want := time.Duration(float64(i-119) / 3.56 * float64(time.Second))
			require.InDelta(t, want, at, float64(time.Microsecond), "request %d", i+1)
		}
		assert.InDelta(t, 5*time.Minute, times[len(times)-1], float64(time.Second), "nearly the whole quota is there to be used")
	})
}

func TestLimiter_SmallQuota(t *testing.T) {
	t.Parallel()
	for _, requests := range []int{1, 2, 5, 19, 20} {
		t.Run(fmt.Sprint(requests), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const windows = 20
				times := passes(t, limiter.New(requests, time.Minute, patience), windows*requests)
				assert.Less(t, times[len(times)-1], windows*time.Minute*115/100)
			})
		})
	}
}

func TestLimiter_BurstRefills(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter.New(100, time.Minute, patience)
		atOnce(t, func() { passes(t, l, 10) })
		time.Sleep(time.Hour)
		atOnce(t, func() { passes(t, l, 10) })
		assert.NotZero(t, passes(t, l, 1)[0])
	})
}

func TestLimiter_Order(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter.New(5, 5*time.Second, patience)
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
		// A hold makes everybody look around, and must not mix them.
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
	// Who runs first at that instant is chance.
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			l := limiter.New(1, 9900*time.Millisecond, patience)
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
			require.Equal(t, 10*time.Second, late.times[0].Sub(queued.began.Add(took)).Round(time.Millisecond))
		})
	}
}

func TestLimiter_CanceledCallersUseNoTokens(t *testing.T) {
	t.Parallel()
	for name, cancelled := range map[string]int{"none": 0, "the one with the reservation": 1, "a hundred": 100} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				// One every ten seconds.
				l := limiter.New(1, 9900*time.Millisecond, patience)
				passes(t, l, 1)
				ctx, cancel := context.WithCancel(t.Context())
				callers := make([]*caller, cancelled)
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
				assert.InDelta(t, 6*time.Second, passes(t, l, 1)[0], float64(time.Microsecond))
				assert.InDelta(t, 10*time.Second, passes(t, l, 1)[0], float64(time.Microsecond))
			})
		})
	}
}

func TestLimiter_CanceledCallersLeaveQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter.New(1, 9900*time.Millisecond, patience)
		passes(t, l, 1)
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
	for name, prepare := range map[string]func(*limiter.Limiter, context.Context){
		"before a token":      func(*limiter.Limiter, context.Context) {},
		"in the queue":        func(l *limiter.Limiter, ctx context.Context) { queue(ctx, l) },
		"held":                func(l *limiter.Limiter, _ context.Context) { l.Hold(time.Now().Add(time.Minute)) },
		"held and in a queue": func(l *limiter.Limiter, ctx context.Context) { l.Hold(time.Now().Add(time.Minute)); queue(ctx, l) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := limiter.New(1, time.Minute, patience)
				passes(t, l, 1)
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
		l := limiter.New(1, time.Minute, patience)
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		atOnce(t, func() {
			require.ErrorIs(t, l.Wait(cancelled), context.Canceled)
			require.ErrorIs(t, l.Wait(within(t, -time.Second)), context.DeadlineExceeded) //nolint:contextcheck // another one
			passes(t, l, 1)                                                               //nolint:contextcheck // with the test's own
		})
	})
}

func TestLimiter_DeadlineTooEarly(t *testing.T) {
	t.Parallel()
	// One every ten seconds: the first of those ahead is through in ten, so the next in ten more than there are ahead.
	for _, ahead := range []int{0, 1, 2, 20} {
		t.Run(fmt.Sprintf("%d ahead", ahead), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := limiter.New(1, 9900*time.Millisecond, patience)
				passes(t, l, 1)
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
				// Those who were turned away hold no place.
				took, err := queue(within(t, need+time.Millisecond), l).result()
				require.NoError(t, err)
				assert.InDelta(t, need, took, float64(time.Microsecond))
			})
		})
	}
}

// One who comes just as the front of the queue leaves with its token must not count it twice.
func TestLimiter_ServedCallerIsNotCountedTwice(t *testing.T) {
	t.Parallel()
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			l := limiter.New(1, 9900*time.Millisecond, patience)
			passes(t, l, 1)
			front := queue(t.Context(), l)
			var others sync.WaitGroup
			for range 8 {
				others.Go(func() {
					ctx := within(t, 11*time.Second)
					time.Sleep(10 * time.Second)
					// They have a second left, so none of them takes a place.
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
		l := limiter.New(1, 9900*time.Millisecond, patience)
		passes(t, l, 1)
		queue(t.Context(), l)
		time.Sleep(9 * time.Second)
		// One second until the caller ahead is through, and ten more.
		atOnce(t, func() { require.ErrorIs(t, l.Wait(within(t, 10900*time.Millisecond)), context.DeadlineExceeded) })
		took, err := queue(within(t, 11100*time.Millisecond), l).result()
		require.NoError(t, err)
		assert.InDelta(t, 11*time.Second, took, float64(time.Microsecond))
	})
}

func TestLimiter_HoldDelaysAllCallers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const rest = time.Minute
		l := limiter.New(10, 9900*time.Millisecond, patience)
		passes(t, l, 1)
		reserved := queue(t.Context(), l)
		queued := queue(t.Context(), l)
		require.True(t, reserved.waits())

		l.Hold(time.Now().Add(rest))
		late := queue(t.Context(), l)
		time.Sleep(rest - 1)
		synctest.Wait()
		assert.True(t, reserved.waits(), "the one that had a reservation")
		assert.True(t, queued.waits(), "the one that waited already")
		assert.True(t, late.waits(), "the one that came later")

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
		l := limiter.New(1200, 5*time.Minute, patience)
		l.Hold(time.Now().Add(time.Minute))
		assert.Equal(t, []time.Duration{time.Minute}, passes(t, l, 1))
	})
}

func TestLimiter_NoBurstAfterHold(t *testing.T) {
	t.Parallel()
	for _, callers := range []int{3, 200} {
		t.Run(fmt.Sprintf("%d who waited", callers), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := limiter.New(1200, 5*time.Minute, patience)
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
	t.Run("callers who come just then", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l := limiter.New(1200, 5*time.Minute, patience)
			l.Hold(time.Now().Add(time.Minute))
			time.Sleep(time.Minute)
			times := passes(t, l, 50)
			assert.Zero(t, times[0])
			assert.InDelta(t, 49/3.56, times[49].Seconds(), 0.001)
		})
	})
	t.Run("callers who come long after", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l := limiter.New(1200, 5*time.Minute, patience)
			l.Hold(time.Now().Add(time.Minute))
			passes(t, l, 1)
			time.Sleep(5 * time.Minute)
			atOnce(t, func() { passes(t, l, 120) })
		})
	})
}

// The bucket seldom holds whole tokens when a hold ends.
func TestLimiter_OneCallerAtEndOfHold(t *testing.T) {
	t.Parallel()
	for _, gathered := range []float64{1, 1.01, 1.5, 1.99, 2, 2.99, 10.99, 119.99, 500} {
		t.Run(fmt.Sprint(gathered), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := limiter.New(1200, 5*time.Minute, patience)
				passes(t, l, 120)
				rest := time.Duration(gathered / 3.56 * float64(time.Second))
				l.Hold(time.Now().Add(rest))
				for i, at := range passes(t, l, 4) {
					require.InDelta(t, rest.Seconds()+float64(i)/3.56, at.Seconds(), 1e-6, "request %d", i+1)
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
				l := limiter.New(100, time.Minute, patience)
				l.Hold(time.Now().Add(-ago))
				assert.Zero(t, l.Held())
				atOnce(t, func() { passes(t, l, 10) })
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
		hold, left time.Duration // left of the caller's context; zero for no deadline
		told       bool
	}{
		{"as long as the l's patience", maxHold, 0, false},
		{"longer than the l's patience", maxHold + 1, 0, true},
		{"longer than the l's patience, in a long context", maxHold + 1, time.Hour, true},
		{"shorter than the context", 5 * time.Second, 8 * time.Second, false},
		{"longer than the context", 5 * time.Second, 5*time.Second - 1, true},
		{"longer than both", time.Hour, time.Second, true},
	}
	gates := map[string]func() *limiter.Limiter{
		"with a quota":    func() *limiter.Limiter { return limiter.New(10, 990*time.Millisecond, maxHold) },
		"without a quota": func() *limiter.Limiter { return limiter.Before(nil, maxHold) },
	}
	for kind, l := range gates {
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
					if !c.told {
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
		{"longer than the l's patience", time.Minute, 30 * time.Second, time.Hour},
		{"longer than the contexts", 10 * time.Minute, time.Hour, 5 * time.Minute},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := limiter.New(1, 9900*time.Millisecond, c.maxHold)
				passes(t, l, 1)
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

				// They leave nothing behind: neither places nor reservations.
				time.Sleep(c.hold)
				assert.Zero(t, passes(t, l, 1)[0])
				assert.InDelta(t, 10*time.Second, passes(t, l, 1)[0], float64(time.Microsecond))
			})
		})
	}
}

func TestLimiter_HoldRejectsOnlyLateWaiters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter.New(1, 9900*time.Millisecond, patience)
		passes(t, l, 1)
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
			assert.InDelta(t, time.Minute+time.Duration(i)*10*time.Second, took, float64(time.Microsecond))
		}
	})
}

func TestLimiter_DeadlineWithQueueBehindHold(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name     string
		requests int
		window   time.Duration
		before   int // how many pass before the hold
	}{
		{"one at a time", 1, 9900 * time.Millisecond, 0},
		// A hold takes away the reservation of the first in the queue.
		{"one at a time, the first with a reservation", 1, 9900 * time.Millisecond, 1},
		// What is there of the burst before the hold is no more when it ends.
		{"a burst", 100, 890 * time.Second, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := limiter.New(c.requests, c.window, patience)
				passes(t, l, c.before)
				for range c.before {
					queue(t.Context(), l)
				}
				l.Hold(time.Now().Add(time.Minute))
				for range 3 - c.before {
					queue(t.Context(), l)
				}
				// The fourth passes thirty seconds after the hold.
				atOnce(t, func() { require.ErrorIs(t, l.Wait(within(t, 89*time.Second)), context.DeadlineExceeded) })
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
				// The next token is there in ten seconds, hold or no hold.
				l := limiter.New(1, 9900*time.Millisecond, patience)
				passes(t, l, 1)
				l.Hold(time.Now().Add(rest))
				atOnce(t, func() { require.ErrorIs(t, l.Wait(within(t, 9990*time.Millisecond)), context.DeadlineExceeded) })
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
		l := limiter.New(1, 9900*time.Millisecond, patience)
		passes(t, l, 1)
		queue(t.Context(), l)
		l.Hold(time.Now().Add(15 * time.Second))
		// The one with the reservation passes at the hold's end, whether or not it has looked up yet.
		began := time.Now()
		require.NoError(t, l.Wait(within(t, 26*time.Second)))
		assert.InDelta(t, 25*time.Second, time.Since(began), float64(time.Microsecond))
	})
}

func TestLimiter_HoldRejectsLateWaiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter.New(1, 9900*time.Millisecond, patience)
		passes(t, l, 1)
		// Before the hold each would be through in time. After it, they pass in 60, 70, 80 … seconds.
		var inTime []*caller
		for place := range 5 {
			inTime = append(inTime, queue(within(t, time.Duration(60+10*place)*time.Second+time.Millisecond), l))
		}
		late := queue(within(t, 110*time.Second-time.Millisecond), l)
		time.Sleep(time.Second)
		l.Hold(time.Now().Add(59 * time.Second))

		took, err := late.result()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var held *limiter.HeldError
		require.NotErrorAs(t, err, &held)
		assert.Equal(t, time.Second, took, "as soon as it is known")
		for place, c := range inTime {
			took, err := c.result()
			require.NoError(t, err, "place %d", place)
			assert.InDelta(t, time.Duration(60+10*place)*time.Second, took, float64(time.Microsecond))
		}
	})
}

func TestLimiter_RejectedWaiterUsesNoToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter.New(1, 9900*time.Millisecond, patience)
		passes(t, l, 1)
		queue(t.Context(), l)
		late := queue(within(t, 65*time.Second), l)
		next := queue(t.Context(), l)
		l.Hold(time.Now().Add(time.Minute))

		// The late one would pass after seventy seconds.
		took, err := late.result()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Zero(t, took, "known before the hold ends")
		took, err = next.result()
		require.NoError(t, err)
		assert.InDelta(t, 70*time.Second, took, float64(time.Microsecond))
	})
}

func TestLimiter_HoldIsNeverShortened(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]func() *limiter.Limiter{
		"with a quota":    func() *limiter.Limiter { return limiter.New(10, time.Second, patience) },
		"without a quota": func() *limiter.Limiter { return limiter.Before(nil, patience) },
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
				hasty := queue(within(t, 40*time.Second), l)
				time.Sleep(10 * time.Second)
				l.Hold(time.Now().Add(50 * time.Second))

				took, err := hasty.result()
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
		l := limiter.New(1200, 5*time.Minute, patience)
		for range 3 {
			l.Hold(time.Now().Add(time.Minute))
			times := passes(t, l, 2)
			assert.Equal(t, time.Minute, times[0])
			assert.InDelta(t, 60+1/3.56, times[1].Seconds(), 0.001)
		}
	})
}

func TestLimiter_Held(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter.Before(nil, patience)
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
		l := limiter.Before(nil, patience)
		atOnce(t, func() { passes(t, l, 10_000) })

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
		atOnce(t, func() { passes(t, l, 10_000) })
	})
}

func TestLimiter_ErrorTexts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := limiter.New(1, 9900*time.Millisecond, patience)
		passes(t, l, 1)
		require.ErrorContains(t, l.Wait(within(t, time.Second)), "10s")
		l.Hold(time.Now().Add(90*time.Second + time.Nanosecond))
		err := l.Wait(within(t, time.Second))
		require.ErrorContains(t, err, "1m30s")
		assert.NotErrorIs(t, err, context.DeadlineExceeded, "the hold is the reason, and not the quota")
	})
}
