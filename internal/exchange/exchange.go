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
	"strings"
	"sync"
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
	// Scratch is what the answer's body is read into. nil makes one.
	Scratch *Scratch
	// OnRepeat is asked before net/http sends the request again by itself, which it does with a GET on a reused connection that died,
	// and on HTTP/2 with what the server did not take. An error ends the attempt.
	OnRepeat func(context.Context) error
}

// Answer is what came of it.
type Answer struct {
	// Status is zero where no answer came. Status and Header are set beside Err where the body was cut.
	Status int
	Header http.Header
	// Body lasts until the request's Scratch is used again.
	Body []byte
	// Sent reports whether the server may have seen the request.
	Sent bool
	Err  error
}

// Scratch is memory for the body of one answer after another. Its zero value is ready for use.
type Scratch struct {
	body  bytes.Buffer
	limit io.LimitedReader
}

// Size returns how much memory it holds.
func (s *Scratch) Size() int { return s.body.Cap() }

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

// Do sends r and reads its answer. It returns when the context ends, and leaves nothing open.
func Do(ctx context.Context, client *http.Client, r Request) Answer {
	// A transport that refuses an ended context reports nothing, as one that sends.
	if err := ctx.Err(); err != nil {
		return Answer{Err: err}
	}
	attempt, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	var connection connection
	req, err := newRequest(connection.trace(attempt, cancel, r.OnRepeat), r)
	if err != nil {
		return Answer{Err: err}
	}

	answer := receive(client, req, r)
	refused := connection.end()
	answer.Sent = connection.sent() && !(answer.Status == 0 && connection.http2.Load() && refusedUnread(answer.Err))
	switch {
	case refused != nil:
		answer = Answer{Sent: true, Err: refused}
	case answer.Err == nil:
	case ctx.Err() != nil && !errors.Is(answer.Err, ctx.Err()):
		// The transport may report the context's cause, or a network time-out that the context's deadline set.
		answer.Err = fmt.Errorf("%w: %w", ctx.Err(), answer.Err)
	case ctx.Err() == nil && errors.Is(attempt.Err(), context.DeadlineExceeded):
		answer.Err = &TimeoutError{After: r.Timeout}
	}
	return answer
}

// newRequest leaves GetBody out: without it, net/http can send no body a second time, not after a connection that died, whatever the
// headers say of idempotency, and not to where a redirect points.
func newRequest(ctx context.Context, r Request) (*http.Request, error) {
	var body io.Reader = http.NoBody // which a RoundTripper can read
	if len(r.Body) > 0 {
		body = bytes.NewReader(r.Body)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, body)
	if err != nil {
		return nil, err
	}
	req.Header, req.GetBody = r.Header, nil
	if len(r.Body) == 0 && replayable(r) {
		// A body that net/http does not know to be empty.
		req.Body = io.NopCloser(struct{ io.Reader }{bytes.NewReader(nil)})
	}
	return req, nil
}

// replayable reports whether net/http would take a request of any method for idempotent, if it had no body.
func replayable(r Request) bool {
	_, key := r.Header["Idempotency-Key"]
	_, other := r.Header["X-Idempotency-Key"]
	return r.Method != http.MethodGet && (key || other)
}

func receive(client *http.Client, req *http.Request, r Request) Answer {
	resp, err := client.Do(req)
	if err != nil {
		// Wrappers repeat the URL, which the caller names better, and that of a proxy, which may hold a password.
		for {
			wrapper, ok := err.(*url.Error) //nolint:errorlint // layer by layer
			if !ok {
				return Answer{Err: err}
			}
			err = wrapper.Err
		}
	}
	defer resp.Body.Close()
	showLocation(resp.Header)
	answer := Answer{Status: resp.StatusCode, Header: resp.Header}
	if r.Scratch == nil {
		r.Scratch = new(Scratch)
	}
	answer.Body, answer.Err = read(resp, r.MaxBytes, r.Scratch)
	return answer
}

// maxGrow bounds what is allocated on the word of a Content-Length alone.
const maxGrow = 1 << 20

func read(resp *http.Response, maxBytes int64, scratch *Scratch) ([]byte, error) {
	if resp.ContentLength > maxBytes {
		return nil, &TooLargeError{Limit: maxBytes}
	}
	body, limited := &scratch.body, &scratch.limit
	body.Reset()
	if resp.ContentLength > 0 {
		body.Grow(int(min(resp.ContentLength, maxGrow)) + bytes.MinRead)
	}
	// One byte more tells a body of just this length from a longer one.
	*limited = io.LimitedReader{R: resp.Body, N: max(maxBytes, maxBytes+1)}
	n, err := body.ReadFrom(limited)
	limited.R = nil
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
	asked, got, http2 atomic.Bool

	mu      sync.Mutex
	ended   bool
	refused error // what OnRepeat said
}

// sent counts a RoundTripper that reports nothing as one that sends.
func (c *connection) sent() bool { return c.got.Load() || !c.asked.Load() }

// end returns what refused a repeat, and takes no notice of later ones: a RoundTripper may leave work behind.
func (c *connection) end() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	return c.refused
}

func (c *connection) trace(ctx context.Context, cancel context.CancelFunc, onRepeat func(context.Context) error) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { c.asked.Store(true) },
		GotConn: func(info httptrace.GotConnInfo) {
			if isHTTP2(info.Conn) {
				c.http2.Store(true)
			}
			if c.got.Swap(true) && !c.allowed(ctx, onRepeat) {
				cancel()
				abandon(info.Conn)
			}
		},
	})
}

func (c *connection) allowed(ctx context.Context, onRepeat func(context.Context) error) bool {
	c.mu.Lock()
	over := c.ended || c.refused != nil
	c.mu.Unlock()
	if over {
		return false
	}
	err := onRepeat(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = err
	return err == nil
}

// abandon keeps a request from being written. HTTP/1 writes before it looks at the context; HTTP/2 looks first, and shares the connection.
func abandon(conn net.Conn) {
	if conn != nil && !isHTTP2(conn) {
		_ = conn.Close()
	}
}

func isHTTP2(conn net.Conn) bool {
	secure, ok := conn.(interface{ ConnectionState() tls.ConnectionState })
	return ok && secure.ConnectionState().NegotiatedProtocol == "h2"
}

// refusedUnread reports whether an HTTP/2 server said that it has not looked at the request: it had too many at once, or was about to close.
// net/http tells so in the text of its error alone.
func refusedUnread(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	return strings.Contains(text, "REFUSED_STREAM; received from peer") || strings.Contains(text, "graceful shutdown GOAWAY") ||
		// Without GetBody, it asks to rewind only where the connection took no more streams.
		strings.Contains(text, "cannot rewind body after connection loss")
}
