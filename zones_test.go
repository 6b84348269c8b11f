package cftunnel_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func TestZonesForHostname(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	example, sub := srv.SeedZone("example.com"), srv.SeedZone("sub.example.com")
	deep := srv.SeedZone("a.b.test")
	for hostname, want := range map[string]string{
		"example.com":           example,
		"App.Example.com.":      example,
		"*.example.com":         example,
		"a.b.c.d.example.com":   example,
		"sub.example.com":       sub,
		"*.sub.example.com":     sub,
		"x.sub.example.com":     sub,
		"notsub.example.com":    example,
		"a.b.test":              deep,
		"app.notexample.com":    "",
		"b.test":                "",
		"other.c.test":          "",
		"xn--bcher-kva.example": "",
	} {
		zone, err := client.Zones.ForHostname(t.Context(), hostname)
		if want == "" {
			require.ErrorIs(t, err, cftunnel.ErrNotFound, hostname)
			require.ErrorContains(t, err, "Zone Read")
			continue
		}
		require.NoError(t, err, hostname)
		assert.Equal(t, want, zone.ID, hostname)
	}
	zone, err := client.Zones.ForHostname(t.Context(), "example.com")
	require.NoError(t, err)
	assert.Equal(t, &cftunnel.Zone{
		ID: example, Name: "example.com", Status: "active", Type: "full",
		AccountID: srv.AccountID(), AccountName: zone.AccountName,
		NameServers: []string{"ada.ns.cloudflare.com", "bob.ns.cloudflare.com"},
	}, zone)
	assert.NotEmpty(t, zone.AccountName)

	// It lists only the names that can be zones.
	since := len(srv.Requests())
	_, err = client.Zones.ForHostname(t.Context(), "*.app.other.com")
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	var names []string
	for _, r := range srv.Requests()[since:] {
		names = append(names, r.Query.Get("name"))
	}
	assert.Equal(t, []string{"app.other.com", "other.com"}, names)

	for _, hostname := range []string{"", "localhost", "bücher.example.com", "a b.example.com"} {
		since := len(srv.Requests())
		_, err := client.Zones.ForHostname(t.Context(), hostname)
		_, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
		assert.True(t, ok, hostname)
		assert.Len(t, srv.Requests(), since)
	}
}

// zoneList is a handler that responds to GET /zones with these zones and ignores the filters.
func zoneList(zones ...string) http.HandlerFunc {
	n := strconv.Itoa(len(zones))
	return respond(200, `{"success":true,"errors":[],"messages":[],
		"result":[`+strings.Join(zones, ",")+`],
		"result_info":{"page":1,"per_page":50,"count":`+n+`,"total_count":`+n+`}}`)
}

// zoneOf returns a zone whose ID is 32 times the byte.
func zoneOf(id byte, name, status, account string) string {
	const format = `{"id":%q,"name":%q,"status":%q,"account":{"id":%q}}`
	return fmt.Sprintf(format, strings.Repeat(string(id), 32), name, status, account)
}

// If several zones have the name, the active one is chosen, then the one of the client's account.
// The server ignores the filter.
func TestZonesForHostname_Several(t *testing.T) {
	t.Parallel()
	other := strings.Repeat("f", 32)
	for name, test := range map[string]struct {
		zones []string
		want  string
	}{
		"other name first":      {[]string{zoneOf('1', "other.com", "active", accountID), zoneOf('2', "example.com", "active", other)}, "2"},
		"active":                {[]string{zoneOf('1', "example.com", "moved", accountID), zoneOf('2', "example.com", "active", other)}, "2"},
		"account of the client": {[]string{zoneOf('1', "example.com", "active", other), zoneOf('2', "Example.com", "active", accountID)}, "2"},
		"none active":           {[]string{zoneOf('1', "example.com", "pending", other), zoneOf('2', "example.com", "moved", accountID)}, "2"},
		"equal":                 {[]string{zoneOf('1', "example.com", "active", other), zoneOf('2', "example.com", "active", other)}, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := clientOf(t, zoneList(test.zones...))
			zone, err := client.Zones.ForHostname(t.Context(), "example.com")
			require.NoError(t, err)
			assert.Equal(t, strings.Repeat(test.want, 32), zone.ID)
		})
	}
}

// A 404 for the list says nothing about the zone.
func TestZonesForHostname_ListFails(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, once)
	srv.Inject(tunneltest.Fault{Operation: opZones, Status: 404, Body: refusalBody(1003)})
	_, err := client.Zones.ForHostname(t.Context(), "example.com")
	require.Error(t, err)
	assert.NotErrorIs(t, err, cftunnel.ErrNotFound)
	srv.Inject(tunneltest.Fault{Operation: opZones, Status: 403})
	_, err = client.Zones.ForHostname(t.Context(), "example.com")
	require.ErrorIs(t, err, cftunnel.ErrForbidden)
	assert.ErrorContains(t, err, "Zone Read")
}

func TestZonesAll(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	for i := range 120 {
		srv.SeedZone(fmt.Sprintf("zone-%03d.test", i))
	}
	collect := func(params cftunnel.ZoneListParams) (names []string) {
		for zone, err := range client.Zones.All(t.Context(), params) {
			require.NoError(t, err)
			names = append(names, zone.Name)
		}
		return names
	}
	since := len(srv.Requests())
	assert.Len(t, collect(cftunnel.ZoneListParams{AccountID: srv.AccountID()}), 120)
	assert.Len(t, srv.Requests()[since:], 3)
	assert.Equal(t, "50", srv.Requests()[since].Query.Get("per_page"))
	assert.Empty(t, collect(cftunnel.ZoneListParams{AccountID: accountID}))
	assert.Empty(t, collect(cftunnel.ZoneListParams{Status: "pending"}))
	found := collect(cftunnel.ZoneListParams{Name: "zone-007.test", Status: "active"})
	assert.Equal(t, []string{"zone-007.test"}, found)

	page, err := client.Zones.List(t.Context(), cftunnel.ZoneListParams{Page: 2, PerPage: 50})
	require.NoError(t, err)
	assert.Len(t, page.Items, 50)
	assert.Equal(t, cftunnel.PageInfo{Page: 2, PerPage: 50, Count: 50, TotalCount: 120}, page.Info)
	for _, params := range []cftunnel.ZoneListParams{
		{Page: -1}, {PerPage: 4}, {PerPage: 51}, {PerPage: -1},
	} {
		_, err := client.Zones.List(t.Context(), params)
		_, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
		assert.True(t, ok, "%+v", params)
	}
}

func TestZonesList_Incomplete(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{
		"{}", "null", zoneOf('1', "", "active", accountID), `{"name":"example.com"}`,
	} {
		_, err := clientOf(t, zoneList(zone)).Zones.List(t.Context(), cftunnel.ZoneListParams{})
		require.Error(t, err, zone)
	}
}
