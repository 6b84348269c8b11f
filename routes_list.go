package cftunnel

import (
	"context"
	"iter"
	"net/netip"
	"time"
)

// RouteListParams filters a list of routes. Zero fields do not filter, but a nil IsDeleted selects
// live routes.
type RouteListParams struct {
	// Within selects the routes whose CIDR is this one or inside it.
	Within netip.Prefix
	// Containing selects the routes whose CIDR is this one or contains it. If Within is the same,
	// only routes of exactly this CIDR are selected.
	Containing       netip.Prefix
	RouteID          string       // matches at most one route
	TunnelID         string       // the tunnel that the routes lead to
	VirtualNetworkID string       // the virtual network of the routes
	TunnelTypes      []TunnelType // the types of the tunnels that the routes lead to
	Comment          string       // the whole comment
	// ExistedAt selects the routes that existed at this time. To find routes that were deleted
	// since, also set IsDeleted.
	ExistedAt time.Time
	// IsDeleted selects deleted routes if it points to true, and live routes if it points to false
	// or is nil.
	IsDeleted *bool
	// Page is the page number, from 1. The default is 1. The method All starts with this page.
	Page int
	// PerPage is 1 to 1000. The default for List is set by the API; for All it is 1000.
	PerPage int
}

// routeQuery is the query of a list of routes.
type routeQuery struct {
	Within           string       `url:"network_subset,omitempty"`
	Containing       string       `url:"network_superset,omitempty"`
	RouteID          string       `url:"route_id,omitempty"`
	TunnelID         string       `url:"tunnel_id,omitempty"`
	VirtualNetworkID string       `url:"virtual_network_id,omitempty"`
	TunnelTypes      []TunnelType `url:"tun_types,omitempty,comma"`
	Comment          string       `url:"comment,omitempty"`
	ExistedAt        time.Time    `url:"existed_at,omitempty" layout:"2006-01-02T15:04:05.999999999Z07:00"`
	IsDeleted        *bool        `url:"is_deleted"`
	Page             int          `url:"page,omitempty"`
	PerPage          int          `url:"per_page,omitempty"`
}

func (p RouteListParams) query() (routeQuery, error) {
	q := routeQuery{
		RouteID: p.RouteID, TunnelID: p.TunnelID, VirtualNetworkID: p.VirtualNetworkID,
		TunnelTypes: p.TunnelTypes, Comment: p.Comment, ExistedAt: p.ExistedAt,
		IsDeleted: orFalse(p.IsDeleted), Page: p.Page, PerPage: p.PerPage,
	}
	var err error
	if q.Within, err = optionalPrefix("Within", p.Within); err != nil {
		return q, err
	}
	if q.Containing, err = optionalPrefix("Containing", p.Containing); err != nil {
		return q, err
	}
	if err := checkOptionalUUID("RouteID", p.RouteID); err != nil {
		return q, err
	}
	if err := checkOptionalUUID("TunnelID", p.TunnelID); err != nil {
		return q, err
	}
	if err := checkOptionalUUID("VirtualNetworkID", p.VirtualNetworkID); err != nil {
		return q, err
	}
	if err := checkTunnelTypes("TunnelTypes", p.TunnelTypes); err != nil {
		return q, err
	}
	return q, checkPages(p.Page, p.PerPage, 1, maxNetworkItemsPerPage)
}

// List returns one page of the account's routes. [RoutesService.All] returns every page.
//
// Operation: GET /accounts/{account_id}/teamnet/routes
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/networks/subresources/routes/methods/list/
func (s *RoutesService) List(
	ctx context.Context, params RouteListParams, opts ...CallOption,
) (*Page[Route], error) {
	query, err := params.query()
	if err != nil {
		return nil, err
	}
	r := request{operation: opRouteList, query: queryOf(query)}
	page, err := doPage(ctx, clientOf(s), r, maxNetworkItemsPerPage, checkListedRoute, opts)
	if err != nil {
		return nil, err
	}
	return mapPage(page, (*routeResponse).route), nil
}

// All returns an iterator over the routes on all pages of List. Ranging over it again sends new
// requests. An error is yielded once, with a nil route, and ends the iteration.
//
// Operation: GET /accounts/{account_id}/teamnet/routes
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/networks/subresources/routes/methods/list/
func (s *RoutesService) All(
	ctx context.Context, params RouteListParams, opts ...CallOption,
) iter.Seq2[*Route, error] {
	fetch := func(page, perPage int) (*Page[Route], error) {
		params := params
		params.Page, params.PerPage = page, perPage
		return s.List(ctx, params, opts...)
	}
	id := func(r *Route) string { return r.ID }
	return allPages(params.Page, params.PerPage, maxNetworkItemsPerPage, id, fetch)
}
