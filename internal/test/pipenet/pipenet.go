// Package pipenet serves HTTP over pipes in memory. It is for synctest bubbles, in which a
// goroutine that waits for a pipe is durably blocked, unlike one that waits for a socket.
package pipenet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
)

// Network connects HTTP clients to one handler.
type Network struct {
	conns  chan net.Conn
	closed chan struct{}
	roots  *x509.CertPool // nil if the network has no TLS

	mu          sync.Mutex
	dials, open int
	refusing    bool
	intercept   func(net.Conn)
}

// Serve serves handler until the test ends. It must be called inside the bubble that uses the
// network.
func Serve(t testing.TB, handler http.Handler) *Network {
	t.Helper()
	n := &Network{conns: make(chan net.Conn), closed: make(chan struct{})}
	n.serve(t, &http.Server{Handler: handler})
	return n
}

// ServeTLS is like [Serve], with HTTPS and HTTP/2.
func ServeTLS(t testing.TB, handler http.Handler) *Network {
	t.Helper()
	c := certificate()
	n := &Network{conns: make(chan net.Conn), closed: make(chan struct{}), roots: c.roots}
	n.serve(t, &http.Server{Handler: handler, TLSConfig: c.Config()})
	return n
}

func (n *Network) serve(t testing.TB, server *http.Server) {
	server.ErrorLog = log.New(io.Discard, "", 0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if server.TLSConfig != nil {
			_ = server.ServeTLS(n, "", "")
		} else {
			_ = server.Serve(n)
		}
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
}

// Transport returns a transport that connects to the handler, for any host. Its idle connections
// are closed when the test ends.
func (n *Network) Transport(t testing.TB) *http.Transport {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	n.Lead(t, transport)
	return transport
}

// Lead makes a transport connect to the handler.
func (n *Network) Lead(t testing.TB, transport *http.Transport) {
	t.Helper()
	transport.Proxy = nil
	transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return n.dial()
	}
	if n.roots != nil {
		transport.ForceAttemptHTTP2 = true
		transport.TLSClientConfig = &tls.Config{RootCAs: n.roots}
	}
	t.Cleanup(transport.CloseIdleConnections)
}

// Client returns an HTTP client with a transport from [Network.Transport].
func (n *Network) Client(t testing.TB) *http.Client {
	t.Helper()
	return &http.Client{Transport: n.Transport(t)}
}

// URL returns a URL of the server without a path.
func (n *Network) URL() string {
	if n.roots != nil {
		return "https://localhost"
	}
	return "http://localhost"
}

// Dials returns the number of connections that were opened.
func (n *Network) Dials() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials
}

// Open returns the number of connections that the client has not closed.
func (n *Network) Open() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open
}

// Refuse refuses further connections.
func (n *Network) Refuse() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refusing = true
}

// Intercept passes the server's end of the next connection to serve. serve must close it.
func (n *Network) Intercept(serve func(net.Conn)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.intercept = serve
}

// ServeConn serves an intercepted connection until it is closed.
func ServeConn(conn net.Conn, handler http.Handler) {
	single := &Network{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
	single.conns <- conn
	onState := func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			_ = single.Close()
		}
	}
	server := &http.Server{
		Handler: handler, ErrorLog: log.New(io.Discard, "", 0), ConnState: onState,
	}
	_ = server.Serve(single)
}

func (n *Network) dial() (net.Conn, error) {
	near, far := net.Pipe()
	n.mu.Lock()
	refusing, serve := n.refusing, n.intercept
	n.intercept = nil
	n.mu.Unlock()
	switch {
	case refusing:
		return nil, errRefused
	case serve != nil:
		go serve(far)
	default:
		select {
		case n.conns <- far:
		case <-n.closed:
			return nil, errRefused
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dials++
	n.open++
	return &countedConn{Conn: near, network: n}, nil
}

var errRefused = errors.New("pipenet: connection refused")

// countedConn is a connection that counts as open until it is closed.
type countedConn struct {
	net.Conn
	network *Network
	once    sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() {
		c.network.mu.Lock()
		defer c.network.mu.Unlock()
		c.network.open--
	})
	return c.Conn.Close()
}

// Accept implements net.Listener.
func (n *Network) Accept() (net.Conn, error) {
	select {
	case conn := <-n.conns:
		return conn, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

// Close refuses further connections.
func (n *Network) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.closed:
	default:
		close(n.closed)
	}
	return nil
}

// Addr returns a loopback address.
func (n *Network) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
