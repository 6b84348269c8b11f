package tunneltest_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// catchAll is the smallest valid configuration.
const catchAll = `{"config":{"ingress":[{"service":"http_status:404"}]}}`

const opConfigure = "PUT /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations"

// configuration gets the remote configuration of a tunnel.
func (f *fake) configuration(id string) response {
	f.t.Helper()
	return f.fetch(f.accountPath("/cfd_tunnel/" + id + "/configurations"))
}

func (f *fake) configure(id, body string) response {
	f.t.Helper()
	return f.send(http.MethodPut, f.accountPath("/cfd_tunnel/"+id+"/configurations"), body)
}

func TestConfigurations_NeverSet(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, source := range []cftunnel.ConfigSource{cftunnel.ConfigSourceLocal, cftunnel.ConfigSourceCloudflare} {
		tunnel, err := f.client().Tunnels.Create(t.Context(),
			cftunnel.TunnelCreateParams{Name: string(source), ConfigSource: source})
		require.NoError(t, err)
		r := f.configuration(tunnel.ID)
		fields := r.fields()
		assert.ElementsMatch(t, []string{"account_id", "tunnel_id", "version", "config", "source", "created_at"}, keysOf(t, r.result()))
		assert.Equal(t, asJSON(t, f.AccountID()), string(fields["account_id"]))
		assert.Equal(t, asJSON(t, tunnel.ID), string(fields["tunnel_id"]))
		assert.Equal(t, "0", string(fields["version"]))
		assert.Equal(t, "null", string(fields["config"]))
		assert.Equal(t, asJSON(t, source), string(fields["source"]))

		configuration, err := f.client().Tunnels.Configuration(t.Context(), tunnel.ID)
		require.NoError(t, err)
		assert.Equal(t, tunnel.ID, configuration.TunnelID)
		assert.Zero(t, configuration.Version)
		assert.Empty(t, configuration.Config)
		assert.Equal(t, source, configuration.Source)
	}
}

func TestConfigurations_StoredUnchanged(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	tunnel, err := f.client().Tunnels.Create(t.Context(),
		cftunnel.TunnelCreateParams{Name: "web", ConfigSource: cftunnel.ConfigSourceCloudflare})
	require.NoError(t, err)
	other, _ := f.create("other")
	c.advance(time.Hour)
	const config = `{"ingress":[{"hostname":"a.example.com","path":"/x","service":"http://localhost:1","originRequest":{"newKey":[1]}},` +
		`{"service":"http_status:404","newKey":{"b":null}}],"originRequest":{"connectTimeout":5},"warp-routing":{"enabled":true},"newKey":"c"}`
	put := f.configure(tunnel.ID, `{"config":`+config+`}`)
	fields := put.fields()
	assert.ElementsMatch(t, []string{"account_id", "tunnel_id", "version", "config", "source", "created_at"}, keysOf(t, put.result()))
	assert.Equal(t, asJSON(t, f.AccountID()), string(fields["account_id"]))
	assert.Equal(t, asJSON(t, tunnel.ID), string(fields["tunnel_id"]))
	assert.Equal(t, "1", string(fields["version"]))
	assert.Equal(t, config, string(fields["config"]))
	assert.Equal(t, `"cloudflare"`, string(fields["source"]))
	assert.Equal(t, `"2026-10-05T13:00:00.000000Z"`, string(fields["created_at"]))
	c.advance(time.Hour)
	assert.Equal(t, string(put.result()), string(f.configuration(tunnel.ID).result()))
	assert.Equal(t, "null", string(f.configuration(other).fields()["config"]),
		"each tunnel has its own configuration")
}

func TestConfigurations_PutIncrementsVersion(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	full := f.configure(id, `{"config":{"ingress":[{"service":"http_status:404"}],"warp-routing":{"enabled":true}}}`).fields()
	assert.Equal(t, "1", string(full["version"]))
	for _, version := range []string{"2", "3"} {
		fields := f.configure(id, catchAll).fields()
		assert.Equal(t, version, string(fields["version"]), "even if nothing changes")
		assert.Equal(t, `{"ingress":[{"service":"http_status:404"}]}`, string(fields["config"]))
	}
}

func TestConfigurations_Invalid(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	before := string(f.configure(id, catchAll).result())
	for _, c := range []struct {
		name, body string
		code       int // 0 if not known
	}{
		{"last rule with a hostname", `{"config":{"ingress":[{"hostname":"a.example.com","service":"http://localhost"}]}}`, 1056},
		{"last rule with a path", `{"config":{"ingress":[{"path":"/x","service":"http://localhost"}]}}`, 1056},
		{
			"catch-all first",
			`{"config":{"ingress":[{"service":"http_status:404"},{"hostname":"a.example.com","service":"http://localhost"}]}}`, 1056,
		},
		{"no rules", `{"config":{"ingress":[]}}`, 1056},
		{"rules that are null", `{"config":{"ingress":null}}`, 1056},
		{"no ingress", `{"config":{"warp-routing":{"enabled":true}}}`, 1056},
		{"no config", `{}`, 0},
		{"no body", ``, 0},
		{"not JSON", `ingress: []`, 0},
		{"config of another type", `{"config":"ingress"}`, 0},
		{"ingress of another type", `{"config":{"ingress":{"service":"http_status:404"}}}`, 0},
		{"service of another type", `{"config":{"ingress":[{"service":404}]}}`, 0},
	} {
		r := f.configure(id, c.body)
		assert.Equal(t, http.StatusBadRequest, r.status, c.name)
		assert.Equal(t, "false", string(r.envelope().Success), c.name)
		if c.code != 0 {
			r.assertError(http.StatusBadRequest, c.code)
		}
		assert.False(t, f.lastRequest().Done, c.name)
	}
	assert.Equal(t, before, string(f.configuration(id).result()),
		"a refused configuration changes nothing")
}

func TestConfigurations_UnknownTunnel(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	f.configure(id, catchAll).result()
	f.delete(id)
	warp, _ := f.createWARP("warp", false)
	f.configuration(id).assertError(http.StatusNotFound, 1055)
	f.configure(id, catchAll).assertError(http.StatusNotFound, 1055)
	for _, unknown := range []string{unknownID, warp} {
		f.configuration(unknown).assertError(http.StatusNotFound, 1055)
		f.configure(unknown, catchAll).assertError(http.StatusNotFound, 1055)
	}

	_, err := f.client().Tunnels.Configuration(t.Context(), id)
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	assert.True(t, cftunnel.HasCode(err, 1055))
}

func TestClient_ModifyConfiguration(t *testing.T) {
	t.Parallel()
	f := start(t)
	id := f.SeedTunnels(1)[0].ID
	f.configure(id, `{"config":{"ingress":[{"service":"http_status:404"}],"newKey":{"kept":true}}}`).result()
	rule := cftunnel.IngressRule{Hostname: "a.example.com", Service: "http://localhost:8080"}
	addRule := func(config *cftunnel.TunnelConfig) error {
		config.Ingress = append([]cftunnel.IngressRule{rule}, config.Ingress...)
		return nil
	}
	modified, err := f.client().Tunnels.ModifyConfiguration(t.Context(), id, addRule)
	require.NoError(t, err)
	assert.Equal(t, 2, modified.Version)
	assert.JSONEq(t, `{"ingress":[{"hostname":"a.example.com","service":"http://localhost:8080"},{"service":"http_status:404"}],"newKey":{"kept":true}}`,
		string(f.configuration(id).fields()["config"]))

	before := string(f.configuration(id).result())
	_, err = f.client().Tunnels.ModifyConfiguration(t.Context(), id,
		func(*cftunnel.TunnelConfig) error { return errors.New("no") })
	require.Error(t, err)
	assert.Equal(t, before, string(f.configuration(id).result()))
}

// A PUT whose response is lost is carried out.
func TestConfigurations_LostResponse(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	f.Inject(tunneltest.Fault{Operation: opConfigure, Cut: tunneltest.CutAfter})
	_, err := f.client().Tunnels.UpdateConfiguration(t.Context(), id,
		cftunnel.TunnelConfig{Ingress: []cftunnel.IngressRule{{Service: "http_status:404"}}})
	require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	configuration, err := f.client().Tunnels.Configuration(t.Context(), id)
	require.NoError(t, err)
	assert.Equal(t, 1, configuration.Version)
}

func TestConfigurations_InvalidServices(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	r := f.configure(id, `{"config":{"ingress":[{"hostname":"a","service":"http://a"},{"hostname":"b","service":"http://a/b"},{"service":"bastion"}]}}`)
	r.assertError(http.StatusBadRequest, 1056)
	assert.Contains(t, string(r.envelope().Errors), "rule #2")
	assert.Contains(t, string(r.envelope().Errors), "http://a/b is an invalid address")
}

func TestConfigurations_Normalized(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	for put, stored := range map[string]string{
		`{"ingress":[{"hostname":"","path":null,"service":"bastion","more":1}],"warp-routing":{"enabled":false}}`: `{"ingress":[{"service":"bastion","more":1}]}`,
		`{"ingress":[{"service":"bastion"}],"warp-routing":{"enabled":false,"connectTimeout":1},"more":1.50}`:     `{"ingress":[{"service":"bastion"}],"more":1.50}`,
		`{"ingress":[{"service":"bastion"}],"warp-routing":{}}`:                                                   `{"ingress":[{"service":"bastion"}]}`,
		`{"ingress":[{"service":"bastion"}],"warp-routing":null}`:                                                 `{"ingress":[{"service":"bastion"}]}`,
		`{"warp-routing":{"connectTimeout":1},"ingress":[{"service":"bastion"}]}`:                                 `{"warp-routing":{"connectTimeout":1},"ingress":[{"service":"bastion"}]}`,
		`{"ingress":[{"service":"bastion","originRequest":{"access":{"audTag":"one"}}}],"warp-routing":[]}`:       `{"ingress":[{"service":"bastion","originRequest":{"access":{"audTag":"one"}}}],"warp-routing":[]}`,
	} {
		assert.JSONEq(t, stored, string(f.configure(id, `{"config":`+put+`}`).fields()["config"]))
		assert.JSONEq(t, stored, string(f.configuration(id).fields()["config"]))
	}
}
