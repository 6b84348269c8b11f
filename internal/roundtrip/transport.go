package roundtrip

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// NewTransport returns the default transport. Its timeouts are for the steps before a response. The
// timeout of the whole attempt is that of [Client.Do].
func NewTransport() *http.Transport {
	refused := func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
		if resp.StatusCode != http.StatusOK {
			// The error of net/http would have the proxy's text, which may quote the credentials.
			return fmt.Errorf("the proxy responded with the status %d %s",
				resp.StatusCode, http.StatusText(resp.StatusCode))
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
		MaxIdleConnsPerHost:    64, // all requests go to one host
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 1 << 20,
		// Many calls share an HTTP/2 connection. Pings detect early that the network has dropped
		// it.
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: 10 * time.Second, PingTimeout: 10 * time.Second,
			WriteByteTimeout: 10 * time.Second,
		},
	}
}

// locationGuard removes a Location header that is not a valid URL. http.Client parses it before it
// calls CheckRedirect, and would return an error instead of the response.
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

// CloseIdleConnections is called by [http.Client.CloseIdleConnections].
func (g locationGuard) CloseIdleConnections() {
	if next, ok := g.next.(interface{ CloseIdleConnections() }); ok {
		next.CloseIdleConnections()
	}
}
