package tunneltest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// addRoute creates a route in a virtual network, or in the default one if networkID is empty.
func (f *fake) addRoute(network, tunnelID, networkID string) networkOf {
	f.t.Helper()
	return f.add(routes,
		fmt.Sprintf(`{"network":%q,"tunnel_id":%q,"virtual_network_id":%q}`, network, tunnelID,
			networkID))
}

func TestRoutes_Responses(t *testing.T) {
	t.Parallel()
	f, c := startWithFixedTime(t)
	network := f.fetch(f.accountPath(vnets)).objects()[0].ID
	tunnel, _ := f.create("web")
	created := f.send(http.MethodPost, f.accountPath(routes),
		`{"network":"10.0.0.0/8","tunnel_id":"`+tunnel+`","comment":"lab"}`)
	path := f.accountPath(routes + "/" + created.object().ID)
	wantJSON := func(deleted, names string) string {
		return `{"id":"` + created.object().ID + `","comment":"lab","created_at":` + createdAt +
			`,"deleted_at":` + deleted +
			`,"network":"10.0.0.0/8","tunnel_id":"` + tunnel + `","virtual_network_id":"` +
			network + `"` + names + `}`
	}
	named := `,"tun_type":"cfd_tunnel","tunnel_name":"web","virtual_network_name":"default"`
	created.assertBody(envelopeWith(wantJSON("null", "")))
	f.fetch(path).assertBody(envelopeWith(wantJSON("null", "")))
	f.fetch(f.accountPath(routes)).assertBody(pageWith("["+wantJSON("null", named)+"]", 1))
	f.fetch(f.accountPath(routes + "/ip/10.1.2.3")).
		assertBody(envelopeWith(wantJSON("null", named)))
	f.fetch(f.accountPath(routes + "/ip/192.0.2.1")).assertBody(envelopeWith("null"))
	c.advance(time.Hour)
	f.send(http.MethodDelete, path, "").assertBody(envelopeWith(wantJSON(hourLater, "")))
	f.fetch(path).assertBody(envelopeWith(wantJSON(hourLater, "")))
}

func TestRoutes_DuplicateCIDR(t *testing.T) {
	t.Parallel()
	f := start(t)
	web, _ := f.create("web")
	shop, _ := f.create("shop")
	blue := f.add(vnets, `{"name":"blue"}`)
	first := f.addRoute("10.0.0.0/8", web, "")
	for _, network := range []string{"10.0.0.0/8", "10.1.2.3/8", "::ffff:10.0.0.0/104"} {
		f.send(http.MethodPost, f.accountPath(routes),
			`{"network":"`+network+`","tunnel_id":"`+shop+`"}`).
			assertError(http.StatusConflict, 1014)
	}
	second := f.addRoute("10.0.0.0/8", shop, blue.ID)
	third := f.addRoute("10.0.0.0/9", shop, "")
	for network, stored := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "2001:db8::1": "2001:db8::1/128", "2001:db8::1/32": "2001:db8::/32", "0.0.0.0/0": "0.0.0.0/0",
	} {
		assert.Equal(t, stored, f.addRoute(network, web, "").Network)
	}
	f.send(http.MethodPatch, f.accountPath(routes+"/"+third.ID), `{"network":"10.0.0.0/8"}`).
		assertError(http.StatusConflict, 1014)
	f.send(http.MethodPatch, f.accountPath(routes+"/"+second.ID),
		`{"virtual_network_id":"`+first.VNetID+`"}`).
		assertError(http.StatusConflict, 1014)
	f.send(http.MethodDelete, f.accountPath(routes+"/"+first.ID), "").object()
	f.send(http.MethodPatch, f.accountPath(routes+"/"+second.ID),
		`{"virtual_network_id":"`+first.VNetID+`"}`).
		object()
}

func TestRoutes_Updates(t *testing.T) {
	t.Parallel()
	f := start(t)
	web, _ := f.create("web")
	shop, _ := f.create("shop")
	blue := f.add(vnets, `{"name":"blue"}`)
	r := f.addRoute("10.0.0.0/8", web, "")
	path := f.accountPath(routes + "/" + r.ID)
	for _, step := range []struct {
		body   string
		change func(*networkOf)
	}{
		{`{"comment":"lab"}`, func(r *networkOf) { r.Comment = "lab" }},
		{`{"tunnel_id":"` + shop + `","comment":"lab"}`, func(r *networkOf) { r.TunnelID = shop }},
		{`{"network":"10.1.0.0/16"}`, func(r *networkOf) { r.Network = "10.1.0.0/16" }},
		{`{"virtual_network_id":"` + blue.ID + `"}`, func(r *networkOf) { r.VNetID = blue.ID }},
		{`{"comment":""}`, func(r *networkOf) { r.Comment = "" }},
	} {
		step.change(&r)
		assert.Equal(t, r, f.send(http.MethodPatch, path, step.body).object())
		f.send(http.MethodPatch, path, step.body).assertError(http.StatusInternalServerError, 1000)
	}
	f.send(http.MethodPatch, path, `{}`).assertError(http.StatusInternalServerError, 1000)
	f.send(http.MethodPatch, path, `{"comment":"x","tunnel_name":"web"}`).
		assertError(http.StatusInternalServerError, 1000)
	assert.Equal(t, r, f.fetch(path).object())
}

func TestRoutes_Invalid(t *testing.T) {
	t.Parallel()
	f := start(t)
	web, _ := f.create("web")
	gone, _ := f.create("gone")
	f.delete(gone)
	r := f.addRoute("10.0.0.0/8", web, "")
	for _, c := range []struct {
		members      string
		status, code int
	}{
		{`"network":"office"`, http.StatusBadRequest, 1001},
		{`"network":"10.0.0.0/33"`, http.StatusBadRequest, 1001},
		{`"network":""`, http.StatusBadRequest, 1001},
		{`"network":8`, http.StatusBadRequest, 1001},
		{`"tunnel_id":"` + unknownID + `"`, http.StatusNotFound, 1002},
		{`"tunnel_id":"` + gone + `"`, http.StatusNotFound, 1002},
		{`"virtual_network_id":"` + unknownID + `"`, http.StatusNotFound, 1046},
		{`"comment":"` + strings.Repeat("x", 101) + `"`, http.StatusBadRequest, 1001},
	} {
		f.send(http.MethodPatch, f.accountPath(routes+"/"+r.ID), "{"+c.members+"}").
			assertError(c.status, c.code)
		// The last of several members with the same name applies.
		f.send(http.MethodPost, f.accountPath(routes),
			`{"network":"10.1.0.0/16","tunnel_id":"`+web+`",`+c.members+`}`).
			assertError(c.status, c.code)
	}
	for _, body := range []string{``, `[]`, `{"network":"10.1.0.0/16"}`, `{"tunnel_id":"` + web + `"}`} {
		f.send(http.MethodPost, f.accountPath(routes), body).
			assertError(http.StatusBadRequest, 1001)
	}
	f.fetch(f.accountPath(routes+"/"+unknownID)).assertError(http.StatusNotFound, 1015)
	f.send(http.MethodPatch, f.accountPath(routes+"/"+unknownID), `{"comment":"x"}`).
		assertError(http.StatusNotFound, 1015)
	f.send(http.MethodDelete, f.accountPath(routes+"/"+unknownID), "").
		assertError(http.StatusNotFound, 1015)
	f.fetch(f.accountPath(routes+"/ip/office")).assertError(http.StatusBadRequest, 1001)
	f.fetch(f.accountPath(routes+"/ip/10.0.0.1?virtual_network_id="+unknownID)).
		assertError(http.StatusNotFound, 1046)
	for _, query := range []string{"network_subset=office", "network_superset=10.0.0.0/33", "existed_at=noon", "page=0"} {
		f.fetch(f.accountPath(routes+"?"+query)).assertError(http.StatusBadRequest, 1001)
	}
	assert.Equal(t, []string{"10.0.0.0/8"}, f.listNames(routes))
}

func TestRoutes_TunnelDeleted(t *testing.T) {
	t.Parallel()
	f := start(t)
	web, _ := f.create("web")
	shop, _ := f.create("shop")
	r := f.addRoute("10.0.0.0/8", web, "")
	h := f.add(hosts, `{"hostname":"wiki.internal","tunnel_id":"`+web+`"}`)
	kept := f.addRoute("10.1.0.0/16", shop, "")
	f.delete(web)
	f.send(http.MethodDelete, f.accountPath(routes+"/"+r.ID), "").
		assertError(http.StatusNotFound, 1015)
	f.fetch(f.accountPath(hosts+"/"+h.ID)).assertError(http.StatusNotFound, 1001)
	assert.Equal(t, []string{kept.Network}, f.listNames(routes+"?is_deleted=false"))
	assert.Empty(t, f.listNames(hosts+"?is_deleted=false"))
	assert.Equal(t, "null", string(f.fetch(f.accountPath(routes+"/ip/10.2.0.1")).result()))

	connector, err := f.client().WARPConnectors.Create(t.Context(),
		cftunnel.WARPConnectorCreateParams{Name: "net"})
	require.NoError(t, err)
	f.addRoute("10.0.0.0/8", connector.ID, "")
	_, err = f.client().WARPConnectors.Delete(t.Context(), connector.ID,
		cftunnel.TunnelDeleteParams{})
	require.NoError(t, err)
	assert.Equal(t, []string{kept.Network}, f.listNames(routes+"?is_deleted=false"))
}

func TestRoutes_Lookup(t *testing.T) {
	t.Parallel()
	f := start(t)
	web, _ := f.create("web")
	blue := f.add(vnets, `{"name":"blue"}`)
	f.addRoute("10.0.0.0/8", web, "")
	f.addRoute("10.1.0.0/16", web, "")
	f.addRoute("10.1.1.0/24", web, "")
	f.addRoute("2001:db8::/32", web, "")
	f.addRoute("10.1.0.0/20", web, blue.ID)
	gone := f.addRoute("10.1.1.1/32", web, "")
	f.send(http.MethodDelete, f.accountPath(routes+"/"+gone.ID), "").object()
	in, only := "?virtual_network_id="+blue.ID, "?default_virtual_network_fallback=false&virtual_network_id="+blue.ID
	for request, network := range map[string]string{
		"10.2.0.1": "10.0.0.0/8", "10.1.2.1": "10.1.0.0/16", "10.1.1.1": "10.1.1.0/24", "11.0.0.1": "", "2001:db8::1": "2001:db8::/32",
		"::ffff:10.2.0.1": "10.0.0.0/8", "2001:db9::1": "",
		"10.1.1.1" + in: "10.1.0.0/20", "10.2.0.1" + in: "10.0.0.0/8", "11.0.0.1" + in: "",
		"10.1.1.1" + only: "10.1.0.0/20", "10.2.0.1" + only: "",
	} {
		r := f.fetch(f.accountPath(routes + "/ip/" + request))
		if network == "" {
			assert.Equal(t, "null", string(r.result()), request)
			continue
		}
		assert.Equal(t, network, r.object().Network, request)
	}
}

func TestRoutes_Filters(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	web, _ := f.create("web")
	shop, _ := f.create("shop")
	connector, err := f.client().WARPConnectors.Create(t.Context(),
		cftunnel.WARPConnectorCreateParams{Name: "net"})
	require.NoError(t, err)
	blue := f.add(vnets, `{"name":"blue"}`)
	eight := f.addRoute("10.0.0.0/8", web, "")
	f.addRoute("10.1.0.0/16", shop, "")
	f.addRoute("10.1.1.0/24", web, blue.ID)
	f.add(routes, `{"network":"172.16.0.0/12","tunnel_id":"`+connector.ID+`","comment":"lab"}`)
	f.addRoute("2001:db8::/32", web, "")
	old := f.addRoute("192.168.0.0/16", web, "")
	c.advance(time.Hour)
	f.send(http.MethodDelete, f.accountPath(routes+"/"+old.ID), "").object()
	c.advance(time.Hour)
	f.addRoute("192.168.0.0/24", web, "")
	for query, networks := range map[string]string{
		"":                             "10.0.0.0/8 10.1.0.0/16 10.1.1.0/24 172.16.0.0/12 2001:db8::/32 192.168.0.0/16 192.168.0.0/24",
		"is_deleted=true":              "192.168.0.0/16",
		"is_deleted=false":             "10.0.0.0/8 10.1.0.0/16 10.1.1.0/24 172.16.0.0/12 2001:db8::/32 192.168.0.0/24",
		"network_subset=10.1.0.0/16":   "10.1.0.0/16 10.1.1.0/24",
		"network_superset=10.1.1.0/24": "10.0.0.0/8 10.1.0.0/16 10.1.1.0/24",
		"network_subset=10.1.0.0/16&network_superset=10.1.0.0/16": "10.1.0.0/16",
		"network_subset=::/0":                   "2001:db8::/32",
		"tunnel_id=" + shop:                     "10.1.0.0/16",
		"route_id=" + strings.ToUpper(eight.ID): "10.0.0.0/8",
		"virtual_network_id=" + blue.ID:         "10.1.1.0/24",
		"comment=lab":                           "172.16.0.0/12",
		"comment=la":                            "",
		"tun_types=warp_connector":              "172.16.0.0/12",
		"tun_types=warp_connector,cfd_tunnel&tunnel_id=" + shop: "10.1.0.0/16",
		"tun_types=gre": "",
		"existed_at=" + hour(0.5) + "&network_subset=192.168.0.0/16": "192.168.0.0/16",
		"existed_at=" + hour(1.5) + "&network_subset=192.168.0.0/16": "",
		"existed_at=" + hour(2) + "&network_subset=192.168.0.0/16":   "192.168.0.0/24",
		"unknown=1&network_subset=172.16.0.0/12":                     "172.16.0.0/12",
		"per_page=2&page=2&is_deleted=false":                         "10.1.1.0/24 172.16.0.0/12",
		"per_page=2&page=9":                                          "",
	} {
		assert.Equal(t, strings.Fields(networks), f.listNames(routes+"?"+query), query)
	}
	assert.JSONEq(t, `{"count":1,"page":2,"per_page":6,"total_count":7}`,
		string(f.fetch(f.accountPath(routes+"?per_page=6&page=2")).envelope().ResultInfo))
	// The names in lists are the current names.
	f.send(http.MethodPatch, f.accountPath("/cfd_tunnel/"+web), `{"name":"web-2"}`).result()
	f.send(http.MethodPatch, f.accountPath(vnets+"/"+blue.ID), `{"name":"teal"}`).result()
	named := f.fetch(f.accountPath(routes + "?virtual_network_id=" + url.QueryEscape(blue.ID))).
		objects()[0]
	assert.Equal(t, []string{"web-2", "teal", "cfd_tunnel"},
		[]string{named.Tunnel, named.VNetName, named.Type})
}
