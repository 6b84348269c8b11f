package cftunnel_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const (
	opNetworkCreate = "POST /accounts/{account_id}/teamnet/virtual_networks"
	opNetworkList   = "GET /accounts/{account_id}/teamnet/virtual_networks"
	opNetworkUpdate = "PATCH /accounts/{account_id}/teamnet/virtual_networks/{virtual_network_id}"
	opNetworkDelete = "DELETE /accounts/{account_id}/teamnet/virtual_networks/{virtual_network_id}"
)

func TestVirtualNetworks_LifeCycle(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, once)
	ctx := t.Context()
	first, err := client.VirtualNetworks.Default(ctx)
	require.NoError(t, err)
	assert.True(t, first.IsDefault)

	blue, err := client.VirtualNetworks.Create(ctx,
		cftunnel.VirtualNetworkCreateParams{Name: "blue", Comment: "lab"})
	require.NoError(t, err)
	assert.Equal(t, []any{"blue", "lab", false, false},
		[]any{blue.Name, blue.Comment, blue.IsDefault, blue.IsDeleted()})
	green, err := client.VirtualNetworks.Create(ctx,
		cftunnel.VirtualNetworkCreateParams{Name: "green", IsDefault: true})
	require.NoError(t, err)
	assert.True(t, green.IsDefault)
	got, err := client.VirtualNetworks.Default(ctx)
	require.NoError(t, err)
	assert.Equal(t, green, got)
	got, err = client.VirtualNetworks.FindByName(ctx, "blue")
	require.NoError(t, err)
	assert.Equal(t, blue, got)
	got, err = client.VirtualNetworks.Get(ctx, blue.ID)
	require.NoError(t, err)
	assert.Equal(t, blue, got)

	updated, err := client.VirtualNetworks.Update(ctx, blue.ID,
		cftunnel.VirtualNetworkUpdateParams{Name: "teal", Comment: new(""), IsDefault: true})
	require.NoError(t, err)
	assert.Equal(t, []any{"teal", "", true},
		[]any{updated.Name, updated.Comment, updated.IsDefault})
	requests := srv.Requests()
	assert.JSONEq(t, `{"name":"teal","comment":"","is_default_network":true}`,
		requests[len(requests)-1].Body.Reveal())
	_, err = client.VirtualNetworks.Update(ctx, blue.ID,
		cftunnel.VirtualNetworkUpdateParams{Comment: new("x")})
	require.NoError(t, err)
	requests = srv.Requests()
	assert.JSONEq(t, `{"comment":"x"}`, requests[len(requests)-1].Body.Reveal(),
		"only the changed field")

	page, err := client.VirtualNetworks.List(ctx,
		cftunnel.VirtualNetworkListParams{IsDefault: new(false)})
	require.NoError(t, err)
	assert.Len(t, page.Items, 2)
	assert.Zero(t, page.Info, "the response is the whole list")

	deleted, err := client.VirtualNetworks.Delete(ctx, green.ID,
		cftunnel.VirtualNetworkDeleteParams{})
	require.NoError(t, err)
	assert.True(t, deleted.IsDeleted())
	_, err = client.VirtualNetworks.Get(ctx, green.ID)
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	_, err = client.VirtualNetworks.Delete(ctx, green.ID, cftunnel.VirtualNetworkDeleteParams{})
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	_, err = client.VirtualNetworks.FindByName(ctx, "green")
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
}

func TestVirtualNetworks_NameTaken(t *testing.T) {
	t.Parallel()
	_, client := newFake(t, once)
	newNetwork(t, client, "blue")
	green := newNetwork(t, client, "green")
	_, createErr := client.VirtualNetworks.Create(t.Context(),
		cftunnel.VirtualNetworkCreateParams{Name: "blue"})
	_, updateErr := client.VirtualNetworks.Update(t.Context(), green.ID,
		cftunnel.VirtualNetworkUpdateParams{Name: "blue"})
	for _, err := range []error{createErr, updateErr} {
		require.ErrorIs(t, err, cftunnel.ErrConflict)
		assert.True(t, cftunnel.HasCode(err, 1014))
		require.NotErrorIs(t, err, cftunnel.ErrRouteExists,
			"1014 is the code of an existing route too")
	}
}

func TestVirtualNetworksDelete_InUse(t *testing.T) {
	t.Parallel()
	_, client := newFake(t, once)
	ctx := t.Context()
	blue := newNetwork(t, client, "blue")
	route := newRoute(t, client, cftunnel.RouteCreateParams{
		Network: ten, TunnelID: newTunnel(t, client, "web"), VirtualNetworkID: blue.ID,
	})
	assertRefused := func(id string, params cftunnel.VirtualNetworkDeleteParams) {
		t.Helper()
		_, err := client.VirtualNetworks.Delete(ctx, id, params)
		var failure *cftunnel.Error
		require.ErrorAs(t, err, &failure)
		assert.Contains(t, []int{400, 409}, failure.StatusCode)
	}
	assertRefused(blue.ID, cftunnel.VirtualNetworkDeleteParams{})
	first, err := client.VirtualNetworks.Default(ctx)
	require.NoError(t, err)
	assertRefused(first.ID, cftunnel.VirtualNetworkDeleteParams{})
	assertRefused(first.ID, cftunnel.VirtualNetworkDeleteParams{Force: true})

	_, err = client.VirtualNetworks.Delete(ctx, blue.ID,
		cftunnel.VirtualNetworkDeleteParams{Force: true})
	require.NoError(t, err)
	_, err = client.Routes.Delete(ctx, route.ID)
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
}

// All must read every page: a list may be longer than one page.
func TestVirtualNetworksAll_EveryPage(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	for i := range 4 {
		newNetwork(t, client, fmt.Sprint(i))
	}
	names := func(params cftunnel.VirtualNetworkListParams) (names []string) {
		t.Helper()
		for network, err := range client.VirtualNetworks.All(t.Context(), params) {
			require.NoError(t, err)
			names = append(names, network.Name)
		}
		return names
	}
	assert.Equal(t, []string{"default", "0", "1", "2", "3"},
		names(cftunnel.VirtualNetworkListParams{PerPage: 2}))
	before := len(srv.Requests())
	assert.Len(t, names(cftunnel.VirtualNetworkListParams{}), 5)
	requests := srv.Requests()
	require.Len(t, requests, before+1, "one request")
	assert.Equal(t, "is_deleted=false&page=1&per_page=1000", requests[before].Query.Encode())
}

// A response without result_info is the whole list, whatever its length.
func TestVirtualNetworksAll_ServerWithoutPages(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 2, 1000, 1500} {
		items := make([]string, n)
		for i := range items {
			const format = `{"id":"%d","name":"n%[1]d","is_default_network":%t}`
			items[i] = fmt.Sprintf(format, i, i == n-1)
		}
		requests := 0
		client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
			requests++
			respond(200, ok(`[`+strings.Join(items, ",")+`]`))(w, r)
		}, once)
		found := 0
		var params cftunnel.VirtualNetworkListParams
		for _, err := range client.VirtualNetworks.All(t.Context(), params) {
			require.NoError(t, err)
			found++
		}
		assert.Equal(t, n, found)
		assert.Equal(t, 1, requests)
		network, err := client.VirtualNetworks.Default(t.Context())
		if n == 0 {
			require.ErrorIs(t, err, cftunnel.ErrNotFound)
			continue
		}
		require.NoError(t, err, "the server ignores the filter")
		assert.Equal(t, fmt.Sprint(n-1), network.ID)
	}
}

// A server without pages may still send some members of result_info.
func TestVirtualNetworksAll_ServerIgnoresPage(t *testing.T) {
	t.Parallel()
	items := make([]string, 30)
	for i := range items {
		items[i] = fmt.Sprintf(`{"id":"%d","name":"n%[1]d"}`, i)
	}
	for _, info := range []string{
		`{}`, `{"count":30}`, `{"page":1,"count":30}`, `{"page":1,"per_page":20,"count":30}`,
		`{"count":30,"total_count":30}`, `{"page":1,"per_page":1000,"count":30}`, `null`,
	} {
		client := clientOf(t, respond(200, `{"success":true,"errors":[],"messages":[],"result":[`+
			strings.Join(items, ",")+`],"result_info":`+info+`}`), once)
		found := 0
		var params cftunnel.VirtualNetworkListParams
		for _, err := range client.VirtualNetworks.All(t.Context(), params) {
			require.NoError(t, err, info)
			found++
		}
		assert.Len(t, items, found, info)
	}
}

// A 404 for the list says nothing about the virtual network.
func TestVirtualNetworksFindByName_ListNotFound(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, once)
	srv.Inject(tunneltest.Fault{
		Operation: opNetworkList, Status: 404, Body: noRoute, Times: tunneltest.Always,
	})
	_, findErr := client.VirtualNetworks.FindByName(t.Context(), "blue")
	_, defaultErr := client.VirtualNetworks.Default(t.Context())
	for _, err := range []error{findErr, defaultErr} {
		require.Error(t, err)
		require.NotErrorIs(t, err, cftunnel.ErrNotFound)
	}
}

func TestVirtualNetworks_LostResponses(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, quick)
	ctx := t.Context()
	srv.Inject(tunneltest.Fault{Operation: opNetworkCreate, Cut: tunneltest.CutAfter})
	_, err := client.VirtualNetworks.Create(ctx, cftunnel.VirtualNetworkCreateParams{Name: "blue"})
	require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	assert.Equal(t, 1, carriedOut(srv, opNetworkCreate))
	blue, err := client.VirtualNetworks.FindByName(ctx, "blue")
	require.NoError(t, err)

	srv.Inject(tunneltest.Fault{Operation: opNetworkUpdate, Cut: tunneltest.CutAfter})
	blue, err = client.VirtualNetworks.Update(ctx, blue.ID,
		cftunnel.VirtualNetworkUpdateParams{Name: "teal"})
	require.NoError(t, err, "the retry succeeds without a change")
	assert.Equal(t, "teal", blue.Name)

	srv.Inject(tunneltest.Fault{Operation: opNetworkDelete, Cut: tunneltest.CutAfter})
	_, err = client.VirtualNetworks.Delete(ctx, blue.ID, cftunnel.VirtualNetworkDeleteParams{})
	require.NoError(t, err, "the 404 means that the first attempt was carried out")
	assert.Equal(t, 1, carriedOut(srv, opNetworkDelete))
}

func TestVirtualNetworks_InvalidArguments(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	ctx := t.Context()
	networks := client.VirtualNetworks
	list := func(params cftunnel.VirtualNetworkListParams) func() error {
		return func() error { _, err := networks.List(ctx, params); return err }
	}
	update := func(id string, params cftunnel.VirtualNetworkUpdateParams) func() error {
		return func() error { _, err := networks.Update(ctx, id, params); return err }
	}
	for name, c := range map[string]struct {
		argument string
		call     func() error
	}{
		"create without a name": {"Name", func() error {
			_, err := networks.Create(ctx, cftunnel.VirtualNetworkCreateParams{Comment: "x"})
			return err
		}},
		"create with invalid UTF-8": {"Comment", func() error {
			_, err := networks.Create(ctx,
				cftunnel.VirtualNetworkCreateParams{Name: "x", Comment: "\xff"})
			return err
		}},
		"get with a path": {"virtualNetworkID", func() error { _, err := networks.Get(ctx, "../routes"); return err }},
		"delete without an ID": {"virtualNetworkID", func() error {
			_, err := networks.Delete(ctx, "", cftunnel.VirtualNetworkDeleteParams{Force: true})
			return err
		}},
		"update without an ID":       {"virtualNetworkID", update("", cftunnel.VirtualNetworkUpdateParams{Name: "x"})},
		"update without a change":    {"params", update(tunnelID, cftunnel.VirtualNetworkUpdateParams{})},
		"update to a blank name":     {"Name", update(tunnelID, cftunnel.VirtualNetworkUpdateParams{Name: " "})},
		"update to invalid UTF-8":    {"Comment", update(tunnelID, cftunnel.VirtualNetworkUpdateParams{Comment: new("\xff")})},
		"list with an invalid ID":    {"ID", list(cftunnel.VirtualNetworkListParams{ID: "blue"})},
		"list with a negative page":  {"Page", list(cftunnel.VirtualNetworkListParams{Page: -1})},
		"list with a large per_page": {"PerPage", list(cftunnel.VirtualNetworkListParams{PerPage: 1001})},
		"find without a name":        {"name", func() error { _, err := networks.FindByName(ctx, ""); return err }},
	} {
		var invalid *cftunnel.InvalidArgumentError
		if assert.ErrorAs(t, c.call(), &invalid, name) {
			assert.Equal(t, c.argument, invalid.Name, name)
		}
	}
	assert.Empty(t, srv.Requests())
}
