package cftunnel

import (
	"context"
	"iter"
	"net/http"
	"strings"
	"time"
)

// HostnameRoutesService manages the routes of private hostnames. Only devices that use WARP or
// Cloudflare Gateway can reach a private hostname. Gateway is Cloudflare's filter for outgoing
// traffic. A private hostname needs no DNS record.
type HostnameRoutesService service

// HostnameRoute sends the traffic for a private hostname to a tunnel.
type HostnameRoute struct {
	ID         string     `json:"id"`                    // a UUID
	Hostname   string     `json:"hostname"`              // private; has at most one live route
	Comment    string     `json:"comment"`               // empty if there is none
	TunnelID   string     `json:"tunnel_id"`             // the tunnel that the traffic is sent to
	TunnelName string     `json:"tunnel_name,omitempty"` // the name of that tunnel
	TunnelType TunnelType `json:"tun_type,omitempty"`    // the type of that tunnel
	CreatedAt  time.Time  `json:"created_at,omitzero"`   // has microsecond precision
	// DeletedAt is zero for a live route.
	DeletedAt time.Time `json:"deleted_at,omitzero"`
}

// IsDeleted reports whether the route is deleted.
func (r HostnameRoute) IsDeleted() bool { return !r.DeletedAt.IsZero() }

// HostnameRouteCreateParams describes a new hostname route.
type HostnameRouteCreateParams struct {
	// Hostname has at most 255 characters. Required.
	Hostname string
	// TunnelID is the tunnel that the traffic is sent to. Required.
	TunnelID string
	// Comment has at most 100 characters. The default is none.
	Comment string
}

// HostnameRouteUpdateParams says what to change. Zero fields stay as they are. If all are zero,
// Update returns an error.
type HostnameRouteUpdateParams struct {
	Hostname string // the new hostname
	TunnelID string // the new tunnel
	// Comment replaces the comment. A pointer to "" clears it; nil leaves it as it is.
	Comment *string
}

// HostnameRouteListParams filters a list of hostname routes. Zero fields do not filter, but a nil
// IsDeleted selects live routes.
type HostnameRouteListParams struct {
	ID       string `url:"id,omitempty"`        // matches at most one route
	Hostname string `url:"hostname,omitempty"`  // a part of the hostname; case is ignored
	TunnelID string `url:"tunnel_id,omitempty"` // the tunnel that the routes lead to
	Comment  string `url:"comment,omitempty"`   // the whole comment
	// ExistedAt selects the routes that existed at this time. To find routes that were deleted
	// since, also set IsDeleted.
	ExistedAt time.Time `url:"existed_at,omitempty" layout:"2006-01-02T15:04:05.999999999Z07:00"`
	// IsDeleted selects deleted routes if it points to true, and live routes if it points to false
	// or is nil.
	IsDeleted *bool `url:"is_deleted"`
	// Page is the page number, from 1. The default is 1. The method All starts with this page.
	Page int `url:"page,omitempty"`
	// PerPage is 1 to 1000. The default for List is set by the API; for All it is 1000.
	PerPage int `url:"per_page,omitempty"`
}

const (
	hostRoutesPath = "/accounts/{account_id}/zerotrust/routes/hostname"
	hostRoutePath  = hostRoutesPath + "/{hostname_route_id}"
)

// The operations of HostnameRoutesService.
var (
	opHostRouteCreate = op("HostnameRoutes.Create", http.MethodPost, hostRoutesPath, networksWrite)
	opHostRouteGet    = op("HostnameRoutes.Get", http.MethodGet, hostRoutePath, networksRead)
	opHostRouteList   = op("HostnameRoutes.List", http.MethodGet, hostRoutesPath, networksRead)
	opHostRouteUpdate = op("HostnameRoutes.Update", http.MethodPatch, hostRoutePath, networksWrite)
	opHostRouteDelete = op("HostnameRoutes.Delete", http.MethodDelete, hostRoutePath, networksWrite)
)

// Create creates a hostname route.
//
// The request is retried only if it certainly was not carried out. Create returns [ErrConflict] if
// the hostname already has a route, and [ErrOutcomeUnknown] if the route may have been created:
// search for it by its hostname with [HostnameRoutesService.List].
//
// Operation: POST /accounts/{account_id}/zerotrust/routes/hostname
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/networks/subresources/hostname_routes/methods/create/
func (s *HostnameRoutesService) Create(
	ctx context.Context, params HostnameRouteCreateParams, opts ...CallOption,
) (*HostnameRoute, error) {
	if err := checkName("Hostname", params.Hostname); err != nil {
		return nil, err
	}
	if err := checkUUID("TunnelID", params.TunnelID); err != nil {
		return nil, err
	}
	r := request{operation: opHostRouteCreate, body: struct {
		Hostname string `json:"hostname"`
		TunnelID string `json:"tunnel_id"`
		Comment  string `json:"comment,omitempty"`
	}{params.Hostname, params.TunnelID, params.Comment}}
	return doItem(ctx, clientOf(s), r, func(r *HostnameRoute) error {
		if r.TunnelID != "" && !strings.EqualFold(r.TunnelID, params.TunnelID) {
			return errOtherID
		}
		return checkListedHostnameRoute(r)
	}, opts)
}

// Get returns a hostname route by ID.
//
// It returns [ErrNotFound] if the route is unknown or deleted.
//
// Operation: GET /accounts/{account_id}/zerotrust/routes/hostname/{hostname_route_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/networks/subresources/hostname_routes/methods/get/
func (s *HostnameRoutesService) Get(
	ctx context.Context, hostnameRouteID string, opts ...CallOption,
) (*HostnameRoute, error) {
	r := request{operation: opHostRouteGet, ids: []string{hostnameRouteID}}
	return doItem(ctx, clientOf(s), r, checkHostnameRoute(hostnameRouteID), opts)
}

// List returns one page of the account's hostname routes. [HostnameRoutesService.All] returns every
// page.
//
// Operation: GET /accounts/{account_id}/zerotrust/routes/hostname
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/networks/subresources/hostname_routes/methods/list/
func (s *HostnameRoutesService) List(
	ctx context.Context, params HostnameRouteListParams, opts ...CallOption,
) (*Page[HostnameRoute], error) {
	if err := checkOptionalUUID("ID", params.ID); err != nil {
		return nil, err
	}
	if err := checkOptionalUUID("TunnelID", params.TunnelID); err != nil {
		return nil, err
	}
	if err := checkPages(params.Page, params.PerPage, 1, maxNetworkItemsPerPage); err != nil {
		return nil, err
	}
	params.IsDeleted = orFalse(params.IsDeleted)
	r := request{operation: opHostRouteList, query: queryOf(params)}
	return doPage(ctx, clientOf(s), r, maxNetworkItemsPerPage, checkListedHostnameRoute, opts)
}

// All returns an iterator over the hostname routes on all pages of List. Ranging over it again
// sends new requests. An error is yielded once, with a nil route, and ends the iteration.
//
// Operation: GET /accounts/{account_id}/zerotrust/routes/hostname
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/networks/subresources/hostname_routes/methods/list/
func (s *HostnameRoutesService) All(
	ctx context.Context, params HostnameRouteListParams, opts ...CallOption,
) iter.Seq2[*HostnameRoute, error] {
	fetch := func(page, perPage int) (*Page[HostnameRoute], error) {
		params := params
		params.Page, params.PerPage = page, perPage
		return s.List(ctx, params, opts...)
	}
	id := func(r *HostnameRoute) string { return r.ID }
	return allPages(params.Page, params.PerPage, maxNetworkItemsPerPage, id, fetch)
}

// Update changes a hostname route and returns it. Only the fields that are set are sent.
//
// It returns [ErrNotFound] if the route is unknown or deleted, [ErrConflict] if the hostname has
// another route, and [ErrOutcomeUnknown] if the route may have been changed. The API refuses an
// update that changes nothing. Update then reads the route, and returns it if it has the requested
// values.
//
// Operation: PATCH /accounts/{account_id}/zerotrust/routes/hostname/{hostname_route_id}
//
// Operation: GET /accounts/{account_id}/zerotrust/routes/hostname/{hostname_route_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/networks/subresources/hostname_routes/methods/edit/
func (s *HostnameRoutesService) Update(
	ctx context.Context, hostnameRouteID string, params HostnameRouteUpdateParams,
	opts ...CallOption,
) (*HostnameRoute, error) {
	if err := params.validate(); err != nil {
		return nil, err
	}
	r := request{operation: opHostRouteUpdate, ids: []string{hostnameRouteID}, body: struct {
		Hostname string  `json:"hostname,omitempty"`
		TunnelID string  `json:"tunnel_id,omitempty"`
		Comment  *string `json:"comment,omitempty"`
	}{params.Hostname, params.TunnelID, params.Comment}}
	route, err := doItem(ctx, clientOf(s), r, checkHostnameRoute(hostnameRouteID), opts)
	get := func() (*HostnameRoute, error) { return s.Get(ctx, hostnameRouteID, opts...) }
	return confirmUpdate(route, err, get, params.describes)
}

// Delete deletes a hostname route and returns it. If the response does not contain the route, only
// ID is set.
//
// It returns [ErrNotFound] if the route is unknown or already deleted, and [ErrOutcomeUnknown] if
// the route may have been deleted. Deleting a tunnel also deletes its routes: if you delete the
// tunnel before the route, treat [ErrNotFound] as success.
//
// Operation: DELETE /accounts/{account_id}/zerotrust/routes/hostname/{hostname_route_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/networks/subresources/hostname_routes/methods/delete/
func (s *HostnameRoutesService) Delete(
	ctx context.Context, hostnameRouteID string, opts ...CallOption,
) (*HostnameRoute, error) {
	r := request{operation: opHostRouteDelete, ids: []string{hostnameRouteID}}
	check := func(r *HostnameRoute) error { return checkDeletedID(r.ID, hostnameRouteID) }
	route, err := doDelete(ctx, clientOf(s), r, check, opts)
	switch {
	case err != nil:
		return nil, err
	case route == nil || route.ID == "":
		return &HostnameRoute{ID: hostnameRouteID}, nil
	}
	return route, nil
}

func (p HostnameRouteUpdateParams) validate() error {
	if p == (HostnameRouteUpdateParams{}) {
		return invalid("params", "changes nothing: set Hostname, TunnelID or Comment")
	}
	if p.Hostname != "" {
		if err := checkName("Hostname", p.Hostname); err != nil {
			return err
		}
	}
	return checkOptionalUUID("TunnelID", p.TunnelID)
}

// describes reports whether a route is live and has every value that the parameters set.
func (p HostnameRouteUpdateParams) describes(r HostnameRoute) bool {
	return !r.IsDeleted() &&
		(p.Hostname == "" || strings.EqualFold(r.Hostname, p.Hostname)) &&
		(p.TunnelID == "" || strings.EqualFold(r.TunnelID, p.TunnelID)) &&
		(p.Comment == nil || r.Comment == *p.Comment)
}

// checkHostnameRoute returns a check that a response is about the requested route.
func checkHostnameRoute(id string) func(*HostnameRoute) error {
	return func(r *HostnameRoute) error { return checkID(r.ID, id) }
}

func checkListedHostnameRoute(r *HostnameRoute) error { return checkPathID(r.ID) }
