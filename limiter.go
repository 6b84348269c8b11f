package cftunnel

import (
	"context"
	"math"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/limiter"
)

// QuotaLimiter is a rate limit that several clients of one process share. Create it with
// [NewLimiter] and pass it to each client by [WithLimiter]. It is safe for concurrent use.
type QuotaLimiter struct{ limiter *limiter.Limiter }

// NewLimiter returns a limiter that allows at most the given number of requests in any window of
// the given length. [WithRateLimit] describes how it spreads them.
//
// It returns an [*InvalidArgumentError] if an argument is not positive.
func NewLimiter(requests int, window time.Duration) (*QuotaLimiter, error) {
	if err := checkQuota(requests, window); err != nil {
		return nil, err
	}
	return &QuotaLimiter{limiter.New(requests, window, math.MaxInt64)}, nil
}

// Wait blocks until a request may be sent. If that time is after the context's deadline, Wait
// returns an error at once. If the context ends during the wait, it returns the context's error.
func (l *QuotaLimiter) Wait(ctx context.Context) error {
	switch {
	case l == nil || l.limiter == nil:
		return invalid("limiter", "is nil or zero; create it with NewLimiter")
	case ctx == nil:
		return invalid("ctx", "is nil")
	}
	return l.limiter.Wait(ctx)
}

// Hold delays all requests until the given time. It never shortens an earlier hold.
func (l *QuotaLimiter) Hold(until time.Time) {
	if l != nil && l.limiter != nil {
		l.limiter.Hold(until)
	}
}
