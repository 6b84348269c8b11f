package witness

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/cloudflare/cloudflare-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// notInV0 are the fields of a deleted tunnel or a WARP connector that v0 does not have. notInV0Live
// are those of other tunnels, which also have config_src.
var notInV0, notInV0Live = []string{"account_tag"}, []string{"account_tag", "config_src"}

func TestV0_TunnelLifecycle(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		ctx, ours := t.Context(), f.ours()
		v0, rc := f.v0()
		secret := cftunnel.NewTunnelSecret()
		created, err := v0.CreateTunnel(ctx, rc, cloudflare.TunnelCreateParams{
			Name: "web", Secret: secret.Reveal(), ConfigSrc: "cloudflare",
		})
		require.NoError(t, err)
		same := func(official cloudflare.Tunnel, err error) *cftunnel.Tunnel {
			t.Helper()
			require.NoError(t, err)
			own, err := ours.Tunnels.Get(ctx, official.ID)
			require.NoError(t, err)
			lacks := notInV0Live
			if own.IsDeleted() {
				lacks = notInV0
			}
			sameFields(t, official, own, remoteConfig, lacks)
			return own
		}
		get := func() *cftunnel.Tunnel {
			t.Helper()
			return same(v0.GetTunnel(ctx, rc, created.ID))
		}
		assert.Equal(t, "web", same(created, nil).Name)
		get()

		token, err := v0.GetTunnelToken(ctx, rc, created.ID)
		require.NoError(t, err)
		own, err := ours.Tunnels.Token(ctx, created.ID)
		require.NoError(t, err)
		assert.Equal(t, own.Reveal(), token)
		replica := f.connect(own)
		assert.Equal(t, cftunnel.TunnelStatusHealthy, get().Status)

		require.ErrorContains(t, v0.DeleteTunnel(ctx, rc, created.ID), "1022")
		f.Disconnect(replica)
		assert.Equal(t, cftunnel.TunnelStatusDown, get().Status)
		require.NoError(t, v0.DeleteTunnel(ctx, rc, created.ID))
		assert.True(t, get().IsDeleted())
		_, err = v0.GetTunnel(ctx, rc, unknownID)
		var missing *cloudflare.NotFoundError
		require.ErrorAs(t, err, &missing)
	})
}

func TestV0_Lists(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		ctx, ours := t.Context(), f.ours()
		v0, rc := f.v0()
		began := time.Now()
		f.SeedTunnels(3)
		gone := f.SeedTunnels(1)[0]
		_, err := ours.Tunnels.Delete(ctx, gone.ID, cftunnel.TunnelDeleteParams{})
		require.NoError(t, err)
		before := began.Add(-time.Hour)
		for name, test := range map[string]struct {
			official cloudflare.TunnelListParams
			own      cftunnel.TunnelListParams
			n        int
		}{
			"all":          {cloudflare.TunnelListParams{}, cftunnel.TunnelListParams{}, 3},
			"name":         {cloudflare.TunnelListParams{Name: "seed-00002"}, cftunnel.TunnelListParams{Name: "seed-00002"}, 1},
			"prefix":       {cloudflare.TunnelListParams{IncludePrefix: "seed"}, cftunnel.TunnelListParams{IncludePrefix: "seed"}, 3},
			"other prefix": {cloudflare.TunnelListParams{ExcludePrefix: "seed"}, cftunnel.TunnelListParams{ExcludePrefix: "seed"}, 0},
			"existed":      {cloudflare.TunnelListParams{ExistedAt: &before}, cftunnel.TunnelListParams{ExistedAt: before}, 0},
			"page": {cloudflare.TunnelListParams{ResultInfo: cloudflare.ResultInfo{Page: 2,
				PerPage: 2}},
				cftunnel.TunnelListParams{Page: 2, PerPage: 2}, 1},
		} {
			official, info, err := v0.ListTunnels(ctx, rc, test.official)
			require.NoError(t, err, name)
			own, err := ours.Tunnels.List(ctx, test.own)
			require.NoError(t, err, name)
			require.Len(t, own.Items, test.n, name)
			require.Len(t, official, test.n, name)
			for i := range official {
				sameFields(t, official[i], own.Items[i], remoteConfig, notInV0Live)
			}
			assert.Equal(t, info.Total, own.Info.TotalCount, name)
		}
		deleted, _, err := v0.ListTunnels(ctx, rc,
			cloudflare.TunnelListParams{UUID: gone.ID, IsDeleted: new(true)})
		require.NoError(t, err)
		own, err := ours.Tunnels.List(ctx,
			cftunnel.TunnelListParams{UUID: gone.ID, IsDeleted: new(true)})
		require.NoError(t, err)
		require.Len(t, deleted, 1)
		sameFields(t, deleted[0], own.Items[0], remoteConfig, notInV0)
	})
}

func TestV0_Connectors(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		ctx, ours := t.Context(), f.ours()
		v0, rc := f.v0()
		id := f.SeedTunnels(1)[0].ID
		_, err := ours.Tunnels.UpdateConfiguration(ctx, id, onlyCatchAll)
		require.NoError(t, err)
		token, err := ours.Tunnels.Token(ctx, id)
		require.NoError(t, err)
		f.connect(token)
		f.connect(token)
		same := func(n int) {
			t.Helper()
			official, err := v0.ListTunnelConnections(ctx, rc, id)
			require.NoError(t, err)
			own, err := ours.Connectors.List(ctx, id)
			require.NoError(t, err)
			require.Len(t, own, n)
			sameList(t, official, own, nil)
		}
		same(2)
		require.NoError(t, v0.CleanupTunnelConnections(ctx, rc, id))
		same(0)
		time.Sleep(time.Minute)
		same(2) // both replicas were still running and have reconnected
	})
}

func TestV0_Configuration(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		ctx, ours := t.Context(), f.ours()
		v0, rc := f.v0()
		id := f.SeedTunnels(1)[0].ID
		same := func(official cloudflare.TunnelConfigurationResult, err error, lacks ...string) {
			t.Helper()
			require.NoError(t, err)
			own, err := ours.Tunnels.Configuration(ctx, id)
			require.NoError(t, err)
			sameFields(t, official, configuration(*own), nil, append(lacks, "source"))
		}
		official, err := v0.GetTunnelConfiguration(ctx, rc, id)
		same(official, err) // never set

		seconds := func(n int) *cloudflare.TunnelDuration {
			return &cloudflare.TunnelDuration{Duration: time.Duration(n) * time.Second}
		}
		origin := cloudflare.OriginRequestConfig{
			ConnectTimeout: seconds(1), TLSTimeout: seconds(2), TCPKeepAlive: seconds(3),
			NoHappyEyeballs: new(true), KeepAliveConnections: new(4), KeepAliveTimeout: seconds(5),
			HTTPHostHeader: new("host"), OriginServerName: new("name"), CAPool: new("/ca.pem"),
			NoTLSVerify: new(true), DisableChunkedEncoding: new(true), ProxyType: new("socks"),
			Http2Origin: new(true),
			Access: &cloudflare.AccessConfig{
				Required: true, TeamName: "team", AudTag: []string{"a", "b"},
			},
		}
		config := cloudflare.TunnelConfiguration{
			Ingress: []cloudflare.UnvalidatedIngressRule{
				{
					Hostname: "a.example.com", Path: "/x", Service: "https://localhost",
					OriginRequest: &origin,
				},
				{Service: "http_status:404"},
			},
			WarpRouting:   &cloudflare.WarpRoutingConfig{Enabled: true},
			OriginRequest: cloudflare.OriginRequestConfig{ConnectTimeout: seconds(6)},
		}
		official, err = v0.UpdateTunnelConfiguration(ctx, rc,
			cloudflare.TunnelConfigurationParams{TunnelID: id, Config: config})
		same(official, err, "created_at")
		_, err = ours.Tunnels.ModifyConfiguration(ctx, id, func(c *cftunnel.TunnelConfig) error {
			c.Ingress[0].Service = "ssh://localhost"
			return nil
		})
		require.NoError(t, err)
		official, err = v0.GetTunnelConfiguration(ctx, rc, id)
		same(official, err, "created_at")
		assert.Equal(t, 2, official.Version)
	})
}

// v0 has no methods for WARP connectors. The test uses its method for any request, and its types
// for tunnels.
func TestV0_WARPConnectorLifecycle(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		ctx, ours := t.Context(), f.ours().WARPConnectors
		v0, _ := f.v0()
		path := "/accounts/" + f.AccountID() + "/warp_connector"
		raw := func(method, path string, body, result any) {
			t.Helper()
			response, err := v0.Raw(ctx, method, path, body, nil)
			require.NoError(t, err)
			assert.True(t, response.Success)
			require.NoError(t, json.Unmarshal(response.Result, result))
		}
		var tunnel cloudflare.Tunnel
		raw(http.MethodPost, path, map[string]any{"name": "net", "ha": true}, &tunnel)
		path += "/" + tunnel.ID
		same := func() {
			t.Helper()
			own, err := ours.Get(ctx, tunnel.ID)
			require.NoError(t, err)
			sameFields(t, tunnel, own, nil, notInV0)
		}
		same()
		raw(http.MethodPatch, path, cloudflare.TunnelUpdateParams{Name: "net-2"}, &tunnel)
		same()
		var token string
		raw(http.MethodGet, path+"/token", nil, &token)
		own, err := ours.Token(ctx, tunnel.ID)
		require.NoError(t, err)
		assert.Equal(t, own.Reveal(), token)
		replica, standby := f.connect(own), f.connect(own)

		var connectors []cloudflare.Connection
		raw(http.MethodGet, path+"/connections", nil, &connectors)
		all, err := ours.Connectors(ctx, tunnel.ID)
		require.NoError(t, err)
		require.Len(t, all, 2)
		require.Len(t, connectors, 2)
		for i := range all {
			sameFields(t, connectors[i], all[i], nil, []string{"ha_status"})
		}
		raw(http.MethodPut, path+"/failover", map[string]string{"client_id": standby}, &struct{}{})
		one, err := ours.Connector(ctx, tunnel.ID, standby)
		require.NoError(t, err)
		assert.Equal(t, cftunnel.HAStatusActive, one.HAStatus)
		var list []cloudflare.Tunnel
		raw(http.MethodGet, path[:len(path)-len(tunnel.ID)-1], nil, &list)
		require.Len(t, list, 1)
		tunnel = list[0]
		same()
		f.Disconnect(replica)
		f.Disconnect(standby)
		tunnel = cloudflare.Tunnel{}
		raw(http.MethodDelete, path, nil, &tunnel)
		same()
	})
}

func TestV0_VerifyToken(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		f.AddToken(tunneltest.Token{
			Text: f.APIToken(), NotBefore: time.Now(), ExpiresOn: time.Now().Add(time.Hour),
		})
		own, err := f.ours().Tokens.VerifyUser(t.Context())
		require.NoError(t, err)
		v0, _ := f.v0()
		official, err := v0.VerifyAPIToken(t.Context())
		require.NoError(t, err)
		sameFields(t, official, verification(*own), nil, nil)
		assert.Equal(t, []string{"expires_on", "id", "not_before", "status"}, namesOf(t, official))
	})
}
