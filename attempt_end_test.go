package cftunnel_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// blockingTransports are transports whose round trip or response body ignores the context. They
// block until release is closed.
var blockingTransports = map[string]func(release <-chan struct{}) roundTripper{
	"transport": func(release <-chan struct{}) roundTripper {
		return func(*http.Request) (*http.Response, error) {
			<-release
			return nil, errors.New("released")
		}
	},
	"body that blocks": func(release <-chan struct{}) roundTripper {
		return withBody(func([]byte) (int, error) {
			<-release
			return 0, io.EOF
		}, nil)
	},
	"body that blocks after a part": func(release <-chan struct{}) roundTripper {
		begun := false
		return withBody(func(p []byte) (int, error) {
			if !begun {
				begun = true
				return copy(p, `{"success":true,`), nil
			}
			<-release
			return 0, io.EOF
		}, nil)
	},
	"endless body without bytes": func(<-chan struct{}) roundTripper {
		return withBody(func([]byte) (int, error) {
			time.Sleep(time.Second)
			return 0, nil
		}, nil)
	},
	"endless body with few bytes": func(<-chan struct{}) roundTripper {
		return withBody(func(p []byte) (int, error) {
			time.Sleep(time.Second)
			return copy(p, " "), nil
		}, nil)
	},
	"body whose Close blocks": func(release <-chan struct{}) roundTripper {
		return withBody(strings.NewReader(tunnelResponse).Read, func() { <-release })
	},
	"body that blocks, with Close that blocks": func(release <-chan struct{}) roundTripper {
		return withBody(func([]byte) (int, error) {
			<-release
			return 0, io.EOF
		}, func() { <-release })
	},
}

// reader is a function that implements io.Reader.
type reader func([]byte) (int, error)

func (f reader) Read(p []byte) (int, error) { return f(p) }

// withBody returns a RoundTripper whose responses have a body that calls read and closed.
func withBody(read reader, closed func()) roundTripper {
	if closed == nil {
		closed = func() {}
	}
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: 200, Header: http.Header{}, Body: closing{read, closed},
			ContentLength: -1, Request: r,
		}, nil
	}
}

// clientOver returns a client that uses transport.
func clientOver(
	t *testing.T, transport http.RoundTripper, opts ...cftunnel.Option,
) *cftunnel.Client {
	t.Helper()
	client, err := cftunnel.NewClient(append([]cftunnel.Option{
		cftunnel.WithAPIToken(apiToken), cftunnel.WithAccountID(accountID),
		cftunnel.WithoutRateLimit(),
		cftunnel.WithHTTPClient(&http.Client{Transport: transport}),
	}, opts...)...)
	require.NoError(t, err)
	return client
}

// grace is how long an attempt may outlast its context.
const grace = 50 * time.Millisecond

// endingContexts are contexts that end after 3 seconds.
var endingContexts = map[string]func(context.Context) (context.Context, context.CancelFunc){
	"deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, 3*time.Second)
	},
	"cancel": func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(3*time.Second, cancel)
		return ctx, cancel
	},
}

func TestAttempt_ContextEnds(t *testing.T) {
	t.Parallel()
	for name, newTransport := range blockingTransports {
		for end, newContext := range endingContexts {
			t.Run(name+" "+end, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					release := make(chan struct{})
					defer time.Sleep(time.Minute) // until the abandoned goroutines end
					defer close(release)
					client := clientOver(t, newTransport(release))
					ctx, cancel := newContext(t.Context())
					defer cancel()
					began := time.Now()
					_, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "n"})
					assert.InDelta(t, 3*time.Second, time.Since(began), float64(grace))
					require.ErrorIs(t, err, ctx.Err())
					require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
				})
			})
		}
		t.Run(name+" timeout", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				defer time.Sleep(time.Minute)
				defer close(release)
				client := clientOver(t, newTransport(release), cftunnel.WithTimeout(2*time.Second))
				began := time.Now()
				_, err := client.Tunnels.Get(t.Context(), tunnelID, cftunnel.MaxAttempts(1))
				assert.InDelta(t, 2*time.Second, time.Since(began), float64(grace))
				require.ErrorIs(t, err, context.DeadlineExceeded)
			})
		})
	}
}

// After an attempt is abandoned, its response body is no longer read.
func TestAttempt_AbandonedBodyIsNotRead(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1} {
		t.Run(fmt.Sprint(n, " bytes a read"), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var reads atomic.Int32
				client := clientOver(t, withBody(func([]byte) (int, error) {
					reads.Add(1)
					time.Sleep(time.Second)
					return n, nil
				}, nil))
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				_, err := client.Tunnels.Get(ctx, tunnelID)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				time.Sleep(time.Hour)
				assert.LessOrEqual(t, int(reads.Load()), 7)
			})
		})
	}
}

// newRawClient returns a client of a server that responds to every request with these bytes and
// keeps the connection open.
func newRawClient(t *testing.T, response string, opts ...cftunnel.Option) *cftunnel.Client {
	t.Helper()
	serve := func(conn net.Conn) {
		defer conn.Close()
		reader := bufio.NewReader(conn)
		for {
			request, err := http.ReadRequest(reader)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, request.Body)
			_, _ = io.WriteString(conn, response)
		}
	}
	dial := func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go serve(far)
		return near, nil
	}
	transport := &http.Transport{DialContext: dial}
	t.Cleanup(transport.CloseIdleConnections)
	opts = append([]cftunnel.Option{cftunnel.WithBaseURL("http://localhost")}, opts...)
	return clientOver(t, transport, opts...)
}

func TestAttempt_InterimStatusAsFinal(t *testing.T) {
	t.Parallel()
	type callFunc = func(context.Context, *cftunnel.Client) error
	writes := map[string]callFunc{}
	for kind, call := range http2Calls {
		if kind != "GET" {
			writes[kind] = func(ctx context.Context, c *cftunnel.Client) error {
				return call.call(ctx, c)
			}
		}
	}
	check := func(t *testing.T, client *cftunnel.Client, write callFunc) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		require.ErrorIs(t, write(ctx, client), cftunnel.ErrOutcomeUnknown)
		_, err := client.Tunnels.Get(ctx, tunnelID)
		require.Error(t, err)
		assert.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		assert.Less(t, time.Since(began), 10*time.Minute)
	}
	for kind, write := range writes {
		for _, response := range []string{
			"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
			"HTTP/1.1 101 Switching Protocols\r\nContent-Length: 100\r\n\r\nhalf",
			"HTTP/1.1 103 Early Hints\r\n\r\n",
			"HTTP/1.1 099 What\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 000 Nothing\r\nContent-Length: 0\r\n\r\n",
		} {
			t.Run(kind+" "+response[9:12], func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { check(t, newRawClient(t, response), write) })
			})
		}
		for _, status := range []int{-1, 0, 1, 99, 100, 101, 102, 103, 199} {
			t.Run(fmt.Sprint(kind, " of a RoundTripper ", status), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					release := make(chan struct{})
					defer close(release)
					read := reader(func([]byte) (int, error) {
						<-release
						return 0, io.EOF
					})
					transport := roundTripper(func(r *http.Request) (*http.Response, error) {
						body := closing{read, func() {}}
						return &http.Response{StatusCode: status, Body: body, Request: r}, nil
					})
					check(t, clientOver(t, transport), write)
				})
			})
		}
	}
}
