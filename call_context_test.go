package cftunnel_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// seenRequest is what a RoundTripper reads from the context of a request.
type seenRequest struct {
	operation string
	attempt   int
}

// watch returns a wrapper for WithTransport that appends each request to seen.
func watch(seen *[]seenRequest) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			ctx := r.Context()
			*seen = append(*seen, seenRequest{cftunnel.Operation(ctx), cftunnel.Attempt(ctx)})
			return next.RoundTrip(r)
		})
	}
}

func TestAttempt_InRoundTripper(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		var seen []seenRequest
		client := h.newClient(cftunnel.WithTransport(watch(&seen)))
		h.srv.Inject(tunneltest.Fault{Status: 503})
		h.srv.Inject(tunneltest.Fault{Status: 429})
		h.srv.Inject(tunneltest.Fault{Status: 520})
		tunnel := h.srv.SeedTunnels(1)[0]
		_, err := client.Tunnels.Get(t.Context(), tunnel.ID)
		require.NoError(t, err)
		assert.Equal(t, []seenRequest{{opGet, 1}, {opGet, 2}, {opGet, 3}, {opGet, 4}}, seen)

		seen = nil
		_, _, err = client.Tunnels.Ensure(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
		require.NoError(t, err)
		assert.Equal(t, []seenRequest{{opList, 1}, {opCreate, 1}}, seen, "each request belongs to a call of its own")
	})
	assert.Zero(t, cftunnel.Attempt(t.Context()))
	assert.Empty(t, cftunnel.Operation(t.Context()))
}

// closer is a RoundTripper that counts the calls of CloseIdleConnections.
type closer struct {
	http.RoundTripper
	closed *int
}

func (c closer) CloseIdleConnections() { *c.closed++ }

func TestWithTransport(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	t.Cleanup(srv.Close)
	t.Run("own transport", func(t *testing.T) {
		t.Parallel()
		var got []http.RoundTripper
		order, closed := "", 0
		mark := func(name string) func(http.RoundTripper) http.RoundTripper {
			return func(next http.RoundTripper) http.RoundTripper {
				got = append(got, next)
				return closer{roundTripper(func(r *http.Request) (*http.Response, error) {
					order += name
					return next.RoundTrip(r)
				}), &closed}
			}
		}
		client, err := srv.NewClient(cftunnel.WithTransport(mark("inner ")),
			cftunnel.WithTransport(mark("outer ")))
		require.NoError(t, err)
		require.NoError(t, list(t.Context(), client))
		assert.IsType(t, &http.Transport{}, got[0])
		assert.NotSame(t, http.DefaultTransport, got[0])
		assert.Equal(t, "outer inner ", order)
		client.CloseIdleConnections()
		assert.Equal(t, 1, closed, "only the outer one is called")
		got[0].(*http.Transport).CloseIdleConnections()
	})
	t.Run("transport of an HTTP client", func(t *testing.T) {
		t.Parallel()
		own := roundTripper(
			func(r *http.Request) (*http.Response, error) { return nil, errors.New("own") })
		var seen []seenRequest
		for _, opts := range [][]cftunnel.Option{
			{cftunnel.WithHTTPClient(&http.Client{Transport: own}), cftunnel.WithTransport(watch(&seen))},
			{cftunnel.WithTransport(watch(&seen)), cftunnel.WithHTTPClient(&http.Client{Transport: own})},
		} {
			seen = nil
			client, err := srv.NewClient(append(opts, once)...)
			require.NoError(t, err)
			require.ErrorContains(t, list(t.Context(), client), "own")
			assert.Len(t, seen, 1, "the order of the options does not matter")
		}
	})
	t.Run("nil", func(t *testing.T) {
		t.Parallel()
		_, err := srv.NewClient(cftunnel.WithTransport(nil))
		requireInvalid(t, err, "wrap")
		_, err = srv.NewClient(
			cftunnel.WithTransport(func(http.RoundTripper) http.RoundTripper { return nil }))
		requireInvalid(t, err, "wrap")
	})
	t.Run("shared by ForAccount", func(t *testing.T) {
		t.Parallel()
		var seen []seenRequest
		client, err := srv.NewClient(cftunnel.WithTransport(watch(&seen)))
		require.NoError(t, err)
		child, err := client.ForAccount(accountID)
		require.NoError(t, err)
		require.NoError(t, list(t.Context(), child))
		assert.Len(t, seen, 1)
	})
}

func TestAsOperation(t *testing.T) {
	t.Parallel()
	const template = "GET /accounts/{account_id}/devices/{device_id}"
	var log bytes.Buffer
	var seen []seenRequest
	var attempts []cftunnel.AttemptInfo
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	onAttempt := func(ctx context.Context, info cftunnel.AttemptInfo) {
		assert.Equal(t, info.Operation, cftunnel.Operation(ctx))
		attempts = append(attempts, info)
	}
	client := canned(t, func(*http.Request) (int, string) { return 404, refusalBody(1) },
		cftunnel.WithTransport(watch(&seen)),
		cftunnel.WithLogger(logger), cftunnel.WithHooks(cftunnel.Hooks{Attempt: onAttempt}))
	err := client.Do(t.Context(), http.MethodGet, "accounts/"+accountID+"/devices/7", nil, nil,
		cftunnel.AsOperation("/accounts/{account_id}/devices/{device_id}"))
	failure, isError := errors.AsType[*cftunnel.Error](err)
	require.True(t, isError)
	assert.Equal(t, template, failure.Operation)
	assert.Equal(t, "/accounts/"+accountID+"/devices/7", failure.Path,
		"the path is the one that was sent")
	assert.Equal(t, []seenRequest{{template, 1}}, seen)
	require.Len(t, attempts, 1)
	assert.Equal(t, template, attempts[0].Operation)
	assert.Equal(t, "Do", attempts[0].Call)
	assert.Contains(t, log.String(), "operation=\""+template+"\"")

	seen = nil
	require.Error(t, client.Do(t.Context(), http.MethodPost, "/accounts/7/devices", nil, nil))
	assert.Equal(t, []seenRequest{{"POST /accounts/7/devices", 1}}, seen)

	seen = nil
	for _, bad := range []string{"", "accounts", "/a b", "/a?b", "/a\n", "/\xff", "GET /accounts"} {
		err := client.Do(t.Context(), http.MethodGet, "x", nil, nil, cftunnel.AsOperation(bad))
		requireInvalid(t, err, "template")
	}
	assert.Empty(t, seen)
}

func TestCaptureResponse_SeveralOptions(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
		infos := make([]cftunnel.ResponseInfo, 3)
		var opts []cftunnel.CallOption
		for i := range infos {
			infos[i].RayID = "stale"
			opts = append(opts, cftunnel.CaptureResponse(&infos[i]))
		}
		h.srv.Inject(tunneltest.Fault{Status: 503})
		_, err := client.Tunnels.Get(t.Context(), tunnel.ID, opts...)
		require.NoError(t, err)
		for _, info := range infos {
			assert.Equal(t, 200, info.StatusCode)
			assert.Equal(t, 2, info.Attempts)
			assert.NotEmpty(t, info.RayID)
			assert.NotEqual(t, "stale", info.RayID)
			assert.NotEmpty(t, info.Header)
		}
		h.srv.Inject(tunneltest.Fault{Status: 404, Body: refusalBody(1)})
		_, err = client.Tunnels.Get(t.Context(), tunnel.ID, opts...)
		require.ErrorIs(t, err, cftunnel.ErrNotFound)
		for _, info := range infos {
			assert.Equal(t, 404, info.StatusCode)
			assert.Equal(t, 1, info.Attempts)
		}
		h.network.Refuse()
		client.CloseIdleConnections()
		_, err = client.Tunnels.Get(t.Context(), tunnel.ID, opts...)
		require.Error(t, err)
		for _, info := range infos {
			assert.Equal(t, cftunnel.ResponseInfo{Attempts: 4}, info, "values of an earlier call")
		}
	})
}

// Do accepts a response that has a result, and neither success nor errors.
func TestClientDo_ResultOnly(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		for body, accepted := range map[string]bool{
			`{"result":{"n":5}}`:                 true,
			`{"result":{"n":5},"messages":[]}`:   true,
			`{"result":{"n":5},"success":null}`:  true,
			`{"result":{"n":5},"errors":[]}`:     false,
			`{"result":{"n":5},"errors":null}`:   false,
			`{"result":{"n":5},"success":false}`: false,
			`{"n":5}`:                            false,
			`{}`:                                 false,
		} {
			client := canned(t, func(*http.Request) (int, string) { return 200, body })
			var result number
			err := client.Do(t.Context(), method, "x", nil, &result)
			assert.Equal(t, accepted, err == nil, "%s %s: %v", method, body, err)
			if !accepted {
				assert.Zero(t, result)
				continue
			}
			assert.Equal(t, number{5}, result)
			require.NoError(t, client.Do(t.Context(), method, "x", nil, nil))
			_, err = client.Tunnels.Get(t.Context(), tunnelID)
			require.Error(t, err, "methods of services do not accept it")
		}
	}
}
