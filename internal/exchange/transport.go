package exchange

import (
	"net"
	"net/http"
	"time"
)

// NewTransport returns the transport of a client that was given none. Its time-outs are of the steps before an answer; the whole of an
// attempt is bounded by Do.
func NewTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxIdleConns:           100,
		MaxIdleConnsPerHost:    64, // all to one host
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 1 << 20,
		// Many calls share a connection of HTTP/2: one that died without a word is found out before an attempt's time is up.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 10 * time.Second, WriteByteTimeout: 10 * time.Second},
	}
}

// NewClient returns a copy of own, or a client with a transport of its own where that is nil, which follows no redirect.
func NewClient(own *http.Client) *http.Client {
	client := &http.Client{Transport: NewTransport()}
	if own != nil {
		*client = *own
	}
	client.Transport = &redirectless{next: client.Transport}
	return client
}

// hidden is a name under which http.Client does not find a Location.
const hidden = "Cftunnel-Location"

// redirectless hides where a redirect points to from http.Client, which would read it before it asks whether to follow.
type redirectless struct{ next http.RoundTripper }

func (t *redirectless) RoundTrip(r *http.Request) (*http.Response, error) {
	next := t.next
	if next == nil {
		next = http.DefaultTransport
	}
	resp, err := next.RoundTrip(r)
	if err != nil || resp == nil {
		return resp, err
	}
	if location, ok := resp.Header["Location"]; ok {
		resp.Header = resp.Header.Clone() // others may hold the answer too
		resp.Header[hidden] = location
		delete(resp.Header, "Location")
	}
	return resp, nil
}

// CloseIdleConnections is what http.Client looks for.
func (t *redirectless) CloseIdleConnections() {
	if next, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		next.CloseIdleConnections()
	} else if t.next == nil {
		http.DefaultClient.CloseIdleConnections()
	}
}

func showLocation(header http.Header) {
	if location, ok := header[hidden]; ok {
		header["Location"] = location
		delete(header, hidden)
	}
}
