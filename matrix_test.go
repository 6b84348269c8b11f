package cftunnel_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/exchange"
	"github.com/cftunnel/cftunnel-go/internal/test/cases"
	"github.com/cftunnel/cftunnel-go/internal/test/pipenet"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// stage is a fake with a world in it, and a client of it on the transport that clients have by default, over pipes.
type stage struct {
	srv     *tunneltest.Server
	network *pipenet.Network
	client  *cftunnel.Client
	world   cases.Fixture
	before  int          // requests that made the world
	bodies  atomic.Int32 // of answers that are not closed
}

// protocols are how a stage is reached.
var protocols = map[string]func(testing.TB, http.Handler) *pipenet.Network{"HTTP/1.1": pipenet.Serve, "HTTP/2": pipenet.ServeTLS}

// newStage is for a bubble: what is left running when its test ends fails it.
func newStage(t *testing.T, protocol string, method cases.Method, opts ...cftunnel.Option) *stage {
	t.Helper()
	s := &stage{srv: tunneltest.NewServer()}
	t.Cleanup(s.srv.Close)
	var err error
	s.world, err = cases.NewFixture(t.Context(), s.srv)
	require.NoError(t, err)
	s.before = len(s.srv.Requests())

	token := s.srv.APIToken()
	if method.AccountToken {
		token = s.srv.AddToken(tunneltest.Token{Owner: cftunnel.TokenOwnerAccount})
	}
	s.network = protocols[protocol](t, s.srv.Handler())
	transport := exchange.NewTransport()
	s.network.Lead(t, transport)
	scheme := "http"
	if protocol == "HTTP/2" {
		scheme = "https"
	}
	s.client, err = cftunnel.NewClient(append([]cftunnel.Option{
		cftunnel.WithBaseURL(scheme + "://localhost/client/v4"),
		cftunnel.WithAPIToken(token.Reveal()), cftunnel.WithAccountID(s.srv.AccountID()),
		cftunnel.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := transport.RoundTrip(r)
			if err == nil {
				s.bodies.Add(1)
				resp.Body = &watchedBody{ReadCloser: resp.Body, open: &s.bodies}
			}
			return resp, err
		})}),
	}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() {
		synctest.Wait() // until HTTP/2 has put its streams away
		transport.CloseIdleConnections()
		synctest.Wait()
		assert.Zero(t, s.network.Open(), "connections that are neither closed nor idle")
	})
	return s
}

// requests is what the client was answered.
func (s *stage) requests() []tunneltest.Request { return s.srv.Requests()[s.before:] }

func (s *stage) done(operation string) int {
	n := 0
	for _, r := range s.requests() {
		if r.Operation == operation && r.Done {
			n++
		}
	}
	return n
}

// watchedBody is counted until it is closed.
type watchedBody struct {
	io.ReadCloser
	open   *atomic.Int32
	closed atomic.Bool
}

func (b *watchedBody) Close() error {
	if !b.closed.Swap(true) {
		b.open.Add(-1)
	}
	return b.ReadCloser.Close()
}

// steps returns the operations that a method sends where all goes well.
func steps(t *testing.T, method cases.Method) (operations []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "HTTP/1.1", method)
		require.NoError(t, method.Call(t.Context(), s.client, s.world))
		for _, r := range s.requests() {
			operations = append(operations, r.Operation)
		}
	})
	return operations
}

// forEachFault runs test for every method, operation that it sends, fault and protocol, each in a bubble of its own.
func forEachFault(t *testing.T, test func(t *testing.T, method cases.Method, steps []string, operation, protocol string, fault cases.Fault)) {
	t.Helper()
	faults := cases.Faults()
	for name, method := range cases.Methods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			steps := steps(t, method)
			operations := slices.Clone(steps)
			slices.Sort(operations)
			for _, operation := range slices.Compact(operations) {
				for protocol := range protocols {
					for _, fault := range faults {
						fault.Server.Operation = operation
						t.Run(operation+" "+protocol+" "+fault.Name, func(t *testing.T) {
							synctest.Test(t, func(t *testing.T) { test(t, method, steps, operation, protocol, fault) })
						})
					}
				}
			}
		})
	}
}

// options sets a client up for a fault.
func options(f cases.Fault, more ...cftunnel.Option) []cftunnel.Option {
	if f.Timeout > 0 {
		more = append(more, cftunnel.WithTimeout(f.Timeout))
	}
	if f.MaxBytes > 0 {
		more = append(more, cftunnel.WithMaxResponseBytes(f.MaxBytes))
	}
	return more
}

// begin lets a fault befall as many requests as it says.
func (s *stage) begin(f cases.Fault) {
	if f.Refused {
		s.network.Refuse()
		return
	}
	s.srv.Inject(f.Server)
}

// isWrite and isRepeatable go by an operation's method.
func isWrite(operation string) bool      { return !strings.HasPrefix(operation, http.MethodGet) }
func isRepeatable(operation string) bool { return !strings.HasPrefix(operation, http.MethodPost) }

// withoutResult are operations whose success does not depend on what the answer says more.
var withoutResult = []string{opCleanup, "PUT /accounts/{account_id}/warp_connector/{tunnel_id}/failover"}

func isHarmless(operation string, f cases.Fault) bool {
	return f.Harmless || f.HarmlessWithoutResult && slices.Contains(withoutResult, operation)
}

// checkFailure holds the error of a call whose every request met f.
func (s *stage) checkFailure(t *testing.T, err error, operation string, f cases.Fault, attempts int) {
	t.Helper()
	failure, ok := errors.AsType[*cftunnel.Error](err)
	require.True(t, ok, "%#v", err)
	requests := s.requests()
	assert.Equal(t, f.Status, failure.StatusCode)
	assert.Equal(t, attempts, failure.Attempts)
	assert.Equal(t, f.RetryAfter, failure.RetryAfter)
	assert.Equal(t, f.Doubt && isWrite(operation), errors.Is(err, cftunnel.ErrOutcomeUnknown), "%v", err)
	assert.Equal(t, f.Status != 0, failure.RayID != "", "the ray id of the answer")
	for _, sentinel := range f.Is {
		assert.ErrorIs(t, err, sentinel)
	}
	for _, other := range []error{
		cftunnel.ErrRateLimited, cftunnel.ErrServer, cftunnel.ErrNotFound, cftunnel.ErrUnauthorized, cftunnel.ErrForbidden, cftunnel.ErrConflict,
		cftunnel.ErrBadRequest, context.Canceled, context.DeadlineExceeded,
	} {
		assert.Equal(t, slices.Contains(f.Is, other), errors.Is(err, other), "%v", other)
	}
	text := err.Error()
	assert.Contains(t, text, f.Body)
	method, _, _ := strings.Cut(operation, " ")
	assert.Contains(t, text, method+" "+failure.Path)
	assert.NotContains(t, text, s.srv.APIToken().Reveal())
	if f.Refused {
		assert.Empty(t, requests)
		return
	}
	assert.Len(t, requests, attempts)
}

// TestEveryFaultOfEveryOperationThatStays: every request of a method that sends one meets a fault.
func TestEveryFaultOfEveryOperationThatStays(t *testing.T) {
	t.Parallel()
	forEachFault(t, func(t *testing.T, method cases.Method, steps []string, operation, protocol string, fault cases.Fault) {
		const most = 3
		fault.Server.Times = tunneltest.Always
		s := newStage(t, protocol, method, options(fault, cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: most, BaseDelay: time.Millisecond}))...)
		s.begin(fault)
		err := method.Call(t.Context(), s.client, s.world)
		assert.Zero(t, s.bodies.Load(), "every body is closed")
		if isHarmless(operation, fault) {
			require.NoError(t, err)
			return
		}
		if !isRepeatable(operation) {
			assert.LessOrEqual(t, s.done(operation), 1, "what must happen once")
		}
		if len(steps) > 1 && err == nil {
			assert.True(t, isWrite(operation) && fault.Works(), "found to be done, although no answer said so")
			assert.Equal(t, 1, s.done(operation))
			return
		}
		if len(steps) > 1 {
			_, ok := errors.AsType[*cftunnel.Error](err)
			assert.True(t, ok, "%#v", err)
			return
		}
		attempts := 1
		if fault.Again == cases.Everybody || fault.Again == cases.Idempotent && isRepeatable(operation) {
			attempts = most
		}
		s.checkFailure(t, err, operation, fault, attempts)
		worked := 0
		if fault.Works() {
			worked = attempts
		}
		assert.Equal(t, worked, s.done(operation))
	})
}

// TestEveryFaultOfEveryOperationThatPasses: one request meets a fault.
func TestEveryFaultOfEveryOperationThatPasses(t *testing.T) {
	t.Parallel()
	forEachFault(t, func(t *testing.T, method cases.Method, steps []string, operation, protocol string, fault cases.Fault) {
		if fault.Refused {
			return // stays
		}
		s := newStage(t, protocol, method, options(fault, cftunnel.WithRetry(cftunnel.RetryPolicy{BaseDelay: time.Millisecond}))...)
		s.begin(fault)
		err := method.Call(t.Context(), s.client, s.world)
		assert.Zero(t, s.bodies.Load(), "every body is closed")
		again := fault.Again == cases.Everybody || fault.Again == cases.Idempotent && isRepeatable(operation)
		if !isRepeatable(operation) {
			assert.LessOrEqual(t, s.done(operation), 1, "what must happen once")
		}
		if len(steps) > 1 {
			if err != nil {
				_, ok := errors.AsType[*cftunnel.Error](err)
				assert.True(t, ok, "%#v", err)
				assert.False(t, again || isHarmless(operation, fault), "%v", err)
			}
			return
		}
		if isHarmless(operation, fault) || again {
			require.NoError(t, err)
			worked := 1
			if fault.Works() && again {
				worked = 2
			}
			assert.Equal(t, worked, s.done(operation))
			return
		}
		s.checkFailure(t, err, operation, fault, 1)
	})
}

// TestEveryFaultOfEveryOperationGivesWayToTheContext: a call that goes on ends with its context, and sends nothing more.
func TestEveryFaultOfEveryOperationGivesWayToTheContext(t *testing.T) {
	t.Parallel()
	forEachFault(t, func(t *testing.T, method cases.Method, steps []string, operation, protocol string, fault cases.Fault) {
		const after, most = 100 * time.Millisecond, 50 * time.Millisecond
		fault.Server.Times, fault.Timeout = tunneltest.Always, 0
		if fault.Again != cases.Nobody && fault.Server.Delay == 0 {
			fault.Server.Delay = 30 * time.Millisecond
		}
		s := newStage(t, protocol, method, options(fault, cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 1 << 30, BaseDelay: 50 * time.Millisecond}))...)
		s.begin(fault)
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		time.AfterFunc(after, cancel)
		err := method.Call(ctx, s.client, s.world)
		took := time.Since(began)
		assert.Less(t, took, after+most)
		if took >= after {
			require.Error(t, err)
			require.ErrorIs(t, err, context.Canceled)
			for _, sentinel := range fault.Is {
				if len(steps) == 1 && !errors.Is(sentinel, context.DeadlineExceeded) {
					assert.ErrorIs(t, err, sentinel, "what the API said is not lost")
				}
			}
		}
		assert.Zero(t, s.bodies.Load(), "every body is closed")
		for _, r := range s.requests() {
			assert.LessOrEqual(t, r.Time.Sub(began), after)
		}
	})
}

// goAway serves one connection of HTTP/2: it reads a request, says that it goes away, and closes. Either it has not looked at the request, or
// it may have.
func goAway(looked bool) func(net.Conn) {
	const data, headers, settings, goAway, endStream, ack = 0, 1, 4, 7, 1, 1
	frame := func(kind, flags byte, payload ...byte) []byte {
		return append([]byte{0, 0, byte(len(payload)), kind, flags, 0, 0, 0, 0}, payload...)
	}
	return func(plain net.Conn) {
		conn := pipenet.TLS(plain)
		defer conn.Close()
		if _, err := io.CopyN(io.Discard, conn, int64(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
			return
		}
		// A pipe holds nothing: one who writes must read at the same time.
		farewell := make(chan []byte, 1)
		defer close(farewell)
		go func() {
			_, _ = conn.Write(append(frame(settings, 0), frame(settings, ack)...))
			_, _ = conn.Write(<-farewell)
			_ = plain.Close()
		}()
		for {
			head := make([]byte, 9)
			if _, err := io.ReadFull(conn, head); err != nil {
				return
			}
			_, _ = io.CopyN(io.Discard, conn, int64(head[0])<<16|int64(head[1])<<8|int64(head[2]))
			if kind, flags := head[3], head[4]; kind != headers && kind != data || flags&endStream == 0 {
				continue
			}
			last := make([]byte, 4)
			if looked {
				copy(last, head[5:])
			}
			farewell <- frame(goAway, 0, append(last, 0, 0, 0, 0)...)
		}
	}
}

func TestEveryOperationMeetsAServerThatGoesAway(t *testing.T) {
	t.Parallel()
	for name, method := range cases.Methods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			steps := steps(t, method)
			first := steps[0]
			t.Run("before it has looked", func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := newStage(t, "HTTP/2", method)
					s.network.Intercept(goAway(false))
					require.NoError(t, method.Call(t.Context(), s.client, s.world))
					assert.Len(t, s.requests(), len(steps), "the server saw each request once")
					assert.Equal(t, 1, s.done(steps[len(steps)-1]))
				})
			})
			t.Run("after it may have looked", func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := newStage(t, "HTTP/2", method)
					s.network.Intercept(goAway(true))
					err := method.Call(t.Context(), s.client, s.world)
					if isRepeatable(first) {
						require.NoError(t, err)
						return
					}
					require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
					assert.Empty(t, s.requests(), "nothing was sent again")
				})
			})
		})
	}
}

// TestConnectionsOf64Workers measures how many connections a busy client opens on the transport that it has by default.
func TestConnectionsOf64Workers(t *testing.T) {
	t.Parallel()
	const workers, rounds = 64, 5
	for protocol, test := range map[string]struct{ first, later int }{
		"HTTP/1.1": {workers, 0}, // each worker one, and all are kept
		"HTTP/2":   {workers, 0}, // all begin at once, before it is known that one would do
	} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, protocol, cases.Method{}, cftunnel.WithLimiter(nil))
				s.srv.Inject(tunneltest.Fault{Delay: 50 * time.Millisecond, Times: tunneltest.Always})
				round := func() {
					var group sync.WaitGroup
					for range workers {
						group.Go(func() {
							_, err := s.client.Tunnels.Get(t.Context(), s.world.Tunnel)
							assert.NoError(t, err)
						})
					}
					group.Wait()
				}
				round()
				synctest.Wait()
				t.Logf("%d connections for the first %d calls", s.network.Dials(), workers)
				assert.LessOrEqual(t, s.network.Dials(), test.first)
				before := s.network.Dials()
				for range rounds {
					round()
				}
				t.Logf("%d more for %d others, %d open", s.network.Dials()-before, rounds*workers, s.network.Open())
				assert.Equal(t, test.later, s.network.Dials()-before)
			})
		})
	}
}
