package tunneltest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

// InMemory makes connections to the server pipes in memory. In a bubble of testing/synctest, whose
// clock stands still while a goroutine waits for a socket, this is what a test needs. The server is
// reached with [Server.NewClient] and [Server.HTTPClient] only; it listens on no port. Make it and
// close it inside the bubble.
func InMemory() Option {
	return func(s *Server) {
		s.pipes = &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	}
}

// HTTPClient returns an HTTP client for the server, which reaches it in memory too. Its clients
// share their connections, which [Server.Close] closes. No proxy is used.
func (s *Server) HTTPClient() *http.Client {
	s.start()
	return &http.Client{Transport: s.transport}
}

// newTransport returns the transport of HTTPClient.
func (s *Server) newTransport() *http.Transport {
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	if s.pipes != nil {
		transport.DialContext = s.pipes.dial
	}
	return transport
}

// pipeListener accepts pipes in memory as connections.
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

// Close refuses further connections.
func (l *pipeListener) Close() error {
	l.close.Do(func() { close(l.closed) })
	return nil
}

// Addr returns an address of the loopback interface.
func (l *pipeListener) Addr() net.Addr { return loopback }

var loopback = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}

// pipe is the server's end of a connection in memory.
type pipe struct{ net.Conn }

// RemoteAddr returns an address of the loopback interface: requests come from this machine.
func (pipe) RemoteAddr() net.Addr { return loopback }
