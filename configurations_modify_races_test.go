package cftunnel_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// clientThrough returns a client of srv that sends its requests through transport.
func clientThrough(
	t *testing.T, srv *tunneltest.Server, transport func(*http.Request) (*http.Response, error),
) *cftunnel.Client {
	t.Helper()
	through := &http.Client{Transport: roundTripper(transport)}
	client, err := srv.NewClient(quick, cftunnel.WithHTTPClient(through))
	require.NoError(t, err)
	return client
}

// otherConfig is the configuration that another client writes.
const otherConfig = `{"ingress":[{"hostname":"theirs.example.com","service":"http://t"},{"service":"http_status:404"}]}`

func TestTunnelsModifyConfiguration_ConcurrentChangeBeforeWrite(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	tunnel := srv.SeedTunnels(1)[0]
	calls := 0
	written, err := modifyConfig(t, client, tunnel.ID, func(config *tunnelConfig) error {
		if calls++; calls == 1 {
			put(t, client, tunnel.ID, otherConfig)
		}
		return addRule("ours.example.com")(config)
	})
	require.NoError(t, err)
	assert.Equal(t, 2, calls)
	assert.Equal(t, 2, written.Version)
	require.Len(t, written.Config.Ingress, 3)
	assert.Equal(t, "ours.example.com", written.Config.Ingress[0].Hostname)
	assert.Equal(t, "theirs.example.com", written.Config.Ingress[1].Hostname)
}

func TestTunnelsModifyConfiguration_OwnDelayedWrite(t *testing.T) {
	t.Parallel()
	srv, _ := newFake(t)
	tunnel := srv.SeedTunnels(1)[0]
	// The first write seems lost: it arrives at the server just before the next write.
	var delayed *http.Request
	reads := 0
	client := clientThrough(t, srv, func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPut {
			body, err := io.ReadAll(r.Body)
			assert.NoError(t, err)
			delayed = r.Clone(context.WithoutCancel(r.Context()))
			delayed.Body = io.NopCloser(bytes.NewReader(body))
			return nil, io.ErrUnexpectedEOF
		}
		if reads++; reads == 4 {
			resp, err := http.DefaultTransport.RoundTrip(delayed)
			assert.NoError(t, err)
			assert.NoError(t, resp.Body.Close())
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	calls := 0
	written, err := modifyConfig(t, client, tunnel.ID, func(config *tunnelConfig) error {
		calls++
		return addRule("ours.example.com")(config)
	})
	require.NoError(t, err)
	assert.Equal(t, 1, written.Version)
	require.Len(t, written.Config.Ingress, 2, "the rule is added once")
	assert.Equal(t, 1, carriedOut(srv, opConfigure))
	assert.Equal(t, 2, calls)
}

func TestTunnelsModifyConfiguration_ConcurrentChangeInEveryRound(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	tunnel := srv.SeedTunnels(1)[0]
	calls := 0
	written, err := modifyConfig(t, client, tunnel.ID, func(config *tunnelConfig) error {
		calls++
		put(t, client, tunnel.ID, `{"ingress":[{"service":"http_status:404"}]}`)
		return addRule("ours.example.com")(config)
	})
	require.ErrorIs(t, err, cftunnel.ErrConcurrentUpdate)
	assert.Nil(t, written)
	assert.Equal(t, 5, calls)
	assert.NotContains(t, stored(t, client, tunnel.ID), "ours")
}

func TestTunnelsModifyConfiguration_ConcurrentChangeDuringWrite(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	tunnel := srv.SeedTunnels(1)[0]
	// Another client writes between the last read and the write.
	ours := clientThrough(t, srv, func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPut {
			put(t, client, tunnel.ID, otherConfig)
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	written, err := modifyConfig(t, ours, tunnel.ID, addRule("ours.example.com"))
	require.ErrorIs(t, err, cftunnel.ErrConcurrentUpdate)
	require.NotNil(t, written, "the configuration was written")
	assert.Equal(t, 2, written.Version)
	assert.Equal(t, "ours.example.com", written.Config.Ingress[0].Hostname)
}

func TestTunnelsModifyConfiguration_ConcurrentChangeLocallyManaged(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "local"})
	require.NoError(t, err)
	ours := clientThrough(t, srv, func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPut {
			put(t, client, tunnel.ID, otherConfig)
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	written, err := modifyConfig(t, ours, tunnel.ID, addRule("ours.example.com"))
	require.ErrorIs(t, err, cftunnel.ErrConcurrentUpdate)
	require.ErrorIs(t, err, cftunnel.ErrLocallyManaged)
	assert.NotContains(t, err.Error(), "\n")
	assert.Equal(t, 2, written.Version)
}

// If a later round changes nothing, the error still reports the earlier write as uncertain.
func TestTunnelsModifyConfiguration_NoChangeAfterLostResponse(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, quick)
	tunnel, calls := srv.SeedTunnels(1)[0], 0
	srv.Inject(tunneltest.Fault{Operation: opConfigure, Status: 503})
	read, err := modifyConfig(t, client, tunnel.ID, func(config *tunnelConfig) error {
		if calls++; calls > 1 {
			return nil
		}
		return addRule("a")(config)
	})
	require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	assert.Zero(t, read.Version)
	assert.Equal(t, 2, calls)
}

func TestTunnelsModifyConfiguration_LostResponse(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, cftunnel.WithRetry(cftunnel.RetryPolicy{BaseDelay: 1, MaxDelay: 1}))
	tunnel := srv.SeedTunnels(1)[0]
	srv.Inject(tunneltest.Fault{Operation: opConfigure, Cut: tunneltest.CutAfter})
	written, err := modifyConfig(t, client, tunnel.ID, addRule("ours.example.com"))
	require.NoError(t, err)
	assert.Equal(t, 1, written.Version)
	assert.Equal(t, 1, carriedOut(srv, opConfigure),
		"the write was carried out: it is not repeated")
	assert.Len(t, written.Config.Ingress, 2)

	srv.Inject(tunneltest.Fault{Operation: opConfigure, Status: 502})
	written, err = modifyConfig(t, client, tunnel.ID, addRule("more.example.com"))
	require.NoError(t, err)
	assert.Equal(t, 2, written.Version)
	assert.Len(t, written.Config.Ingress, 3, "the write was not carried out: it is repeated")

	srv.Inject(tunneltest.Fault{Operation: opConfigure, Status: 502, Times: tunneltest.Always})
	_, err = modifyConfig(t, client, tunnel.ID, addRule("never.example.com"))
	require.ErrorIs(t, err, cftunnel.ErrServer)
	assert.NotContains(t, stored(t, client, tunnel.ID), "never")
}

func TestTunnelsModifyConfiguration_RetriesAndPauses(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
		puts := func() (n int) {
			for _, operation := range operations(h.srv) {
				if operation == opConfigure {
					n++
				}
			}
			return n
		}
		h.srv.Inject(tunneltest.Fault{
			Operation: opConfigure, Status: 503, Header: http.Header{"Retry-After": {"7"}},
			Times: tunneltest.Always,
		})
		began := time.Now()
		_, err := modifyConfig(t, client, tunnel.ID, addRule("a"))
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		assert.Equal(t, 4, puts())
		assert.GreaterOrEqual(t, time.Since(began), 21*time.Second)

		_, err = modifyConfig(t, client, tunnel.ID, addRule("a"), cftunnel.MaxAttempts(1))
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		assert.Equal(t, 5, puts())
	})
}

func TestTunnelsModifyConfiguration_LostResponseAndConcurrentChange(t *testing.T) {
	t.Parallel()
	for name, carriesOut := range map[string]bool{"own write carried out": true, "own write lost": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, client := newFake(t)
			tunnel := srv.SeedTunnels(1)[0]
			ours := clientThrough(t, srv, func(r *http.Request) (*http.Response, error) {
				if r.Method != http.MethodPut {
					return http.DefaultTransport.RoundTrip(r)
				}
				if carriesOut {
					if resp, err := http.DefaultTransport.RoundTrip(r); err == nil {
						_ = resp.Body.Close()
					}
				}
				put(t, client, tunnel.ID, otherConfig)
				return nil, io.ErrUnexpectedEOF
			})
			_, err := modifyConfig(t, ours, tunnel.ID, addRule("ours.example.com"))
			require.ErrorIs(t, err, cftunnel.ErrConcurrentUpdate)
			require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
			assert.Contains(t, stored(t, client, tunnel.ID), "theirs")
		})
	}
}

func TestTunnelsModifyConfiguration_ErrorsBeforeWrite(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, once)
	tunnel := srv.SeedTunnels(1)[0]
	callersErr := errors.New("caller's error")
	_, err := modifyConfig(t, client, tunnel.ID, func(*tunnelConfig) error { return callersErr })
	require.ErrorIs(t, err, callersErr)

	ctx, cancel := context.WithCancel(t.Context())
	_, err = client.Tunnels.ModifyConfiguration(ctx, tunnel.ID, func(config *tunnelConfig) error {
		cancel()
		return addRule("a")(config)
	})
	require.ErrorIs(t, err, context.Canceled)

	srv.Inject(tunneltest.Fault{Operation: opConfiguration, Status: 500})
	_, err = modifyConfig(t, client, tunnel.ID, addRule("a"))
	require.ErrorIs(t, err, cftunnel.ErrServer)
	assert.Zero(t, carriedOut(srv, opConfigure))

	srv.Inject(tunneltest.Fault{Operation: opConfigure, Cut: tunneltest.CutAfter})
	_, err = client.Tunnels.UpdateConfiguration(t.Context(), tunnel.ID, onlyCatchAll)
	require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
}

func TestTunnelsModifyConfiguration_ErrorAfterLostResponse(t *testing.T) {
	t.Parallel()
	callersErr := errors.New("caller's error")
	for name, second := range map[string]func(srv *tunneltest.Server, config *tunnelConfig) error{
		"an error of the callback": func(*tunneltest.Server, *tunnelConfig) error { return callersErr },
		"an invalid configuration": func(_ *tunneltest.Server, config *tunnelConfig) error {
			config.Ingress = nil
			return nil
		},
		"a read that fails": func(srv *tunneltest.Server, config *tunnelConfig) error {
			srv.Inject(tunneltest.Fault{Operation: opConfiguration, Status: 403})
			return addRule("a")(config)
		},
		"a rejected write": func(srv *tunneltest.Server, config *tunnelConfig) error {
			srv.Inject(tunneltest.Fault{Operation: opConfigure, Status: 400})
			return addRule("a")(config)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, client := newFake(t, quick)
			srv.Inject(tunneltest.Fault{Operation: opConfigure, Status: 503})
			calls := 0
			id := srv.SeedTunnels(1)[0].ID
			_, err := modifyConfig(t, client, id, func(config *tunnelConfig) error {
				if calls++; calls == 2 {
					return second(srv, config)
				}
				return addRule("a")(config)
			})
			require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
			require.ErrorIs(t, err, cftunnel.ErrServer)
			assert.Equal(t, 2, calls)
		})
	}
	t.Run("a check that fails", func(t *testing.T) {
		t.Parallel()
		srv, _ := newFake(t)
		client := clientThrough(t, srv, func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPut {
				srv.Inject(tunneltest.Fault{Operation: opConfigure, Status: 503})
				srv.Inject(tunneltest.Fault{Operation: opConfiguration, Status: 403})
			}
			return http.DefaultTransport.RoundTrip(r)
		})
		_, err := modifyConfig(t, client, srv.SeedTunnels(1)[0].ID, addRule("a"))
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		require.ErrorIs(t, err, cftunnel.ErrForbidden)
	})
	t.Run("the context ends in the pause", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, h *harness) {
			client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
			retryAfter := http.Header{"Retry-After": {"20"}}
			h.srv.Inject(tunneltest.Fault{Operation: opConfigure, Status: 503, Header: retryAfter})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, err := client.Tunnels.ModifyConfiguration(ctx, tunnel.ID, addRule("a"))
			require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
	})
}

func TestTunnelsModifyConfiguration_UnchangedVersion(t *testing.T) {
	t.Parallel()
	client := clientOf(t, respond(200, `{"success":true,"result":{"version":3,
		"config":{"ingress":[{"service":"http_status:404"}]}}}`))
	written, err := client.Tunnels.ModifyConfiguration(t.Context(), tunnelID, addRule("a"))
	require.NoError(t, err)
	assert.Equal(t, 3, written.Version)
}

func TestTunnelsModifyConfiguration_RetryAfterBeyondMaxDelay(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
		retryAfter := http.Header{"Retry-After": {"31"}}
		h.srv.Inject(tunneltest.Fault{Operation: opConfigure, Status: 503, Header: retryAfter})
		began := time.Now()
		_, err := modifyConfig(t, client, tunnel.ID, addRule("a"))
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		assert.Zero(t, time.Since(began))
	})
}

func TestTunnelsModifyConfiguration_LostResponseAndConcurrentChangeInEveryRound(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, quick)
	tunnel, calls := srv.SeedTunnels(1)[0], 0
	srv.Inject(tunneltest.Fault{Operation: opConfigure, Status: 503})
	_, err := modifyConfig(t, client, tunnel.ID, func(config *tunnelConfig) error {
		if calls++; calls > 1 {
			put(t, client, tunnel.ID, `{"ingress":[{"service":"http_status:404"}]}`)
		}
		return addRule("a")(config)
	})
	require.ErrorIs(t, err, cftunnel.ErrConcurrentUpdate)
	require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	assert.Equal(t, 5, calls)
}

func TestTunnelsModifyConfiguration_NormalizedOwnWrite(t *testing.T) {
	t.Parallel()
	for name, modify := range map[string]func(*tunnelConfig){
		"warp-routing off": func(c *tunnelConfig) { c.WARPRouting = &cftunnel.WARPRouting{} },
		"only the rule":    func(*tunnelConfig) {},
		"an empty origin":  func(c *tunnelConfig) { c.OriginRequest = &cftunnel.OriginRequest{} },
		"access": func(c *tunnelConfig) {
			access := &cftunnel.Access{Required: true}
			c.Ingress[0].OriginRequest = &cftunnel.OriginRequest{Access: access}
		},
		"off with settings": func(c *tunnelConfig) {
			_ = json.Unmarshal([]byte(`{"warp-routing":{"enabled":false,"connectTimeout":1}}`), c)
			_ = addRule("ours.example.com")(c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, _ := newFake(t)
			id := srv.SeedTunnels(1)[0].ID
			client := clientThrough(t, srv, normalized)
			srv.Inject(tunneltest.Fault{Operation: opConfigure, Cut: tunneltest.CutAfter})
			change := func(c *tunnelConfig) error {
				if len(c.Ingress) > 0 {
					return nil
				}
				_ = addRule("ours.example.com")(c)
				modify(c)
				return nil
			}
			written, err := modifyConfig(t, client, id, change)
			require.NoError(t, err)
			assert.Equal(t, 1, written.Version)
			assert.Len(t, written.Config.Ingress, 2)
			assert.Equal(t, 1, carriedOut(srv, opConfigure))
		})
	}
}

// normalized makes configurations look as if the API had decoded and encoded them with the types of
// cloudflared: it adds empty members.
func normalized(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || r.Method != http.MethodGet {
		return resp, err
	}
	defer resp.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		return nil, err
	}
	if config, ok := body["result"].(map[string]any)["config"].(map[string]any); ok {
		for _, rule := range config["ingress"].([]any) {
			rule := rule.(map[string]any)
			origin, ok := rule["originRequest"].(map[string]any)
			if !ok {
				origin = map[string]any{}
				rule["originRequest"] = origin
			}
			if access, ok := origin["access"].(map[string]any); ok {
				maps.Copy(access, map[string]any{"teamName": "", "audTag": nil})
			}
		}
		if config["originRequest"] == nil {
			config["originRequest"] = map[string]any{}
		}
	}
	encoded, err := json.Marshal(body)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(encoded)), -1
	resp.Header.Del("Content-Length")
	return resp, err
}
