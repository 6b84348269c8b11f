// Package retry decides which attempts may be retried, and after what delay.
package retry

import (
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter is the maximum that is used of a Retry-After header.
const maxRetryAfter = 24 * time.Hour

// RetryableStatus reports whether a request may be retried after a response with this status, if
// its method allows a retry.
func RetryableStatus(code int) bool {
	switch code {
	case http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return 520 <= code && code <= 530
}

// Transient reports whether an attempt that failed with err, without a complete response, may
// succeed if it is retried. An invalid certificate, or a server that does not use TLS, is not fixed
// within seconds.
func Transient(err error) bool {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	return !certificate && !record && !errors.Is(err, http.ErrSchemeMismatch)
}

// Delays are the delays between the attempts of one call, with full jitter: delay n is random
// between 0 and base·2ⁿ, and at most max.
type Delays struct{ bound, max time.Duration }

// NewDelays returns the delays of one call.
func NewDelays(base, max time.Duration) *Delays { return &Delays{min(base, max), max} }

// Next returns the next delay.
func (d *Delays) Next() time.Duration {
	if d.bound <= 0 {
		return 0
	}
	bound := d.bound
	if d.bound > d.max/2 {
		d.bound = d.max
	} else {
		d.bound *= 2
	}
	return rand.N(bound)
}

// ParseRetryAfter returns the delay in a Retry-After header, at most one day. It returns 0 if the
// header is missing or invalid. A date is compared with the Date header of the response, or with
// now if there is none.
func ParseRetryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	} else if errors.Is(err, strconv.ErrRange) {
		return maxRetryAfter
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
