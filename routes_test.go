package cftunnel_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const (
	opRouteCreate = "POST /accounts/{account_id}/teamnet/routes"
	opRouteList   = "GET /accounts/{account_id}/teamnet/routes"
	opRouteGet    = "GET /accounts/{account_id}/teamnet/routes/{route_id}"
	opRouteUpdate = "PATCH /accounts/{account_id}/teamnet/routes/{route_id}"
	opRouteDelete = "DELETE /accounts/{account_id}/teamnet/routes/{route_id}"
	opRouteLookup = "GET /accounts/{account_id}/teamnet/routes/ip/{ip}"
)

var (
	ten     = netip.MustParsePrefix("10.0.0.0/8")
	tenNine = netip.MustParsePrefix("10.0.0.0/9")
)

// newTunnel creates a tunnel and returns its ID.
func newTunnel(t *testing.T, client *cftunnel.Client, name string) string {
	t.Helper()
	tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: name})
	require.NoError(t, err)
	return tunnel.ID
}

// newRoute creates a route.
func newRoute(
	t *testing.T, client *cftunnel.Client, params cftunnel.RouteCreateParams,
) *cftunnel.Route {
	t.Helper()
	route, err := client.Routes.Create(t.Context(), params)
	require.NoError(t, err)
	return route
}

// newNetwork creates a virtual network.
func newNetwork(t *testing.T, client *cftunnel.Client, name string) *cftunnel.VirtualNetwork {
	t.Helper()
	network, err := client.VirtualNetworks.Create(t.Context(),
		cftunnel.VirtualNetworkCreateParams{Name: name})
	require.NoError(t, err)
	return network
}

func TestRoutes_LifeCycle(t *testing.T) {
	t.Parallel()
	_, client := newFake(t, once)
	web, shop := newTunnel(t, client, "web"), newTunnel(t, client, "shop")
	blue := newNetwork(t, client, "blue")
	created := newRoute(t, client, cftunnel.RouteCreateParams{
		Network: ten, TunnelID: web, VirtualNetworkID: blue.ID, Comment: "lab",
	})
	assert.Equal(t, ten, created.Network)
	assert.Equal(t, []string{web, blue.ID, "lab"},
		[]string{created.TunnelID, created.VirtualNetworkID, created.Comment})
	assert.False(t, created.CreatedAt.IsZero())
	assert.False(t, created.IsDeleted())

	got, err := client.Routes.Get(t.Context(), created.ID)
	require.NoError(t, err)
	assert.Equal(t, created, got)

	page, err := client.Routes.List(t.Context(), cftunnel.RouteListParams{})
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	assert.Equal(t, 1, page.Info.TotalCount)
	named := *created
	named.TunnelName, named.TunnelType = "web", cftunnel.TunnelTypeCloudflared
	named.VirtualNetworkName = "blue"
	assert.Equal(t, named, page.Items[0])

	updated, err := client.Routes.Update(t.Context(), created.ID, cftunnel.RouteUpdateParams{
		Network: netip.MustParsePrefix("10.0.0.1/9"), TunnelID: shop, Comment: new(""),
	})
	require.NoError(t, err)
	assert.Equal(t, tenNine, updated.Network)
	assert.Equal(t, []string{shop, blue.ID, ""},
		[]string{updated.TunnelID, updated.VirtualNetworkID, updated.Comment})

	deleted, err := client.Routes.Delete(t.Context(), created.ID)
	require.NoError(t, err)
	assert.True(t, deleted.IsDeleted())
	_, err = client.Routes.Delete(t.Context(), created.ID)
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	_, err = client.Routes.Update(t.Context(), created.ID,
		cftunnel.RouteUpdateParams{Comment: new("x")})
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	if got, err := client.Routes.Get(t.Context(), created.ID); err == nil {
		assert.True(t, got.IsDeleted())
	} else {
		require.ErrorIs(t, err, cftunnel.ErrNotFound)
	}
}

func TestRoutesCreate_CanonicalNetworks(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, once)
	web := newTunnel(t, client, "web")
	for network, sent := range map[string]string{
		"10.1.2.3/8":            "10.0.0.0/8",
		"192.0.2.7/32":          "192.0.2.7/32",
		"2001:db8::1/32":        "2001:db8::/32",
		"2001:DB8::7/128":       "2001:db8::7/128",
		"::ffff:172.16.1.1/108": "172.16.0.0/12",
		"0.0.0.0/0":             "0.0.0.0/0",
		"::/0":                  "::/0",
	} {
		route := newRoute(t, client,
			cftunnel.RouteCreateParams{Network: netip.MustParsePrefix(network), TunnelID: web})
		assert.Equal(t, sent, route.Network.String())
		requests := srv.Requests()
		assert.JSONEq(t, fmt.Sprintf(`{"network":%q,"tunnel_id":%q}`, sent, web),
			requests[len(requests)-1].Body.Reveal())
	}
}

func TestRoutes_InvalidArguments(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	ctx := t.Context()
	badPrefix := netip.PrefixFrom(ten.Addr(), 33)
	assertInvalid := func(argument string, err error) {
		t.Helper()
		var invalid *cftunnel.InvalidArgumentError
		if assert.ErrorAs(t, err, &invalid) {
			assert.Equal(t, argument, invalid.Name)
		}
	}
	for _, c := range []struct {
		argument string
		params   cftunnel.RouteCreateParams
	}{
		{"Network", cftunnel.RouteCreateParams{TunnelID: tunnelID}},
		{"Network", cftunnel.RouteCreateParams{Network: badPrefix, TunnelID: tunnelID}},
		{"Network", cftunnel.RouteCreateParams{
			Network: netip.MustParsePrefix("::ffff:10.0.0.0/80"), TunnelID: tunnelID,
		}},
		{"TunnelID", cftunnel.RouteCreateParams{Network: ten}},
		{"TunnelID", cftunnel.RouteCreateParams{Network: ten, TunnelID: "web"}},
		{"VirtualNetworkID", cftunnel.RouteCreateParams{
			Network: ten, TunnelID: tunnelID, VirtualNetworkID: "blue",
		}},
		{"Comment", cftunnel.RouteCreateParams{Network: ten, TunnelID: tunnelID, Comment: "\xff"}},
	} {
		_, err := client.Routes.Create(ctx, c.params)
		assertInvalid(c.argument, err)
		_, _, err = client.Routes.Ensure(ctx, c.params)
		assertInvalid(c.argument, err)
	}
	for _, c := range []struct {
		argument string
		params   cftunnel.RouteUpdateParams
	}{
		{"params", cftunnel.RouteUpdateParams{}},
		{"Network", cftunnel.RouteUpdateParams{Network: badPrefix}},
		{"TunnelID", cftunnel.RouteUpdateParams{TunnelID: "web"}},
		{"VirtualNetworkID", cftunnel.RouteUpdateParams{VirtualNetworkID: "blue"}},
		{"Comment", cftunnel.RouteUpdateParams{Comment: new("\xff")}},
	} {
		_, err := client.Routes.Update(ctx, tunnelID, c.params)
		assertInvalid(c.argument, err)
	}
	for _, c := range []struct {
		argument string
		params   cftunnel.RouteListParams
	}{
		{"Within", cftunnel.RouteListParams{Within: badPrefix}},
		{"Containing", cftunnel.RouteListParams{Containing: badPrefix}},
		{"RouteID", cftunnel.RouteListParams{RouteID: "x"}},
		{"TunnelID", cftunnel.RouteListParams{TunnelID: "x"}},
		{"VirtualNetworkID", cftunnel.RouteListParams{VirtualNetworkID: "x"}},
		{"TunnelTypes", cftunnel.RouteListParams{TunnelTypes: []cftunnel.TunnelType{"a,b"}}},
		{"Page", cftunnel.RouteListParams{Page: -1}},
		{"PerPage", cftunnel.RouteListParams{PerPage: 1001}},
	} {
		_, err := client.Routes.List(ctx, c.params)
		assertInvalid(c.argument, err)
	}
	for _, id := range []string{"", "web", "../../tokens/abc"} {
		_, err := client.Routes.Get(ctx, id)
		assertInvalid("routeID", err)
		_, err = client.Routes.Delete(ctx, id)
		assertInvalid("routeID", err)
		_, err = client.Routes.Update(ctx, id, cftunnel.RouteUpdateParams{Comment: new("")})
		assertInvalid("routeID", err)
	}
	assertInvalid("addr", lookUpRoute(client, netip.Addr{}, ""))
	assertInvalid("addr", lookUpRoute(client, netip.MustParseAddr("fe80::1%eth0"), ""))
	assertInvalid("VirtualNetworkID", lookUpRoute(client, ten.Addr(), "blue"))
	assert.Empty(t, srv.Requests())
}

func createRoute(client *cftunnel.Client, params cftunnel.RouteCreateParams) error {
	_, err := client.Routes.Create(context.Background(), params)
	return err
}

func lookUpRoute(client *cftunnel.Client, addr netip.Addr, network string) error {
	params := cftunnel.RouteLookupParams{VirtualNetworkID: network}
	_, err := client.Routes.Lookup(context.Background(), addr, params)
	return err
}

func listRoutes(client *cftunnel.Client, params cftunnel.RouteListParams) error {
	_, err := client.Routes.List(context.Background(), params)
	return err
}

func TestRoutesList_Query(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, once)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	everything := cftunnel.RouteListParams{
		Within: netip.MustParsePrefix("10.1.2.3/8"), Containing: tenNine,
		RouteID: otherID, TunnelID: tunnelID, VirtualNetworkID: otherID,
		TunnelTypes: []cftunnel.TunnelType{
			cftunnel.TunnelTypeCloudflared, cftunnel.TunnelTypeWARPConnector,
		},
		Comment: "lab", ExistedAt: at, Page: 2, PerPage: 3,
	}
	query := "comment=lab&existed_at=2026-01-02T03%3A04%3A05Z&is_deleted=false" +
		"&network_subset=10.0.0.0%2F8&network_superset=10.0.0.0%2F9&page=2&per_page=3" +
		"&route_id=" + otherID + "&tun_types=cfd_tunnel%2Cwarp_connector" +
		"&tunnel_id=" + tunnelID + "&virtual_network_id=" + otherID
	for query, params := range map[string]cftunnel.RouteListParams{
		"is_deleted=false": {},
		"is_deleted=true":  {IsDeleted: new(true)},
		query:              everything,
	} {
		require.NoError(t, listRoutes(client, params))
		requests := srv.Requests()
		assert.Equal(t, query, requests[len(requests)-1].Query.Encode())
	}
}

func TestRoutesAll_EveryPage(t *testing.T) {
	t.Parallel()
	_, client := newFake(t, once)
	web := newTunnel(t, client, "web")
	for i := range 5 {
		network := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 16)
		newRoute(t, client, cftunnel.RouteCreateParams{Network: network, TunnelID: web})
	}
	all := client.Routes.All(t.Context(),
		cftunnel.RouteListParams{PerPage: 2, Containing: netip.Prefix{}})
	for range 2 {
		n := 0
		for route, err := range all {
			require.NoError(t, err)
			assert.Equal(t, byte(n), route.Network.Addr().As4()[1])
			n++
		}
		assert.Equal(t, 5, n)
	}
}

// Old routes, which the API returns in other forms, must not fail a list.
func TestRoutesList_StoredForms(t *testing.T) {
	t.Parallel()
	client := clientOf(t, respond(200, `{"success":true,"errors":[],"messages":[],"result":[
		{"id":"a","network":"192.0.2.7","tunnel_id":"t","virtual_network_id":null,"comment":null,"created_at":"2021-01-25T18:22:34.317854Z","deleted_at":null},
		{"id":"b","network":"2001:db8::1","tunnel_id":"t"},
		{"id":"c","network":"::ffff:192.0.2.7","tunnel_id":"t"},
		{"id":"d","network":"10.1.2.3/8","tunnel_id":"t","deleted_at":"0001-01-01T00:00:00Z"}],
		"result_info":{"count":4,"page":1,"per_page":20,"total_count":4}}`))
	page, err := client.Routes.List(t.Context(), cftunnel.RouteListParams{})
	require.NoError(t, err)
	var networks []string
	for _, route := range page.Items {
		networks = append(networks, route.Network.String())
		assert.False(t, route.IsDeleted())
	}
	assert.Equal(t, []string{"192.0.2.7/32", "2001:db8::1/128", "192.0.2.7/32", "10.1.2.3/8"},
		networks)
}

func TestRoutes_WrongResponses(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for name, result := range map[string]string{
		"other route":        `{"id":"` + otherID + `","network":"192.0.2.0/24","tunnel_id":"` + otherID + `"}`,
		"no ID":              `{"network":"10.0.0.0/8","tunnel_id":"` + tunnelID + `"}`,
		"no network":         `{"id":"` + tunnelID + `","tunnel_id":"` + tunnelID + `"}`,
		"an invalid network": `{"id":"` + tunnelID + `","network":"office","tunnel_id":"` + tunnelID + `"}`,
		"nothing":            `null`,
		"an empty object":    `{}`,
	} {
		client := clientOf(t,
			respond(200, `{"success":true,"errors":[],"messages":[],"result":`+result+`}`), once)
		_, err := client.Routes.Get(ctx, tunnelID)
		require.Error(t, err, name)
		require.NotErrorIs(t, err, cftunnel.ErrNotFound, name)
		err = createRoute(client, cftunnel.RouteCreateParams{Network: ten, TunnelID: tunnelID})
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown, name)
		_, err = client.Routes.Update(ctx, tunnelID, cftunnel.RouteUpdateParams{Comment: new("x")})
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown, name)
	}
	// A deletion needs only success, but the response must not be about another route.
	for result, unknown := range map[string]bool{
		`null`: false, `{}`: false, `{"id":"` + tunnelID + `"}`: false, `{"id":"` + otherID + `"}`: true,
	} {
		client := clientOf(t,
			respond(200, `{"success":true,"errors":[],"messages":[],"result":`+result+`}`), once)
		deleted, err := client.Routes.Delete(ctx, tunnelID)
		if unknown {
			require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown, result)
			continue
		}
		require.NoError(t, err, result)
		assert.Equal(t, tunnelID, deleted.ID)
	}
	// A failure with status 200 is an error.
	client := clientOf(t, respond(200, refusalBody(1014)), once)
	err := createRoute(client, cftunnel.RouteCreateParams{Network: ten, TunnelID: tunnelID})
	require.ErrorIs(t, err, cftunnel.ErrRouteExists)
}

func TestRoutesCreate_Refusals(t *testing.T) {
	t.Parallel()
	_, client := newFake(t, once)
	web := newTunnel(t, client, "web")
	newRoute(t, client, cftunnel.RouteCreateParams{Network: ten, TunnelID: web})
	err := createRoute(client, cftunnel.RouteCreateParams{Network: ten, TunnelID: web})
	require.ErrorIs(t, err, cftunnel.ErrRouteExists)
	require.ErrorIs(t, err, cftunnel.ErrConflict)
	err = createRoute(client, cftunnel.RouteCreateParams{Network: ten, TunnelID: otherID})
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	err = createRoute(client,
		cftunnel.RouteCreateParams{Network: ten, TunnelID: web, VirtualNetworkID: otherID})
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	assert.True(t, cftunnel.HasCode(err, 1046))
}

// If Create sent the request again, the API would respond with 1014 for the route of the first
// attempt.
func TestRoutesCreate_NotRepeated(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]tunneltest.Fault{
		"late 500":                {Status: 500, Work: true},
		"cut before the response": {Cut: tunneltest.CutAfter},
		"cut inside the response": {Cut: tunneltest.CutInside},
	} {
		srv, client := newFake(t, quick)
		web := newTunnel(t, client, "web")
		fault.Operation = opRouteCreate
		srv.Inject(fault)
		err := createRoute(client, cftunnel.RouteCreateParams{Network: ten, TunnelID: web})
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown, name)
		require.NotErrorIs(t, err, cftunnel.ErrRouteExists, name)
		assert.Equal(t, 1, carriedOut(srv, opRouteCreate), name)
	}
}

func TestRoutesDelete_LostResponse(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, quick)
	route := newRoute(t, client,
		cftunnel.RouteCreateParams{Network: ten, TunnelID: newTunnel(t, client, "web")})
	srv.Inject(tunneltest.Fault{Operation: opRouteDelete, Cut: tunneltest.CutAfter})
	deleted, err := client.Routes.Delete(t.Context(), route.ID)
	require.NoError(t, err, "the 404 means that the first attempt was carried out")
	assert.Equal(t, route.ID, deleted.ID)
	assert.Equal(t, 1, carriedOut(srv, opRouteDelete))
}

func TestRoutesDelete_TunnelDeletedBefore(t *testing.T) {
	t.Parallel()
	_, client := newFake(t, once)
	web := newTunnel(t, client, "web")
	route := newRoute(t, client, cftunnel.RouteCreateParams{Network: ten, TunnelID: web})
	_, err := client.Tunnels.Delete(t.Context(), web, cftunnel.TunnelDeleteParams{})
	require.NoError(t, err)
	_, err = client.Routes.Delete(t.Context(), route.ID)
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	assert.True(t, cftunnel.HasCode(err, 1015))
	for range client.Routes.All(t.Context(), cftunnel.RouteListParams{}) {
		t.Error("a route is left")
	}
}

func TestErrTunnelHasRoutes(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, once)
	web := newTunnel(t, client, "web")
	srv.Inject(tunneltest.Fault{
		Operation: opDelete,
		Status:    http.StatusBadRequest,
		Body:      `{"success":false,"errors":[{"code":1023,"message":"the tunnel has routes"}],"messages":[],"result":null}`,
	})
	_, err := client.Tunnels.Delete(t.Context(), web, cftunnel.TunnelDeleteParams{})
	require.ErrorIs(t, err, cftunnel.ErrTunnelHasRoutes)
	require.NotErrorIs(t, err, cftunnel.ErrActiveConnections)
}

// The API responds with 500 to a PATCH that changes nothing, so also to the retry of a PATCH that
// was carried out.
func TestRoutesUpdate_ChangesNothing(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, quick)
	route := newRoute(t, client, cftunnel.RouteCreateParams{
		Network: ten, TunnelID: newTunnel(t, client, "web"), Comment: "lab",
	})
	updated, err := client.Routes.Update(t.Context(), route.ID,
		cftunnel.RouteUpdateParams{Network: ten, TunnelID: route.TunnelID, Comment: new("lab")})
	require.NoError(t, err)
	assert.Equal(t, route, updated)
	assert.Zero(t, carriedOut(srv, opRouteUpdate))

	srv.Inject(tunneltest.Fault{Operation: opRouteUpdate, Cut: tunneltest.CutAfter})
	updated, err = client.Routes.Update(t.Context(), route.ID,
		cftunnel.RouteUpdateParams{Network: tenNine})
	require.NoError(t, err)
	assert.Equal(t, tenNine, updated.Network)
	assert.Equal(t, 1, carriedOut(srv, opRouteUpdate))

	// Any other server error is returned.
	srv.Inject(tunneltest.Fault{
		Operation: opRouteUpdate,
		Status:    500,
		Times:     tunneltest.Always,
		Body:      `{"success":false,"errors":[{"code":1000,"message":"oops"}],"messages":[],"result":null}`,
	})
	_, err = client.Routes.Update(t.Context(), route.ID,
		cftunnel.RouteUpdateParams{Comment: new("new")})
	require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	require.ErrorIs(t, err, cftunnel.ErrServer)
}

func TestRoutesLookup(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, once)
	web := newTunnel(t, client, "web")
	blue := newNetwork(t, client, "blue")
	newRoute(t, client, cftunnel.RouteCreateParams{Network: ten, TunnelID: web})
	newRoute(t, client, cftunnel.RouteCreateParams{
		Network: netip.MustParsePrefix("10.1.0.0/16"), TunnelID: web, VirtualNetworkID: blue.ID,
	})
	newRoute(t, client,
		cftunnel.RouteCreateParams{Network: netip.MustParsePrefix("2001:db8::/32"), TunnelID: web})
	for _, c := range []struct {
		addr, network string
		params        cftunnel.RouteLookupParams
	}{
		{"10.1.2.3", "10.0.0.0/8", cftunnel.RouteLookupParams{}},
		{"::ffff:10.1.2.3", "10.0.0.0/8", cftunnel.RouteLookupParams{}},
		{"2001:db8::1", "2001:db8::/32", cftunnel.RouteLookupParams{}},
		{"10.1.2.3", "10.1.0.0/16", cftunnel.RouteLookupParams{VirtualNetworkID: blue.ID}},
		{"10.2.0.1", "10.0.0.0/8", cftunnel.RouteLookupParams{VirtualNetworkID: blue.ID}},
		{"10.2.0.1", "", cftunnel.RouteLookupParams{VirtualNetworkID: blue.ID, NoFallback: true}},
		{"192.0.2.1", "", cftunnel.RouteLookupParams{}},
	} {
		route, err := client.Routes.Lookup(t.Context(), netip.MustParseAddr(c.addr), c.params)
		if c.network == "" {
			require.ErrorIs(t, err, cftunnel.ErrNotFound)
			assert.Nil(t, route)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, c.network, route.Network.String())
		assert.Equal(t, "web", route.TunnelName)
	}
	srv.Inject(
		tunneltest.Fault{
			Operation: opRouteLookup,
			Body:      `{"success":true,"errors":[],"messages":[],"result":{}}`,
		},
	)
	require.ErrorIs(t, lookUpRoute(client, ten.Addr(), ""), cftunnel.ErrNotFound,
		"empty object")
	srv.Inject(
		tunneltest.Fault{
			Operation: opRouteLookup,
			Body:      `{"success":true,"errors":[],"messages":[]}`,
		},
	)
	require.ErrorIs(t, lookUpRoute(client, ten.Addr(), ""), cftunnel.ErrNotFound,
		"no result")
	srv.Inject(tunneltest.Fault{
		Operation: opRouteLookup,
		Body:      `{"success":true,"errors":[],"messages":[],"result":{"id":"a","network":"192.0.2.0/24","tunnel_id":"b"}}`,
	})
	err := lookUpRoute(client, ten.Addr(), "")
	require.Error(t, err, "the network does not contain the address")
	require.NotErrorIs(t, err, cftunnel.ErrNotFound)
	assert.True(t, cftunnel.HasCode(lookUpRoute(client, ten.Addr(), otherID), 1046))
}
