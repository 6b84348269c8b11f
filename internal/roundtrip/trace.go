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
		GetConn: func(string) {
			c.asked.Store(true)
			if c.got.Load() && !c.http2.Load() && c.firstRetry() {
				// Idle connections that are dead come in numbers. The first retry gets a new one.
				// HTTP/2 has few, and calls this with its own lock held.
				c.client.CloseIdleConnections()
			}
		},
		GotConn: func(info httptrace.GotConnInfo) {
			c.http2.Store(isHTTP2(info.Conn))
			if c.got.Swap(true) && !c.allowRetry(ctx) {
				cancel()
				abandon(info.Conn)
			}
		},
	})
}

func (c *connection) firstRetry() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.retries == 0
}

func (c *connection) allowRetry(ctx context.Context) bool {
	c.mu.Lock()
	over := c.ended || c.refused != nil
	c.retries++
	c.mu.Unlock()
	if over {
		return false
	}
	err := c.observer.OnRetry(ctx)
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

// abandon keeps a request from being written. HTTP/1 writes before it looks at the context; HTTP/2
// looks first, and shares the connection.
func abandon(conn net.Conn) {
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
		case "http2: Transport received Server's graceful shutdown GOAWAY",
			"http2: client conn not usable",
			"net/http: cannot rewind body after connection loss": // the connection took no more streams
			return true
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
