package cases

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// Fixture has the IDs and names of what exists on a server, as arguments for [Methods].
type Fixture struct {
	// Tunnel is the ID of a tunnel with the name Name and the connector Connector. The tunnel Idle
	// has no connectors.
	Tunnel, Connector, Name, Idle string
	// WARP is the ID of a WARP connector tunnel. WARPConnector is its passive replica. IdleWARP has
	// no connectors.
	WARP, WARPConnector, IdleWARP string
	// UserToken and AccountToken are the IDs of API tokens with the name Name.
	UserToken, AccountToken string
	// Free is a name that no tunnel and no API token has. No hostname in the zone begins with it.
	Free string
	// Route and HostnameRoute are the IDs of routes to Tunnel. VirtualNetwork is the ID of a
	// virtual network with the name Name and without routes.
	Route, HostnameRoute, VirtualNetwork string
	// Zone is the ID of the DNS zone ZoneName. Record is the ID of the record in it that publishes
	// Hostname through Tunnel.
	Zone, ZoneName, Record, Hostname string
}

// UnknownIDs returns a fixture that exists on no server, for tests whose server ignores IDs.
func UnknownIDs() Fixture {
	const id, hexID = "f70ff985-a4ef-4643-bbbc-4a0ed4fc8415", "023e105f4ecef8ad9ca31a8372d0c353"
	return Fixture{
		Tunnel: id, Connector: id, Name: "n", Idle: id,
		WARP: id, WARPConnector: id, IdleWARP: id, Free: "n",
		Route: id, HostnameRoute: id, VirtualNetwork: id,
		Zone: hexID, ZoneName: "example.com", Record: hexID, Hostname: "n.example.com",
		UserToken: hexID, AccountToken: hexID,
	}
}

// NewFixture creates a fixture in srv, without using the network. The requests for this are in
// srv.Requests().
func NewFixture(ctx context.Context, srv *tunneltest.Server) (Fixture, error) {
	f := Fixture{Name: "taken", Free: "free"}
	client, err := NewClient(srv)
	if err != nil {
		return f, err
	}
	connect := func(token cftunnel.Secret) string {
		id, connectErr := srv.Connect(token)
		err = errors.Join(err, connectErr)
		return id
	}
	tunnel := func(name string, connectors int) (id, connector string) {
		t, createErr := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{
			Name: name, ConfigSource: cftunnel.ConfigSourceCloudflare,
		})
		if createErr != nil {
			err = errors.Join(err, createErr)
			return "", ""
		}
		for range connectors {
			connector = connect(t.Token)
		}
		return t.ID, connector
	}
	warp := func(name string, connectors int) (id, connector string) {
		t, createErr := client.WARPConnectors.Create(ctx, cftunnel.WARPConnectorCreateParams{
			Name: name, HA: true,
		})
		if createErr != nil {
			err = errors.Join(err, createErr)
			return "", ""
		}
		for range connectors {
			token, tokenErr := client.WARPConnectors.Token(ctx, t.ID)
			err = errors.Join(err, tokenErr)
			connector = connect(token)
		}
		return t.ID, connector
	}
	token := func(service *cftunnel.APITokensService) string {
		t, createErr := service.Create(ctx, cftunnel.APITokenCreateParams{Name: f.Name})
		if createErr != nil {
			err = errors.Join(err, createErr)
			return ""
		}
		return t.ID
	}
	f.Tunnel, f.Connector = tunnel(f.Name, 1)
	f.Idle, _ = tunnel("idle", 0)
	f.WARP, f.WARPConnector = warp("warp", 2)
	f.IdleWARP, _ = warp("idle warp", 0)
	f.UserToken, f.AccountToken = token(client.UserTokens), token(client.AccountTokens)
	if err == nil {
		err = errors.Join(f.addNetworks(ctx, client), f.addHostname(ctx, srv, client))
	}
	return f, err
}

// addNetworks creates the private networks of the fixture.
func (f *Fixture) addNetworks(ctx context.Context, client *cftunnel.Client) error {
	route, err := client.Routes.Create(ctx, cftunnel.RouteCreateParams{
		Network: TakenNetwork, TunnelID: f.Tunnel,
	})
	if err != nil {
		return err
	}
	hostname, err := client.HostnameRoutes.Create(ctx, cftunnel.HostnameRouteCreateParams{
		Hostname: f.Name, TunnelID: f.Tunnel,
	})
	if err != nil {
		return err
	}
	network, err := client.VirtualNetworks.Create(ctx,
		cftunnel.VirtualNetworkCreateParams{Name: f.Name})
	if err != nil {
		return err
	}
	f.Route, f.HostnameRoute, f.VirtualNetwork = route.ID, hostname.ID, network.ID
	return nil
}

// TakenNetwork is the CIDR of the fixture's route. FreeNetwork is a CIDR without a route.
var (
	TakenNetwork = netip.MustParsePrefix("10.0.0.0/8")
	FreeNetwork  = netip.MustParsePrefix("172.16.0.0/12")
)

// NewClient returns a client of srv that has no rate limit and does not use the network.
func NewClient(srv *tunneltest.Server, opts ...cftunnel.Option) (*cftunnel.Client, error) {
	return cftunnel.NewClient(append([]cftunnel.Option{
		cftunnel.WithBaseURL("http://localhost/client/v4"),
		cftunnel.WithAPIToken(srv.APIToken().Reveal()), cftunnel.WithAccountID(srv.AccountID()),
		cftunnel.WithoutRateLimit(),
		cftunnel.WithHTTPClient(&http.Client{Transport: handlerTransport{srv.Handler()}}),
	}, opts...)...)
}

// handlerTransport passes requests to a handler.
type handlerTransport struct{ handler http.Handler }

func (t handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	t.handler.ServeHTTP(recorder, r)
	return recorder.Result(), nil
}
