package cftunnel_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/netip"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// A test checks that docs/private-networks.md has the functions up to dismantle.

// connectOffice makes the office network reachable through a tunnel. It can be called again at any
// time.
func connectOffice(ctx context.Context, client *cftunnel.Client) (*cftunnel.Route, error) {
	tunnel, _, err := client.Tunnels.Ensure(ctx, cftunnel.TunnelCreateParams{
		Name:         "office",
		ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	if err != nil {
		return nil, err
	}
	// The tunnel must serve private networks.
	serve := func(c *cftunnel.TunnelConfig) error {
		c.WARPRouting = &cftunnel.WARPRouting{Enabled: true}
		if len(c.Ingress) == 0 {
			c.Ingress = []cftunnel.IngressRule{{Service: "http_status:404"}}
		}
		return nil
	}
	if _, err := client.Tunnels.ModifyConfiguration(ctx, tunnel.ID, serve); err != nil {
		return nil, err
	}
	route, _, err := client.Routes.Ensure(ctx, cftunnel.RouteCreateParams{
		Network:  netip.MustParsePrefix("10.0.0.0/8"),
		TunnelID: tunnel.ID,
		Comment:  "office",
	})
	return route, err
}

// separate creates a route in a virtual network of its own, because another site uses the same CIDR.
// It can be called again at any time.
func separate(
	ctx context.Context, client *cftunnel.Client, name, tunnelID string, network netip.Prefix,
) error {
	site, err := client.VirtualNetworks.FindByName(ctx, name)
	if errors.Is(err, cftunnel.ErrNotFound) {
		params := cftunnel.VirtualNetworkCreateParams{Name: name}
		site, err = client.VirtualNetworks.Create(ctx, params)
	}
	if err != nil {
		return err
	}
	_, _, err = client.Routes.Ensure(ctx, cftunnel.RouteCreateParams{
		Network:          network,
		TunnelID:         tunnelID,
		VirtualNetworkID: site.ID,
	})
	return err
}

// dismantle deletes the routes, the tunnel and the virtual network of a site. It can be called
// again until it succeeds.
func dismantle(
	ctx context.Context, client *cftunnel.Client, tunnelID, virtualNetworkID string,
) error {
	var routeIDs []string // collected first: deleting changes the pages of the list
	for route, err := range client.Routes.All(ctx, cftunnel.RouteListParams{TunnelID: tunnelID}) {
		if err != nil {
			return err
		}
		routeIDs = append(routeIDs, route.ID)
	}
	for _, id := range routeIDs {
		_, err := client.Routes.Delete(ctx, id)
		if err != nil && !errors.Is(err, cftunnel.ErrNotFound) {
			return err
		}
	}
	_, err := client.Tunnels.CleanupAndDelete(ctx, tunnelID)
	if err != nil && !errors.Is(err, cftunnel.ErrNotFound) {
		return err
	}
	params := cftunnel.VirtualNetworkDeleteParams{}
	_, err = client.VirtualNetworks.Delete(ctx, virtualNetworkID, params)
	if err != nil && !errors.Is(err, cftunnel.ErrNotFound) {
		return err
	}
	return nil
}

func ExampleRoutesService_Ensure() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	route, err := connectOffice(ctx, client)
	if err != nil {
		log.Fatal(err)
	}
	again, err := connectOffice(ctx, client)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(route.Network, route.Comment, route.ID == again.ID)
	// Output: 10.0.0.0/8 office true
}

func ExampleRoutesService_Lookup() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if _, err := connectOffice(ctx, client); err != nil {
		log.Fatal(err)
	}
	for _, addr := range []string{"10.1.2.3", "192.0.2.1"} {
		params := cftunnel.RouteLookupParams{}
		route, err := client.Routes.Lookup(ctx, netip.MustParseAddr(addr), params)
		switch {
		case errors.Is(err, cftunnel.ErrNotFound):
			fmt.Println(addr, "has no route")
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Println(addr, "is routed to", route.TunnelName)
		}
	}
	// Output:
	// 10.1.2.3 is routed to office
	// 192.0.2.1 has no route
}

func ExampleVirtualNetworksService_Create() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if _, err := connectOffice(ctx, client); err != nil {
		log.Fatal(err)
	}
	lab, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{
		Name:         "lab",
		ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	if err != nil {
		log.Fatal(err)
	}
	// 10.0.0.0/8 is already routed to the office.
	network := netip.MustParsePrefix("10.0.0.0/8")
	if err := separate(ctx, client, "lab", lab.ID, network); err != nil {
		log.Fatal(err)
	}
	site, err := client.VirtualNetworks.FindByName(ctx, "lab")
	if err != nil {
		log.Fatal(err)
	}
	for range 2 { // the second call finds nothing to delete
		if err := dismantle(ctx, client, lab.ID, site.ID); err != nil {
			log.Fatal(err)
		}
	}
	page, err := client.Routes.List(ctx, cftunnel.RouteListParams{})
	if err != nil {
		log.Fatal(err)
	}
	for _, route := range page.Items {
		fmt.Println(route.Network, route.TunnelName, route.VirtualNetworkName)
	}
	// Output: 10.0.0.0/8 office default
}

func ExampleHostnameRoutesService_Create() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	tunnel, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{
		Name:         "office",
		ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	if err != nil {
		log.Fatal(err)
	}
	route, err := client.HostnameRoutes.Create(ctx, cftunnel.HostnameRouteCreateParams{
		Hostname: "wiki.internal",
		TunnelID: tunnel.ID,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(route.Hostname, "is routed to", route.TunnelName)
	// Output: wiki.internal is routed to office
}
