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

// methods calls an operation of each HTTP method on a tunnel that exists.
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
	again := map[int]bool{429: true, 500: true, 502: true, 503: true, 504: true}
	for status := 520; status <= 530; status++ {
		again[status] = true
	}
	for _, status := range []int{400, 401, 403, 404, 405, 408, 409, 410, 422, 425, 429, 500, 501, 502, 503, 504, 505, 511, 519, 520, 525, 530, 531} {
		for method, m := range methods {
			t.Run(fmt.Sprint(status, " ", method), func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, h *harness) {
					client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
					h.srv.Inject(tunneltest.Fault{Operation: m.operation, Status: status, Times: tunneltest.Always})
					err := m.call(t.Context(), client, tunnel.ID)
					failure, ok := errors.AsType[*cftunnel.Error](err)
					require.True(t, ok, "%v", err)
					attempts := 1
					if again[status] && (m.idempotent || status == 429) {
						attempts = 4
					}
					assert.Len(t, h.srv.Requests(), attempts)
					assert.Equal(t, attempts, failure.Attempts)
					assert.Equal(t, status, failure.StatusCode)
					assert.Equal(t, method != "GET" && status >= 500, errors.Is(err, cftunnel.ErrOutcomeUnknown))
					assert.Zero(t, h.carriedOut(m.operation))
				})
			})
		}
	}
}

func TestRetry_BrokenConnections(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]tunneltest.Cut{
		"before the request is read": tunneltest.CutBefore,
		"after the work":             tunneltest.CutAfter,
		"inside the answer":          tunneltest.CutInside,
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
					assert.Len(t, h.srv.Requests(), 1, "a create is not repeated")
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
		_, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"}, cftunnel.CaptureResponse(&info))
		require.NoError(t, err)
		assert.Equal(t, 4, info.Attempts)
		assert.Equal(t, 1, h.carriedOut(opCreate))

		refusals = 100
		_, err = client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "m"})
		require.Error(t, err)
		assert.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown, "nothing was ever sent")
	})
}

func TestRetry_RoundTripperWithoutTrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		client, err := cftunnel.NewClient(cftunnel.WithAPIToken(apiToken), cftunnel.WithAccountID(accountID),
			cftunnel.WithHTTPClient(&http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
				calls++
				return nil, net.ErrClosed
			})}))
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
		require.NoError(t, err, "another attempt is quicker")

		h.srv.Inject(tunneltest.Fault{Operation: opCreate, Delay: time.Minute})
		began := time.Now()
		_, err = client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
		assert.Equal(t, time.Second, time.Since(began))
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Contains(t, err.Error(), "no whole response within 1s")
		assert.Equal(t, 1, h.carriedOut(opCreate))
		time.Sleep(time.Hour) // for the fake's delays to end
	})
}

func TestContext_EndsCall(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cancel func(context.Context) (context.Context, context.CancelFunc)
		want   error
	}{
		"by a deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, context.DeadlineExceeded},
		"by cancelling": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, context.Canceled},
		"by cancelling with a cause": {func(ctx context.Context) (context.Context, context.CancelFunc) {
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
	t.Run("where the pause would outlast the deadline, at once", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, h *harness) {
			client := h.newClient()
			h.srv.Inject(tunneltest.Fault{Status: 503, Header: http.Header{"Retry-After": {"20"}}, Times: tunneltest.Always})
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
	t.Run("where the context ends in the pause", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, h *harness) {
			client := h.newClient()
			h.srv.Inject(tunneltest.Fault{Status: 502, Header: http.Header{"Retry-After": {"20"}}, Times: tunneltest.Always})
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
	t.Run("where a later attempt has no answer", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, h *harness) {
			client := h.newClient()
			h.srv.Inject(tunneltest.Fault{Status: 503, Body: `{"success":false,"errors":[{"code":4242,"message":"m"}]}`})
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
		_, err := client.Tunnels.Update(t.Context(), tunnel.ID, cftunnel.TunnelUpdateParams{Name: "other"})
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
		h.srv.Inject(tunneltest.Fault{Status: 400, Body: `{"success":false,"errors":[{"code":1022,"message":"m"}]}`})
		_, err := client.Tunnels.Delete(t.Context(), tunnel.ID, cftunnel.TunnelDeleteParams{})
		require.ErrorIs(t, err, cftunnel.ErrActiveConnections)
		assert.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	})
}

func TestRetry_Pauses(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client := h.newClient(cftunnel.WithoutRateLimit(), cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 5, BaseDelay: time.Second, MaxDelay: 3 * time.Second}))
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
			assert.Greater(t, longest[i], bound*8/10, "the whole of the bound is used")
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
		{"by default", cftunnel.RetryPolicy{}, nil, 4},
		{"off", cftunnel.RetryPolicy{MaxAttempts: 1}, nil, 1},
		{"of the client", cftunnel.RetryPolicy{MaxAttempts: 6}, nil, 6},
		{"of the call", cftunnel.RetryPolicy{MaxAttempts: 6}, []cftunnel.CallOption{cftunnel.MaxAttempts(2)}, 2},
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

// stale is a server that answers each connection's first request and cuts it at the second, as one does that closes idle connections.
func stale(t *testing.T, answer string) (url string, seen *atomic.Int32) {
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
						_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
					}
				}
			}()
		}
	}()
	return "http://" + listener.Addr().String(), seen
}

func TestRetry_ByNetHTTP(t *testing.T) {
	t.Parallel()
	const answer = `{"success":true,"result":{"id":"f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"}}`
	dial := func(t *testing.T, opts ...cftunnel.Option) (*cftunnel.Client, *atomic.Int32, *countingLimiter) {
		url, seen := stale(t, answer)
		pace := &countingLimiter{}
		client, err := cftunnel.NewClient(append([]cftunnel.Option{
			cftunnel.WithBaseURL(url), cftunnel.WithAPIToken(apiToken), cftunnel.WithAccountID(accountID), cftunnel.WithLimiter(pace),
			cftunnel.WithRetry(cftunnel.RetryPolicy{BaseDelay: 1, MaxDelay: 1}),
		}, opts...)...)
		require.NoError(t, err)
		t.Cleanup(client.CloseIdleConnections)
		_, err = client.Tunnels.Get(t.Context(), tunnelID) // leaves a connection that dies when it is used again
		require.NoError(t, err)
		seen.Store(0)
		pace.waits.Store(0)
		return client, seen, pace
	}
	t.Run("GET", func(t *testing.T) {
		t.Parallel()
		var log strings.Builder
		client, seen, pace := dial(t, cftunnel.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
		var info cftunnel.ResponseInfo
		_, err := client.Tunnels.Get(t.Context(), tunnelID, cftunnel.CaptureResponse(&info))
		require.NoError(t, err)
		assert.Equal(t, 2, info.Attempts)
		assert.Contains(t, log.String(), "level=WARN", "the repeat has a record of its own")
		assert.Equal(t, 1, strings.Count(log.String(), "attempt=2"))
		assert.EqualValues(t, 2, seen.Load())
		assert.EqualValues(t, 2, pace.waits.Load())
	})
	t.Run("GET with one attempt", func(t *testing.T) {
		t.Parallel()
		client, _, pace := dial(t)
		defer func() { assert.EqualValues(t, 2, pace.waits.Load()) }()
		var info cftunnel.ResponseInfo
		_, err := client.Tunnels.Get(t.Context(), tunnelID, cftunnel.MaxAttempts(1), cftunnel.CaptureResponse(&info))
		require.NoError(t, err)
		assert.Equal(t, 2, info.Attempts, "net/http does not ask, but it is counted")
	})
	for name, opts := range map[string][]cftunnel.CallOption{
		"POST":                         nil,
		"POST with Idempotency-Key":    {cftunnel.AddHeader("Idempotency-Key", "k")},
		"POST with X-Idempotency-Key":  {cftunnel.AddHeader("X-Idempotency-Key", "k")},
		"POST with an Idempotency-Key": {cftunnel.AddHeader("idempotency-key", "k")},
		"POST with an empty one":       {cftunnel.AddHeader("Idempotency-Key", "")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, seen, pace := dial(t)
			_, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"}, opts...)
			require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
			assert.EqualValues(t, 1, seen.Load())
			assert.EqualValues(t, 1, pace.waits.Load())
		})
		t.Run(name+" without a body", func(t *testing.T) {
			t.Parallel()
			client, seen, pace := dial(t)
			err := client.Do(t.Context(), http.MethodPost, "accounts", nil, nil, opts...)
			require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
			assert.EqualValues(t, 1, seen.Load())
			assert.EqualValues(t, 1, pace.waits.Load())
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
	client, err := srv.NewClient(cftunnel.WithBaseURL(busy.URL+"/client/v4"), cftunnel.WithHTTPClient(busy.Client()),
		cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 200, BaseDelay: time.Millisecond, MaxDelay: 4 * time.Millisecond}))
	require.NoError(t, err)
	const calls = 40
	var group sync.WaitGroup
	var lost atomic.Int32
	for i := range calls {
		group.Go(func() {
			_, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: fmt.Sprint("n", i)})
			if err != nil && assert.ErrorContains(t, err, "PROTOCOL_ERROR", "what net/http's server may say of a stream too many") {
				assert.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown, "and that does not tell whether it has looked")
				lost.Add(1)
			}
		})
	}
	group.Wait()
	assert.GreaterOrEqual(t, carriedOut(srv, opCreate), calls-int(lost.Load()))
	assert.Len(t, srv.Requests(), carriedOut(srv, opCreate), "nothing was even asked twice")
}

func TestRetry_BadCertificate(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	t.Cleanup(srv.Close)
	client, err := srv.NewClient(cftunnel.WithBaseURL(strings.Replace(srv.URL(), "http:", "https:", 1)))
	require.NoError(t, err)
	_, err = client.Tunnels.Get(t.Context(), tunnelID)
	failure, ok := errors.AsType[*cftunnel.Error](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, 1, failure.Attempts)
}

func (c closing) Close() error { c.close(); return nil }

func TestContext_EndsWithResponse(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, client := newFake(t, cftunnel.WithHTTPClient(&http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: 503, Header: http.Header{"Retry-After": {"300"}}, Body: closing{strings.NewReader("{}"), cancel},
		}, nil
	})}))
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
			assert.Equal(t, 30*time.Second, time.Since(began), "as long as MaxDelay is not too long")
		})
		synctest.Wait()
		require.NoError(t, list(t.Context(), client))
		assert.Zero(t, time.Since(began), "nobody else is held")
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
				h.srv.Inject(tunneltest.Fault{Status: status, Body: `{"success":false,"errors":[{"code":1,"message":"not now"}]}`})
				_, err := client.Tunnels.Update(t.Context(), tunnel.ID, cftunnel.TunnelUpdateParams{Name: "other"})
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
			client := h.newClient(cftunnel.WithHTTPClient(&http.Client{Transport: h.transport(func() error {
				if dials++; dials > 1 {
					return errors.New("connection refused")
				}
				return nil
			})}))
			h.srv.Inject(tunneltest.Fault{Cut: tunneltest.CutAfter})
			_, err := client.Tunnels.Update(t.Context(), tunnel.ID, cftunnel.TunnelUpdateParams{Name: "other"})
			require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
			assert.Equal(t, 4, dials)
			assert.Equal(t, 1, h.carriedOut(opUpdate))
		})
	})
}

// closing is a body that tells when it is closed.
type closing struct {
	io.Reader
	close func()
}
