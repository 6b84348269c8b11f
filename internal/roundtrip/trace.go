package roundtrip

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptrace"
	"strings"
)

// trace watches for the connections of an attempt. A second one means that net/http sends the request
// again by itself.
func (c *connection) trace(ctx context.Context, cancel context.CancelFunc) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
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

// maxSkipped bounds how many connections one attempt does not use.
const maxSkipped = 100

// skips reports whether a retry must leave out a connection. Idle connections that are dead come in
// numbers: a retry gets a new one. net/http goes on to the next when a read could not be written.
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

// end returns what refused a retry, and refuses later ones: a RoundTripper may leave work behind.
func (c *connection) end() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	return c.refused
}

// closeUnused keeps a request from being written. HTTP/1 writes before it looks at the context; HTTP/2
// looks first, and shares the connection.
func closeUnused(conn net.Conn) {
	if conn != nil && !isHTTP2(conn) {
		_ = conn.Close()
	}
}

func isHTTP2(conn net.Conn) bool {
	secure, ok := conn.(interface{ ConnectionState() tls.ConnectionState })
	return ok && secure.ConnectionState().NegotiatedProtocol == "h2"
}

// notProcessed reports whether an HTTP/2 server said that it has not processed the request: it had too
// many at once, or was about to close. Only the whole text of net/http's errors says so. A part of
// one would not do: a server chooses the debug text of its GOAWAY.
func notProcessed(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		text := strings.TrimPrefix(err.Error(), "http2: Transport: cannot retry err [")
		text, _, _ = strings.Cut(text, "] after Request.Body was written")
		switch text {
		case "http2: Transport received Server's graceful shutdown GOAWAY", // of a stream behind the last
			"http2: client conn not usable",
			"http2: client conn could not be established",
			"net/http: cannot rewind body after connection loss": // the connection took no more streams
			return true
		}
		// GOAWAY with an error, of the first stream, which is behind the last.
		if code, ok := strings.CutPrefix(text, "http2: Transport received GOAWAY from server ErrCode:"); ok {
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

// isNotOfCode reports whether a rune cannot be in the name of an HTTP/2 error code, as net/http prints
// it: "ENHANCE_YOUR_CALM", "unknown error code 0x42".
func isNotOfCode(r rune) bool {
	return r != '_' && r != ' ' && !('0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
}
