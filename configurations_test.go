package cftunnel_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const (
	opConfiguration = "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations"
	opConfigure     = "PUT /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations"
)

var catchAll = cftunnel.IngressRule{Service: "http_status:404"}

func TestConfigurationThatWasNeverSetIsNoError(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	tunnel := srv.SeedTunnels(1)[0]
	configuration, err := client.Tunnels.Configuration(t.Context(), tunnel.ID)
	require.NoError(t, err)
	assert.Equal(t, tunnel.ID, configuration.TunnelID)
	assert.Zero(t, configuration.Version)
	assert.Equal(t, cftunnel.TunnelConfig{}, configuration.Config)
}

func TestConfigurationRoundTrip(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	ctx := t.Context()
	tunnel := srv.SeedTunnels(1)[0]
	config := cftunnel.TunnelConfig{
		Ingress: []cftunnel.IngressRule{
			{Hostname: "app.example.com", Path: "^/api", Service: "https://localhost:8001", OriginRequest: &cftunnel.OriginRequest{
				Access:                 &cftunnel.Access{AUDTag: []string{"tag"}, TeamName: "team", Required: true},
				CAPool:                 "/etc/ca.pem",
				ConnectTimeout:         new(5),
				DisableChunkedEncoding: new(true),
				HTTP2Origin:            new(false),
				HTTPHostHeader:         "inside.example.com",
				KeepAliveConnections:   new(0),
				KeepAliveTimeout:       new(30),
				NoHappyEyeballs:        new(true),
				NoTLSVerify:            new(false),
				OriginServerName:       "inside",
				ProxyType:              "socks",
				TCPKeepAlive:           new(15),
				TLSTimeout:             new(3),
			}},
			catchAll,
		},
		OriginRequest: &cftunnel.OriginRequest{NoTLSVerify: new(true)},
		WARPRouting:   &cftunnel.WARPRouting{Enabled: false},
	}
	written, err := client.Tunnels.UpdateConfiguration(ctx, tunnel.ID, config)
	require.NoError(t, err)
	assert.Equal(t, 1, written.Version)
	assert.Equal(t, config, written.Config)
	assert.Equal(t, cftunnel.ConfigSourceCloudflare, written.Source)
	assert.False(t, written.CreatedAt.IsZero())

	read, err := client.Tunnels.Configuration(ctx, tunnel.ID)
	require.NoError(t, err)
	assert.Equal(t, written, read)

	assert.JSONEq(t, `{"config":{
		"ingress":[
			{"hostname":"app.example.com","path":"^/api","service":"https://localhost:8001","originRequest":{
				"access":{"audTag":["tag"],"teamName":"team","required":true},"caPool":"/etc/ca.pem","connectTimeout":5,
				"disableChunkedEncoding":true,"http2Origin":false,"httpHostHeader":"inside.example.com","keepAliveConnections":0,
				"keepAliveTimeout":30,"noHappyEyeballs":true,"noTLSVerify":false,"originServerName":"inside","proxyType":"socks",
				"tcpKeepAlive":15,"tlsTimeout":3}},
			{"service":"http_status:404"}],
		"originRequest":{"noTLSVerify":true},
		"warp-routing":{"enabled":false}}}`, srv.Requests()[0].Body.Reveal(), "a catch-all has no hostname and no path")
}

func TestConfigurationErrors(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	ctx := t.Context()
	tunnel := srv.SeedTunnels(1)[0]
	_, err := client.Tunnels.Configuration(ctx, tunnelID)
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	_, err = client.Tunnels.Delete(ctx, tunnel.ID, cftunnel.TunnelDeleteParams{})
	require.NoError(t, err)
	_, err = client.Tunnels.Configuration(ctx, tunnel.ID)
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	assert.True(t, cftunnel.HasCode(err, 1055))

	for _, result := range []string{"null", `"x"`, "[]"} {
		client := clientOf(t, respond(200, `{"success":true,"result":`+result+`}`))
		_, err := client.Tunnels.Configuration(ctx, tunnelID)
		require.Error(t, err, result)
		_, err = client.Tunnels.UpdateConfiguration(ctx, tunnelID, cftunnel.TunnelConfig{Ingress: []cftunnel.IngressRule{catchAll}})
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown, result)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	rules := func(services ...string) []cftunnel.IngressRule {
		var rules []cftunnel.IngressRule
		for _, service := range services {
			rules = append(rules, cftunnel.IngressRule{Hostname: "a.example.com", Service: service})
		}
		return append(rules, catchAll)
	}
	for _, service := range []string{
		"http://localhost", "https://localhost:8443", "ws://a", "wss://a", "tcp://10.0.0.1:5432", "ssh://a:22", "rdp://a", "smb://a",
		"unix:/run/a.sock", "unix+tls:/run/a.sock", "http_status:404", "hello_world", "bastion", "socks-proxy", "http://[::1]:80",
	} {
		require.NoError(t, cftunnel.TunnelConfig{Ingress: rules(service)}.Validate(), service)
	}
	for _, service := range []string{
		"", "localhost", "localhost:80", "/run/a.sock", "ftp://a", "http://", "http://:80", "unix:", "http_status:", "http_status:ok",
		"http_status:7", "http_status:600", "http_status:+404", "HELLO", "://a", "http://a b",
	} {
		err := cftunnel.TunnelConfig{Ingress: rules("http://a", service)}.Validate()
		refused, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
		require.True(t, ok, "%q: %v", service, err)
		assert.Equal(t, "Ingress[1].Service", refused.Name)
	}
	for name, test := range map[string]struct {
		rules []cftunnel.IngressRule
		named string
	}{
		"no rules":                      {nil, "Ingress"},
		"the last rule with a hostname": {[]cftunnel.IngressRule{catchAll, {Hostname: "a", Service: "bastion"}}, "Ingress[1].Hostname"},
		"the last rule with a star":     {[]cftunnel.IngressRule{{Hostname: "*", Service: "bastion"}}, "Ingress[0].Hostname"},
		"the last rule with a path":     {[]cftunnel.IngressRule{{Path: "/a", Service: "bastion"}}, "Ingress[0].Path"},
	} {
		err := cftunnel.TunnelConfig{Ingress: test.rules}.Validate()
		refused, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
		require.True(t, ok, "%s: %v", name, err)
		assert.Equal(t, test.named, refused.Name)
	}
}

func TestWhatTheServerWouldRefuseIsNotSent(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	tunnel := srv.SeedTunnels(1)[0]
	_, err := client.Tunnels.UpdateConfiguration(t.Context(), tunnel.ID, cftunnel.TunnelConfig{})
	_, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
	assert.True(t, ok, "%v", err)
	assert.Empty(t, srv.Requests())

	_, err = client.Tunnels.ModifyConfiguration(t.Context(), tunnel.ID, nil)
	_, ok = errors.AsType[*cftunnel.InvalidArgumentError](err)
	assert.True(t, ok, "%v", err)
	_, err = client.Tunnels.ModifyConfiguration(t.Context(), tunnel.ID, func(*cftunnel.TunnelConfig) error { return nil })
	_, ok = errors.AsType[*cftunnel.InvalidArgumentError](err)
	assert.True(t, ok, "%v", err)
	assert.Zero(t, carriedOut(srv, opConfigure))
}

// put writes a configuration as somebody else would.
func put(t *testing.T, client *cftunnel.Client, id, config string) {
	t.Helper()
	path := "accounts/" + client.AccountID() + "/cfd_tunnel/" + id + "/configurations"
	require.NoError(t, client.Do(t.Context(), http.MethodPut, path, json.RawMessage(`{"config":`+config+`}`), nil))
}

// stored reads a configuration as it is kept.
func stored(t *testing.T, client *cftunnel.Client, id string) string {
	t.Helper()
	var result struct{ Config json.RawMessage }
	path := "accounts/" + client.AccountID() + "/cfd_tunnel/" + id + "/configurations"
	require.NoError(t, client.Do(t.Context(), http.MethodGet, path, nil, &result))
	return string(result.Config)
}

func TestModifyKeepsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	tunnel := srv.SeedTunnels(1)[0]
	put(t, client, tunnel.ID, `{
		"future":{"deep":[1,2.50,{"a":null}]},
		"warp-routing":{"enabled":true,"connectTimeout":"3s","maxActiveFlows":12345678901234567890},
		"originRequest":{"newThing":1e3,"connectTimeout":"30s","noTLSVerify":true,"httpHostHeader":"","bastionMode":true},
		"ingress":[
			{"hostname":"a.example.com","service":"http://a","extra":"<&>","originRequest":{"access":{"required":false,"teamName":"t","audTag":[],"more":1}}},
			{"hostname":"","path":null,"service":"http_status:404","comment":"last","originRequest":{"access":{"required":true}}}]}`)

	written, err := client.Tunnels.ModifyConfiguration(t.Context(), tunnel.ID, func(config *cftunnel.TunnelConfig) error {
		rule := cftunnel.IngressRule{Hostname: "b.example.com", Service: "http://b"}
		config.Ingress = append([]cftunnel.IngressRule{rule}, config.Ingress...)
		config.OriginRequest.NoTLSVerify = nil
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, 2, written.Version)
	assert.JSONEq(t, `{
		"future":{"deep":[1,2.50,{"a":null}]},
		"warp-routing":{"enabled":true,"connectTimeout":"3s","maxActiveFlows":12345678901234567890},
		"originRequest":{"newThing":1e3,"connectTimeout":"30s","httpHostHeader":"","bastionMode":true},
		"ingress":[
			{"hostname":"b.example.com","service":"http://b"},
			{"hostname":"a.example.com","service":"http://a","extra":"<&>","originRequest":{"access":{"required":false,"teamName":"t","audTag":[],"more":1}}},
			{"service":"http_status:404","comment":"last","originRequest":{"access":{"required":true}}}]}`, stored(t, client, tunnel.ID))
	assert.Contains(t, stored(t, client, tunnel.ID), "12345678901234567890", "numbers stay as they are written")
}

func addRule(hostname string) func(*cftunnel.TunnelConfig) error {
	return func(config *cftunnel.TunnelConfig) error {
		if len(config.Ingress) == 0 {
			config.Ingress = []cftunnel.IngressRule{catchAll}
		}
		rule := cftunnel.IngressRule{Hostname: hostname, Service: "http://a"}
		config.Ingress = append([]cftunnel.IngressRule{rule}, config.Ingress...)
		return nil
	}
}

func TestModifyStartsOverWhenSomebodyElseWrote(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	tunnel := srv.SeedTunnels(1)[0]
	calls := 0
	written, err := client.Tunnels.ModifyConfiguration(t.Context(), tunnel.ID, func(config *cftunnel.TunnelConfig) error {
		if calls++; calls == 1 {
			put(t, client, tunnel.ID, `{"ingress":[{"hostname":"theirs.example.com","service":"http://t"},{"service":"http_status:404"}]}`)
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

func TestModifyKnowsItsOwnWriteThatComesLate(t *testing.T) {
	t.Parallel()
	srv, _ := newFake(t)
	tunnel := srv.SeedTunnels(1)[0]
	// The first write is lost, nothing is to be seen of it, and it arrives before the next one is sent.
	var late *http.Request
	reads := 0
	client, err := srv.NewClient(quick, cftunnel.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPut {
			body, err := io.ReadAll(r.Body)
			assert.NoError(t, err)
			late, err = http.NewRequestWithContext(context.WithoutCancel(r.Context()), r.Method, r.URL.String(), bytes.NewReader(body))
			assert.NoError(t, err)
			late.Header = r.Header
			return nil, io.ErrUnexpectedEOF
		}
		if reads++; reads == 4 {
			resp, err := http.DefaultTransport.RoundTrip(late)
			assert.NoError(t, err)
			assert.NoError(t, resp.Body.Close())
		}
		return http.DefaultTransport.RoundTrip(r)
	})}))
	require.NoError(t, err)
	calls := 0
	written, err := client.Tunnels.ModifyConfiguration(t.Context(), tunnel.ID, func(config *cftunnel.TunnelConfig) error {
		calls++
		return addRule("ours.example.com")(config)
	})
	require.NoError(t, err)
	assert.Equal(t, 1, written.Version)
	require.Len(t, written.Config.Ingress, 2, "the rule is there once")
	assert.Equal(t, 1, carriedOut(srv, opConfigure))
	assert.Equal(t, 2, calls)
}

func TestModifyGivesUpInTheEnd(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	tunnel := srv.SeedTunnels(1)[0]
	calls := 0
	written, err := client.Tunnels.ModifyConfiguration(t.Context(), tunnel.ID, func(config *cftunnel.TunnelConfig) error {
		calls++
		put(t, client, tunnel.ID, `{"ingress":[{"service":"http_status:404"}]}`)
		return addRule("ours.example.com")(config)
	})
	require.ErrorIs(t, err, cftunnel.ErrConcurrentUpdate)
	assert.Nil(t, written)
	assert.Equal(t, 5, calls)
	assert.NotContains(t, stored(t, client, tunnel.ID), "ours")
}

func TestModifyTellsOfALostWriteOfSomebodyElse(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	tunnel := srv.SeedTunnels(1)[0]
	// Somebody else writes between the last read and the write.
	rival := roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPut {
			put(t, client, tunnel.ID, `{"ingress":[{"hostname":"theirs.example.com","service":"http://t"},{"service":"http_status:404"}]}`)
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	ours, err := srv.NewClient(cftunnel.WithHTTPClient(&http.Client{Transport: rival}))
	require.NoError(t, err)
	written, err := ours.Tunnels.ModifyConfiguration(t.Context(), tunnel.ID, addRule("ours.example.com"))
	require.ErrorIs(t, err, cftunnel.ErrConcurrentUpdate)
	require.NotNil(t, written, "it was written all the same")
	assert.Equal(t, 2, written.Version)
	assert.Equal(t, "ours.example.com", written.Config.Ingress[0].Hostname)
}

func TestModifyIsNotAlarmedByItsOwnRepeatedWrite(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, cftunnel.WithRetry(cftunnel.RetryPolicy{BaseDelay: 1, MaxDelay: 1}))
	tunnel := srv.SeedTunnels(1)[0]
	srv.Inject(tunneltest.Fault{Operation: opConfigure, Cut: tunneltest.CutAfter})
	written, err := client.Tunnels.ModifyConfiguration(t.Context(), tunnel.ID, addRule("ours.example.com"))
	require.NoError(t, err)
	assert.Equal(t, 1, written.Version)
	assert.Equal(t, 1, carriedOut(srv, opConfigure), "it is there; it need not be written again")
	assert.Len(t, written.Config.Ingress, 2)

	srv.Inject(tunneltest.Fault{Operation: opConfigure, Status: 502})
	written, err = client.Tunnels.ModifyConfiguration(t.Context(), tunnel.ID, addRule("more.example.com"))
	require.NoError(t, err)
	assert.Equal(t, 2, written.Version)
	assert.Len(t, written.Config.Ingress, 3, "and where it is not, it is")

	srv.Inject(tunneltest.Fault{Operation: opConfigure, Status: 502, Times: tunneltest.Always})
	_, err = client.Tunnels.ModifyConfiguration(t.Context(), tunnel.ID, addRule("never.example.com"))
	require.ErrorIs(t, err, cftunnel.ErrServer)
	assert.NotContains(t, stored(t, client, tunnel.ID), "never")
}

func TestModifyKeepsToTheAttemptsAndPausesOfItsClient(t *testing.T) {
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
		h.srv.Inject(tunneltest.Fault{Operation: opConfigure, Status: 503, Header: http.Header{"Retry-After": {"7"}}, Times: tunneltest.Always})
		began := time.Now()
		_, err := client.Tunnels.ModifyConfiguration(t.Context(), tunnel.ID, addRule("a"))
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		assert.Equal(t, 4, puts())
		assert.GreaterOrEqual(t, time.Since(began), 21*time.Second)

		_, err = client.Tunnels.ModifyConfiguration(t.Context(), tunnel.ID, addRule("a"), cftunnel.MaxAttempts(1))
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		assert.Equal(t, 5, puts())
	})
}

func TestModifyTellsWhereALostWriteAndSomebodyElsesMeet(t *testing.T) {
	t.Parallel()
	for name, carriesOut := range map[string]bool{"after ours": true, "instead of ours": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, client := newFake(t)
			tunnel := srv.SeedTunnels(1)[0]
			rival := roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.Method != http.MethodPut {
					return http.DefaultTransport.RoundTrip(r)
				}
				if carriesOut {
					if resp, err := http.DefaultTransport.RoundTrip(r); err == nil {
						_ = resp.Body.Close()
					}
				}
				put(t, client, tunnel.ID, `{"ingress":[{"hostname":"theirs.example.com","service":"http://t"},{"service":"http_status:404"}]}`)
				return nil, io.ErrUnexpectedEOF
			})
			ours, err := srv.NewClient(quick, cftunnel.WithHTTPClient(&http.Client{Transport: rival}))
			require.NoError(t, err)
			_, err = ours.Tunnels.ModifyConfiguration(t.Context(), tunnel.ID, addRule("ours.example.com"))
			require.ErrorIs(t, err, cftunnel.ErrConcurrentUpdate)
			require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
			assert.Contains(t, stored(t, client, tunnel.ID), "theirs")
		})
	}
}

func TestModifyEndsByErrorsUnwritten(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, once)
	tunnel := srv.SeedTunnels(1)[0]
	refusal := errors.New("not today")
	_, err := client.Tunnels.ModifyConfiguration(t.Context(), tunnel.ID, func(*cftunnel.TunnelConfig) error { return refusal })
	require.ErrorIs(t, err, refusal)

	ctx, cancel := context.WithCancel(t.Context())
	_, err = client.Tunnels.ModifyConfiguration(ctx, tunnel.ID, func(config *cftunnel.TunnelConfig) error {
		cancel()
		return addRule("a")(config)
	})
	require.ErrorIs(t, err, context.Canceled)

	srv.Inject(tunneltest.Fault{Operation: opConfiguration, Status: 500})
	_, err = client.Tunnels.ModifyConfiguration(t.Context(), tunnel.ID, addRule("a"))
	require.ErrorIs(t, err, cftunnel.ErrServer)
	assert.Zero(t, carriedOut(srv, opConfigure))

	srv.Inject(tunneltest.Fault{Operation: opConfigure, Cut: tunneltest.CutAfter})
	_, err = client.Tunnels.UpdateConfiguration(t.Context(), tunnel.ID, cftunnel.TunnelConfig{Ingress: []cftunnel.IngressRule{catchAll}})
	require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
}

func TestRulesWithEmptyMembersAreThoseWithout(t *testing.T) {
	t.Parallel()
	var rule cftunnel.IngressRule
	require.NoError(t, json.Unmarshal([]byte(`{"hostname":"","path":null,"service":"bastion"}`), &rule))
	assert.Equal(t, cftunnel.IngressRule{Service: "bastion"}, rule)
}

func TestServicesAtTheEdge(t *testing.T) {
	t.Parallel()
	for service, good := range map[string]bool{
		"http_status:100": true, "http_status:599": true, "http_status:99": false, "http_status:600": false,
		"hello-world": true, "helloworld": true, "unix+tls:": false,
	} {
		err := cftunnel.TunnelConfig{Ingress: []cftunnel.IngressRule{{Service: service}}}.Validate()
		assert.Equal(t, good, err == nil, "%s: %v", service, err)
	}
}

func TestModifyRemembersALostWriteWhateverEndsIt(t *testing.T) {
	t.Parallel()
	away := errors.New("not today")
	for name, second := range map[string]func(srv *tunneltest.Server, config *cftunnel.TunnelConfig) error{
		"an error of modify": func(*tunneltest.Server, *cftunnel.TunnelConfig) error { return away },
		"a bad configuration": func(_ *tunneltest.Server, config *cftunnel.TunnelConfig) error {
			config.Ingress = nil
			return nil
		},
		"a read that fails": func(srv *tunneltest.Server, config *cftunnel.TunnelConfig) error {
			srv.Inject(tunneltest.Fault{Operation: opConfiguration, Status: 403})
			return addRule("a")(config)
		},
		"a write that is refused": func(srv *tunneltest.Server, config *cftunnel.TunnelConfig) error {
			srv.Inject(tunneltest.Fault{Operation: opConfigure, Status: 400})
			return addRule("a")(config)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, client := newFake(t, quick)
			srv.Inject(tunneltest.Fault{Operation: opConfigure, Status: 503})
			calls := 0
			_, err := client.Tunnels.ModifyConfiguration(t.Context(), srv.SeedTunnels(1)[0].ID, func(config *cftunnel.TunnelConfig) error {
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
	t.Run("a look that fails", func(t *testing.T) {
		t.Parallel()
		srv, _ := newFake(t)
		client, err := srv.NewClient(quick, cftunnel.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPut {
				srv.Inject(tunneltest.Fault{Operation: opConfigure, Status: 503})
				srv.Inject(tunneltest.Fault{Operation: opConfiguration, Status: 403})
			}
			return http.DefaultTransport.RoundTrip(r)
		})}))
		require.NoError(t, err)
		_, err = client.Tunnels.ModifyConfiguration(t.Context(), srv.SeedTunnels(1)[0].ID, addRule("a"))
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		require.ErrorIs(t, err, cftunnel.ErrForbidden)
	})
	t.Run("the context in the pause", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, h *harness) {
			client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
			h.srv.Inject(tunneltest.Fault{Operation: opConfigure, Status: 503, Header: http.Header{"Retry-After": {"20"}}})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, err := client.Tunnels.ModifyConfiguration(ctx, tunnel.ID, addRule("a"))
			require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
	})
}

func TestModifyIsNotAlarmedByAVersionThatStays(t *testing.T) {
	t.Parallel()
	client := clientOf(t, respond(200, `{"success":true,"result":{"version":3,"config":{"ingress":[{"service":"http_status:404"}]}}}`))
	written, err := client.Tunnels.ModifyConfiguration(t.Context(), tunnelID, addRule("a"))
	require.NoError(t, err)
	assert.Equal(t, 3, written.Version)
}

func TestModifyWaitsForNoPauseBeyondMaxDelay(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, h *harness) {
		client, tunnel := h.newClient(), h.srv.SeedTunnels(1)[0]
		h.srv.Inject(tunneltest.Fault{Operation: opConfigure, Status: 503, Header: http.Header{"Retry-After": {"31"}}})
		began := time.Now()
		_, err := client.Tunnels.ModifyConfiguration(t.Context(), tunnel.ID, addRule("a"))
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		assert.Zero(t, time.Since(began))
	})
}

func TestModifyThatGivesUpRemembersALostWrite(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, quick)
	tunnel, calls := srv.SeedTunnels(1)[0], 0
	srv.Inject(tunneltest.Fault{Operation: opConfigure, Status: 503})
	_, err := client.Tunnels.ModifyConfiguration(t.Context(), tunnel.ID, func(config *cftunnel.TunnelConfig) error {
		if calls++; calls > 1 {
			put(t, client, tunnel.ID, `{"ingress":[{"service":"http_status:404"}]}`)
		}
		return addRule("a")(config)
	})
	require.ErrorIs(t, err, cftunnel.ErrConcurrentUpdate)
	require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	assert.Equal(t, 5, calls)
}
