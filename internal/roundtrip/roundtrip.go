// Package roundtrip sends one HTTP request and reads the complete response.
package roundtrip

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Client sends requests. It is safe for concurrent use.
type Client struct {
	http    *http.Client
	own     *http.Transport // nil for a transport that may not return when its context ends
	base    *http.Transport // the one that connects to a proxy, if it is known
	buffers sync.Pool       // of *buffer
}

// NewClient returns a client that sends requests with a copy of h whose transport is t. base is
// what t wraps, or nil if that is not known. The client does not follow redirects.
func NewClient(h http.Client, t http.RoundTripper, base *http.Transport) *Client {
	own, _ := t.(*http.Transport)
	h.Transport = locationGuard{t}
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{http: &h, own: own, base: base}
}

// CloseIdleConnections closes connections that no request is using.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

// Request is the request of one attempt.
type Request struct {
	Method, URL string
	Header      http.Header
	Body        []byte
	Timeout     time.Duration
	MaxBytes    int64
	// Secret means that the response may contain a secret. An HTTP/1 connection is then used only
	// for this request: net/http prints the first bytes that arrive on an idle connection, which
	// may be the rest of a response that is longer than it says.
	Secret bool
	// OnRetry is called before net/http itself sends a request again: a GET whose reused connection
	// is dead, or an HTTP/2 request that the server did not process. If it returns an error, the
	// request is not sent again and the attempt ends with that error.
	OnRetry func(context.Context) error
}

// Response is the outcome of one attempt.
type Response struct {
	// StatusCode is zero if there was no response. If the body is incomplete, StatusCode, Header
	// and Err are all set.
	StatusCode int
	Header     http.Header
	// Body is valid until Release.
	Body []byte
	// Sent reports whether the server may have processed the request.
	Sent bool
	Err  error
	// Secrets are the credentials that were sent to a proxy. They are set only if the response or
	// the error may come from the proxy.
	Secrets []string

	buffer *buffer // holds Body; nil if there is none
	owner  *Client // the client that buffer belongs to
}

// Release returns the memory of Body for reuse.
func (r *Response) Release() {
	if r.buffer != nil {
		r.owner.putBuffer(r.buffer)
	}
	r.Body, r.buffer = nil, nil
}

// TooLargeError reports that a body is longer than the limit.
type TooLargeError struct{ Limit int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the response is larger than the limit of %d bytes", e.Limit)
}

// TimeoutError reports that an attempt reached its timeout. errors.Is reports that it is
// [context.DeadlineExceeded].
type TimeoutError struct{ After time.Duration }

func (e *TimeoutError) Error() string { return fmt.Sprintf("no whole response within %s", e.After) }

// Timeout returns true, as for other errors that implement net.Error.
func (e *TimeoutError) Timeout() bool { return true }

// Is makes errors.Is treat it like the standard library's timeouts.
func (e *TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

var (
	errAborted   = errors.New("the transport returned no response")
	errAbandoned = errors.New("the transport did not return when its context ended")
)

// grace is the time in which a transport must return after its context has ended. net/http needs a
// few milliseconds. Do does not wait for a transport that takes longer.
const grace = 25 * time.Millisecond

// Do sends r and reads its response. It returns when the context or the timeout ends, even if the
// transport does not return. The caller must call [Response.Release].
func (c *Client) Do(ctx context.Context, r Request) Response {
	// Without this check, a transport that returns an error for an ended context would look like
	// one that sends the request without reporting it to httptrace.
	if err := ctx.Err(); err != nil {
		return Response{Err: err}
	}
	attempt, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	conn := &connection{isRead: r.Method == http.MethodGet, onRetry: r.OnRetry}
	if r.Secret {
		conn.closeIdle = c.CloseIdleConnections
	}
	req, err := newRequest(conn.trace(attempt, cancel), r)
	if err != nil {
		return Response{Err: err}
	}

	var resp Response
	if c.own != nil {
		resp = c.send(req, r, conn)
	} else {
		resp = c.sendInGoroutine(req, r, conn)
	}
	refused := conn.end()
	resp.Sent = conn.sent() &&
		!(resp.StatusCode == 0 && conn.http2.Load() && notProcessed(resp.Err))
	if resp.Err != nil && resp.StatusCode == 0 && resp.Sent && conn.reused.Load() &&
		attempt.Err() == nil {
		// If one idle connection is dead, others usually are too. The next attempt opens a new one.
		c.CloseIdleConnections()
	}
	switch {
	case refused != nil:
		resp.Release()
		resp = Response{Sent: true, Err: refused}
	case resp.Err == nil:
	case ctx.Err() != nil && !errors.Is(resp.Err, ctx.Err()):
		// The transport may return the context's cause, or a timeout error of its own.
		resp.Err = fmt.Errorf("%w: %w", ctx.Err(), resp.Err)
	case ctx.Err() == nil && errors.Is(attempt.Err(), context.DeadlineExceeded):
		resp.Err = &TimeoutError{After: r.Timeout}
	}
	return resp
}

// sendInGoroutine calls send in another goroutine, because not every transport and body return when
// their context ends.
func (c *Client) sendInGoroutine(req *http.Request, r Request, conn *connection) Response {
	done := make(chan Response, 1)
	var panicked any
	go func() {
		resp := Response{Err: errAborted} // for a transport that calls runtime.Goexit
		defer func() {
			panicked = recover()
			done <- resp
		}()
		resp = c.send(req, r, conn)
	}()
	var resp Response
	select {
	case resp = <-done:
	case <-req.Context().Done():
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case resp = <-done:
		case <-timer.C:
			conn.abandon()
			return Response{Err: fmt.Errorf("%w; %w", req.Context().Err(), errAbandoned)}
		}
	}
	if panicked != nil {
		panic(panicked)
	}
	return resp
}

func (c *Client) send(req *http.Request, r Request, conn *connection) Response {
	httpResponse, err := c.http.Do(req)
	if err != nil {
		// A *url.Error has the URL, and the URL of a proxy may have a password.
		for {
			wrapper, ok := err.(*url.Error) //nolint:errorlint // one wrapper at a time
			if !ok {
				return Response{Err: err, Secrets: c.proxySecrets(req, !conn.got.Load())}
			}
			err = wrapper.Err
		}
	}
	conn.responded.Store(true)
	defer httpResponse.Body.Close()
	resp := Response{StatusCode: httpResponse.StatusCode, Header: httpResponse.Header}
	resp.Secrets = c.proxySecrets(req, resp.StatusCode == http.StatusProxyAuthRequired)
	if resp.StatusCode < http.StatusOK {
		if resp.StatusCode < http.StatusContinue {
			resp.Err = fmt.Errorf("the server responded with the invalid status %d",
				resp.StatusCode)
		}
		return resp // the data after a 101 is not a body, and may never end
	}
	conn.body.Store(&httpResponse.Body)
	b, ok := c.buffers.Get().(*buffer)
	if !ok {
		b = new(buffer)
	}
	resp.Body, resp.Err = b.read(req.Context(), conn, httpResponse, r.MaxBytes)
	resp.buffer, resp.owner = b, c
	return resp
}

// proxySecrets returns the password of the request's proxy, plain and as it is sent in Basic
// authentication. It returns nil if mayBeProxy is false.
func (c *Client) proxySecrets(req *http.Request, mayBeProxy bool) []string {
	if !mayBeProxy || c.base == nil || c.base.Proxy == nil {
		return nil
	}
	proxy, err := c.base.Proxy(req)
	if err != nil || proxy == nil || proxy.User == nil {
		return nil
	}
	password, _ := proxy.User.Password()
	basic := []byte(proxy.User.Username() + ":" + password)
	return []string{password, base64.StdEncoding.EncodeToString(basic)}
}

// buffer holds a body. It is reused for other bodies.
type buffer struct {
	bytes bytes.Buffer
	limit io.LimitedReader
	body  bodyReader
}

// bodyReader returns an error when its context ends, even if the body returns neither data nor an
// error.
type bodyReader struct {
	io.Reader
	ctx  context.Context
	conn *connection
}

func (r *bodyReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == nil && (n == 0 || r.conn.abandoned.Load()) {
		err = r.ctx.Err()
	}
	return n, err
}

// maxPooledBuffer is the maximum size of a buffer that is kept for reuse. A page of 1,000 tunnels
// is smaller.
const maxPooledBuffer = 1 << 20

func (c *Client) putBuffer(b *buffer) {
	if b.bytes.Cap() <= maxPooledBuffer {
		c.buffers.Put(b)
	}
}

// maxGrow is the maximum that is allocated because of a Content-Length, before any data is read.
const maxGrow = 1 << 20

func (b *buffer) read(
	ctx context.Context, conn *connection, resp *http.Response, maxBytes int64,
) ([]byte, error) {
	if resp.ContentLength > maxBytes {
		return nil, &TooLargeError{Limit: maxBytes}
	}
	b.bytes.Reset()
	if resp.ContentLength > 0 {
		b.bytes.Grow(int(min(resp.ContentLength, maxGrow)) + bytes.MinRead)
	}
	// Reading one byte more distinguishes a body of exactly maxBytes from a longer one.
	most := max(maxBytes, maxBytes+1)
	b.body = bodyReader{resp.Body, ctx, conn}
	defer func() { b.body = bodyReader{} }()
	b.limit = io.LimitedReader{R: &b.body, N: min(most, maxPooledBuffer)}
	n, err := b.bytes.ReadFrom(&b.limit)
	if err != nil {
		return nil, err
	}
	body := b.bytes.Bytes()
	if n == maxPooledBuffer {
		rest, err := readChunks(&b.body, most-n)
		if err != nil {
			return nil, err
		}
		body = slices.Concat(append([][]byte{body}, rest...)...)
	}
	if int64(len(body)) > maxBytes {
		return nil, &TooLargeError{Limit: maxBytes}
	}
	return body, nil
}

// readChunks reads at most n bytes into several slices. A growing buffer would need twice the
// memory.
func readChunks(body io.Reader, n int64) (chunks [][]byte, err error) {
	for n > 0 && err == nil {
		chunk := make([]byte, min(n, maxPooledBuffer))
		filled := 0
		for filled < len(chunk) && err == nil {
			var more int
			more, err = body.Read(chunk[filled:])
			filled += more
		}
		n -= int64(filled)
		chunks = append(chunks, chunk[:filled])
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return chunks, err
}

// newRequest returns the HTTP request for r. It leaves GetBody nil, so that net/http cannot send a
// body a second time: neither after a connection failed, even if a header says that the request is
// idempotent, nor to the target of a redirect.
func newRequest(ctx context.Context, r Request) (*http.Request, error) {
	body := io.ReadCloser(http.NoBody) // not nil, so that a RoundTripper can read it
	if len(r.Body) > 0 {
		body = io.NopCloser(bytes.NewReader(r.Body))
	}
	target, err := url.Parse(r.URL)
	if err != nil {
		return nil, err
	}
	req := (&http.Request{
		Method: r.Method, URL: target, Host: target.Host, Header: r.Header,
		Body: body, ContentLength: int64(len(r.Body)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	if len(r.Body) == 0 && r.Method != http.MethodGet {
		// net/http repeats some requests without a body. On Go 1.26 it does so even after a stream
		// error that does not say whether the server processed the request. It cannot see that this
		// body is empty, so it does not repeat the request.
		req.Body = io.NopCloser(struct{ io.Reader }{bytes.NewReader(nil)})
	}
	return req, nil
}

// connection tracks the connections of one attempt.
type connection struct {
	isRead    bool        // whether the method is GET
	asked     atomic.Bool // whether the transport asked for a connection
	got       atomic.Bool // whether it got one
	http2     atomic.Bool // whether the latest connection uses HTTP/2
	reused    atomic.Bool // whether the latest connection was used before
	abandoned atomic.Bool // whether the attempt has ended before the transport returned
	responded atomic.Bool // whether the transport returned a response
	body      atomic.Pointer[io.ReadCloser]
	onRetry   func(context.Context) error
	closeIdle func() // closes the connection once it is idle; nil to keep it

	mu      sync.Mutex
	ended   bool  // whether the attempt has ended
	skipped int   // connections that the attempt did not use
	refused error // the error of OnRetry
}

// sent reports whether the request may have been sent. A RoundTripper that reports nothing to
// httptrace counts as one that sends.
func (c *connection) sent() bool { return c.got.Load() || !c.asked.Load() }

// abandon gives up a transport or a body that did not return when its context ended.
func (c *connection) abandon() {
	c.abandoned.Store(true)
	if body := c.body.Load(); body != nil {
		go func() { _ = (*body).Close() }() // Close may block like the transport
	}
}
