package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// redisTimeout bounds each request to Redis. Redis is unavailable if it does not respond in time.
const redisTimeout = time.Second

// Quota is the quota that the processes of a fleet share. It must be the same in all of them.
type Quota struct {
	// Name identifies the quota in Redis. Cloudflare counts requests by API token, so processes
	// that use the same token must use the same name.
	Name string
	// Requests is the number of requests that may arrive in any window of length Window.
	Requests int
	// Window is the length of the window.
	Window time.Duration
	// Workers is the number of processes on all machines. While Redis is unavailable, each process
	// uses an equal part of the quota.
	Workers int
}

// Limiter is a cftunnel.Limiter for one of several processes that share a quota through Redis.
//
// While Redis is available, a process can use any part of the quota that the others do not use.
// While Redis is unavailable, each process uses its equal part of the quota, and checks regularly
// whether Redis is back. If only some processes lose Redis, the fleet can exceed the quota. The
// server then rejects requests, and its Retry-After holds back those processes.
type Limiter struct {
	redis  *redis.Client
	tokens *redis_rate.Limiter
	name   string
	limit  redis_rate.Limit // of the fleet
	// localRate is the rate of this process while Redis is unavailable.
	localRate rate.Limit
	// checkInterval is the longest time between two checks whether Redis is available.
	checkInterval time.Duration
	notify        func(err error)

	background sync.WaitGroup // requests to Redis, each bounded by redisTimeout

	mu        sync.Mutex
	queue     []*waiter     // only the first one requests tokens
	nextToken time.Time     // no token is available before
	holdUntil time.Time     // the server wants no request before
	local     *rate.Limiter // limits this process while Redis is unavailable, otherwise nil
	checking  bool
	lastCheck time.Time
}

// waiter is one call of Wait.
type waiter struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	// first is closed when the waiter is the first in the queue.
	first   chan struct{}
	isFirst bool
}

// NewLimiter returns a limiter for this process. It replaces the timeouts and the retries in
// options. It sends nothing.
//
// Notify is called with an error when Redis becomes unavailable, and with nil when Redis is back.
// It must not call the limiter.
func NewLimiter(
	options *redis.Options, quota Quota, notify func(err error),
) (*Limiter, error) {
	limit, localRate, err := splitQuota(quota)
	if err != nil {
		return nil, err
	}
	own := *options
	// A retry could take a second token, and would delay the switch to the local limiter.
	own.MaxRetries, own.DialerRetries = -1, 1
	own.DialTimeout, own.ReadTimeout, own.WriteTimeout = redisTimeout, redisTimeout, redisTimeout
	own.ContextTimeoutEnabled = true
	// After PoolSize failures the pool dials only once a second. A large size prevents that. The
	// limiter never needs more than a few connections.
	own.PoolSize = 1000
	client := redis.NewClient(&own)
	return &Limiter{
		redis: client, tokens: redis_rate.NewLimiter(client), name: quota.Name,
		limit: limit, localRate: localRate,
		checkInterval: min(time.Second, quota.Window/60), notify: notify,
	}, nil
}

// Close closes the connections to Redis. It must not be called while a call of Wait is running.
func (l *Limiter) Close() error {
	l.background.Wait()
	return l.redis.Close()
}

// splitQuota returns the token bucket of the fleet, and the rate of one process while Redis is
// unavailable.
//
// In any window, a bucket provides at most its burst plus the tokens that are added in the window.
// The burst is a twentieth of the quota. Another twentieth is reserved for a Redis that restarts
// without its data, and therefore with a full bucket. Tokens are added at the rate of a window that
// is a twentieth longer: requests can arrive closer together than they were sent, and not all
// processes notice at the same time that Redis is unavailable or back.
func splitQuota(quota Quota) (redis_rate.Limit, rate.Limit, error) {
	burst := max(1, quota.Requests/20)
	limit := redis_rate.Limit{
		Burst: burst, Rate: quota.Requests - 2*burst, Period: quota.Window + quota.Window/20,
	}
	// The local limiter of a process has a burst of one, which counts against its part.
	workers := float64(quota.Workers)
	perWindow := min(float64(limit.Rate)/workers, float64(quota.Requests)/workers-1)
	switch {
	case quota.Workers < 1:
		return limit, 0, errors.New("there must be at least one worker")
	case quota.Window <= 0:
		return limit, 0, fmt.Errorf("a window of %s is too short", quota.Window)
	case limit.Rate < 1 || perWindow <= 0:
		return limit, 0, fmt.Errorf("%d requests are too few for %d workers",
			quota.Requests, quota.Workers)
	}
	return limit, rate.Limit(perWindow / limit.Period.Seconds()), nil
}

// Wait waits until the caller may send one request.
//
// It returns the error of ctx if ctx ends. If the deadline of ctx is too early, it returns
// context.DeadlineExceeded at once, together with cftunnel.ErrRateLimited if the reason is the
// Retry-After of the server.
func (l *Limiter) Wait(ctx context.Context) error {
	own, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := &waiter{ctx: own, cancel: cancel, first: make(chan struct{})}
	l.enqueue(w)
	defer l.dequeue(w)
	if l.waitForToken(w) {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return context.Cause(own)
}

// Hold holds back all processes of the fleet until the given time. It never shortens a hold.
func (l *Limiter) Hold(until time.Time) {
	l.mu.Lock()
	available := l.local == nil
	if until.After(l.holdUntil) {
		l.holdUntil = until
		l.cancelLate()
	}
	l.mu.Unlock()
	if available { // otherwise check stores it when Redis is back
		l.storeHold(until)
	}
}

// waitForToken reports whether w has got a token. Otherwise its context has ended.
func (l *Limiter) waitForToken(w *waiter) bool {
	select {
	case <-w.first:
	case <-w.ctx.Done():
		return false
	}
	for w.ctx.Err() == nil {
		ok, wait := l.takeToken(w.ctx)
		switch {
		case ok:
			return true
		case wait <= 0:
			continue // Redis has just become unavailable
		}
		// The random part changes the order of the processes that wait for the same token. A long
		// wait is interrupted to check whether Redis is available.
		timer := time.NewTimer(min(wait+rand.N(l.tokenInterval()), l.checkInterval))
		select {
		case <-timer.C:
		case <-w.ctx.Done():
			timer.Stop()
		}
	}
	return false
}

// enqueue adds w to the queue. If the deadline of w is too early, it cancels w instead.
func (l *Limiter) enqueue(w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.checkDeadline(w, len(l.queue)); err != nil {
		w.cancel(err)
		return
	}
	l.queue = append(l.queue, w)
	l.notifyFirst()
}

func (l *Limiter) dequeue(w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.queue, w); i >= 0 {
		l.queue = slices.Delete(l.queue, i, i+1)
		l.notifyFirst()
	}
}

func (l *Limiter) notifyFirst() {
	if len(l.queue) > 0 && !l.queue[0].isFirst {
		l.queue[0].isFirst = true
		close(l.queue[0].first)
	}
}

// cancelLate cancels the waiters whose deadline is now too early. The caller holds mu.
func (l *Limiter) cancelLate() {
	ahead := 0
	for _, w := range l.queue {
		if err := l.checkDeadline(w, ahead); err != nil {
			w.cancel(err)
			continue
		}
		ahead++
	}
}

// checkDeadline returns an error if w cannot get a token before its deadline, with the given number
// of waiters ahead. The caller holds mu.
func (l *Limiter) checkDeadline(w *waiter, ahead int) error {
	deadline, ok := w.ctx.Deadline()
	if !ok {
		return nil
	}
	now := time.Now()
	if l.holdUntil.After(now) && l.holdUntil.After(deadline) {
		return fmt.Errorf("%w: the server wants no requests for another %s: %w",
			cftunnel.ErrRateLimited, l.holdUntil.Sub(now).Round(time.Millisecond),
			context.DeadlineExceeded)
	}
	interval, burst := l.tokenInterval(), l.limit.Burst
	if l.local != nil {
		interval, burst = time.Duration(float64(time.Second)/float64(l.localRate)), 1
	}
	earliest := now
	if l.holdUntil.After(now) {
		earliest = l.holdUntil
	}
	earliest = earliest.Add(interval * time.Duration(max(0, ahead+1-burst)))
	next := l.nextToken.Add(interval * time.Duration(ahead))
	if l.nextToken.After(now) && next.After(earliest) {
		earliest = next
	}
	if earliest.After(deadline) {
		return fmt.Errorf("the rate limit of the fleet requires a wait of at least %s: %w",
			earliest.Sub(now).Round(time.Millisecond), context.DeadlineExceeded)
	}
	return nil
}

// tokenInterval is the time between two tokens that are added to the fleet's bucket.
func (l *Limiter) tokenInterval() time.Duration {
	return l.limit.Period / time.Duration(l.limit.Rate)
}

// takeToken takes a token, or returns how long none is available.
func (l *Limiter) takeToken(ctx context.Context) (ok bool, wait time.Duration) {
	l.mu.Lock()
	if l.local != nil {
		l.check() //nolint:contextcheck // the check is short and outlives the caller
	}
	if wait := time.Until(l.holdUntil); wait > 0 {
		l.mu.Unlock()
		return false, wait
	}
	if l.local != nil {
		defer l.mu.Unlock()
		if l.local.Allow() {
			return true, 0
		}
		seconds := (1 - l.local.Tokens()) / float64(l.localRate)
		wait := time.Duration(seconds * float64(time.Second))
		l.nextToken = time.Now().Add(wait)
		l.cancelLate()
		return false, wait
	}
	l.mu.Unlock()

	// The request to Redis ignores the deadline of the caller. Otherwise a short deadline would
	// look like an unavailable Redis.
	type result struct {
		ok   bool
		wait time.Duration
	}
	results := make(chan result, 1)
	l.background.Go(func() {
		ok, wait := l.takeFromRedis(context.WithoutCancel(ctx))
		results <- result{ok, wait}
	})
	select {
	case r := <-results:
		return r.ok, r.wait
	case <-ctx.Done():
		return false, 0
	}
}

// takeFromRedis takes a token from Redis. If Redis is unavailable, it switches to the local limiter
// and returns no wait.
func (l *Limiter) takeFromRedis(ctx context.Context) (ok bool, wait time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	held, err := l.redis.PTTL(ctx, l.holdKey()).Result()
	var result *redis_rate.Result
	if err == nil && held <= 0 {
		result, err = l.tokens.Allow(ctx, l.name, l.limit)
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	switch now := time.Now(); {
	case err != nil:
		l.useLocal(err)
		return false, 0
	case held > 0:
		wait, l.holdUntil = held, now.Add(held)
	case result.Allowed > 0:
		return true, 0
	default:
		wait = max(result.RetryAfter, time.Millisecond)
		l.nextToken = now.Add(wait)
	}
	l.cancelLate()
	return false, wait
}

// useLocal switches to the local limiter, which starts with an empty bucket. The caller holds mu.
func (l *Limiter) useLocal(err error) {
	if l.local != nil {
		return
	}
	l.local = rate.NewLimiter(l.localRate, 1)
	l.local.Allow()
	l.nextToken, l.lastCheck = time.Time{}, time.Now()
	l.notify(err)
}

// check checks in the background whether Redis is back, unless the last check was a short time ago.
// The caller holds mu.
func (l *Limiter) check() {
	if l.checking || time.Since(l.lastCheck) < l.checkInterval {
		return
	}
	l.checking = true
	l.background.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), redisTimeout)
		defer cancel()
		// A Redis that has lost its data has a full bucket. Empty the bucket, because the fleet has
		// already used these tokens.
		_, err := l.tokens.AllowAtMost(ctx, l.name, l.limit, l.limit.Burst)
		l.mu.Lock()
		l.checking, l.lastCheck = false, time.Now()
		until := l.holdUntil
		if err == nil {
			l.local, l.nextToken = nil, time.Time{}
			l.notify(nil)
		}
		l.mu.Unlock()
		if err == nil {
			l.storeHold(until)
		}
	})
}

// extendHold sets a key that expires, unless the key exists and expires later.
var extendHold = redis.NewScript(`
if redis.call("PTTL", KEYS[1]) < tonumber(ARGV[1]) then
	redis.call("SET", KEYS[1], "", "PX", ARGV[1])
end
return 0`)

// storeHold stores a hold in Redis for the other processes. It stores the length of the hold and
// not its end, because the clocks of machines differ.
func (l *Limiter) storeHold(until time.Time) {
	length := time.Until(until)
	if length <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), redisTimeout)
	defer cancel()
	keys := []string{l.holdKey()}
	if err := extendHold.Run(ctx, l.redis, keys, length.Milliseconds()+1).Err(); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.useLocal(err)
	}
}

func (l *Limiter) holdKey() string { return "hold:" + l.name }
