package cases

import (
	"context"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

const (
	routes    = "/accounts/{account_id}/teamnet/routes"
	networks  = "/accounts/{account_id}/teamnet/virtual_networks"
	hostnames = "/accounts/{account_id}/zerotrust/routes/hostname"
)

// networkMethods has the methods for private networks.
var networkMethods = map[string]Method{
	"Routes.Create": {V7: "ZeroTrust.Networks.Routes.New", Operations: []string{"POST " + routes}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Routes.Create(ctx,
			cftunnel.RouteCreateParams{Network: FreeNetwork, TunnelID: f.Tunnel})
		return err
	}},
	"Routes.Get": {V7: "ZeroTrust.Networks.Routes.Get", Operations: []string{"GET " + routes + "/{route_id}"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Routes.Get(ctx, f.Route)
		return err
	}},
	"Routes.List": {V7: "ZeroTrust.Networks.Routes.List", V0: "ListTunnelRoutes", Operations: []string{"GET " + routes}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Routes.List(ctx, cftunnel.RouteListParams{})
		return err
	}},
	"Routes.All": {Operations: []string{"GET " + routes}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) (err error) {
		for _, err = range c.Routes.All(ctx, cftunnel.RouteListParams{}) {
			break
		}
		return err
	}},
	"Routes.Update": {V7: "ZeroTrust.Networks.Routes.Edit", Operations: []string{"PATCH " + routes + "/{route_id}"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Routes.Update(ctx, f.Route, cftunnel.RouteUpdateParams{Network: FreeNetwork})
		return err
	}},
	"Routes.Delete": {V7: "ZeroTrust.Networks.Routes.Delete", Operations: []string{"DELETE " + routes + "/{route_id}"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Routes.Delete(ctx, f.Route)
		return err
	}},
	"Routes.Lookup": {V7: "ZeroTrust.Networks.Routes.IPs.Get", V0: "GetTunnelRouteForIP", Operations: []string{"GET " + routes + "/ip/{ip}"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.Routes.Lookup(ctx, TakenNetwork.Addr(), cftunnel.RouteLookupParams{})
		return err
	}},
	"Routes.Ensure": {Operations: []string{"GET " + routes}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, _, err := c.Routes.Ensure(ctx,
			cftunnel.RouteCreateParams{Network: FreeNetwork, TunnelID: f.Tunnel})
		return err
	}},
	"VirtualNetworks.Create": {V7: "ZeroTrust.Networks.VirtualNetworks.New", V0: "CreateTunnelVirtualNetwork", Operations: []string{"POST " + networks}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.VirtualNetworks.Create(ctx, cftunnel.VirtualNetworkCreateParams{Name: f.Free})
		return err
	}},
	"VirtualNetworks.Get": {V7: "ZeroTrust.Networks.VirtualNetworks.Get", Operations: []string{"GET " + networks + "/{virtual_network_id}"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.VirtualNetworks.Get(ctx, f.VirtualNetwork)
		return err
	}},
	"VirtualNetworks.List": {V7: "ZeroTrust.Networks.VirtualNetworks.List", V0: "ListTunnelVirtualNetworks", Operations: []string{"GET " + networks}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.VirtualNetworks.List(ctx, cftunnel.VirtualNetworkListParams{})
		return err
	}},
	"VirtualNetworks.All": {Operations: []string{"GET " + networks}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) (err error) {
		for _, err = range c.VirtualNetworks.All(ctx, cftunnel.VirtualNetworkListParams{}) {
			break
		}
		return err
	}},
	"VirtualNetworks.Update": {V7: "ZeroTrust.Networks.VirtualNetworks.Edit", V0: "UpdateTunnelVirtualNetwork", Operations: []string{"PATCH " + networks + "/{virtual_network_id}"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.VirtualNetworks.Update(ctx, f.VirtualNetwork,
			cftunnel.VirtualNetworkUpdateParams{Name: f.Free})
		return err
	}},
	"VirtualNetworks.Delete": {V7: "ZeroTrust.Networks.VirtualNetworks.Delete", V0: "DeleteTunnelVirtualNetwork", Operations: []string{"DELETE " + networks + "/{virtual_network_id}"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.VirtualNetworks.Delete(ctx, f.VirtualNetwork,
			cftunnel.VirtualNetworkDeleteParams{})
		return err
	}},
	"VirtualNetworks.Default": {Operations: []string{"GET " + networks}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.VirtualNetworks.Default(ctx)
		return err
	}},
	"VirtualNetworks.FindByName": {Operations: []string{"GET " + networks}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.VirtualNetworks.FindByName(ctx, f.Name)
		return err
	}},
	"HostnameRoutes.Create": {V7: "ZeroTrust.Networks.HostnameRoutes.New", Operations: []string{"POST " + hostnames}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.HostnameRoutes.Create(ctx,
			cftunnel.HostnameRouteCreateParams{Hostname: f.Free, TunnelID: f.Tunnel})
		return err
	}},
	"HostnameRoutes.Get": {V7: "ZeroTrust.Networks.HostnameRoutes.Get", Operations: []string{"GET " + hostnames + "/{hostname_route_id}"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.HostnameRoutes.Get(ctx, f.HostnameRoute)
		return err
	}},
	"HostnameRoutes.List": {V7: "ZeroTrust.Networks.HostnameRoutes.List", Operations: []string{"GET " + hostnames}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.HostnameRoutes.List(ctx, cftunnel.HostnameRouteListParams{})
		return err
	}},
	"HostnameRoutes.All": {Operations: []string{"GET " + hostnames}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) (err error) {
		for _, err = range c.HostnameRoutes.All(ctx, cftunnel.HostnameRouteListParams{}) {
			break
		}
		return err
	}},
	"HostnameRoutes.Update": {V7: "ZeroTrust.Networks.HostnameRoutes.Edit", Operations: []string{"PATCH " + hostnames + "/{hostname_route_id}"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.HostnameRoutes.Update(ctx, f.HostnameRoute,
			cftunnel.HostnameRouteUpdateParams{Hostname: f.Free})
		return err
	}},
	"HostnameRoutes.Delete": {V7: "ZeroTrust.Networks.HostnameRoutes.Delete", Operations: []string{"DELETE " + hostnames + "/{hostname_route_id}"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
		_, err := c.HostnameRoutes.Delete(ctx, f.HostnameRoute)
		return err
	}},
}
