package roundtrip

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptrace"
	"strings"
)

// trace returns a context that tracks the connections of an attempt. A second connection means that
// net/http sends the request again.
func (c *connection) trace(ctx context.Context, cancel context.CancelFunc) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		// net/http calls this before it reads from the idle connection. If it has not returned the
		// response yet, closing the connection could lose it.
		PutIdleConn: func(err error) {
			if err == nil && c.closeIdle != nil && c.responded.Load() {
				c.closeIdle()
			}
		},
		GetConn: func(string) { c.asked.Store(true) },
		GotConn: func(info httptrace.GotConnInfo) {
			c.http2.Store(isHTTP2(info.Conn))
			c.reused.Store(info.Reused)
			switch {
			case !c.got.Swap(true):
			case c.skips(info):
				closeUnused(info.Conn)
			case !c.allowRetry(ctx):
				cancel()
				closeUnused(info.Conn)
			}
		},
	})
}

// maxSkipped is the maximum number of connections that one attempt skips.
const maxSkipped = 100

// skips reports whether a retry must not use a connection that it got. If one idle connection is
// dead, others usually are too, so a retry skips them until it gets a new one. net/http tries the
// next connection if it cannot write a GET request.
func (c *connection) skips(info httptrace.GotConnInfo) bool {
	if !c.isRead || !info.Reused || info.Conn == nil || c.http2.Load() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skipped++
	return !c.ended && c.refused == nil && c.skipped <= maxSkipped
}

func (c *connection) allowRetry(ctx context.Context) bool {
	c.mu.Lock()
	over := c.ended || c.refused != nil
	c.mu.Unlock()
	if over {
		return false
	}
	err := c.onRetry(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = err
	return err == nil
}

// end returns the error that refused a retry, or nil. It refuses later retries, because a
// RoundTripper may go on in the background.
func (c *connection) end() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	return c.refused
}

// closeUnused closes a connection so that a request is not written to it. With HTTP/1, net/http
// writes before it checks the context. With HTTP/2 it checks the context first, and other requests
// share the connection.
func closeUnused(conn net.Conn) {
	if conn != nil && !isHTTP2(conn) {
		_ = conn.Close()
	}
}

func isHTTP2(conn net.Conn) bool {
	secure, ok := conn.(interface{ ConnectionState() tls.ConnectionState })
	return ok && secure.ConnectionState().NegotiatedProtocol == "h2"
}

// notProcessed reports whether an HTTP/2 server said that it has not processed the request, because
// there were too many or because it was about to close the connection. net/http reports this only
// in the text of its errors. The whole text must match, since a server chooses the debug text in
// its GOAWAY.
func notProcessed(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		text := strings.TrimPrefix(err.Error(), "http2: Transport: cannot retry err [")
		text, _, _ = strings.Cut(text, "] after Request.Body was written")
		switch text {
		case "http2: Transport received Server's graceful shutdown GOAWAY", // for a later stream
			"http2: client conn not usable",
			"http2: client conn could not be established",
			"net/http: cannot rewind body after connection loss": // no more streams allowed
			return true
		}
		// A GOAWAY with an error, for the first stream, which is after the last processed one.
		const goAway = "http2: Transport received GOAWAY from server ErrCode:"
		if code, ok := strings.CutPrefix(text, goAway); ok {
			return !strings.ContainsFunc(code, isNotOfCode)
		}
		if id, ok := strings.CutPrefix(text, "stream error: stream ID "); ok {
			id, ok = strings.CutSuffix(id, "; REFUSED_STREAM; received from peer")
			if ok && strings.Trim(id, "0123456789") == "" {
				return true
			}
		}
	}
	return false
}

// isNotOfCode reports whether a rune cannot be in the name of an HTTP/2 error code, as net/http
// prints it: "ENHANCE_YOUR_CALM", "unknown error code 0x42".
func isNotOfCode(r rune) bool {
	return r != '_' && r != ' ' &&
		!('0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
}
