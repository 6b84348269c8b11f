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
	queue    list.List // of chan struct{}, closed when its caller comes to the front
	reserved bool      // the caller at the front has taken its token and waits for its time
	until    time.Time // the end of the hold
	drain    bool      // the hold's end is to find no burst
	moved    chan struct{}
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
	if !until.After(g.until) {
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
	if err := g.inTime(ctx, time.Now()); err != nil {
		g.mu.Unlock()
		return err
	}
	turn := make(chan struct{})
	place := g.queue.PushBack(turn)
	g.callFront()
	g.mu.Unlock()
	defer g.leave(place)

	if err := g.comeToFront(ctx, turn); err != nil {
		return err
	}
	return g.takeToken(ctx)
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
	if g.limiter == nil {
		return
	}
	if spare := int(g.limiter.TokensAt(now)) - 1; spare > 0 {
		g.limiter.AllowN(now, spare)
	}
}

// inTime says why a caller that now takes the last place cannot be let through in time, or nil.
func (g *Gate) inTime(ctx context.Context, now time.Time) error {
	if err := g.patient(ctx, now); err != nil || g.limiter == nil {
		return err
	}
	ahead := g.queue.Len()
	if g.reserved {
		ahead--
	}
	start, tokens := now, g.limiter.TokensAt(now)
	if g.until.After(now) {
		start, tokens = g.until, 1
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

// comeToFront waits for the caller's turn. A hold that begins meanwhile and lasts too long sends it away at once.
func (g *Gate) comeToFront(ctx context.Context, turn <-chan struct{}) error {
	for {
		g.mu.Lock()
		err, moved := g.patient(ctx, time.Now()), g.moved
		g.mu.Unlock()
		if err != nil {
			return err
		}
		select {
		case <-turn:
			return nil
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// takeToken waits at the front for the end of a hold and then for a token. Only the front has a reservation, so one that is given back
// is given back whole.
func (g *Gate) takeToken(ctx context.Context) error {
	for {
		g.mu.Lock()
		now, moved := time.Now(), g.moved
		if err := g.patient(ctx, now); err != nil {
			g.mu.Unlock()
			return err
		}
		if g.pass(now) {
			g.mu.Unlock()
			return nil
		}
		wait := g.until.Sub(now)
		var reservation *rate.Reservation
		if wait <= 0 {
			reservation = g.limiter.ReserveN(now, 1)
			wait = reservation.DelayFrom(now)
			if err := tooLate(ctx, wait.Seconds(), now); err != nil {
				reservation.CancelAt(now)
				g.mu.Unlock()
				return err
			}
			g.reserved = true
		}
		g.mu.Unlock()

		err := sleep(ctx, wait, moved)

		if reservation == nil {
			if err != nil && err != errMoved {
				return err
			}
			continue
		}
		g.mu.Lock()
		g.reserved = false
		if err != nil {
			reservation.CancelAt(time.Now())
		}
		g.mu.Unlock()
		if err != errMoved {
			return err
		}
	}
}

func (g *Gate) leave(place *list.Element) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.queue.Remove(place)
	g.callFront()
}

// callFront tells the first in the queue that it is.
func (g *Gate) callFront() {
	front := g.queue.Front()
	if front == nil {
		return
	}
	turn := front.Value.(chan struct{})
	select {
	case <-turn:
	default:
		close(turn)
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
