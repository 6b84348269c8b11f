// Package retry says which attempts may be repeated, when, and after what pause.
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

// maxRetryAfter bounds what is believed of a Retry-After header.
const maxRetryAfter = 24 * time.Hour

// RetryableStatus reports whether a response with this status may be followed by another attempt, if
// the method allows it.
func RetryableStatus(code int) bool {
	switch code {
	case http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return 520 <= code && code <= 530
}

// Transient reports whether an attempt that ended without a whole response may succeed another time.
// A certificate that does not verify, or a server that does not speak TLS, stays so for more than
// seconds.
func Transient(err error) bool {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	return !certificate && !record && !errors.Is(err, http.ErrSchemeMismatch)
}

// Delays are the pauses between the attempts of one call, with full jitter: the n-th is random,
// between 0 and base·2ⁿ, at most max.
type Delays struct{ bound, max time.Duration }

// NewDelays returns the pauses of one call.
func NewDelays(base, max time.Duration) *Delays { return &Delays{min(base, max), max} }

// Next returns the next pause.
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

// ParseRetryAfter reads a Retry-After header, in seconds or as a date, which is compared with the
// response's own Date if it has one. It is zero if there is none that can be read, and at most a day.
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
