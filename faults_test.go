package cftunnel_test

import (
	"context"
	"encoding/binary"
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

// methodHarness is a harness for one method of cases.Methods. Its client uses the default
// transport.
type methodHarness struct {
	*harness
	client  *cftunnel.Client
	fixture cases.Fixture
	before  int          // number of requests that created the fixture
	bodies  atomic.Int32 // number of response bodies that are not closed
}

var protocols = map[string]func(testing.TB, http.Handler) *pipenet.Network{
	"HTTP/1.1": pipenet.Serve, "HTTP/2": pipenet.ServeTLS,
}

// newMethodHarness must be called inside a bubble. When the test ends, it checks that no connection
// is open.
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
	counting := roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := transport.RoundTrip(r)
		if err == nil {
			h.bodies.Add(1)
			resp.Body = &countedBody{ReadCloser: resp.Body, open: &h.bodies}
		}
		return resp, err
	})
	h.client = h.newClient(append([]cftunnel.Option{
		cftunnel.WithAPIToken(token.Reveal()),
		cftunnel.WithHTTPClient(&http.Client{Transport: counting}),
	}, opts...)...)
	t.Cleanup(func() {
		synctest.Wait() // until HTTP/2 has ended its streams
		transport.CloseIdleConnections()
		synctest.Wait()
		assert.Zero(t, h.network.Open(), "connections that are neither closed nor idle")
	})
	return h
}

// call calls the method and checks that all response bodies are closed.
func (h *methodHarness) call(ctx context.Context, method cases.Method) error {
	err := method.Call(ctx, h.client, h.fixture)
	assert.Zero(h.t, h.bodies.Load(), "response bodies that are not closed")
	return err
}

// requests returns the requests of the method, without those that created the fixture.
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

// inject makes the next requests fail, as many as the fault says.
func (h *methodHarness) inject(f cases.Fault) {
	if f.Refused {
		h.network.Refuse()
		return
	}
	h.srv.Inject(f.Server)
}

// countedBody is a response body that decrements open when it is closed.
type countedBody struct {
	io.ReadCloser
	open   *atomic.Int32
	closed atomic.Bool
}

func (b *countedBody) Close() error {
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

// faultCase is a method and a fault of one of its operations.
type faultCase struct {
	method    cases.Method
	requests  int // number of requests that the method sends if none fails
	operation string
	protocol  string
	fault     cases.Fault
}

// forEachFault runs test for every combination of method, operation, fault and protocol, each in a
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

// harness returns a harness whose client has the options that the fault needs. It does not inject
// the fault.
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

// happensOnce reports whether the server rejects a repeated request: a delete of what is deleted,
// or an update that changes nothing.
func happensOnce(operation string) bool {
	isDelete := strings.HasPrefix(operation, http.MethodDelete)
	if isDelete && strings.HasSuffix(operation, "/{token_id}") {
		return true
	}
	return isNetwork(operation) && isWrite(operation) || operation == opRecordDelete
}

// returnsSecret reports whether the response to an operation may contain a secret.
func returnsSecret(operation string) bool {
	if isNetwork(operation) || strings.Contains(operation, "/dns_records") {
		return false
	}
	return strings.HasPrefix(operation, "PATCH ") || strings.HasPrefix(operation, "POST ") ||
		strings.HasSuffix(operation, "/token") || strings.HasSuffix(operation, "/value") ||
		strings.Contains(operation, "/management")
}

func isWrite(operation string) bool { return !strings.HasPrefix(operation, http.MethodGet) }

// isIdempotent reports whether an operation may be repeated. Rolling a token is a PUT, but creates
// a new secret each time.
func isIdempotent(operation string) bool {
	return !strings.HasPrefix(operation, http.MethodPost) && !strings.HasSuffix(operation, "/value")
}

// withoutResult are the operations whose result the client ignores.
var withoutResult = []string{
	opCleanup, "PUT /accounts/{account_id}/warp_connector/{tunnel_id}/failover", opRecordDelete,
}

func (c faultCase) isHarmless() bool {
	return c.fault.Harmless || c.fault.HarmlessWithoutResult &&
		slices.Contains(withoutResult, c.operation)
}

func (c faultCase) isRetried() bool {
	return c.fault.Retry == cases.RetryAll ||
		c.fault.Retry == cases.RetryIdempotent && isIdempotent(c.operation)
}

// checkError checks the error of a call all of whose attempts failed with the fault.
func (c faultCase) checkError(t *testing.T, h *methodHarness, err error, attempts int) {
	t.Helper()
	failure, ok := errors.AsType[*cftunnel.Error](err)
	require.True(t, ok, "%#v", err)
	assert.Equal(t, c.fault.Status, failure.StatusCode)
	assert.Equal(t, attempts, failure.Attempts)
	assert.Equal(t, c.fault.RetryAfter, failure.RetryAfter)
	assert.Equal(t, c.fault.Uncertain && isWrite(c.operation), isUncertain(err), "%v", err)
	assert.Equal(t, c.fault.Status != 0, failure.RayID != "", "ray ID of the response")
	for _, sentinel := range []error{
		cftunnel.ErrRateLimited, cftunnel.ErrServer, cftunnel.ErrNotFound, cftunnel.ErrUnauthorized, cftunnel.ErrForbidden,
		cftunnel.ErrConflict, cftunnel.ErrBadRequest, context.Canceled, context.DeadlineExceeded,
	} {
		assert.Equal(t, slices.Contains(c.fault.Is, sentinel), errors.Is(err, sentinel),
			"%v", sentinel)
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

// Every request for the operation fails.
func TestFaults_EveryRequest(t *testing.T) {
	t.Parallel()
	forEachFault(t, func(t *testing.T, c faultCase) {
		const maxAttempts = 3
		c.fault.Server.Times = tunneltest.Always
		h := c.harness(t,
			cftunnel.RetryPolicy{MaxAttempts: maxAttempts, BaseDelay: time.Millisecond})
		h.inject(c.fault)
		err := h.call(t.Context(), c.method)
		if c.isHarmless() {
			require.NoError(t, err)
			return
		}
		if !isIdempotent(c.operation) {
			assert.LessOrEqual(t, h.carriedOut(c.operation), 1, "the request is repeated")
		}
		if c.requests > 1 {
			if err != nil {
				_, ok := errors.AsType[*cftunnel.Error](err)
				assert.True(t, ok, "%#v", err)
				return
			}
			assert.True(t, isWrite(c.operation) && c.fault.CarriedOut(),
				"success without a successful response")
			assert.Equal(t, 1, h.carriedOut(c.operation))
			return
		}
		if happensOnce(c.operation) && c.fault.Server.Cut == tunneltest.CutInside {
			// The retry is rejected, but its body is cut: only the status is readable.
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

// The first request for the operation fails.
func TestFaults_OneRequest(t *testing.T) {
	t.Parallel()
	forEachFault(t, func(t *testing.T, c faultCase) {
		if c.fault.Refused {
			return // the fault refuses every connection
		}
		h := c.harness(t, cftunnel.RetryPolicy{BaseDelay: time.Millisecond})
		h.inject(c.fault)
		err := h.call(t.Context(), c.method)
		if !isIdempotent(c.operation) {
			assert.LessOrEqual(t, h.carriedOut(c.operation), 1, "the request is repeated")
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

// A call returns when its context ends, and sends nothing after that.
func TestFaults_ContextEnds(t *testing.T) {
	t.Parallel()
	forEachFault(t, func(t *testing.T, c faultCase) {
		const end, grace = 100 * time.Millisecond, 50 * time.Millisecond
		c.fault.Server.Times, c.fault.Timeout = tunneltest.Always, 0
		if c.fault.Retry != cases.RetryNone && c.fault.Server.Delay == 0 {
			c.fault.Server.Delay = 30 * time.Millisecond
		}
		h := c.harness(t,
			cftunnel.RetryPolicy{MaxAttempts: 1 << 30, BaseDelay: 50 * time.Millisecond})
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

// goAway returns a function that serves one HTTP/2 connection: it reads a request, sends GOAWAY,
// and closes the connection. If processed is set, the last stream ID of GOAWAY is that of the
// request, else 0.
func goAway(processed bool) func(net.Conn) {
	return func(plain net.Conn) {
		conn := pipenet.TLS(plain)
		defer conn.Close()
		if _, err := io.CopyN(io.Discard, conn, int64(len(http2Preface))); err != nil {
			return
		}
		// A pipe has no buffer, so reading and writing must not wait for each other.
		last := make(chan []byte, 1)
		defer close(last)
		go func() {
			_, _ = conn.Write(
				append(http2Frame(frameSettings, 0, 0), http2Frame(frameSettings, flagAck, 0)...))
			_, _ = conn.Write(<-last)
			_ = plain.Close()
		}()
		for {
			head := make([]byte, 9)
			if _, err := io.ReadFull(conn, head); err != nil {
				return
			}
			_, _ = io.CopyN(io.Discard, conn, payloadLength(head))
			if !endsRequest(head) {
				continue
			}
			var streamID uint32
			if processed {
				streamID = binary.BigEndian.Uint32(head[5:])
			}
			last <- goAwayFrame(streamID, codeNone, "")
		}
	}
}

func TestMethods_GoAway(t *testing.T) {
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
					assert.Len(t, h.requests(), len(operations), "each request arrived once")
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
					assert.Empty(t, h.requests(), "the request is repeated")
				})
			})
		})
	}
}

// The default transport of a busy client keeps its connections.
func TestTransport_Connections(t *testing.T) {
	t.Parallel()
	const workers, rounds = 64, 5
	for protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newMethodHarness(t, protocol, cases.Method{}, cftunnel.WithoutRateLimit())
				h.srv.Inject(
					tunneltest.Fault{Delay: 50 * time.Millisecond, Times: tunneltest.Always})
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
				// All requests begin before the client knows whether the server supports HTTP/2.
				dials := h.network.Dials()
				assert.LessOrEqual(t, dials, workers)
				for range rounds {
					round()
				}
				assert.Equal(t, dials, h.network.Dials(), "connections are not kept")
			})
		})
	}
}
