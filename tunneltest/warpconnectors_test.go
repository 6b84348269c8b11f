package tunneltest_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// createWARP creates a WARP connector and returns its ID and token.
func (f *fake) createWARP(name string, ha bool) (id string, token cftunnel.Secret) {
	f.t.Helper()
	tunnel, err := f.client().WARPConnectors.Create(f.t.Context(),
		cftunnel.WARPConnectorCreateParams{Name: name, HA: ha})
	require.NoError(f.t, err)
	token, err = f.client().WARPConnectors.Token(f.t.Context(), tunnel.ID)
	require.NoError(f.t, err)
	return tunnel.ID, token
}

func (f *fake) getWARP(id string) *cftunnel.Tunnel {
	f.t.Helper()
	tunnel, err := f.client().WARPConnectors.Get(f.t.Context(), id)
	require.NoError(f.t, err)
	return tunnel
}

// haStatuses returns the HA status of each connector of a WARP connector, by ID.
func (f *fake) haStatuses(id string) map[string]cftunnel.HAStatus {
	f.t.Helper()
	connectors, err := f.client().WARPConnectors.Connectors(f.t.Context(), id)
	require.NoError(f.t, err)
	statuses := map[string]cftunnel.HAStatus{}
	for _, c := range connectors {
		statuses[c.ID] = c.HAStatus
	}
	return statuses
}

func TestWARPConnectors_Fields(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithClock(newClock(noon).Now))
	for _, body := range []string{`{"name":"plain"}`, `{"name":"single","ha":false}`, `{"name":"ha","ha":true}`} {
		created := f.send(http.MethodPost, f.accountPath("/warp_connector"), body)
		id, name := created.stringField("id"), created.stringField("name")
		assert.JSONEq(t, body, f.lastRequest().Body.Reveal())
		for operation, r := range map[string]response{
			"create": created,
			"get":    f.fetch(f.accountPath("/warp_connector/" + id)),
			"update": f.send(http.MethodPatch, f.accountPath("/warp_connector/"+id), `{"name":"`+name+`"}`),
		} {
			fields := r.fields()
			for _, absent := range []string{"remote_config", "config_src", "tunnel_secret", "ha"} {
				assert.NotContains(t, fields, absent, operation)
			}
			for key, value := range map[string]string{
				"id": asJSON(t, id), "account_tag": asJSON(t, f.AccountID()), "name": asJSON(t, name), "tun_type": `"warp_connector"`,
				"status": `"inactive"`, "created_at": `"2026-10-05T12:00:00.000000Z"`, "deleted_at": "null", "conns_active_at": "null",
				"conns_inactive_at": `"2026-10-05T12:00:00.000000Z"`,
			} {
				assert.Equal(t, value, string(fields[key]), "%s: %s", operation, key)
			}
		}
		assert.NotContains(t, f.fetch(f.accountPath("/warp_connector/"+id)).fields(), "token")
	}
}

func TestWARPConnectors_Invalid(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.create("tunnel")
	f.createWARP("warp", false)
	f.send(http.MethodPost, f.accountPath("/warp_connector"), `{"name":"warp"}`).
		assertError(http.StatusConflict, 1013)
	f.send(http.MethodPost, f.accountPath("/warp_connector"), `{"name":"tunnel"}`).
		assertError(http.StatusConflict, 1013)
	f.send(http.MethodPost, f.accountPath("/cfd_tunnel"), `{"name":"warp"}`).
		assertError(http.StatusConflict, 1013)
	for _, body := range []string{``, `null`, `[]`, `{}`, `{"name":" "}`, `{"name":1}`, `{"name":"other","ha":"yes"}`} {
		r := f.send(http.MethodPost, f.accountPath("/warp_connector"), body)
		assert.Equal(t, http.StatusBadRequest, r.status, body)
		assert.Equal(t, "false", string(r.envelope().Success), body)
	}
	assert.Equal(t, []string{"warp"}, f.names("/warp_connector"), "a refused create changes nothing")
}

func TestTunnelsList_Types(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.create("tunnel")
	warp, _ := f.createWARP("warp", true)
	gone, _ := f.createWARP("gone", false)
	_, err := f.client().WARPConnectors.Delete(t.Context(), gone, cftunnel.TunnelDeleteParams{})
	require.NoError(t, err)
	for path, names := range map[string][]string{
		"/cfd_tunnel":                                  {"tunnel"},
		"/warp_connector":                              {"warp"},
		"/warp_connector?is_deleted=true":              {"gone"},
		"/tunnels":                                     {"tunnel", "warp"},
		"/tunnels?tun_types=cfd_tunnel":                {"tunnel"},
		"/tunnels?tun_types=warp_connector,cfd_tunnel": {"tunnel", "warp"},
		"/tunnels?tun_types=warp_connector,magic":      {"warp"},
	} {
		assert.Equal(t, names, f.names(path), path)
	}

	connectors := f.client().WARPConnectors.All(t.Context(), cftunnel.TunnelListParams{})
	for tunnel, err := range connectors {
		require.NoError(t, err)
		assert.Equal(t, warp, tunnel.ID)
		assert.Equal(t, cftunnel.TunnelTypeWARPConnector, tunnel.Type)
		assert.Empty(t, tunnel.ConfigSource)
	}
	page, err := f.client().Tunnels.ListAllTypes(t.Context(), cftunnel.AllTypesListParams{
		Types: []cftunnel.TunnelType{cftunnel.TunnelTypeCloudflared, cftunnel.TunnelTypeWARPConnector},
	})
	require.NoError(t, err)
	assert.Len(t, page.Items, 2)
}

// A tunnel is not found on the paths of another type.
func TestTunnels_OtherType(t *testing.T) {
	t.Parallel()
	f := start(t)
	tunnel, _ := f.create("tunnel")
	warp, _ := f.createWARP("warp", true)
	for _, c := range []struct{ method, path, body string }{
		{http.MethodGet, "/cfd_tunnel/" + warp, ""},
		{http.MethodGet, "/cfd_tunnel/" + warp + "/token", ""},
		{http.MethodPatch, "/cfd_tunnel/" + warp, `{"name":"x"}`},
		{http.MethodDelete, "/cfd_tunnel/" + warp, ""},
		{http.MethodGet, "/warp_connector/" + tunnel, ""},
		{http.MethodGet, "/warp_connector/" + tunnel + "/token", ""},
		{http.MethodPatch, "/warp_connector/" + tunnel, `{"name":"x"}`},
		{http.MethodDelete, "/warp_connector/" + tunnel, ""},
		{http.MethodGet, "/warp_connector/" + tunnel + "/configurations", ""},
		{http.MethodPut, "/warp_connector/" + tunnel + "/configurations", `{"ha_mode":"none"}`},
		{http.MethodPut, "/warp_connector/" + tunnel + "/failover", `{"client_id":"` + unknownID + `"}`},
	} {
		f.send(c.method, f.accountPath(c.path), c.body).assertNotFound(c.method + " " + c.path)
	}
	assert.Equal(t, []string{"tunnel", "warp"}, f.names("/tunnels"))
}

func TestWARPConnectors_Token(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, token := f.createWARP("warp", true)
	_, other := f.createWARP("other", true)
	assert.NotEqual(t, token, other)
	assert.NotRegexp(t, "^eyJ", token.Reveal(), "not a token of a cloudflared tunnel")
	again, err := f.client().WARPConnectors.Token(t.Context(), id)
	require.NoError(t, err)
	assert.Equal(t, token, again, "unchanged as long as the secret is unchanged")
	connector := f.connect(token)

	secret := secretOf(32, 3)
	updated := f.send(http.MethodPatch, f.accountPath("/warp_connector/"+id),
		`{"tunnel_secret":"`+secret+`"}`)
	assert.NotContains(t, string(updated.body), secret)
	assert.NotEqual(t, token.Reveal(), updated.stringField("token"))
	again, err = f.client().WARPConnectors.Token(t.Context(), id)
	require.NoError(t, err)
	assert.Equal(t, updated.stringField("token"), again.Reveal())
	_, err = f.Connect(token)
	require.Error(t, err, "the old token opens no new connections")
	assert.NotContains(t, err.Error(), token.Reveal())
	assert.Equal(t, map[string]cftunnel.HAStatus{connector: cftunnel.HAStatusActive}, f.haStatuses(id), "existing connections stay up")
	f.connect(again)
}

func TestWARPConnectors_ConnectorFields(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithClock(newClock(noon).Now))
	id, token := f.createWARP("warp", true)
	connector := f.connect(token)
	r := f.fetch(f.accountPath("/warp_connector/" + id + "/connections"))
	assert.Empty(t, string(r.envelope().ResultInfo))
	list := members[[]json.RawMessage](t, r.result())
	require.Len(t, list, 1)
	assert.ElementsMatch(t, []string{"id", "version", "arch", "features", "run_at", "ha_status", "conns"}, keysOf(t, list[0]))
	fields := members[map[string]json.RawMessage](t, list[0])
	assert.Equal(t, asJSON(t, connector), string(fields["id"]))
	assert.Equal(t, `"active"`, string(fields["ha_status"]))
	assert.Equal(t, `"2026-10-05T12:00:00.000000Z"`, string(fields["run_at"]))
	conns := members[[]json.RawMessage](t, fields["conns"])
	assert.NotEmpty(t, conns)
	for _, conn := range conns {
		keys := keysOf(t, conn)
		assert.NotContains(t, keys, "uuid")
		assert.Subset(t, keys, []string{"id", "client_id", "client_version", "colo_name", "opened_at", "origin_ip"})
		assert.Equal(t, asJSON(t, connector),
			string(members[map[string]json.RawMessage](t, conn)["client_id"]))
	}
	assert.Equal(t, string(list[0]),
		string(f.fetch(f.accountPath("/warp_connector/"+id+"/connectors/"+connector)).result()))

	one, err := f.client().WARPConnectors.Connector(t.Context(), id, connector)
	require.NoError(t, err)
	assert.Equal(t, cftunnel.HAStatusActive, one.HAStatus)
	require.NotEmpty(t, one.Connections)
	assert.NotEmpty(t, one.Connections[0].ID)
	_, err = f.client().WARPConnectors.Connector(t.Context(), id, unknownID)
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
}

func TestWARPConnectors_Status(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	id, token := f.createWARP("warp", false)
	assert.Equal(t, "[]",
		string(f.fetch(f.accountPath("/warp_connector/"+id+"/connections")).result()))
	up := c.advance(time.Hour)
	connector := f.connect(token)
	assert.Equal(t, cftunnel.TunnelStatusHealthy, f.getWARP(id).Status)
	assert.Equal(t, up, f.getWARP(id).ConnsActiveAt)
	f.send(http.MethodDelete, f.accountPath("/warp_connector/"+id), "").
		assertError(http.StatusBadRequest, 1022)
	_, err := f.client().WARPConnectors.Delete(t.Context(), id, cftunnel.TunnelDeleteParams{})
	require.ErrorIs(t, err, cftunnel.ErrActiveConnections)

	// The API has no endpoint for a cleanup of WARP connectors.
	cleanup := f.send(http.MethodDelete, f.accountPath("/warp_connector/"+id+"/connections"), "")
	assert.Equal(t, "false", string(cleanup.envelope().Success))
	assert.Contains(t, f.haStatuses(id), connector)

	down := c.advance(time.Hour)
	f.Disconnect(connector)
	assert.Equal(t, cftunnel.TunnelStatusDown, f.getWARP(id).Status)
	assert.Equal(t, down, f.getWARP(id).ConnsInactiveAt)
	deleted, err := f.client().WARPConnectors.Delete(t.Context(), id, cftunnel.TunnelDeleteParams{})
	require.NoError(t, err)
	assert.True(t, deleted.IsDeleted())
	assert.True(t, f.getWARP(id).IsDeleted(), "it can still be read")
	_, err = f.Connect(token)
	require.Error(t, err)
}

func TestWARPConnectors_DeleteCascade(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, token := f.createWARP("warp", true)
	f.connect(token)
	f.connect(token)
	deleted, err := f.client().WARPConnectors.Delete(t.Context(), id,
		cftunnel.TunnelDeleteParams{Cascade: true})
	require.NoError(t, err)
	assert.True(t, deleted.IsDeleted())
	assert.Empty(t, f.haStatuses(id))
}

func TestWARPConnectors_Failover(t *testing.T) {
	t.Parallel()
	const active, passive = cftunnel.HAStatusActive, cftunnel.HAStatusPassive
	type statuses = map[string]cftunnel.HAStatus
	f := start(t)
	id, token := f.createWARP("warp", true)
	first, second, third := f.connect(token), f.connect(token), f.connect(token)
	assert.Equal(t, statuses{first: active, second: passive, third: passive}, f.haStatuses(id))

	r := f.send(http.MethodPut, f.accountPath("/warp_connector/"+id+"/failover"),
		`{"client_id":"`+third+`"}`)
	assert.Equal(t, "null", string(r.result()))
	assert.Equal(t, statuses{first: passive, second: passive, third: active}, f.haStatuses(id))
	require.NoError(t, f.client().WARPConnectors.Failover(t.Context(), id, second))
	assert.Equal(t, statuses{first: passive, second: active, third: passive}, f.haStatuses(id))
	require.NoError(t, f.client().WARPConnectors.Failover(t.Context(), id, second))
	assert.Equal(t, statuses{first: passive, second: active, third: passive}, f.haStatuses(id),
		"it was already active")

	fourth := f.connect(token)
	assert.Equal(t, statuses{first: passive, second: active, third: passive, fourth: passive},
		f.haStatuses(id), "a new connector is passive")
	f.Disconnect(third)
	assert.Equal(t, statuses{first: passive, second: active, fourth: passive}, f.haStatuses(id),
		"a passive connector stopped")
	f.Disconnect(first)
	f.Disconnect(second)
	assert.Equal(t, statuses{fourth: active}, f.haStatuses(id),
		"a passive connector becomes active")
	third = f.connect(token)
	assert.Equal(t, statuses{third: passive, fourth: active}, f.haStatuses(id))
	f.Disconnect(third)
	f.Disconnect(fourth)
	assert.Empty(t, f.haStatuses(id))
	assert.Equal(t, statuses{f.connect(token): active}, f.haStatuses(id))
}

func TestWARPConnectors_InvalidFailover(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, token := f.createWARP("warp", true)
	first := f.connect(token)
	f.connect(token)
	other, otherToken := f.createWARP("other", true)
	ofOther := f.connect(otherToken)
	single, singleToken := f.createWARP("single", false)
	ofSingle := f.connect(singleToken)
	gone, _ := f.createWARP("gone", true)
	_, err := f.client().WARPConnectors.Delete(t.Context(), gone, cftunnel.TunnelDeleteParams{})
	require.NoError(t, err)
	for _, c := range []struct {
		name, id, body string
		status         int
	}{
		{"not highly available", single, `{"client_id":"` + ofSingle + `"}`, http.StatusBadRequest},
		{"connector of another WARP connector", id, `{"client_id":"` + ofOther + `"}`, http.StatusBadRequest},
		{"unknown connector", id, `{"client_id":"` + unknownID + `"}`, http.StatusBadRequest},
		{"no connector", id, `{}`, http.StatusBadRequest},
		{"connector of another type", id, `{"client_id":1}`, http.StatusBadRequest},
		{"no body", id, ``, http.StatusBadRequest},
		{"unknown WARP connector", unknownID, `{"client_id":"` + first + `"}`, http.StatusNotFound},
		{"deleted WARP connector", gone, `{"client_id":"` + first + `"}`, http.StatusNotFound},
	} {
		r := f.send(http.MethodPut, f.accountPath("/warp_connector/"+c.id+"/failover"), c.body)
		assert.Equal(t, c.status, r.status, c.name)
		assert.Equal(t, "false", string(r.envelope().Success), c.name)
		assert.False(t, f.lastRequest().Done, c.name)
	}
	assert.Equal(t, cftunnel.HAStatusActive, f.haStatuses(id)[first])
	assert.Equal(t, cftunnel.HAStatusActive, f.haStatuses(other)[ofOther])
	require.ErrorIs(t, f.client().WARPConnectors.Failover(t.Context(), single, ofSingle),
		cftunnel.ErrBadRequest)
}

// Only a highly available WARP connector can have several connectors.
func TestConnect_SecondConnectorWithoutHA(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, token := f.createWARP("warp", false)
	first := f.connect(token)
	_, err := f.Connect(token)
	require.ErrorContains(t, err, "not highly available")
	assert.NotContains(t, err.Error(), token.Reveal())
	assert.Equal(t, map[string]cftunnel.HAStatus{first: cftunnel.HAStatusActive}, f.haStatuses(id))
	f.Disconnect(first)
	f.connect(token)
}

// haConfiguration gets the HA configuration of a WARP connector.
func (f *fake) haConfiguration(id string) response {
	f.t.Helper()
	return f.fetch(f.accountPath("/warp_connector/" + id + "/configurations"))
}

func (f *fake) configureHA(id, body string) response {
	f.t.Helper()
	return f.send(http.MethodPut, f.accountPath("/warp_connector/"+id+"/configurations"), body)
}

func TestWARPConfiguration_NeverSet(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	for name, ha := range map[string]bool{"single": false, "ha": true} {
		id, _ := f.createWARP(name, ha)
		r := f.haConfiguration(id)
		fields := r.fields()
		assert.ElementsMatch(t, []string{"configuration_version", "created_at", "updated_at", "ha_mode", "tunnel_id", "config"}, keysOf(t, r.result()))
		assert.Equal(t, "0", string(fields["configuration_version"]))
		assert.Equal(t, `"2026-10-05T12:00:00.000000Z"`, string(fields["created_at"]))
		assert.Equal(t, "null", string(fields["updated_at"]))
		assert.Equal(t, asJSON(t, id), string(fields["tunnel_id"]))
		assert.Equal(t, "null", string(fields["config"]))
		if !ha {
			assert.Equal(t, `"none"`, string(fields["ha_mode"]))
		}

		configuration, err := f.client().WARPConnectors.Configuration(t.Context(), id)
		require.NoError(t, err)
		assert.Equal(t,
			&cftunnel.WARPConfiguration{TunnelID: id, HAMode: configuration.HAMode,
				CreatedAt: noon}, configuration)
		assert.Contains(t, []cftunnel.HAMode{cftunnel.HAModeNone, cftunnel.HAModeDisabled}, configuration.HAMode, "HA is not configured yet")
	}
}

func TestWARPConfiguration_Put(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	id, _ := f.createWARP("warp", true)
	other, _ := f.createWARP("other", true)
	at := ""
	for i, step := range []struct{ body, mode, config string }{
		{`{"ha_mode":"aws","config":{"fnr_id":"eni-1"}}`, "aws", `{"fnr_id":"eni-1"}`},
		{`{"ha_mode":"aws","config":{"fnr_id":"eni-1"}}`, "aws", `{"fnr_id":"eni-1"}`},
		{`{"ha_mode":"local","config":{"vips":[{"address":"10.0.0.1"}]}}`, "local", `{"vips":[{"address":"10.0.0.1"}]}`},
		{
			`{"ha_mode":"local","config":{"vips":[{"address":"10.0.0.2"},{"address":"10.0.0.3"}],"vips_previous":[{"address":"10.0.0.9"}]}}`,
			"local", `{"vips":[{"address":"10.0.0.2"},{"address":"10.0.0.3"}],"vips_previous":[{"address":"10.0.0.9"}]}`,
		},
		{
			`{"ha_mode":"local","config":{"vips":[{"address":"10.0.0.4"}]}}`,
			"local", `{"vips":[{"address":"10.0.0.4"}],"vips_previous":[{"address":"10.0.0.2"},{"address":"10.0.0.3"}]}`,
		},
		{`{"ha_mode":"disabled"}`, "disabled", "null"},
		{`{"ha_mode":"none","config":null}`, "none", "null"},
	} {
		at = c.advance(time.Hour).Format(`"2006-01-02T15:04:05.000000Z"`)
		put := f.configureHA(id, step.body)
		fields := put.fields()
		assert.Equal(t, asJSON(t, i+1), string(fields["configuration_version"]), step.body)
		assert.Equal(t, asJSON(t, step.mode), string(fields["ha_mode"]), step.body)
		assert.Equal(t, step.config, string(fields["config"]), step.body)
		assert.Equal(t, `"2026-10-05T12:00:00.000000Z"`, string(fields["created_at"]))
		assert.Equal(t, at, string(fields["updated_at"]))
		assert.Equal(t, asJSON(t, id), string(fields["tunnel_id"]))
		c.advance(time.Minute)
		assert.Equal(t, string(put.result()), string(f.haConfiguration(id).result()))
	}
	assert.Equal(t, "0", string(f.haConfiguration(other).fields()["configuration_version"]),
		"each WARP connector has its own configuration")
}

func TestClient_WARPConfiguration(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	id, _ := f.createWARP("warp", true)
	at := c.advance(time.Hour)
	for i, params := range []cftunnel.WARPConfigurationParams{
		{HAMode: cftunnel.HAModeAWS, FNRID: "eni-1"},
		{HAMode: cftunnel.HAModeLocal, VIPs: []string{"10.0.0.1", "10.0.0.2"}, VIPsPrevious: []string{"10.0.0.3"}},
		{HAMode: cftunnel.HAModeDisabled},
	} {
		want := &cftunnel.WARPConfiguration{
			TunnelID: id, Version: i + 1, HAMode: params.HAMode, FNRID: params.FNRID,
			VIPs: params.VIPs, VIPsPrevious: params.VIPsPrevious, CreatedAt: noon, UpdatedAt: at,
		}
		updated, err := f.client().WARPConnectors.UpdateConfiguration(t.Context(), id, params)
		require.NoError(t, err)
		assert.Equal(t, want, updated)
		read, err := f.client().WARPConnectors.Configuration(t.Context(), id)
		require.NoError(t, err)
		assert.Equal(t, want, read)
	}
}

func TestWARPConfiguration_Invalid(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.createWARP("warp", true)
	single, _ := f.createWARP("single", false)
	gone, _ := f.createWARP("gone", true)
	_, err := f.client().WARPConnectors.Delete(t.Context(), gone, cftunnel.TunnelDeleteParams{})
	require.NoError(t, err)
	before := string(f.configureHA(id, `{"ha_mode":"aws","config":{"fnr_id":"eni-1"}}`).result())
	const (
		vips = `{"vips":[{"address":"10.0.0.1"}]}`
		both = `{"fnr_id":"eni-1","vips":[{"address":"10.0.0.1"}]}`
	)
	for _, c := range []struct {
		name, id, body string
		status         int
	}{
		{"unknown mode", id, `{"ha_mode":"azure"}`, http.StatusBadRequest},
		{"no mode", id, `{"config":{"fnr_id":"eni-1"}}`, http.StatusBadRequest},
		{"no body", id, ``, http.StatusBadRequest},
		{"null", id, `null`, http.StatusBadRequest},
		{"mode of another type", id, `{"ha_mode":1}`, http.StatusBadRequest},
		{"aws without a config", id, `{"ha_mode":"aws"}`, http.StatusBadRequest},
		{"aws with addresses", id, `{"ha_mode":"aws","config":` + vips + `}`, http.StatusBadRequest},
		{"aws with both", id, `{"ha_mode":"aws","config":` + both + `}`, http.StatusBadRequest},
		{"local without a config", id, `{"ha_mode":"local"}`, http.StatusBadRequest},
		{"local without addresses", id, `{"ha_mode":"local","config":{"vips":[]}}`, http.StatusBadRequest},
		{"local with a resource", id, `{"ha_mode":"local","config":{"fnr_id":"eni-1"}}`, http.StatusBadRequest},
		{"local with both", id, `{"ha_mode":"local","config":` + both + `}`, http.StatusBadRequest},
		{"local with bare addresses", id, `{"ha_mode":"local","config":{"vips":["10.0.0.1"]}}`, http.StatusBadRequest},
		{"none with a resource", id, `{"ha_mode":"none","config":{"fnr_id":"eni-1"}}`, http.StatusBadRequest},
		{"disabled with addresses", id, `{"ha_mode":"disabled","config":` + vips + `}`, http.StatusBadRequest},
		{"not highly available", single, `{"ha_mode":"aws","config":{"fnr_id":"eni-1"}}`, http.StatusBadRequest},
		{"unknown WARP connector", unknownID, `{"ha_mode":"none"}`, http.StatusNotFound},
		{"deleted WARP connector", gone, `{"ha_mode":"none"}`, http.StatusNotFound},
	} {
		r := f.configureHA(c.id, c.body)
		assert.Equal(t, c.status, r.status, c.name)
		assert.Equal(t, "false", string(r.envelope().Success), c.name)
		assert.Equal(t, "null", string(r.envelope().Result), c.name)
	}
	assert.Equal(t, before, string(f.haConfiguration(id).result()),
		"a refused configuration changes nothing")
	f.haConfiguration(unknownID).assertNotFound("unknown WARP connector")
	f.haConfiguration(gone).assertNotFound("deleted WARP connector")
	_, err = f.client().WARPConnectors.UpdateConfiguration(t.Context(), single,
		cftunnel.WARPConfigurationParams{HAMode: cftunnel.HAModeAWS, FNRID: "eni-1"})
	require.ErrorIs(t, err, cftunnel.ErrBadRequest)
}

func TestWARPConnectors_FailoverToOffline(t *testing.T) {
	t.Parallel()
	f := start(t)
	warp, err := f.client().WARPConnectors.Create(t.Context(),
		cftunnel.WARPConnectorCreateParams{Name: "office", HA: true})
	require.NoError(t, err)
	active, passive := f.connect(warp.Token), f.connect(warp.Token)
	f.SetConnections(passive, 0)
	require.ErrorIs(t, f.client().WARPConnectors.Failover(t.Context(), warp.ID, passive),
		cftunnel.ErrBadRequest)
	connectors, err := f.client().WARPConnectors.Connectors(t.Context(), warp.ID)
	require.NoError(t, err)
	assert.Equal(t, active, connectors[0].ID)
	assert.Equal(t, cftunnel.HAStatusActive, connectors[0].HAStatus)
	assert.Equal(t, cftunnel.HAStatusOffline, connectors[1].HAStatus)
	f.SetConnections(active, 0)
	f.SetConnections(passive, 4)
	connectors, err = f.client().WARPConnectors.Connectors(t.Context(), warp.ID)
	require.NoError(t, err)
	assert.Equal(t, cftunnel.HAStatusActive, connectors[1].HAStatus)
}
