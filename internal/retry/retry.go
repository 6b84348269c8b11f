// Package retry says when an attempt may be repeated and how long to wait before.
package retry

import (
	"crypto/tls"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// maxAfter bounds what is believed of a Retry-After header.
const maxAfter = 24 * time.Hour

// Status reports whether an answer with this status may be followed by another attempt, if the method allows it.
func Status(code int) bool {
	switch code {
	case http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return 520 <= code && code <= 530
}

// Broken reports whether an attempt that ended without a whole answer may go better another time. A certificate that does not verify
// or a server that does not speak TLS will not mend within seconds.
func Broken(err error) bool {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	return !certificate && !record && !errors.Is(err, http.ErrSchemeMismatch)
}

// Idempotent reports whether doing the work of a request with this method twice is the same as doing it once.
func Idempotent(method string) bool { return method != http.MethodPost }

// Delays are the pauses between the attempts of one call: full jitter, so the n-th is anywhere between nothing and base·2ⁿ, at most max.
type Delays struct{ exponential backoff.ExponentialBackOff }

// NewDelays returns the pauses of one call.
func NewDelays(base, max time.Duration) *Delays {
	// The library spreads a delay around its interval; a spread of the whole interval around half of it is full jitter.
	return &Delays{backoff.ExponentialBackOff{
		InitialInterval: base / 2, MaxInterval: max / 2, Multiplier: 2, RandomizationFactor: 1,
	}}
}

// Next returns the next pause.
func (d *Delays) Next() time.Duration { return d.exponential.NextBackOff() }

// After reads a Retry-After header, in seconds or as a date, which is taken against the answer's own Date where it has one. It is zero
// where there is none to be understood, and never more than a day.
func After(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(maxAfter/time.Second))) * time.Second
	} else if errors.Is(err, strconv.ErrRange) {
		return maxAfter
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), maxAfter)
}
