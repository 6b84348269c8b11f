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
	"time"

	"golang.org/x/time/rate"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// The examples work on the fake of package tunneltest. A real client is made by cftunnel.NewClient(cftunnel.WithEnvironment()).
func Example() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	for _, name := range []string{"blog", "shop"} {
		if _, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: name, ConfigSource: cftunnel.ConfigSourceCloudflare}); err != nil {
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

// Credentials and accounts are checked before anything is sent. A tunnel token, which looks like an API token to people, is refused by name.
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
	fmt.Println(err)
	// Output:
	// 0123456789abcdef0123456789abcdef
	// cftunnel: apiToken is a tunnel token or another token that begins with eyJ; use an API token
}

// The source is asked before every attempt: here, a file that something else keeps fresh.
func ExampleWithTokenSource() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	dir, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "token")
	_ = os.WriteFile(path, []byte(srv.APIToken().Reveal()+"\n"), 0o600)

	client, err := srv.NewClient(cftunnel.WithTokenSource(func(context.Context) (cftunnel.Secret, error) {
		token, err := os.ReadFile(path)
		return cftunnel.NewSecret(strings.TrimSpace(string(token))), err
	}))
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
		ConfigSource: cftunnel.ConfigSourceCloudflare, // its ingress rules are kept by the API
	})
	switch {
	case errors.Is(err, cftunnel.ErrOutcomeUnknown):
		log.Fatal("it may exist: look with FindByName, or use Ensure") // before anything else
	case errors.Is(err, cftunnel.ErrTunnelNameTaken):
		log.Fatal("there is one of this name")
	case err != nil:
		log.Fatal(err)
	}
	fmt.Println(tunnel.Name, tunnel.Status, tunnel.ConfigSource)
	fmt.Println("cloudflared tunnel run --token", tunnel.Token) // Reveal gives the text
	// Output:
	// blog inactive cloudflare
	// cloudflared tunnel run --token [REDACTED]
}

// Ensure can be called again, by several programs at once, and after it failed: there is never a second tunnel.
func ExampleTunnelsService_Ensure() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}

	for range 2 {
		tunnel, created, err := client.Tunnels.Ensure(context.Background(), cftunnel.TunnelCreateParams{Name: "blog"})
		if err != nil {
			log.Fatal(err)
		}
		// Whoever finds a tunnel fetches its token.
		fmt.Println(tunnel.Name, "created:", created, "has its token:", !tunnel.Token.IsZero())
	}
	// Output:
	// blog created: true has its token: true
	// blog created: false has its token: false
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

// All asks for no page more than it must, and ends after the first error.
func ExampleTunnelsService_All() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	srv.SeedTunnels(1500)
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}

	n := 0
	for tunnel, err := range client.Tunnels.All(context.Background(), cftunnel.TunnelListParams{Status: cftunnel.TunnelStatusInactive}) {
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

// Filters whose zero means something are pointers: new(true) asks for deleted tunnels.
func ExampleTunnelsService_List() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	ctx, gone := context.Background(), srv.SeedTunnels(3)[0]
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	if _, err := client.Tunnels.Delete(ctx, gone.ID, cftunnel.TunnelDeleteParams{}); err != nil {
		log.Fatal(err)
	}

	for _, params := range []cftunnel.TunnelListParams{{PerPage: 1}, {IsDeleted: new(true)}} {
		page, err := client.Tunnels.List(ctx, params)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(page.Items[0].Name, page.Items[0].IsDeleted(), page.Info.Count, "of", page.Info.TotalCount)
	}
	// Output:
	// seed-00002 false 1 of 2
	// seed-00001 true 1 of 1
}

// A planned rotation: replicas that run stay up until each is replaced by one with the new token.
func ExampleTunnelsService_RotateSecret() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	tunnel, _ := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "blog"})
	replica, _ := srv.Connect(tunnel.Token)

	rotation, err := client.Tunnels.RotateSecret(ctx, tunnel.ID, cftunnel.RotateParams{})
	if err != nil {
		log.Fatal(err) // ErrOutcomeUnknown: rotation.Token is the new one if it was carried out
	}
	fmt.Println("give it to the replicas:", rotation.Token)
	old, _ := client.Connectors.List(ctx, tunnel.ID)
	fmt.Println("still up with the old one:", len(old), old[0].ID == replica)
	_, err = srv.Connect(tunnel.Token)
	fmt.Println("the old one opens no new connection:", err != nil)
	// Output:
	// give it to the replicas: [REDACTED]
	// still up with the old one: 1 true
	// the old one opens no new connection: true
}

// A rotation after a compromise: whoever has the old token is out at once, and stays out.
func ExampleTunnelsService_RotateSecret_compromised() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	tunnel, _ := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "blog"})
	_, _ = srv.Connect(tunnel.Token)

	rotation, err := client.Tunnels.RotateSecret(ctx, tunnel.ID, cftunnel.RotateParams{CleanupConnections: true})
	if err != nil && rotation != nil {
		log.Print("there is a new token, but ", err) // the clean-up failed: repeat Connectors.Cleanup
	} else if err != nil {
		log.Fatal(err)
	}
	connectors, _ := client.Connectors.List(ctx, tunnel.ID)
	fmt.Println("connectors left:", len(connectors))
	_, err = srv.Connect(rotation.Token)
	fmt.Println("the new token works:", err == nil)
	// Output:
	// connectors left: 0
	// the new token works: true
}

// What the function changes is written; the rest of the configuration stays, also what this package does not know. It may be called more
// than once, where somebody else writes at the same time.
func ExampleTunnelsService_ModifyConfiguration() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}

	written, err := client.Tunnels.ModifyConfiguration(context.Background(), srv.SeedTunnels(1)[0].ID, func(c *cftunnel.TunnelConfig) error {
		c.Ingress = []cftunnel.IngressRule{
			{Hostname: "blog.example.com", Service: "http://localhost:8080"},
			{Service: "http_status:404"}, // the last one must match everything
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, rule := range written.Config.Ingress {
		fmt.Printf("version %d: %q to %s\n", written.Version, rule.Hostname, rule.Service)
	}
	// Output:
	// version 1: "blog.example.com" to http://localhost:8080
	// version 1: "" to http_status:404
}

// Validate says what the server would refuse, by rule.
func ExampleTunnelConfig_Validate() {
	config := cftunnel.TunnelConfig{Ingress: []cftunnel.IngressRule{
		{Hostname: "blog.example.com", Service: "localhost:8080"},
		{Service: "http_status:404"},
	}}
	fmt.Println(config.Validate())
	// Output: cftunnel: Ingress[0].Service is not a URL with a scheme and a host: write one such as http://localhost:8080 or ssh://localhost:22
}

// A replica that starts late is waited for as long as the context lasts.
func ExampleTunnelsService_WaitForStatus() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tunnel, _ := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "blog"})

	_, err = client.Tunnels.WaitForStatus(ctx, tunnel.ID, cftunnel.TunnelStatusHealthy, cftunnel.WaitParams{
		Interval: time.Nanosecond, // a second where it is left out
		OnPoll: func(seen *cftunnel.Tunnel) {
			fmt.Println(seen.Name, "is", seen.Status)
			if seen.Status == cftunnel.TunnelStatusInactive {
				_, _ = srv.Connect(tunnel.Token) // as cloudflared does, somewhere else
			}
		},
	})
	if err != nil {
		log.Fatal(err) // which names the status that was last seen
	}
	// Output:
	// blog is inactive
	// blog is healthy
}

// Replicas that still run connect again, so that Cleanup and Delete must be repeated: this does so.
func ExampleTunnelsService_CleanupAndDelete() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	tunnel, _ := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "blog"})
	_, _ = srv.Connect(tunnel.Token)

	_, err = client.Tunnels.Delete(ctx, tunnel.ID, cftunnel.TunnelDeleteParams{})
	fmt.Println("runs:", errors.Is(err, cftunnel.ErrActiveConnections))
	deleted, err := client.Tunnels.CleanupAndDelete(ctx, tunnel.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("deleted:", deleted.IsDeleted())
	// Output:
	// runs: true
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
	tunnel, _ := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "blog"})
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

// One replica is cut off, and the other keeps the tunnel up.
func ExampleConnectorsService_Cleanup() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	tunnel, _ := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "blog"})
	gone, _ := srv.Connect(tunnel.Token)
	_, _ = srv.Connect(tunnel.Token)
	srv.Disconnect(gone)

	if err := client.Connectors.Cleanup(ctx, tunnel.ID, cftunnel.CleanupParams{ConnectorID: gone}); err != nil {
		log.Fatal(err)
	}
	_, err = client.Connectors.Get(ctx, tunnel.ID, gone)
	fmt.Println("it is gone:", errors.Is(err, cftunnel.ErrNotFound))
	tunnel, _ = client.Tunnels.Get(ctx, tunnel.ID)
	fmt.Println(tunnel.Name, "is", tunnel.Status)
	// Output:
	// it is gone: true
	// blog is healthy
}

// Two machines run a WARP connector. The passive one takes over.
func ExampleWARPConnectorsService_Failover() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	office, _ := client.WARPConnectors.Create(ctx, cftunnel.WARPConnectorCreateParams{Name: "office", HA: true})
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
				err = client.WARPConnectors.Failover(ctx, office.ID, machine.ID)
			}
		}
	}
	fmt.Println(err)
	// Output:
	// first is active
	// second is passive
	// first is passive
	// second is active
	// <nil>
}

// The new connector's token is opaque, and goes to the WARP client of each machine.
func ExampleWARPConnectorsService_Create() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	office, err := client.WARPConnectors.Create(ctx, cftunnel.WARPConnectorCreateParams{Name: "office", HA: true})
	if err != nil {
		log.Fatal(err)
	}
	configured, err := client.WARPConnectors.UpdateConfiguration(ctx, office.ID, cftunnel.WARPConfigurationParams{
		HAMode: cftunnel.HAModeLocal,
		VIPs:   []string{"10.0.0.10"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(office.Name, office.Type, office.Token)
	fmt.Println(configured.HAMode, configured.VIPs)
	// Output:
	// office warp_connector [REDACTED]
	// local [10.0.0.10]
}

// That a token is switched off or has expired is no error: Usable tells.
func ExampleTokensService_Verify() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	disabled := srv.AddToken(tunneltest.Token{Owner: cftunnel.TokenOwnerAccount, Status: cftunnel.TokenStatusDisabled})

	for _, token := range []cftunnel.Secret{srv.APIToken(), disabled, cftunnel.NewSecret("cfut_unknown")} {
		client, err := srv.NewClient(cftunnel.WithAPIToken(token.Reveal()))
		if err != nil {
			log.Fatal(err)
		}
		verified, err := client.Tokens.Verify(context.Background())
		if errors.Is(err, cftunnel.ErrUnauthorized) {
			fmt.Println("nobody knows this token")
			continue
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s of the %s, usable: %t\n", verified.Status, verified.Owner, verified.Usable(time.Now()))
	}
	// Output:
	// active of the user, usable: true
	// disabled of the account, usable: false
	// nobody knows this token
}

func ExampleParseTunnelToken() {
	token := cftunnel.NewSecret("eyJhIjoiMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYiLCJ0IjoiZjcwZmY5ODUtYTRlZi00NjQzLWJi" +
		"YmMtNGEwZWQ0ZmM4NDE1IiwicyI6IkFBRUNBd1FGQmdjSUNRb0xEQTBPRHhBUkVoTVVGUllYR0JrYUd4d2RIaDg9In0=")
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

// A locally managed tunnel is run by its credentials file, which its owner alone may read.
func ExampleTunnelCredentials_WriteFile() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	dir, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(dir)
	tunnel, _ := client.Tunnels.Create(context.Background(), cftunnel.TunnelCreateParams{Name: "blog"})

	credentials, err := cftunnel.ParseTunnelToken(tunnel.Token)
	if err != nil {
		log.Fatal(err)
	}
	path := filepath.Join(dir, credentials.TunnelID+".json")
	if err := credentials.WriteFile(path); err != nil {
		log.Fatal(err)
	}
	info, err := os.Stat(path)
	fmt.Println(info.Mode(), err)
	// Output: -rw------- <nil>
}

// However a Secret is printed, its text does not show; Reveal alone gives it.
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

// A create whose answer never came may have been carried out. The client does not send it again; who looks first makes no second tunnel.
func Example_outcomeUnknown() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	srv.Inject(tunneltest.Fault{Operation: "POST /accounts/{account_id}/cfd_tunnel", Cut: tunneltest.CutAfter})

	tunnel, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: "blog"})
	if errors.Is(err, cftunnel.ErrOutcomeUnknown) {
		fmt.Println("it may have been carried out: looking")
		tunnel, err = client.Tunnels.FindByName(ctx, "blog")
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("found", tunnel.Name)
	// Output:
	// it may have been carried out: looking
	// found blog
}

// A failed request is an *Error. Sentinels tell what happened, its fields the rest.
func ExampleError() {
	srv := tunneltest.NewServer(tunneltest.WithAccountID("0123456789abcdef0123456789abcdef"))
	defer srv.Close()
	srv.Inject(tunneltest.Fault{Times: 2, Header: http.Header{"Cf-Ray": {"8f2ab-FRA"}}})
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		_, err = client.Tunnels.Create(context.Background(), cftunnel.TunnelCreateParams{Name: "blog"})
	}

	fmt.Println(errors.Is(err, cftunnel.ErrOutcomeUnknown), errors.Is(err, cftunnel.ErrTunnelNameTaken))
	if e, ok := errors.AsType[*cftunnel.Error](err); ok {
		fmt.Println(e.StatusCode, e.Errors[0].Code, e.RayID, e.Attempts)
	}
	fmt.Println(err)
	// Output:
	// false true
	// 409 1013 8f2ab-FRA 1
	// cftunnel: POST /accounts/0123456789abcdef0123456789abcdef/cfd_tunnel: 409 Conflict; 1013: A tunnel with this name already exists (ray 8f2ab-FRA)
}

// What has no sentinel is found by the API's code, also where that is only in the chain behind another error.
func ExampleHasCode() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx, tunnel := context.Background(), srv.SeedTunnels(1)[0]
	if _, err := client.Tunnels.Delete(ctx, tunnel.ID, cftunnel.TunnelDeleteParams{}); err != nil {
		log.Fatal(err)
	}

	const noSuchTunnel = 1055 // of a configuration
	_, err = client.Tunnels.Configuration(ctx, tunnel.ID)
	fmt.Println(cftunnel.HasCode(err, noSuchTunnel), errors.Is(err, cftunnel.ErrNotFound))
	// Output: true true
}

// A bad argument is refused by name, and nothing is sent.
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

// The headers say what the server counts. The client keeps its own count.
func ExampleCaptureResponse() {
	srv := tunneltest.NewServer(tunneltest.WithQuota(1200, 5*time.Minute))
	defer srv.Close()
	srv.Inject(tunneltest.Fault{Status: http.StatusServiceUnavailable})
	client, err := srv.NewClient(cftunnel.WithRetry(cftunnel.RetryPolicy{BaseDelay: time.Nanosecond}))
	if err != nil {
		log.Fatal(err)
	}

	var info cftunnel.ResponseInfo
	if _, err := client.Tunnels.List(context.Background(), cftunnel.TunnelListParams{}, cftunnel.CaptureResponse(&info)); err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.StatusCode, "after", info.Attempts, "attempts, with a ray id:", info.RayID != "")
	fmt.Println(info.Header.Get("Ratelimit-Policy"))
	// Output:
	// 200 after 2 attempts, with a ray id: true
	// "default";q=1200;w=300
}

// An endpoint that has no method here takes the same road: credentials, pace, retries and errors.
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
	err = client.Do(context.Background(), http.MethodGet, "accounts/"+client.AccountID()+"/cfd_tunnel?is_deleted=false", nil, &tunnels)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tunnels)
	// Output: [{seed-00001 true} {seed-00002 true}]
}

// Clients made by ForAccount share credentials and rate limit, since Cloudflare counts requests by token.
func ExampleClient_ForAccount() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}

	for _, account := range []string{"0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"} {
		customer, err := client.ForAccount(account)
		if err != nil {
			log.Fatal(err)
		}
		tunnel, err := customer.Tunnels.Create(context.Background(), cftunnel.TunnelCreateParams{Name: "blog"})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(tunnel.AccountTag, tunnel.Name)
	}
	// Output:
	// 0123456789abcdef0123456789abcdef blog
	// fedcba9876543210fedcba9876543210 blog
}

// Two clients, each of its own making, share one limiter. A call that it cannot let through before the deadline fails at once.
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
			fmt.Println(err == nil, errors.Is(err, context.DeadlineExceeded), errors.Is(err, cftunnel.ErrRateLimited))
		}
	}
	fmt.Println(len(srv.Requests()), "requests")
	// Output:
	// true false false
	// true false false
	// false true false
	// false true false
	// 2 requests
}

// Processes that share a token get a part of its quota each. A tenth of that goes at once, the rest evenly.
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
		fmt.Println(err == nil, errors.Is(err, context.DeadlineExceeded)) // the third's turn is three minutes away
	}
	// Output:
	// true false
	// true false
	// false true
}

// An http.RoundTripper counts attempts by operation, a label without ids.
func ExampleOperation() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	counts := map[string]int{}
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		counts[cftunnel.Operation(r.Context())]++ // needs a lock if calls are concurrent
		return http.DefaultTransport.RoundTrip(r)
	})
	client, err := srv.NewClient(cftunnel.WithHTTPClient(&http.Client{Transport: transport}))
	if err != nil {
		log.Fatal(err)
	}
	for _, tunnel := range srv.SeedTunnels(2) {
		if _, err := client.Tunnels.Get(context.Background(), tunnel.ID); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(counts)
	// Output: map[GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}:2]
}

// Each attempt is a record, without bodies, headers and query. What is left out here differs from run to run.
func ExampleWithLogger() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	srv.Inject(tunneltest.Fault{Status: http.StatusServiceUnavailable})
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case "time", "ray_id", "duration", "error":
			return slog.Attr{}
		}
		return a
	}}))
	client, err := srv.NewClient(cftunnel.WithLogger(logger), cftunnel.WithRetry(cftunnel.RetryPolicy{BaseDelay: time.Nanosecond}))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := client.Tokens.Verify(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// level=WARN msg="cloudflare api request" call=Tokens.VerifyUser operation="GET /user/tokens/verify" status=503 attempt=1
	// level=DEBUG msg="cloudflare api request" call=Tokens.VerifyUser operation="GET /user/tokens/verify" status=200 attempt=2
}
