package cftunnel_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// The examples use package tunneltest, a fake of the API, so that they need no account. A program
// that uses the real API creates its client with cftunnel.NewClient(cftunnel.WithEnvironment()).
func Example() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	for _, name := range []string{"blog", "shop"} {
		_, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{
			Name:         name,
			ConfigSource: cftunnel.ConfigSourceCloudflare, // the API stores the ingress rules
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	for tunnel, err := range client.Tunnels.All(ctx, cftunnel.TunnelListParams{}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(tunnel.Name, tunnel.Status)
	}
	// Output:
	// blog inactive
	// shop inactive
}

// NewClient checks credentials and account IDs, and sends nothing. A tunnel token is refused,
// because the API needs an API token.
func ExampleNewClient() {
	client, err := cftunnel.NewClient(
		cftunnel.WithAPIToken("cfut_0123456789abcdefghijklmnopqrstuvwxyzABCD"),
		cftunnel.WithAccountID("0123456789abcdef0123456789abcdef"),
		cftunnel.WithUserAgent("my-operator/1.2"),
		cftunnel.WithTimeout(10*time.Second),
	)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(client.AccountID())

	_, err = cftunnel.NewClient(cftunnel.WithAPIToken("eyJhIjoiMDEyMzQ1Njc4OWFiY2RlZiJ9"))
	if e, ok := errors.AsType[*cftunnel.InvalidArgumentError](err); ok {
		fmt.Println(e.Name, "is invalid")
	}
	// Output:
	// 0123456789abcdef0123456789abcdef
	// apiToken is invalid
}

// The client calls the source before every attempt. Here the token is in a file that another
// program may replace.
func ExampleWithTokenSource() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	dir, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "token")
	_ = os.WriteFile(path, []byte(srv.APIToken().Reveal()+"\n"), 0o600)

	source := func(context.Context) (cftunnel.Secret, error) {
		token, err := os.ReadFile(path)
		return cftunnel.NewSecret(strings.TrimSpace(string(token))), err
	}
	client, err := srv.NewClient(cftunnel.WithTokenSource(source))
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.Tunnels.List(context.Background(), cftunnel.TunnelListParams{})
	fmt.Println(err)
	_ = os.Remove(path)
	_, err = client.Tunnels.List(context.Background(), cftunnel.TunnelListParams{})
	fmt.Println(errors.Is(err, os.ErrNotExist), len(srv.Requests()), "request")
	// Output:
	// <nil>
	// true 1 request
}

func ExampleTunnelsService_Create() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}

	tunnel, err := client.Tunnels.Create(context.Background(), cftunnel.TunnelCreateParams{
		Name:         "blog",
		ConfigSource: cftunnel.ConfigSourceCloudflare, // the API stores the ingress rules
	})
	switch {
	case errors.Is(err, cftunnel.ErrOutcomeUnknown):
		log.Fatal("the tunnel may exist: look for it with FindByName")
	case errors.Is(err, cftunnel.ErrTunnelNameTaken):
		log.Fatal("there is already a tunnel of this name")
	case err != nil:
		log.Fatal(err)
	}
	fmt.Println(tunnel.Name, tunnel.Status, tunnel.ConfigSource)
	fmt.Println("cloudflared tunnel run --token", tunnel.Token) // Token.Reveal returns the text
	// Output:
	// blog inactive cloudflare
	// cloudflared tunnel run --token [REDACTED]
}

// Ensure can be called again at any time, by several programs at once, and after it failed. It
// never creates a second tunnel.
func ExampleTunnelsService_Ensure() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}

	params := cftunnel.TunnelCreateParams{
		Name:         "blog",
		ConfigSource: cftunnel.ConfigSourceCloudflare, // the API stores the ingress rules
	}
	for range 2 {
		tunnel, created, err := client.Tunnels.Ensure(context.Background(), params)
		if err != nil {
			log.Fatal(err)
		}
		// A tunnel that existed before has no Token: get it with Tunnels.Token.
		fmt.Println(tunnel.Name, "created:", created, "token:", !tunnel.Token.IsZero())
	}
	// Output:
	// blog created: true token: true
	// blog created: false token: false
}

func ExampleTunnelsService_FindByName() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	srv.SeedTunnels(3)
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}

	for _, name := range []string{"seed-00002", "blog"} {
		tunnel, err := client.Tunnels.FindByName(context.Background(), name)
		switch {
		case errors.Is(err, cftunnel.ErrNotFound):
			fmt.Println("there is no live tunnel", name)
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Println("found", tunnel.Name)
		}
	}
	// Output:
	// found seed-00002
	// there is no live tunnel blog
}

// All sends no more requests than necessary. It yields an error once, and then ends.
func ExampleTunnelsService_All() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	srv.SeedTunnels(1500)
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}

	n := 0
	params := cftunnel.TunnelListParams{Status: cftunnel.TunnelStatusInactive}
	for tunnel, err := range client.Tunnels.All(context.Background(), params) {
		if err != nil {
			log.Fatal(err)
		}
		if n++; n == 1 {
			fmt.Println("first:", tunnel.Name)
		}
	}
	fmt.Println(n, "tunnels in", len(srv.Requests()), "requests")
	// Output:
	// first: seed-00001
	// 1500 tunnels in 2 requests
}

// A list has live tunnels unless IsDeleted is new(true).
func ExampleTunnelsService_List() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	ctx, old := context.Background(), srv.SeedTunnels(3)[0]
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.Tunnels.Delete(ctx, old.ID, cftunnel.TunnelDeleteParams{})
	if err != nil {
		log.Fatal(err)
	}

	for _, params := range []cftunnel.TunnelListParams{{PerPage: 1}, {IsDeleted: new(true)}} {
		page, err := client.Tunnels.List(ctx, params)
		if err != nil {
			log.Fatal(err)
		}
		first := page.Items[0]
		fmt.Println(first.Name, first.IsDeleted(), page.Info.Count, "of", page.Info.TotalCount)
	}
	// Output:
	// seed-00002 false 1 of 2
	// seed-00001 true 1 of 1
}

// A planned rotation: running replicas stay connected until they are restarted with the new token.
func ExampleTunnelsService_RotateSecret() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	tunnel, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{
		Name:         "blog",
		ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	if err != nil {
		log.Fatal(err)
	}
	replica, _ := srv.Connect(tunnel.Token)

	rotation, err := client.Tunnels.RotateSecret(ctx, tunnel.ID, cftunnel.RotateParams{})
	if err != nil {
		log.Fatal(err) // on ErrOutcomeUnknown, the old token may be invalid: rotate again
	}
	fmt.Println("new token for the replicas:", rotation.Token)
	connected, _ := client.Connectors.List(ctx, tunnel.ID)
	fmt.Println("still connected:", len(connected), connected[0].ID == replica)
	_, err = srv.Connect(tunnel.Token)
	fmt.Println("the old token is refused:", err != nil)
	// Output:
	// new token for the replicas: [REDACTED]
	// still connected: 1 true
	// the old token is refused: true
}

// A rotation after the token was leaked: replicas with the old token are disconnected at once and
// cannot reconnect.
func ExampleTunnelsService_RotateSecret_compromised() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	tunnel, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{
		Name:         "blog",
		ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	if err != nil {
		log.Fatal(err)
	}
	_, _ = srv.Connect(tunnel.Token)

	params := cftunnel.RotateParams{CleanupConnections: true}
	rotation, err := client.Tunnels.RotateSecret(ctx, tunnel.ID, params)
	switch {
	case errors.Is(err, cftunnel.ErrOutcomeUnknown) || err != nil && rotation == nil:
		log.Fatal(err) // the old token may still work: rotate again
	case err != nil:
		log.Print(err) // the clean-up failed: call Connectors.Cleanup
	}
	connectors, _ := client.Connectors.List(ctx, tunnel.ID)
	fmt.Println("connectors left:", len(connectors))
	_, err = srv.Connect(rotation.Token)
	fmt.Println("the new token works:", err == nil)
	// Output:
	// connectors left: 0
	// the new token works: true
}

// The function changes a configuration that was just read. What it does not change is kept,
// including members that this package does not know. If another program writes at the same time,
// the function is called again. To add a hostname, use Hostnames.Publish.
func ExampleTunnelsService_ModifyConfiguration() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}

	setTimeout := func(c *cftunnel.TunnelConfig) error {
		if len(c.Ingress) == 0 { // the API requires at least a catch-all rule
			c.Ingress = []cftunnel.IngressRule{{Service: "http_status:404"}}
		}
		if c.OriginRequest == nil {
			c.OriginRequest = new(cftunnel.OriginRequest)
		}
		c.OriginRequest.ConnectTimeout = new(10) // in seconds
		return nil
	}
	tunnelID := srv.SeedTunnels(1)[0].ID
	for range 2 { // the second call changes nothing, so it writes nothing
		written, err := client.Tunnels.ModifyConfiguration(
			context.Background(), tunnelID, setTimeout)
		if err != nil {
			log.Fatal(err)
		}
		timeout := *written.Config.OriginRequest.ConnectTimeout
		fmt.Printf("version %d: %d seconds\n", written.Version, timeout)
	}
	// Output:
	// version 1: 10 seconds
	// version 1: 10 seconds
}

// Validate returns an error that names what the server would refuse.
func ExampleTunnelConfig_Validate() {
	config := cftunnel.TunnelConfig{Ingress: []cftunnel.IngressRule{
		{Hostname: "blog.example.com", Service: "localhost:8080"},
		{Service: "http_status:404"},
	}}
	fmt.Println(config.Validate())
	// Output: cftunnel: Ingress[0].Service is not a URL with a scheme and a host: write one such as http://localhost:8080 or ssh://localhost:22
}

// WaitForStatus waits until the context ends, here for up to one minute.
func ExampleTunnelsService_WaitForStatus() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tunnel, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{
		Name:         "blog",
		ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	if err != nil {
		log.Fatal(err)
	}

	params := cftunnel.WaitParams{
		OnPoll: func(seen *cftunnel.Tunnel) {
			fmt.Println(seen.Name, "is", seen.Status)
			if seen.Status == cftunnel.TunnelStatusInactive {
				_, _ = srv.Connect(tunnel.Token) // stands for cloudflared
			}
		},
	}
	_, err = client.Tunnels.WaitForStatus(
		ctx, tunnel.ID, cftunnel.TunnelStatusHealthy, params)
	if err != nil {
		log.Fatal(err) // the error names the last status
	}
	// Output:
	// blog is inactive
	// blog is healthy
}

// A tunnel with connections cannot be deleted, and running replicas reconnect after a clean-up.
// CleanupAndDelete repeats both until the tunnel is deleted.
func ExampleTunnelsService_CleanupAndDelete() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	tunnel, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{
		Name:         "blog",
		ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	if err != nil {
		log.Fatal(err)
	}
	_, _ = srv.Connect(tunnel.Token)

	_, err = client.Tunnels.Delete(ctx, tunnel.ID, cftunnel.TunnelDeleteParams{})
	fmt.Println("has connections:", errors.Is(err, cftunnel.ErrActiveConnections))
	deleted, err := client.Tunnels.CleanupAndDelete(ctx, tunnel.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("deleted:", deleted.IsDeleted())
	// Output:
	// has connections: true
	// deleted: true
}

func ExampleConnectorsService_List() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	tunnel, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{
		Name:         "blog",
		ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	if err != nil {
		log.Fatal(err)
	}
	_, _ = srv.Connect(tunnel.Token)

	connectors, err := client.Connectors.List(ctx, tunnel.ID)
	if err != nil {
		log.Fatal(err)
	}
	for _, connector := range connectors {
		fmt.Println("cloudflared", connector.Version)
		for _, connection := range connector.Connections {
			fmt.Println("  to", connection.ColoName)
		}
	}
	// Output:
	// cloudflared 2026.10.0
	//   to fra06
	//   to ams01
	//   to fra10
	//   to ams13
}

// Cleanup removes the connections of one replica. The other replica keeps the tunnel healthy.
func ExampleConnectorsService_Cleanup() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	tunnel, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{
		Name:         "blog",
		ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	if err != nil {
		log.Fatal(err)
	}
	stopped, _ := srv.Connect(tunnel.Token)
	_, _ = srv.Connect(tunnel.Token)
	srv.Disconnect(stopped)

	params := cftunnel.CleanupParams{ConnectorID: stopped}
	if err := client.Connectors.Cleanup(ctx, tunnel.ID, params); err != nil {
		log.Fatal(err)
	}
	_, err = client.Connectors.Get(ctx, tunnel.ID, stopped)
	fmt.Println("removed:", errors.Is(err, cftunnel.ErrNotFound))
	tunnel, _ = client.Tunnels.Get(ctx, tunnel.ID)
	fmt.Println(tunnel.Name, "is", tunnel.Status)
	// Output:
	// removed: true
	// blog is healthy
}

// Two machines run a WARP connector. Failover makes the passive one active.
func ExampleWARPConnectorsService_Failover() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	params := cftunnel.WARPConnectorCreateParams{Name: "office", HA: true}
	office, err := client.WARPConnectors.Create(ctx, params)
	if err != nil {
		log.Fatal(err)
	}
	names := map[string]string{}
	for _, name := range []string{"first", "second"} {
		id, _ := srv.Connect(office.Token)
		names[id] = name
	}

	for range 2 {
		machines, _ := client.WARPConnectors.Connectors(ctx, office.ID)
		for _, machine := range machines {
			fmt.Println(names[machine.ID], "is", machine.HAStatus)
			if machine.HAStatus == cftunnel.HAStatusPassive {
				err := client.WARPConnectors.Failover(ctx, office.ID, machine.ID)
				if err != nil {
					log.Fatal(err)
				}
			}
		}
	}
	// Output:
	// first is active
	// second is passive
	// first is passive
	// second is active
}

// Each machine of a WARP connector needs its token, to register the WARP client.
func ExampleWARPConnectorsService_Create() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	office, err := client.WARPConnectors.Create(ctx, cftunnel.WARPConnectorCreateParams{
		Name: "office",
		HA:   true,
	})
	if err != nil {
		log.Fatal(err)
	}
	configuration := cftunnel.WARPConfigurationParams{
		HAMode: cftunnel.HAModeLocal,
		VIPs:   []string{"10.0.0.10"},
	}
	configured, err := client.WARPConnectors.UpdateConfiguration(ctx, office.ID, configuration)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(office.Name, office.Type, office.Token)
	fmt.Println(configured.HAMode, configured.VIPs)
	// Output:
	// office warp_connector [REDACTED]
	// local [10.0.0.10]
}

// Verify returns no error for a token that is disabled or expired: check Usable.
func ExampleTokensService_Verify() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	disabled := srv.AddToken(tunneltest.Token{
		Owner:  cftunnel.TokenOwnerAccount,
		Status: cftunnel.TokenStatusDisabled,
	})
	unknown := cftunnel.NewSecret("cfut_unknown")

	for _, token := range []cftunnel.Secret{srv.APIToken(), disabled, unknown} {
		client, err := srv.NewClient(cftunnel.WithAPIToken(token.Reveal()))
		if err != nil {
			log.Fatal(err)
		}
		verified, err := client.Tokens.Verify(context.Background())
		if errors.Is(err, cftunnel.ErrUnauthorized) {
			fmt.Println("unknown token")
			continue
		}
		if err != nil {
			log.Fatal(err)
		}
		usable := verified.Usable(time.Now())
		fmt.Printf("%s token of the %s, usable: %t\n", verified.Status, verified.Owner, usable)
	}
	// Output:
	// active token of the user, usable: true
	// disabled token of the account, usable: false
	// unknown token
}

func ExampleParseTunnelToken() {
	token := cftunnel.NewSecret("eyJhIjoiMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYiLCJ0IjoiZj" +
		"cwZmY5ODUtYTRlZi00NjQzLWJiYmMtNGEwZWQ0ZmM4NDE1IiwicyI6IkFBRUNBd1FGQmdjSUNRb0xEQTBPRHhB" +
		"UkVoTVVGUllYR0JrYUd4d2RIaDg9In0=")
	credentials, err := cftunnel.ParseTunnelToken(token)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("account", credentials.AccountTag)
	fmt.Println("tunnel", credentials.TunnelID)
	fmt.Println("secret", credentials.Secret)
	// Output:
	// account 0123456789abcdef0123456789abcdef
	// tunnel f70ff985-a4ef-4643-bbbc-4a0ed4fc8415
	// secret [REDACTED]
}

// cloudflared runs a locally managed tunnel with a credentials file. Only its owner may read the
// file that WriteFile writes.
func ExampleTunnelCredentials_WriteFile() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	dir, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(dir)
	tunnel, err := client.Tunnels.Create(context.Background(), cftunnel.TunnelCreateParams{
		Name:         "blog",
		ConfigSource: cftunnel.ConfigSourceLocal, // a file has the ingress rules
	})
	if err != nil {
		log.Fatal(err)
	}

	credentials, err := cftunnel.ParseTunnelToken(tunnel.Token)
	if err != nil {
		log.Fatal(err)
	}
	path := filepath.Join(dir, credentials.TunnelID+".json")
	if err := credentials.WriteFile(path); err != nil {
		log.Fatal(err)
	}
	stored, err := cftunnel.ReadTunnelCredentials(path)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(stored.TunnelID == tunnel.ID)
	// Output: true
}

// A Secret does not show its text, however it is printed. Only Reveal returns the text.
func ExampleSecret() {
	secret := cftunnel.NewTunnelSecret()
	fmt.Printf("%v %q %x\n", secret, secret, secret)
	fmt.Printf("%+v\n", cftunnel.Rotation{Token: secret})
	fmt.Println(len(secret.Reveal()), secret == cftunnel.NewSecret(secret.Reveal()))
	// Output:
	// [REDACTED] [REDACTED] [REDACTED]
	// {Tunnel:<nil> Token:[REDACTED]}
	// 44 true
}

// A create whose response is lost may have been carried out. The client does not retry it. Look for
// the tunnel before you create another.
func Example_outcomeUnknown() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	srv.Inject(tunneltest.Fault{
		Operation: "POST /accounts/{account_id}/cfd_tunnel",
		Cut:       tunneltest.CutAfter,
	})

	tunnel, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{
		Name:         "blog",
		ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	if errors.Is(err, cftunnel.ErrOutcomeUnknown) {
		fmt.Println("the tunnel may have been created")
		tunnel, err = client.Tunnels.FindByName(ctx, "blog")
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("found", tunnel.Name)
	// Output:
	// the tunnel may have been created
	// found blog
}

// A failed request returns an *Error. errors.Is finds the sentinels in it, and its fields have the
// details.
func ExampleError() {
	srv := tunneltest.NewServer(tunneltest.WithAccountID("0123456789abcdef0123456789abcdef"))
	defer srv.Close()
	srv.Inject(tunneltest.Fault{Times: 2, Header: http.Header{"Cf-Ray": {"8f2ab-FRA"}}})
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	params := cftunnel.TunnelCreateParams{
		Name:         "blog",
		ConfigSource: cftunnel.ConfigSourceCloudflare,
	}
	for range 2 {
		_, err = client.Tunnels.Create(context.Background(), params)
	}

	fmt.Println(errors.Is(err, cftunnel.ErrOutcomeUnknown))
	fmt.Println(errors.Is(err, cftunnel.ErrTunnelNameTaken))
	if e, ok := errors.AsType[*cftunnel.Error](err); ok {
		fmt.Println(e.StatusCode, e.Errors[0].Code, e.RayID, e.Attempts)
	}
	fmt.Println(err)
	// Output:
	// false
	// true
	// 409 1013 8f2ab-FRA 1
	// cftunnel: POST /accounts/0123456789abcdef0123456789abcdef/cfd_tunnel: 409 Conflict; 1013: A tunnel with this name already exists (ray 8f2ab-FRA)
}

// HasCode finds errors that have no sentinel, by the code of the API. It also searches the errors
// behind an error.
func ExampleHasCode() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx, tunnel := context.Background(), srv.SeedTunnels(1)[0]
	_, err = client.Tunnels.Delete(ctx, tunnel.ID, cftunnel.TunnelDeleteParams{})
	if err != nil {
		log.Fatal(err)
	}

	const noSuchTunnel = 1055 // the code of the operations on configurations
	_, err = client.Tunnels.Configuration(ctx, tunnel.ID)
	fmt.Println(cftunnel.HasCode(err, noSuchTunnel), errors.Is(err, cftunnel.ErrNotFound))
	// Output: true true
}

// An invalid argument is refused before anything is sent. The error names the argument.
func ExampleInvalidArgumentError() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.Tunnels.Get(context.Background(), "../../zones/1")
	if e, ok := errors.AsType[*cftunnel.InvalidArgumentError](err); ok {
		fmt.Println(e.Name, len(srv.Requests()))
	}
	fmt.Println(err)
	// Output:
	// tunnelID 0
	// cftunnel: tunnelID is not a UUID with dashes, such as f70ff985-a4ef-4643-bbbc-4a0ed4fc8415
}

// CaptureResponse stores the status, the headers and the number of attempts of a call.
func ExampleCaptureResponse() {
	srv := tunneltest.NewServer(tunneltest.WithQuota(1200, 5*time.Minute))
	defer srv.Close()
	srv.Inject(tunneltest.Fault{Status: http.StatusServiceUnavailable})
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}

	var info cftunnel.ResponseInfo
	_, err = client.Tunnels.List(
		context.Background(), cftunnel.TunnelListParams{}, cftunnel.CaptureResponse(&info))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.StatusCode, "after", info.Attempts, "attempts, ray ID:", info.RayID != "")
	fmt.Println(info.Header.Get("Ratelimit-Policy"))
	// Output:
	// 200 after 2 attempts, ray ID: true
	// "default";q=1200;w=300
}

// Do calls an endpoint that has no method, with the same authentication, rate limit, retries and
// errors.
func ExampleClient_Do() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	srv.SeedTunnels(2)
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}

	var tunnels []struct {
		Name         string `json:"name"`
		RemoteConfig bool   `json:"remote_config"`
	}
	path := "accounts/" + client.AccountID() + "/cfd_tunnel?is_deleted=false"
	err = client.Do(context.Background(), http.MethodGet, path, nil, &tunnels)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tunnels)
	// Output: [{seed-00001 true} {seed-00002 true}]
}

// Clients from ForAccount share the credentials and the rate limit, because Cloudflare counts the
// requests of a token over all accounts.
func ExampleClient_ForAccount() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}

	accounts := []string{"0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"}
	for _, account := range accounts {
		customer, err := client.ForAccount(account)
		if err != nil {
			log.Fatal(err)
		}
		tunnel, err := customer.Tunnels.Create(context.Background(), cftunnel.TunnelCreateParams{
			Name:         "blog",
			ConfigSource: cftunnel.ConfigSourceCloudflare,
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(tunnel.AccountTag, tunnel.Name)
	}
	// Output:
	// 0123456789abcdef0123456789abcdef blog
	// fedcba9876543210fedcba9876543210 blog
}

// Two clients share one limiter. If the limiter cannot allow a call before the deadline, the call
// fails at once.
func ExampleWithLimiter() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	limiter := rate.NewLimiter(rate.Every(time.Hour), 2)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	for range 2 {
		client, err := srv.NewClient(cftunnel.WithLimiter(limiter))
		if err != nil {
			log.Fatal(err)
		}
		for range 2 {
			_, err := client.Tunnels.List(ctx, cftunnel.TunnelListParams{})
			switch {
			case err == nil:
				fmt.Println("sent")
			case errors.Is(err, context.DeadlineExceeded):
				fmt.Println("not sent")
			default:
				log.Fatal(err)
			}
		}
	}
	fmt.Println(len(srv.Requests()), "requests")
	// Output:
	// sent
	// sent
	// not sent
	// not sent
	// 2 requests
}

// Processes that share a token each get a part of its quota. A client sends 10% of its part in a
// burst and spreads the rest evenly.
func ExampleWithRateLimit() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	const quota, processes = 80, 4
	client, err := srv.NewClient(cftunnel.WithRateLimit(quota/processes, time.Hour))
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	for range 3 {
		_, err := client.Tunnels.List(ctx, cftunnel.TunnelListParams{})
		switch {
		case err == nil:
			fmt.Println("sent")
		case errors.Is(err, context.DeadlineExceeded):
			fmt.Println("not sent") // the wait of three minutes is longer than the deadline
		default:
			log.Fatal(err)
		}
	}
	// Output:
	// sent
	// sent
	// not sent
}

// operationCounter is an http.RoundTripper that counts attempts by operation.
type operationCounter struct {
	next   http.RoundTripper
	mu     sync.Mutex
	counts map[string]int
}

// RoundTrip counts the attempt and sends it.
func (c *operationCounter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.counts[cftunnel.Operation(r.Context())]++
	c.mu.Unlock()
	return c.next.RoundTrip(r)
}

// Operation returns a label without IDs, for metrics.
func ExampleOperation() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	counter := &operationCounter{counts: map[string]int{}}
	count := func(next http.RoundTripper) http.RoundTripper {
		counter.next = next
		return counter
	}
	client, err := srv.NewClient(cftunnel.WithTransport(count))
	if err != nil {
		log.Fatal(err)
	}
	for _, tunnel := range srv.SeedTunnels(2) {
		if _, err := client.Tunnels.Get(context.Background(), tunnel.ID); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(counter.counts)
	// Output: map[GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}:2]
}

// This hook counts attempts by method and status. A status of 0 means that there was no response.
func ExampleWithHooks() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	srv.Inject(tunneltest.Fault{Status: http.StatusServiceUnavailable})
	var mu sync.Mutex // hooks must be safe for concurrent use
	counts := map[string]int{}
	count := func(_ context.Context, attempt cftunnel.AttemptInfo) {
		mu.Lock()
		defer mu.Unlock()
		counts[fmt.Sprint(attempt.Call, " ", attempt.StatusCode)]++
	}
	client, err := srv.NewClient(cftunnel.WithHooks(cftunnel.Hooks{Attempt: count}))
	if err != nil {
		log.Fatal(err)
	}
	for _, tunnel := range srv.SeedTunnels(2) {
		if _, err := client.Tunnels.Get(context.Background(), tunnel.ID); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(counts)
	// Output: map[Tunnels.Get 200:2 Tunnels.Get 503:1]
}

// The logger gets one record for each attempt, without bodies, headers and query. This example
// removes the attributes that differ from run to run, and some others.
func ExampleWithLogger() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	srv.Inject(tunneltest.Fault{Status: http.StatusServiceUnavailable})
	removeAttr := func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case "time", "msg", "operation", "ray_id", "duration", "error":
			return slog.Attr{}
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level:       slog.LevelDebug,
		ReplaceAttr: removeAttr,
	}))
	client, err := srv.NewClient(cftunnel.WithLogger(logger))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := client.Tokens.Verify(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// level=WARN call=Tokens.VerifyUser status=503 attempt=1
	// level=DEBUG call=Tokens.VerifyUser status=200 attempt=2
}
