package cftunnel_test

import (
	"bufio"
	"context"
	"fmt"
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

// closingServer responds to the first request of each of the first connections when all have come, and
// cuts the next one. Later connections work.
type closingServer struct {
	dying    int
	all      chan struct{}
	conns    atomic.Int32
	requests atomic.Int32
}

func (s *closingServer) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	go s.serve(far, int(s.conns.Add(1)) <= s.dying)
	return near, nil
}

func (s *closingServer) serve(conn net.Conn, dies bool) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for n := 1; ; n++ {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, request.Body)
		switch seen := int(s.requests.Add(1)); {
		case dies && n > 1:
			return
		case dies && seen == s.dying:
			close(s.all)
		case dies:
			<-s.all
		}
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(tunnelResponse), tunnelResponse)
	}
}

// newClosingServer returns a client with 30 idle connections that are dead. It must be called inside a
// bubble.
func newClosingServer(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) (*closingServer, *cftunnel.Client) {
	t.Helper()
	const dead = 30
	server := &closingServer{dying: dead, all: make(chan struct{})}
	transport := roundtrip.NewTransport()
	transport.DialContext = server.dial
	t.Cleanup(transport.CloseIdleConnections)
	client, err := cftunnel.NewClient(cftunnel.WithBaseURL("http://localhost"), cftunnel.WithAPIToken(apiToken),
		cftunnel.WithAccountID(accountID), cftunnel.WithoutRateLimit(),
		cftunnel.WithHTTPClient(&http.Client{Transport: wrap(transport)}))
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

// A retry of this client gets a fresh connection too.
func TestIdleConnections_RetryOfWrite(t *testing.T) {
	t.Parallel()
	for kind, call := range http2Calls {
		if kind == "GET" || !call.repeatable {
			continue
		}
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server, client := newClosingServer(t, func(next http.RoundTripper) http.RoundTripper { return next })
				require.NoError(t, call.call(t.Context(), client))
				assert.EqualValues(t, 2, server.requests.Load())
			})
		})
	}
}

// Idle connections that are all dead cost a call one request, even if it has one attempt.
func TestIdleConnections_AllDead(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(http.RoundTripper) http.RoundTripper{
		"own transport": func(next http.RoundTripper) http.RoundTripper { return next },
		"RoundTripper that cannot close idle connections": func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(next.RoundTrip)
		},
	} {
		for kind, call := range http2Calls {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					server, client := newClosingServer(t, wrap)
					var info cftunnel.ResponseInfo
					err := call.call(t.Context(), client, cftunnel.MaxAttempts(1), cftunnel.CaptureResponse(&info))
					if kind != "GET" {
						require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
						assert.EqualValues(t, 1, server.requests.Load())
						if name == "own transport" {
							require.NoError(t, call.call(t.Context(), client, cftunnel.MaxAttempts(1)), "the next call gets a new one")
						}
						return
					}
					require.NoError(t, err)
					assert.EqualValues(t, 2, server.requests.Load(), "one that is lost, and one on a fresh connection")
					assert.Equal(t, 2, info.Attempts)
				})
			})
		}
	}
}
