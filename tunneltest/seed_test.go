package tunneltest_test

import (
	"cmp"
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
	type seed = tunneltest.TunnelSeed
	type tunnel = cftunnel.Tunnel
	for name, test := range map[string]struct {
		seed seed
		want tunnel // without the ID, account and metadata, and with the defaults below
	}{
		"nothing":         {seed{}, tunnel{ConnsInactiveAt: noon}},
		"another account": {seed{AccountID: other}, tunnel{ConnsInactiveAt: noon}},
		"names": {
			seed{Name: "web", ConfigSource: "local"},
			tunnel{Name: "web", ConfigSource: "local", ConnsInactiveAt: noon},
		},
		"old": {seed{CreatedAt: year}, tunnel{CreatedAt: year, ConnsInactiveAt: year}},
		"inactive since": {
			seed{Status: "inactive", CreatedAt: year, ConnsInactiveAt: month},
			tunnel{CreatedAt: year, ConnsInactiveAt: month},
		},
		"down since": {
			seed{ConnsInactiveAt: month},
			tunnel{Status: "down", CreatedAt: month, ConnsInactiveAt: month},
		},
		"down": {
			seed{Status: "down", CreatedAt: year},
			tunnel{Status: "down", CreatedAt: year, ConnsInactiveAt: noon},
		},
		"healthy": {
			seed{Status: "healthy", CreatedAt: year},
			tunnel{Status: "healthy", CreatedAt: year, ConnsActiveAt: year},
		},
		"healthy again": {
			seed{Status: "healthy", CreatedAt: year, ConnsInactiveAt: month},
			tunnel{Status: "healthy", CreatedAt: year, ConnsActiveAt: noon},
		},
		"degraded": {seed{Status: "degraded"}, tunnel{Status: "degraded", ConnsActiveAt: noon}},
		"WARP connector": {
			seed{Type: "warp_connector", Status: "healthy"},
			tunnel{Type: "warp_connector", Status: "healthy", ConnsActiveAt: noon},
		},
		"another type": {
			seed{Type: "gre", Name: "gre"},
			tunnel{Type: "gre", Name: "gre", ConnsInactiveAt: noon},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, tunneltest.WithClock(newClock(noon).Now))
			seeded := f.Seed(test.seed)
			assert.Empty(t, f.Requests())
			account := cmp.Or(test.seed.AccountID, f.AccountID())
			want := test.want
			want.ID, want.AccountTag, want.Metadata = seeded.ID, account, seeded.Metadata
			want.Name = cmp.Or(want.Name, "seed-00001")
			want.Status = cmp.Or(want.Status, cftunnel.TunnelStatusInactive)
			want.CreatedAt = cmp.Or(want.CreatedAt, noon)
			if want.Type == "" {
				want.Type = cftunnel.TunnelTypeCloudflared
				want.ConfigSource = cmp.Or(want.ConfigSource, cftunnel.ConfigSourceCloudflare)
			}
			assert.Equal(t, want, seeded)

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
