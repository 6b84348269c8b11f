package cftunnel_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

func TestWARPConnectors_LifeCycle(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	ctx := t.Context()
	params := cftunnel.WARPConnectorCreateParams{Name: "office", HA: true}
	warp, err := client.WARPConnectors.Create(ctx, params)
	require.NoError(t, err)
	assert.Equal(t, cftunnel.TunnelTypeWARPConnector, warp.Type)
	assert.Empty(t, warp.ConfigSource)
	assert.JSONEq(t, `{"name":"office","ha":true}`, srv.Requests()[0].Body.Reveal())

	token, err := client.WARPConnectors.Token(ctx, warp.ID)
	require.NoError(t, err)
	assert.Equal(t, warp.Token, token)
	first, err := srv.Connect(token)
	require.NoError(t, err)
	second, err := srv.Connect(token)
	require.NoError(t, err)

	connectors, err := client.WARPConnectors.Connectors(ctx, warp.ID)
	require.NoError(t, err)
	require.Len(t, connectors, 2)
	assert.Equal(t, cftunnel.HAStatusActive, connectors[0].HAStatus)
	assert.Equal(t, cftunnel.HAStatusPassive, connectors[1].HAStatus)
	assert.NotEmpty(t, connectors[0].Connections)

	require.NoError(t, client.WARPConnectors.Failover(ctx, warp.ID, second))
	connector, err := client.WARPConnectors.Connector(ctx, warp.ID, second)
	require.NoError(t, err)
	assert.Equal(t, cftunnel.HAStatusActive, connector.HAStatus)
	srv.Disconnect(second)
	connector, err = client.WARPConnectors.Connector(ctx, warp.ID, first)
	require.NoError(t, err)
	assert.Equal(t, cftunnel.HAStatusActive, connector.HAStatus)
	_, err = client.WARPConnectors.Connector(ctx, warp.ID, second)
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	err = client.WARPConnectors.Failover(ctx, warp.ID, second)
	require.ErrorIs(t, err, cftunnel.ErrBadRequest)

	updated, err := client.WARPConnectors.Update(ctx, warp.ID,
		cftunnel.TunnelUpdateParams{Name: "branch", Secret: validSecret})
	require.NoError(t, err)
	assert.Equal(t, "branch", updated.Name)
	assert.NotEqual(t, token, updated.Token)

	_, err = client.WARPConnectors.Delete(ctx, warp.ID, cftunnel.TunnelDeleteParams{})
	require.ErrorIs(t, err, cftunnel.ErrActiveConnections)
	srv.Disconnect(first)
	deleted, err := client.WARPConnectors.Delete(ctx, warp.ID, cftunnel.TunnelDeleteParams{})
	require.NoError(t, err)
	assert.True(t, deleted.IsDeleted())
	got, err := client.WARPConnectors.Get(ctx, warp.ID)
	require.NoError(t, err)
	assert.True(t, got.IsDeleted())
}

func TestWARPConnectors_SeparateFromTunnels(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	ctx := t.Context()
	tunnel := srv.SeedTunnels(1)[0]
	warp, err := client.WARPConnectors.Create(ctx,
		cftunnel.WARPConnectorCreateParams{Name: "office"})
	require.NoError(t, err)
	assert.JSONEq(t, `{"name":"office"}`, srv.Requests()[0].Body.Reveal())

	_, err = client.Tunnels.Get(ctx, warp.ID)
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	_, err = client.WARPConnectors.Get(ctx, tunnel.ID)
	require.ErrorIs(t, err, cftunnel.ErrNotFound)

	ids := func(types ...cftunnel.TunnelType) (ids []string) {
		params := cftunnel.AllTypesListParams{Types: types}
		for tunnel, err := range client.Tunnels.AllTypes(ctx, params) {
			require.NoError(t, err)
			ids = append(ids, tunnel.ID)
		}
		return ids
	}
	both := []string{tunnel.ID, warp.ID}
	assert.Equal(t, both, ids())
	assert.Equal(t, both, ids(cftunnel.TunnelTypeCloudflared, cftunnel.TunnelTypeWARPConnector))
	assert.Equal(t, []string{warp.ID}, ids(cftunnel.TunnelTypeWARPConnector))
	assert.Empty(t, ids(cftunnel.TunnelTypeMagic))

	page, err := client.WARPConnectors.List(ctx, cftunnel.TunnelListParams{})
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	for got, err := range client.WARPConnectors.All(ctx, cftunnel.TunnelListParams{}) {
		require.NoError(t, err)
		assert.Equal(t, warp.ID, got.ID)
	}
	assert.Equal(t, "is_deleted=false&page=1&per_page=1000", last(srv).Query.Encode())
}

func TestWARPConnectors_Configuration(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	ctx := t.Context()
	params := cftunnel.WARPConnectorCreateParams{Name: "office", HA: true}
	warp, err := client.WARPConnectors.Create(ctx, params)
	require.NoError(t, err)
	initial, err := client.WARPConnectors.Configuration(ctx, warp.ID)
	require.NoError(t, err)
	assert.Equal(t, warp.ID, initial.TunnelID)
	assert.Equal(t, cftunnel.HAModeNone, initial.HAMode)
	assert.True(t, initial.UpdatedAt.IsZero())
	assert.False(t, initial.CreatedAt.IsZero())

	lastBody := func() string { return last(srv).Body.Reveal() }
	aws, err := client.WARPConnectors.UpdateConfiguration(ctx, warp.ID,
		cftunnel.WARPConfigurationParams{HAMode: cftunnel.HAModeAWS, FNRID: "eni-1"})
	require.NoError(t, err)
	assert.JSONEq(t, `{"ha_mode":"aws","config":{"fnr_id":"eni-1"}}`, lastBody())
	assert.Equal(t, "eni-1", aws.FNRID)
	assert.Empty(t, aws.VIPs)
	assert.Equal(t, initial.Version+1, aws.Version)
	assert.False(t, aws.UpdatedAt.IsZero())

	localParams := cftunnel.WARPConfigurationParams{
		HAMode: cftunnel.HAModeLocal,
		VIPs:   []string{"10.0.0.1", "10.0.0.2"}, VIPsPrevious: []string{"10.0.0.9"},
	}
	local, err := client.WARPConnectors.UpdateConfiguration(ctx, warp.ID, localParams)
	require.NoError(t, err)
	assert.JSONEq(t, `{"ha_mode":"local","config":{
		"vips":[{"address":"10.0.0.1"},{"address":"10.0.0.2"}],
		"vips_previous":[{"address":"10.0.0.9"}]}}`, lastBody())
	assert.Equal(t, []string{"10.0.0.1", "10.0.0.2"}, local.VIPs)
	assert.Equal(t, []string{"10.0.0.9"}, local.VIPsPrevious)
	assert.Empty(t, local.FNRID)

	none, err := client.WARPConnectors.UpdateConfiguration(ctx, warp.ID,
		cftunnel.WARPConfigurationParams{HAMode: cftunnel.HAModeNone})
	require.NoError(t, err)
	assert.JSONEq(t, `{"ha_mode":"none","config":null}`, lastBody())
	assert.Empty(t, none.VIPs)
	read, err := client.WARPConnectors.Configuration(ctx, warp.ID)
	require.NoError(t, err)
	assert.Equal(t, none, read)

	requests := len(srv.Requests())
	for argument, params := range map[string]cftunnel.WARPConfigurationParams{
		"HAMode": {VIPs: []string{"10.0.0.1"}},
		"FNRID":  {HAMode: cftunnel.HAModeAWS, FNRID: "eni-1", VIPs: []string{"10.0.0.1"}},
	} {
		_, err := client.WARPConnectors.UpdateConfiguration(ctx, warp.ID, params)
		refused, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, argument, refused.Name)
	}
	_, err = client.WARPConnectors.Create(ctx, cftunnel.WARPConnectorCreateParams{})
	_, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
	assert.True(t, ok, "%v", err)
	assert.Len(t, srv.Requests(), requests)
}
