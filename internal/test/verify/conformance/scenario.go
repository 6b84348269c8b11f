package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/cases"
	"github.com/cftunnel/cftunnel-go/internal/test/wirelog"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// runScenarios sends the requests to check, and returns them with their responses.
func runScenarios(ctx context.Context, operations []string) ([]*wirelog.Exchange, error) {
	var log wirelog.Log
	for name, step := range map[string]func(context.Context, *scenario) error{
		"filters":                 filters,
		"parameters":              parameters,
		"tunnel statuses":         statuses,
		"settings":                settings,
		"high availability modes": haModes,
		"tokens":                  tokens,
		"refusals":                refusals,
		"private networks":        privateNetworks,
		"zones and records":       hostnames,
		"parts of an API token":   tokenParts,
	} {
		if err := withScenario(ctx, &log, step); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	for name, method := range cases.Methods {
		err := withScenario(ctx, &log, func(ctx context.Context, s *scenario) error {
			return s.callMethod(ctx, method)
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, operation := range operations {
		err := withScenario(ctx, &log, func(ctx context.Context, s *scenario) error {
			s.invalidRequests(ctx, operation)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", operation, err)
		}
	}
	return log.Exchanges(), nil
}

// scenario is a new fake with a fixture, and a client of this fake.
type scenario struct {
	log     *wirelog.Log
	srv     *tunneltest.Server
	fixture cases.Fixture
	client  *cftunnel.Client
}

func withScenario(
	ctx context.Context, log *wirelog.Log, step func(context.Context, *scenario) error,
) error {
	srv := tunneltest.NewServer(tunneltest.WithMiddleware(log.Middleware))
	defer srv.Close()
	fixture, err := cases.NewFixture(ctx, srv)
	if err != nil {
		return err
	}
	client, err := cases.NewClient(srv)
	if err != nil {
		return err
	}
	return step(ctx, &scenario{log, srv, fixture, client})
}

// callMethod calls a method several times: with an unknown token, with unknown IDs, with a token
// that may only read, and so that it succeeds.
func (s *scenario) callMethod(ctx context.Context, method cases.Method) error {
	call := func(fixture cases.Fixture, token cftunnel.Secret) error {
		client, err := cases.NewClient(s.srv, cftunnel.WithAPIToken(token.Reveal()))
		if err != nil {
			return err
		}
		return method.Call(ctx, client, fixture)
	}
	token := s.srv.APIToken()
	if method.AccountToken {
		token = s.srv.AddToken(tunneltest.Token{Owner: cftunnel.TokenOwnerAccount})
	}
	unknown := cftunnel.NewSecret(strings.Repeat("u", 40))
	if err := call(s.fixture, unknown); !errors.Is(err, cftunnel.ErrUnauthorized) {
		return fmt.Errorf("with an unknown token: %w", err)
	}
	_ = call(cases.UnknownIDs(), token) // lists succeed
	_ = call(s.fixture, s.srv.AddToken(tunneltest.Token{ReadOnly: true}))
	return call(s.fixture, token)
}

// invalidBodies are bodies that the client does not send.
var invalidBodies = []string{
	"", "{", "[]", "{}", `{"name":1,"config":[],"resources":1,"client_id":1,"ha_mode":"x"}`,
	`{"name":"odd","tunnel_secret":"short","resources":["odd"],"client_id":"odd","config":null,"ha_mode":"aws"}`,
	`{"ha_mode":"local","config":{"vips":[{"address":"odd"}],"ingress":[]}}`,
	`{"ha_mode":"disabled","config":{"fnr_id":"odd","ingress":[{"service":"odd"}]}}`,
	`{"ha_mode":"local","config":{"ingress":[{"service":"http://localhost","hostname":"a.example.com"}]}}`,
}

// invalidRequests sends requests for an operation that the client does not send.
func (s *scenario) invalidRequests(ctx context.Context, operation string) {
	method, template, _ := strings.Cut(operation, " ")
	tunnel, connector, idle := s.fixture.Tunnel, s.fixture.Connector, s.fixture.Idle
	if strings.Contains(template, "/warp_connector") {
		tunnel, connector, idle = s.fixture.WARP, s.fixture.WARPConnector, s.fixture.IdleWARP
	}
	token := s.fixture.AccountToken
	if strings.HasPrefix(template, "/user/") {
		token = s.fixture.UserToken
	}
	path := func(account, tunnel string) string {
		return strings.NewReplacer(
			"{account_id}", account, "{tunnel_id}", tunnel, "{connector_id}", connector,
			"{route_id}", s.fixture.Route, "{hostname_route_id}", s.fixture.HostnameRoute,
			"{virtual_network_id}", s.fixture.VirtualNetwork, "{ip}", "192.0.2.1",
			"{zone_id}", s.fixture.Zone, "{dns_record_id}", s.fixture.Record, "{token_id}", token,
		).Replace(template)
	}
	good := "Bearer " + s.srv.APIToken().Reveal()
	known := path(s.srv.AccountID(), tunnel)
	_, _ = s.client.Tunnels.Delete(ctx, s.fixture.Idle, cftunnel.TunnelDeleteParams{})
	_, _ = s.client.WARPConnectors.Delete(ctx, s.fixture.IdleWARP, cftunnel.TunnelDeleteParams{})
	paths := []string{
		known, template, path("x", tunnel), path(s.srv.AccountID(), idle),
		known + "?page=x&per_page=0&status=x",
	}
	if !strings.HasSuffix(operation, "/tokens") { // a final slash does not change this operation
		paths = append(paths, known+"/")
	}
	for _, path := range paths {
		for _, body := range invalidBodies {
			s.send(ctx, method, path, body, good)
		}
	}
	s.send(ctx, method, known, "", "")
	s.send(ctx, method, known, "", "Bearer no.token")
	s.send(ctx, http.MethodTrace, known, "", good)
}

func (s *scenario) send(ctx context.Context, method, path, body, authorization string) {
	r := httptest.NewRequestWithContext(ctx, method, basePath+path, strings.NewReader(body))
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	s.srv.Handler().ServeHTTP(httptest.NewRecorder(), r)
}

// refusals makes requests that the fake refuses because of its state or its quota.
func refusals(ctx context.Context, s *scenario) error {
	_, taken := s.client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: s.fixture.Name})
	_, active := s.client.Tunnels.Delete(ctx, s.fixture.Tunnel, cftunnel.TunnelDeleteParams{})
	_, unknown := s.client.Connectors.Get(ctx, s.fixture.Tunnel, "an-id-that-is-no-uuid")
	limited := tunneltest.NewServer(
		tunneltest.WithMiddleware(s.log.Middleware), tunneltest.WithQuota(1, time.Hour))
	defer limited.Close()
	client, err := cases.NewClient(limited,
		cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 1}))
	if err != nil {
		return err
	}
	_, allowed := client.Tokens.Verify(ctx)
	_, tooMany := client.Tokens.Verify(ctx)
	if !errors.Is(taken, cftunnel.ErrTunnelNameTaken) ||
		!errors.Is(active, cftunnel.ErrActiveConnections) ||
		!errors.Is(unknown, cftunnel.ErrNotFound) || !errors.Is(tooMany, cftunnel.ErrRateLimited) {
		return fmt.Errorf("unexpected errors: %w", errors.Join(taken, active, unknown, tooMany))
	}
	return allowed
}

// filters lists with every filter.
func filters(ctx context.Context, s *scenario) error {
	now, f := time.Now(), s.fixture
	params := cftunnel.TunnelListParams{
		Name: f.Name, UUID: f.Tunnel, Status: cftunnel.TunnelStatusHealthy, IsDeleted: new(false),
		IncludePrefix: f.Name[:1], ExcludePrefix: "x", ExistedAt: now, WasActiveAt: now,
		WasInactiveAt: now.Add(-time.Hour), Page: 1, PerPage: 50,
	}
	_, err := s.client.Tunnels.List(ctx, params, cftunnel.AddQuery("name_prefix", f.Name[:1]))
	_, warpErr := s.client.WARPConnectors.List(ctx, params)
	_, allErr := s.client.Tunnels.ListAllTypes(ctx, cftunnel.AllTypesListParams{
		Name: f.Name, UUID: f.Tunnel, Status: cftunnel.TunnelStatusHealthy, IsDeleted: new(false),
		IncludePrefix: f.Name[:1], ExcludePrefix: "x", ExistedAt: now, WasActiveAt: now,
		WasInactiveAt: now.Add(-time.Hour), Page: 1, PerPage: 50,
		Types: []cftunnel.TunnelType{cftunnel.TunnelTypeCloudflared, cftunnel.TunnelTypeWARPConnector},
	})
	return errors.Join(err, warpErr, allErr)
}

// parameters sends the parameters of writes that package cases does not send.
func parameters(ctx context.Context, s *scenario) error {
	secret := cftunnel.NewTunnelSecret()
	tunnel, err := s.client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{
		Name: "local", ConfigSource: cftunnel.ConfigSourceLocal, Secret: secret,
	})
	if err != nil {
		return err
	}
	update := cftunnel.TunnelUpdateParams{Name: "renamed", Secret: secret}
	_, updateErr := s.client.Tunnels.Update(ctx, tunnel.ID, update)
	update.Name = "renamed too"
	_, warpErr := s.client.WARPConnectors.Update(ctx, s.fixture.WARP, update)
	_, logsErr := s.client.Tunnels.ManagementToken(ctx, tunnel.ID, cftunnel.ManagementResourceLogs)
	_, adminErr := s.client.Tunnels.ManagementToken(ctx, tunnel.ID,
		cftunnel.ManagementResourceAdmin)
	one := cftunnel.CleanupParams{ConnectorID: s.fixture.Connector}
	cascade := cftunnel.TunnelDeleteParams{Cascade: true}
	cleanupErr := s.client.Connectors.Cleanup(ctx, s.fixture.Tunnel, one)
	_, deleteErr := s.client.Tunnels.Delete(ctx, s.fixture.Tunnel, cascade)
	_, deleteWARPErr := s.client.WARPConnectors.Delete(ctx, s.fixture.WARP, cascade)
	return errors.Join(updateErr, warpErr, logsErr, adminErr, cleanupErr, deleteErr, deleteWARPErr)
}

// statuses gets tunnels and their connectors while the tunnels run, after they stopped, and after
// they were deleted.
func statuses(ctx context.Context, s *scenario) error {
	read := func() error {
		_, err := s.client.Tunnels.Get(ctx, s.fixture.Tunnel)
		_, warpErr := s.client.WARPConnectors.Get(ctx, s.fixture.WARP)
		_, listErr := s.client.Tunnels.ListAllTypes(ctx,
			cftunnel.AllTypesListParams{IsDeleted: new(true)})
		_, connectorsErr := s.client.Connectors.List(ctx, s.fixture.Tunnel)
		return errors.Join(err, warpErr, listErr, connectorsErr)
	}
	running := read()
	s.srv.Disconnect(s.fixture.Connector)
	stopped := read()
	_, err := s.client.Tunnels.Delete(ctx, s.fixture.Tunnel, cftunnel.TunnelDeleteParams{})
	cascade := cftunnel.TunnelDeleteParams{Cascade: true}
	_, warpErr := s.client.WARPConnectors.Delete(ctx, s.fixture.WARP, cascade)
	return errors.Join(running, stopped, err, warpErr, read())
}

// settings writes a configuration with every setting, and gets it.
func settings(ctx context.Context, s *scenario) error {
	origin := &cftunnel.OriginRequest{
		Access: &cftunnel.Access{
			AUDTag: []string{"tag"}, TeamName: "team", Required: true, Environment: "fedramp",
		},
		BastionMode: new(false),
		IPRules: []cftunnel.IPRule{
			{Prefix: "192.0.2.0/24", Ports: []int{443}, Allow: true},
		},
		MatchSNIToHost: new(true), ProxyAddress: "127.0.0.1", ProxyPort: new(0),
		CAPool: "/etc/ca.pem", HTTPHostHeader: "a.example.com", OriginServerName: "a.example.com",
		ProxyType: "socks", ConnectTimeout: new(5), KeepAliveConnections: new(10),
		KeepAliveTimeout: new(60), TCPKeepAlive: new(20), TLSTimeout: new(5),
		DisableChunkedEncoding: new(true), HTTP2Origin: new(true), NoHappyEyeballs: new(true),
		NoTLSVerify: new(true),
	}
	var config cftunnel.TunnelConfig
	if err := config.UnmarshalJSON([]byte(`{"unknown":1}`)); err != nil {
		return err
	}
	config.Ingress = []cftunnel.IngressRule{
		{Hostname: "a.example.com", Path: "/a", Service: "https://localhost:8443", OriginRequest: origin},
		{Service: "http_status:404"},
	}
	config.OriginRequest, config.WARPRouting = origin, &cftunnel.WARPRouting{
		Enabled: true, ConnectTimeout: new(5), MaxActiveFlows: new(100), TCPKeepAlive: new(30),
	}
	if _, err := s.client.Tunnels.UpdateConfiguration(ctx, s.fixture.Tunnel, config); err != nil {
		return err
	}
	_, err := s.client.Tunnels.Configuration(ctx, s.fixture.Tunnel)
	return err
}

func haModes(ctx context.Context, s *scenario) error {
	for _, params := range []cftunnel.WARPConfigurationParams{
		{HAMode: cftunnel.HAModeAWS, FNRID: "eni-0"},
		{HAMode: cftunnel.HAModeLocal, VIPs: []string{"192.0.2.2"}, VIPsPrevious: []string{"192.0.2.1"}},
		{HAMode: cftunnel.HAModeDisabled},
	} {
		_, err := s.client.WARPConnectors.UpdateConfiguration(ctx, s.fixture.WARP, params)
		if err != nil {
			return err
		}
		if _, err := s.client.WARPConnectors.Configuration(ctx, s.fixture.WARP); err != nil {
			return err
		}
	}
	return nil
}

// tokens verifies tokens of every owner and in every status.
func tokens(ctx context.Context, s *scenario) error {
	now := time.Now()
	for _, owner := range []cftunnel.TokenOwner{cftunnel.TokenOwnerUser, cftunnel.TokenOwnerAccount} {
		for _, token := range []tunneltest.Token{
			{}, {NotBefore: now.Add(-time.Hour), ExpiresOn: now.Add(time.Hour)},
			{Status: cftunnel.TokenStatusDisabled}, {ReadOnly: true},
			{ExpiresOn: now.Add(-time.Hour)}, {NotBefore: now.Add(time.Hour)},
		} {
			token.Owner = owner
			secret := s.srv.AddToken(token).Reveal()
			client, err := cases.NewClient(s.srv, cftunnel.WithAPIToken(secret))
			if err != nil {
				return err
			}
			_, _ = client.Tokens.Verify(ctx) // reports the status, or fails
			_, _ = client.Tunnels.List(ctx, cftunnel.TunnelListParams{})
			_, _ = client.Tunnels.Delete(ctx, s.fixture.Idle, cftunnel.TunnelDeleteParams{})
		}
	}
	return nil
}
