package cftunnel

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/apipath"
)

// maxTunnelsPerPage is the maximum that the API allows.
const maxTunnelsPerPage = 1000

// TunnelListParams are the filters and the page of a list of tunnels. Zero fields do not filter,
// but a nil IsDeleted selects live tunnels.
type TunnelListParams struct {
	// Name selects the tunnel with exactly this name.
	Name string `url:"name,omitempty"`
	// UUID selects the tunnel with this ID.
	UUID string `url:"uuid,omitempty"`
	// Status selects tunnels with this status.
	Status TunnelStatus `url:"status,omitempty"`
	// IsDeleted selects deleted tunnels if it points to true, and live tunnels if it points to
	// false or is nil. One list cannot have both.
	IsDeleted *bool `url:"is_deleted"`
	// IncludePrefix selects tunnels whose name has this prefix.
	IncludePrefix string `url:"include_prefix,omitempty"`
	// ExcludePrefix leaves out tunnels whose name has this prefix.
	ExcludePrefix string `url:"exclude_prefix,omitempty"`
	// ExistedAt selects tunnels that existed at this time.
	ExistedAt time.Time `url:"existed_at,omitempty" layout:"2006-01-02T15:04:05.999999999Z07:00"`
	// WasActiveAt selects tunnels that had connections at this time.
	WasActiveAt time.Time `url:"was_active_at,omitempty" layout:"2006-01-02T15:04:05.999999999Z07:00"`
	// WasInactiveAt selects tunnels that had no connections at this time.
	WasInactiveAt time.Time `url:"was_inactive_at,omitempty" layout:"2006-01-02T15:04:05.999999999Z07:00"`
	// Page is the page number, from 1. The default is 1. The method All starts with this page.
	Page int `url:"page,omitempty"`
	// PerPage is the maximum number of tunnels on a page, from 1 to 1000. The default is 1000.
	PerPage int `url:"per_page,omitempty"`
}

// AllTypesListParams are the filters and the page of a list of tunnels of all types. Zero fields do
// not filter, but a nil IsDeleted selects live tunnels.
type AllTypesListParams struct {
	// Name selects the tunnel with exactly this name.
	Name string `url:"name,omitempty"`
	// UUID selects the tunnel with this ID.
	UUID string `url:"uuid,omitempty"`
	// Status selects tunnels with this status.
	Status TunnelStatus `url:"status,omitempty"`
	// Types selects tunnels of these types. If it is empty, tunnels of all types are selected.
	Types []TunnelType `url:"tun_types,omitempty,comma"`
	// IsDeleted selects deleted tunnels if it points to true, and live tunnels if it points to
	// false or is nil. One list cannot have both.
	IsDeleted *bool `url:"is_deleted"`
	// IncludePrefix selects tunnels whose name has this prefix.
	IncludePrefix string `url:"include_prefix,omitempty"`
	// ExcludePrefix leaves out tunnels whose name has this prefix.
	ExcludePrefix string `url:"exclude_prefix,omitempty"`
	// ExistedAt selects tunnels that existed at this time.
	ExistedAt time.Time `url:"existed_at,omitempty" layout:"2006-01-02T15:04:05.999999999Z07:00"`
	// WasActiveAt selects tunnels that had connections at this time.
	WasActiveAt time.Time `url:"was_active_at,omitempty" layout:"2006-01-02T15:04:05.999999999Z07:00"`
	// WasInactiveAt selects tunnels that had no connections at this time.
	WasInactiveAt time.Time `url:"was_inactive_at,omitempty" layout:"2006-01-02T15:04:05.999999999Z07:00"`
	// Page is the page number, from 1. The default is 1. The method AllTypes starts with this page.
	Page int `url:"page,omitempty"`
	// PerPage is the maximum number of tunnels on a page, from 1 to 1000. The default is 1000.
	PerPage int `url:"per_page,omitempty"`
}

var (
	opTunnelList    = op("Tunnels.List", http.MethodGet, tunnelsPath, tunnelsRead)
	opTunnelListAll = op("Tunnels.ListAllTypes", http.MethodGet,
		"/accounts/{account_id}/tunnels", tunnelsRead)
)

// List returns one page of the account's cloudflared tunnels. By default, it returns only live
// tunnels. For all pages, see [TunnelsService.All].
//
// The list has only tunnels that the credentials may read. A tunnel that is not in the list may
// still exist.
//
// Operation: GET /accounts/{account_id}/cfd_tunnel
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/list/
func (s *TunnelsService) List(
	ctx context.Context, params TunnelListParams, opts ...CallOption,
) (*Page[Tunnel], error) {
	return listTunnels(ctx, clientOf(s), opTunnelList, params, opts)
}

// All returns an iterator over the tunnels on all pages of List.
//
// It requests the pages while the caller ranges over it, with 1000 tunnels per page unless
// params.PerPage is set. Ranging over it again sends the requests again. If a request fails, it
// yields the error once, with a nil tunnel, and stops.
//
// Operation: GET /accounts/{account_id}/cfd_tunnel
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/list/
func (s *TunnelsService) All(
	ctx context.Context, params TunnelListParams, opts ...CallOption,
) iter.Seq2[*Tunnel, error] {
	return allTunnels(params, func(params TunnelListParams) (*Page[Tunnel], error) {
		return s.List(ctx, params, opts...)
	})
}

// ListAllTypes returns one page of the account's tunnels of every type. By default, it returns only
// live tunnels. For all pages, see [TunnelsService.AllTypes].
//
// Operation: GET /accounts/{account_id}/tunnels
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/methods/list/
func (s *TunnelsService) ListAllTypes(
	ctx context.Context, params AllTypesListParams, opts ...CallOption,
) (*Page[Tunnel], error) {
	if err := checkList(params.UUID, params.Page, params.PerPage); err != nil {
		return nil, err
	}
	if err := checkTunnelTypes("Types", params.Types); err != nil {
		return nil, err
	}
	params.IsDeleted = orFalse(params.IsDeleted)
	r := request{operation: opTunnelListAll, query: queryOf(params)}
	return tunnelsPage(ctx, clientOf(s), r, opts)
}

// AllTypes returns an iterator over the tunnels on all pages of ListAllTypes. It works like
// [TunnelsService.All].
//
// Operation: GET /accounts/{account_id}/tunnels
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/methods/list/
func (s *TunnelsService) AllTypes(
	ctx context.Context, params AllTypesListParams, opts ...CallOption,
) iter.Seq2[*Tunnel, error] {
	return tunnelPages(params.Page, params.PerPage, func(page, perPage int) (*Page[Tunnel], error) {
		params := params
		params.Page, params.PerPage = page, perPage
		return s.ListAllTypes(ctx, params, opts...)
	})
}

// FindByName returns the live tunnel with the given name. The name is compared exactly, on the
// client.
//
// It returns [ErrNotFound] if there is none, or the credentials cannot read it. If the API responds
// with a 404, for example because the account ID is wrong, the error is an [*Error] that is not
// ErrNotFound.
//
// Operation: GET /accounts/{account_id}/cfd_tunnel
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/list/
func (s *TunnelsService) FindByName(
	ctx context.Context, name string, opts ...CallOption,
) (*Tunnel, error) {
	if err := checkName("name", name); err != nil {
		return nil, err
	}
	for tunnel, err := range s.All(ctx, TunnelListParams{Name: name}, opts...) {
		if err != nil {
			return nil, listFailed(err)
		}
		if tunnel.Name == name && !tunnel.IsDeleted() {
			return tunnel, nil
		}
	}
	return nil, fmt.Errorf("cftunnel: no live tunnel is named %q: %w", name, ErrNotFound)
}

// listFailed returns the error of a list that was searched for an object. A 404 then means a wrong
// account ID or base URL, not that the object does not exist.
func listFailed(err error) error {
	if failure, ok := errors.AsType[*Error](err); ok {
		failure.listMissing = true
	}
	return err
}

// listTunnels requests one page of tunnels of one type.
func listTunnels(
	ctx context.Context, c *Client, o operation, params TunnelListParams, opts []CallOption,
) (*Page[Tunnel], error) {
	if err := checkList(params.UUID, params.Page, params.PerPage); err != nil {
		return nil, err
	}
	params.IsDeleted = orFalse(params.IsDeleted)
	return tunnelsPage(ctx, c, request{operation: o, query: queryOf(params)}, opts)
}

func tunnelsPage(
	ctx context.Context, c *Client, r request, opts []CallOption,
) (*Page[Tunnel], error) {
	check := func(t *tunnelResponse) error { return checkPathID(t.ID) }
	page, err := doPage(ctx, c, r, maxTunnelsPerPage, check, opts)
	if err != nil {
		return nil, err
	}
	return mapPage(page, (*tunnelResponse).tunnel), nil
}

// allTunnels yields the tunnels of every page of a list of one type.
func allTunnels(
	params TunnelListParams, list func(TunnelListParams) (*Page[Tunnel], error),
) iter.Seq2[*Tunnel, error] {
	return tunnelPages(params.Page, params.PerPage, func(page, perPage int) (*Page[Tunnel], error) {
		params := params
		params.Page, params.PerPage = page, perPage
		return list(params)
	})
}

func tunnelPages(
	page, perPage int, fetch func(page, perPage int) (*Page[Tunnel], error),
) iter.Seq2[*Tunnel, error] {
	return allPages(page, perPage, maxTunnelsPerPage, func(t *Tunnel) string { return t.ID }, fetch)
}

func checkList(uuid string, page, perPage int) error {
	if uuid != "" {
		if err := apipath.UUID(uuid); err != nil {
			return invalid("UUID", "%v", err)
		}
	}
	return checkPages(page, perPage, 1, maxTunnelsPerPage)
}

// checkPages checks the number and the length of a page. Zero stands for a default.
func checkPages(page, perPage, minPerPage, maxPerPage int) error {
	if page < 0 {
		return invalid("Page", "is %d; pages count from 1", page)
	}
	if perPage != 0 && perPage < minPerPage || perPage > maxPerPage {
		return invalid("PerPage", "is %d; a page has %d to %d", perPage, minPerPage, maxPerPage)
	}
	return nil
}

// checkTunnelTypes returns an error if types cannot be joined by commas.
func checkTunnelTypes(argument string, types []TunnelType) error {
	for _, t := range types {
		if t == "" || strings.Contains(string(t), ",") {
			return invalid(argument, "contains an empty type, or one with a comma")
		}
	}
	return nil
}

func orFalse(b *bool) *bool {
	if b == nil {
		return new(false)
	}
	return b
}
