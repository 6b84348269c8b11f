package retry_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/retry"
)

func TestRetryableStatus_AllCodes(t *testing.T) {
	t.Parallel()
	retried := []int{429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527, 528, 529, 530}
	for code := 100; code < 600; code++ {
		assert.Equal(t, slices.Contains(retried, code), retry.RetryableStatus(code), "status %d",
			code)
	}
	assert.False(t, retry.RetryableStatus(0), "no response")
}

func TestTransient_Errors(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		err  error
		want bool
	}{
		{"connection cut", io.ErrUnexpectedEOF, true},
		{"timeout", context.DeadlineExceeded, true},
		{"handshake cut", errors.New("tls: handshake failure"), true},
		{"unknown certificate authority", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, false},
		{"no TLS", tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, false},
		{"HTTP instead of HTTPS", http.ErrSchemeMismatch, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, c.want, retry.Transient(c.err))
			wrapped := fmt.Errorf("dialing: %w", &url.Error{Op: "Get", URL: "/", Err: c.err})
			assert.Equal(t, c.want, retry.Transient(wrapped), "wrapped")
		})
	}
}

func TestParseRetryAfter_Forms(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	in := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	const day = 24 * time.Hour
	cases := []struct {
		name, after, date string
		want              time.Duration
	}{
		{"missing", "", "", 0},
		{"blank", "  ", "", 0},
		{"seconds", "120", "", 2 * time.Minute},
		{"seconds with space around", " 120 ", "", 2 * time.Minute},
		{"zero", "0", "", 0},
		{"a day", "86400", "", day},
		{"more than a day", "86401", "", day},
		{"more than the maximum Duration", "9223372037", "", day},
		{"the maximum of 64 bits", "18446744073709551615", "", day},
		{"more than 64 bits", "18446744073709551616", "", day},
		{"very many digits", strings.Repeat("9", 1000), "", day},
		{"negative", "-5", "", 0},
		{"very negative", "-" + strings.Repeat("9", 1000), "", 0},
		{"fraction", "1.5", "", 0},
		{"unit", "5s", "", 0},
		{"hexadecimal", "0x10", "", 0},
		{"words", "soon", "", 0},
		{"date", now.Add(90 * time.Second).Format(http.TimeFormat), "", 90 * time.Second},
		{"date in the past", now.Add(-time.Hour).Format(http.TimeFormat), "", 0},
		{"date in the far future", now.Add(1000 * day).Format(http.TimeFormat), "", day},
		{"date in the year 9999", "Fri, 31 Dec 9999 23:59:59 GMT", "", day},
		{"date in the year 1", "Mon, 01 Jan 0001 00:00:00 GMT", "", 0},
		{
			"server clock an hour ahead", in(time.Hour + 30*time.Second), in(time.Hour),
			30 * time.Second,
		},
		{
			"server clock an hour behind", in(-time.Hour + 30*time.Second), in(-time.Hour),
			30 * time.Second,
		},
		{"date, and an invalid Date", now.Add(time.Minute).Format(http.TimeFormat), "yesterday", time.Minute},
		{"seconds, and a Date", "7", now.Add(time.Hour).Format(http.TimeFormat), 7 * time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{}
			if c.after != "" {
				header.Set("Retry-After", c.after)
			}
			if c.date != "" {
				header.Set("Date", c.date)
			}
			assert.Equal(t, c.want, retry.ParseRetryAfter(header, now))
		})
	}
	assert.Zero(t, retry.ParseRetryAfter(nil, now), "nil header")
}

func TestDelays_Bounds(t *testing.T) {
	t.Parallel()
	cases := []struct{ base, max time.Duration }{
		{500 * time.Millisecond, 30 * time.Second},
		{time.Second, time.Second},
		{time.Second, 3 * time.Second},
		{7, 1000},
		{1, 1},
	}
	for _, c := range cases {
		t.Run(c.base.String()+" to "+c.max.String(), func(t *testing.T) {
			t.Parallel()
			for range 300 {
				delays := retry.NewDelays(c.base, c.max)
				bound := c.base
				for n := range 12 {
					if delay := delays.Next(); delay < 0 || delay > bound {
						require.Failf(t, "out of range", "delay %d is %s, the maximum %s", n, delay,
							bound)
					}
					bound = min(2*bound, c.max)
				}
			}
		})
	}
}

// With full jitter, calls that failed at the same time do not retry at the same time.
func TestDelays_FullJitter(t *testing.T) {
	t.Parallel()
	const calls, tenths = 2000, 10
	base, max := time.Second, 8*time.Second
	var counts [6][tenths]int
	for range calls {
		delays := retry.NewDelays(base, max)
		for n := range counts {
			bound := min(base<<n, max)
			counts[n][min(int(tenths*delays.Next()/bound), tenths-1)]++
		}
	}
	for n := range counts {
		for tenth, count := range counts[n] {
			// The expected value is 200, with a standard deviation of 13.
			assert.InDelta(t, calls/tenths, count, 100, "delay %d, tenth %d", n, tenth)
		}
	}
}
