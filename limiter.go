package cftunnel

import (
	"context"
	"math"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/limiter"
)

// QuotaLimiter is a quota that several clients of one process share: give it to each by [WithLimiter].
// Create it with [NewLimiter]. It is safe for concurrent use.
type QuotaLimiter struct{ limiter *limiter.Limiter }

// NewLimiter returns a limiter that releases at most requests in any window, as [WithRateLimit]
// describes.
func NewLimiter(requests int, window time.Duration) (*QuotaLimiter, error) {
	if err := checkQuota(requests, window); err != nil {
		return nil, err
	}
	return &QuotaLimiter{limiter.New(requests, window, math.MaxInt64)}, nil
}

// Wait returns when a request may be sent. It returns an error at once if that is not before the
// context's deadline, and the context's error when the context ends.
func (l *QuotaLimiter) Wait(ctx context.Context) error {
	switch {
	case l == nil || l.limiter == nil:
		return invalid("limiter", "is nil or zero; create it with NewLimiter")
	case ctx == nil:
		return invalid("ctx", "is nil")
	}
	return l.limiter.Wait(ctx)
}

// Hold delays every caller until then. It never shortens an earlier hold.
func (l *QuotaLimiter) Hold(until time.Time) {
	if l != nil && l.limiter != nil {
		l.limiter.Hold(until)
	}
}
