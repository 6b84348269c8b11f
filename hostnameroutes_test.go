package cftunnel_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const (
	opHostnameRouteCreate = "POST /accounts/{account_id}/zerotrust/routes/hostname"
	opHostnameRouteUpdate = "PATCH /accounts/{account_id}/zerotrust/routes/hostname/{hostname_route_id}"
	opHostnameRouteDelete = "DELETE /accounts/{account_id}/zerotrust/routes/hostname/{hostname_route_id}"
)

func TestHostnameRoutes_LifeCycle(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, once)
	ctx := t.Context()
	web, shop := newTunnel(t, client, "web"), newTunnel(t, client, "shop")
	wiki, err := client.HostnameRoutes.Create(ctx, cftunnel.HostnameRouteCreateParams{
		Hostname: "wiki.internal", TunnelID: web, Comment: "lab",
	})
	require.NoError(t, err)
	assert.Equal(t, "wiki.internal", wiki.Hostname)
	assert.Equal(t, web, wiki.TunnelID)
	assert.Equal(t, "web", wiki.TunnelName)
	assert.Equal(t, cftunnel.TunnelTypeCloudflared, wiki.TunnelType)
	assert.Equal(t, "lab", wiki.Comment)
	assert.False(t, wiki.IsDeleted())
	got, err := client.HostnameRoutes.Get(ctx, wiki.ID)
	require.NoError(t, err)
	assert.Equal(t, wiki, got)
	_, err = client.HostnameRoutes.Create(ctx, cftunnel.HostnameRouteCreateParams{
		Hostname: "WIKI.internal", TunnelID: shop,
	})
	require.ErrorIs(t, err, cftunnel.ErrConflict)

	updated, err := client.HostnameRoutes.Update(ctx, wiki.ID, cftunnel.HostnameRouteUpdateParams{
		Hostname: "docs.internal", TunnelID: shop, Comment: new(""),
	})
	require.NoError(t, err)
	assert.Equal(t, "docs.internal", updated.Hostname)
	assert.Equal(t, shop, updated.TunnelID)
	assert.Empty(t, updated.Comment)
	_, err = client.HostnameRoutes.Update(ctx, wiki.ID, cftunnel.HostnameRouteUpdateParams{
		TunnelID: web,
	})
	require.NoError(t, err)
	assert.JSONEq(t, `{"tunnel_id":"`+web+`"}`, lastBody(t, srv), "only what changes is sent")

	page, err := client.HostnameRoutes.List(ctx, cftunnel.HostnameRouteListParams{Hostname: "DOCS"})
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	assert.Equal(t, 1, page.Info.TotalCount)
	deleted, err := client.HostnameRoutes.Delete(ctx, wiki.ID)
	require.NoError(t, err)
	assert.True(t, deleted.IsDeleted())
	_, err = client.HostnameRoutes.Get(ctx, wiki.ID)
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	_, err = client.HostnameRoutes.Delete(ctx, wiki.ID)
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
	page, err = client.HostnameRoutes.List(ctx, cftunnel.HostnameRouteListParams{})
	require.NoError(t, err)
	assert.Empty(t, page.Items, "deleted routes are not listed")
}

func TestHostnameRoutesAll_Pages(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	web := newTunnel(t, client, "web")
	for i := range 3 {
		_, err := client.HostnameRoutes.Create(t.Context(), cftunnel.HostnameRouteCreateParams{
			Hostname: fmt.Sprintf("%d.internal", i), TunnelID: web,
		})
		require.NoError(t, err)
	}
	n := 0
	params := cftunnel.HostnameRouteListParams{PerPage: 2, TunnelID: web}
	for route, err := range client.HostnameRoutes.All(t.Context(), params) {
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprintf("%d.internal", n), route.Hostname)
		n++
	}
	assert.Equal(t, 3, n)
	want := "is_deleted=false&page=2&per_page=2&tunnel_id=" + web
	assert.Equal(t, want, last(srv).Query.Encode())
}

func TestHostnameRoutes_LostResponses(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, quick)
	ctx := t.Context()
	params := cftunnel.HostnameRouteCreateParams{
		Hostname: "wiki.internal",
		TunnelID: newTunnel(t, client, "web"),
	}
	srv.Inject(tunneltest.Fault{Operation: opHostnameRouteCreate, Cut: tunneltest.CutAfter})
	_, err := client.HostnameRoutes.Create(ctx, params)
	require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	assert.Equal(t, 1, carriedOut(srv, opHostnameRouteCreate))
	page, err := client.HostnameRoutes.List(ctx, cftunnel.HostnameRouteListParams{
		Hostname: "wiki.internal",
	})
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	id := page.Items[0].ID

	srv.Inject(tunneltest.Fault{Operation: opHostnameRouteUpdate, Cut: tunneltest.CutAfter})
	route, err := client.HostnameRoutes.Update(ctx, id, cftunnel.HostnameRouteUpdateParams{
		Hostname: "docs.internal",
	})
	require.NoError(t, err, "the retry changes nothing")
	assert.Equal(t, "docs.internal", route.Hostname)

	srv.Inject(tunneltest.Fault{Operation: opHostnameRouteDelete, Cut: tunneltest.CutAfter})
	_, err = client.HostnameRoutes.Delete(ctx, id)
	require.NoError(t, err, "an earlier attempt deleted the route")
	assert.Equal(t, 1, carriedOut(srv, opHostnameRouteDelete))
}

func TestHostnameRoutes_InvalidResponses(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	create := cftunnel.HostnameRouteCreateParams{Hostname: "a", TunnelID: tunnelID}
	update := cftunnel.HostnameRouteUpdateParams{Hostname: "a"}
	updateNetwork := cftunnel.VirtualNetworkUpdateParams{Name: "a"}
	for _, result := range []string{
		`{"id":"` + otherID + `","hostname":"a","tunnel_id":"` + otherID + `"}`, `{}`, `null`,
	} {
		body := `{"success":true,"errors":[],"messages":[],"result":` + result + `}`
		client := clientOf(t, respond(200, body), once)
		_, err := client.HostnameRoutes.Get(ctx, tunnelID)
		require.Error(t, err)
		_, createErr := client.HostnameRoutes.Create(ctx, create)
		_, updateErr := client.HostnameRoutes.Update(ctx, tunnelID, update)
		_, networkErr := client.VirtualNetworks.Update(ctx, tunnelID, updateNetwork)
		for _, err := range []error{createErr, updateErr, networkErr} {
			require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown, result)
		}
	}
}

func TestHostnameRoutes_InvalidArguments(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	ctx := t.Context()
	routes := client.HostnameRoutes
	create := func(params cftunnel.HostnameRouteCreateParams) func() error {
		return func() error { _, err := routes.Create(ctx, params); return err }
	}
	list := func(params cftunnel.HostnameRouteListParams) func() error {
		return func() error { _, err := routes.List(ctx, params); return err }
	}
	update := func(id string, params cftunnel.HostnameRouteUpdateParams) func() error {
		return func() error { _, err := routes.Update(ctx, id, params); return err }
	}
	for name, c := range map[string]struct {
		argument string
		call     func() error
	}{
		"create without hostname": {"Hostname", create(cftunnel.HostnameRouteCreateParams{TunnelID: tunnelID})},
		"create without tunnel":   {"TunnelID", create(cftunnel.HostnameRouteCreateParams{Hostname: "a"})},
		"create, not UTF-8":       {"Comment", create(cftunnel.HostnameRouteCreateParams{Hostname: "a", TunnelID: tunnelID, Comment: "\xff"})},
		"get":                     {"hostnameRouteID", func() error { _, err := routes.Get(ctx, "wiki.internal"); return err }},
		"delete":                  {"hostnameRouteID", func() error { _, err := routes.Delete(ctx, ""); return err }},
		"update":                  {"hostnameRouteID", update("", cftunnel.HostnameRouteUpdateParams{Hostname: "a"})},
		"update nothing":          {"params", update(tunnelID, cftunnel.HostnameRouteUpdateParams{})},
		"update to blank":         {"Hostname", update(tunnelID, cftunnel.HostnameRouteUpdateParams{Hostname: " "})},
		"update to a name":        {"TunnelID", update(tunnelID, cftunnel.HostnameRouteUpdateParams{TunnelID: "web"})},
		"update, not UTF-8":       {"Comment", update(tunnelID, cftunnel.HostnameRouteUpdateParams{Comment: new("\xff")})},
		"list by invalid ID":      {"ID", list(cftunnel.HostnameRouteListParams{ID: "a"})},
		"list by tunnel name":     {"TunnelID", list(cftunnel.HostnameRouteListParams{TunnelID: "web"})},
		"list of long pages":      {"PerPage", list(cftunnel.HostnameRouteListParams{PerPage: 1001})},
	} {
		var invalid *cftunnel.InvalidArgumentError
		if assert.ErrorAs(t, c.call(), &invalid, name) {
			assert.Equal(t, c.argument, invalid.Name, name)
		}
	}
	assert.Empty(t, srv.Requests())
}
