package cases

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

// Retry says which requests a client retries after a fault.
type Retry int

// The values of Retry.
const (
	RetryNone Retry = iota
	RetryIdempotent
	RetryAll
)

// Fault is a failure of a request, with the expected outcome of the call.
type Fault struct {
	Name string
	// Refused is set if no server listens. Otherwise Server is the fault of the server.
	Refused bool
	Server  tunneltest.Fault
	// Timeout is the timeout of one attempt, and MaxBytes the limit for a response. Zero means the
	// client's default.
	Timeout  time.Duration
	MaxBytes int64

	// Harmless is set if the call succeeds. HarmlessWithoutResult is set if only methods succeed
	// that do not need the result.
	Harmless, HarmlessWithoutResult bool
	// Status is the StatusCode of the error.
	Status int
	// Retry says which requests are retried.
	Retry Retry
	// Uncertain is set if the client cannot know whether a write was carried out.
	Uncertain bool
	// Is has the errors that errors.Is finds in the error, without ErrOutcomeUnknown.
	Is []error
	// RetryAfter is the RetryAfter of the error.
	RetryAfter time.Duration
	// Body is a part of the error's text. Unreadable is set if the body cannot be decoded:
	// operations that return a secret then leave the body out of the text.
	Body       string
	Unreadable bool
}

// CarriedOut reports whether the server does what the request asks for.
func (f Fault) CarriedOut() bool {
	replaced := f.Server.Status != 0 || f.Server.Body != ""
	return !f.Refused && f.Server.Cut != tunneltest.CutBefore && (!replaced || f.Server.Work)
}

// Faults returns every fault.
func Faults() []Fault {
	success := func(result string) string {
		return `{"success":true,"errors":[],"messages":[],"result":` + result + `}`
	}
	failure := func(text string) string {
		return `{"success":false,"errors":[{"code":1234,"message":"` + text +
			`"}],"messages":[],"result":null}`
	}
	const page = "<html><head><title>Bad gateway</title></head></html>"
	html := http.Header{"Content-Type": {"text/html"}}
	type server = tunneltest.Fault
	rateLimited := []error{cftunnel.ErrRateLimited}
	// uncertain is a fault after which the client cannot know whether the request was carried out.
	uncertain := func(name string, server tunneltest.Fault, status int, is ...error) Fault {
		return Fault{
			Name: name, Server: server, Status: status,
			Retry: RetryIdempotent, Uncertain: true, Is: is,
		}
	}
	// unreadable is a response that a retry would not make readable.
	unreadable := func(name string, body string, header http.Header) Fault {
		return Fault{
			Name: name, Server: server{Status: 200, Body: body, Header: header, Work: true},
			Status: 200, Uncertain: true,
		}
	}
	slow := uncertain("slower than the timeout", server{Delay: time.Hour}, 0,
		context.DeadlineExceeded)
	slow.Timeout = time.Second
	oops := uncertain("500", server{Status: 500, Body: failure("oops")}, 500, cftunnel.ErrServer)
	oopsAfterWork := oops
	oopsAfterWork.Name, oopsAfterWork.Server.Work = "500 after the work", true
	badGateway := uncertain("502 in HTML",
		server{Status: 502, Body: page, Header: html}, 502, cftunnel.ErrServer)
	oops.Body, oopsAfterWork.Body, badGateway.Body = "1234: oops", "1234: oops", "Bad gateway"
	badGateway.Unreadable = true
	wrongType := unreadable("a result of the wrong type", success("12345"), nil)
	wrongType.HarmlessWithoutResult = true
	long := success(`"` + strings.Repeat("x", 1<<16) + `"`)
	tooLong := unreadable("a response beyond the limit", long, nil)
	tooLong.MaxBytes = 1 << 15
	cutGzip := unreadable("gzip cut short",
		cutShort(success(`"`+strings.Repeat("x", 1000)+`"`)),
		http.Header{"Content-Encoding": {"gzip"}})
	cutGzip.Retry = RetryIdempotent

	faults := []Fault{
		{Name: "connection refused", Refused: true, Retry: RetryAll},
		uncertain("cut before the request is read", server{Cut: tunneltest.CutBefore}, 0),
		uncertain("cut after the work", server{Cut: tunneltest.CutAfter}, 0),
		uncertain("cut inside the response", server{Cut: tunneltest.CutInside}, 200),
		slow,
		{Name: "408", Server: server{Status: 408, Body: failure("timeout")}, Status: 408},
		{Name: "425", Server: server{Status: 425, Body: failure("early")}, Status: 425},
		{
			Name: "429", Server: server{Status: 429, Body: failure("many")},
			Status: 429, Retry: RetryAll, Is: rateLimited,
		},
		{
			Name:   "429 with seconds",
			Server: server{Status: 429, Header: http.Header{"Retry-After": {"2"}}},
			Status: 429, Retry: RetryAll, Is: rateLimited, RetryAfter: 2 * time.Second,
		},
		{
			Name: "429 with a date", Server: server{Status: 429, Header: http.Header{
				"Date":        {"Sat, 01 Jan 2000 00:00:00 GMT"},
				"Retry-After": {"Sat, 01 Jan 2000 00:00:03 GMT"},
			}},
			Status: 429, Retry: RetryAll, Is: rateLimited, RetryAfter: 3 * time.Second,
		},
		{
			Name:   "429 for five minutes",
			Server: server{Status: 429, Header: http.Header{"Retry-After": {"300"}}},
			Status: 429, Is: rateLimited, RetryAfter: 5 * time.Minute,
		},
		oops,
		oopsAfterWork,
		badGateway,
		uncertain("503 empty", server{Status: 503}, 503, cftunnel.ErrServer),
		uncertain("504", server{Status: 504, Work: true}, 504, cftunnel.ErrServer),
		uncertain("522", server{Status: 522}, 522, cftunnel.ErrServer),
		{Name: "501", Server: server{Status: 501}, Status: 501, Uncertain: true, Is: []error{cftunnel.ErrServer}},
		{Name: "200 without success", Server: server{Status: 200, Body: failure("no")}, Status: 200, Body: "1234: no"},
		unreadable("200 truncated", `{"success":true,"errors":[],"messages":[],"res`, nil),
		unreadable("200 empty", " ", nil),
		unreadable("200 in HTML", page, html),
		wrongType,
		unreadable("a list for an envelope", `[]`, nil),
		{Name: "a wrong Content-Type", Server: server{Header: html}, Harmless: true},
		{Name: "no Content-Type", Server: server{Header: http.Header{"Content-Type": {""}}}, Harmless: true},
		cutGzip,
		uncertain("headers of 2 MiB", server{Header: http.Header{"X-Much": {strings.Repeat("x", 2<<20)}}}, 0),
		tooLong,
		{
			Name:   "the connection closes after the response",
			Server: server{Header: http.Header{"Connection": {"close"}}}, Harmless: true,
		},
	}
	location := http.Header{"Location": {"/client/v4/user/tokens/verify"}}
	for _, status := range []int{301, 302, 303, 307, 308} {
		faults = append(faults, Fault{
			Name:   http.StatusText(status),
			Server: tunneltest.Fault{Status: status, Header: location},
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
