// Package pace keeps a family of callers below a quota of requests, and back while the server has told it to wait.
package pace

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Gate lets callers through in the order in which they came: after a hold, then each as the quota allows. It starts no goroutine.
type Gate struct {
	maxHold time.Duration
	limiter *rate.Limiter // nil where only holds count

	mu       sync.Mutex
	queue    list.List // of *place
	reserved bool      // the caller at the front has taken its token and waits for its time
	until    time.Time // the end of the hold
	drain    bool      // the hold's end is to find no burst
	moved    chan struct{}
}

// place is a caller's in the queue.
type place struct {
	ctx     context.Context
	element *list.Element
	wake    chan struct{} // closed when it comes to the front, or is sent away
	called  bool
	err     error // why it was sent away
}

// HeldError says that a hold lasts longer than a caller is ready to wait.
type HeldError struct{ Rest time.Duration }

func (e *HeldError) Error() string {
	return fmt.Sprintf("the server asked for no requests for another %s", e.Rest.Round(time.Millisecond))
}

// about is a length of time that no Duration may hold.
func about(seconds float64) time.Duration {
	const longest = 1e9
	return time.Duration(min(seconds, longest) * float64(time.Second)).Round(time.Millisecond)
}

// New returns a gate that lets at most requests through in any window. A tenth of them may come at once, the rest evenly. Callers that
// would be held for longer than maxHold are turned away.
func New(requests int, window, maxHold time.Duration) *Gate {
	burst := max(1, requests/10)
	// In any window at most burst + rate·window requests pass; a hundredth of the quota stays free for what the network squeezes
	// together. Where the burst is a single request, its own place in the quota counts towards the rate.
	perWindow := 0.99*float64(requests) - float64(burst)
	if burst == 1 {
		perWindow = 0.99 * float64(requests)
	}
	return &Gate{
		maxHold: maxHold,
		limiter: rate.NewLimiter(rate.Limit(perWindow/window.Seconds()), burst),
		moved:   make(chan struct{}),
	}
}

// NewHold returns a gate without a quota.
func NewHold(maxHold time.Duration) *Gate {
	return &Gate{maxHold: maxHold, moved: make(chan struct{})}
}

// Hold keeps everybody back until then, those who wait already too, and sends away whom it makes too late. It never shortens a hold.
func (g *Gate) Hold(until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if !until.After(g.until) || !until.After(now) {
		return
	}
	g.until, g.drain = until, true
	close(g.moved)
	g.moved = make(chan struct{})

	ahead := 0 // of those who stay
	for e := g.queue.Front(); e != nil; {
		p, next := e.Value.(*place), e.Next()
		err := g.inTime(p.ctx, now, ahead)
		switch {
		case err == nil:
			ahead++
		case !p.called: // the front finds out by itself
			p.err, p.called = err, true
			g.queue.Remove(e)
			close(p.wake)
		}
		e = next
	}
}

// Held returns how long the hold still lasts.
func (g *Gate) Held() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(0, time.Until(g.until))
}

// Wait returns nil when its caller may send one request. It returns at once with a *HeldError where the hold outlasts the context or the
// gate's patience, with an error that wraps context.DeadlineExceeded where the quota alone cannot let it through in time, and with the
// context's error when that ends.
func (g *Gate) Wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	g.mu.Lock()
	now := time.Now()
	g.settle(now)
	if g.queue.Len() == 0 && g.pass(now) {
		g.mu.Unlock()
		return nil
	}
	if err := g.inTime(ctx, now, g.queue.Len()); err != nil {
		g.mu.Unlock()
		return err
	}
	p := &place{ctx: ctx, wake: make(chan struct{})}
	p.element = g.queue.PushBack(p)
	g.callFront()
	g.mu.Unlock()

	select {
	case <-p.wake:
	case <-ctx.Done():
		g.mu.Lock()
		defer g.mu.Unlock()
		g.leave(p)
		return ctx.Err()
	}
	if p.err != nil {
		return p.err
	}
	return g.takeToken(p)
}

// pass takes a token where that needs no waiting.
func (g *Gate) pass(now time.Time) bool {
	g.settle(now)
	return !g.until.After(now) && (g.limiter == nil || g.limiter.AllowN(now, 1))
}

// settle takes away, once a hold is over, what the bucket gathered in it, all but one token: those who were held must not come at once.
func (g *Gate) settle(now time.Time) {
	if !g.drain || g.until.After(now) {
		return
	}
	g.drain = false
	if g.limiter != nil && g.limiter.TokensAt(g.until) > 1 {
		g.limiter = rate.NewLimiter(g.limiter.Limit(), g.limiter.Burst())
		g.limiter.AllowN(g.until, g.limiter.Burst()-1)
	}
}

// inTime says why a caller with so many ahead of it cannot be let through in time, or nil.
func (g *Gate) inTime(ctx context.Context, now time.Time, ahead int) error {
	if err := g.patient(ctx, now); err != nil || g.limiter == nil {
		return err
	}
	start, tokens := now, g.limiter.TokensAt(now)
	switch {
	case g.until.After(now):
		// At its end the bucket holds one token, or what it has gathered if that is less. A reservation is given back for it.
		start, tokens = g.until, g.limiter.TokensAt(g.until)
		if g.reserved {
			tokens++
		}
		tokens = min(tokens, 1)
	case g.reserved:
		ahead-- // its token is taken
	}
	seconds := max(0, float64(ahead+1)-tokens) / float64(g.limiter.Limit())
	return tooLate(ctx, start.Sub(now).Seconds()+seconds, now)
}

// tooLate says that a wait of so many seconds outlasts the context, or nil.
func tooLate(ctx context.Context, seconds float64, now time.Time) error {
	deadline, ok := ctx.Deadline()
	if !ok || seconds <= deadline.Sub(now).Seconds() {
		return nil
	}
	return fmt.Errorf("the client's own rate limit allows it in %s at the earliest: %w", about(seconds), context.DeadlineExceeded)
}

// patient says that the hold lasts too long for this caller, or nil.
func (g *Gate) patient(ctx context.Context, now time.Time) error {
	rest := g.until.Sub(now)
	if rest <= 0 {
		return nil
	}
	if deadline, ok := ctx.Deadline(); rest > g.maxHold || ok && g.until.After(deadline) {
		return &HeldError{Rest: rest}
	}
	return nil
}

// takeToken waits at the front for the end of a hold and then for a token, and leaves the queue with it or with an error. Only the front
// has a reservation, so one that is given back is given back whole.
func (g *Gate) takeToken(p *place) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.leave(p)
	for {
		now := time.Now()
		if err := g.inTime(p.ctx, now, 0); err != nil {
			return err
		}
		if g.pass(now) {
			return nil
		}
		if wait := g.until.Sub(now); wait > 0 {
			if err := g.sleep(p.ctx, wait); err != nil {
				return err
			}
			continue
		}
		reservation := g.limiter.ReserveN(now, 1)
		g.reserved = true
		err := g.sleep(p.ctx, reservation.DelayFrom(now))
		g.reserved = false
		now = time.Now()
		if err == nil && !g.until.After(now) && reservation.DelayFrom(now) == 0 {
			return nil
		}
		reservation.CancelAt(now)
		if err != nil {
			return err
		}
	}
}

// sleep lets go of the mutex, and waits until the time is over, a new hold begins, or the context ends, which is an error.
func (g *Gate) sleep(ctx context.Context, d time.Duration) error {
	moved := g.moved
	g.mu.Unlock()
	defer g.mu.Lock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-moved:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// leave does nothing for a place that is not in the queue any more.
func (g *Gate) leave(p *place) {
	g.queue.Remove(p.element)
	g.callFront()
}

// callFront tells the first in the queue that it is.
func (g *Gate) callFront() {
	front := g.queue.Front()
	if front == nil {
		return
	}
	p := front.Value.(*place)
	if !p.called {
		p.called = true
		close(p.wake)
	}
}
