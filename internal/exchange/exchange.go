// Package exchange sends one HTTP request and reads the whole of its answer.
package exchange

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"
)

// Request is one attempt.
type Request struct {
	Method, URL string
	Header      http.Header
	Body        []byte
	Timeout     time.Duration
	MaxBytes    int64
	// OnRepeat is asked before net/http sends the request again by itself, which it does with a GET on a reused connection that died.
	// An error ends the attempt.
	OnRepeat func(context.Context) error
}

// Answer is what came of it.
type Answer struct {
	// Status is zero where no answer came. Status and Header are set beside Err where the body was cut.
	Status int
	Header http.Header
	Body   []byte
	// Sent reports whether the server may have seen the request.
	Sent bool
	Err  error
}

// TooLargeError says that a body is longer than the limit.
type TooLargeError struct{ Limit int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the answer is larger than the limit of %d bytes", e.Limit)
}

// TimeoutError says that an attempt took longer than it may. It is a context.DeadlineExceeded.
type TimeoutError struct{ After time.Duration }

func (e *TimeoutError) Error() string { return fmt.Sprintf("no whole answer within %s", e.After) }

// Timeout tells net.Error's readers.
func (e *TimeoutError) Timeout() bool { return true }

// Is makes it one kind with the standard library's timeouts.
func (e *TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// errRepeat is what net/http gets when it asks for the body a second time.
var errRepeat = errors.New("the connection was closed before the request was carried out")

// Do sends r and reads its answer. It returns when the context ends, and leaves nothing open.
func Do(ctx context.Context, client *http.Client, r Request) Answer {
	// A transport that refuses an ended context reports nothing, as one that sends.
	if err := ctx.Err(); err != nil {
		return Answer{Err: err}
	}
	attempt, cancel := context.WithTimeoutCause(ctx, r.Timeout, &TimeoutError{After: r.Timeout})
	defer cancel()
	var connection connection
	req, err := newRequest(connection.trace(attempt, cancel, r.OnRepeat), r)
	if err != nil {
		return Answer{Err: err}
	}

	answer := receive(client, req, r.MaxBytes)
	answer.Sent = connection.sent() && !(errors.Is(answer.Err, errRepeat) && !replayable(r.Header))
	switch {
	case connection.refused != nil:
		answer = Answer{Sent: true, Err: connection.refused}
	case answer.Err == nil:
	case ctx.Err() != nil && !errors.Is(answer.Err, ctx.Err()):
		// The transport may report the context's cause, or a network time-out that the context's deadline set.
		answer.Err = fmt.Errorf("%w: %w", ctx.Err(), answer.Err)
	case ctx.Err() == nil && attempt.Err() != nil:
		answer.Err = context.Cause(attempt)
	}
	return answer
}

func newRequest(ctx context.Context, r Request) (*http.Request, error) {
	var body io.Reader
	switch {
	case len(r.Body) > 0:
		body = bytes.NewReader(r.Body)
	case replayable(r.Header):
		// net/http repeats such a request without asking, unless it has a body.
		body = struct{ io.Reader }{bytes.NewReader(nil)}
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, body)
	if err != nil {
		return nil, err
	}
	req.Header = r.Header
	if body != nil {
		req.GetBody = func() (io.ReadCloser, error) { return nil, errRepeat }
	}
	return req, nil
}

// replayable reports whether net/http takes any method for idempotent.
func replayable(header http.Header) bool {
	return header.Get("Idempotency-Key") != "" || header.Get("X-Idempotency-Key") != ""
}

func receive(client *http.Client, req *http.Request, maxBytes int64) Answer {
	resp, err := client.Do(req)
	if err != nil {
		// The wrapper repeats method and URL, which the caller names better.
		if wrapper, ok := errors.AsType[*url.Error](err); ok {
			err = wrapper.Err
		}
		return Answer{Err: err}
	}
	defer resp.Body.Close()
	answer := Answer{Status: resp.StatusCode, Header: resp.Header}
	answer.Body, answer.Err = read(resp, maxBytes)
	return answer
}

// maxGrow bounds what is allocated on the word of a Content-Length alone.
const maxGrow = 1 << 20

func read(resp *http.Response, maxBytes int64) ([]byte, error) {
	if resp.ContentLength > maxBytes {
		return nil, &TooLargeError{Limit: maxBytes}
	}
	var body bytes.Buffer
	if resp.ContentLength > 0 {
		body.Grow(int(min(resp.ContentLength, maxGrow)) + bytes.MinRead)
	}
	// One byte more tells a body of just this length from a longer one.
	n, err := body.ReadFrom(io.LimitReader(resp.Body, max(maxBytes, maxBytes+1)))
	switch {
	case err != nil:
		return nil, err
	case n > maxBytes:
		return nil, &TooLargeError{Limit: maxBytes}
	}
	return body.Bytes(), nil
}

// connection follows what happens to one attempt's connection.
type connection struct {
	asked, got atomic.Bool
	refused    error // what OnRepeat said
}

// sent counts a RoundTripper that reports nothing as one that sends.
func (c *connection) sent() bool { return c.got.Load() || !c.asked.Load() }

func (c *connection) trace(ctx context.Context, cancel context.CancelFunc, onRepeat func(context.Context) error) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { c.asked.Store(true) },
		GotConn: func(info httptrace.GotConnInfo) {
			if !c.got.Swap(true) {
				return
			}
			if c.refused = onRepeat(ctx); c.refused == nil {
				return
			}
			cancel()
			// HTTP/1 writes before it looks at the context. HTTP/2 looks first, and shares the connection.
			if !isHTTP2(info.Conn) {
				_ = info.Conn.Close()
			}
		},
	})
}

func isHTTP2(conn net.Conn) bool {
	secure, ok := conn.(interface{ ConnectionState() tls.ConnectionState })
	return ok && secure.ConnectionState().NegotiatedProtocol == "h2"
}
