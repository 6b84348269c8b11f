package cftunnel_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func TestRoutesEnsure(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, once)
	web, shop := newTunnel(t, client, "web"), newTunnel(t, client, "shop")
	blue := newNetwork(t, client, "blue")
	fallback, err := client.VirtualNetworks.Default(t.Context())
	require.NoError(t, err)
	// Overlapping networks, and the same network in another virtual network.
	newRoute(t, client,
		cftunnel.RouteCreateParams{Network: netip.MustParsePrefix("0.0.0.0/0"), TunnelID: shop})
	newRoute(t, client, cftunnel.RouteCreateParams{Network: tenNine, TunnelID: shop})
	newRoute(t, client,
		cftunnel.RouteCreateParams{Network: ten, TunnelID: shop, VirtualNetworkID: blue.ID})
	gone := newRoute(t, client, cftunnel.RouteCreateParams{Network: ten, TunnelID: shop})
	_, err = client.Routes.Delete(t.Context(), gone.ID)
	require.NoError(t, err)

	params := cftunnel.RouteCreateParams{
		Network:  netip.MustParsePrefix("10.9.9.9/8"),
		TunnelID: web,
	}
	made, created, err := client.Routes.Ensure(t.Context(), params)
	require.NoError(t, err)
	assert.True(t, created)
	assert.Equal(t, []string{"10.0.0.0/8", web, fallback.ID},
		[]string{made.Network.String(), made.TunnelID, made.VirtualNetworkID})
	work := carriedOut(srv, opRouteCreate)
	for _, network := range []string{"", fallback.ID} {
		params.VirtualNetworkID = network
		found, created, err := client.Routes.Ensure(t.Context(), params)
		require.NoError(t, err)
		assert.False(t, created)
		assert.Equal(t, made.ID, found.ID)
	}
	for _, params := range []cftunnel.RouteCreateParams{
		{Network: ten, TunnelID: shop},
		{Network: ten, TunnelID: shop, VirtualNetworkID: fallback.ID},
		{Network: ten, TunnelID: web, VirtualNetworkID: blue.ID},
	} {
		route, created, err := client.Routes.Ensure(t.Context(), params)
		require.ErrorIs(t, err, cftunnel.ErrRouteExists)
		assert.Nil(t, route)
		assert.False(t, created)
	}
	assert.Equal(t, work, carriedOut(srv, opRouteCreate))
}

const (
	routeExists  = `{"success":false,"errors":[{"code":1014,"message":"exists"}],"messages":[],"result":null}`
	noRoute      = `{"success":false,"errors":[{"code":9999,"message":"no"}],"messages":[],"result":null}`
	defaultVNets = `{"success":true,"errors":[],"messages":[],"result":[
		{"id":"` + tunnelID + `","name":"default","is_default_network":true}]}`
)

// ensureAmong calls Ensure with a server that has these routes, ignores filters and refuses to
// create routes.
func ensureAmong(
	t *testing.T, routes, virtualNetworkID string,
) (route *cftunnel.Route, created bool, err error) {
	t.Helper()
	n := strings.Count(routes, `"id"`)
	list := fmt.Sprintf(`{"success":true,"errors":[],"messages":[],"result":[%s],
		"result_info":{"count":%d,"page":1,"per_page":1000,"total_count":%[2]d}}`, routes, n)
	client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			respond(http.StatusConflict, noRoute)(w, r)
		case strings.HasSuffix(r.URL.Path, "/virtual_networks"):
			respond(http.StatusOK, defaultVNets)(w, r)
		default:
			respond(http.StatusOK, list)(w, r)
		}
	}, once)
	return client.Routes.Ensure(t.Context(), cftunnel.RouteCreateParams{
		Network: ten, TunnelID: tunnelID, VirtualNetworkID: virtualNetworkID,
	})
}

// An old route of the default virtual network may have no virtual network ID.
func TestRoutesEnsure_RouteWithoutVirtualNetwork(t *testing.T) {
	t.Parallel()
	const route = `{"id":"a","network":"10.0.0.0/8","tunnel_id":"` + tunnelID +
		`","virtual_network_id":null}`
	for wanted, isFound := range map[string]bool{"": true, tunnelID: true, otherID: false} {
		found, created, err := ensureAmong(t, route, wanted)
		if !isFound {
			require.ErrorIs(t, err, cftunnel.ErrConflict)
			continue
		}
		require.NoError(t, err)
		assert.False(t, created)
		assert.Equal(t, "a", found.ID)
	}
}

// A server may ignore all filters, also the one for deleted routes.
func TestRoutesEnsure_ServerIgnoresFilters(t *testing.T) {
	t.Parallel()
	const to = `","tunnel_id":"` + tunnelID + `","virtual_network_id":"` + tunnelID + `"`
	const others = `{"id":"a","network":"10.0.0.0/7` + to + `},{"id":"b","network":"10.0.0.0/9` + to + `},
		{"id":"c","network":"10.0.0.0/8` + to + `,"deleted_at":"2026-01-02T03:04:05Z"}`
	_, _, err := ensureAmong(t, others, "")
	require.ErrorIs(t, err, cftunnel.ErrConflict, "Ensure tries to create a route")
	for _, wanted := range []string{"", tunnelID} {
		found, _, err := ensureAmong(t, others+`,{"id":"d","network":"10.1.2.3/8`+to+`}`, wanted)
		require.NoError(t, err)
		assert.Equal(t, "d", found.ID)
	}
}

func TestRoutesEnsure_LostResponse(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]tunneltest.Fault{
		"cut before the response": {Cut: tunneltest.CutAfter},
		"cut inside the response": {Cut: tunneltest.CutInside},
		"late 502":                {Status: 502, Work: true},
		"other conflict":          {Status: 409, Work: true, Body: `{"success":false,"errors":[]}`},
		"1014 with 400":           {Status: 400, Work: true, Body: routeExists},
		"1014 with 200":           {Status: 200, Work: true, Body: routeExists},
	} {
		srv, client := newFake(t, quick)
		web := newTunnel(t, client, "web")
		fault.Operation = opRouteCreate
		srv.Inject(fault)
		route, created, err := client.Routes.Ensure(t.Context(),
			cftunnel.RouteCreateParams{Network: ten, TunnelID: web})
		require.NoError(t, err, name)
		assert.False(t, created, "it may be the route of another program")
		assert.Equal(t, ten, route.Network)
		creates := 0
		for _, r := range srv.Requests() {
			if r.Operation == opRouteCreate {
				creates++
			}
		}
		assert.Equal(t, 1, creates, name)
	}
}

func TestRoutesEnsure_LostRequest(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, quick)
	params := cftunnel.RouteCreateParams{Network: ten, TunnelID: newTunnel(t, client, "web")}
	srv.Inject(tunneltest.Fault{Operation: opRouteCreate, Cut: tunneltest.CutBefore})
	_, created, err := client.Routes.Ensure(t.Context(), params)
	require.NoError(t, err)
	assert.True(t, created)

	params.Network = tenNine
	srv.Inject(tunneltest.Fault{Operation: opRouteCreate, Cut: tunneltest.CutBefore, Times: 2})
	_, created, err = client.Routes.Ensure(t.Context(), params)
	require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	assert.False(t, created)

	// The first create may be carried out later.
	srv.Inject(tunneltest.Fault{Operation: opRouteCreate, Cut: tunneltest.CutBefore})
	srv.Inject(tunneltest.Fault{Operation: opRouteCreate, Status: 403})
	_, _, err = client.Routes.Ensure(t.Context(), params)
	require.ErrorIs(t, err, cftunnel.ErrForbidden)
	require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
}

func TestRoutesEnsure_ListFails(t *testing.T) {
	t.Parallel()
	for _, status := range []int{403, 404, 500} {
		srv, client := newFake(t, once)
		srv.Inject(tunneltest.Fault{Operation: opRouteList, Status: status, Body: noRoute})
		_, _, err := client.Routes.Ensure(t.Context(),
			cftunnel.RouteCreateParams{Network: ten, TunnelID: tunnelID})
		require.Error(t, err)
		require.NotErrorIs(t, err, cftunnel.ErrNotFound)
		assert.Len(t, srv.Requests(), 1)
	}
}

func TestRoutesEnsure_Concurrent(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	web := newTunnel(t, client, "web")
	var group sync.WaitGroup
	var mu sync.Mutex
	ids, creators := map[string]bool{}, 0
	for range 8 {
		group.Go(func() {
			route, created, err := client.Routes.Ensure(t.Context(),
				cftunnel.RouteCreateParams{Network: ten, TunnelID: web})
			if !assert.NoError(t, err) {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ids[route.ID] = true
			if created {
				creators++
			}
		})
	}
	group.Wait()
	assert.Len(t, ids, 1)
	assert.Equal(t, 1, creators)
	assert.Equal(t, 1, carriedOut(srv, opRouteCreate))
}
