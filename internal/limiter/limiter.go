// Package limiter keeps callers below a quota of requests, and holds them back while the server has
// asked for a pause.
package limiter

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limiter releases callers in the order in which they came: after a hold, then each as the quota
// allows. It starts no goroutine.
type Limiter struct {
	*queue
	maxHold time.Duration
}

// Next paces requests in place of a quota, behind the holds of a Limiter.
type Next interface{ Wait(context.Context) error }

// queue is what all views of a Limiter share.
type queue struct {
	next Next // nil if the quota paces, or nothing does

	mu          sync.Mutex
	rate        *rate.Limiter // nil if only holds count
	waiters     list.List     // of *waiter
	reserved    bool          // the first waiter has a reservation, and waits for its time
	until       time.Time     // the end of the hold
	throttled   int           // 429s without a Retry-After since the last other response
	drainBurst  bool          // once the hold is over, the tokens gathered in it are discarded
	holdChanged chan struct{}
}

// waiter is a caller in the queue.
type waiter struct {
	ctx     context.Context
	maxHold time.Duration
	element *list.Element
	ready   chan struct{} // closed when the waiter is first, or rejected
	called  bool
	err     error // why it was rejected
}

// HeldError says that a hold lasts longer than a caller may wait.
type HeldError struct{ Rest time.Duration }

func (e *HeldError) Error() string {
	return fmt.Sprintf("the server asked for no requests for another %s", e.Rest.Round(time.Millisecond))
}

// PaceError says that the quota releases a request only after the context's deadline.
type PaceError struct{ Wait time.Duration }

func (e *PaceError) Error() string {
	return fmt.Sprintf("the client's own rate limit allows the request in %s at the earliest: %s", e.Wait, context.DeadlineExceeded)
}

// Unwrap returns [context.DeadlineExceeded].
func (e *PaceError) Unwrap() error { return context.DeadlineExceeded }

// seconds is a duration that a time.Duration may be too short for.
func seconds(n float64) time.Duration {
	const longest = 1e9
	return time.Duration(min(n, longest) * float64(time.Second)).Round(time.Millisecond)
}

// New returns a limiter that releases at most requests callers in any window. A tenth of them may
// come at once, the rest evenly. A caller that a hold would delay for longer than maxHold is rejected.
func New(requests int, window, maxHold time.Duration) *Limiter {
	burst := max(1, requests/10)
	// In any window at most burst + rate·window requests pass. A hundredth of the quota stays free
	// for what the network squeezes together. A burst of one request is a part of the rate.
	perWindow := 0.99*float64(requests) - float64(burst)
	if burst == 1 {
		perWindow = 0.99 * float64(requests)
	}
	return &Limiter{
		queue: &queue{
			rate:        rate.NewLimiter(rate.Limit(perWindow/window.Seconds()), burst),
			holdChanged: make(chan struct{}),
		},
		maxHold: maxHold,
	}
}

// Before returns a limiter that puts holds before next, which does the pacing. If next is nil,
// nothing but holds delays a caller.
func Before(next Next, maxHold time.Duration) *Limiter {
	return &Limiter{queue: &queue{next: next, holdChanged: make(chan struct{})}, maxHold: maxHold}
}

// WithMaxHold returns a limiter with the same quota and holds whose callers wait at most d for the
// end of a hold.
func (l *Limiter) WithMaxHold(d time.Duration) *Limiter { return &Limiter{l.queue, d} }

// Hold delays every caller until then, those that wait already too, and rejects those that it makes
// too late. It never shortens a hold.
func (l *Limiter) Hold(until time.Time) {
	if l.hold(until) {
		if next, ok := l.next.(interface{ Hold(until time.Time) }); ok {
			next.Hold(until)
		}
	}
}

// firstThrottle is the first hold after a 429 that names none.
const firstThrottle = 5 * time.Second

// Throttled begins the hold of a 429. If the server named no time, after is 0, and the hold is 5 s,
// doubled each time until [Limiter.Recovered], at most the maxHold of l.
func (l *Limiter) Throttled(after time.Duration) {
	now := time.Now()
	if after == 0 {
		l.mu.Lock()
		if l.until.After(now) {
			l.mu.Unlock()
			return // requests of the same moment are one reason
		}
		after = min(firstThrottle<<min(l.throttled, 16), l.maxHold)
		l.throttled++
		l.mu.Unlock()
	}
	l.Hold(now.Add(after))
}

// Recovered says that the server responded with something else than a 429.
func (l *Limiter) Recovered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.throttled = 0
}

func (q *queue) hold(until time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if !until.After(q.until) || !until.After(now) {
		return false
	}
	q.until, q.drainBurst = until, true
	close(q.holdChanged)
	q.holdChanged = make(chan struct{})

	ahead := 0 // of those that stay
	for e := q.waiters.Front(); e != nil; {
		w, next := e.Value.(*waiter), e.Next()
		err := q.checkWait(w, now, ahead)
		switch {
		case err == nil:
			ahead++
		case !w.called: // the first one finds out by itself
			w.err, w.called = err, true
			q.waiters.Remove(e)
			close(w.ready)
		}
		e = next
	}
	return true
}

// HeldUntil returns the end of the latest hold.
func (l *Limiter) HeldUntil() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until
}

// Held returns how long the hold still lasts.
func (l *Limiter) Held() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, time.Until(l.until))
}

// Wait returns nil when its caller may send one request. It returns at once with a *HeldError if the
// hold outlasts the context or maxHold, with a *PaceError if the quota does not release the caller
// before the context's deadline, and with the context's error when that ends.
func (l *Limiter) Wait(ctx context.Context) error {
	for {
		if err := l.wait(ctx); err != nil || l.next == nil {
			return err
		}
		if err := l.next.Wait(ctx); err != nil {
			return contextError(ctx, err)
		}
		if l.Held() == 0 {
			return nil
		}
	}
}

// contextError adds the context's error to one that a limiter returned because of the context.
// A *rate.Limiter refuses a wait beyond the deadline with an error that only its text identifies.
func contextError(ctx context.Context, err error) error {
	cause := ctx.Err()
	if cause == nil && strings.HasPrefix(err.Error(), "rate: Wait(") &&
		strings.HasSuffix(err.Error(), " would exceed context deadline") {
		cause = context.DeadlineExceeded
	}
	if cause == nil || errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("%w: %w", cause, err)
}

func (l *Limiter) wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	q := l.queue
	q.mu.Lock()
	now := time.Now()
	q.drainAfterHold(now)
	if q.waiters.Len() == 0 && q.take(now) {
		q.mu.Unlock()
		return nil
	}
	w := &waiter{ctx: ctx, maxHold: l.maxHold, ready: make(chan struct{})}
	if err := q.checkWait(w, now, q.waiters.Len()); err != nil {
		q.mu.Unlock()
		return err
	}
	w.element = q.waiters.PushBack(w)
	q.callFirst()
	q.mu.Unlock()

	select {
	case <-w.ready:
	case <-ctx.Done():
		q.mu.Lock()
		defer q.mu.Unlock()
		q.leave(w)
		return ctx.Err()
	}
	if w.err != nil {
		return w.err
	}
	return q.waitForToken(w)
}

// take takes a token if there is one now.
func (q *queue) take(now time.Time) bool {
	q.drainAfterHold(now)
	return !q.until.After(now) && (q.rate == nil || q.rate.AllowN(now, 1))
}

// drainAfterHold leaves one token of those that were gathered in a hold: callers that were held back
// must not come all at once.
func (q *queue) drainAfterHold(now time.Time) {
	if !q.drainBurst || q.until.After(now) {
		return
	}
	q.drainBurst = false
	if q.rate != nil && q.rate.TokensAt(q.until) > 1 {
		q.rate = rate.NewLimiter(q.rate.Limit(), q.rate.Burst())
		q.rate.AllowN(q.until, q.rate.Burst()-1)
	}
}

// checkWait says why a caller with so many ahead of it cannot be released in time, or nil.
func (q *queue) checkWait(w *waiter, now time.Time, ahead int) error {
	if err := q.checkHold(w, now); err != nil || q.rate == nil {
		return err
	}
	start, tokens := now, q.rate.TokensAt(now)
	switch {
	case q.until.After(now):
		// At its end there is one token, or what was gathered if that is less. A reservation is
		// returned for it.
		start, tokens = q.until, q.rate.TokensAt(q.until)
		if q.reserved {
			tokens++
		}
		tokens = min(tokens, 1)
	case q.reserved:
		ahead-- // its token is taken
	}
	wait := max(0, float64(ahead+1)-tokens) / float64(q.rate.Limit())
	return checkPace(w.ctx, start.Sub(now).Seconds()+wait, now)
}

// checkPace says that a wait of so many seconds outlasts the context, or nil.
func checkPace(ctx context.Context, wait float64, now time.Time) error {
	deadline, ok := ctx.Deadline()
	if !ok || wait <= deadline.Sub(now).Seconds() {
		return nil
	}
	return &PaceError{Wait: seconds(wait)}
}

// checkHold says that the hold lasts too long for this caller, or nil.
func (q *queue) checkHold(w *waiter, now time.Time) error {
	rest := q.until.Sub(now)
	if rest <= 0 {
		return nil
	}
	if deadline, ok := w.ctx.Deadline(); rest > w.maxHold || ok && q.until.After(deadline) {
		return &HeldError{Rest: rest}
	}
	return nil
}

// waitForToken waits as the first in the queue for the end of a hold and then for a token, and leaves
// the queue. Only the first one has a reservation, so one that is cancelled is returned whole.
func (q *queue) waitForToken(w *waiter) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.leave(w)
	for {
		now := time.Now()
		if err := q.checkWait(w, now, 0); err != nil {
			return err
		}
		if q.take(now) {
			return nil
		}
		if rest := q.until.Sub(now); rest > 0 {
			if err := q.sleep(w.ctx, rest); err != nil {
				return err
			}
			continue
		}
		reservation := q.rate.ReserveN(now, 1)
		q.reserved = true
		err := q.sleep(w.ctx, reservation.DelayFrom(now))
		q.reserved = false
		now = time.Now()
		if err == nil && !q.until.After(now) && reservation.DelayFrom(now) == 0 {
			return nil
		}
		reservation.CancelAt(now)
		if err != nil {
			return err
		}
	}
}

// sleep unlocks the mutex until the time is over, the hold changes, or the context ends, which is an
// error.
func (q *queue) sleep(ctx context.Context, d time.Duration) error {
	holdChanged := q.holdChanged
	q.mu.Unlock()
	defer q.mu.Lock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-holdChanged:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// leave does nothing for a waiter that is not in the queue any more.
func (q *queue) leave(w *waiter) {
	q.waiters.Remove(w.element)
	q.callFirst()
}

// callFirst wakes the first in the queue.
func (q *queue) callFirst() {
	front := q.waiters.Front()
	if front == nil {
		return
	}
	if w := front.Value.(*waiter); !w.called {
		w.called = true
		close(w.ready)
	}
}
