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

// patience is how long an answer of Redis may take. One that is not there then counts as gone.
const patience = time.Second

// Quota is what the processes of a fleet share. It must be the same in each of them.
type Quota struct {
	// Name tells this quota from others in the same Redis. Cloudflare counts by API token, so whoever shares the token shares the name.
	Name string
	// At most so many requests may arrive in any window of this length.
	Requests int
	Window   time.Duration
	// Workers is how many processes there are, on all machines: each keeps to one part in so many where Redis is gone.
	Workers int
}

// Limiter is a cftunnel.Limiter for one of many processes that share a quota through Redis.
//
// While Redis is there, who needs the quota most has most of it. Where it is gone, each process keeps to its own share, and looks for Redis
// again and again. Where only some of a fleet lose it, those use their shares beside what the others use, which may be too much together:
// the server then refuses, and its Retry-After holds them.
type Limiter struct {
	redis  *redis.Client
	tokens *redis_rate.Limiter
	name   string
	limit  redis_rate.Limit // of the fleet
	share  rate.Limit       // of this process, in requests a second
	look   time.Duration    // how long nobody looks whether things have changed
	notify func(gone error)

	background sync.WaitGroup // of questions to Redis, none longer than patience

	mu      sync.Mutex
	queue   []*waiter     // the first one asks, the others wait
	empty   time.Time     // until then there is no token
	held    time.Time     // until then the server wants no request
	own     *rate.Limiter // of this process alone, nil while Redis is there
	probing bool
	probed  time.Time
}

// waiter is one call of Wait.
type waiter struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	first  chan struct{} // closed when it is the first of the queue
	called bool
}

// NewLimiter returns a limiter of this process. Of the options, those for time-outs and retries are set here. Notify, which must not call
// the limiter, is told of the error that shows that Redis is gone, and of nil when it is back. Nothing is sent.
func NewLimiter(options *redis.Options, quota Quota, notify func(gone error)) (*Limiter, error) {
	limit, share, err := divide(quota)
	if err != nil {
		return nil, err
	}
	own := *options
	// A token that was asked for twice is spent twice, and a fallback that waits for retries comes late.
	own.MaxRetries, own.DialerRetries = -1, 1
	own.DialTimeout, own.ReadTimeout, own.WriteTimeout, own.ContextTimeoutEnabled = patience, patience, patience, true
	// After so many failures the pool dials once a second only, and the limiter looks for itself. It never needs more than a few connections.
	own.PoolSize = 1000
	client := redis.NewClient(&own)
	return &Limiter{
		redis: client, tokens: redis_rate.NewLimiter(client), name: quota.Name,
		limit: limit, share: share, look: min(time.Second, quota.Window/60), notify: notify,
	}, nil
}

// Close closes the connections to Redis. No wait may be under way.
func (l *Limiter) Close() error {
	l.background.Wait()
	return l.redis.Close()
}

// divide turns a quota into a bucket of tokens for the fleet, and the rate of one process on its own.
//
// From a bucket come, in any window, at most the burst and what is refilled meanwhile. A twentieth of the quota is the burst. As much again
// stays free for a Redis that comes back without its memory, and so with a full bucket. The refill is that of a window a twentieth longer:
// requests that left at their time may arrive closer together, and not all processes know at once that Redis is gone, or back.
func divide(quota Quota) (redis_rate.Limit, rate.Limit, error) {
	burst := max(1, quota.Requests/20)
	limit := redis_rate.Limit{Burst: burst, Rate: quota.Requests - 2*burst, Period: quota.Window + quota.Window/20}
	// Alone, a process has a burst of one, which counts towards its share.
	perWindow := min(float64(limit.Rate)/float64(quota.Workers), float64(quota.Requests)/float64(quota.Workers)-1)
	switch {
	case quota.Workers < 1:
		return limit, 0, errors.New("there must be at least one worker")
	case quota.Window <= 0:
		return limit, 0, fmt.Errorf("a window of %s is too short", quota.Window)
	case limit.Rate < 1 || perWindow <= 0:
		return limit, 0, fmt.Errorf("%d requests are too few for %d workers", quota.Requests, quota.Workers)
	}
	return limit, rate.Limit(perWindow / limit.Period.Seconds()), nil
}

// Wait returns nil when its caller may send one request, and the context's error when that ends. Where the context's deadline is too early
// it fails at once with context.DeadlineExceeded, and cftunnel.ErrRateLimited beside it where the server's Retry-After is the reason.
func (l *Limiter) Wait(ctx context.Context) error {
	own, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := &waiter{ctx: own, cancel: cancel, first: make(chan struct{})}
	l.enter(w)
	defer l.leave(w)
	if l.pass(w) {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return context.Cause(own)
}

// Hold keeps all who share the quota back until then. It never shortens a hold.
func (l *Limiter) Hold(until time.Time) {
	l.mu.Lock()
	gone := l.own != nil
	if until.After(l.held) {
		l.held = until
		l.dismiss()
	}
	l.mu.Unlock()
	if !gone { // else it is told when it is back
		l.tell(until)
	}
}

// pass reports whether w has got a token. If not, its context has ended.
func (l *Limiter) pass(w *waiter) bool {
	select {
	case <-w.first:
	case <-w.ctx.Done():
		return false
	}
	for w.ctx.Err() == nil {
		got, rest := l.take(w.ctx)
		switch {
		case got:
			return true
		case rest <= 0:
			continue // Redis has just gone
		}
		// Processes that wait for the same token must not come in the same order each time. Who waits for long looks whether Redis has
		// come or gone.
		timer := time.NewTimer(min(rest+rand.N(l.interval()), l.look))
		select {
		case <-timer.C:
		case <-w.ctx.Done():
			timer.Stop()
		}
	}
	return false
}

// enter puts w into the queue, and ends it where it cannot be served in time.
func (l *Limiter) enter(w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.late(w, len(l.queue)); err != nil {
		w.cancel(err)
		return
	}
	l.queue = append(l.queue, w)
	l.callFirst()
}

func (l *Limiter) leave(w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.queue, w); i >= 0 {
		l.queue = slices.Delete(l.queue, i, i+1)
		l.callFirst()
	}
}

func (l *Limiter) callFirst() {
	if len(l.queue) > 0 && !l.queue[0].called {
		l.queue[0].called = true
		close(l.queue[0].first)
	}
}

// dismiss ends the waits that have become too long. The caller holds mu.
func (l *Limiter) dismiss() {
	ahead := 0
	for _, w := range l.queue {
		if err := l.late(w, ahead); err != nil {
			w.cancel(err)
			continue
		}
		ahead++
	}
}

// late says why w cannot be served in time with so many ahead of it, or nil. The caller holds mu.
func (l *Limiter) late(w *waiter, ahead int) error {
	deadline, ok := w.ctx.Deadline()
	if !ok {
		return nil
	}
	now := time.Now()
	if l.held.After(now) && l.held.After(deadline) {
		return fmt.Errorf("%w: the server asked the fleet for no requests for another %s: %w",
			cftunnel.ErrRateLimited, l.held.Sub(now).Round(time.Millisecond), context.DeadlineExceeded)
	}
	interval, burst := l.interval(), l.limit.Burst
	if l.own != nil {
		interval, burst = time.Duration(float64(time.Second)/float64(l.share)), 1
	}
	earliest := now
	if l.held.After(now) {
		earliest = l.held
	}
	earliest = earliest.Add(interval * time.Duration(max(0, ahead+1-burst)))
	if next := l.empty.Add(interval * time.Duration(ahead)); l.empty.After(now) && next.After(earliest) {
		earliest = next
	}
	if earliest.After(deadline) {
		return fmt.Errorf("the fleet's rate limit allows it in %s at the earliest: %w",
			earliest.Sub(now).Round(time.Millisecond), context.DeadlineExceeded)
	}
	return nil
}

// interval is the time in which the fleet's bucket gets a token.
func (l *Limiter) interval() time.Duration { return l.limit.Period / time.Duration(l.limit.Rate) }

// take takes a token, or says for how long there is none.
func (l *Limiter) take(ctx context.Context) (got bool, rest time.Duration) {
	l.mu.Lock()
	if l.own != nil {
		l.probe() //nolint:contextcheck // it outlives the caller, and is short
	}
	if rest := time.Until(l.held); rest > 0 {
		l.mu.Unlock()
		return false, rest
	}
	if l.own != nil {
		defer l.mu.Unlock()
		if l.own.Allow() {
			return true, 0
		}
		rest := time.Duration((1 - l.own.Tokens()) / float64(l.share) * float64(time.Second))
		l.empty = time.Now().Add(rest)
		l.dismiss()
		return false, rest
	}
	l.mu.Unlock()

	// Redis has all its time, however little the caller has: that a caller gives up does not tell that Redis is gone.
	type answer struct {
		got  bool
		rest time.Duration
	}
	answers := make(chan answer, 1)
	l.background.Go(func() {
		got, rest := l.ask(context.WithoutCancel(ctx))
		answers <- answer{got, rest}
	})
	select {
	case a := <-answers:
		return a.got, a.rest
	case <-ctx.Done():
		return false, 0
	}
}

// ask is take from Redis.
func (l *Limiter) ask(ctx context.Context) (got bool, rest time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, patience)
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
		l.fallBack(err)
		return false, 0
	case held > 0:
		rest, l.held = held, now.Add(held)
	case result.Allowed > 0:
		return true, 0
	default:
		rest = max(result.RetryAfter, time.Millisecond)
		l.empty = now.Add(rest)
	}
	l.dismiss()
	return false, rest
}

// fallBack leaves the process on its own, with an empty bucket. The caller holds mu.
func (l *Limiter) fallBack(err error) {
	if l.own != nil {
		return
	}
	l.own = rate.NewLimiter(l.share, 1)
	l.own.Allow()
	l.empty, l.probed = time.Time{}, time.Now()
	l.notify(err)
}

// probe looks for Redis where that is due, beside the waits. The caller holds mu.
func (l *Limiter) probe() {
	if l.probing || time.Since(l.probed) < l.look {
		return
	}
	l.probing = true
	l.background.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		// A Redis that has lost its memory comes with a full bucket, which nobody has saved up: pour it out.
		_, err := l.tokens.AllowAtMost(ctx, l.name, l.limit, l.limit.Burst)
		l.mu.Lock()
		l.probing, l.probed = false, time.Now()
		held := l.held
		if err == nil {
			l.own, l.empty = nil, time.Time{}
			l.notify(nil)
		}
		l.mu.Unlock()
		if err == nil {
			l.tell(held)
		}
	})
}

// longer sets a key that expires, unless it is there for longer already.
var longer = redis.NewScript(`
if redis.call("PTTL", KEYS[1]) < tonumber(ARGV[1]) then
	redis.call("SET", KEYS[1], "", "PX", ARGV[1])
end
return 0`)

// tell tells the fleet of a hold. Its length is told, not its end: clocks differ from machine to machine.
func (l *Limiter) tell(until time.Time) {
	rest := time.Until(until)
	if rest <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := longer.Run(ctx, l.redis, []string{l.holdKey()}, rest.Milliseconds()+1).Err(); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.fallBack(err)
	}
}

func (l *Limiter) holdKey() string { return "hold:" + l.name }
