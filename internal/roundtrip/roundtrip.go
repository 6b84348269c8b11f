// Package roundtrip sends one HTTP request and reads the whole of its response.
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
	own     *http.Transport // nil if the transport is not net/http's, which ends with its context
	buffers sync.Pool       // of *buffer
}

// NewClient returns a client that sends through a copy of h whose transport is t. It follows no
// redirect.
func NewClient(h http.Client, t http.RoundTripper) *Client {
	own, _ := t.(*http.Transport)
	h.Transport = locationGuard{t}
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{http: &h, own: own}
}

// CloseIdleConnections closes connections that no request is using.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

// Request is one attempt.
type Request struct {
	Method, URL string
	Header      http.Header
	Body        []byte
	Timeout     time.Duration
	MaxBytes    int64
	// OnRetry is called before net/http sends a request again by itself: a GET on a reused connection
	// that died, or over HTTP/2 what the server did not process. An error ends the attempt.
	OnRetry func(context.Context) error
}

// Response is the outcome of one attempt.
type Response struct {
	// StatusCode is zero if there was no response. It and Header are set beside Err if the body was
	// cut.
	StatusCode int
	Header     http.Header
	// Body is valid until Release.
	Body []byte
	// Sent reports whether the server may have processed the request.
	Sent bool
	Err  error
	// Secrets are what a proxy was sent to authenticate with, if it may be the proxy that responded.
	Secrets []string

	buffer *buffer // of Body
	owner  *Client // of buffer
}

// Release returns the memory of Body for reuse.
func (r *Response) Release() {
	if r.buffer != nil {
		r.owner.putBuffer(r.buffer)
	}
	r.Body, r.buffer = nil, nil
}

// TooLargeError says that a body is longer than the limit.
type TooLargeError struct{ Limit int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the response is larger than the limit of %d bytes", e.Limit)
}

// TimeoutError says that an attempt took longer than it may. It is a [context.DeadlineExceeded].
type TimeoutError struct{ After time.Duration }

func (e *TimeoutError) Error() string { return fmt.Sprintf("no whole response within %s", e.After) }

// Timeout is what a net.Error has.
func (e *TimeoutError) Timeout() bool { return true }

// Is makes errors.Is treat it like the standard library's timeouts.
func (e *TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

var (
	errAborted   = errors.New("the transport ended without a response")
	errAbandoned = errors.New("the transport did not end with its context")
)

// grace is how long a transport may take to end once its context has. net/http needs a moment; what
// takes longer is left behind.
const grace = 25 * time.Millisecond

// Do sends r and reads its response. It returns when the context or the timeout ends, whatever the
// transport does. The caller must call [Response.Release].
func (c *Client) Do(ctx context.Context, r Request) Response {
	// A transport that refuses an ended context reports nothing, as one that sends.
	if err := ctx.Err(); err != nil {
		return Response{Err: err}
	}
	attempt, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	conn := &connection{isRead: r.Method == http.MethodGet, onRetry: r.OnRetry}
	req, err := newRequest(conn.trace(attempt, cancel), r)
	if err != nil {
		return Response{Err: err}
	}

	var resp Response
	if c.own != nil {
		resp = c.send(req, r, conn)
	} else {
		resp = c.sendAside(req, r, conn)
	}
	refused := conn.end()
	resp.Sent = conn.sent() && !(resp.StatusCode == 0 && conn.http2.Load() && notProcessed(resp.Err))
	if resp.Err != nil && resp.StatusCode == 0 && resp.Sent && conn.reused.Load() && attempt.Err() == nil {
		// Idle connections that are dead come in numbers. The next attempt gets a new one.
		c.CloseIdleConnections()
	}
	switch {
	case refused != nil:
		resp.Release()
		resp = Response{Sent: true, Err: refused}
	case resp.Err == nil:
	case ctx.Err() != nil && !errors.Is(resp.Err, ctx.Err()):
		// The transport may report the context's cause, or a timeout that its deadline set.
		resp.Err = fmt.Errorf("%w: %w", ctx.Err(), resp.Err)
	case ctx.Err() == nil && errors.Is(attempt.Err(), context.DeadlineExceeded):
		resp.Err = &TimeoutError{After: r.Timeout}
	}
	return resp
}

// sendAside runs the transport in a goroutine of its own, since not every transport and body end with
// their context.
func (c *Client) sendAside(req *http.Request, r Request, conn *connection) Response {
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
		// The wrapper repeats the URL, and a proxy's URL may hold a password.
		for {
			wrapper, ok := err.(*url.Error) //nolint:errorlint // layer by layer
			if !ok {
				return Response{Err: err, Secrets: c.proxySecrets(req, !conn.got.Load())}
			}
			err = wrapper.Err
		}
	}
	defer httpResponse.Body.Close()
	resp := Response{StatusCode: httpResponse.StatusCode, Header: httpResponse.Header}
	resp.Secrets = c.proxySecrets(req, resp.StatusCode == http.StatusProxyAuthRequired)
	if resp.StatusCode < http.StatusOK {
		if resp.StatusCode < http.StatusContinue {
			resp.Err = fmt.Errorf("the server responded with the invalid status %d", resp.StatusCode)
		}
		return resp // what follows a 101 is not a body, and may never end
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

// proxySecrets returns the password of the request's proxy, in the forms in which it was sent.
func (c *Client) proxySecrets(req *http.Request, mayBeProxy bool) []string {
	if !mayBeProxy || c.own == nil || c.own.Proxy == nil {
		return nil
	}
	proxy, err := c.own.Proxy(req)
	if err != nil || proxy == nil || proxy.User == nil {
		return nil
	}
	password, _ := proxy.User.Password()
	return []string{password, base64.StdEncoding.EncodeToString([]byte(proxy.User.Username() + ":" + password))}
}

// buffer is memory for one body after another.
type buffer struct {
	bytes bytes.Buffer
	limit io.LimitedReader
	body  bodyReader
}

// bodyReader ends with its context, even if the body has nothing to read and no end.
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

// maxPooledBuffer bounds the buffers kept for reuse. A page of 1,000 tunnels needs less.
const maxPooledBuffer = 1 << 20

func (c *Client) putBuffer(b *buffer) {
	if b.bytes.Cap() <= maxPooledBuffer {
		c.buffers.Put(b)
	}
}

// maxGrow bounds what is allocated because of a Content-Length alone.
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
	// One byte more distinguishes a body of exactly this length from a longer one.
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

// readChunks reads at most n bytes. A buffer that grows would need twice the memory.
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

// newRequest leaves GetBody out: without it, net/http can send no body a second time, neither after a
// connection that died, whatever the headers say of idempotency, nor to the target of a redirect.
func newRequest(ctx context.Context, r Request) (*http.Request, error) {
	body := io.ReadCloser(http.NoBody) // which a RoundTripper can read
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
		// net/http repeats requests without a body on its own judgement, on Go 1.26 also after a stream
		// error that says nothing about whether the server did the work. It does not know that this
		// body is empty.
		req.Body = io.NopCloser(struct{ io.Reader }{bytes.NewReader(nil)})
	}
	return req, nil
}

// connection follows what happens to one attempt's connections.
type connection struct {
	isRead            bool
	asked, got, http2 atomic.Bool
	reused            atomic.Bool // the latest connection has been used before
	abandoned         atomic.Bool
	body              atomic.Pointer[io.ReadCloser]
	onRetry           func(context.Context) error

	mu      sync.Mutex
	ended   bool
	skipped int
	refused error // what onRetry said
}

// sent treats a RoundTripper that reports nothing as one that sends.
func (c *connection) sent() bool { return c.got.Load() || !c.asked.Load() }

// abandon leaves a transport or a body behind that did not end with its context.
func (c *connection) abandon() {
	c.abandoned.Store(true)
	if body := c.body.Load(); body != nil {
		go func() { _ = (*body).Close() }() // which may block as the transport does
	}
}
