package redislimit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// Options are the settings of a [Limiter]. Requests, Window, Key and Processes must be the same in
// all processes of the fleet.
type Options struct {
	// Requests is the number of requests that the fleet may send in any window. The default is
	// 1200, Cloudflare's limit for an API token. Use less if other tools use the same token.
	Requests int
	// Window is the length of the window. The default is 5m.
	Window time.Duration
	// Key is the beginning of the keys in Redis. The default is "cftunnel". Processes that use
	// different API tokens have separate quotas: give each API token its own Key. It must not
	// contain a secret.
	Key string
	// Processes is the largest number of processes that share the quota, on all machines. While
	// Redis is unavailable, each of them uses an equal share. Processes must be positive. If it is
	// more than 5% of Requests, the fleet sends fewer requests, also while Redis is available: at
	// most 0.95 × Requests − Processes in a window.
	Processes int
	// Timeout is the longest wait for a response from Redis. After that, Redis is unavailable. The
	// default is 1s.
	Timeout time.Duration
	// Notify is called with the reason if Redis becomes unavailable and the process falls back to
	// its share, and with nil when the process shares the quota again. It must return soon, and
	// must not call the limiter. If it is nil, nothing is reported.
	Notify func(err error)
}

// holdPatience is the longest time that Hold waits for Redis.
const holdPatience = 100 * time.Millisecond

// Limiter is the rate limit of one of the processes that share a quota. Create it with [New]. It is
// safe for concurrent use.
type Limiter struct {
	client   redis.UniversalClient
	keys     []string      // of the bucket and of the hold
	interval time.Duration // between two tokens that are added to the fleet's bucket
	burst    int           // of the fleet's bucket
	// localInterval is the time between two requests of this process while Redis is unavailable.
	localInterval time.Duration
	// checkInterval is the longest time between two commands while calls wait.
	checkInterval time.Duration
	timeout       time.Duration
	notify        func(err error)

	mu        sync.Mutex
	queue     []*waiter     // only the first one takes tokens
	pending   chan struct{} // closed when Redis has responded or is too late; nil if none is asked
	granted   bool          // whether there is a token for the first waiter
	lastReply time.Time     // when pending was closed
	nextToken time.Time     // no token is available before
	holdUntil time.Time     // the server wants no request before
	local     *rate.Limiter // limits this process while Redis is unavailable, otherwise nil
}

// waiter is one call of Wait.
type waiter struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	// first is closed when the waiter is the first in the queue.
	first   chan struct{}
	isFirst bool
}

var _ cftunnel.Limiter = (*Limiter)(nil)

// New returns a limiter for this process. It sends nothing to Redis.
//
// It returns a [*cftunnel.InvalidArgumentError] if client is nil, if an option is invalid, or if
// Requests is too small for the number of Processes.
func New(client redis.UniversalClient, options Options) (*Limiter, error) {
	requests := cmp.Or(options.Requests, 1200)
	window := cmp.Or(options.Window, 5*time.Minute)
	key := cmp.Or(options.Key, "cftunnel")
	timeout := cmp.Or(options.Timeout, time.Second)
	burst, interval := split(requests, options.Processes, window)
	notify := options.Notify
	if notify == nil {
		notify = func(error) {}
	}
	switch {
	case client == nil:
		return nil, invalid("client", "is nil")
	case options.Processes < 1:
		return nil, invalid("Processes", "must be positive")
	case window < 0:
		return nil, invalid("Window", "must not be negative")
	case timeout < 0:
		return nil, invalid("Timeout", "must not be negative")
	case interval == 0:
		return nil, invalid("Requests", fmt.Sprintf("is too small: %d requests are too few for %d "+
			"processes", requests, options.Processes))
	}
	return &Limiter{
		client: client,
		// A cluster stores keys with the same text in braces in the same slot.
		keys:     []string{"{" + key + "}:bucket", "{" + key + "}:hold"},
		interval: interval, burst: burst,
		localInterval: interval * time.Duration(options.Processes),
		checkInterval: min(time.Second, max(window/60, time.Millisecond)),
		timeout:       timeout, notify: notify,
	}, nil
}

func invalid(name, reason string) error {
	return &cftunnel.InvalidArgumentError{Name: name, Reason: reason}
}

// split returns the size of the fleet's token bucket, and the time between two tokens that are
// added to it. The time is 0 if there are too few requests for the processes.
//
// In any window, a bucket provides at most its burst and the tokens that are added in the window.
// The burst is a twentieth of the quota. The tokens that are added leave room for
//
//   - another burst, because a Redis that has lost its data has a full bucket, or
//   - one request of each process, which its local bucket has gathered when Redis is back, and
//   - a window that is a twentieth longer, because requests can arrive closer together than they
//     were sent, and not all processes notice at the same time that Redis is unavailable or back.
//
// While Redis is unavailable, each process adds an equal part of these tokens to its own bucket,
// which has a burst of one.
func split(requests, processes int, window time.Duration) (burst int, interval time.Duration) {
	burst = max(1, requests/20)
	perWindow := requests - burst - max(burst, processes)
	if perWindow < 1 {
		return burst, 0
	}
	interval = (window + window/20) / time.Duration(perWindow)
	return burst, interval.Truncate(time.Microsecond) + time.Microsecond
}

// Wait waits until the caller may send one request.
//
// It returns the error of ctx if ctx ends. If the deadline of ctx is too early, it returns
// [context.DeadlineExceeded] at once, together with cftunnel.ErrRateLimited if the reason is a
// hold. The error of the client's call then has how long it would have had to wait in RetryAfter.
// An unavailable Redis is not an error.
//
// Without a deadline, Wait lasts until the end of a hold that another process caused, even if that
// is longer than the client's RetryPolicy.MaxDelay. The client reports such a wait as one for the
// pace.
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

// Hold delays all processes of the fleet until the given time. It never shortens an earlier hold.
//
// It returns when the hold is in Redis, or after 100ms. A hold that cannot be stored delays this
// process, and is stored when Redis is back.
func (l *Limiter) Hold(until time.Time) {
	l.mu.Lock()
	extended := until.After(l.holdUntil) && until.After(time.Now())
	if extended {
		l.holdUntil = until
		l.cancelLate()
	}
	l.mu.Unlock()
	if !extended {
		return
	}
	stored := make(chan struct{})
	// Hold has no context, and the fleet must know of a hold even if the call that got the 429 ends.
	l.send(context.Background(), hold, time.Until(until), func(r reply, err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		defer close(stored)
		if err != nil {
			l.useLocal(err)
			return
		}
		l.extendHold(r.held)
		l.cancelLate()
	})
	select {
	case <-stored:
	case <-time.After(holdPatience):
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
		ok, wait, pending := l.takeToken(w.ctx)
		if ok {
			return true
		}
		var timer <-chan time.Time
		if pending == nil {
			// The random part changes the order of the processes that wait for the same token. A
			// long wait is interrupted to ask Redis for new holds.
			timer = time.After(min(wait+rand.N(l.interval), l.checkInterval))
		}
		select {
		case <-timer:
		case <-pending:
		case <-w.ctx.Done():
		}
	}
	return false
}

// enqueue adds w to the queue. If the deadline of w is too early, it cancels w instead.
func (l *Limiter) enqueue(w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.local != nil && l.due() {
		l.ask(w.ctx)
	}
	ahead := len(l.queue)
	if l.granted {
		ahead--
	}
	if err := l.checkDeadline(w, ahead); err != nil {
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
		l.granted = l.granted && len(l.queue) > 0 // a token must not be used much later
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
	for i, w := range l.queue {
		if i == 0 && l.granted {
			continue
		}
		if err := l.checkDeadline(w, ahead); err != nil {
			w.cancel(err)
			continue
		}
		ahead++
	}
}

// checkDeadline returns an error if w cannot get a token before its deadline, with the given number
// of waiters ahead that have none. The caller holds mu.
func (l *Limiter) checkDeadline(w *waiter, ahead int) error {
	deadline, ok := w.ctx.Deadline()
	if !ok {
		return nil
	}
	now := time.Now()
	if l.holdUntil.After(now) && l.holdUntil.After(deadline) {
		rest := l.holdUntil.Sub(now)
		return &lateError{rest, fmt.Errorf("%w: the server allows no requests for another %s: %w",
			cftunnel.ErrRateLimited, rest.Round(time.Millisecond), context.DeadlineExceeded)}
	}
	interval, burst := l.interval, l.burst
	if l.local != nil {
		interval, burst = l.localInterval, 1
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
		const format = "the rate limit of the fleet allows the request in %s at the earliest: %w"
		wait := earliest.Sub(now)
		return &lateError{wait,
			fmt.Errorf(format, wait.Round(time.Millisecond), context.DeadlineExceeded)}
	}
	return nil
}

// lateError reports that a deadline is too early. The client copies RetryAfter to its own error.
type lateError struct {
	retryAfter time.Duration
	error
}

// RetryAfter returns how long the caller would have to wait.
func (e *lateError) RetryAfter() time.Duration { return e.retryAfter }

// Unwrap returns the error with the reason.
func (e *lateError) Unwrap() error { return e.error }

// takeToken takes a token. If there is none, it returns how long the caller must wait, or a channel
// that is closed when Redis has responded. The caller is the first in the queue.
func (l *Limiter) takeToken(ctx context.Context) (bool, time.Duration, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.granted {
		l.granted = false
		return true, 0, nil
	}
	now := time.Now()
	held, wait := l.holdUntil.Sub(now), l.nextToken.Sub(now)
	if l.local == nil {
		switch {
		case held > 0:
			return false, held, nil
		case wait > 0 && !l.due():
			return false, wait, nil
		}
		return false, 0, l.ask(ctx)
	}

	if l.due() {
		l.ask(ctx)
	}
	// If this process was idle, Redis may have been back for a long time.
	if l.pending != nil && now.Sub(l.lastReply) > 2*l.checkInterval+l.timeout {
		return false, 0, l.pending
	}
	if held > 0 {
		return false, held, nil
	}
	if l.local.AllowN(now, 1) {
		return true, 0, nil
	}
	wait = time.Duration((1 - l.local.TokensAt(now)) * float64(l.localInterval))
	l.nextToken = now.Add(wait)
	l.cancelLate()
	return false, wait, nil
}

// due reports whether the last response of Redis is so old that Redis must be asked again. The
// caller holds mu.
func (l *Limiter) due() bool { return time.Since(l.lastReply) >= l.checkInterval }

// ask asks Redis for a token, or whether it is back. It returns the channel that is closed when
// Redis has responded. There is never more than one question. The caller holds mu.
func (l *Limiter) ask(ctx context.Context) <-chan struct{} {
	if l.pending != nil {
		return l.pending
	}
	pending := make(chan struct{})
	l.pending = pending
	action := take
	if l.local != nil {
		// The fleet has already used the tokens that the bucket has gathered meanwhile, or that it
		// has because Redis has lost its data.
		action = drain
	}
	l.send(ctx, action, time.Until(l.holdUntil), func(r reply, err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		defer close(pending)
		l.pending, l.lastReply = nil, time.Now()
		switch {
		case err != nil:
			l.useLocal(err)
			return
		case action == drain && l.local != nil:
			l.local = nil
			l.notify(nil)
		}
		// If the caller has given up, the next one in the queue gets the token.
		l.granted = r.granted && len(l.queue) > 0
		l.nextToken = l.lastReply.Add(r.wait)
		l.extendHold(r.held)
		l.cancelLate()
	})
	return pending
}

// extendHold is called with the rest of the hold in Redis. The caller holds mu.
func (l *Limiter) extendHold(rest time.Duration) {
	if until := time.Now().Add(rest); rest > 0 && until.After(l.holdUntil) {
		l.holdUntil = until
	}
}

// send runs the script in the background, and passes the result to done. If Redis is too late, it
// passes an error, without waiting for a client that ignores its context.
//
// The end of ctx does not end the command. Otherwise a short deadline would look like an
// unavailable Redis.
func (l *Limiter) send(
	ctx context.Context, action string, held time.Duration, done func(reply, error),
) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.timeout)
	var once sync.Once
	stop := context.AfterFunc(ctx, func() {
		once.Do(func() { done(reply{}, fmt.Errorf("no response in %s", l.timeout)) })
	})
	go func() {
		defer cancel()
		r, err := l.run(ctx, action, held)
		stop()
		once.Do(func() { done(r, err) })
	}()
}

// useLocal switches to the local limiter, which starts with an empty bucket. The caller holds mu.
func (l *Limiter) useLocal(err error) {
	switch {
	case l.local != nil:
		return
	case errors.Is(err, redis.ErrClosed) && len(l.queue) == 0:
		return // the program is ending
	}
	l.local = rate.NewLimiter(rate.Every(l.localInterval), 1)
	l.local.Allow()
	l.nextToken = time.Time{}
	l.notify(err)
}
