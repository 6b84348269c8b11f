package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/cases"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// scenarios have the client do what of the schema no test of the module has it do.
func scenarios(ctx context.Context) error {
	for name, scenario := range map[string]func(context.Context, *tunneltest.Server, *cftunnel.Client) error{
		"every filter": filters, "a whole configuration": configuration, "malformed credentials": malformedCredentials,
	} {
		srv := tunneltest.NewServer()
		client, err := srv.NewClient()
		if err == nil {
			err = scenario(ctx, srv, client)
			client.CloseIdleConnections()
		}
		srv.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// filters lists with every filter there is, each kind of list in turn.
func filters(ctx context.Context, srv *tunneltest.Server, client *cftunnel.Client) error {
	w, err := cases.NewFixture(ctx, srv)
	if err != nil {
		return err
	}
	now := time.Now()
	params := cftunnel.TunnelListParams{
		Name: w.Name, UUID: w.Tunnel, Status: cftunnel.TunnelStatusHealthy, IsDeleted: new(false), IncludePrefix: w.Name[:1], ExcludePrefix: "x",
		ExistedAt: now, WasActiveAt: now, WasInactiveAt: now.Add(-time.Hour), Page: 1, PerPage: 50,
	}
	_, err = client.Tunnels.List(ctx, params, cftunnel.AddQuery("name_prefix", w.Name[:1]))
	_, warpErr := client.WARPConnectors.List(ctx, params)
	return errors.Join(err, warpErr)
}

// configuration puts every setting that there is, for all rules and for one, and reads it.
func configuration(ctx context.Context, srv *tunneltest.Server, client *cftunnel.Client) error {
	origin := &cftunnel.OriginRequest{
		Access: &cftunnel.Access{AUDTag: []string{"tag"}, TeamName: "team", Required: true},
		CAPool: "/etc/ca.pem", HTTPHostHeader: "a.example.com", OriginServerName: "a.example.com", ProxyType: "socks",
		ConnectTimeout: new(5), KeepAliveConnections: new(10), KeepAliveTimeout: new(60), TCPKeepAlive: new(20), TLSTimeout: new(5),
		DisableChunkedEncoding: new(true), HTTP2Origin: new(true), NoHappyEyeballs: new(true), NoTLSVerify: new(true),
	}
	id := srv.SeedTunnels(1)[0].ID
	_, err := client.Tunnels.UpdateConfiguration(ctx, id, cftunnel.TunnelConfig{
		Ingress: []cftunnel.IngressRule{
			{Hostname: "a.example.com", Path: "/a", Service: "https://localhost:8443", OriginRequest: origin}, {Service: "http_status:404"},
		},
		OriginRequest: origin, WARPRouting: &cftunnel.WARPRouting{Enabled: true},
	})
	if err != nil {
		return err
	}
	_, err = client.Tunnels.Configuration(ctx, id)
	return err
}

// malformedCredentials calls every method with a token that is none, which the server tells in an error_chain.
func malformedCredentials(ctx context.Context, srv *tunneltest.Server, _ *cftunnel.Client) error {
	w, err := cases.NewFixture(ctx, srv)
	if err != nil {
		return err
	}
	client, err := srv.NewClient(cftunnel.WithAPIToken("no.token"))
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	refused := func(name string, err error) error {
		if !cftunnel.HasCode(err, 6111) {
			return fmt.Errorf("%s with a malformed token: %w", name, err)
		}
		return nil
	}
	for name, method := range cases.Methods {
		if err := refused(name, method.Call(ctx, client, w)); err != nil {
			return err
		}
	}
	_, err = client.Tunnels.ManagementToken(ctx, w.Tunnel, cftunnel.ManagementResourceAdmin)
	return refused("Tunnels.ManagementToken", err)
}
