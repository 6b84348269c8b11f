// Package goroutines checks that no call leaves a goroutine or a connection behind on real sockets.
package goroutines

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/cases"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// TestCalls_LeaveNothing calls every method with every fault. The fault applies to every request.
//
//nolint:paralleltest // the test would find the goroutines of other tests
func TestCalls_LeaveNothing(t *testing.T) {
	for protocol, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		for name, method := range cases.Methods {
			t.Run(protocol+" "+name, func(t *testing.T) {
				limit := 10 * time.Second
				if name == "Tunnels.WaitForStatus" {
					limit = 50 * time.Millisecond // the method polls until its context ends
				}
				for _, fault := range cases.Faults() {
					callWithFault(t, http2, method, fault, limit)
				}
			})
		}
	}
}

func callWithFault(
	t *testing.T, http2 bool, method cases.Method, fault cases.Fault, limit time.Duration,
) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	fake := tunneltest.NewServer()
	fixture, err := cases.NewFixture(t.Context(), fake)
	require.NoError(t, err)
	srv := httptest.NewUnstartedServer(fake.Handler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	if http2 {
		srv.EnableHTTP2 = true
		srv.StartTLS()
	} else {
		srv.Start()
	}
	if fault.Refused {
		srv.Close()
	}
	fault.Server.Times = tunneltest.Always
	fake.Inject(fault.Server)

	token := fake.APIToken()
	if method.AccountToken {
		token = fake.AddToken(tunneltest.Token{Owner: cftunnel.TokenOwnerAccount})
	}
	attempts, timeout := 2, 10*time.Second
	if fault.Status == http.StatusTooManyRequests {
		attempts = 1 // a retry would wait in real time
	}
	if fault.Timeout > 0 {
		timeout = 10 * time.Millisecond
	}
	transport := srv.Client().Transport.(*http.Transport)
	transport.MaxResponseHeaderBytes = 1 << 20
	var open atomic.Int32
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		open.Add(1)
		return &countedConn{Conn: conn, open: &open}, nil
	}
	options := []cftunnel.Option{
		cftunnel.WithBaseURL(srv.URL + "/client/v4"), cftunnel.WithAPIToken(token.Reveal()),
		cftunnel.WithAccountID(fake.AccountID()), cftunnel.WithTimeout(timeout),
		cftunnel.WithHTTPClient(&http.Client{Transport: transport}), cftunnel.WithoutRateLimit(),
		cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: attempts, BaseDelay: 1, MaxDelay: 1}),
	}
	if fault.MaxBytes > 0 {
		options = append(options, cftunnel.WithMaxResponseBytes(fault.MaxBytes))
	}
	client, err := cftunnel.NewClient(options...)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	_ = method.Call(ctx, client, fixture) // tests of the root package check the result
	cancel()

	fake.Close() // ends delayed responses
	// The server stays open until the check: closing it would close the client's connections.
	listening := goleak.IgnoreAnyFunction("net/http/httptest.(*Server).goServe.func1")
	// With HTTP/2, a connection is idle only shortly after the call, when its streams have ended.
	require.Eventually(t, func() bool {
		client.CloseIdleConnections()
		return open.Load() == 0
	}, 10*time.Second, time.Millisecond, "%s: a connection is still open", fault.Name)
	err = goleak.Find(before, listening)
	srv.Close()
	require.NoError(t, err, fault.Name)
}

// countedConn is a connection that counts as open until it is closed.
type countedConn struct {
	net.Conn
	open *atomic.Int32
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}
