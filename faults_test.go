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
	"github.com/cftunnel/cftunnel-go/internal/roundtrip"
	"github.com/cftunnel/cftunnel-go/internal/test/cases"
	"github.com/cftunnel/cftunnel-go/internal/test/pipenet"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// methodHarness is a harness for one method of cases.Methods. Its client has the default transport.
type methodHarness struct {
	*harness
	client  *cftunnel.Client
	fixture cases.Fixture
	before  int          // requests that made the fixture
	bodies  atomic.Int32 // response bodies that are not closed
}

var protocols = map[string]func(testing.TB, http.Handler) *pipenet.Network{
	"HTTP/1.1": pipenet.Serve, "HTTP/2": pipenet.ServeTLS,
}

// newMethodHarness must be called inside a bubble. When the test ends, no connection may be open.
func newMethodHarness(
	t *testing.T, protocol string, method cases.Method, opts ...cftunnel.Option,
) *methodHarness {
	t.Helper()
	h := &methodHarness{harness: newHarness(t, protocols[protocol])}
	var err error
	h.fixture, err = cases.NewFixture(t.Context(), h.srv)
	require.NoError(t, err)
	h.before = len(h.srv.Requests())

	token := h.srv.APIToken()
	if method.AccountToken {
		token = h.srv.AddToken(tunneltest.Token{Owner: cftunnel.TokenOwnerAccount})
	}
	transport := roundtrip.NewTransport()
	h.network.Lead(t, transport)
	h.client = h.newClient(append([]cftunnel.Option{
		cftunnel.WithAPIToken(token.Reveal()),
		cftunnel.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := transport.RoundTrip(r)
			if err == nil {
				h.bodies.Add(1)
				resp.Body = &watchedBody{ReadCloser: resp.Body, open: &h.bodies}
			}
			return resp, err
		})}),
	}, opts...)...)
	t.Cleanup(func() {
		synctest.Wait() // until HTTP/2 has ended its streams
		transport.CloseIdleConnections()
		synctest.Wait()
		assert.Zero(t, h.network.Open(), "connections that are neither closed nor idle")
	})
	return h
}

func (h *methodHarness) call(ctx context.Context, method cases.Method) error {
	err := method.Call(ctx, h.client, h.fixture)
	assert.Zero(h.t, h.bodies.Load(), "response bodies that are not closed")
	return err
}

// requests returns what the method sent.
func (h *methodHarness) requests() []tunneltest.Request { return h.srv.Requests()[h.before:] }

// carriedOut counts the method's requests for an operation that the fake carried out.
func (h *methodHarness) carriedOut(operation string) int {
	n := 0
	for _, r := range h.requests() {
		if r.Operation == operation && r.Done {
			n++
		}
	}
	return n
}

// inject makes the fault happen to as many requests as it says.
func (h *methodHarness) inject(f cases.Fault) {
	if f.Refused {
		h.network.Refuse()
		return
	}
	h.srv.Inject(f.Server)
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

// operationsOf returns the operations of the requests that a method sends if none fails.
func operationsOf(t *testing.T, method cases.Method) (operations []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newMethodHarness(t, "HTTP/1.1", method)
		require.NoError(t, h.call(t.Context(), method))
		for _, r := range h.requests() {
			operations = append(operations, r.Operation)
		}
	})
	return operations
}

// faultCase is a method one of whose operations meets a fault.
type faultCase struct {
	method    cases.Method
	requests  int // that the method sends if none fails
	operation string
	protocol  string
	fault     cases.Fault
}

// forEachFault runs test for every method, operation that it sends, fault and protocol, each in a
// bubble of its own.
func forEachFault(t *testing.T, test func(t *testing.T, c faultCase)) {
	t.Helper()
	faults := cases.Faults()
	for name, method := range cases.Methods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := operationsOf(t, method)
			requests := len(all)
			if method.Polls {
				requests++
			}
			for _, operation := range slices.Compact(slices.Sorted(slices.Values(all))) {
				for protocol := range protocols {
					for _, fault := range faults {
						fault.Server.Operation = operation
						t.Run(operation+" "+protocol+" "+fault.Name, func(t *testing.T) {
							synctest.Test(t, func(t *testing.T) {
								test(t, faultCase{method, requests, operation, protocol, fault})
							})
						})
					}
				}
			}
		})
	}
}

// harness returns one whose client is set up for the fault, which is not injected yet.
func (c faultCase) harness(t *testing.T, retry cftunnel.RetryPolicy) *methodHarness {
	opts := []cftunnel.Option{cftunnel.WithRetry(retry)}
	if c.fault.Timeout > 0 {
		opts = append(opts, cftunnel.WithTimeout(c.fault.Timeout))
	}
	if c.fault.MaxBytes > 0 {
		opts = append(opts, cftunnel.WithMaxResponseBytes(c.fault.MaxBytes))
	}
	return newMethodHarness(t, c.protocol, c.method, opts...)
}

// isNetwork reports whether an operation is about private networks.
func isNetwork(operation string) bool {
	return strings.Contains(operation, "/teamnet/") || strings.Contains(operation, "/zerotrust/")
}

// happensOnce reports whether the server refuses to do the same again: to delete what is deleted, and
// to change nothing.
func happensOnce(operation string) bool {
	isTokenDelete := strings.HasPrefix(operation, http.MethodDelete) && strings.HasSuffix(operation, "/{token_id}")
	return isNetwork(operation) && isWrite(operation) || operation == opRecordDelete || isTokenDelete
}

// returnsSecret reports whether the response to an operation may have a token.
func returnsSecret(operation string) bool {
	if isNetwork(operation) || strings.Contains(operation, "/dns_records") {
		return false
	}
	return strings.HasSuffix(operation, "/token") || strings.HasSuffix(operation, "/value") || strings.Contains(operation, "/management") ||
		strings.HasPrefix(operation, "PATCH ") || strings.HasPrefix(operation, "POST ")
}

func isWrite(operation string) bool { return !strings.HasPrefix(operation, http.MethodGet) }

// isIdempotent goes by an operation's method, except for the one that makes a new secret each time.
func isIdempotent(operation string) bool {
	return !strings.HasPrefix(operation, http.MethodPost) && !strings.HasSuffix(operation, "/value")
}

// withoutResult are operations that succeed whatever the result is.
var withoutResult = []string{
	opCleanup, "PUT /accounts/{account_id}/warp_connector/{tunnel_id}/failover", opRecordDelete,
}

func (c faultCase) isHarmless() bool {
	return c.fault.Harmless || c.fault.HarmlessWithoutResult && slices.Contains(withoutResult, c.operation)
}

func (c faultCase) isRetried() bool {
	return c.fault.Retry == cases.RetryAll || c.fault.Retry == cases.RetryIdempotent && isIdempotent(c.operation)
}

// checkError checks the error of a call whose every request met the fault.
func (c faultCase) checkError(t *testing.T, h *methodHarness, err error, attempts int) {
	t.Helper()
	failure, ok := errors.AsType[*cftunnel.Error](err)
	require.True(t, ok, "%#v", err)
	assert.Equal(t, c.fault.Status, failure.StatusCode)
	assert.Equal(t, attempts, failure.Attempts)
	assert.Equal(t, c.fault.RetryAfter, failure.RetryAfter)
	assert.Equal(t, c.fault.Uncertain && isWrite(c.operation), errors.Is(err, cftunnel.ErrOutcomeUnknown), "%v", err)
	assert.Equal(t, c.fault.Status != 0, failure.RayID != "", "the ray id of the response")
	for _, sentinel := range []error{
		cftunnel.ErrRateLimited, cftunnel.ErrServer, cftunnel.ErrNotFound, cftunnel.ErrUnauthorized, cftunnel.ErrForbidden,
		cftunnel.ErrConflict, cftunnel.ErrBadRequest, context.Canceled, context.DeadlineExceeded,
	} {
		assert.Equal(t, slices.Contains(c.fault.Is, sentinel), errors.Is(err, sentinel), "%v", sentinel)
	}
	text := err.Error()
	if returnsSecret(c.operation) && c.fault.Unreadable {
		assert.Empty(t, failure.Body)
	} else {
		assert.Contains(t, text, c.fault.Body)
	}
	method, _, _ := strings.Cut(c.operation, " ")
	assert.Contains(t, text, method+" "+failure.Path)
	assert.NotContains(t, text, h.srv.APIToken().Reveal())
	if c.fault.Refused {
		attempts = 0
	}
	assert.Len(t, h.requests(), attempts)
}

// TestFaults_EveryRequest: every request for the operation meets the fault.
func TestFaults_EveryRequest(t *testing.T) {
	t.Parallel()
	forEachFault(t, func(t *testing.T, c faultCase) {
		const maxAttempts = 3
		c.fault.Server.Times = tunneltest.Always
		h := c.harness(t, cftunnel.RetryPolicy{MaxAttempts: maxAttempts, BaseDelay: time.Millisecond})
		h.inject(c.fault)
		err := h.call(t.Context(), c.method)
		if c.isHarmless() {
			require.NoError(t, err)
			return
		}
		if !isIdempotent(c.operation) {
			assert.LessOrEqual(t, h.carriedOut(c.operation), 1, "it is repeated")
		}
		if c.requests > 1 {
			if err != nil {
				_, ok := errors.AsType[*cftunnel.Error](err)
				assert.True(t, ok, "%#v", err)
				return
			}
			assert.True(t, isWrite(c.operation) && c.fault.CarriedOut(), "it succeeds without a response that says so")
			assert.Equal(t, 1, h.carriedOut(c.operation))
			return
		}
		if happensOnce(c.operation) && c.fault.Server.Cut == tunneltest.CutInside {
			// The status of a refusal is readable, but not the refusal.
			require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
			assert.Equal(t, 1, h.carriedOut(c.operation))
			return
		}
		attempts, carriedOut := 1, 0
		if c.isRetried() {
			attempts = maxAttempts
		}
		if c.fault.CarriedOut() {
			carriedOut = attempts
			if happensOnce(c.operation) {
				carriedOut = 1
			}
		}
		c.checkError(t, h, err, attempts)
		assert.Equal(t, carriedOut, h.carriedOut(c.operation))
	})
}

// TestFaults_OneRequest: the first request for the operation meets the fault.
func TestFaults_OneRequest(t *testing.T) {
	t.Parallel()
	forEachFault(t, func(t *testing.T, c faultCase) {
		if c.fault.Refused {
			return // every connection is
		}
		h := c.harness(t, cftunnel.RetryPolicy{BaseDelay: time.Millisecond})
		h.inject(c.fault)
		err := h.call(t.Context(), c.method)
		if !isIdempotent(c.operation) {
			assert.LessOrEqual(t, h.carriedOut(c.operation), 1, "it is repeated")
		}
		if c.requests > 1 {
			if err != nil {
				_, ok := errors.AsType[*cftunnel.Error](err)
				assert.True(t, ok, "%#v", err)
				assert.False(t, c.isRetried() || c.isHarmless(), "%v", err)
			}
			return
		}
		if c.isHarmless() || c.isRetried() {
			require.NoError(t, err)
			carriedOut := 1
			if c.fault.CarriedOut() && c.isRetried() && !happensOnce(c.operation) {
				carriedOut = 2
			}
			assert.Equal(t, carriedOut, h.carriedOut(c.operation))
			return
		}
		c.checkError(t, h, err, 1)
	})
}

// TestFaults_ContextEnds: a call ends with its context, and sends nothing after that.
func TestFaults_ContextEnds(t *testing.T) {
	t.Parallel()
	forEachFault(t, func(t *testing.T, c faultCase) {
		const end, grace = 100 * time.Millisecond, 50 * time.Millisecond
		c.fault.Server.Times, c.fault.Timeout = tunneltest.Always, 0
		if c.fault.Retry != cases.RetryNone && c.fault.Server.Delay == 0 {
			c.fault.Server.Delay = 30 * time.Millisecond
		}
		h := c.harness(t, cftunnel.RetryPolicy{MaxAttempts: 1 << 30, BaseDelay: 50 * time.Millisecond})
		h.inject(c.fault)
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		time.AfterFunc(end, cancel)
		err := h.call(ctx, c.method)
		took := time.Since(began)
		assert.Less(t, took, end+grace)
		if took >= end {
			require.ErrorIs(t, err, context.Canceled)
			for _, sentinel := range c.fault.Is {
				if c.requests == 1 && !errors.Is(sentinel, context.DeadlineExceeded) {
					assert.ErrorIs(t, err, sentinel, "the last API error is lost")
				}
			}
		}
		for _, r := range h.requests() {
			assert.LessOrEqual(t, r.Time.Sub(began), end)
		}
	})
}

// goAway serves one connection of HTTP/2: it reads a request, sends GOAWAY, and closes. processed
// says whether the last stream id of the frame is that of the request, or 0.
func goAway(processed bool) func(net.Conn) {
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
		// A pipe has no buffer, so reading and writing must not wait for each other.
		last := make(chan []byte, 1)
		defer close(last)
		go func() {
			_, _ = conn.Write(append(frame(settings, 0), frame(settings, ack)...))
			_, _ = conn.Write(<-last)
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
			streamID := make([]byte, 4)
			if processed {
				copy(streamID, head[5:])
			}
			last <- frame(goAway, 0, append(streamID, 0, 0, 0, 0)...)
		}
	}
}

func TestGoAway_EveryMethod(t *testing.T) {
	t.Parallel()
	for name, method := range cases.Methods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			operations := operationsOf(t, method)
			t.Run("not processed", func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					h := newMethodHarness(t, "HTTP/2", method)
					h.network.Intercept(goAway(false))
					require.NoError(t, h.call(t.Context(), method))
					assert.Len(t, h.requests(), len(operations), "the server saw each request once")
					assert.Equal(t, 1, h.carriedOut(operations[len(operations)-1]))
				})
			})
			t.Run("may be processed", func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					h := newMethodHarness(t, "HTTP/2", method)
					h.network.Intercept(goAway(true))
					err := h.call(t.Context(), method)
					if isIdempotent(operations[0]) {
						require.NoError(t, err)
						return
					}
					require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
					assert.Empty(t, h.requests(), "it is repeated")
				})
			})
		})
	}
}

// TestTransport_Connections measures how many connections a busy client opens with its default
// transport.
func TestTransport_Connections(t *testing.T) {
	t.Parallel()
	const workers, rounds = 64, 5
	for protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newMethodHarness(t, protocol, cases.Method{}, cftunnel.WithoutRateLimit())
				h.srv.Inject(tunneltest.Fault{Delay: 50 * time.Millisecond, Times: tunneltest.Always})
				round := func() {
					var group sync.WaitGroup
					for range workers {
						group.Go(func() {
							_, err := h.client.Tunnels.Get(t.Context(), h.fixture.Tunnel)
							assert.NoError(t, err)
						})
					}
					group.Wait()
				}
				round()
				synctest.Wait()
				// All begin at once, before it is known whether one connection of HTTP/2 would do.
				dials := h.network.Dials()
				assert.LessOrEqual(t, dials, workers)
				for range rounds {
					round()
				}
				assert.Equal(t, dials, h.network.Dials(), "they are not kept")
			})
		})
	}
}
