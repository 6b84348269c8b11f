package cftunnel

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// RoutesService manages the CIDR routes of private networks.
type RoutesService service

// Route sends the traffic for a CIDR in a virtual network to a tunnel.
type Route struct {
	ID string `json:"id"` // a UUID
	// Network is the CIDR. A single address is a /32 or a /128.
	Network  netip.Prefix `json:"network"`
	TunnelID string       `json:"tunnel_id"` // the tunnel that the traffic is sent to
	// TunnelName and TunnelType are set by List, All and Lookup only.
	TunnelName string     `json:"tunnel_name,omitempty"`
	TunnelType TunnelType `json:"tun_type,omitempty"`
	// VirtualNetworkID is empty for some old routes, which belong to the default virtual network.
	VirtualNetworkID string `json:"virtual_network_id,omitempty"`
	// VirtualNetworkName is set by List, All and Lookup only.
	VirtualNetworkName string    `json:"virtual_network_name,omitempty"`
	Comment            string    `json:"comment"`             // empty if there is none
	CreatedAt          time.Time `json:"created_at,omitzero"` // has microsecond precision
	// DeletedAt is zero for a live route.
	DeletedAt time.Time `json:"deleted_at,omitzero"`
}

// IsDeleted reports whether the route is deleted.
func (r Route) IsDeleted() bool { return !r.DeletedAt.IsZero() }

// RouteCreateParams describes a new route.
type RouteCreateParams struct {
	// Network is the CIDR: a /32 or a /128 for a single address. Host bits are cleared before it is
	// sent. Required.
	Network netip.Prefix
	// TunnelID is the tunnel that the traffic is sent to. Required.
	TunnelID string
	// VirtualNetworkID is the virtual network of the route. The default is the account's default
	// virtual network.
	VirtualNetworkID string
	// Comment has at most 100 characters. The default is none.
	Comment string
}

// RouteUpdateParams says what to change. Zero fields stay as they are. If all are zero, Update
// returns an error.
type RouteUpdateParams struct {
	Network          netip.Prefix // host bits are cleared before it is sent
	TunnelID         string       // the new tunnel
	VirtualNetworkID string       // the new virtual network
	// Comment replaces the comment. A pointer to "" clears it; nil leaves it as it is.
	Comment *string
}

// RouteLookupParams selects the virtual network to search.
type RouteLookupParams struct {
	// VirtualNetworkID is the virtual network to search. The default is the account's default
	// virtual network.
	VirtualNetworkID string
	// NoFallback limits the search to that virtual network. If it is false, the default virtual
	// network is searched too.
	NoFallback bool
}

const (
	routesPath = "/accounts/{account_id}/teamnet/routes"
	routePath  = routesPath + "/{route_id}"
)

// The operations of RoutesService.
var (
	opRouteCreate = op("Routes.Create", http.MethodPost, routesPath, networksWrite)
	opRouteGet    = op("Routes.Get", http.MethodGet, routePath, networksRead)
	opRouteList   = op("Routes.List", http.MethodGet, routesPath, networksRead)
	opRouteUpdate = op("Routes.Update", http.MethodPatch, routePath, networksWrite)
	opRouteDelete = op("Routes.Delete", http.MethodDelete, routePath, networksWrite)
	opRouteLookup = op("Routes.Lookup", http.MethodGet, routesPath+"/ip/{ip}", networksRead)
)

// Create creates a route.
//
// The request is retried only if it certainly was not carried out. Create returns [ErrRouteExists]
// if the virtual network already has a route for this CIDR, and [ErrOutcomeUnknown] if the route
// may have been created: call [RoutesService.Ensure] with the same params.
//
// Operation: POST /accounts/{account_id}/teamnet/routes
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/networks/subresources/routes/methods/create/
func (s *RoutesService) Create(
	ctx context.Context, params RouteCreateParams, opts ...CallOption,
) (*Route, error) {
	params, err := params.canonical()
	if err != nil {
		return nil, err
	}
	r := request{operation: opRouteCreate, body: struct {
		Network          string `json:"network"`
		TunnelID         string `json:"tunnel_id"`
		VirtualNetworkID string `json:"virtual_network_id,omitempty"`
		Comment          string `json:"comment,omitempty"`
	}{params.Network.String(), params.TunnelID, params.VirtualNetworkID, params.Comment}}
	return doRoute(ctx, s, r, params.check, opts)
}

// Get returns a route by ID. The API may return a deleted route, with DeletedAt set.
//
// It returns [ErrNotFound] if the API does not return the route.
//
// Operation: GET /accounts/{account_id}/teamnet/routes/{route_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/networks/subresources/routes/methods/get/
func (s *RoutesService) Get(
	ctx context.Context, routeID string, opts ...CallOption,
) (*Route, error) {
	r := request{operation: opRouteGet, ids: []string{routeID}}
	return doRoute(ctx, s, r, checkRoute(routeID), opts)
}

// Lookup returns the route for traffic to an address. If several routes contain the address, it is
// the one with the longest prefix.
//
// It returns [ErrNotFound] if no route contains the address. It also returns [ErrNotFound], with
// code 1046, if the virtual network is unknown or deleted.
//
// Operation: GET /accounts/{account_id}/teamnet/routes/ip/{ip}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/networks/subresources/routes/subresources/ips/methods/get/
func (s *RoutesService) Lookup(
	ctx context.Context, addr netip.Addr, params RouteLookupParams, opts ...CallOption,
) (*Route, error) {
	addr, err := canonicalAddr("addr", addr)
	if err != nil {
		return nil, err
	}
	if err := checkOptionalUUID("VirtualNetworkID", params.VirtualNetworkID); err != nil {
		return nil, err
	}
	query := struct {
		VirtualNetworkID string `url:"virtual_network_id,omitempty"`
		Fallback         *bool  `url:"default_virtual_network_fallback,omitempty"`
	}{VirtualNetworkID: params.VirtualNetworkID}
	if params.NoFallback {
		query.Fallback = new(false)
	}
	r := request{operation: opRouteLookup, ids: []string{addr.String()}, query: queryOf(query)}
	route, err := doOptional(ctx, clientOf(s), r, func(r *routeResponse) error {
		switch {
		case *r == (routeResponse{}):
			return nil // an empty object means no route, like null
		case !netip.Prefix(r.Network).Contains(addr):
			return errOtherID
		}
		return checkListedRoute(r)
	}, opts)
	switch {
	case err != nil:
		return nil, err
	case route == nil || *route == (routeResponse{}):
		return nil, fmt.Errorf("cftunnel: no route contains %s: %w", addr, ErrNotFound)
	}
	return new(route.route()), nil
}

// Update changes a route and returns it. Only the fields that are set are sent.
//
// It returns [ErrNotFound] if the route is unknown or deleted, [ErrRouteExists] if the virtual
// network has another route for the CIDR, and [ErrOutcomeUnknown] if the route may have been
// changed. The API refuses an update that changes nothing. Update then reads the route, and returns
// it if it has the requested values.
//
// Operation: PATCH /accounts/{account_id}/teamnet/routes/{route_id}
//
// Operation: GET /accounts/{account_id}/teamnet/routes/{route_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/networks/subresources/routes/methods/edit/
func (s *RoutesService) Update(
	ctx context.Context, routeID string, params RouteUpdateParams, opts ...CallOption,
) (*Route, error) {
	params, err := params.canonical()
	if err != nil {
		return nil, err
	}
	body := struct {
		Network          string  `json:"network,omitempty"`
		TunnelID         string  `json:"tunnel_id,omitempty"`
		VirtualNetworkID string  `json:"virtual_network_id,omitempty"`
		Comment          *string `json:"comment,omitempty"`
	}{TunnelID: params.TunnelID, VirtualNetworkID: params.VirtualNetworkID, Comment: params.Comment}
	if params.Network.IsValid() {
		body.Network = params.Network.String()
	}
	r := request{operation: opRouteUpdate, ids: []string{routeID}, body: body}
	route, err := doRoute(ctx, s, r, checkRoute(routeID), opts)
	get := func() (*Route, error) { return s.Get(ctx, routeID, opts...) }
	return confirmUpdate(route, err, get, params.describes)
}

// Delete deletes a route and returns it. If the response does not contain the route, only ID is
// set.
//
// It returns [ErrNotFound] if the route is unknown or already deleted, and [ErrOutcomeUnknown] if
// the route may have been deleted. Deleting a tunnel also deletes its routes: if you delete the
// tunnel before the route, treat [ErrNotFound] as success.
//
// Operation: DELETE /accounts/{account_id}/teamnet/routes/{route_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/networks/subresources/routes/methods/delete/
func (s *RoutesService) Delete(
	ctx context.Context, routeID string, opts ...CallOption,
) (*Route, error) {
	r := request{operation: opRouteDelete, ids: []string{routeID}}
	check := func(r *routeResponse) error { return checkDeletedID(r.ID, routeID) }
	route, err := doDelete(ctx, clientOf(s), r, check, opts)
	switch {
	case err != nil:
		return nil, err
	case route == nil || route.ID == "":
		return &Route{ID: routeID}, nil
	}
	return new(route.route()), nil
}

// routeResponse is a route in a response.
type routeResponse struct {
	Route
	Network networkResponse `json:"network"`
}

func (r *routeResponse) route() Route {
	r.Route.Network = netip.Prefix(r.Network)
	return r.Route
}

// doRoute sends a request whose result is a route.
func doRoute(
	ctx context.Context, s *RoutesService, r request, check func(*routeResponse) error,
	opts []CallOption,
) (*Route, error) {
	response, err := doItem(ctx, clientOf(s), r, check, opts)
	if err != nil {
		return nil, err
	}
	return new(response.route()), nil
}

// canonical checks the parameters and returns them as the API stores them.
func (p RouteCreateParams) canonical() (RouteCreateParams, error) {
	var err error
	if p.Network, err = canonicalPrefix("Network", p.Network); err != nil {
		return p, err
	}
	if err := checkUUID("TunnelID", p.TunnelID); err != nil {
		return p, err
	}
	if err := checkOptionalUUID("VirtualNetworkID", p.VirtualNetworkID); err != nil {
		return p, err
	}
	return p, checkText("Comment", p.Comment)
}

// check returns an error if the response to a create is about another route.
func (p RouteCreateParams) check(r *routeResponse) error {
	got, want := r.VirtualNetworkID, p.VirtualNetworkID
	if !isNetwork(r.Network, p.Network) || !strings.EqualFold(r.TunnelID, p.TunnelID) ||
		want != "" && got != "" && !strings.EqualFold(got, want) {
		return errOtherID
	}
	return checkListedRoute(r)
}

// canonical checks the parameters and returns them as the API stores them.
func (p RouteUpdateParams) canonical() (RouteUpdateParams, error) {
	if p == (RouteUpdateParams{}) {
		return p, invalid("params",
			"changes nothing: set Network, TunnelID, VirtualNetworkID or Comment")
	}
	if p.Network != (netip.Prefix{}) {
		var err error
		if p.Network, err = canonicalPrefix("Network", p.Network); err != nil {
			return p, err
		}
	}
	if err := checkOptionalUUID("TunnelID", p.TunnelID); err != nil {
		return p, err
	}
	if err := checkOptionalUUID("VirtualNetworkID", p.VirtualNetworkID); err != nil {
		return p, err
	}
	return p, nil
}

// describes reports whether a route is live and has every value that the parameters set.
func (p RouteUpdateParams) describes(r Route) bool {
	return !r.IsDeleted() &&
		(!p.Network.IsValid() || r.Network.Masked() == p.Network) &&
		(p.TunnelID == "" || strings.EqualFold(r.TunnelID, p.TunnelID)) &&
		(p.VirtualNetworkID == "" || strings.EqualFold(r.VirtualNetworkID, p.VirtualNetworkID)) &&
		(p.Comment == nil || r.Comment == *p.Comment)
}

// checkRoute returns a check that a response is about the requested route and has a network.
func checkRoute(id string) func(*routeResponse) error {
	return func(r *routeResponse) error {
		if err := checkID(r.ID, id); err != nil {
			return err
		}
		return r.checkNetwork()
	}
}

// checkListedRoute returns an error if a route has no ID or no network.
func checkListedRoute(r *routeResponse) error {
	if err := checkPathID(r.ID); err != nil {
		return err
	}
	return r.checkNetwork()
}

func (r *routeResponse) checkNetwork() error {
	if !netip.Prefix(r.Network).IsValid() {
		return errors.New("its network is missing")
	}
	return nil
}
