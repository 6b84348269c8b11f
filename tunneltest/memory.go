package tunneltest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

// InMemory makes the server use in-memory connections instead of a port.
//
// Use it in a bubble of testing/synctest: the bubble's clock does not advance while a goroutine
// waits for a socket. Create and close the server inside the bubble. Only the clients of
// [Server.NewClient] and [Server.HTTPClient] can connect to the server.
func InMemory() Option {
	return func(s *Server) {
		s.pipes = &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	}
}

// HTTPClient returns an HTTP client for the server. It also works if the server is [InMemory].
//
// All clients that it returns share their connections, and [Server.Close] closes them. The clients
// use no proxy.
func (s *Server) HTTPClient() *http.Client {
	s.start()
	return &http.Client{Transport: s.transport}
}

// newTransport returns the transport for HTTPClient.
func (s *Server) newTransport() *http.Transport {
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	if s.pipes != nil {
		transport.DialContext = s.pipes.dial
	}
	return transport
}

// pipeListener is a net.Listener for in-memory connections.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	close  sync.Once
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- pipe{far}:
		return near, nil
	case <-l.closed:
		return nil, errRefused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

var errRefused = &net.OpError{
	Op: "dial", Net: "pipe", Addr: loopback, Err: errors.New("the server is closed"),
}

// Accept waits for the next connection.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close makes later calls of Accept and dial fail.
func (l *pipeListener) Close() error {
	l.close.Do(func() { close(l.closed) })
	return nil
}

// Addr returns an address of the loopback interface.
func (l *pipeListener) Addr() net.Addr { return loopback }

var loopback = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}

// pipe is the server's end of an in-memory connection.
type pipe struct{ net.Conn }

// RemoteAddr returns an address of the loopback interface.
func (pipe) RemoteAddr() net.Addr { return loopback }
