package cftunnel_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const (
	opConnections = "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections"
	opCleanup     = "DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections"
)

func TestConnectors_LifeCycle(t *testing.T) {
	t.Parallel()
	// The clock stands still, so that removed connectors do not reconnect.
	now := time.Now()
	srv := tunneltest.NewServer(tunneltest.WithClock(func() time.Time { return now }))
	t.Cleanup(srv.Close)
	client, err := srv.NewClient()
	require.NoError(t, err)
	ctx := t.Context()
	tunnel, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{
		Name: "n", ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	require.NoError(t, err)
	status := func() cftunnel.TunnelStatus {
		got, err := client.Tunnels.Get(ctx, tunnel.ID)
		require.NoError(t, err)
		return got.Status
	}

	connectors, err := client.Connectors.List(ctx, tunnel.ID)
	require.NoError(t, err)
	assert.Empty(t, connectors)
	assert.Equal(t, cftunnel.TunnelStatusInactive, status())

	first, err := srv.Connect(tunnel.Token)
	require.NoError(t, err)
	second, err := srv.Connect(tunnel.Token)
	require.NoError(t, err)
	connectors, err = client.Connectors.List(ctx, tunnel.ID)
	require.NoError(t, err)
	require.Len(t, connectors, 2)
	assert.Equal(t, first, connectors[0].ID)
	assert.Len(t, connectors[0].Connections, 4)
	assert.Equal(t, first, connectors[0].Connections[0].ConnectorID)
	assert.NotEmpty(t, connectors[0].Version)
	assert.NotEmpty(t, connectors[0].Arch)
	assert.NotEmpty(t, connectors[0].Features)
	assert.False(t, connectors[0].RunAt.IsZero())
	assert.Empty(t, connectors[0].HAStatus)

	one, err := client.Connectors.Get(ctx, tunnel.ID, second)
	require.NoError(t, err)
	assert.Equal(t, connectors[1], *one)

	onlyFirst := cftunnel.CleanupParams{ConnectorID: first}
	require.NoError(t, client.Connectors.Cleanup(ctx, tunnel.ID, onlyFirst))
	_, err = client.Connectors.Get(ctx, tunnel.ID, first)
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	assert.Equal(t, cftunnel.TunnelStatusHealthy, status())
	srv.SetConnections(second, 2)
	assert.Equal(t, cftunnel.TunnelStatusDegraded, status())

	require.NoError(t, client.Connectors.Cleanup(ctx, tunnel.ID, cftunnel.CleanupParams{}))
	assert.Equal(t, cftunnel.TunnelStatusDown, status())
	_, err = client.Tunnels.Delete(ctx, tunnel.ID, cftunnel.TunnelDeleteParams{})
	require.NoError(t, err)

	var queries []string
	for _, request := range srv.Requests() {
		if request.Operation == opCleanup {
			queries = append(queries, request.Query.Encode())
		}
	}
	assert.Equal(t, []string{"client_id=" + first, ""}, queries)
}

func TestConnectorsCleanup_Results(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"success":true,"errors":[],"messages":[],"result":null}`, `{"success":true,"errors":[],"messages":[],"result":{}}`,
		`{"success":true,"errors":[],"messages":[]}`, `{"success":true,"result":[]}`, `{"success":true,"result":"done"}`,
	} {
		client := clientOf(t, respond(200, body))
		err := client.Connectors.Cleanup(t.Context(), tunnelID, cftunnel.CleanupParams{})
		require.NoError(t, err, body)
	}
	for _, body := range []string{"", "{}", `{"success":false,"errors":[],"result":{}}`} {
		client := clientOf(t, respond(200, body))
		err := client.Connectors.Cleanup(t.Context(), tunnelID, cftunnel.CleanupParams{})
		require.Error(t, err, body)
	}
}

func TestConnectorsGet_OpaqueIDs(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"1bedc50d-42b3-473c-b108-ff3d10c0d925", "replica_7", "a.b", "7"} {
		var path string
		client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
			path = r.URL.Path
			respond(200, `{"success":true,"result":{"id":"`+id+`","conns":null}}`)(w, r)
		})
		connector, err := client.Connectors.Get(t.Context(), tunnelID, id)
		require.NoError(t, err)
		assert.Equal(t, id, connector.ID)
		assert.True(t, strings.HasSuffix(path, "/connectors/"+id), path)
	}
}

func TestConnectors_InvalidConnectorIDs(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	ctx := t.Context()
	for _, id := range []string{
		"", ".", "..", "-", "a/b", "a?b", "a b", "a%2fb", "é", "a\n", strings.Repeat("a", 129),
	} {
		calls := map[string]func() error{
			"connectorID": func() error { _, err := client.Connectors.Get(ctx, tunnelID, id); return err },
		}
		if id != "" { // an empty ConnectorID means all connectors
			calls["ConnectorID"] = func() error {
				return client.Connectors.Cleanup(ctx, tunnelID,
					cftunnel.CleanupParams{ConnectorID: id})
			}
		}
		for argument, call := range calls {
			err := call()
			invalid, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
			require.True(t, ok, "%q: %v", id, err)
			assert.Equal(t, argument, invalid.Name)
		}
		err := client.WARPConnectors.Failover(ctx, tunnelID, id)
		_, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
		assert.True(t, ok, "%q: %v", id, err)
	}
	assert.Empty(t, srv.Requests())
}
