package witness

import (
	"encoding/base64"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cloudflare/cloudflare-go/v7/accounts"
	"github.com/cloudflare/cloudflare-go/v7/user"
	"github.com/cloudflare/cloudflare-go/v7/zero_trust"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// remoteConfig has the field that this client uses only to set config_src if that is missing.
var remoteConfig = []string{"remote_config"}

// onlyCatchAll is a configuration with only the catch-all rule.
var onlyCatchAll = cftunnel.TunnelConfig{
	Ingress: []cftunnel.IngressRule{{Service: "http_status:404"}},
}

func TestV7_TunnelLifecycle(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		ctx, v7, ours := t.Context(), f.v7().Cloudflared, f.ours()
		secret := cftunnel.NewTunnelSecret()
		created, err := v7.New(ctx, account[zero_trust.TunnelCloudflaredNewParams](f,
			member{"Name", "web"}, member{"ConfigSrc", "cloudflare"},
			member{"TunnelSecret", secret.Reveal()}))
		require.NoError(t, err)
		id := created.ID
		own, err := ours.Tunnels.Get(ctx, id)
		require.NoError(t, err)
		// The response to a create has remote_config but not config_src.
		sameFields(t, created, own, remoteConfig, []string{"config_src"})
		assert.Equal(t, []string{
			"account_tag", "config_src", "conns_inactive_at", "created_at", "id", "name", "status",
			"tun_type",
		}, namesOf(t, own))

		get := account[zero_trust.TunnelCloudflaredGetParams](f)
		same := func() {
			t.Helper()
			official, err := v7.Get(ctx, id, get)
			require.NoError(t, err)
			own, err := ours.Tunnels.Get(ctx, id)
			require.NoError(t, err)
			sameFields(t, official, own, remoteConfig, nil)
		}
		same()

		token := f.tokenV7(id)
		credentials, err := cftunnel.ParseTunnelToken(token)
		require.NoError(t, err)
		assert.Equal(t, secret, credentials.Secret)
		replica := f.connect(token)
		same() // healthy
		f.Disconnect(replica)
		same() // down

		// Renaming and rotating do not change the times and the status.
		renamed, err := v7.Edit(ctx, id, account[zero_trust.TunnelCloudflaredEditParams](f,
			member{"Name", "web-2"}, member{"TunnelSecret", cftunnel.NewTunnelSecret().Reveal()}))
		require.NoError(t, err)
		own, err = ours.Tunnels.Get(ctx, id)
		require.NoError(t, err)
		sameFields(t, renamed, own, remoteConfig, nil)
		assert.Equal(t, "web-2", own.Name)
		_, err = f.Connect(token)
		require.Error(t, err, "the old token is not valid after the rotation")

		replica = f.connect(f.tokenV7(id))
		_, err = v7.Delete(ctx, id, account[zero_trust.TunnelCloudflaredDeleteParams](f))
		require.ErrorContains(t, err, "1022")
		f.Disconnect(replica)
		deleted, err := v7.Delete(ctx, id, account[zero_trust.TunnelCloudflaredDeleteParams](f))
		require.NoError(t, err)
		own, err = ours.Tunnels.Get(ctx, id)
		require.NoError(t, err)
		assert.True(t, own.IsDeleted())
		sameFields(t, deleted, own, remoteConfig, nil)
		same()
		_, err = v7.Get(ctx, unknownID, get)
		require.ErrorContains(t, err, "404 Not Found")
	})
}

// tokenV7 gets a tunnel's token with both clients.
func (f *fake) tokenV7(id string) cftunnel.Secret {
	f.t.Helper()
	official, err := f.v7().Cloudflared.Token.Get(f.t.Context(), id,
		account[zero_trust.TunnelCloudflaredTokenGetParams](f))
	require.NoError(f.t, err)
	own, err := f.ours().Tunnels.Token(f.t.Context(), id)
	require.NoError(f.t, err)
	assert.Equal(f.t, *official, own.Reveal())
	return own
}

func TestV7_Lists(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		ctx, v7, ours := t.Context(), f.v7(), f.ours()
		began := time.Now()
		at := func(hours float64) time.Time {
			return began.Add(time.Duration(hours * float64(time.Hour)))
		}
		for _, seeded := range f.SeedTunnels(5) {
			time.Sleep(time.Hour)
			token, err := ours.Tunnels.Token(ctx, seeded.ID)
			if assert.NoError(t, err) && seeded.Name > "seed-00002" {
				f.connect(token)
			}
		}
		gone := f.SeedTunnels(1)[0]
		_, err := ours.Tunnels.Delete(ctx, gone.ID, cftunnel.TunnelDeleteParams{})
		require.NoError(t, err)
		_, err = ours.WARPConnectors.Create(ctx, cftunnel.WARPConnectorCreateParams{Name: "net"})
		require.NoError(t, err)

		for name, test := range map[string]struct {
			official []member
			own      cftunnel.TunnelListParams
			n        int
		}{
			"all":          {nil, cftunnel.TunnelListParams{}, 5},
			"name":         {[]member{{"Name", "seed-00002"}}, cftunnel.TunnelListParams{Name: "seed-00002"}, 1},
			"uuid":         {[]member{{"UUID", gone.ID}, {"IsDeleted", true}}, cftunnel.TunnelListParams{UUID: gone.ID, IsDeleted: new(true)}, 1},
			"status":       {[]member{{"Status", "healthy"}}, cftunnel.TunnelListParams{Status: cftunnel.TunnelStatusHealthy}, 3},
			"prefix":       {[]member{{"IncludePrefix", "seed"}}, cftunnel.TunnelListParams{IncludePrefix: "seed"}, 5},
			"other prefix": {[]member{{"ExcludePrefix", "seed"}}, cftunnel.TunnelListParams{ExcludePrefix: "seed"}, 0},
			"existed":      {[]member{{"ExistedAt", at(-1).Format(time.RFC3339)}}, cftunnel.TunnelListParams{ExistedAt: at(-1)}, 0},
			"was active":   {[]member{{"WasActiveAt", at(3.5)}}, cftunnel.TunnelListParams{WasActiveAt: at(3.5)}, 1},
			"was inactive": {[]member{{"WasInactiveAt", at(3.5)}}, cftunnel.TunnelListParams{WasInactiveAt: at(3.5)}, 4},
			"page":         {[]member{{"Page", 2.0}, {"PerPage", 3.0}}, cftunnel.TunnelListParams{Page: 2, PerPage: 3}, 2},
		} {
			official, err := v7.Cloudflared.List(ctx,
				account[zero_trust.TunnelCloudflaredListParams](f, test.official...))
			require.NoError(t, err, name)
			page, err := ours.Tunnels.List(ctx, test.own)
			require.NoError(t, err, name)
			sameList(t, official.Result, page.Items, remoteConfig)
			assert.Len(t, page.Items, test.n, name)
			assert.EqualValues(t, official.ResultInfo.Page, page.Info.Page, name)
			assert.EqualValues(t, official.ResultInfo.PerPage, page.Info.PerPage, name)
		}

		var pages []zero_trust.TunnelListResponse
		auto := v7.ListAutoPaging(ctx, account[zero_trust.TunnelListParams](f,
			member{"IsDeleted", false}, member{"PerPage", 4.0}))
		for auto.Next() {
			pages = append(pages, auto.Current())
		}
		require.NoError(t, auto.Err())
		var own []cftunnel.Tunnel
		params := cftunnel.AllTypesListParams{PerPage: 4}
		for tunnel, err := range ours.Tunnels.AllTypes(ctx, params) {
			require.NoError(t, err)
			own = append(own, *tunnel)
		}
		require.Len(t, own, 6)
		sameList(t, pages[:5], own[:5], remoteConfig)
		sameList(t, pages[5:], own[5:], nil) // a WARP connector has no remote_config
	})
}

// sameList calls sameFields for each item of two lists.
func sameList[A, B any](t *testing.T, official []A, own []B, theirs []string) {
	t.Helper()
	require.Len(t, official, len(own))
	for i := range own {
		sameFields(t, official[i], own[i], theirs, nil)
	}
}

func TestV7_Connectors(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		ctx, v7, ours := t.Context(), f.v7().Cloudflared, f.ours()
		id := f.SeedTunnels(1)[0].ID
		first, second := f.connect(f.tokenV7(id)), f.connect(f.tokenV7(id))
		// cftunnel has no field for the connection's uuid, which is equal to its id.
		theirs := []string{"conns.uuid"}
		same := func(n int) {
			t.Helper()
			official, err := v7.Connections.Get(ctx, id,
				account[zero_trust.TunnelCloudflaredConnectionGetParams](f))
			require.NoError(t, err)
			own, err := ours.Connectors.List(ctx, id)
			require.NoError(t, err)
			require.Len(t, own, n)
			sameList(t, official.Result, own, theirs)
		}
		same(2)
		_, err := ours.Tunnels.UpdateConfiguration(ctx, id, onlyCatchAll)
		require.NoError(t, err)
		get := account[zero_trust.TunnelCloudflaredConnectorGetParams](f)
		official, err := v7.Connectors.Get(ctx, id, first, get)
		require.NoError(t, err)
		own, err := ours.Connectors.Get(ctx, id, first)
		require.NoError(t, err)
		sameFields(t, official, own, theirs, nil)
		assert.Equal(t, []string{
			"arch", "config_version", "conns", "features", "id", "run_at", "version",
		}, namesOf(t, own))
		assert.Len(t, own.Connections, 4)

		type cleanup = zero_trust.TunnelCloudflaredConnectionDeleteParams
		_, err = v7.Connections.Delete(ctx, id, account[cleanup](f, member{"ClientID", first}))
		require.NoError(t, err)
		same(1)
		_, err = v7.Connectors.Get(ctx, id, first, get)
		require.ErrorContains(t, err, "404 Not Found")
		_, err = v7.Connections.Delete(ctx, id, account[cleanup](f))
		require.NoError(t, err)
		same(0)
		time.Sleep(time.Minute)
		same(2) // both replicas were still running and have reconnected
		f.Disconnect(second)
		same(1)
	})
}

func TestV7_Configuration(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		ctx, v7, ours := t.Context(), f.v7().Cloudflared.Configurations, f.ours()
		id := f.SeedTunnels(1)[0].ID
		get := account[zero_trust.TunnelCloudflaredConfigurationGetParams](f)
		same := func(theirs, own []string) {
			t.Helper()
			official, err := v7.Get(ctx, id, get)
			require.NoError(t, err)
			current, err := ours.Tunnels.Configuration(ctx, id)
			require.NoError(t, err)
			// cftunnel has no field for account_id, which the caller knows.
			sameFields(t, official, configuration(*current), append(theirs, "account_id"), own)
		}
		same(nil, nil) // never set

		type (
			update = zero_trust.TunnelCloudflaredConfigurationUpdateParams
			config = zero_trust.TunnelCloudflaredConfigurationUpdateParamsConfig
			rule   = zero_trust.TunnelCloudflaredConfigurationUpdateParamsConfigIngress
			origin = zero_trust.TunnelCloudflaredConfigurationUpdateParamsConfigIngressOriginRequest
			access = zero_trust.TunnelCloudflaredConfigurationUpdateParamsConfigIngressOriginRequestAccess
			global = zero_trust.TunnelCloudflaredConfigurationUpdateParamsConfigOriginRequest
		)
		accessParams := with[access](member{"AUDTag", []string{"a", "b"}},
			member{"TeamName", "team"}, member{"Required", true})
		all := with[origin](
			member{"Access", accessParams}, member{"CAPool", "/ca.pem"},
			member{"ConnectTimeout", 1}, member{"DisableChunkedEncoding", true},
			member{"HTTP2Origin", true}, member{"HTTPHostHeader", "host"},
			member{"KeepAliveConnections", 2}, member{"KeepAliveTimeout", 3},
			member{"MatchSnItoHost", true}, member{"NoHappyEyeballs", true},
			member{"NoTLSVerify", true}, member{"OriginServerName", "name"},
			member{"ProxyType", "socks"}, member{"TCPKeepAlive", 4}, member{"TLSTimeout", 5})
		params := account[update](f, member{"Config", with[config](
			member{"Ingress", []rule{
				with[rule](member{"Hostname", "a.example.com"}, member{"Path", "/x"},
					member{"Service", "https://localhost"}, member{"OriginRequest", all}),
				with[rule](member{"Service", "http_status:404"}),
			}},
			member{"OriginRequest", with[global](member{"ConnectTimeout", 6})},
		)})
		official, err := v7.Update(ctx, id, params)
		require.NoError(t, err)
		own, err := ours.Tunnels.Configuration(ctx, id)
		require.NoError(t, err)
		sameFields(t, official, configuration(*own), []string{"account_id"}, nil)
		assert.Equal(t, 1, own.Version)
		rules := fieldsOf(t, own.Config)["ingress"].([]any)
		origin1 := rules[0].(map[string]any)["originRequest"]
		// v7 has no bastionMode, ipRules, proxyAddress and proxyPort. The last field of
		// OriginRequest has the unknown members.
		const notInV7 = 4
		fields := reflect.TypeFor[cftunnel.OriginRequest]().NumField() - 1
		assert.Len(t, origin1, fields-notInV7, "every field is set")

		_, err = ours.Tunnels.ModifyConfiguration(ctx, id, func(c *cftunnel.TunnelConfig) error {
			c.Ingress[0].Service = "ssh://localhost"
			c.WARPRouting = &cftunnel.WARPRouting{Enabled: true}
			return nil
		})
		require.NoError(t, err)
		// v7 has no field for warp-routing, so an update with v7 would remove it.
		same(nil, []string{"config.warp-routing"})
	})
}

func TestV7_ManagementToken(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		id := f.SeedTunnels(1)[0].ID
		type (
			params   = zero_trust.TunnelCloudflaredManagementNewParams
			resource = zero_trust.TunnelCloudflaredManagementNewParamsResource
		)
		logs := zero_trust.TunnelCloudflaredManagementNewParamsResourceLogs
		official, err := f.v7().Cloudflared.Management.New(t.Context(), id,
			account[params](f, member{"Resources", []resource{logs}}))
		require.NoError(t, err)
		own, err := f.ours().Tunnels.ManagementToken(t.Context(), id,
			cftunnel.ManagementResourceLogs)
		require.NoError(t, err)
		// Each call returns a different token with the same claims.
		assert.NotEqual(t, *official, own.Reveal())
		assert.Equal(t, claims(t, *official), claims(t, own.Reveal()))
		assert.Contains(t, claims(t, *official), id)
	})
}

// claims returns the claims of a JWT.
func claims(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	return string(text)
}

func TestV7_WARPConnectorLifecycle(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		ctx, v7, ours := t.Context(), f.v7().WARPConnector, f.ours().WARPConnectors
		created, err := v7.New(ctx, account[zero_trust.TunnelWARPConnectorNewParams](f,
			member{"Name", "net"}, member{"Ha", true}))
		require.NoError(t, err)
		id := created.ID
		own, err := ours.Get(ctx, id)
		require.NoError(t, err)
		sameFields(t, created, own, nil, nil)
		same := func() {
			t.Helper()
			official, err := v7.Get(ctx, id, account[zero_trust.TunnelWARPConnectorGetParams](f))
			require.NoError(t, err)
			own, err := ours.Get(ctx, id)
			require.NoError(t, err)
			sameFields(t, official, own, nil, nil)
		}
		token := func() cftunnel.Secret {
			t.Helper()
			official, err := v7.Token.Get(ctx, id,
				account[zero_trust.TunnelWARPConnectorTokenGetParams](f))
			require.NoError(t, err)
			own, err := ours.Token(ctx, id)
			require.NoError(t, err)
			assert.Equal(t, *official, own.Reveal())
			return own
		}
		edited, err := v7.Edit(ctx, id, account[zero_trust.TunnelWARPConnectorEditParams](f,
			member{"Name", "net-2"}, member{"TunnelSecret", cftunnel.NewTunnelSecret().Reveal()}))
		require.NoError(t, err)
		own, err = ours.Get(ctx, id)
		require.NoError(t, err)
		sameFields(t, edited, own, nil, nil)

		f.connect(token())
		standby := f.connect(token())
		same()
		connectors := func() []cftunnel.Connector {
			t.Helper()
			official, err := v7.Connections.Get(ctx, id,
				account[zero_trust.TunnelWARPConnectorConnectionGetParams](f))
			require.NoError(t, err)
			own, err := ours.Connectors(ctx, id)
			require.NoError(t, err)
			sameList(t, official.Result, own, nil)
			return own
		}
		require.Len(t, connectors(), 2)
		one, err := v7.Connectors.Get(ctx, id, standby,
			account[zero_trust.TunnelWARPConnectorConnectorGetParams](f))
		require.NoError(t, err)
		ownOne, err := ours.Connector(ctx, id, standby)
		require.NoError(t, err)
		sameFields(t, one, ownOne, nil, nil)
		assert.Equal(t, cftunnel.HAStatusPassive, ownOne.HAStatus)
		type failover = zero_trust.TunnelWARPConnectorFailoverUpdateParams
		_, err = v7.Failover.Update(ctx, id, account[failover](f, member{"ClientID", standby}))
		require.NoError(t, err)
		assert.Equal(t, cftunnel.HAStatusActive, connectors()[1].HAStatus)

		page, err := v7.List(ctx,
			account[zero_trust.TunnelWARPConnectorListParams](f, member{"IsDeleted", false}))
		require.NoError(t, err)
		ownPage, err := ours.List(ctx, cftunnel.TunnelListParams{})
		require.NoError(t, err)
		require.Len(t, ownPage.Items, 1)
		sameList(t, page.Result, ownPage.Items, nil)

		for _, c := range connectors() {
			f.Disconnect(c.ID)
		}
		deleted, err := v7.Delete(ctx, id, account[zero_trust.TunnelWARPConnectorDeleteParams](f))
		require.NoError(t, err)
		own, err = ours.Get(ctx, id)
		require.NoError(t, err)
		assert.True(t, own.IsDeleted())
		sameFields(t, deleted, own, nil, nil)
		same()
	})
}

func TestV7_HAConfiguration(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		ctx, v7, ours := t.Context(), f.v7().WARPConnector.Configurations, f.ours().WARPConnectors
		tunnel, err := ours.Create(ctx, cftunnel.WARPConnectorCreateParams{Name: "net", HA: true})
		require.NoError(t, err)
		same := func(official any, err error) *cftunnel.WARPConfiguration {
			t.Helper()
			require.NoError(t, err)
			own, err := ours.Configuration(ctx, tunnel.ID)
			require.NoError(t, err)
			sameFields(t, official, haConfiguration(own), nil, nil)
			return own
		}
		get := func() *cftunnel.WARPConfiguration {
			t.Helper()
			official, err := v7.Get(ctx, tunnel.ID,
				account[zero_trust.TunnelWARPConnectorConfigurationGetParams](f))
			return same(official, err)
		}
		assert.Equal(t, cftunnel.HAModeNone, get().HAMode)

		type (
			update = zero_trust.TunnelWARPConnectorConfigurationUpdateParams
			aws    = zero_trust.TunnelWARPConnectorConfigurationUpdateParamsConfigTunnelMeshAwsConfig
			local  = zero_trust.TunnelWARPConnectorConfigurationUpdateParamsConfigTunnelMeshLocalConfig
			vip    = zero_trust.TunnelWARPConnectorConfigurationUpdateParamsConfigTunnelMeshLocalConfigVip
		)
		official, err := v7.Update(ctx, tunnel.ID, account[update](f, member{"HaMode", "aws"},
			member{"Config", with[aws](member{"FnrID", "eni-0"})}))
		assert.Equal(t, "eni-0", same(official, err).FNRID)
		get()
		for _, addresses := range [][]string{{"10.0.0.1", "10.0.0.2"}, {"10.0.0.3"}} {
			var vips []vip
			for _, address := range addresses {
				vips = append(vips, with[vip](member{"Address", address}))
			}
			official, err = v7.Update(ctx, tunnel.ID, account[update](f, member{"HaMode", "local"},
				member{"Config", with[local](member{"Vips", vips})}))
			assert.Equal(t, addresses, same(official, err).VIPs)
		}
		assert.Equal(t, []string{"10.0.0.1", "10.0.0.2"}, get().VIPsPrevious)
	})
}

func TestV7_VerifyToken(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		ctx := t.Context()
		until := time.Now().Add(time.Hour)
		for _, owner := range []cftunnel.TokenOwner{cftunnel.TokenOwnerUser, cftunnel.TokenOwnerAccount} {
			f.AddToken(tunneltest.Token{
				Text: f.APIToken(), Owner: owner, NotBefore: time.Now(), ExpiresOn: until,
			})
			own, err := f.ours().Tokens.Verify(ctx)
			require.NoError(t, err)
			var official any
			if owner == cftunnel.TokenOwnerUser {
				official, err = user.NewTokenService(f.optionsV7()...).Verify(ctx)
			} else {
				service := accounts.NewTokenService(f.optionsV7()...)
				official, err = service.Verify(ctx, account[accounts.TokenVerifyParams](f))
			}
			require.NoError(t, err)
			sameFields(t, official, verification(*own), nil, nil)
			assert.Equal(t, []string{"expires_on", "id", "not_before", "status"}, namesOf(t, official))
		}
		assert.Len(t, f.during(func() {
			_, err := user.NewTokenService(f.optionsV7()...).Verify(ctx)
			require.ErrorContains(t, err, "401 Unauthorized", "the token belongs to the account")
		}), 1)
		assert.NotEqual(t, http.StatusOK, f.Requests()[len(f.Requests())-1].Status)
	})
}
