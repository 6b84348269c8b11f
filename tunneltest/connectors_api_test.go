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

// members decodes a list of raw items, or an object with raw members.
func members[T []json.RawMessage | map[string]json.RawMessage](
	t testing.TB, value json.RawMessage,
) (decoded T) {
	t.Helper()
	require.NoError(t, json.Unmarshal(value, &decoded), "%s", value)
	return decoded
}

// assertNotFound checks that the status is 404. The real code is not known.
func (r response) assertNotFound(about string) {
	r.t.Helper()
	assert.Equal(r.t, http.StatusNotFound, r.status, "%s: %s", about, r.body)
	e := r.envelope()
	assert.Equal(r.t, "false", string(e.Success), about)
	assert.Equal(r.t, "null", string(e.Result), about)
}

// connectorIDs returns the IDs of the connectors of a cloudflared tunnel.
func (f *fake) connectorIDs(tunnel string) []string {
	f.t.Helper()
	connectors, err := f.client().Connectors.List(f.t.Context(), tunnel)
	require.NoError(f.t, err)
	ids := []string{}
	for _, c := range connectors {
		ids = append(ids, c.ID)
	}
	return ids
}

func TestConnectors_Fields(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	id, token := f.create("web")
	c.advance(time.Hour + 123456*time.Microsecond)
	connector := f.connect(token)
	const stamp = `"2026-10-05T13:00:00.123456Z"`

	r := f.fetch(f.accountPath("/cfd_tunnel/" + id + "/connections"))
	assert.Empty(t, string(r.envelope().ResultInfo), "the list is not paginated")
	list := members[[]json.RawMessage](t, r.result())
	require.Len(t, list, 1)
	fields := members[map[string]json.RawMessage](t, list[0])
	assert.ElementsMatch(t, []string{"id", "version", "arch", "features", "run_at", "config_version", "conns"}, keysOf(t, list[0]))
	assert.Equal(t, asJSON(t, connector), string(fields["id"]))
	assert.Equal(t, stamp, string(fields["run_at"]))
	assert.Equal(t, "0", string(fields["config_version"]))
	assert.Regexp(t, `^"[0-9]+\.[0-9]+\.[0-9]+"$`, string(fields["version"]))
	assert.Regexp(t, `^"[a-z]+_[a-z0-9]+"$`, string(fields["arch"]))
	assert.Regexp(t, `^\["[^]]+"\]$`, string(fields["features"]))

	ids := map[string]bool{}
	conns := members[[]json.RawMessage](t, fields["conns"])
	assert.Len(t, conns, 4)
	for _, conn := range conns {
		fields := members[map[string]json.RawMessage](t, conn)
		assert.ElementsMatch(t, []string{
			"id", "uuid", "client_id", "client_version", "colo_name", "opened_at", "origin_ip", "is_pending_reconnect",
		}, keysOf(t, conn))
		ids[string(fields["id"])] = true
		assert.Equal(t, string(fields["id"]), string(fields["uuid"]))
		assert.Equal(t, asJSON(t, connector), string(fields["client_id"]))
		assert.Regexp(t, `^"[0-9]+\.[0-9]+\.[0-9]+"$`, string(fields["client_version"]))
		assert.Regexp(t, `^"[a-z]{3}[0-9]{2}"$`, string(fields["colo_name"]))
		assert.Equal(t, stamp, string(fields["opened_at"]))
		assert.Regexp(t, `^"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+"$`, string(fields["origin_ip"]))
		assert.Equal(t, "false", string(fields["is_pending_reconnect"]))
	}
	assert.Len(t, ids, 4, "each connection has its own ID")
}

func TestClient_Connectors(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithClock(newClock(noon).Now))
	id, token := f.create("web")
	first, second := f.connect(token), f.connect(token)
	list, err := f.client().Connectors.List(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, list, 2)
	for i, connector := range []string{first, second} {
		one, err := f.client().Connectors.Get(t.Context(), id, connector)
		require.NoError(t, err)
		assert.Equal(t, list[i], *one)
		assert.Equal(t, connector, one.ID)
		assert.Equal(t, noon, one.RunAt)
		assert.NotEmpty(t, one.Version)
		assert.NotEmpty(t, one.Arch)
		assert.NotEmpty(t, one.Features)
		assert.Empty(t, one.HAStatus)
		require.Len(t, one.Connections, 4)
		for _, conn := range one.Connections {
			assert.Equal(t, connector, conn.ConnectorID)
			assert.Equal(t, one.Version, conn.Version)
			assert.Equal(t, noon, conn.OpenedAt)
			assert.NotEmpty(t, conn.ID)
		}
	}
}

func TestConnectors_GetEqualsListItem(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, token := f.create("web")
	f.connect(token)
	second := f.connect(token)
	list := members[[]json.RawMessage](t,
		f.fetch(f.accountPath("/cfd_tunnel/"+id+"/connections")).result())
	require.Len(t, list, 2)
	assert.Equal(t, string(list[1]),
		string(f.fetch(f.accountPath("/cfd_tunnel/"+id+"/connectors/"+second)).result()))
}

func TestConnectors_ConnectAndDisconnect(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, token := f.create("web")
	assert.Equal(t, "[]", string(f.fetch(f.accountPath("/cfd_tunnel/"+id+"/connections")).result()))
	first, second := f.connect(token), f.connect(token)
	assert.Equal(t, []string{first, second}, f.connectorIDs(id))
	f.Disconnect(first)
	assert.Equal(t, []string{second}, f.connectorIDs(id))
	_, err := f.client().Connectors.Get(t.Context(), id, first)
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	f.Disconnect(second)
	assert.Equal(t, "[]", string(f.fetch(f.accountPath("/cfd_tunnel/"+id+"/connections")).result()))
}

func TestConnectors_NotFound(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, token := f.create("web")
	other, otherToken := f.create("other")
	warp, _ := f.createWARP("warp", false)
	f.connect(token)
	ofOther := f.connect(otherToken)
	for _, c := range []struct{ name, method, path string }{
		{"list of an unknown tunnel", http.MethodGet, "/cfd_tunnel/" + unknownID + "/connections"},
		{"cleanup of an unknown tunnel", http.MethodDelete, "/cfd_tunnel/" + unknownID + "/connections"},
		{"connector of an unknown tunnel", http.MethodGet, "/cfd_tunnel/" + unknownID + "/connectors/" + ofOther},
		{"unknown connector", http.MethodGet, "/cfd_tunnel/" + id + "/connectors/" + unknownID},
		{"connector of another tunnel", http.MethodGet, "/cfd_tunnel/" + id + "/connectors/" + ofOther},
		{"list of a WARP connector as a cloudflared tunnel's", http.MethodGet, "/cfd_tunnel/" + warp + "/connections"},
		{"cleanup of a WARP connector as a cloudflared tunnel's", http.MethodDelete, "/cfd_tunnel/" + warp + "/connections"},
		{"list of a cloudflared tunnel as a WARP connector's", http.MethodGet, "/warp_connector/" + id + "/connections"},
		{"connector of a cloudflared tunnel as a WARP connector's", http.MethodGet, "/warp_connector/" + other + "/connectors/" + ofOther},
	} {
		f.send(c.method, f.accountPath(c.path), "").assertNotFound(c.name)
	}
	assert.Equal(t, []string{ofOther}, f.connectorIDs(other))
}

func TestCleanup_OneOrAll(t *testing.T) {
	t.Parallel()
	for _, method := range []struct {
		name    string
		cleanUp func(f *fake, id, connector string)
	}{
		{"plain", func(f *fake, id, connector string) {
			query := ""
			if connector != "" {
				query = "?client_id=" + connector
			}
			path := f.accountPath("/cfd_tunnel/" + id + "/connections")
			r := f.send(http.MethodDelete, path+query, "")
			assert.Equal(f.t, "null", string(r.result()))
		}},
		{"client", func(f *fake, id, connector string) {
			require.NoError(f.t,
				f.client().Connectors.Cleanup(f.t.Context(), id,
					cftunnel.CleanupParams{ConnectorID: connector}))
		}},
	} {
		t.Run(method.name, func(t *testing.T) {
			t.Parallel()
			c := newClock(noon)
			f := start(t, tunneltest.WithClock(c.Now))
			id, token := f.create("web")
			other, otherToken := f.create("other")
			first, second, third := f.connect(token), f.connect(token), f.connect(token)
			ofOther := f.connect(otherToken)

			method.cleanUp(f, id, second)
			assert.Equal(t, []string{first, third}, f.connectorIDs(id))
			for _, unknown := range []string{second, unknownID, ofOther} {
				method.cleanUp(f, id, unknown)
				assert.Equal(t, []string{first, third}, f.connectorIDs(id), "an unknown connector is not an error")
			}
			assert.Equal(t, cftunnel.TunnelStatusHealthy, f.get(id).Status)

			down := c.advance(time.Hour)
			assert.Equal(t, []string{first, third, second}, f.connectorIDs(id), "it reconnected")
			method.cleanUp(f, id, "")
			assert.Empty(t, f.connectorIDs(id))
			assert.Equal(t, cftunnel.TunnelStatusDown, f.get(id).Status)
			assert.Equal(t, down, f.get(id).ConnsInactiveAt)
			for _, connector := range []string{first, second, third} {
				f.Disconnect(connector)
			}
			c.advance(time.Hour)
			method.cleanUp(f, id, "")
			assert.Equal(t, down, f.get(id).ConnsInactiveAt, "nothing was left to clean up")
			assert.Equal(t, []string{ofOther}, f.connectorIDs(other), "the other tunnel keeps its connector")
		})
	}
}

func TestCleanup_ThenDelete(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithClock(newClock(noon).Now))
	id, token := f.create("web")
	f.connect(token)
	_, err := f.client().Tunnels.Delete(t.Context(), id, cftunnel.TunnelDeleteParams{})
	require.ErrorIs(t, err, cftunnel.ErrActiveConnections)
	require.NoError(t, f.client().Connectors.Cleanup(t.Context(), id, cftunnel.CleanupParams{}))
	f.delete(id)
	assert.True(t, f.get(id).IsDeleted())
}

func TestTunnelsDelete_CascadeRemovesConnectors(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, token := f.create("web")
	connector := f.connect(token)
	_, err := f.client().Tunnels.Delete(t.Context(), id, cftunnel.TunnelDeleteParams{Cascade: true})
	require.NoError(t, err)
	f.fetch(f.accountPath("/cfd_tunnel/" + id + "/connectors/" + connector)).
		assertNotFound("a connector of a deleted tunnel")
}

// After a cleanup, the old token can connect until the secret is rotated.
func TestCleanup_RotatedToken(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithClock(newClock(noon).Now))
	id, oldToken := f.create("web")
	f.connect(oldToken)
	require.NoError(t, f.client().Connectors.Cleanup(t.Context(), id, cftunnel.CleanupParams{}))
	connector := f.connect(oldToken)
	rotated, err := f.client().Tunnels.Update(t.Context(), id,
		cftunnel.TunnelUpdateParams{Secret: cftunnel.NewSecret(secretOf(32, 1))})
	require.NoError(t, err)
	assert.Equal(t, []string{connector}, f.connectorIDs(id), "existing connections stay up")
	require.NoError(t, f.client().Connectors.Cleanup(t.Context(), id, cftunnel.CleanupParams{}))
	_, err = f.Connect(oldToken)
	require.Error(t, err)
	assert.Empty(t, f.connectorIDs(id))
	connector = f.connect(rotated.Token)
	assert.Equal(t, []string{connector}, f.connectorIDs(id))
}

func TestSetConnections_TunnelStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		set, want int
		status    cftunnel.TunnelStatus
	}{
		{-1, 0, cftunnel.TunnelStatusDown},
		{0, 0, cftunnel.TunnelStatusDown},
		{1, 1, cftunnel.TunnelStatusDegraded},
		{2, 2, cftunnel.TunnelStatusDegraded},
		{3, 3, cftunnel.TunnelStatusDegraded},
		{4, 4, cftunnel.TunnelStatusHealthy},
		{6, 6, cftunnel.TunnelStatusHealthy},
	} {
		f := start(t)
		id, token := f.create("web")
		other, otherToken := f.create("other")
		connector := f.connect(token)
		f.connect(otherToken)
		f.SetConnections(connector, c.set)
		assert.Equal(t, c.status, f.get(id).Status, "%d connections", c.set)
		one, err := f.client().Connectors.Get(t.Context(), id, connector)
		require.NoError(t, err)
		assert.Len(t, one.Connections, c.want)
		assert.Equal(t, cftunnel.TunnelStatusHealthy, f.get(other).Status)

		f.SetConnections(connector, 4)
		assert.Equal(t, cftunnel.TunnelStatusHealthy, f.get(id).Status, "four again after %d",
			c.set)
	}
}

// The list of connections is empty, not null.
func TestSetConnections_Zero(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, token := f.create("web")
	connector := f.connect(token)
	f.SetConnections(connector, 0)
	fields := f.fetch(f.accountPath("/cfd_tunnel/" + id + "/connectors/" + connector)).fields()
	assert.Equal(t, "[]", string(fields["conns"]))
	f.delete(id) // no connection prevents the deletion
	assert.True(t, f.get(id).IsDeleted())
}

func TestSetConnections_DegradedTunnel(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	id, token := f.create("web")
	f.create("idle")
	connector := f.connect(token)
	c.advance(time.Hour)
	f.SetConnections(connector, 1)
	tunnel := f.get(id)
	assert.Equal(t, noon, tunnel.ConnsActiveAt, "it is still active")
	assert.True(t, tunnel.ConnsInactiveAt.IsZero())
	assert.Equal(t, []string{"web"}, f.names("/cfd_tunnel?status=degraded"))
	assert.Empty(t, f.names("/cfd_tunnel?status=healthy"))
	f.send(http.MethodDelete, f.accountPath("/cfd_tunnel/"+id), "").
		assertError(http.StatusBadRequest, 1022)
}

func TestSetConnections_Times(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	id, token := f.create("web")
	connector := f.connect(token)
	f.SetConnections(connector, 2)
	lost := c.advance(time.Hour)
	f.SetConnections(connector, 0)
	tunnel := f.get(id)
	assert.True(t, tunnel.ConnsActiveAt.IsZero())
	assert.Equal(t, lost, tunnel.ConnsInactiveAt)

	back := c.advance(time.Hour)
	f.SetConnections(connector, 1)
	later := c.advance(time.Hour)
	f.SetConnections(connector, 2)
	tunnel = f.get(id)
	assert.Equal(t, back, tunnel.ConnsActiveAt)
	assert.True(t, tunnel.ConnsInactiveAt.IsZero())
	one, err := f.client().Connectors.Get(t.Context(), id, connector)
	require.NoError(t, err)
	assert.Equal(t, noon, one.RunAt, "the connector did not restart")
	require.Len(t, one.Connections, 2)
	assert.Equal(t, []time.Time{back, later}, []time.Time{one.Connections[0].OpenedAt, one.Connections[1].OpenedAt})
}

func TestSetConnections_UnknownConnector(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, token := f.create("web")
	f.connect(token)
	f.SetConnections(unknownID, 0)
	f.SetConnections("", 0)
	assert.Equal(t, cftunnel.TunnelStatusHealthy, f.get(id).Status)
}

func TestConnectors_ConfigVersion(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, token := f.create("web")
	connector := f.connect(token)
	for version := range 3 {
		one, err := f.client().Connectors.Get(t.Context(), id, connector)
		require.NoError(t, err)
		assert.Equal(t, version, one.ConfigVersion)
		f.send(http.MethodPut, f.accountPath("/cfd_tunnel/"+id+"/configurations"), catchAll).
			result()
	}
}

func TestCleanup_Reconnect(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rotate, stop bool
		reconnects   bool
	}{
		"with a valid token":   {reconnects: true},
		"with a rotated token": {rotate: true},
		"stopped":              {stop: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock(noon)
			f := start(t, tunneltest.WithClock(c.Now))
			id, token := f.create("web")
			connector := f.connect(token)
			if test.rotate {
				_, err := f.client().Tunnels.RotateSecret(t.Context(), id, cftunnel.RotateParams{})
				require.NoError(t, err)
				assert.Equal(t, []string{connector}, f.connectorIDs(id), "the rotation does not disconnect it")
				_, err = f.Connect(token)
				require.ErrorContains(t, err, "rotated")
			}
			require.NoError(t,
				f.client().Connectors.Cleanup(t.Context(), id, cftunnel.CleanupParams{}))
			assert.Empty(t, f.connectorIDs(id))
			if test.stop {
				f.Disconnect(connector)
			}
			c.advance(time.Minute)
			if test.reconnects {
				assert.Equal(t, []string{connector}, f.connectorIDs(id))
				assert.Equal(t, cftunnel.TunnelStatusHealthy, f.get(id).Status)
			} else {
				assert.Empty(t, f.connectorIDs(id))
			}
		})
	}
}
