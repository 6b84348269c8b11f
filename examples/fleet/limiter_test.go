package main

import (
	"context"
	"net"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// newRedis starts a Redis that is stopped when the test ends.
func newRedis(t *testing.T, port int) *redisServer {
	t.Helper()
	server, err := startRedis(t.Context(), port)
	require.NoError(t, err)
	t.Cleanup(server.stop)
	return server
}

// newRedisClient returns a client that is closed when the test ends.
func newRedisClient(t *testing.T, server *redisServer) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: server.addr})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// setPassword makes a server reject clients without a password.
func setPassword(t *testing.T, server *redisServer) {
	t.Helper()
	client := newRedisClient(t, server)
	require.NoError(t, client.ConfigSet(t.Context(), "requirepass", "a-password").Err())
}

// slow is a quota with a burst of 6. After the burst, a token is added every 35 seconds.
var slow = Quota{Name: "slow", Requests: 120, Window: time.Hour, Workers: 3}

// notices are the arguments of the calls of a limiter's notify function.
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
	return append([]error{}, n.list...)
}

// waitForNotices waits until there are n notices.
func waitForNotices(t *testing.T, notified *notices, n int) {
	t.Helper()
	done := func() bool { return len(notified.all()) == n }
	require.Eventually(t, done, maxWait, time.Millisecond)
}

// newLimiterAt returns the limiter of one process of a fleet, with Redis at addr.
func newLimiterAt(t *testing.T, addr string, quota Quota) (*Limiter, *notices) {
	t.Helper()
	notified := new(notices)
	l, err := NewLimiter(&redis.Options{Addr: addr}, quota, notified.add)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l, notified
}

// withTimeout returns the context of the test with a deadline.
func withTimeout(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// takeBurst takes all tokens of the burst.
func takeBurst(t *testing.T, l *Limiter) {
	t.Helper()
	for range l.limit.Burst {
		require.NoError(t, l.Wait(withTimeout(t, maxWait)))
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
	t.Cleanup(func() { <-done }) // before the limiter is closed
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

func TestSplitQuota(t *testing.T) {
	t.Parallel()
	for _, quota := range []Quota{
		{Requests: 1200, Window: 5 * time.Minute, Workers: 50}, {Requests: 120, Window: 3 * time.Second, Workers: 4},
		{Requests: 19, Window: time.Second, Workers: 10}, {Requests: 3, Window: time.Hour, Workers: 1},
	} {
		limit, localRate, err := splitQuota(quota)
		require.NoError(t, err)
		refill := float64(limit.Rate) * float64(quota.Window) / float64(limit.Period)
		requests := float64(quota.Requests)
		assert.Less(t, 2*float64(limit.Burst)+refill, requests, "%v: Redis loses its data", quota)
		if quota.Requests > 100 {
			assert.Greater(t, refill, 0.8*requests, "%v", quota)
		}
		workers := float64(quota.Workers)
		refill = workers * float64(localRate) * quota.Window.Seconds()
		assert.LessOrEqual(t, workers+refill, requests, "%v: Redis is unavailable", quota)
		refill += float64(limit.Burst)
		assert.Less(t, refill, requests, "%v: Redis becomes unavailable", quota)
	}
	for _, quota := range []Quota{
		{Requests: 2, Window: time.Second, Workers: 1}, {Requests: 10, Window: time.Second, Workers: 10},
		{Requests: 10, Window: 0, Workers: 1}, {Requests: 10, Window: time.Second, Workers: 0},
	} {
		_, err := NewLimiter(&redis.Options{}, quota, nil)
		require.Error(t, err, "%v", quota)
	}
}

func TestLimiter_ProcessesShareBucket(t *testing.T) {
	t.Parallel()
	addr := newRedis(t, 0).addr
	first, _ := newLimiterAt(t, addr, slow)
	second, _ := newLimiterAt(t, addr, slow)
	other := Quota{Name: "other", Requests: 120, Window: time.Hour, Workers: 1}
	others, _ := newLimiterAt(t, addr, other)
	for range first.limit.Burst / 2 {
		require.NoError(t, first.Wait(t.Context()))
		require.NoError(t, second.Wait(t.Context()))
	}
	for _, l := range []*Limiter{first, second, first} {
		ctx := withTimeout(t, maxWait)
		require.ErrorIs(t, l.Wait(ctx), context.DeadlineExceeded)
		require.NoError(t, ctx.Err(), "it returned before the deadline")
	}
	require.NoError(t, others.Wait(t.Context()))
}

func TestLimiter_WaitCanceled(t *testing.T) {
	t.Parallel()
	l, _ := newLimiterAt(t, newRedis(t, 0).addr, slow)
	takeBurst(t, l)
	ctx, cancel := context.WithCancel(t.Context())
	first := startWait(ctx, t, l, 0)
	second := startWait(ctx, t, l, 1)
	cancel()
	require.ErrorIs(t, receive(t, first), context.Canceled)
	require.ErrorIs(t, receive(t, second), context.Canceled)
	require.ErrorIs(t, l.Wait(ctx), context.Canceled)
	assert.Zero(t, queueLength(l))
}

// A token is added every 35 seconds, so the third in the queue gets none within 90 seconds.
func TestLimiter_QueueExceedsDeadline(t *testing.T) {
	t.Parallel()
	l, _ := newLimiterAt(t, newRedis(t, 0).addr, slow)
	takeBurst(t, l)
	startWait(t.Context(), t, l, 0)
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.nextToken.After(time.Now()) // the first call has asked Redis
	}, maxWait, time.Millisecond)
	startWait(withTimeout(t, 90*time.Second), t, l, 1)
	ctx := withTimeout(t, 90*time.Second)
	require.ErrorIs(t, l.Wait(ctx), context.DeadlineExceeded)
	require.NoError(t, ctx.Err())
	assert.Equal(t, 2, queueLength(l))
}

// After a hold there can be a burst of 6 tokens, but not 9 tokens within a minute.
func TestLimiter_QueueAfterHoldExceedsDeadline(t *testing.T) {
	t.Parallel()
	l, _ := newLimiterAt(t, newRedis(t, 0).addr, slow)
	l.Hold(time.Now().Add(5 * time.Minute))
	for i := range 8 {
		startWait(t.Context(), t, l, i)
	}
	ctx := withTimeout(t, 6*time.Minute)
	err := l.Wait(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, cftunnel.ErrRateLimited, "the hold ends before the deadline")
	require.NoError(t, ctx.Err())
	startWait(withTimeout(t, 7*time.Minute), t, l, 8)
}

func TestLimiter_OnlyFirstAsksRedis(t *testing.T) {
	t.Parallel()
	server := newRedis(t, 0)
	l, _ := newLimiterAt(t, server.addr, slow)
	takeBurst(t, l)
	for i := range 50 {
		startWait(t.Context(), t, l, i)
	}
	stats, err := newRedisClient(t, server).Info(t.Context(), "commandstats").Result()
	require.NoError(t, err)
	calls := regexp.MustCompile(`cmdstat_pttl:calls=(\d+)`).FindStringSubmatch(stats)
	require.NotNil(t, calls)
	n, err := strconv.Atoi(calls[1])
	require.NoError(t, err)
	assert.Less(t, n, 2*l.limit.Burst+10, "only the first asks, once a second")
}

func TestLimiter_NextInQueueFollows(t *testing.T) {
	t.Parallel()
	l, _ := newLimiterAt(t, newRedis(t, 0).addr, slow)
	takeBurst(t, l)
	ctx, cancel := context.WithCancel(t.Context())
	first := startWait(ctx, t, l, 0)
	second := startWait(t.Context(), t, l, 1)
	cancel()
	require.ErrorIs(t, receive(t, first), context.Canceled)
	require.NoError(t, l.tokens.Reset(t.Context(), l.name)) // so that tokens are available
	require.NoError(t, receive(t, second))
}

func TestLimiter_HoldIsShared(t *testing.T) {
	t.Parallel()
	server := newRedis(t, 0)
	holder, _ := newLimiterAt(t, server.addr, slow)
	other, _ := newLimiterAt(t, server.addr, slow)
	holder.Hold(time.Now().Add(time.Hour))
	holder.Hold(time.Now().Add(time.Minute)) // does not shorten the hold
	holder.Hold(time.Now().Add(-time.Minute))
	for _, l := range []*Limiter{holder, other} {
		ctx := withTimeout(t, 10*time.Minute)
		err := l.Wait(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, cftunnel.ErrRateLimited)
		require.NoError(t, ctx.Err())
	}
	rest, err := newRedisClient(t, server).PTTL(t.Context(), "hold:slow").Result()
	require.NoError(t, err)
	assert.Greater(t, rest, 59*time.Minute)
	assert.LessOrEqual(t, rest, time.Hour+time.Millisecond, "the key expires")
}

func TestLimiter_HoldRejectsLateWaiter(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"own hold", "hold of another process"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := newRedis(t, 0).addr
			l, _ := newLimiterAt(t, addr, slow)
			holder := l
			if name == "hold of another process" {
				holder, _ = newLimiterAt(t, addr, slow)
			}
			takeBurst(t, l)
			withoutDeadline := startWait(t.Context(), t, l, 0)
			late := startWait(withTimeout(t, 10*time.Minute), t, l, 1)
			holder.Hold(time.Now().Add(time.Hour))
			require.ErrorIs(t, receive(t, late), cftunnel.ErrRateLimited)
			assert.Empty(t, withoutDeadline)
		})
	}
}

func TestLimiter_HoldEnds(t *testing.T) {
	t.Parallel()
	addr := newRedis(t, 0).addr
	first, _ := newLimiterAt(t, addr, slow)
	second, _ := newLimiterAt(t, addr, slow)
	until := time.Now().Add(50 * time.Millisecond)
	first.Hold(until)
	require.NoError(t, second.Wait(withTimeout(t, maxWait)))
	require.NoError(t, first.Wait(withTimeout(t, maxWait)))
	assert.False(t, time.Now().Before(until))
}

func TestLimiter_HoldInClient(t *testing.T) {
	t.Parallel()
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	l, _ := newLimiterAt(t, newRedis(t, 0).addr, slow)
	client, err := fake.NewClient(cftunnel.WithLimiter(l))
	require.NoError(t, err)
	l.Hold(time.Now().Add(time.Hour))
	_, err = client.Tunnels.List(withTimeout(t, time.Minute), cftunnel.TunnelListParams{})
	require.ErrorIs(t, err, cftunnel.ErrRateLimited)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Empty(t, fake.Requests())
}

func TestLimiter_RedisUnavailable(t *testing.T) {
	t.Parallel()
	server := newRedis(t, 0)
	// The local rate is 2.1 requests a second.
	quick := Quota{Name: "quick", Requests: 600, Window: time.Minute, Workers: 4}
	l, notified := newLimiterAt(t, server.addr, quick)
	require.NoError(t, l.Wait(t.Context()))
	server.stop()
	began := time.Now()
	require.NoError(t, l.Wait(withTimeout(t, maxWait)))
	// The local bucket starts empty.
	assert.GreaterOrEqual(t, time.Since(began), 450*time.Millisecond)
	require.Len(t, notified.all(), 1)
	require.ErrorContains(t, notified.all()[0], server.addr)

	// The local bucket has at most one token.
	ctx := withTimeout(t, 300*time.Millisecond)
	require.ErrorIs(t, l.Wait(ctx), context.DeadlineExceeded)
	require.NoError(t, ctx.Err())
	startWait(t.Context(), t, l, 0)
	ctx = withTimeout(t, 500*time.Millisecond)
	require.ErrorIs(t, l.Wait(ctx), context.DeadlineExceeded)
	require.NoError(t, ctx.Err())
	assert.Len(t, notified.all(), 1, "it notifies once")
}

func TestLimiter_RedisBackGivesNoBurst(t *testing.T) {
	t.Parallel()
	server := newRedis(t, 0)
	l, notified := newLimiterAt(t, server.addr, slow)
	takeBurst(t, l)
	server.stop()
	first := startWait(t.Context(), t, l, 0)
	waitForNotices(t, notified, 1)
	newRedis(t, server.port)
	waitForNotices(t, notified, 2)
	require.NoError(t, notified.all()[1])
	// The bucket of the fleet gets its second token after 70 seconds. The local bucket would get
	// its first token after 105 seconds.
	startWait(withTimeout(t, 100*time.Second), t, l, 1)

	result, err := l.tokens.AllowAtMost(t.Context(), l.name, l.limit, l.limit.Burst)
	require.NoError(t, err)
	assert.Zero(t, result.Allowed)
	assert.Empty(t, first)
}

func TestLimiter_HoldIsStoredWhenRedisIsBack(t *testing.T) {
	t.Parallel()
	server := newRedis(t, 0)
	l, notified := newLimiterAt(t, server.addr, slow)
	server.stop()
	startWait(t.Context(), t, l, 0)
	waitForNotices(t, notified, 1)
	l.Hold(time.Now().Add(time.Hour))
	l.Hold(time.Now().Add(time.Minute)) // does not shorten the hold
	client := newRedisClient(t, newRedis(t, server.port))
	stored := func() bool { return client.PTTL(t.Context(), "hold:slow").Val() > time.Minute }
	require.Eventually(t, stored, maxWait, time.Millisecond)
	assert.Len(t, notified.all(), 2)
}

// The listener accepts connections and does not respond.
func TestLimiter_RedisHangs(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	quick := Quota{Name: "quick", Requests: 600, Window: time.Second, Workers: 1}
	l, notified := newLimiterAt(t, listener.Addr().String(), quick)
	began := time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	result := startWait(ctx, t, l, 0)
	cancel()
	require.ErrorIs(t, receive(t, result), context.Canceled)
	require.ErrorIs(t, l.Wait(withTimeout(t, time.Millisecond)), context.DeadlineExceeded)
	// The callers have given up, but the request to Redis continues until its own timeout.
	waitForNotices(t, notified, 1)
	assert.GreaterOrEqual(t, time.Since(began), redisTimeout)
	for range 5 {
		require.NoError(t, l.Wait(withTimeout(t, maxWait)))
	}
	assert.Len(t, notified.all(), 1, "it notifies once")
}

func TestLimiter_RedisRejectsCommands(t *testing.T) {
	t.Parallel()
	server := newRedis(t, 0)
	setPassword(t, server)
	l, notified := newLimiterAt(t, server.addr, slow)
	require.ErrorIs(t, l.Wait(withTimeout(t, maxWait)), context.DeadlineExceeded)
	require.Len(t, notified.all(), 1)
	require.ErrorContains(t, notified.all()[0], "NOAUTH")
}

func TestStartRedis_NotInstalled(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := startRedis(t.Context(), 0)
	require.ErrorContains(t, err, "apt-get install redis-server")
}

func TestStartRedis_Fails(t *testing.T) {
	t.Parallel()
	server := newRedis(t, 0)
	setPassword(t, server)
	_, err := startRedis(t.Context(), server.port)
	require.ErrorContains(t, err, "the process has ended")
	require.ErrorContains(t, err, "in use")
}
