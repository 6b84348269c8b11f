package cftunnel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// methods calls an operation of each HTTP method, on an existing tunnel if it has an ID.
var methods = map[string]struct {
	operation  string
	idempotent bool
	call       func(ctx context.Context, c *cftunnel.Client, id string) error
}{
	"GET": {opGet, true, func(ctx context.Context, c *cftunnel.Client, id string) error {
		_, err := c.Tunnels.Get(ctx, id)
		return err
	}},
	"PATCH": {opUpdate, true, func(ctx context.Context, c *cftunnel.Client, id string) error {
		_, err := c.Tunnels.Update(ctx, id, cftunnel.TunnelUpdateParams{Name: "other"})
		return err
	}},
	"DELETE": {opDelete, true, func(ctx context.Context, c *cftunnel.Client, id string) error {
		_, err := c.Tunnels.Delete(ctx, id, cftunnel.TunnelDeleteParams{})
		return err
	}},
	"POST": {opCreate, false, func(ctx context.Context, c *cftunnel.Client, _ string) error {
		_, err := c.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "other"})
		return err
	}},
}

func TestRetry_Statuses(t *testing.T) {
	t.Parallel()
	retried := map[int]bool{429: true, 500: true, 502: true, 503: true, 504: true}
	for status := 520; status <= 530; status++ {
		retried[status] = true
	}
	for _, status := range []int{
		400, 401, 403, 404, 405, 408, 409, 410, 422, 425, 429,
		500, 501, 502, 503, 504, 505, 511, 519, 520, 525, 530, 531,
	} {
		for method, m := range methods {
			t.Run(fmt.Sprint(status, " ", method), func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, h *harness) {
					client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
					h.srv.Inject(tunneltest.Fault{
						Operation: m.operation, Status: status, Times: tunneltest.Always,
					})
					err := m.call(t.Context(), client, tunnel.ID)
					failure, ok := errors.AsType[*cftunnel.Error](err)
					require.True(t, ok, "%v", err)
					attempts := 1
					if retried[status] && (m.idempotent || status == 429) {
						attempts = 4
					}
					assert.Len(t, h.srv.Requests(), attempts)
					assert.Equal(t, attempts, failure.Attempts)
					assert.Equal(t, status, failure.StatusCode)
					assert.Equal(t, method != "GET" && status >= 500, isUncertain(err))
					assert.Zero(t, h.carriedOut(m.operation))
				})
			})
		}
	}
}

func TestRetry_BrokenConnections(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]tunneltest.Cut{
		"before the request":  tunneltest.CutBefore,
		"before the response": tunneltest.CutAfter,
		"inside the response": tunneltest.CutInside,
	} {
		for method, m := range methods {
			t.Run(method+" cut "+name, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, h *harness) {
					client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
					h.srv.Inject(tunneltest.Fault{Operation: m.operation, Cut: cut})
					err := m.call(t.Context(), client, tunnel.ID)
					if m.idempotent {
						require.NoError(t, err)
						assert.Len(t, h.srv.Requests(), 2)
						return
					}
					failure, ok := errors.AsType[*cftunnel.Error](err)
					require.True(t, ok, "%v", err)
					require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
					assert.Equal(t, 1, failure.Attempts)
					assert.Len(t, h.srv.Requests(), 1, "a create is not retried")
					if cut == tunneltest.CutBefore {
						assert.Zero(t, h.carriedOut(opCreate))
					} else {
						assert.Equal(t, 1, h.carriedOut(opCreate))
					}
				})
			})
		}
	}
}

func TestRetry_CreateWithoutConnection(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		refusals := 3
		transport := h.transport(func() error {
			if refusals--; refusals >= 0 {
				return errors.New("connection refused")
			}
			return nil
		})
		client := h.newClient(cftunnel.WithHTTPClient(&http.Client{Transport: transport}))
		var info cftunnel.ResponseInfo
		params := cftunnel.TunnelCreateParams{Name: "n"}
		_, err := client.Tunnels.Create(t.Context(), params, cftunnel.CaptureResponse(&info))
		require.NoError(t, err)
		assert.Equal(t, 4, info.Attempts)
		assert.Equal(t, 1, h.carriedOut(opCreate))

		refusals = 100
		_, err = client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "m"})
		require.Error(t, err)
		assert.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown, "nothing was sent")
	})
}

func TestRetry_RoundTripperWithoutTrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		transport := roundTripper(func(*http.Request) (*http.Response, error) {
			calls++
			return nil, net.ErrClosed
		})
		client, err := cftunnel.NewClient(
			cftunnel.WithAPIToken(apiToken),
			cftunnel.WithAccountID(accountID),
			cftunnel.WithHTTPClient(&http.Client{Transport: transport}),
		)
		require.NoError(t, err)
		_, err = client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		require.ErrorIs(t, err, net.ErrClosed)
		assert.Equal(t, 1, calls)
		_, err = client.Tunnels.Get(t.Context(), tunnelID)
		require.Error(t, err)
		assert.Equal(t, 1+4, calls)
	})
}

func TestRetry_Timeout(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client, tunnel := h.newClient(cftunnel.WithTimeout(time.Second)), h.srv.SeedTunnels(1)[0]
		h.srv.Inject(tunneltest.Fault{Operation: opGet, Delay: time.Minute})
		_, err := client.Tunnels.Get(t.Context(), tunnel.ID)
		require.NoError(t, err, "the second attempt is fast enough")

		h.srv.Inject(tunneltest.Fault{Operation: opCreate, Delay: time.Minute})
		began := time.Now()
		_, err = client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
		assert.Equal(t, time.Second, time.Since(began))
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Contains(t, err.Error(), "no whole response within 1s")
		assert.Equal(t, 1, h.carriedOut(opCreate))
		time.Sleep(time.Hour) // until the fake's delays end
	})
}

func TestContext_EndsCall(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cancel func(context.Context) (context.Context, context.CancelFunc)
		want   error
	}{
		"deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, context.DeadlineExceeded},
		"cancelled": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, context.Canceled},
		"cancelled with a cause": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Second, func() { cancel(errors.New("shutdown")) })
			return ctx, func() { cancel(nil) }
		}, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, h *harness) {
				client := h.newClient()
				h.srv.Inject(tunneltest.Fault{Operation: opCreate, Delay: time.Minute})
				ctx, cancel := test.cancel(t.Context())
				defer cancel()
				began := time.Now()
				_, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "n"})
				assert.Equal(t, time.Second, time.Since(began))
				require.ErrorIs(t, err, test.want)
				require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
				assert.Len(t, h.srv.Requests(), 1)
				time.Sleep(time.Hour)
			})
		})
	}
}

func TestContext_KeepsLastAPIError(t *testing.T) {
	t.Parallel()
	t.Run("pause longer than the deadline", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, h *harness) {
			client := h.newClient()
			h.srv.Inject(tunneltest.Fault{
				Status: 503, Header: http.Header{"Retry-After": {"20"}}, Times: tunneltest.Always,
			})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			began := time.Now()
			_, err := client.Tunnels.Get(ctx, tunnelID)
			assert.Zero(t, time.Since(began))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			failure, ok := errors.AsType[*cftunnel.Error](err)
			require.True(t, ok)
			assert.Equal(t, 503, failure.StatusCode)
			assert.Equal(t, 20*time.Second, failure.RetryAfter)
		})
	})
	t.Run("cancelled during the pause", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, h *harness) {
			client := h.newClient()
			h.srv.Inject(tunneltest.Fault{
				Status: 502, Header: http.Header{"Retry-After": {"20"}}, Times: tunneltest.Always,
			})
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			began := time.Now()
			_, err := client.Tunnels.Get(ctx, tunnelID)
			assert.Equal(t, time.Second, time.Since(began))
			require.ErrorIs(t, err, context.Canceled)
			failure, ok := errors.AsType[*cftunnel.Error](err)
			require.True(t, ok)
			assert.Equal(t, 502, failure.StatusCode)
		})
	})
	t.Run("no response to the last attempt", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, h *harness) {
			client := h.newClient()
			h.srv.Inject(tunneltest.Fault{Status: 503, Body: refusalBody(4242)})
			h.srv.Inject(tunneltest.Fault{Delay: time.Hour})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, err := client.Tunnels.Get(ctx, tunnelID)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorIs(t, err, cftunnel.ErrServer)
			assert.True(t, cftunnel.HasCode(err, 4242))
			failure, ok := errors.AsType[*cftunnel.Error](err)
			require.True(t, ok)
			assert.Equal(t, 2, failure.Attempts)
			time.Sleep(2 * time.Hour)
		})
	})
}

func TestUncertain_AfterRateLimit(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
		h.srv.Inject(tunneltest.Fault{Cut: tunneltest.CutAfter})
		h.srv.Inject(tunneltest.Fault{Status: 429, Header: http.Header{"Retry-After": {"300"}}})
		_, err := client.Tunnels.Update(t.Context(), tunnel.ID,
			cftunnel.TunnelUpdateParams{Name: "other"})
		require.ErrorIs(t, err, cftunnel.ErrRateLimited)
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		assert.Equal(t, 1, h.carriedOut(opUpdate))
	})
}

func TestUncertain_EndsWithRefusal(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
		h.srv.Inject(tunneltest.Fault{Status: 503})
		h.srv.Inject(tunneltest.Fault{Status: 400, Body: refusalBody(1022)})
		_, err := client.Tunnels.Delete(t.Context(), tunnel.ID, cftunnel.TunnelDeleteParams{})
		require.ErrorIs(t, err, cftunnel.ErrActiveConnections)
		assert.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	})
}

func TestRetry_Pauses(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		policy := cftunnel.RetryPolicy{
			MaxAttempts: 5, BaseDelay: time.Second, MaxDelay: 3 * time.Second,
		}
		client := h.newClient(cftunnel.WithoutRateLimit(), cftunnel.WithRetry(policy))
		h.srv.Inject(tunneltest.Fault{Status: 500, Times: tunneltest.Always})
		bounds := []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 3 * time.Second}
		longest := make([]time.Duration, len(bounds))
		for range 200 {
			before := len(h.srv.Requests())
			_, err := client.Tunnels.Get(t.Context(), tunnelID)
			require.Error(t, err)
			requests := h.srv.Requests()[before:]
			require.Len(t, requests, 5)
			for i, bound := range bounds {
				pause := requests[i+1].Time.Sub(requests[i].Time)
				assert.LessOrEqual(t, pause, bound)
				longest[i] = max(longest[i], pause)
			}
		}
		for i, bound := range bounds {
			assert.Greater(t, longest[i], bound*8/10, "pauses are spread up to the bound")
		}
	})
}

func TestRetry_MaxAttempts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		policy cftunnel.RetryPolicy
		opts   []cftunnel.CallOption
		want   int
	}{
		{"default", cftunnel.RetryPolicy{}, nil, 4},
		{"retries off", cftunnel.RetryPolicy{MaxAttempts: 1}, nil, 1},
		{"client option", cftunnel.RetryPolicy{MaxAttempts: 6}, nil, 6},
		{"call option", cftunnel.RetryPolicy{MaxAttempts: 6}, []cftunnel.CallOption{cftunnel.MaxAttempts(2)}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, h *harness) {
				client := h.newClient(cftunnel.WithRetry(test.policy))
				h.srv.Inject(tunneltest.Fault{Status: 500, Times: tunneltest.Always})
				_, err := client.Tunnels.Get(t.Context(), tunnelID, test.opts...)
				require.ErrorIs(t, err, cftunnel.ErrServer)
				assert.Len(t, h.srv.Requests(), test.want)
			})
		})
	}
}

// newStaleServer returns the URL of a server that responds to the first request of each connection
// and closes the connection at the second, like a server that closes idle connections. seen counts
// its requests.
func newStaleServer(t *testing.T, result string) (url string, seen *atomic.Int32) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	seen = &atomic.Int32{}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buffer := make([]byte, 16<<10)
				for request := range 2 {
					if _, err := conn.Read(buffer); err != nil {
						return
					}
					seen.Add(1)
					if request == 0 {
						_, _ = io.WriteString(conn, response("200 OK", ok(result)))
					}
				}
			}()
		}
	}()
	return "http://" + listener.Addr().String(), seen
}

func TestRetry_ByNetHTTP(t *testing.T) {
	t.Parallel()
	newClient := func(
		t *testing.T, opts ...cftunnel.Option,
	) (*cftunnel.Client, *atomic.Int32, *countingLimiter) {
		url, seen := newStaleServer(t, `{"id":"`+tunnelID+`"}`)
		limiter := &countingLimiter{}
		client, err := cftunnel.NewClient(append([]cftunnel.Option{
			cftunnel.WithBaseURL(url),
			cftunnel.WithAPIToken(apiToken),
			cftunnel.WithAccountID(accountID),
			cftunnel.WithLimiter(limiter),
			quick,
		}, opts...)...)
		require.NoError(t, err)
		t.Cleanup(client.CloseIdleConnections)
		// This call leaves an idle connection that breaks when it is used again.
		_, err = client.Tunnels.Get(t.Context(), tunnelID)
		require.NoError(t, err)
		seen.Store(0)
		limiter.waits.Store(0)
		return client, seen, limiter
	}
	t.Run("GET", func(t *testing.T) {
		t.Parallel()
		var log strings.Builder
		handler := slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})
		client, seen, limiter := newClient(t, cftunnel.WithLogger(slog.New(handler)))
		var info cftunnel.ResponseInfo
		_, err := client.Tunnels.Get(t.Context(), tunnelID, cftunnel.CaptureResponse(&info))
		require.NoError(t, err)
		assert.Equal(t, 2, info.Attempts)
		assert.Contains(t, log.String(), "level=WARN", "the first attempt has its own record")
		assert.Equal(t, 1, strings.Count(log.String(), "attempt=2"))
		assert.EqualValues(t, 2, seen.Load())
		assert.EqualValues(t, 2, limiter.waits.Load())
	})
	t.Run("GET with one attempt", func(t *testing.T) {
		t.Parallel()
		client, _, limiter := newClient(t)
		defer func() { assert.EqualValues(t, 2, limiter.waits.Load()) }()
		var info cftunnel.ResponseInfo
		_, err := client.Tunnels.Get(t.Context(), tunnelID,
			cftunnel.MaxAttempts(1), cftunnel.CaptureResponse(&info))
		require.NoError(t, err)
		assert.Equal(t, 2, info.Attempts, "net/http ignores MaxAttempts, but its retry is counted")
	})
	for name, opts := range map[string][]cftunnel.CallOption{
		"POST":                        nil,
		"POST with Idempotency-Key":   {cftunnel.AddHeader("Idempotency-Key", "k")},
		"POST with X-Idempotency-Key": {cftunnel.AddHeader("X-Idempotency-Key", "k")},
		"POST with idempotency-key":   {cftunnel.AddHeader("idempotency-key", "k")},
		"POST with an empty key":      {cftunnel.AddHeader("Idempotency-Key", "")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, seen, limiter := newClient(t)
			_, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"},
				opts...)
			require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
			assert.EqualValues(t, 1, seen.Load())
			assert.EqualValues(t, 1, limiter.waits.Load())
		})
		t.Run(name+" without a body", func(t *testing.T) {
			t.Parallel()
			client, seen, limiter := newClient(t)
			err := client.Do(t.Context(), http.MethodPost, "accounts", nil, nil, opts...)
			require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
			assert.EqualValues(t, 1, seen.Load())
			assert.EqualValues(t, 1, limiter.waits.Load())
		})
	}
}

func TestRetry_BusyHTTP2Server(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	t.Cleanup(srv.Close)
	busy := httptest.NewUnstartedServer(srv.Handler())
	busy.EnableHTTP2 = true
	busy.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 5}
	busy.Config.ErrorLog = log.New(io.Discard, "", 0)
	busy.StartTLS()
	t.Cleanup(busy.Close)
	client, err := srv.NewClient(
		cftunnel.WithBaseURL(busy.URL+"/client/v4"),
		cftunnel.WithHTTPClient(busy.Client()),
		cftunnel.WithRetry(cftunnel.RetryPolicy{
			MaxAttempts: 200, BaseDelay: time.Millisecond, MaxDelay: 4 * time.Millisecond,
		}),
	)
	require.NoError(t, err)
	const calls = 40
	var group sync.WaitGroup
	var lost atomic.Int32
	for i := range calls {
		group.Go(func() {
			params := cftunnel.TunnelCreateParams{Name: fmt.Sprint("n", i)}
			_, err := client.Tunnels.Create(t.Context(), params)
			if err == nil {
				return
			}
			// The server of net/http may end a stream above the limit with PROTOCOL_ERROR, which
			// does not say whether the request was processed.
			if assert.ErrorContains(t, err, "PROTOCOL_ERROR") {
				assert.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
				lost.Add(1)
			}
		})
	}
	group.Wait()
	assert.GreaterOrEqual(t, carriedOut(srv, opCreate), calls-int(lost.Load()))
	assert.Len(t, srv.Requests(), carriedOut(srv, opCreate), "no request was sent twice")
}

func TestRetry_BadCertificate(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	t.Cleanup(srv.Close)
	baseURL := strings.Replace(srv.URL(), "http:", "https:", 1)
	client, err := srv.NewClient(cftunnel.WithBaseURL(baseURL))
	require.NoError(t, err)
	_, err = client.Tunnels.Get(t.Context(), tunnelID)
	failure, ok := errors.AsType[*cftunnel.Error](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, 1, failure.Attempts)
}

// closing is a body that calls close when it is closed.
type closing struct {
	io.Reader
	close func()
}

func (c closing) Close() error { c.close(); return nil }

func TestContext_EndsWithResponse(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	transport := roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: 503, Header: http.Header{"Retry-After": {"300"}},
			Body: closing{strings.NewReader("{}"), cancel},
		}, nil
	})
	_, client := newFake(t, cftunnel.WithHTTPClient(&http.Client{Transport: transport}))
	err := list(ctx, client)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, cftunnel.ErrServer)
}

func TestRetry_RateLimitWithoutRetryAfter(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client := h.newClient(cftunnel.WithoutRateLimit())
		h.srv.Inject(tunneltest.Fault{Status: 429, Times: tunneltest.Always})
		began := time.Now()
		require.ErrorIs(t, list(t.Context(), client), cftunnel.ErrRateLimited)
		assert.Positive(t, time.Since(began))
		assert.Len(t, h.srv.Requests(), 4)
	})
}

func TestRetry_RetryAfterOf503(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client := h.newClient()
		h.srv.Inject(tunneltest.Fault{Status: 503, Header: http.Header{"Retry-After": {"30"}}})
		began := time.Now()
		var group sync.WaitGroup
		group.Go(func() {
			assert.NoError(t, list(t.Context(), client))
			assert.Equal(t, 30*time.Second, time.Since(began), "MaxDelay is still accepted")
		})
		synctest.Wait()
		require.NoError(t, list(t.Context(), client))
		assert.Zero(t, time.Since(began), "other calls are not delayed")
		group.Wait()
	})
}

func TestUncertain_AfterInconclusiveStatus(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 401, 403, 408, 425} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, h *harness) {
				client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
				h.srv.Inject(tunneltest.Fault{Cut: tunneltest.CutAfter})
				h.srv.Inject(tunneltest.Fault{Status: status, Body: refusalBody(1)})
				params := cftunnel.TunnelUpdateParams{Name: "other"}
				_, err := client.Tunnels.Update(t.Context(), tunnel.ID, params)
				require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
				require.True(t, cftunnel.HasCode(err, 1))
				assert.Equal(t, 1, h.carriedOut(opUpdate))
			})
		})
	}
	t.Run("no connection", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, h *harness) {
			tunnel, dials := h.srv.SeedTunnels(1)[0], 0
			transport := h.transport(func() error {
				if dials++; dials > 1 {
					return errors.New("connection refused")
				}
				return nil
			})
			client := h.newClient(cftunnel.WithHTTPClient(&http.Client{Transport: transport}))
			h.srv.Inject(tunneltest.Fault{Cut: tunneltest.CutAfter})
			params := cftunnel.TunnelUpdateParams{Name: "other"}
			_, err := client.Tunnels.Update(t.Context(), tunnel.ID, params)
			require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
			assert.Equal(t, 4, dials)
			assert.Equal(t, 1, h.carriedOut(opUpdate))
		})
	})
}
