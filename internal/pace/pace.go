// Package pace keeps a family of callers below a quota of requests, and back while the server has told it to wait.
package pace

import (
	"container/list"
	"context"
	"errors"
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
	element *list.Element
	turn    chan struct{} // closed when it comes to the front
	called  bool
	moved   <-chan struct{} // closed by the first hold that the caller has not considered
}

// HeldError says that a hold lasts longer than a caller is ready to wait.
type HeldError struct{ Rest time.Duration }

func (e *HeldError) Error() string {
	return fmt.Sprintf("the server asked for no requests for another %s", e.Rest.Round(time.Millisecond))
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

// Hold keeps everybody back until then, those who wait already too. It never shortens a hold.
func (g *Gate) Hold(until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !until.After(g.until) || !until.After(time.Now()) {
		return
	}
	g.until, g.drain = until, true
	close(g.moved)
	g.moved = make(chan struct{})
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
	if g.queue.Len() == 0 && g.pass(time.Now()) {
		g.mu.Unlock()
		return nil
	}
	if err := g.inTime(ctx, time.Now(), g.queue.Len()); err != nil {
		g.mu.Unlock()
		return err
	}
	p := &place{turn: make(chan struct{}), moved: g.moved}
	p.element = g.queue.PushBack(p)
	g.callFront()
	g.mu.Unlock()

	err := g.comeToFront(ctx, p)
	if err == nil {
		err = g.takeToken(ctx, p)
	}
	if err != nil {
		g.mu.Lock()
		g.leave(p)
		g.mu.Unlock()
	}
	return err
}

// pass takes a token where that needs no waiting.
func (g *Gate) pass(now time.Time) bool {
	if g.until.After(now) {
		return false
	}
	g.settle(now)
	return g.limiter == nil || g.limiter.AllowN(now, 1)
}

// settle takes away what the bucket gathered during a hold, all but one token: those who were held must not come at once.
func (g *Gate) settle(now time.Time) {
	if !g.drain {
		return
	}
	g.drain = false
	if g.limiter != nil && g.limiter.TokensAt(now) > 1 {
		g.limiter = rate.NewLimiter(g.limiter.Limit(), g.limiter.Burst())
		g.limiter.AllowN(now, g.limiter.Burst()-1)
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
	return fmt.Errorf("the rate limit allows it in %.3g s at the earliest: %w", seconds, context.DeadlineExceeded)
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

// comeToFront waits for the caller's turn. A hold that begins meanwhile and makes it late sends it away at once.
func (g *Gate) comeToFront(ctx context.Context, p *place) error {
	for {
		select {
		case <-p.turn:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-p.moved:
		}
		g.mu.Lock()
		err := g.inTime(ctx, time.Now(), g.ahead(p))
		p.moved = g.moved
		g.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// takeToken waits at the front for the end of a hold and then for a token, and leaves the queue with it. Only the front has a
// reservation, so one that is given back is given back whole.
func (g *Gate) takeToken(ctx context.Context, p *place) error {
	for {
		g.mu.Lock()
		now, moved := time.Now(), g.moved
		if err := g.inTime(ctx, now, 0); err != nil {
			g.mu.Unlock()
			return err
		}
		if g.pass(now) {
			g.leave(p)
			g.mu.Unlock()
			return nil
		}
		wait := g.until.Sub(now)
		var reservation *rate.Reservation
		if wait <= 0 {
			reservation = g.limiter.ReserveN(now, 1)
			wait = reservation.DelayFrom(now)
			g.reserved = true
		}
		g.mu.Unlock()

		err := sleep(ctx, wait, moved)

		g.mu.Lock()
		g.reserved = false
		switch {
		case err == nil && reservation != nil:
			g.leave(p)
			g.mu.Unlock()
			return nil
		case reservation != nil:
			reservation.CancelAt(time.Now())
		}
		g.mu.Unlock()
		if err != nil && err != errMoved {
			return err
		}
	}
}

// ahead counts those before a caller.
func (g *Gate) ahead(p *place) int {
	n := 0
	for e := p.element.Prev(); e != nil; e = e.Prev() {
		n++
	}
	return n
}

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
		close(p.turn)
	}
}

var errMoved = errors.New("a new hold has begun")

func sleep(ctx context.Context, d time.Duration, moved <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-moved:
		return errMoved
	case <-ctx.Done():
		return ctx.Err()
	}
}
