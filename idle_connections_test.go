package cftunnel_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/roundtrip"
)

// closingServer closes each of its first connections when the second request on it arrives. It
// responds to the first requests when all of them have arrived, so that the client needs a
// connection for each. Later connections work.
type closingServer struct {
	closing  int // number of connections that are closed
	all      chan struct{}
	conns    atomic.Int32
	requests atomic.Int32
}

func (s *closingServer) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go s.serve(server, int(s.conns.Add(1)) <= s.closing)
	return client, nil
}

func (s *closingServer) serve(conn net.Conn, closes bool) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for n := 1; ; n++ {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, request.Body)
		switch seen := int(s.requests.Add(1)); {
		case closes && n > 1:
			return
		case closes && seen == s.closing:
			close(s.all)
		case closes:
			<-s.all
		}
		_, _ = io.WriteString(conn, response("200 OK", tunnelResponse))
	}
}

// newClosingServer returns a client with 30 dead idle connections, and their server. It must be
// called inside a bubble.
func newClosingServer(
	t *testing.T, wrap func(http.RoundTripper) http.RoundTripper,
) (*closingServer, *cftunnel.Client) {
	t.Helper()
	const dead = 30
	server := &closingServer{closing: dead, all: make(chan struct{})}
	transport := roundtrip.NewTransport()
	transport.DialContext = server.dial
	t.Cleanup(transport.CloseIdleConnections)
	client, err := cftunnel.NewClient(
		cftunnel.WithBaseURL("http://localhost"),
		cftunnel.WithAPIToken(apiToken),
		cftunnel.WithAccountID(accountID),
		cftunnel.WithoutRateLimit(),
		cftunnel.WithHTTPClient(&http.Client{Transport: wrap(transport)}),
	)
	require.NoError(t, err)
	var group sync.WaitGroup
	for range dead {
		group.Go(func() {
			_, err := client.Tunnels.Get(t.Context(), tunnelID)
			assert.NoError(t, err)
		})
	}
	group.Wait()
	synctest.Wait()
	require.EqualValues(t, dead, server.conns.Load())
	server.requests.Store(0)
	return server, client
}

func unwrapped(next http.RoundTripper) http.RoundTripper { return next }

// withoutClose hides the CloseIdleConnections method of a transport.
func withoutClose(next http.RoundTripper) http.RoundTripper { return roundTripper(next.RoundTrip) }

// The client's own retry uses a new connection too, not another dead one.
func TestIdleConnections_RetryOfWrite(t *testing.T) {
	t.Parallel()
	for kind, call := range http2Calls {
		if kind == "GET" || !call.repeatable {
			continue
		}
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server, client := newClosingServer(t, unwrapped)
				require.NoError(t, call.call(t.Context(), client))
				assert.EqualValues(t, 2, server.requests.Load())
			})
		})
	}
}

// If all idle connections are dead, a call loses only one request, even with MaxAttempts(1).
func TestIdleConnections_AllDead(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(http.RoundTripper) http.RoundTripper{
		"own transport": unwrapped,
		"RoundTripper without CloseIdleConnections": withoutClose,
	} {
		for kind, call := range http2Calls {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					server, client := newClosingServer(t, wrap)
					var info cftunnel.ResponseInfo
					oneAttempt := cftunnel.MaxAttempts(1)
					err := call.call(t.Context(), client, oneAttempt,
						cftunnel.CaptureResponse(&info))
					if kind != "GET" {
						require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
						assert.EqualValues(t, 1, server.requests.Load())
						if name == "own transport" {
							err := call.call(t.Context(), client, oneAttempt)
							require.NoError(t, err, "the next call uses a new connection")
						}
						return
					}
					require.NoError(t, err)
					assert.EqualValues(t, 2, server.requests.Load(),
						"one lost, one on a new connection")
					assert.Equal(t, 2, info.Attempts)
				})
			})
		}
	}
}
