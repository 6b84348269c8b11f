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

// ownRedis starts a Redis that is stopped when the test ends.
func ownRedis(t *testing.T, port int) *redisServer {
	t.Helper()
	server, err := startRedis(t.Context(), port)
	require.NoError(t, err)
	t.Cleanup(server.stop)
	return server
}

func dial(t *testing.T, server *redisServer) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: server.addr})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// slow is a quota whose burst of 6 goes at once, and of which the next token comes after 35 seconds.
var slow = Quota{Name: "slow", Requests: 120, Window: time.Hour, Workers: 3}

// notices are what a limiter notified: errors, and nil.
type notices struct {
	mu   sync.Mutex
	list []error
}

func (n *notices) add(gone error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, gone)
}

func (n *notices) all() []error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]error{}, n.list...)
}

// member returns the limiter of one process of a fleet.
func member(t *testing.T, addr string, quota Quota) (*Limiter, *notices) {
	t.Helper()
	said := new(notices)
	l, err := NewLimiter(&redis.Options{Addr: addr}, quota, said.add)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l, said
}

// within is the test's context with a deadline.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// drain takes the burst.
func drain(t *testing.T, l *Limiter) {
	t.Helper()
	for range l.limit.Burst {
		require.NoError(t, l.Wait(within(t, eventually)))
	}
}

// waiting starts a wait and returns its outcome, once it is in the queue behind so many others.
func waiting(ctx context.Context, t *testing.T, l *Limiter, ahead int) <-chan error {
	t.Helper()
	outcome, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		outcome <- l.Wait(ctx)
	}()
	t.Cleanup(func() { <-done }) // before the limiter is closed
	require.Eventually(t, func() bool { return queued(l) == ahead+1 }, eventually, time.Millisecond)
	return outcome
}

func queued(l *Limiter) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue)
}

func receive(t *testing.T, outcome <-chan error) error {
	t.Helper()
	select {
	case err := <-outcome:
		return err
	case <-time.After(eventually):
		require.FailNow(t, "it still waits")
		return nil
	}
}

func TestAQuotaIsNeverExceeded(t *testing.T) {
	t.Parallel()
	for _, quota := range []Quota{
		{Requests: 1200, Window: 5 * time.Minute, Workers: 50}, {Requests: 120, Window: 3 * time.Second, Workers: 4},
		{Requests: 19, Window: time.Second, Workers: 10}, {Requests: 3, Window: time.Hour, Workers: 1},
	} {
		limit, share, err := divide(quota)
		require.NoError(t, err)
		refill := float64(limit.Rate) * float64(quota.Window) / float64(limit.Period)
		requests := float64(quota.Requests)
		assert.Less(t, 2*float64(limit.Burst)+refill, requests, "%v: also where Redis forgets", quota)
		if quota.Requests > 100 {
			assert.Greater(t, refill, 0.8*requests, "%v", quota)
		}
		workers := float64(quota.Workers)
		assert.LessOrEqual(t, workers*(1+float64(share)*quota.Window.Seconds()), requests, "%v: also where each is on its own", quota)
		assert.Less(t, float64(limit.Burst)+workers*float64(share)*quota.Window.Seconds(), requests, "%v: and on the way there", quota)
	}
	for _, quota := range []Quota{
		{Requests: 2, Window: time.Second, Workers: 1}, {Requests: 10, Window: time.Second, Workers: 10},
		{Requests: 10, Window: 0, Workers: 1}, {Requests: 10, Window: time.Second, Workers: 0},
	} {
		_, err := NewLimiter(&redis.Options{}, quota, nil)
		require.Error(t, err, "%v", quota)
	}
}

func TestAllShareOneBucket(t *testing.T) {
	t.Parallel()
	addr := ownRedis(t, 0).addr
	first, _ := member(t, addr, slow)
	second, _ := member(t, addr, slow)
	others, _ := member(t, addr, Quota{Name: "others", Requests: 120, Window: time.Hour, Workers: 1})
	for range first.limit.Burst / 2 {
		require.NoError(t, first.Wait(t.Context()))
		require.NoError(t, second.Wait(t.Context()))
	}
	for _, l := range []*Limiter{first, second, first} {
		ctx := within(t, eventually)
		require.ErrorIs(t, l.Wait(ctx), context.DeadlineExceeded)
		require.NoError(t, ctx.Err(), "it did not wait for the deadline")
	}
	require.NoError(t, others.Wait(t.Context()))
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	l, _ := member(t, ownRedis(t, 0).addr, slow)
	drain(t, l)
	ctx, cancel := context.WithCancel(t.Context())
	first := waiting(ctx, t, l, 0)
	second := waiting(ctx, t, l, 1)
	cancel()
	require.ErrorIs(t, receive(t, first), context.Canceled)
	require.ErrorIs(t, receive(t, second), context.Canceled)
	require.ErrorIs(t, l.Wait(ctx), context.Canceled)
	assert.Zero(t, queued(l))
}

// Each token takes 35 seconds, so that the third in the queue has none within 90.
func TestTheQueueCountsTowardsTheDeadline(t *testing.T) {
	t.Parallel()
	l, _ := member(t, ownRedis(t, 0).addr, slow)
	drain(t, l)
	waiting(t.Context(), t, l, 0)
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.empty.After(time.Now()) // the first has asked
	}, eventually, time.Millisecond)
	waiting(within(t, 90*time.Second), t, l, 1)
	ctx := within(t, 90*time.Second)
	require.ErrorIs(t, l.Wait(ctx), context.DeadlineExceeded)
	require.NoError(t, ctx.Err())
	assert.Equal(t, 2, queued(l))
}

// When a hold is over there may be a whole burst of 6, but not 9 tokens within a minute.
func TestTheQueueCountsBehindAHold(t *testing.T) {
	t.Parallel()
	l, _ := member(t, ownRedis(t, 0).addr, slow)
	l.Hold(time.Now().Add(5 * time.Minute))
	for i := range 8 {
		waiting(t.Context(), t, l, i)
	}
	ctx := within(t, 6*time.Minute)
	err := l.Wait(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, cftunnel.ErrRateLimited, "the hold is over in time")
	require.NoError(t, ctx.Err())
	waiting(within(t, 7*time.Minute), t, l, 8)
}

func TestOneOfAProcessAsksAtATime(t *testing.T) {
	t.Parallel()
	server := ownRedis(t, 0)
	l, _ := member(t, server.addr, slow)
	drain(t, l)
	for i := range 50 {
		waiting(t.Context(), t, l, i)
	}
	stats, err := dial(t, server).Info(t.Context(), "commandstats").Result()
	require.NoError(t, err)
	calls := regexp.MustCompile(`cmdstat_pttl:calls=(\d+)`).FindStringSubmatch(stats)
	require.NotNil(t, calls)
	n, err := strconv.Atoi(calls[1])
	require.NoError(t, err)
	assert.Less(t, n, 2*l.limit.Burst+10, "the first asks each second, the others do not")
}

func TestTheNextInTheQueueFollows(t *testing.T) {
	t.Parallel()
	l, _ := member(t, ownRedis(t, 0).addr, slow)
	drain(t, l)
	ctx, cancel := context.WithCancel(t.Context())
	first := waiting(ctx, t, l, 0)
	second := waiting(t.Context(), t, l, 1)
	cancel()
	require.ErrorIs(t, receive(t, first), context.Canceled)
	require.NoError(t, l.tokens.Reset(t.Context(), l.name)) // and there are tokens again
	require.NoError(t, receive(t, second))
}

func TestAHoldIsEverybodys(t *testing.T) {
	t.Parallel()
	server := ownRedis(t, 0)
	refused, _ := member(t, server.addr, slow)
	other, _ := member(t, server.addr, slow)
	refused.Hold(time.Now().Add(time.Hour))
	refused.Hold(time.Now().Add(time.Minute)) // shortens nothing
	refused.Hold(time.Now().Add(-time.Minute))
	for _, l := range []*Limiter{refused, other} {
		ctx := within(t, 10*time.Minute)
		err := l.Wait(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, cftunnel.ErrRateLimited)
		require.NoError(t, ctx.Err())
	}
	rest, err := dial(t, server).PTTL(t.Context(), "hold:slow").Result()
	require.NoError(t, err)
	assert.Greater(t, rest, 59*time.Minute)
	assert.LessOrEqual(t, rest, time.Hour+time.Millisecond, "it expires")
}

func TestAHoldSendsAwayThoseWhomItMakesTooLate(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"its own", "another's"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := ownRedis(t, 0).addr
			l, _ := member(t, addr, slow)
			holder := l
			if name == "another's" {
				holder, _ = member(t, addr, slow)
			}
			drain(t, l)
			patient := waiting(t.Context(), t, l, 0)
			hurried := waiting(within(t, 10*time.Minute), t, l, 1)
			holder.Hold(time.Now().Add(time.Hour))
			require.ErrorIs(t, receive(t, hurried), cftunnel.ErrRateLimited)
			assert.Empty(t, patient)
		})
	}
}

func TestWaitsGoOnWhenAHoldIsOver(t *testing.T) {
	t.Parallel()
	addr := ownRedis(t, 0).addr
	first, _ := member(t, addr, slow)
	second, _ := member(t, addr, slow)
	until := time.Now().Add(50 * time.Millisecond)
	first.Hold(until)
	require.NoError(t, second.Wait(within(t, eventually)))
	require.NoError(t, first.Wait(within(t, eventually)))
	assert.False(t, time.Now().Before(until))
}

func TestAClientTellsAHoldApart(t *testing.T) {
	t.Parallel()
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	l, _ := member(t, ownRedis(t, 0).addr, slow)
	client, err := fake.NewClient(cftunnel.WithLimiter(l))
	require.NoError(t, err)
	l.Hold(time.Now().Add(time.Hour))
	_, err = client.Tunnels.List(within(t, time.Minute), cftunnel.TunnelListParams{})
	require.ErrorIs(t, err, cftunnel.ErrRateLimited)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Empty(t, fake.Requests())
}

func TestWithoutRedisAProcessKeepsToItsShare(t *testing.T) {
	t.Parallel()
	server := ownRedis(t, 0)
	quick := Quota{Name: "quick", Requests: 600, Window: time.Minute, Workers: 4} // alone, 2.1 a second
	l, said := member(t, server.addr, quick)
	require.NoError(t, l.Wait(t.Context()))
	server.stop()
	began := time.Now()
	require.NoError(t, l.Wait(within(t, eventually)))
	assert.GreaterOrEqual(t, time.Since(began), 450*time.Millisecond, "its bucket began empty")
	require.Len(t, said.all(), 1)
	require.ErrorContains(t, said.all()[0], server.addr)

	// It holds one token at most.
	ctx := within(t, 300*time.Millisecond)
	require.ErrorIs(t, l.Wait(ctx), context.DeadlineExceeded)
	require.NoError(t, ctx.Err())
	waiting(t.Context(), t, l, 0)
	ctx = within(t, 500*time.Millisecond)
	require.ErrorIs(t, l.Wait(ctx), context.DeadlineExceeded)
	require.NoError(t, ctx.Err())
	assert.Len(t, said.all(), 1, "it says so once")
}

func TestARedisThatComesBackGivesNoSecondBurst(t *testing.T) {
	t.Parallel()
	server := ownRedis(t, 0)
	l, said := member(t, server.addr, slow)
	drain(t, l)
	server.stop()
	first := waiting(t.Context(), t, l, 0)
	require.Eventually(t, func() bool { return len(said.all()) == 1 }, eventually, time.Millisecond)
	ownRedis(t, server.port)
	require.Eventually(t, func() bool { return len(said.all()) == 2 }, eventually, time.Millisecond)
	require.NoError(t, said.all()[1])
	// The fleet's bucket has the second token in 70 seconds. Its own would have the first in 105.
	waiting(within(t, 100*time.Second), t, l, 1)

	left, err := l.tokens.AllowAtMost(t.Context(), l.name, l.limit, l.limit.Burst)
	require.NoError(t, err)
	assert.Zero(t, left.Allowed)
	assert.Empty(t, first)
}

func TestAHoldThatNobodyCouldBeToldIsToldLater(t *testing.T) {
	t.Parallel()
	server := ownRedis(t, 0)
	l, said := member(t, server.addr, slow)
	server.stop()
	waiting(t.Context(), t, l, 0)
	require.Eventually(t, func() bool { return len(said.all()) == 1 }, eventually, time.Millisecond)
	l.Hold(time.Now().Add(time.Hour))
	l.Hold(time.Now().Add(time.Minute)) // shortens nothing
	client := dial(t, ownRedis(t, server.port))
	require.Eventually(t, func() bool { return client.PTTL(t.Context(), "hold:slow").Val() > time.Minute }, eventually, time.Millisecond)
	assert.Len(t, said.all(), 2)
}

// A Redis that accepts connections and says nothing.
func TestARedisThatHangsIsGoneToo(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	quick := Quota{Name: "quick", Requests: 600, Window: time.Second, Workers: 1}
	l, said := member(t, listener.Addr().String(), quick)
	began := time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	outcome := waiting(ctx, t, l, 0)
	cancel()
	require.ErrorIs(t, receive(t, outcome), context.Canceled)
	require.ErrorIs(t, l.Wait(within(t, time.Millisecond)), context.DeadlineExceeded)
	// The callers are gone, and yet it is found out; that they gave up says nothing of Redis.
	require.Eventually(t, func() bool { return len(said.all()) > 0 }, eventually, time.Millisecond)
	assert.GreaterOrEqual(t, time.Since(began), patience)
	for range 5 {
		require.NoError(t, l.Wait(within(t, eventually)))
	}
	assert.Len(t, said.all(), 1, "it says so once")
}

func TestARedisThatRefusesIsGoneToo(t *testing.T) {
	t.Parallel()
	server := ownRedis(t, 0)
	require.NoError(t, dial(t, server).ConfigSet(t.Context(), "requirepass", "a-password").Err())
	l, said := member(t, server.addr, slow)
	require.ErrorIs(t, l.Wait(within(t, eventually)), context.DeadlineExceeded)
	require.Len(t, said.all(), 1)
	require.ErrorContains(t, said.all()[0], "NOAUTH")
}

func TestAMissingRedisServerIsSaid(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := startRedis(t.Context(), 0)
	require.ErrorContains(t, err, "apt-get install redis-server")
}

func TestARedisServerThatCannotStartIsSaid(t *testing.T) {
	t.Parallel()
	server := ownRedis(t, 0)
	require.NoError(t, dial(t, server).ConfigSet(t.Context(), "requirepass", "a-password").Err())
	_, err := startRedis(t.Context(), server.port)
	require.ErrorContains(t, err, "it has ended")
	require.ErrorContains(t, err, "in use")
}
