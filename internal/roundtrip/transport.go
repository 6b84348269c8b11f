package roundtrip

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// NewTransport returns the transport of a client that was given none. Its timeouts are of the steps
// before a response; the whole of an attempt is bounded by Do.
func NewTransport() *http.Transport {
	refused := func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
		if resp.StatusCode != http.StatusOK {
			// net/http would give the proxy's own words, which may quote what it was sent.
			return fmt.Errorf("the proxy responded with the status %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
		}
		return nil
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		OnProxyConnectResponse: refused,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxIdleConns:           100,
		MaxIdleConnsPerHost:    64, // all to one host
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 1 << 20,
		// Many calls share a connection of HTTP/2. Pings find out early that a network dropped it.
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: 10 * time.Second, PingTimeout: 10 * time.Second, WriteByteTimeout: 10 * time.Second,
		},
	}
}

// locationGuard removes a Location that is not a URL: http.Client would parse it before it asks
// whether to follow a redirect, and lose the response.
type locationGuard struct{ next http.RoundTripper }

func (g locationGuard) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := g.next.RoundTrip(r)
	if err != nil || resp == nil {
		return resp, err
	}
	if location := resp.Header.Get("Location"); location != "" {
		if _, err := r.URL.Parse(location); err != nil {
			resp.Header = resp.Header.Clone() // the transport may still use it
			resp.Header.Del("Location")
		}
	}
	return resp, nil
}

// CloseIdleConnections is what http.Client looks for.
func (g locationGuard) CloseIdleConnections() {
	if next, ok := g.next.(interface{ CloseIdleConnections() }); ok {
		next.CloseIdleConnections()
	}
}
