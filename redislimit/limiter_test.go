package redislimit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// slow has a burst of 6. After the burst, a token is added every 35 seconds.
var slow = Options{Key: "slow", Requests: 120, Window: time.Hour, Processes: 3}

// quick has a local rate of 2.1 requests a second.
var quick = Options{Key: "quick", Requests: 600, Window: time.Minute, Processes: 4}

// notices are the arguments of the calls of Options.Notify.
type notices struct {
	mu   sync.Mutex
	list []error
}

func (n *notices) add(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, err)
}

func (n *notices) all() []error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.list)
}

// wait waits until there are n notices.
func (n *notices) wait(t *testing.T, count int) {
	t.Helper()
	done := func() bool { return len(n.all()) == count }
	require.Eventually(t, done, maxWait, time.Millisecond)
}

// newProcess returns the limiter of one process of a fleet, with Redis at addr. By default it is
// patient, because the machine of the test may be slow.
func newProcess(t *testing.T, addr string, options Options) (*Limiter, *notices) {
	t.Helper()
	notified := new(notices)
	options.Notify = notified.add
	options.Timeout = cmp.Or(options.Timeout, maxWait)
	l, err := New(newClient(t, addr), options)
	require.NoError(t, err)
	return l, notified
}

// within returns the context of the test with a deadline.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// refuse checks that Wait fails at once because its turn would be after d.
func refuse(t *testing.T, l *Limiter, d time.Duration) error {
	t.Helper()
	ctx := within(t, d)
	err := l.Wait(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, ctx.Err(), "it returned before the deadline")
	return err
}

// takeBurst takes all tokens of the burst.
func takeBurst(t *testing.T, l *Limiter) {
	t.Helper()
	for range l.burst {
		require.NoError(t, l.Wait(within(t, maxWait)))
	}
}

// startWait starts a call of Wait and returns its result. It returns when the call is in the queue,
// with the given number of calls ahead.
func startWait(ctx context.Context, t *testing.T, l *Limiter, ahead int) <-chan error {
	t.Helper()
	result, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		result <- l.Wait(ctx)
	}()
	t.Cleanup(func() { <-done }) // before the client is closed
	inQueue := func() bool { return queueLength(l) == ahead+1 }
	require.Eventually(t, inQueue, maxWait, time.Millisecond)
	return result
}

func queueLength(l *Limiter) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue)
}

// receive returns the result of a call that startWait has started.
func receive(t *testing.T, result <-chan error) error {
	t.Helper()
	select {
	case err := <-result:
		return err
	case <-time.After(maxWait):
		require.FailNow(t, "Wait has not returned")
		return nil
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		requests, processes int
		window              time.Duration
	}{
		{1200, 50, 5 * time.Minute}, {1200, 500, 5 * time.Minute}, {120, 4, 3 * time.Second},
		{19, 10, time.Second}, {3, 1, time.Hour},
	} {
		burst, interval := split(test.requests, test.processes, test.window)
		require.Positive(t, interval)
		refill := float64(test.window) / float64(interval)
		total := float64(test.requests)
		assert.Less(t, 2*float64(burst)+refill, total, "%v: Redis loses its data", test)
		assert.Less(t, float64(test.processes+burst)+refill, total, "%v: Redis is back", test)
		late := float64(test.window+test.window/20) / float64(interval)
		assert.LessOrEqual(t, float64(max(burst, test.processes)+burst)+late, total,
			"%v: processes notice late", test)
		if test.requests > 100 && test.processes <= burst {
			assert.Greater(t, refill, 0.8*total, "%v", test)
		}
	}
}

func TestNew_DefaultIsAccountQuota(t *testing.T) {
	t.Parallel()
	l, err := New(redis.NewClient(&redis.Options{}), Options{Processes: 10})
	require.NoError(t, err)
	assert.Equal(t, 60, l.burst)
	perWindow := float64(5*time.Minute) / float64(l.interval)
	assert.InDelta(t, 1028, perWindow, 1)
}

func TestNew_InvalidArgument(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{})
	for _, test := range []struct {
		name    string
		client  redis.UniversalClient
		options Options
	}{
		{"client", nil, Options{Processes: 1}},
		{"Processes", client, Options{}},
		{"Window", client, Options{Processes: 1, Window: -1}},
		{"Timeout", client, Options{Processes: 1, Timeout: -1}},
		{"Requests", client, Options{Processes: 1, Requests: -1}},
		{"Requests", client, Options{Processes: 1, Requests: 2}},
		{"Requests", client, Options{Processes: 10, Requests: 10}},
	} {
		_, err := New(test.client, test.options)
		var invalid *cftunnel.InvalidArgumentError
		require.ErrorAs(t, err, &invalid, "%+v", test.options)
		assert.Equal(t, test.name, invalid.Name)
	}
}

func TestLimiter_ProcessesShareBucket(t *testing.T) {
	t.Parallel()
	addr := startRedis(t).addr
	first, _ := newProcess(t, addr, slow)
	second, _ := newProcess(t, addr, slow)
	other := slow
	other.Key = "other"
	others, _ := newProcess(t, addr, other)
	for range first.burst / 2 {
		require.NoError(t, first.Wait(t.Context()))
		require.NoError(t, second.Wait(t.Context()))
	}
	for _, l := range []*Limiter{first, second, first} {
		refuse(t, l, maxWait)
	}
	require.NoError(t, others.Wait(t.Context()))
}

// A turn costs one command, also if other calls wait.
func TestLimiter_OnlyFirstAsksRedis(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	l, _ := newProcess(t, server.addr, slow)
	takeBurst(t, l)
	for i := range 50 {
		startWait(t.Context(), t, l, i)
	}
	assert.Less(t, server.calls(t, "evalsha"), l.burst+10, "only the first asks, once a second")
}

func TestLimiter_WaitCanceled(t *testing.T) {
	t.Parallel()
	l, _ := newProcess(t, startRedis(t).addr, slow)
	takeBurst(t, l)
	ctx, cancel := context.WithCancel(t.Context())
	first := startWait(ctx, t, l, 0)
	second := startWait(ctx, t, l, 1)
	third := startWait(t.Context(), t, l, 2)
	cancel()
	require.ErrorIs(t, receive(t, first), context.Canceled)
	require.ErrorIs(t, receive(t, second), context.Canceled)
	require.ErrorIs(t, l.Wait(ctx), context.Canceled)
	require.NoError(t, l.client.Del(t.Context(), l.keys[0]).Err()) // so that tokens are available
	require.NoError(t, receive(t, third))
	assert.Zero(t, queueLength(l))
}

// The token of a call that is canceled while Redis is asked is not lost.
func TestLimiter_CanceledWaitPassesTokenOn(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	l, _ := newProcess(t, server.addr, slow)
	require.NoError(t, l.Wait(t.Context()))
	admin := server.client(t)
	require.NoError(t, admin.Do(t.Context(), "CLIENT", "PAUSE", "60000", "WRITE").Err())
	ctx, cancel := context.WithCancel(t.Context())
	first := startWait(ctx, t, l, 0)
	second := startWait(t.Context(), t, l, 1)
	cancel()
	require.ErrorIs(t, receive(t, first), context.Canceled)
	require.NoError(t, admin.Do(t.Context(), "CLIENT", "UNPAUSE").Err())
	require.NoError(t, receive(t, second))
	assert.Equal(t, 2, server.calls(t, "evalsha")+server.calls(t, "eval")-1, "one was unknown")
}

// A token is added every 35 seconds, so the third in the queue gets none within 90 seconds.
func TestLimiter_QueueExceedsDeadline(t *testing.T) {
	t.Parallel()
	l, _ := newProcess(t, startRedis(t).addr, slow)
	takeBurst(t, l)
	startWait(t.Context(), t, l, 0)
	startWait(within(t, 90*time.Second), t, l, 1)
	refuse(t, l, 90*time.Second)
	assert.Equal(t, 2, queueLength(l))
}

// After a hold there can be a burst of 6 tokens, but not 9 tokens within a minute.
func TestLimiter_QueueAfterHoldExceedsDeadline(t *testing.T) {
	t.Parallel()
	l, _ := newProcess(t, startRedis(t).addr, slow)
	l.Hold(time.Now().Add(5 * time.Minute))
	for i := range 8 {
		startWait(t.Context(), t, l, i)
	}
	err := refuse(t, l, 6*time.Minute)
	require.NotErrorIs(t, err, cftunnel.ErrRateLimited, "the hold ends before the deadline")
	startWait(within(t, 7*time.Minute), t, l, 8)
}

// The clock of a process does not matter, because a hold is stored by its length.
func TestLimiter_HoldIsShared(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	holder, _ := newProcess(t, server.addr, slow)
	other, _ := newProcess(t, server.addr, slow)
	holder.Hold(time.Now().Add(time.Hour))
	holder.Hold(time.Now().Add(time.Minute)) // does not shorten the hold
	holder.Hold(time.Now().Add(-time.Minute))
	other.Hold(time.Now().Add(time.Minute)) // does not shorten the hold of another process
	for _, l := range []*Limiter{holder, other} {
		require.ErrorIs(t, refuse(t, l, 10*time.Minute), cftunnel.ErrRateLimited)
	}
	rest, err := server.client(t).PTTL(t.Context(), holder.keys[1]).Result()
	require.NoError(t, err)
	assert.Greater(t, rest, 59*time.Minute)
	assert.LessOrEqual(t, rest, time.Hour+time.Millisecond, "the key expires")
}

func TestLimiter_HoldRejectsLateWaiter(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"own hold", "hold of another process"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := startRedis(t).addr
			l, _ := newProcess(t, addr, slow)
			holder := l
			if name == "hold of another process" {
				holder, _ = newProcess(t, addr, slow)
			}
			takeBurst(t, l)
			withoutDeadline := startWait(t.Context(), t, l, 0)
			late := startWait(within(t, 10*time.Minute), t, l, 1)
			holder.Hold(time.Now().Add(time.Hour))
			require.ErrorIs(t, receive(t, late), cftunnel.ErrRateLimited)
			assert.Empty(t, withoutDeadline)
		})
	}
}

func TestLimiter_HoldEnds(t *testing.T) {
	t.Parallel()
	addr := startRedis(t).addr
	first, _ := newProcess(t, addr, slow)
	second, _ := newProcess(t, addr, slow)
	until := time.Now().Add(50 * time.Millisecond)
	first.Hold(until)
	require.NoError(t, second.Wait(within(t, maxWait)))
	require.NoError(t, first.Wait(within(t, maxWait)))
	assert.False(t, time.Now().Before(until))
}

func TestLimiter_HoldInClient(t *testing.T) {
	t.Parallel()
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	addr := startRedis(t).addr
	var clients []*cftunnel.Client
	for range 2 {
		l, _ := newProcess(t, addr, slow)
		client, err := fake.NewClient(cftunnel.WithLimiter(l))
		require.NoError(t, err)
		clients = append(clients, client)
	}
	fake.Inject(tunneltest.Fault{Status: 429, Header: map[string][]string{"Retry-After": {"3600"}}})
	for _, client := range clients {
		_, err := client.Tunnels.List(within(t, time.Minute), cftunnel.TunnelListParams{})
		require.ErrorIs(t, err, cftunnel.ErrRateLimited)
		failure, ok := errors.AsType[*cftunnel.Error](err)
		require.True(t, ok)
		assert.Greater(t, failure.RetryAfter, 59*time.Minute)
	}
	assert.Len(t, fake.Requests(), 1, "the 429 of one process holds back the other")
}

func TestLimiter_PaceInClient(t *testing.T) {
	t.Parallel()
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	l, _ := newProcess(t, startRedis(t).addr, slow)
	client, err := fake.NewClient(cftunnel.WithLimiter(l))
	require.NoError(t, err)
	takeBurst(t, l)
	var failure *cftunnel.Error
	for range 3 { // the first call may learn from Redis how long it has to wait
		_, err = client.Tunnels.List(within(t, 10*time.Millisecond), cftunnel.TunnelListParams{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorAs(t, err, &failure)
	}
	assert.Greater(t, failure.RetryAfter, time.Second)
}

func TestLimiter_RedisUnavailable(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	l, notified := newProcess(t, server.addr, quick)
	require.NoError(t, l.Wait(t.Context()))
	server.stop()
	began := time.Now()
	require.NoError(t, l.Wait(within(t, maxWait)))
	// The local bucket starts empty.
	assert.GreaterOrEqual(t, time.Since(began), 450*time.Millisecond)
	require.Len(t, notified.all(), 1)
	require.ErrorContains(t, notified.all()[0], server.addr)

	// The local bucket has at most one token.
	refuse(t, l, 300*time.Millisecond)
	startWait(t.Context(), t, l, 0)
	refuse(t, l, 500*time.Millisecond)
	assert.Len(t, notified.all(), 1, "it notifies once")
}

// A client with the default retries must not delay the fallback by more than the timeout.
func TestLimiter_RedisUnavailableDefaultClient(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	client := redis.NewClient(&redis.Options{Addr: server.addr})
	t.Cleanup(func() { _ = client.Close() })
	notified := new(notices)
	options := slow
	options.Notify = notified.add
	l, err := New(client, options)
	require.NoError(t, err)
	server.stop()
	began := time.Now()
	startWait(t.Context(), t, l, 0)
	notified.wait(t, 1)
	assert.Less(t, time.Since(began), 5*time.Second)
	server.start(t)
	notified.wait(t, 2)
	assert.NoError(t, notified.all()[1])
}

func TestLimiter_RedisBackGivesNoBurst(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	l, notified := newProcess(t, server.addr, slow)
	takeBurst(t, l)
	server.stop()
	first := startWait(t.Context(), t, l, 0)
	notified.wait(t, 1)
	server.start(t)
	notified.wait(t, 2)
	require.NoError(t, notified.all()[1])
	// The bucket of the fleet gets its second token after 70 seconds. The local bucket would get
	// its first token after 105 seconds.
	startWait(within(t, 100*time.Second), t, l, 1)
	other, _ := newProcess(t, server.addr, slow)
	refuse(t, other, 30*time.Second)
	assert.Empty(t, first)
}

// A call that is refused at once must also notice that Redis is back.
func TestLimiter_RefusedCallNoticesRedis(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	l, notified := newProcess(t, server.addr, slow)
	server.stop()
	refuse(t, l, maxWait)
	server.start(t)
	require.Eventually(t, func() bool {
		_ = l.Wait(within(t, maxWait))
		return len(notified.all()) == 2
	}, maxWait, 10*time.Millisecond)
}

// A process that was idle while Redis was unavailable must not use the token of its local bucket.
func TestLimiter_IdleProcessAsksRedisFirst(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	l, notified := newProcess(t, server.addr, slow)
	server.stop()
	refuse(t, l, maxWait)
	server.start(t)
	l.mu.Lock()
	l.lastReply, l.nextToken = time.Now().Add(-time.Hour), time.Time{}
	l.local = rate.NewLimiter(l.local.Limit(), 1) // with a token
	l.mu.Unlock()
	refuse(t, l, 30*time.Second)
	assert.Len(t, notified.all(), 2)
}

// Whatever happens to Redis, no window has more requests than the quota.
func TestLimiter_NeverAboveQuota(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	options := Options{Requests: 100, Window: 2 * time.Second, Processes: 3}
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	var times []time.Time
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(times)
	}
	var fleet sync.WaitGroup
	t.Cleanup(fleet.Wait)
	t.Cleanup(stop)
	var notified []*notices
	for range options.Processes {
		l, n := newProcess(t, server.addr, options)
		notified = append(notified, n)
		for range 4 {
			fleet.Go(func() {
				for l.Wait(ctx) == nil {
					mu.Lock()
					times = append(times, time.Now())
					mu.Unlock()
				}
			})
		}
	}
	// run waits until the fleet has sent that many more requests.
	run := func(requests int) {
		t.Helper()
		want := count() + requests
		require.Eventually(t, func() bool { return count() >= want }, maxWait, time.Millisecond)
	}
	run(100)
	server.stop()
	for _, n := range notified {
		n.wait(t, 1)
	}
	run(60)
	server.start(t)
	for _, n := range notified {
		n.wait(t, 2)
	}
	run(100)
	stop()
	fleet.Wait()
	first, busiest := 0, 0
	for i, now := range times {
		for now.Sub(times[first]) >= options.Window {
			first++
		}
		busiest = max(busiest, i-first+1)
	}
	assert.LessOrEqual(t, busiest, options.Requests)
	length := times[len(times)-1].Sub(times[0])
	quota := float64(options.Requests) * length.Seconds() / options.Window.Seconds()
	assert.Greater(t, float64(len(times)), 0.6*quota)
}

func TestLimiter_HoldIsStoredWhenRedisIsBack(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	l, notified := newProcess(t, server.addr, slow)
	server.stop()
	startWait(t.Context(), t, l, 0)
	notified.wait(t, 1)
	l.Hold(time.Now().Add(time.Hour))
	l.Hold(time.Now().Add(time.Minute)) // does not shorten the hold
	server.start(t)
	client := server.client(t)
	stored := func() bool { return client.PTTL(t.Context(), l.keys[1]).Val() > time.Minute }
	require.Eventually(t, stored, maxWait, time.Millisecond)
	notified.wait(t, 2)
}

// The listener accepts connections and does not respond.
func TestLimiter_RedisHangs(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	options := Options{
		Requests: 600, Window: time.Second, Processes: 1, Timeout: time.Second,
	}
	l, notified := newProcess(t, listener.Addr().String(), options)
	began := time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	result := startWait(ctx, t, l, 0)
	cancel()
	require.ErrorIs(t, receive(t, result), context.Canceled)
	require.ErrorIs(t, l.Wait(within(t, time.Millisecond)), context.DeadlineExceeded)
	l.Hold(time.Now().Add(time.Millisecond))
	assert.Less(t, time.Since(began), options.Timeout, "nothing waits for Redis")
	// The callers have given up, but the command continues until its own timeout.
	notified.wait(t, 1)
	assert.GreaterOrEqual(t, time.Since(began), options.Timeout)
	assert.Less(t, time.Since(began), 10*time.Second, "the client gives up after 30s")
	for range 5 {
		require.NoError(t, l.Wait(within(t, maxWait)))
	}
	assert.Len(t, notified.all(), 1, "it notifies once")
}

func TestLimiter_RedisRejectsCommands(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	client := server.client(t)
	require.NoError(t, client.ConfigSet(t.Context(), "requirepass", "a-password").Err())
	l, notified := newProcess(t, server.addr, slow)
	refuse(t, l, maxWait)
	require.Len(t, notified.all(), 1)
	require.ErrorContains(t, notified.all()[0], "NOAUTH")
}

// A clock of Redis that is set back must not stop the fleet.
func TestLimiter_RedisClockSetBack(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	l, _ := newProcess(t, server.addr, quick)
	future := fmt.Sprint(time.Now().Add(24 * time.Hour).UnixMicro())
	require.NoError(t, l.client.Set(t.Context(), l.keys[0], future, 0).Err())
	require.NoError(t, l.Wait(within(t, maxWait)))
}

// A program that ends must not report that Redis is unavailable.
func TestLimiter_ClientClosed(t *testing.T) {
	t.Parallel()
	l, notified := newProcess(t, startRedis(t).addr, slow)
	require.NoError(t, l.client.Close())
	l.Hold(time.Now().Add(time.Hour))
	assert.Empty(t, notified.all())
}
