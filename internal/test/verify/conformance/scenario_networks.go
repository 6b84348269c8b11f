package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/cases"
)

// privateNetworks sends every parameter of private networks: of writes, of lists, and those that
// only cloudflared sends.
func privateNetworks(ctx context.Context, s *scenario) error {
	network, err := s.client.VirtualNetworks.Create(ctx, cftunnel.VirtualNetworkCreateParams{
		Name: "blue", Comment: "lab", IsDefault: true,
	})
	if err != nil {
		return err
	}
	route, err := s.client.Routes.Create(ctx, cftunnel.RouteCreateParams{
		Network: cases.FreeNetwork, TunnelID: s.fixture.Tunnel, VirtualNetworkID: network.ID,
		Comment: "lab",
	})
	if err != nil {
		return err
	}
	hostname, err := s.client.HostnameRoutes.Create(ctx, cftunnel.HostnameRouteCreateParams{
		Hostname: "wiki.internal", TunnelID: s.fixture.Tunnel, Comment: "lab",
	})
	if err != nil {
		return err
	}
	// is_default is the old name of is_default_network.
	_, oldErr := s.client.VirtualNetworks.List(ctx, cftunnel.VirtualNetworkListParams{},
		cftunnel.AddQuery("is_default", "false"))
	body := map[string]any{"name": "old", "is_default": false}
	createErr := s.client.Do(ctx, http.MethodPost,
		"accounts/"+s.srv.AccountID()+"/teamnet/virtual_networks", body, nil)
	return errors.Join(
		oldErr, createErr,
		s.filterNetworks(ctx, network.ID, route.ID, hostname.ID),
		s.changeNetworks(ctx, network.ID, route.ID, hostname.ID),
		s.refuseNetworks(ctx),
		s.deleteNetworks(ctx, network.ID, hostname.ID),
	)
}

// filterNetworks lists with every filter.
func (s *scenario) filterNetworks(ctx context.Context, network, route, hostname string) error {
	soon := time.Now().Add(time.Hour)
	_, networkErr := s.client.VirtualNetworks.List(ctx, cftunnel.VirtualNetworkListParams{
		ID: network, Name: "blue", IsDefault: new(true), IsDeleted: new(false), Page: 1, PerPage: 5,
	})
	_, routeErr := s.client.Routes.List(ctx, cftunnel.RouteListParams{
		Within: cases.FreeNetwork, Containing: cases.FreeNetwork, RouteID: route,
		TunnelID: s.fixture.Tunnel, VirtualNetworkID: network, Comment: "lab", ExistedAt: soon,
		IsDeleted: new(false), Page: 1, PerPage: 5,
		TunnelTypes: []cftunnel.TunnelType{cftunnel.TunnelTypeCloudflared, cftunnel.TunnelTypeWARPConnector},
	})
	_, lookupErr := s.client.Routes.Lookup(ctx, cases.FreeNetwork.Addr(),
		cftunnel.RouteLookupParams{
			VirtualNetworkID: network, NoFallback: true,
		})
	withoutRoute := netip.MustParseAddr("192.0.2.1")
	_, noneErr := s.client.Routes.Lookup(ctx, withoutRoute, cftunnel.RouteLookupParams{})
	if errors.Is(noneErr, cftunnel.ErrNotFound) {
		noneErr = nil
	}
	_, hostnameErr := s.client.HostnameRoutes.List(ctx, cftunnel.HostnameRouteListParams{
		ID: hostname, Hostname: "wiki", TunnelID: s.fixture.Tunnel, Comment: "lab", ExistedAt: soon,
		IsDeleted: new(false), Page: 1, PerPage: 5,
	})
	return errors.Join(networkErr, routeErr, lookupErr, noneErr, hostnameErr)
}

// changeNetworks sends every parameter of an update.
func (s *scenario) changeNetworks(ctx context.Context, network, route, hostname string) error {
	_, networkErr := s.client.VirtualNetworks.Update(ctx, s.fixture.VirtualNetwork,
		cftunnel.VirtualNetworkUpdateParams{Name: "green", Comment: new("x"), IsDefault: true})
	_, routeErr := s.client.Routes.Update(ctx, route, cftunnel.RouteUpdateParams{
		Network: netip.MustParsePrefix("2001:db8::/32"), TunnelID: s.fixture.WARP,
		VirtualNetworkID: s.fixture.VirtualNetwork, Comment: new(""),
	})
	_, hostnameErr := s.client.HostnameRoutes.Update(ctx, hostname,
		cftunnel.HostnameRouteUpdateParams{
			Hostname: "docs.internal", TunnelID: s.fixture.WARP, Comment: new(""),
		})
	_, listErr := s.client.Routes.List(ctx, cftunnel.RouteListParams{})
	return errors.Join(networkErr, routeErr, hostnameErr, listErr)
}

// refuseNetworks makes requests that the fake refuses because of its state.
func (s *scenario) refuseNetworks(ctx context.Context) error {
	_, exists := s.client.Routes.Create(ctx, cftunnel.RouteCreateParams{
		Network: cases.TakenNetwork, TunnelID: s.fixture.Tunnel,
		VirtualNetworkID: s.networkOf(ctx, s.fixture.Route),
	})
	_, taken := s.client.VirtualNetworks.Create(ctx,
		cftunnel.VirtualNetworkCreateParams{Name: "blue"})
	_, routed := s.client.HostnameRoutes.Create(ctx, cftunnel.HostnameRouteCreateParams{
		Hostname: s.fixture.Name, TunnelID: s.fixture.Tunnel,
	})
	_, isDefault := s.client.VirtualNetworks.Delete(ctx, s.fixture.VirtualNetwork,
		cftunnel.VirtualNetworkDeleteParams{})
	if !errors.Is(exists, cftunnel.ErrRouteExists) || !errors.Is(taken, cftunnel.ErrConflict) ||
		!errors.Is(routed, cftunnel.ErrConflict) || !errors.Is(isDefault, cftunnel.ErrBadRequest) {
		return fmt.Errorf("unexpected errors: %w", errors.Join(exists, taken, routed, isDefault))
	}
	return nil
}

func (s *scenario) networkOf(ctx context.Context, routeID string) string {
	route, err := s.client.Routes.Get(ctx, routeID)
	if err != nil {
		return ""
	}
	return route.VirtualNetworkID
}

func (s *scenario) deleteNetworks(ctx context.Context, network, hostname string) error {
	c, isDeleted := s.client, new(true)
	_, networkErr := c.VirtualNetworks.Delete(ctx, network,
		cftunnel.VirtualNetworkDeleteParams{Force: true})
	_, hostnameErr := c.HostnameRoutes.Delete(ctx, hostname)
	_, tunnelErr := c.Tunnels.Delete(ctx, s.fixture.Tunnel,
		cftunnel.TunnelDeleteParams{Cascade: true})
	_, listErr := c.Routes.List(ctx, cftunnel.RouteListParams{IsDeleted: isDeleted})
	_, deletedErr := c.VirtualNetworks.List(ctx,
		cftunnel.VirtualNetworkListParams{IsDeleted: isDeleted})
	_, hostnamesErr := c.HostnameRoutes.List(ctx,
		cftunnel.HostnameRouteListParams{IsDeleted: isDeleted})
	return errors.Join(networkErr, hostnameErr, tunnelErr, listErr, deletedErr, hostnamesErr)
}
