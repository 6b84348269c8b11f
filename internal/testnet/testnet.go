// Package testnet serves HTTP over pipes in memory, for tests on synctest's clock: a goroutine that waits for a pipe is durably blocked,
// one that waits for a socket is not.
package testnet

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
)

// Network connects HTTP clients with one handler.
type Network struct {
	conns  chan net.Conn
	closed chan struct{}

	mu    sync.Mutex
	dials int
}

// Serve serves handler until the test ends, and returns the network to reach it by. In a bubble it must be called inside.
func Serve(t testing.TB, handler http.Handler) *Network {
	t.Helper()
	n := &Network{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: handler}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(n)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return n
}

// Transport returns a transport whose every connection leads to the handler, whatever the host. It is closed when the test ends.
func (n *Network) Transport(t testing.TB) *http.Transport {
	t.Helper()
	transport := &http.Transport{
		DialContext:         func(context.Context, string, string) (net.Conn, error) { return n.dial() },
		MaxIdleConnsPerHost: 64,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// Client returns an HTTP client on such a transport.
func (n *Network) Client(t testing.TB) *http.Client {
	t.Helper()
	return &http.Client{Transport: n.Transport(t)}
}

// Dials returns how many connections were opened.
func (n *Network) Dials() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials
}

func (n *Network) dial() (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case n.conns <- far:
		n.mu.Lock()
		defer n.mu.Unlock()
		n.dials++
		return near, nil
	case <-n.closed:
		return nil, errors.New("testnet: connection refused")
	}
}

// Accept makes the network a net.Listener.
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

// Addr is that of a loopback interface.
func (n *Network) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
