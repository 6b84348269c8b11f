package tunneltest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// names returns the names of the items of a list, in their order.
func (f *fake) names(path string) []string {
	f.t.Helper()
	var tunnels []struct {
		Name string `json:"name"`
	}
	require.NoError(f.t, json.Unmarshal(f.fetch(f.accountPath(path)).result(), &tunnels))
	names := []string{}
	for _, tunnel := range tunnels {
		names = append(names, tunnel.Name)
	}
	return names
}

// startWithTunnels starts a server with tunnels in different states. These happen after noon:
//   - at 12:00, vpc1-idle, vpc1-up, vpc2-down and old are created
//   - at 13:00, vpc1-up and vpc2-down connect
//   - at 14:00, vpc2-down disconnects
//   - at 15:00, old is deleted
//   - at 16:00, late is created
func startWithTunnels(t *testing.T) (f *fake, ids map[string]string) {
	t.Helper()
	c := newClock(noon)
	f = start(t, tunneltest.WithClock(c.Now))
	ids = map[string]string{}
	tokens := map[string]cftunnel.Secret{}
	for _, name := range []string{"vpc1-idle", "vpc1-up", "vpc2-down", "old"} {
		ids[name], tokens[name] = f.create(name)
	}
	c.advance(time.Hour)
	f.connect(tokens["vpc1-up"])
	down := f.connect(tokens["vpc2-down"])
	c.advance(time.Hour)
	f.Disconnect(down)
	c.advance(time.Hour)
	f.delete(ids["old"])
	c.advance(time.Hour)
	ids["late"], _ = f.create("late")
	return f, ids
}

// hour returns a time for a query, in hours after noon.
func hour(hours float64) string {
	at := noon.Add(time.Duration(hours * float64(time.Hour)))
	return url.QueryEscape(at.Format(time.RFC3339Nano))
}

func TestTunnelsList_Filters(t *testing.T) {
	t.Parallel()
	f, ids := startWithTunnels(t)
	live := []string{"vpc1-idle", "vpc1-up", "vpc2-down", "late"}
	for _, c := range []struct {
		query string
		names []string
	}{
		{"", live},
		{"is_deleted=false", live},
		{"is_deleted=true", []string{"old"}},
		{"name=vpc1-up", []string{"vpc1-up"}},
		{"name=vpc1-", []string{}},
		{"name=VPC1-UP", []string{}},
		{"name=old", []string{}},
		{"name=old&is_deleted=true", []string{"old"}},
		{"uuid=" + ids["late"], []string{"late"}},
		{"uuid=" + ids["old"], []string{}},
		{"uuid=" + unknownID, []string{}},
		{"status=inactive", []string{"vpc1-idle", "late"}},
		{"status=healthy", []string{"vpc1-up"}},
		{"status=down", []string{"vpc2-down"}},
		{"status=degraded", []string{}},
		{"include_prefix=vpc1-", []string{"vpc1-idle", "vpc1-up"}},
		{"include_prefix=up", []string{}},
		{"name_prefix=vpc1-", []string{"vpc1-idle", "vpc1-up"}},
		{"exclude_prefix=vpc1-", []string{"vpc2-down", "late"}},
		{"include_prefix=vpc&exclude_prefix=vpc1-", []string{"vpc2-down"}},
		{"include_prefix=vpc&status=inactive", []string{"vpc1-idle"}},
		{"existed_at=" + hour(-1), []string{}},
		{"existed_at=" + hour(0), []string{"vpc1-idle", "vpc1-up", "vpc2-down"}},
		{"existed_at=" + hour(3.5), []string{"vpc1-idle", "vpc1-up", "vpc2-down"}},
		{"existed_at=" + hour(4), live},
		{"existed_at=" + hour(2.9) + "&is_deleted=true", []string{"old"}},
		{"existed_at=" + hour(3.1) + "&is_deleted=true", []string{}},
		{"was_active_at=" + hour(0.5), []string{}},
		{"was_active_at=" + hour(1), []string{"vpc1-up", "vpc2-down"}},
		{"was_active_at=" + hour(1.5), []string{"vpc1-up", "vpc2-down"}},
		{"was_active_at=" + hour(2.5), []string{"vpc1-up"}},
		{"was_inactive_at=" + hour(-0.5), []string{}},
		{"was_inactive_at=" + hour(0.5), []string{"vpc1-idle", "vpc1-up", "vpc2-down"}},
		{"was_inactive_at=" + hour(1.5), []string{"vpc1-idle"}},
		{"was_inactive_at=" + hour(2.5), []string{"vpc1-idle", "vpc2-down"}},
		{"was_inactive_at=" + hour(1.5) + "&is_deleted=true", []string{"old"}},
		// 13:30 UTC in another time zone.
		{"was_active_at=" + url.QueryEscape("2026-10-05T15:30:00+02:00"), []string{"vpc1-up", "vpc2-down"}},
		// Unknown parameters are ignored.
		{"colour=red", live},
		{"is_deleted=true&order=name", []string{"old"}},
	} {
		t.Run(c.query, func(t *testing.T) {
			t.Parallel()
			mine := &fake{f.Server, t, f.base, f.http}
			assert.Equal(t, c.names, mine.names("/cfd_tunnel?"+c.query))
			assert.Equal(t, c.names, mine.names("/tunnels?"+c.query), "all types")
		})
	}
}

func TestTunnelsList_AllTypesFilter(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.create("web")
	for types, names := range map[string][]string{
		"":                             {"web"},
		"cfd_tunnel":                   {"web"},
		"cfd_tunnel,warp_connector":    {"web"},
		"warp_connector%2Ccfd_tunnel":  {"web"},
		"warp_connector,gre":           {},
		"cfd":                          {},
		"cfd_tunnels":                  {},
		"some_kind_that_is_not_known,": {},
	} {
		assert.Equal(t, names, f.names("/tunnels?tun_types="+types), types)
	}
}

// The server understands the filters that the client sends.
func TestClient_TunnelFilters(t *testing.T) {
	t.Parallel()
	f, ids := startWithTunnels(t)
	for _, c := range []struct {
		name   string
		params cftunnel.TunnelListParams
		names  []string
	}{
		{"none", cftunnel.TunnelListParams{}, []string{"vpc1-idle", "vpc1-up", "vpc2-down", "late"}},
		{"name", cftunnel.TunnelListParams{Name: "late"}, []string{"late"}},
		{"uuid", cftunnel.TunnelListParams{UUID: ids["vpc1-up"]}, []string{"vpc1-up"}},
		{"status", cftunnel.TunnelListParams{Status: cftunnel.TunnelStatusDown}, []string{"vpc2-down"}},
		{"deleted", cftunnel.TunnelListParams{IsDeleted: new(true)}, []string{"old"}},
		{"prefixes", cftunnel.TunnelListParams{IncludePrefix: "vpc", ExcludePrefix: "vpc2"}, []string{"vpc1-idle", "vpc1-up"}},
		{"existed", cftunnel.TunnelListParams{ExistedAt: noon, ExcludePrefix: "vpc1"}, []string{"vpc2-down"}},
		{"was active", cftunnel.TunnelListParams{WasActiveAt: noon.Add(3 * time.Hour)}, []string{"vpc1-up"}},
		{"was inactive", cftunnel.TunnelListParams{WasInactiveAt: noon.Add(90 * time.Minute)}, []string{"vpc1-idle"}},
		{"page", cftunnel.TunnelListParams{Page: 2, PerPage: 3}, []string{"late"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			page, err := f.client().Tunnels.List(t.Context(), c.params)
			require.NoError(t, err)
			names := []string{}
			for _, tunnel := range page.Items {
				names = append(names, tunnel.Name)
			}
			assert.Equal(t, c.names, names)
		})
	}
	types, err := f.client().Tunnels.ListAllTypes(t.Context(), cftunnel.AllTypesListParams{
		Types: []cftunnel.TunnelType{cftunnel.TunnelTypeGRE, cftunnel.TunnelTypeCloudflared},
	})
	require.NoError(t, err)
	assert.Len(t, types.Items, 4)
}

func TestTunnelsList_InvalidParameters(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, query := range []string{
		"page=0", "page=-1", "page=x", "page=1.5", "per_page=0", "per_page=-5", "per_page=many",
		"existed_at=yesterday", "was_active_at=2026-10-05", "was_inactive_at=1",
	} {
		r := f.fetch(f.accountPath("/cfd_tunnel?" + query))
		assert.Equal(t, http.StatusBadRequest, r.status, query)
		assert.False(t, f.lastRequest().Done, query)
	}
}

func TestTunnelsList_Pages(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.SeedTunnels(5)
	f.delete(f.SeedTunnels(1)[0].ID) // not counted
	all := f.names("/cfd_tunnel")
	require.Len(t, all, 5)
	const huge = "9223372036854775807"
	for _, c := range []struct {
		query         string
		names         []string
		page, perPage json.Number
	}{
		{"", all, "1", "1000"},
		{"page=1", all, "1", "1000"},
		{"page=2", []string{}, "2", "1000"},
		{"per_page=2", all[:2], "1", "2"},
		{"per_page=2&page=2", all[2:4], "2", "2"},
		{"per_page=2&page=3", all[4:], "3", "2"},
		{"per_page=2&page=4", []string{}, "4", "2"},
		{"per_page=5", all, "1", "5"},
		{"per_page=5&page=2", []string{}, "2", "5"},
		{"per_page=1&page=5", all[4:], "5", "1"},
		{"per_page=1&page=6", []string{}, "6", "1"},
		{"per_page=1000", all, "1", "1000"},
		{"per_page=1001", all, "1", "1000"},
		{"per_page=" + huge, all, "1", "1000"},
		{"page=" + huge, []string{}, huge, "1000"},
		{"page=" + huge + "&per_page=3", []string{}, huge, "3"},
		{"page=4611686018427387905&per_page=4", []string{}, "4611686018427387905", "4"}, // overflows to the first page
	} {
		t.Run(c.query, func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{"/cfd_tunnel", "/tunnels"} {
				mine := &fake{f.Server, t, f.base, f.http}
				assert.Equal(t, c.names, mine.names(path+"?"+c.query))
				r := mine.fetch(f.accountPath(path + "?" + c.query))
				assert.JSONEq(t,
					fmt.Sprintf(`{"count":%d,"page":%s,"per_page":%s,"total_count":5}`,
						len(c.names), c.page, c.perPage),
					string(r.envelope().ResultInfo))
			}
		})
	}
}

func TestTunnelsList_MaxPerPage(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.SeedTunnels(1001)
	for _, query := range []string{"", "?per_page=1000", "?per_page=5000"} {
		assert.Len(t, f.names("/cfd_tunnel"+query), 1000, query)
	}
	assert.Len(t, f.names("/cfd_tunnel?per_page=5000&page=2"), 1)
}

func TestTunnelsList_Empty(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, path := range []string{"/cfd_tunnel", "/tunnels", "/cfd_tunnel?page=7"} {
		assert.Equal(t, "[]", string(f.fetch(f.accountPath(path)).result()), path)
	}
}

func TestClient_AllPages(t *testing.T) {
	t.Parallel()
	f := start(t)
	seeded := f.SeedTunnels(7)
	var got []cftunnel.Tunnel
	params := cftunnel.TunnelListParams{PerPage: 3}
	for tunnel, err := range f.client().Tunnels.All(t.Context(), params) {
		require.NoError(t, err)
		got = append(got, *tunnel)
	}
	assert.Equal(t, seeded, got, "in the order of creation, without duplicates")
	assert.Len(t, f.Requests(), 3)
}

func TestTunnelsList_TimesOfResponses(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, token := f.create("n")
	f.connect(token)
	tunnel := f.get(id)
	for _, params := range []cftunnel.TunnelListParams{{ExistedAt: tunnel.CreatedAt}, {WasActiveAt: tunnel.ConnsActiveAt}} {
		page, err := f.client().Tunnels.List(t.Context(), params)
		require.NoError(t, err)
		assert.Len(t, page.Items, 1)
	}
}

func TestTunnelsList_IgnoresTunTypes(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.SeedTunnels(2)
	r := f.fetch(f.accountPath("/cfd_tunnel?tun_types=warp_connector"))
	var result []json.RawMessage
	require.NoError(t, json.Unmarshal(r.result(), &result))
	assert.Len(t, result, 2)
}

func TestTunnelsList_HugePageNumbers(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.SeedTunnels(2)
	const huge = "99999999999999999999999"
	assert.JSONEq(t, "[]", string(f.fetch(f.accountPath("/cfd_tunnel?page="+huge)).result()))
	var result []json.RawMessage
	require.NoError(t,
		json.Unmarshal(f.fetch(f.accountPath("/cfd_tunnel?per_page="+huge)).result(), &result))
	assert.Len(t, result, 2)
}
