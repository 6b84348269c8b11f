package cftunnel_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

const (
	opConfiguration = "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations"
	opConfigure     = "PUT /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations"
)

var (
	catchAll     = cftunnel.IngressRule{Service: "http_status:404"}
	onlyCatchAll = cftunnel.TunnelConfig{Ingress: []cftunnel.IngressRule{catchAll}}
)

func TestTunnelsConfiguration_NeverSet(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	tunnel := srv.SeedTunnels(1)[0]
	configuration, err := client.Tunnels.Configuration(t.Context(), tunnel.ID)
	require.NoError(t, err)
	assert.Equal(t, tunnel.ID, configuration.TunnelID)
	assert.Zero(t, configuration.Version)
	assert.Equal(t, cftunnel.TunnelConfig{}, configuration.Config)
}

func TestTunnelsUpdateConfiguration_RoundTrip(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	ctx := t.Context()
	tunnel := srv.SeedTunnels(1)[0]
	config := cftunnel.TunnelConfig{
		Ingress: []cftunnel.IngressRule{
			{Hostname: "app.example.com", Path: "^/api", Service: "https://localhost:8001", OriginRequest: &cftunnel.OriginRequest{
				Access: &cftunnel.Access{
					AUDTag: []string{"tag"}, TeamName: "team", Required: true, Environment: "fedramp",
				},
				BastionMode:            new(false),
				CAPool:                 "/etc/ca.pem",
				ConnectTimeout:         new(5),
				DisableChunkedEncoding: new(true),
				HTTP2Origin:            new(false),
				HTTPHostHeader:         "inside.example.com",
				IPRules: []cftunnel.IPRule{
					{Prefix: "192.0.2.0/24", Ports: []int{80, 443}, Allow: true}, {Prefix: "::/0"},
				},
				KeepAliveConnections: new(0),
				KeepAliveTimeout:     new(30),
				MatchSNIToHost:       new(true),
				NoHappyEyeballs:      new(true),
				NoTLSVerify:          new(false),
				OriginServerName:     "inside",
				ProxyAddress:         "127.0.0.1",
				ProxyPort:            new(0),
				ProxyType:            "socks",
				TCPKeepAlive:         new(15),
				TLSTimeout:           new(3),
			}},
			catchAll,
		},
		OriginRequest: &cftunnel.OriginRequest{NoTLSVerify: new(true)},
		WARPRouting: &cftunnel.WARPRouting{
			Enabled: true, ConnectTimeout: new(5), MaxActiveFlows: new(100), TCPKeepAlive: new(60),
		},
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
				"access":{"audTag":["tag"],"teamName":"team","required":true,"environment":"fedramp"},"bastionMode":false,
				"caPool":"/etc/ca.pem","connectTimeout":5,"disableChunkedEncoding":true,"http2Origin":false,
				"httpHostHeader":"inside.example.com",
				"ipRules":[{"prefix":"192.0.2.0/24","ports":[80,443],"allow":true},{"prefix":"::/0"}],
				"keepAliveConnections":0,"keepAliveTimeout":30,"matchSNItoHost":true,"noHappyEyeballs":true,"noTLSVerify":false,
				"originServerName":"inside","proxyAddress":"127.0.0.1","proxyPort":0,"proxyType":"socks",
				"tcpKeepAlive":15,"tlsTimeout":3}},
			{"service":"http_status:404"}],
		"originRequest":{"noTLSVerify":true},
		"warp-routing":{"enabled":true,"connectTimeout":5,"maxActiveFlows":100,"tcpKeepAlive":60}}}`,
		srv.Requests()[0].Body.Reveal(), "a catch-all has no hostname and no path")
}

func TestTunnelsConfiguration_Errors(t *testing.T) {
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
		_, err = client.Tunnels.UpdateConfiguration(ctx, tunnelID, onlyCatchAll)
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown, result)
	}
}

func TestTunnelsUpdateConfiguration_InvalidArguments(t *testing.T) {
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
	assert.Zero(t, carriedOut(srv, opConfigure))
}

func TestTunnelsUpdateConfiguration_LocallyManaged(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "local"})
	require.NoError(t, err)
	written, err := client.Tunnels.UpdateConfiguration(t.Context(), tunnel.ID, onlyCatchAll)
	require.ErrorIs(t, err, cftunnel.ErrLocallyManaged)
	require.NotNil(t, written)
	assert.Equal(t, 1, written.Version)

	for range 2 { // the second call changes nothing
		written, err = modifyConfig(t, client, tunnel.ID, func(config *tunnelConfig) error {
			config.Ingress[0].Service = "http_status:503"
			return nil
		})
		require.ErrorIs(t, err, cftunnel.ErrLocallyManaged)
		require.NotNil(t, written)
		assert.Equal(t, 2, written.Version)
	}
	assert.Equal(t, 2, carriedOut(srv, opConfigure))

	_, err = client.Tunnels.Configuration(t.Context(), tunnel.ID)
	require.NoError(t, err, "reading is allowed")
}

func TestTunnelsConfiguration_ResponseAboutAnotherTunnel(t *testing.T) {
	t.Parallel()
	response := func(id string) string {
		return `{"success":true,"result":{"tunnel_id":"` + id + `","version":"3","config":{"ingress":[{"service":"bastion"}]}}}`
	}
	for _, id := range []string{tunnelID, strings.ToUpper(tunnelID), ""} {
		client := clientOf(t, respond(200, response(id)))
		read, err := client.Tunnels.Configuration(t.Context(), tunnelID)
		require.NoError(t, err, id)
		assert.Equal(t, 3, read.Version)
		_, err = client.Tunnels.UpdateConfiguration(t.Context(), tunnelID, onlyCatchAll)
		require.NoError(t, err, id)
	}
	client := clientOf(t, respond(200, response("00000000-a4ef-4643-bbbc-4a0ed4fc8415")))
	_, err := client.Tunnels.Configuration(t.Context(), tunnelID)
	require.Error(t, err)
	require.NotErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	_, err = client.Tunnels.UpdateConfiguration(t.Context(), tunnelID, onlyCatchAll)
	require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	_, err = client.Tunnels.ModifyConfiguration(t.Context(), tunnelID, addRule("a"))
	require.Error(t, err)
}

func TestTunnelsConfiguration_NilAndZeroService(t *testing.T) {
	t.Parallel()
	for _, service := range []*cftunnel.TunnelsService{nil, {}} {
		_, err := service.Configuration(t.Context(), tunnelID)
		require.Error(t, err)
		_, err = service.UpdateConfiguration(t.Context(), tunnelID, onlyCatchAll)
		require.Error(t, err)
		_, err = service.ModifyConfiguration(t.Context(), tunnelID, addRule("a"))
		require.Error(t, err)
	}
}

func TestTunnelsUpdateConfiguration_UndecodedMemberIsNotReplaced(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	var config cftunnel.TunnelConfig
	require.NoError(t, json.Unmarshal([]byte(`{"ingress":{"0":{"service":"http://a"}}}`), &config))
	config.Ingress = []cftunnel.IngressRule{catchAll}
	_, err := client.Tunnels.UpdateConfiguration(t.Context(), srv.SeedTunnels(1)[0].ID, config)
	invalid, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
	require.True(t, ok, "%v", err)
	assert.Contains(t, invalid.Reason, "ingress")
	assert.Empty(t, srv.Requests())
}

// put writes a configuration, as another client may do.
func put(t *testing.T, client *cftunnel.Client, id, config string) {
	t.Helper()
	path := "accounts/" + client.AccountID() + "/cfd_tunnel/" + id + "/configurations"
	body := json.RawMessage(`{"config":` + config + `}`)
	require.NoError(t, client.Do(t.Context(), http.MethodPut, path, body, nil))
}

// stored returns the JSON of a configuration that the server has.
func stored(t *testing.T, client *cftunnel.Client, id string) string {
	t.Helper()
	var result struct{ Config json.RawMessage }
	path := "accounts/" + client.AccountID() + "/cfd_tunnel/" + id + "/configurations"
	require.NoError(t, client.Do(t.Context(), http.MethodGet, path, nil, &result))
	return string(result.Config)
}
