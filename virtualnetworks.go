package cftunnel

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"time"
)

// VirtualNetworksService manages virtual networks. Each virtual network has its own routes, so that
// two sites can use the same CIDR. Every account has exactly one default virtual network.
type VirtualNetworksService service

// VirtualNetwork is a set of routes with at most one route for each CIDR.
type VirtualNetwork struct {
	ID        string    `json:"id"`                  // a UUID
	Name      string    `json:"name"`                // unique among the live virtual networks
	Comment   string    `json:"comment"`             // empty if there is none
	IsDefault bool      `json:"is_default_network"`  // routes without a virtual network belong to it
	CreatedAt time.Time `json:"created_at,omitzero"` // has microsecond precision
	// DeletedAt is zero for a live virtual network.
	DeletedAt time.Time `json:"deleted_at,omitzero"`
}

// IsDeleted reports whether the virtual network is deleted.
func (n VirtualNetwork) IsDeleted() bool { return !n.DeletedAt.IsZero() }

// VirtualNetworkCreateParams describes a new virtual network.
type VirtualNetworkCreateParams struct {
	// Name must be unique among the account's live virtual networks. It has at most 256 characters.
	// Required.
	Name string
	// Comment has at most 256 characters. The default is none.
	Comment string
	// IsDefault makes it the default virtual network, in place of the current one.
	IsDefault bool
}

// VirtualNetworkUpdateParams says what to change. Zero fields stay as they are. If all are zero,
// Update returns an error.
type VirtualNetworkUpdateParams struct {
	Name string // the new name
	// Comment replaces the comment. A pointer to "" clears it; nil leaves it as it is.
	Comment *string
	// IsDefault makes it the default virtual network, in place of the current one. To end that,
	// make another one the default.
	IsDefault bool
}

// VirtualNetworkDeleteParams says how to delete a virtual network.
type VirtualNetworkDeleteParams struct {
	// Force also deletes the routes of the virtual network, and moves its devices to the default
	// virtual network. Cloudflare does not document it; cloudflared uses it.
	Force bool `url:"force,omitempty"`
}

// VirtualNetworkListParams filters a list of virtual networks. Zero fields do not filter, but a nil
// IsDeleted selects live virtual networks.
type VirtualNetworkListParams struct {
	ID        string `url:"id,omitempty"`                 // matches at most one
	Name      string `url:"name,omitempty"`               // the whole name
	IsDefault *bool  `url:"is_default_network,omitempty"` // true selects only the default one
	// IsDeleted selects deleted virtual networks if it points to true, and live ones if it points
	// to false or is nil.
	IsDeleted *bool `url:"is_deleted"`
	// Page is the page number, from 1. The default is 1. The method All starts with this page. The
	// API may return all virtual networks at once instead.
	Page int `url:"page,omitempty"`
	// PerPage is 1 to 1000. The default for List is set by the API; for All it is 1000.
	PerPage int `url:"per_page,omitempty"`
}

const (
	networksPath = "/accounts/{account_id}/teamnet/virtual_networks"
	networkPath  = networksPath + "/{virtual_network_id}"
)

// maxNetworks is the most virtual networks in one response. A response without pages has all of
// them.
const maxNetworks = 10_000

// The operations of VirtualNetworksService.
var (
	opNetworkCreate = op("VirtualNetworks.Create", http.MethodPost, networksPath, networksWrite)
	opNetworkGet    = op("VirtualNetworks.Get", http.MethodGet, networkPath, networksRead)
	opNetworkList   = op("VirtualNetworks.List", http.MethodGet, networksPath, networksRead)
	opNetworkUpdate = op("VirtualNetworks.Update", http.MethodPatch, networkPath, networksWrite)
	opNetworkDelete = op("VirtualNetworks.Delete", http.MethodDelete, networkPath, networksWrite)
)

// Create creates a virtual network.
//
// The request is retried only if it certainly was not carried out. Create returns [ErrConflict] if
// the name is taken, and [ErrOutcomeUnknown] if the virtual network may have been created: search
// for it with [VirtualNetworksService.FindByName].
//
// Operation: POST /accounts/{account_id}/teamnet/virtual_networks
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/networks/subresources/virtual_networks/methods/create/
func (s *VirtualNetworksService) Create(
	ctx context.Context, params VirtualNetworkCreateParams, opts ...CallOption,
) (*VirtualNetwork, error) {
	if err := checkName("Name", params.Name); err != nil {
		return nil, err
	}
	return doItem(ctx, clientOf(s), request{operation: opNetworkCreate, body: struct {
		Name      string `json:"name"`
		Comment   string `json:"comment,omitempty"`
		IsDefault bool   `json:"is_default_network,omitempty"`
	}{params.Name, params.Comment, params.IsDefault}}, checkListedNetwork, opts)
}

// Get returns a virtual network by ID.
//
// It returns [ErrNotFound] if the virtual network is unknown or deleted.
//
// Operation: GET /accounts/{account_id}/teamnet/virtual_networks/{virtual_network_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/networks/subresources/virtual_networks/methods/get/
func (s *VirtualNetworksService) Get(
	ctx context.Context, virtualNetworkID string, opts ...CallOption,
) (*VirtualNetwork, error) {
	r := request{operation: opNetworkGet, ids: []string{virtualNetworkID}}
	return doItem(ctx, clientOf(s), r, checkNetwork(virtualNetworkID), opts)
}

// List returns one page of the account's virtual networks. The API may return all of them at once
// instead: Info of the result is then zero. [VirtualNetworksService.All] returns every page.
//
// Operation: GET /accounts/{account_id}/teamnet/virtual_networks
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/networks/subresources/virtual_networks/methods/list/
func (s *VirtualNetworksService) List(
	ctx context.Context, params VirtualNetworkListParams, opts ...CallOption,
) (*Page[VirtualNetwork], error) {
	if err := checkOptionalUUID("ID", params.ID); err != nil {
		return nil, err
	}
	if err := checkPages(params.Page, params.PerPage, 1, maxNetworkItemsPerPage); err != nil {
		return nil, err
	}
	params.IsDeleted = orFalse(params.IsDeleted)
	r := request{operation: opNetworkList, query: queryOf(params)}
	return doPage(ctx, clientOf(s), r, maxNetworks, checkListedNetwork, opts)
}

// All returns an iterator over the virtual networks on all pages of List. Ranging over it again
// sends new requests. An error is yielded once, with a nil virtual network, and ends the iteration.
//
// Operation: GET /accounts/{account_id}/teamnet/virtual_networks
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/networks/subresources/virtual_networks/methods/list/
func (s *VirtualNetworksService) All(
	ctx context.Context, params VirtualNetworkListParams, opts ...CallOption,
) iter.Seq2[*VirtualNetwork, error] {
	fetch := func(page, perPage int) (*Page[VirtualNetwork], error) {
		params := params
		params.Page, params.PerPage = page, perPage
		got, err := s.List(ctx, params, opts...)
		if err == nil {
			got.whole = isWholeNetworkList(got, perPage)
		}
		return got, err
	}
	id := func(n *VirtualNetwork) string { return n.ID }
	return allPages(params.Page, params.PerPage, maxNetworkItemsPerPage, id, fetch)
}

// isWholeNetworkList reports whether the page has all virtual networks because the server has no
// pages. Such a server sends no result_info, a part of it, or more items than the page size it
// reports.
func isWholeNetworkList(p *Page[VirtualNetwork], perPage int) bool {
	switch info := p.Info; {
	case info == (PageInfo{}):
		return true
	case info.PerPage > 0:
		return len(p.Items) > info.PerPage
	default:
		return info.TotalCount == 0 && len(p.Items) < perPage
	}
}

// Update changes a virtual network and returns it. Only the fields that are set are sent.
//
// It returns [ErrNotFound] if the virtual network is unknown or deleted, [ErrConflict] if the name
// is taken, and [ErrOutcomeUnknown] if the virtual network may have been changed. The API refuses
// an update that changes nothing. Update then reads the virtual network, and returns it if it has
// the requested values.
//
// Operation: PATCH /accounts/{account_id}/teamnet/virtual_networks/{virtual_network_id}
//
// Operation: GET /accounts/{account_id}/teamnet/virtual_networks/{virtual_network_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/networks/subresources/virtual_networks/methods/edit/
func (s *VirtualNetworksService) Update(
	ctx context.Context, virtualNetworkID string, params VirtualNetworkUpdateParams,
	opts ...CallOption,
) (*VirtualNetwork, error) {
	if err := params.validate(); err != nil {
		return nil, err
	}
	r := request{operation: opNetworkUpdate, ids: []string{virtualNetworkID}, body: struct {
		Name      string  `json:"name,omitempty"`
		Comment   *string `json:"comment,omitempty"`
		IsDefault bool    `json:"is_default_network,omitempty"`
	}{params.Name, params.Comment, params.IsDefault}}
	network, err := doItem(ctx, clientOf(s), r, checkNetwork(virtualNetworkID), opts)
	get := func() (*VirtualNetwork, error) { return s.Get(ctx, virtualNetworkID, opts...) }
	return confirmUpdate(network, err, get, params.describes)
}

// Delete deletes a virtual network and returns it. If the response does not contain the virtual
// network, only ID is set.
//
// The API refuses to delete the default virtual network. It also refuses to delete one with routes
// or devices unless params.Force is set. A refusal is [ErrBadRequest] or [ErrConflict]. Delete
// returns [ErrNotFound] if the virtual network is unknown or already deleted, and
// [ErrOutcomeUnknown] if the virtual network may have been deleted.
//
// Operation: DELETE /accounts/{account_id}/teamnet/virtual_networks/{virtual_network_id}
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/networks/subresources/virtual_networks/methods/delete/
func (s *VirtualNetworksService) Delete(
	ctx context.Context, virtualNetworkID string, params VirtualNetworkDeleteParams,
	opts ...CallOption,
) (*VirtualNetwork, error) {
	r := request{operation: opNetworkDelete, ids: []string{virtualNetworkID}, query: queryOf(params)}
	check := func(n *VirtualNetwork) error { return checkDeletedID(n.ID, virtualNetworkID) }
	network, err := doDelete(ctx, clientOf(s), r, check, opts)
	switch {
	case err != nil:
		return nil, err
	case network == nil || network.ID == "":
		return &VirtualNetwork{ID: virtualNetworkID}, nil
	}
	return network, nil
}

// Default returns the default virtual network.
//
// It returns [ErrNotFound] if the credentials cannot read it.
//
// Operation: GET /accounts/{account_id}/teamnet/virtual_networks
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/networks/subresources/virtual_networks/methods/list/
func (s *VirtualNetworksService) Default(
	ctx context.Context, opts ...CallOption,
) (*VirtualNetwork, error) {
	isDefault := func(n *VirtualNetwork) bool { return n.IsDefault }
	network, err := s.find(ctx, VirtualNetworkListParams{IsDefault: new(true)}, isDefault, opts)
	if network == nil && err == nil {
		return nil, fmt.Errorf("cftunnel: no default virtual network: %w", ErrNotFound)
	}
	return network, err
}

// FindByName returns the live virtual network with this name. The name is compared exactly, on the
// client.
//
// It returns [ErrNotFound] if there is none, or the credentials cannot read it.
//
// Operation: GET /accounts/{account_id}/teamnet/virtual_networks
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/networks/subresources/virtual_networks/methods/list/
func (s *VirtualNetworksService) FindByName(
	ctx context.Context, name string, opts ...CallOption,
) (*VirtualNetwork, error) {
	if err := checkName("name", name); err != nil {
		return nil, err
	}
	hasName := func(n *VirtualNetwork) bool { return n.Name == name }
	network, err := s.find(ctx, VirtualNetworkListParams{Name: name}, hasName, opts)
	if network == nil && err == nil {
		return nil, fmt.Errorf("cftunnel: no virtual network is named %q: %w", name, ErrNotFound)
	}
	return network, err
}

// find returns the live virtual network that matches, or nil.
func (s *VirtualNetworksService) find(
	ctx context.Context, params VirtualNetworkListParams, matches func(*VirtualNetwork) bool,
	opts []CallOption,
) (*VirtualNetwork, error) {
	for network, err := range s.All(ctx, params, opts...) {
		if err != nil {
			return nil, listFailed(err)
		}
		if matches(network) && !network.IsDeleted() {
			return network, nil
		}
	}
	return nil, nil
}

func (p VirtualNetworkUpdateParams) validate() error {
	if p == (VirtualNetworkUpdateParams{}) {
		return invalid("params", "changes nothing: set Name, Comment or IsDefault")
	}
	if p.Name != "" {
		if err := checkName("Name", p.Name); err != nil {
			return err
		}
	}
	return nil
}

// describes reports whether a virtual network is live and has every value that the parameters set.
func (p VirtualNetworkUpdateParams) describes(n VirtualNetwork) bool {
	return !n.IsDeleted() &&
		(p.Name == "" || n.Name == p.Name) &&
		(p.Comment == nil || n.Comment == *p.Comment) &&
		(!p.IsDefault || n.IsDefault)
}

// checkNetwork returns a check that a response is about the requested virtual network.
func checkNetwork(id string) func(*VirtualNetwork) error {
	return func(n *VirtualNetwork) error { return checkID(n.ID, id) }
}

func checkListedNetwork(n *VirtualNetwork) error { return checkPathID(n.ID) }
