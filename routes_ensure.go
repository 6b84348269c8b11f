package cftunnel

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Ensure returns the route of params.Network to params.TunnelID, and creates it if there is none.
// It ignores routes in other virtual networks than that of params.
//
// It can be called again at any time, also after it failed, and by several programs at once.
// created is true if this call created the route, and false if the route existed or it is unknown
// which call created it. A route that existed before keeps its comment. If the response to the POST
// request is lost, Ensure looks for the route, and sends the request once more only if it finds
// none. A virtual network cannot have two routes for one CIDR.
//
// It returns [ErrRouteExists] if the CIDR is routed to another tunnel, and [ErrOutcomeUnknown] if
// the responses to both POST requests were lost and the route was not found.
//
// Operation: GET /accounts/{account_id}/teamnet/routes
//
// Operation: POST /accounts/{account_id}/teamnet/routes
//
// Operation: GET /accounts/{account_id}/teamnet/virtual_networks
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/networks/subresources/routes/methods/create/
func (s *RoutesService) Ensure(
	ctx context.Context, params RouteCreateParams, opts ...CallOption,
) (r *Route, created bool, err error) {
	params, err = params.canonical()
	if err != nil {
		return nil, false, err
	}
	found, err := s.findExact(ctx, params, opts)
	if found != nil || err != nil {
		return found, false, err
	}
	var lost error // of the first create
	for range 2 {
		if r, err = s.Create(ctx, params, opts...); err == nil {
			return r, true, nil
		}
		conflict := isRouteConflict(err)
		if !conflict && !errors.Is(err, ErrOutcomeUnknown) {
			return nil, false, joinCauses(err, lost)
		}
		// The route may have been created, by this call or by another at the same time.
		found, findErr := s.findExact(ctx, params, opts)
		switch {
		case found != nil:
			return found, false, nil
		case errors.Is(findErr, ErrRouteExists):
			return nil, false, findErr
		case findErr != nil:
			return nil, false, fmt.Errorf("%w; and looking for the route failed: %w",
				joinCauses(err, lost), findErr)
		case conflict:
			return nil, false, joinCauses(err, lost)
		}
		lost = err
	}
	return nil, false, err
}

// isRouteConflict reports whether a create may have failed because the route exists: it has the
// code for that, or the status 409.
func isRouteConflict(err error) bool {
	return errors.Is(err, ErrRouteExists) || errors.Is(err, ErrConflict)
}

// findExact returns the live route of exactly this CIDR in this virtual network, or nil. If the
// route leads to another tunnel, the error is ErrRouteExists.
func (s *RoutesService) findExact(
	ctx context.Context, params RouteCreateParams, opts []CallOption,
) (*Route, error) {
	filter := RouteListParams{
		Within: params.Network, Containing: params.Network,
		VirtualNetworkID: params.VirtualNetworkID,
	}
	sameNetwork := s.networkComparer(ctx, params.VirtualNetworkID, opts)
	for route, err := range s.All(ctx, filter, opts...) {
		if err != nil {
			return nil, listFailed(err)
		}
		if route.Network.Masked() != params.Network || route.IsDeleted() {
			continue
		}
		same, err := sameNetwork(route.VirtualNetworkID)
		switch {
		case err != nil:
			return nil, err
		case !same:
			continue
		case !strings.EqualFold(route.TunnelID, params.TunnelID):
			return nil, fmt.Errorf("cftunnel: %s is routed to tunnel %s by route %s: %w",
				params.Network, route.TunnelID, route.ID, ErrRouteExists)
		}
		return route, nil
	}
	return nil, nil
}

// networkComparer returns a function that reports whether an ID is that of the wanted virtual
// network. The ID "" is the default one, which is read only if a comparison depends on it.
func (s *RoutesService) networkComparer(
	ctx context.Context, wanted string, opts []CallOption,
) func(id string) (bool, error) {
	defaultID := ""
	return func(id string) (bool, error) {
		if (id == "") == (wanted == "") {
			return strings.EqualFold(id, wanted), nil
		}
		if defaultID == "" {
			network, err := s.client.VirtualNetworks.Default(ctx, opts...)
			if err != nil {
				return false, fmt.Errorf("cftunnel: finding the default virtual network failed: %w",
					err)
			}
			defaultID = network.ID
		}
		return strings.EqualFold(id+wanted, defaultID), nil // one of the two is empty
	}
}
