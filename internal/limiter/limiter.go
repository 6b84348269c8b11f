// Package limiter keeps requests below a quota, and delays them while the server has asked for a
// pause.
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

// Limiter releases callers in order of arrival, no faster than the quota allows, and none during a
// hold. It starts no goroutine.
type Limiter struct {
	*queue
	maxHold time.Duration
}

// Next paces requests in place of a quota. A Limiter calls it after its own holds.
type Next interface{ Wait(context.Context) error }

// queue is the state that a Limiter and its copies from WithMaxHold share.
type queue struct {
	next Next // nil if a quota or nothing paces requests

	mu          sync.Mutex
	rate        *rate.Limiter // nil if there is no quota
	waiters     list.List     // of *waiter
	reserved    bool          // whether the first waiter has reserved a token and waits for it
	until       time.Time     // the end of the hold
	throttled   int           // 429s without a Retry-After since the last other response
	drainBurst  bool          // whether to discard the tokens gathered during the hold when it ends
	holdChanged chan struct{} // closed and replaced when until changes
}

// waiter is a caller in the queue.
type waiter struct {
	ctx     context.Context
	maxHold time.Duration
	element *list.Element
	ready   chan struct{} // closed when the waiter is first in the queue, or rejected
	called  bool          // whether ready is closed
	err     error         // why the waiter was rejected
}

// HeldError reports that a hold lasts longer than a caller may wait. Rest is the remaining time of
// the hold.
type HeldError struct{ Rest time.Duration }

func (e *HeldError) Error() string {
	rest := e.Rest.Round(time.Millisecond)
	return fmt.Sprintf("the server allows no requests for another %s", rest)
}

// PaceError reports that the quota allows a request only after the context's deadline. Wait is the
// time until the quota allows it.
type PaceError struct{ Wait time.Duration }

func (e *PaceError) Error() string {
	return fmt.Sprintf("the client's own rate limit allows the request in %s at the earliest: %s",
		e.Wait, context.DeadlineExceeded)
}

// Unwrap returns [context.DeadlineExceeded].
func (e *PaceError) Unwrap() error { return context.DeadlineExceeded }

// seconds converts seconds to a time.Duration. The result is limited to longest, because a
// time.Duration cannot represent very long waits.
func seconds(n float64) time.Duration {
	const longest = 1e9
	return time.Duration(min(n, longest) * float64(time.Second)).Round(time.Millisecond)
}

// New returns a limiter that releases at most the given number of requests in any window: a burst
// of up to 10% of them, the rest spread evenly. It rejects a caller that a hold would delay for
// longer than maxHold.
func New(requests int, window, maxHold time.Duration) *Limiter {
	burst := max(1, requests/10)
	// In any window the limiter releases at most burst + rate·window requests. It leaves 1% of the
	// quota unused, because the network may deliver requests closer together than they were sent. A
	// burst of one request is part of the rate.
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

// Before returns a limiter that waits for the end of a hold and then calls next, which paces the
// requests. If next is nil, only holds delay a caller.
func Before(next Next, maxHold time.Duration) *Limiter {
	return &Limiter{queue: &queue{next: next, holdChanged: make(chan struct{})}, maxHold: maxHold}
}

// WithMaxHold returns a limiter with the same quota and holds. Its callers wait at most d for the
// end of a hold.
func (l *Limiter) WithMaxHold(d time.Duration) *Limiter { return &Limiter{l.queue, d} }

// Hold delays all callers until the given time, including those that already wait. It rejects
// waiters that would then be too late for their deadline. It never shortens a hold.
func (l *Limiter) Hold(until time.Time) {
	if l.hold(until) {
		if next, ok := l.next.(interface{ Hold(until time.Time) }); ok {
			next.Hold(until)
		}
	}
}

// firstThrottle is the first hold after a 429 without a Retry-After.
const firstThrottle = 5 * time.Second

// Throttled begins a hold because of a 429. after is the time from the Retry-After header. If it is
// 0, the hold lasts 5s, doubled with each such 429 until [Limiter.Recovered], up to the maxHold of
// l.
func (l *Limiter) Throttled(after time.Duration) {
	now := time.Now()
	if after == 0 {
		l.mu.Lock()
		if l.until.After(now) {
			l.mu.Unlock()
			return // requests sent at the same time count once
		}
		after = min(firstThrottle<<min(l.throttled, 16), l.maxHold)
		l.throttled++
		l.mu.Unlock()
	}
	l.Hold(now.Add(after))
}

// Recovered records that the server responded with another status than 429.
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

	ahead := 0 // waiters that stay in the queue
	for e := q.waiters.Front(); e != nil; {
		w, next := e.Value.(*waiter), e.Next()
		err := q.checkWait(w, now, ahead)
		switch {
		case err == nil:
			ahead++
		case !w.called: // the first waiter checks the hold itself
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

// Held returns the remaining time of the hold, or 0 if there is none.
func (l *Limiter) Held() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, time.Until(l.until))
}

// Wait blocks until its caller may send one request. It fails at once with a [*HeldError] if the
// hold lasts longer than the context or maxHold, and with a [*PaceError] if the quota does not
// allow the request before the context's deadline. When the context ends, it returns the context's
// error.
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

// take takes a token and reports whether one was available.
func (q *queue) take(now time.Time) bool {
	q.drainAfterHold(now)
	return !q.until.After(now) && (q.rate == nil || q.rate.AllowN(now, 1))
}

// drainAfterHold discards all but one of the tokens gathered during a hold, so that the delayed
// requests are not sent all at once.
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

// checkWait returns an error if a caller with that many callers ahead of it cannot be released in
// time.
func (q *queue) checkWait(w *waiter, now time.Time, ahead int) error {
	if err := q.checkHold(w, now); err != nil || q.rate == nil {
		return err
	}
	start, tokens := now, q.rate.TokensAt(now)
	switch {
	case q.until.After(now):
		// When the hold ends, at most one token is available. The reservation of the first waiter
		// is returned.
		start, tokens = q.until, q.rate.TokensAt(q.until)
		if q.reserved {
			tokens++
		}
		tokens = min(tokens, 1)
	case q.reserved:
		ahead-- // the first waiter's token is taken already
	}
	wait := max(0, float64(ahead+1)-tokens) / float64(q.rate.Limit())
	return checkPace(w.ctx, start.Sub(now).Seconds()+wait, now)
}

// checkPace returns an error if a wait of that many seconds ends after the context's deadline.
func checkPace(ctx context.Context, wait float64, now time.Time) error {
	deadline, ok := ctx.Deadline()
	if !ok || wait <= deadline.Sub(now).Seconds() {
		return nil
	}
	return &PaceError{Wait: seconds(wait)}
}

// checkHold returns an error if the hold lasts too long for this caller.
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

// waitForToken waits for the end of a hold and then for a token. The caller must be first in the
// queue; it has left the queue when waitForToken returns. Only the first waiter has a reservation,
// so canceling a reservation returns the whole token.
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

// sleep unlocks the mutex and waits until d has passed, the hold changes or the context ends. It
// returns an error if the context ended.
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

// leave removes a waiter from the queue, if it is still there.
func (q *queue) leave(w *waiter) {
	q.waiters.Remove(w.element)
	q.callFirst()
}

// callFirst wakes the first waiter in the queue.
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
