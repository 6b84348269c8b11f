package matrix

import (
	"bytes"
	"compress/gzip"
	"context"
	"net/http"
	"strings"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// Who may be sent again after a fault.
const (
	Nobody = iota
	Idempotent
	Everybody
)

// Fault is something that goes wrong with a request, and what a call must make of it.
type Fault struct {
	Name string
	// Refused has no server that listens. Otherwise Server is what goes wrong there.
	Refused bool
	Server  tunneltest.Fault
	// Timeout is that of one attempt, zero for the client's default, and MaxBytes the same for the length of an answer.
	Timeout  time.Duration
	MaxBytes int64

	// Harmless means that the call succeeds all the same. HarmlessWithoutResult means so for methods that need nothing of the answer's result.
	Harmless, HarmlessWithoutResult bool
	// Status is that of the error.
	Status int
	// Again is who is sent again.
	Again int
	// Doubt means that a write may have been carried out, for all that the client can know.
	Doubt bool
	// Is is what the error is too.
	Is []error
	// RetryAfter is the error's.
	RetryAfter time.Duration
	// Body is in the error.
	Body string
}

// Works reports whether the server does what it is asked for.
func (f Fault) Works() bool {
	replaced := f.Server.Status != 0 || f.Server.Body != ""
	return !f.Refused && f.Server.Cut != tunneltest.CutBefore && (!replaced || f.Server.Work)
}

// Faults is every fault.
func Faults() []Fault {
	success := func(result string) string {
		return `{"success":true,"errors":[],"messages":[],"result":` + result + `}`
	}
	failure := func(text string) string {
		return `{"success":false,"errors":[{"code":1234,"message":"` + text + `"}],"messages":[],"result":null}`
	}
	const page = "<html><head><title>Bad gateway</title></head></html>"
	html := http.Header{"Content-Type": {"text/html"}}
	faults := []Fault{
		{Name: "connection refused", Refused: true, Again: Everybody},
		{Name: "cut before the request is read", Server: tunneltest.Fault{Cut: tunneltest.CutBefore}, Again: Idempotent, Doubt: true},
		{Name: "cut after the work", Server: tunneltest.Fault{Cut: tunneltest.CutAfter}, Again: Idempotent, Doubt: true},
		{Name: "cut inside the answer", Server: tunneltest.Fault{Cut: tunneltest.CutInside}, Status: 200, Again: Idempotent, Doubt: true},
		{
			Name: "slower than the timeout", Server: tunneltest.Fault{Delay: time.Hour}, Timeout: time.Second,
			Again: Idempotent, Doubt: true, Is: []error{context.DeadlineExceeded},
		},
		{Name: "408", Server: tunneltest.Fault{Status: 408, Body: failure("timeout")}, Status: 408},
		{Name: "425", Server: tunneltest.Fault{Status: 425, Body: failure("early")}, Status: 425},
		{Name: "429", Server: tunneltest.Fault{Status: 429, Body: failure("many")}, Status: 429, Again: Everybody, Is: []error{cftunnel.ErrRateLimited}},
		{
			Name: "429 with seconds", Server: tunneltest.Fault{Status: 429, Header: http.Header{"Retry-After": {"2"}}},
			Status: 429, Again: Everybody, Is: []error{cftunnel.ErrRateLimited}, RetryAfter: 2 * time.Second,
		},
		{
			Name: "429 with a date", Server: tunneltest.Fault{Status: 429, Header: http.Header{
				"Date": {"Sat, 01 Jan 2000 00:00:00 GMT"}, "Retry-After": {"Sat, 01 Jan 2000 00:00:03 GMT"},
			}},
			Status: 429, Again: Everybody, Is: []error{cftunnel.ErrRateLimited}, RetryAfter: 3 * time.Second,
		},
		{
			Name: "429 for five minutes", Server: tunneltest.Fault{Status: 429, Header: http.Header{"Retry-After": {"300"}}},
			Status: 429, Is: []error{cftunnel.ErrRateLimited}, RetryAfter: 5 * time.Minute,
		},
		{
			Name: "500", Server: tunneltest.Fault{Status: 500, Body: failure("oops")}, Status: 500, Again: Idempotent, Doubt: true,
			Is: []error{cftunnel.ErrServer}, Body: "1234: oops",
		},
		{
			Name: "500 after the work", Server: tunneltest.Fault{Status: 500, Body: failure("oops"), Work: true}, Status: 500, Again: Idempotent, Doubt: true,
			Is: []error{cftunnel.ErrServer}, Body: "1234: oops",
		},
		{
			Name: "502 in HTML", Server: tunneltest.Fault{Status: 502, Body: page, Header: html}, Status: 502, Again: Idempotent, Doubt: true,
			Is: []error{cftunnel.ErrServer}, Body: "Bad gateway",
		},
		{Name: "503 empty", Server: tunneltest.Fault{Status: 503}, Status: 503, Again: Idempotent, Doubt: true, Is: []error{cftunnel.ErrServer}},
		{Name: "504", Server: tunneltest.Fault{Status: 504, Work: true}, Status: 504, Again: Idempotent, Doubt: true, Is: []error{cftunnel.ErrServer}},
		{Name: "522", Server: tunneltest.Fault{Status: 522}, Status: 522, Again: Idempotent, Doubt: true, Is: []error{cftunnel.ErrServer}},
		{Name: "501", Server: tunneltest.Fault{Status: 501}, Status: 501, Doubt: true, Is: []error{cftunnel.ErrServer}},
		{Name: "200 without success", Server: tunneltest.Fault{Status: 200, Body: failure("no")}, Status: 200, Body: "1234: no"},
		{
			Name: "200 truncated", Server: tunneltest.Fault{Status: 200, Body: `{"success":true,"errors":[],"messages":[],"res`, Work: true},
			Status: 200, Doubt: true,
		},
		{Name: "200 empty", Server: tunneltest.Fault{Status: 200, Body: " ", Work: true}, Status: 200, Doubt: true},
		{Name: "200 in HTML", Server: tunneltest.Fault{Status: 200, Body: page, Header: html, Work: true}, Status: 200, Doubt: true},
		{
			Name: "a result of the wrong type", Server: tunneltest.Fault{Status: 200, Body: success("12345"), Work: true},
			Status: 200, Doubt: true, HarmlessWithoutResult: true,
		},
		{Name: "a list for an envelope", Server: tunneltest.Fault{Status: 200, Body: `[]`, Work: true}, Status: 200, Doubt: true},
		{Name: "a wrong Content-Type", Server: tunneltest.Fault{Header: html}, Harmless: true},
		{Name: "no Content-Type", Server: tunneltest.Fault{Header: http.Header{"Content-Type": {""}}}, Harmless: true},
		{
			Name: "gzip cut short",
			Server: tunneltest.Fault{
				Status: 200, Body: cutShort(success(`"` + strings.Repeat("x", 1000) + `"`)), Header: http.Header{"Content-Encoding": {"gzip"}}, Work: true,
			},
			Status: 200, Again: Idempotent, Doubt: true,
		},
		{
			Name: "headers of 2 MiB", Server: tunneltest.Fault{Header: http.Header{"X-Much": {strings.Repeat("x", 2<<20)}}},
			Again: Idempotent, Doubt: true,
		},
		{
			Name: "an answer beyond the limit", Server: tunneltest.Fault{Status: 200, Body: success(`"` + strings.Repeat("x", 1<<16) + `"`), Work: true},
			MaxBytes: 1 << 15, Status: 200, Doubt: true,
		},
		{
			Name: "the connection closes after the answer", Server: tunneltest.Fault{Header: http.Header{"Connection": {"close"}}}, Harmless: true,
		},
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		faults = append(faults, Fault{
			Name:   http.StatusText(status),
			Server: tunneltest.Fault{Status: status, Header: http.Header{"Location": {"/client/v4/user/tokens/verify"}}},
			Status: status,
		})
	}
	return faults
}

func cutShort(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()[:b.Len()-12]
}
