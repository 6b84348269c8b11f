package tunneltest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func TestSeed(t *testing.T) {
	t.Parallel()
	const other = "ffffffffffffffffffffffffffffffff"
	year := noon.AddDate(-1, 0, 0)
	month := noon.AddDate(0, -1, 0)
	for name, test := range map[string]struct {
		seed tunneltest.TunnelSeed
		want cftunnel.Tunnel // without the ID, account and metadata
	}{
		"nothing": {
			tunneltest.TunnelSeed{},
			cftunnel.Tunnel{
				Name: "seed-00001", Status: "inactive", ConfigSource: "cloudflare",
				CreatedAt: noon, ConnsInactiveAt: noon,
			},
		},
		"names": {
			tunneltest.TunnelSeed{Name: "web", ConfigSource: cftunnel.ConfigSourceLocal},
			cftunnel.Tunnel{
				Name: "web", Status: "inactive", ConfigSource: "local",
				CreatedAt: noon, ConnsInactiveAt: noon,
			},
		},
		"another account": {
			tunneltest.TunnelSeed{AccountID: other},
			cftunnel.Tunnel{
				Name: "seed-00001", Status: "inactive", ConfigSource: "cloudflare",
				CreatedAt: noon, ConnsInactiveAt: noon,
			},
		},
		"old": {
			tunneltest.TunnelSeed{CreatedAt: year},
			cftunnel.Tunnel{
				Name: "seed-00001", Status: "inactive", ConfigSource: "cloudflare",
				CreatedAt: year, ConnsInactiveAt: year,
			},
		},
		"inactive since": {
			tunneltest.TunnelSeed{Status: "inactive", CreatedAt: year, ConnsInactiveAt: month},
			cftunnel.Tunnel{
				Name: "seed-00001", Status: "inactive", ConfigSource: "cloudflare",
				CreatedAt: year, ConnsInactiveAt: month,
			},
		},
		"down since": {
			tunneltest.TunnelSeed{ConnsInactiveAt: month},
			cftunnel.Tunnel{
				Name: "seed-00001", Status: "down", ConfigSource: "cloudflare",
				CreatedAt: month, ConnsInactiveAt: month,
			},
		},
		"down": {
			tunneltest.TunnelSeed{Status: "down", CreatedAt: year},
			cftunnel.Tunnel{
				Name: "seed-00001", Status: "down", ConfigSource: "cloudflare",
				CreatedAt: year, ConnsInactiveAt: noon,
			},
		},
		"healthy": {
			tunneltest.TunnelSeed{Status: "healthy", CreatedAt: year},
			cftunnel.Tunnel{
				Name: "seed-00001", Status: "healthy", ConfigSource: "cloudflare",
				CreatedAt: year, ConnsActiveAt: year,
			},
		},
		"healthy again": {
			tunneltest.TunnelSeed{Status: "healthy", CreatedAt: year, ConnsInactiveAt: month},
			cftunnel.Tunnel{
				Name: "seed-00001", Status: "healthy", ConfigSource: "cloudflare",
				CreatedAt: year, ConnsActiveAt: noon,
			},
		},
		"degraded": {
			tunneltest.TunnelSeed{Status: "degraded"},
			cftunnel.Tunnel{
				Name: "seed-00001", Status: "degraded", ConfigSource: "cloudflare",
				CreatedAt: noon, ConnsActiveAt: noon,
			},
		},
		"WARP connector": {
			tunneltest.TunnelSeed{Type: "warp_connector", Status: "healthy"},
			cftunnel.Tunnel{
				Name: "seed-00001", Type: "warp_connector", Status: "healthy",
				CreatedAt: noon, ConnsActiveAt: noon,
			},
		},
		"another type": {
			tunneltest.TunnelSeed{Type: "gre", Name: "gre"},
			cftunnel.Tunnel{
				Name: "gre", Type: "gre", Status: "inactive",
				CreatedAt: noon, ConnsInactiveAt: noon,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, tunneltest.WithClock(newClock(noon).Now))
			seeded := f.Seed(test.seed)
			assert.Empty(t, f.Requests())
			account := f.AccountID()
			if test.seed.AccountID != "" {
				account = test.seed.AccountID
			}
			test.want.ID, test.want.AccountTag = seeded.ID, account
			test.want.Metadata = seeded.Metadata
			if test.want.Type == "" {
				test.want.Type = cftunnel.TunnelTypeCloudflared
			}
			assert.Equal(t, test.want, seeded)

			client, err := f.client().ForAccount(account)
			require.NoError(t, err)
			tunnels := client.Tunnels.AllTypes(t.Context(), cftunnel.AllTypesListParams{})
			for read, err := range tunnels {
				require.NoError(t, err)
				assert.Equal(t, &seeded, read, "as the API returns it")
			}
		})
	}
}

func TestSeed_Connectors(t *testing.T) {
	t.Parallel()
	f := start(t)
	for status, connections := range map[cftunnel.TunnelStatus]int{
		cftunnel.TunnelStatusHealthy: 4, cftunnel.TunnelStatusDegraded: 2, cftunnel.TunnelStatusDown: 0,
	} {
		seeded := f.Seed(tunneltest.TunnelSeed{Status: status})
		connectors, err := f.client().Connectors.List(t.Context(), seeded.ID)
		require.NoError(t, err)
		if connections == 0 {
			assert.Empty(t, connectors)
			continue
		}
		require.Len(t, connectors, 1)
		assert.Len(t, connectors[0].Connections, connections)
		f.Disconnect(connectors[0].ID)
		assert.Equal(t, cftunnel.TunnelStatusDown, f.get(seeded.ID).Status)
		token, err := f.client().Tunnels.Token(t.Context(), seeded.ID)
		require.NoError(t, err)
		f.connect(token)
		assert.Equal(t, cftunnel.TunnelStatusHealthy, f.get(seeded.ID).Status)
	}
}

func TestSeed_PastActivity(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithClock(newClock(noon).Now))
	f.Seed(tunneltest.TunnelSeed{Name: "web", CreatedAt: noon.Add(-3 * time.Hour),
		ConnsInactiveAt: noon.Add(-time.Hour)})
	during := noon.Add(-2 * time.Hour).Format(time.RFC3339)
	assert.Equal(t, []string{"web"}, f.names("/cfd_tunnel?was_active_at="+during))
	assert.Empty(t, f.names("/cfd_tunnel?was_inactive_at="+during))
	assert.Empty(t, f.names("/cfd_tunnel?existed_at="+noon.Add(-4*time.Hour).Format(time.RFC3339)))
}

func TestSeed_Invalid(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.Seed(tunneltest.TunnelSeed{Name: "web"})
	for _, seed := range []tunneltest.TunnelSeed{
		{Name: "web"}, {AccountID: "x"}, {Status: "busy"},
	} {
		assert.Panics(t, func() { f.Seed(seed) })
	}
	// The name is not taken in another account.
	f.Seed(tunneltest.TunnelSeed{Name: "web", AccountID: strings.Repeat("f", 32)})
	assert.True(t, strings.HasPrefix(f.Seed(tunneltest.TunnelSeed{}).Name, "seed-"),
		"the server still works")
}
