package tunneltest_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// namesIn returns the names of the items of a list, and its result_info.
func (r response) namesIn() (names []string, info map[string]int) {
	r.t.Helper()
	var items []struct {
		Name string `json:"name"`
	}
	require.NoError(r.t, json.Unmarshal(r.result(), &items))
	for _, item := range items {
		names = append(names, item.Name)
	}
	require.NoError(r.t, json.Unmarshal(r.envelope().ResultInfo, &info))
	return names, info
}

func TestSeedZone(t *testing.T) {
	t.Parallel()
	f := start(t)
	id := f.SeedZone("Example.COM")
	assert.Len(t, id, 32)
	assert.Equal(t, id, f.SeedZone("example.com"))
	other := f.SeedZone("bücher.example")
	assert.NotEqual(t, id, other)

	var zones []map[string]any
	require.NoError(t, json.Unmarshal(f.fetch("/zones").result(), &zones))
	require.Len(t, zones, 2)
	assert.Equal(t, id, zones[0]["id"])
	assert.Equal(t, "example.com", zones[0]["name"])
	assert.Equal(t, "active", zones[0]["status"])
	assert.Equal(t, "full", zones[0]["type"])
	assert.Equal(t, false, zones[0]["paused"])
	assert.Equal(t, f.AccountID(), zones[0]["account"].(map[string]any)["id"])
	assert.NotEmpty(t, zones[0]["name_servers"])
	assert.Equal(t, "xn--bcher-kva.example", zones[1]["name"])

	for _, name := range []string{
		"", "com", "*.example.com", "a b.example.com", "https://example.com",
	} {
		assert.Panics(t, func() { f.SeedZone(name) }, name)
	}
}

func TestSeedZoneIn(t *testing.T) {
	t.Parallel()
	f := start(t)
	const account = "0123456789ABCDEF0123456789abcdef"
	own, other := f.SeedZone("example.com"), f.SeedZoneIn(account, "example.com")
	assert.NotEqual(t, own, other)
	assert.Equal(t, other, f.SeedZoneIn(strings.ToLower(account), "example.com"))
	assert.Equal(t, own, f.SeedZoneIn(f.AccountID(), "example.com"))
	assert.PanicsWithValue(t,
		"tunneltest: SeedZoneIn: the account ID is not 32 hexadecimal digits",
		func() { f.SeedZoneIn("account", "example.com") })
	assert.Panics(t, func() { f.SeedZoneIn(account, "*.example.com") })

	client, err := f.NewClient(cftunnel.WithAccountID(account))
	require.NoError(t, err)
	tunnel := f.Seed(tunneltest.TunnelSeed{AccountID: account})
	params := cftunnel.PublishParams{
		Hostname: "app.example.com", Service: "http://localhost:8080", ZoneID: other,
	}
	published, err := client.Hostnames.Publish(t.Context(), tunnel.ID, params)
	require.NoError(t, err)
	assert.Equal(t, other, published.ZoneID)
}

func TestListZones_Filters(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, name := range []string{"b.test", "a.test", "sub.a.test"} {
		f.SeedZone(name)
	}
	for query, want := range map[string][]string{
		"":                                     {"b.test", "a.test", "sub.a.test"},
		"name=a.test":                          {"a.test"},
		"name=A.test":                          {"a.test"},
		"name=nothing.test":                    nil,
		"name=contains:a.t":                    {"a.test", "sub.a.test"},
		"name=starts_with:a":                   {"a.test"},
		"name=ends_with:a.test":                {"a.test", "sub.a.test"},
		"name=equal:a.test":                    {"a.test"},
		"name=not_equal:a.test":                {"b.test", "sub.a.test"},
		"name=odd:a.test":                      nil,
		"status=active":                        {"b.test", "a.test", "sub.a.test"},
		"status=pending":                       nil,
		"account.id=" + f.AccountID():          {"b.test", "a.test", "sub.a.test"},
		"account.id=" + unknownID:              nil,
		"account.name=contains:account":        {"b.test", "a.test", "sub.a.test"},
		"status=pending&name=a.test":           nil,
		"status=pending&name=a.test&match=any": {"a.test"},
		"match=any":                            {"b.test", "a.test", "sub.a.test"},
		"order=name":                           {"a.test", "b.test", "sub.a.test"},
		"order=name&direction=desc":            {"sub.a.test", "b.test", "a.test"},
		"order=unknown":                        {"b.test", "a.test", "sub.a.test"},
		"unknown=1":                            {"b.test", "a.test", "sub.a.test"},
	} {
		names, _ := f.fetch("/zones?" + query).namesIn()
		assert.Equal(t, want, names, query)
	}
}

func TestListZones_Pages(t *testing.T) {
	t.Parallel()
	f := start(t)
	for i := range 53 {
		f.SeedZone(fmt.Sprintf("zone-%02d.test", i))
	}
	for query, want := range map[string]map[string]int{
		"":                         {"page": 1, "per_page": 20, "count": 20, "total_count": 53, "total_pages": 3},
		"page=3":                   {"page": 3, "per_page": 20, "count": 13, "total_count": 53, "total_pages": 3},
		"page=4":                   {"page": 4, "per_page": 20, "count": 0, "total_count": 53, "total_pages": 3},
		"per_page=1000":            {"page": 1, "per_page": 50, "count": 50, "total_count": 53, "total_pages": 2},
		"per_page=1":               {"page": 1, "per_page": 5, "count": 5, "total_count": 53, "total_pages": 11},
		"name=zone-00.test":        {"page": 1, "per_page": 20, "count": 1, "total_count": 1, "total_pages": 1},
		"name=nothing":             {"page": 1, "per_page": 20, "count": 0, "total_count": 0, "total_pages": 0},
		"page=9999999999999999999": {"page": math.MaxInt, "per_page": 20, "count": 0, "total_count": 53, "total_pages": 3},
	} {
		_, info := f.fetch("/zones?" + query).namesIn()
		assert.Equal(t, want, info, query)
	}
	for _, query := range []string{"page=0", "page=x", "per_page=-1"} {
		assert.Equal(t, http.StatusBadRequest, f.fetch("/zones?"+query).status, query)
	}
}

func TestListZones_NoRoute(t *testing.T) {
	t.Parallel()
	f := start(t)
	id := f.SeedZone("a.test")
	f.send(http.MethodPost, "/zones", "{}").assertError(http.StatusMethodNotAllowed, 10000)
	f.fetch("/zones/"+id).assertError(http.StatusNotFound, 7000)
	f.fetch("/zones/"+id+"/").assertError(http.StatusMethodNotAllowed, 10000)
	f.fetch("/zones").result()
	assert.Equal(t, "GET /zones", f.lastRequest().Operation)
}
