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

// stubborn are transports and bodies that do not end with their context. They end when over is closed.
var stubborn = map[string]func(over <-chan struct{}) roundTripper{
	"transport": func(over <-chan struct{}) roundTripper {
		return func(*http.Request) (*http.Response, error) {
			<-over
			return nil, errors.New("over")
		}
	},
	"body that blocks": func(over <-chan struct{}) roundTripper {
		return withBody(func([]byte) (int, error) {
			<-over
			return 0, io.EOF
		}, nil)
	},
	"body that blocks in the middle": func(over <-chan struct{}) roundTripper {
		begun := false
		return withBody(func(p []byte) (int, error) {
			if !begun {
				begun = true
				return copy(p, `{"success":true,`), nil
			}
			<-over
			return 0, io.EOF
		}, nil)
	},
	"body that has nothing and no end": func(<-chan struct{}) roundTripper {
		return withBody(func([]byte) (int, error) {
			time.Sleep(time.Second)
			return 0, nil
		}, nil)
	},
	"body that has little and no end": func(<-chan struct{}) roundTripper {
		return withBody(func(p []byte) (int, error) {
			time.Sleep(time.Second)
			return copy(p, " "), nil
		}, nil)
	},
	"body whose Close blocks": func(over <-chan struct{}) roundTripper {
		return withBody(strings.NewReader(tunnelResponse).Read, func() { <-over })
	},
	"body that blocks, and its Close too": func(over <-chan struct{}) roundTripper {
		return withBody(func([]byte) (int, error) {
			<-over
			return 0, io.EOF
		}, func() { <-over })
	},
}

type reader func([]byte) (int, error)

func (f reader) Read(p []byte) (int, error) { return f(p) }

// withBody responds with a body of its own.
func withBody(read reader, closed func()) roundTripper {
	if closed == nil {
		closed = func() {}
	}
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: 200, Header: http.Header{}, Body: closing{read, closed}, ContentLength: -1, Request: r,
		}, nil
	}
}

// clientOver returns a client of a RoundTripper.
func clientOver(t *testing.T, transport http.RoundTripper, opts ...cftunnel.Option) *cftunnel.Client {
	t.Helper()
	client, err := cftunnel.NewClient(append([]cftunnel.Option{
		cftunnel.WithAPIToken(apiToken), cftunnel.WithAccountID(accountID), cftunnel.WithoutRateLimit(),
		cftunnel.WithHTTPClient(&http.Client{Transport: transport}),
	}, opts...)...)
	require.NoError(t, err)
	return client
}

const grace = 50 * time.Millisecond // for an attempt to end after its context

func TestAttempt_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	for name, newTransport := range stubborn {
		for end, newContext := range map[string]func(context.Context) (context.Context, context.CancelFunc){
			"deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, 3*time.Second)
			},
			"cancel": func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				time.AfterFunc(3*time.Second, cancel)
				return ctx, cancel
			},
		} {
			t.Run(name+" "+end, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					over := make(chan struct{})
					defer time.Sleep(time.Minute) // for what was left behind
					defer close(over)
					client := clientOver(t, newTransport(over))
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
				over := make(chan struct{})
				defer time.Sleep(time.Minute)
				defer close(over)
				client := clientOver(t, newTransport(over), cftunnel.WithTimeout(2*time.Second))
				began := time.Now()
				_, err := client.Tunnels.Get(t.Context(), tunnelID, cftunnel.MaxAttempts(1))
				assert.InDelta(t, 2*time.Second, time.Since(began), float64(grace))
				require.ErrorIs(t, err, context.DeadlineExceeded)
			})
		})
	}
}

// An abandoned body is not read on.
func TestAttempt_AbandonedBodyEnds(t *testing.T) {
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

// rawServer sends one response to every request of a client, byte for byte, and keeps the connection open.
func rawServer(t *testing.T, response string, opts ...cftunnel.Option) *cftunnel.Client {
	t.Helper()
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			reader := bufio.NewReader(far)
			for {
				request, err := http.ReadRequest(reader)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, request.Body)
				_, _ = io.WriteString(far, response)
			}
		}()
		return near, nil
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return clientOver(t, transport, append([]cftunnel.Option{cftunnel.WithBaseURL("http://localhost")}, opts...)...)
}

func TestAttempt_InterimStatusIsFinal(t *testing.T) {
	t.Parallel()
	writes := map[string]func(context.Context, *cftunnel.Client) error{}
	for kind, call := range http2Calls {
		if kind != "GET" {
			writes[kind] = func(ctx context.Context, c *cftunnel.Client) error { return call.call(ctx, c) }
		}
	}
	check := func(t *testing.T, client *cftunnel.Client, write func(context.Context, *cftunnel.Client) error) {
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
				synctest.Test(t, func(t *testing.T) { check(t, rawServer(t, response), write) })
			})
		}
		for _, status := range []int{-1, 0, 1, 99, 100, 101, 102, 103, 199} {
			t.Run(fmt.Sprint(kind, " of a RoundTripper ", status), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					over := make(chan struct{})
					defer close(over)
					check(t, clientOver(t, roundTripper(func(r *http.Request) (*http.Response, error) {
						return &http.Response{StatusCode: status, Body: closing{reader(func([]byte) (int, error) {
							<-over
							return 0, io.EOF
						}), func() {}}, Request: r}, nil
					})), write)
				})
			})
		}
	}
}
