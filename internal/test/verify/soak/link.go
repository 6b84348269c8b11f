package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"

	"github.com/cftunnel/cftunnel-go/internal/exchange"
)

// newTransport returns the transport that the client makes for itself, over links.
func newTransport() *http.Transport {
	transport := exchange.NewTransport()
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &link{Conn: conn, gone: make(chan struct{})}, nil
	}
	return transport
}

// link is a connection that tells when the server has let go of it. A request that the client gave up may be on its way still, and be
// carried out after whoever gave it up has looked. In the world one can only wait; here, the end of the connection says that it is over.
type link struct {
	net.Conn
	once sync.Once
	gone chan struct{} // closed when the server has closed too

	mu     sync.Mutex
	closed bool
}

// Close ends what the client has to say, as far as the server can see, and goes on reading for as long as the server has not closed.
func (l *link) Close() error {
	var err error
	l.once.Do(func() {
		l.mu.Lock()
		l.closed = true
		l.mu.Unlock()
		if half, ok := l.Conn.(interface{ CloseWrite() error }); ok {
			err = half.CloseWrite()
		}
		go func() {
			defer close(l.gone)
			_, _ = io.Copy(io.Discard, l.Conn)
			_ = l.Conn.Close()
		}()
	})
	return err
}

func (l *link) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// links is those that one call used.
type links struct {
	mu   sync.Mutex
	used []*link
}

// trace returns a context whose requests tell which links they take.
func (l *links) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if used, ok := info.Conn.(*link); ok {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.used = append(l.used, used)
		}
	}})
}

// settle returns when nothing of the call can be carried out any more, and says whether a link broke. One that is still open has brought
// an answer, so that its request is over.
func (l *links) settle() (broken bool) {
	l.mu.Lock()
	used := l.used
	l.mu.Unlock()
	for _, link := range used {
		if link.isClosed() {
			<-link.gone
			broken = true
		}
	}
	return broken
}
