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

// maxTunnelsPerPage is the most tunnels that the API puts on one page.
const maxTunnelsPerPage = 1000

// TunnelListParams filters a list. Zero fields filter nothing, except IsDeleted.
type TunnelListParams struct {
	Name   string       `url:"name,omitempty"`   // the whole name
	UUID   string       `url:"uuid,omitempty"`   // the ID, which matches one tunnel at most
	Status TunnelStatus `url:"status,omitempty"` // empty matches every status
	// IsDeleted selects deleted tunnels only, new(true), or live ones only, new(false) and nil. No list
	// has both.
	IsDeleted     *bool  `url:"is_deleted"`
	IncludePrefix string `url:"include_prefix,omitempty"` // of the name
	ExcludePrefix string `url:"exclude_prefix,omitempty"` // of the name
	// ExistedAt selects tunnels that existed then, WasActiveAt and WasInactiveAt those that then had, or
	// had no, connections.
	ExistedAt     time.Time `url:"existed_at,omitempty" layout:"2006-01-02T15:04:05.999999999Z07:00"`
	WasActiveAt   time.Time `url:"was_active_at,omitempty" layout:"2006-01-02T15:04:05.999999999Z07:00"`
	WasInactiveAt time.Time `url:"was_inactive_at,omitempty" layout:"2006-01-02T15:04:05.999999999Z07:00"`
	// Page counts from 1. All begins with it.
	Page int `url:"page,omitempty"`
	// PerPage is 1 to 1000. The default is 1000.
	PerPage int `url:"per_page,omitempty"`
}

// AllTypesListParams filters a list of tunnels of all types. Zero fields filter nothing, except IsDeleted.
type AllTypesListParams struct {
	Name   string       `url:"name,omitempty"`   // the whole name
	UUID   string       `url:"uuid,omitempty"`   // the ID, which matches one tunnel at most
	Status TunnelStatus `url:"status,omitempty"` // empty matches every status
	// Types selects these types only; empty selects all.
	Types []TunnelType `url:"tun_types,omitempty,comma"`
	// IsDeleted selects deleted tunnels only, new(true), or live ones only, new(false) and nil. No list
	// has both.
	IsDeleted     *bool  `url:"is_deleted"`
	IncludePrefix string `url:"include_prefix,omitempty"` // of the name
	ExcludePrefix string `url:"exclude_prefix,omitempty"` // of the name
	// ExistedAt selects tunnels that existed then, WasActiveAt and WasInactiveAt those that then had, or
	// had no, connections.
	ExistedAt     time.Time `url:"existed_at,omitempty" layout:"2006-01-02T15:04:05.999999999Z07:00"`
	WasActiveAt   time.Time `url:"was_active_at,omitempty" layout:"2006-01-02T15:04:05.999999999Z07:00"`
	WasInactiveAt time.Time `url:"was_inactive_at,omitempty" layout:"2006-01-02T15:04:05.999999999Z07:00"`
	// Page counts from 1. AllTypes begins with it.
	Page int `url:"page,omitempty"`
	// PerPage is 1 to 1000. The default is 1000.
	PerPage int `url:"per_page,omitempty"`
}

var (
	opTunnelList    = op("Tunnels.List", http.MethodGet, tunnelsPath, tunnelsRead)
	opTunnelListAll = op("Tunnels.ListAllTypes", http.MethodGet, "/accounts/{account_id}/tunnels", tunnelsRead)
)

// List returns one page of the account's tunnels, live ones only unless params say otherwise.
//
// It has only what the credentials may read: a tunnel that is not in the list may still exist. See
// [TunnelsService.All] for every page.
//
// Operation: GET /accounts/{account_id}/cfd_tunnel
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/list/
func (s *TunnelsService) List(ctx context.Context, params TunnelListParams, opts ...CallOption) (*Page[Tunnel], error) {
	return listTunnels(ctx, s, opTunnelList, params, opts)
}

// All yields every tunnel that List would return, from every page.
//
// It asks for 1000 a page unless params say otherwise, and sends no more requests than necessary. It can be
// ranged over again, which sends the requests again. An error is yielded once, with a nil tunnel, and ends
// it.
//
// Operation: GET /accounts/{account_id}/cfd_tunnel
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/list/
func (s *TunnelsService) All(ctx context.Context, params TunnelListParams, opts ...CallOption) iter.Seq2[*Tunnel, error] {
	return allTunnels(params, func(params TunnelListParams) (*Page[Tunnel], error) { return s.List(ctx, params, opts...) })
}

// ListAllTypes returns one page of the account's tunnels of every type, live ones only unless params say
// otherwise.
//
// See [TunnelsService.AllTypes] for every page.
//
// Operation: GET /accounts/{account_id}/tunnels
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/methods/list/
func (s *TunnelsService) ListAllTypes(ctx context.Context, params AllTypesListParams, opts ...CallOption) (*Page[Tunnel], error) {
	if err := checkList(params.UUID, params.Page, params.PerPage); err != nil {
		return nil, err
	}
	if err := checkTunnelTypes("Types", params.Types); err != nil {
		return nil, err
	}
	params.IsDeleted = orFalse(params.IsDeleted)
	return tunnelsPage(ctx, s, request{operation: opTunnelListAll, query: queryOf(params)}, opts)
}

// AllTypes yields every tunnel that ListAllTypes would return, from every page, as [TunnelsService.All]
// does.
//
// Operation: GET /accounts/{account_id}/tunnels
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/methods/list/
func (s *TunnelsService) AllTypes(ctx context.Context, params AllTypesListParams, opts ...CallOption) iter.Seq2[*Tunnel, error] {
	return tunnelPages(params.Page, params.PerPage, func(page, perPage int) (*Page[Tunnel], error) {
		params := params
		params.Page, params.PerPage = page, perPage
		return s.ListAllTypes(ctx, params, opts...)
	})
}

// FindByName returns the live tunnel of a name. The name is compared exactly, on the client.
//
// It returns [ErrNotFound] if the credentials can read no such tunnel. A 404 of the list itself, as with a
// wrong account, is not that.
//
// Operation: GET /accounts/{account_id}/cfd_tunnel
//
// API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/subresources/cloudflared/methods/list/
func (s *TunnelsService) FindByName(ctx context.Context, name string, opts ...CallOption) (*Tunnel, error) {
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

// listFailed returns the error of a list in which something was looked for. Its 404 is that of a wrong
// account or a wrong base URL.
func listFailed(err error) error {
	if failure, ok := errors.AsType[*Error](err); ok {
		failure.listMissing = true
	}
	return err
}

// listTunnels reads one page of tunnels of one type.
func listTunnels[S serviceType](ctx context.Context, s *S, o operation, params TunnelListParams, opts []CallOption) (*Page[Tunnel], error) {
	if err := checkList(params.UUID, params.Page, params.PerPage); err != nil {
		return nil, err
	}
	params.IsDeleted = orFalse(params.IsDeleted)
	return tunnelsPage(ctx, s, request{operation: o, query: queryOf(params)}, opts)
}

func tunnelsPage[S serviceType](ctx context.Context, s *S, r request, opts []CallOption) (*Page[Tunnel], error) {
	page, err := doPage(ctx, s, r, maxTunnelsPerPage, func(t *tunnelResponse) error { return checkPathID(t.ID) }, opts)
	if err != nil {
		return nil, err
	}
	return mapPage(page, (*tunnelResponse).tunnel), nil
}

// allTunnels reads every page of a list of one type.
func allTunnels(params TunnelListParams, list func(TunnelListParams) (*Page[Tunnel], error)) iter.Seq2[*Tunnel, error] {
	return tunnelPages(params.Page, params.PerPage, func(page, perPage int) (*Page[Tunnel], error) {
		params := params
		params.Page, params.PerPage = page, perPage
		return list(params)
	})
}

func tunnelPages(page, perPage int, fetch func(page, perPage int) (*Page[Tunnel], error)) iter.Seq2[*Tunnel, error] {
	return allPages(page, perPage, maxTunnelsPerPage, func(t *Tunnel) string { return t.ID }, fetch)
}

func checkList(uuid string, page, perPage int) error {
	if uuid != "" {
		if err := apipath.UUID(uuid); err != nil {
			return invalid("UUID", "%v", err)
		}
	}
	return checkPages(page, perPage, maxTunnelsPerPage)
}

func checkPages(page, perPage, mostPerPage int) error {
	if page < 0 {
		return invalid("Page", "is %d; pages count from 1", page)
	}
	if perPage < 0 || perPage > mostPerPage {
		return invalid("PerPage", "is %d; a page has 1 to %d", perPage, mostPerPage)
	}
	return nil
}

// checkTunnelTypes refuses what cannot be joined by commas.
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
