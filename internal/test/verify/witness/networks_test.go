package witness

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/cloudflare/cloudflare-go"
	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/zero_trust"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// networksV7 returns the network service of cloudflare-go v7 with default options.
func (f *fake) networksV7(opts ...option.RequestOption) *zero_trust.NetworkService {
	return zero_trust.NewNetworkService(f.optionsV7(opts...)...)
}

// routeOf returns the fields of a Route by their JSON names.
func routeOf(t *testing.T, r *cftunnel.Route) map[string]any {
	t.Helper()
	fields := fieldsOf(t, *r)
	fields["network"] = r.Network.String()
	return fields
}

func TestV7_Routes(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		ctx, v7, ours := t.Context(), f.networksV7(), f.ours()
		tunnel, err := ours.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "web"})
		require.NoError(t, err)
		blue := account[zero_trust.NetworkVirtualNetworkNewParams](f,
			member{"Name", "blue"}, member{"Comment", "lab"})
		network, err := v7.VirtualNetworks.New(ctx, blue)
		require.NoError(t, err)
		office := account[zero_trust.NetworkRouteNewParams](f,
			member{"Network", "10.0.0.0/8"}, member{"TunnelID", tunnel.ID},
			member{"VirtualNetworkID", network.ID}, member{"Comment", "office"})
		created, err := v7.Routes.New(ctx, office)
		require.NoError(t, err)
		own, err := ours.Routes.Get(ctx, created.ID)
		require.NoError(t, err)
		assert.Equal(t, fieldsOf(t, created), routeOf(t, own))

		_, err = v7.Routes.Edit(ctx, created.ID,
			account[zero_trust.NetworkRouteEditParams](f, member{"Network", "10.0.0.0/9"}))
		require.NoError(t, err)
		page, err := v7.Routes.List(ctx,
			account[zero_trust.NetworkRouteListParams](f, member{"IsDeleted", false}))
		require.NoError(t, err)
		require.Len(t, page.Result, 1)
		inNetwork := member{"VirtualNetworkID", network.ID}
		lookup, err := v7.Routes.IPs.Get(ctx, "10.1.2.3",
			account[zero_trust.NetworkRouteIPGetParams](f, inNetwork))
		require.NoError(t, err)
		for listed, err := range ours.Routes.All(ctx, cftunnel.RouteListParams{}) {
			require.NoError(t, err)
			assert.Equal(t, fieldsOf(t, page.Result[0]), routeOf(t, listed))
			assert.Equal(t, fieldsOf(t, lookup), routeOf(t, listed))
		}
		found, err := ours.Routes.Lookup(ctx, netip.MustParseAddr("10.1.2.3"),
			cftunnel.RouteLookupParams{VirtualNetworkID: network.ID})
		require.NoError(t, err)
		assert.Equal(t, fieldsOf(t, lookup), routeOf(t, found))

		deleted, err := v7.Routes.Delete(ctx, created.ID,
			account[zero_trust.NetworkRouteDeleteParams](f))
		require.NoError(t, err)
		assert.False(t, deleted.DeletedAt.IsZero())
		_, err = ours.Routes.Delete(ctx, created.ID)
		require.ErrorIs(t, err, cftunnel.ErrNotFound)
	})
}

func TestV7_VirtualNetworks(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		ctx, v7, ours := t.Context(), f.networksV7().VirtualNetworks, f.ours()
		created, err := v7.New(ctx, account[zero_trust.NetworkVirtualNetworkNewParams](f,
			member{"Name", "blue"}, member{"Comment", "lab"}, member{"IsDefaultNetwork", true}))
		require.NoError(t, err)
		own, err := ours.VirtualNetworks.Default(ctx)
		require.NoError(t, err)
		sameFields(t, *created, *own, nil, nil)
		edited, err := v7.Edit(ctx, created.ID,
			account[zero_trust.NetworkVirtualNetworkEditParams](f, member{"Name", "teal"}))
		require.NoError(t, err)
		own, err = ours.VirtualNetworks.FindByName(ctx, "teal")
		require.NoError(t, err)
		sameFields(t, *edited, *own, nil, nil)
		page, err := v7.List(ctx,
			account[zero_trust.NetworkVirtualNetworkListParams](f, member{"IsDeleted", false}))
		require.NoError(t, err)
		list, err := ours.VirtualNetworks.List(ctx, cftunnel.VirtualNetworkListParams{})
		require.NoError(t, err)
		sameList(t, page.Result, list.Items, nil)

		first := list.Items[0].ID
		_, err = ours.VirtualNetworks.Update(ctx, first,
			cftunnel.VirtualNetworkUpdateParams{IsDefault: true})
		require.NoError(t, err)
		_, err = v7.Delete(ctx, created.ID,
			account[zero_trust.NetworkVirtualNetworkDeleteParams](f))
		require.NoError(t, err)
		_, err = ours.VirtualNetworks.Get(ctx, created.ID)
		require.ErrorIs(t, err, cftunnel.ErrNotFound)
	})
}

func TestV7_HostnameRoutes(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		ctx, v7, ours := t.Context(), f.networksV7().HostnameRoutes, f.ours()
		tunnel, err := ours.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "web"})
		require.NoError(t, err)
		created, err := v7.New(ctx, account[zero_trust.NetworkHostnameRouteNewParams](f,
			member{"Hostname", "wiki.internal"}, member{"TunnelID", tunnel.ID},
			member{"Comment", "lab"}))
		require.NoError(t, err)
		own, err := ours.HostnameRoutes.Get(ctx, created.ID)
		require.NoError(t, err)
		sameFields(t, *created, *own, nil, nil)
		_, err = ours.HostnameRoutes.Update(ctx, created.ID,
			cftunnel.HostnameRouteUpdateParams{Hostname: "docs.internal"})
		require.NoError(t, err)
		page, err := v7.List(ctx,
			account[zero_trust.NetworkHostnameRouteListParams](f, member{"Hostname", "docs"}))
		require.NoError(t, err)
		list, err := ours.HostnameRoutes.List(ctx,
			cftunnel.HostnameRouteListParams{Hostname: "docs"})
		require.NoError(t, err)
		sameList(t, page.Result, list.Items, nil)
		_, err = v7.Delete(ctx, created.ID, account[zero_trust.NetworkHostnameRouteDeleteParams](f))
		require.NoError(t, err)
		_, err = ours.HostnameRoutes.Get(ctx, created.ID)
		require.ErrorIs(t, err, cftunnel.ErrNotFound)
	})
}

// v7 repeats the POST and then returns a conflict with the route that it created itself.
func TestV7_RouteCreateLost(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		ctx, ours := t.Context(), f.ours()
		tunnel, err := ours.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "web"})
		require.NoError(t, err)
		fault := tunneltest.Fault{
			Operation: opRouteCreate, Status: http.StatusBadGateway, Work: true,
		}
		f.Inject(fault)
		_, err = f.networksV7().Routes.New(ctx, account[zero_trust.NetworkRouteNewParams](f,
			member{"Network", "10.0.0.0/8"}, member{"TunnelID", tunnel.ID}))
		require.ErrorContains(t, err, "1014")

		params := cftunnel.RouteCreateParams{
			Network: netip.MustParsePrefix("10.1.0.0/16"), TunnelID: tunnel.ID,
		}
		f.Inject(fault)
		_, err = ours.Routes.Create(ctx, params)
		require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
		require.NotErrorIs(t, err, cftunnel.ErrRouteExists)
		found, created, err := ours.Routes.Ensure(ctx, params)
		require.NoError(t, err)
		assert.False(t, created)
		assert.Equal(t, params.Network, found.Network)
	})
}

const opRouteCreate = "POST /accounts/{account_id}/teamnet/routes"

// v0 can get routes and virtual networks, but it writes routes only with the old endpoints by CIDR.
func TestV0_Networks(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, f *fake) {
		ctx, ours := t.Context(), f.ours()
		v0, rc := f.v0()
		tunnel, err := ours.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "web"})
		require.NoError(t, err)
		network, err := v0.CreateTunnelVirtualNetwork(ctx, rc,
			cloudflare.TunnelVirtualNetworkCreateParams{Name: "blue", Comment: "lab"})
		require.NoError(t, err)
		own, err := ours.VirtualNetworks.Get(ctx, network.ID)
		require.NoError(t, err)
		sameFields(t, network, *own, nil, nil)
		_, err = ours.Routes.Create(ctx, cftunnel.RouteCreateParams{
			Network: netip.MustParsePrefix("10.0.0.0/8"), TunnelID: tunnel.ID,
			VirtualNetworkID: network.ID, Comment: "office",
		})
		require.NoError(t, err)
		listed, err := v0.ListTunnelRoutes(ctx, rc, cloudflare.TunnelRoutesListParams{})
		require.NoError(t, err)
		require.Len(t, listed, 1)
		looked, err := v0.GetTunnelRouteForIP(ctx, rc,
			cloudflare.TunnelRoutesForIPParams{Network: "10.1.2.3", VirtualNetworkID: network.ID})
		require.NoError(t, err)
		found, err := ours.Routes.Lookup(ctx, netip.MustParseAddr("10.1.2.3"),
			cftunnel.RouteLookupParams{VirtualNetworkID: network.ID})
		require.NoError(t, err)
		want := routeOf(t, found)
		drop(t, "cftunnel", want, []string{"id", "tun_type", "virtual_network_name"})
		for _, official := range []cloudflare.TunnelRoute{listed[0], looked} {
			assert.Equal(t, want, fieldsOf(t, official))
		}
		_, err = v0.CreateTunnelRoute(ctx, rc,
			cloudflare.TunnelRoutesCreateParams{Network: "10.1.0.0/16", TunnelID: tunnel.ID})
		require.Error(t, err, "the API no longer has the endpoints by CIDR")
	})
}
