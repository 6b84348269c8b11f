// Publish serves a local service under a public hostname. It creates the tunnel if there is none of
// its name, writes the ingress rule and the DNS record, and prints the command that runs the
// tunnel. With -unpublish it undoes this. Without credentials in the environment it plays both on a
// fake of the API in this process.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"text/tabwriter"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := start(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// settings is the command line.
type settings struct {
	tunnel    string // its name
	hostname  string
	service   string
	path      string
	tokenFile string
	overwrite bool
	unpublish bool
}

const usage = `usage: publish [flags] TUNNEL HOSTNAME SERVICE
       publish -unpublish TUNNEL HOSTNAME

Serves a local service, such as http://localhost:8080, under a public hostname.
The account is in CLOUDFLARE_ACCOUNT_ID, the API token in CLOUDFLARE_API_TOKEN. It
needs the permissions Cloudflare Tunnel Write, DNS Write and Zone Read.
`

func parse(args []string, stderr io.Writer) (s settings, err error) {
	flags := flag.NewFlagSet("publish", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.path, "path", "",
		"regular `expression` for the paths to serve (default: every path)")
	flags.StringVar(&s.tokenFile, "token-file", "",
		"`file` to write the tunnel's token to, with mode 0600 (default: TUNNEL.token)")
	flags.BoolVar(&s.overwrite, "overwrite", false,
		"replace DNS records of the hostname that point elsewhere")
	flags.BoolVar(&s.unpublish, "unpublish", false,
		"remove the hostname, and the tunnel if nothing is left of it")
	flags.Usage = func() {
		fmt.Fprint(stderr, usage+"\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return s, err // which Parse has printed
	}
	wanted := 3
	if s.unpublish {
		wanted = 2
	}
	switch {
	case !hasCredentials() && flags.NArg() > 0:
		// What happens to a fake must not be taken for the real thing.
		err = errors.New("CLOUDFLARE_API_TOKEN is not set. " +
			"Without arguments, publish shows itself on a fake of the API")
	case !hasCredentials():
	case flags.NArg() < wanted:
		err = errors.New("an argument is missing: " +
			strings.Join([]string{"TUNNEL", "HOSTNAME", "SERVICE"}[flags.NArg():wanted], ", "))
	case flags.NArg() > wanted:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(wanted))
	case s.unpublish && (s.path != "" || s.overwrite || s.tokenFile != ""):
		err = errors.New("-unpublish cannot be combined with other flags")
	}
	if err != nil {
		fmt.Fprintln(stderr, "publish:", err)
		return s, err
	}
	s.tunnel, s.hostname, s.service = flags.Arg(0), flags.Arg(1), flags.Arg(2)
	if s.tokenFile == "" {
		s.tokenFile = s.tunnel + ".token"
	}
	return s, nil
}

func hasCredentials() bool {
	return os.Getenv("CLOUDFLARE_API_TOKEN") != "" || os.Getenv("CLOUDFLARE_API_KEY") != ""
}

// start returns the exit code: 2 for a bad command line, 1 if anything else fails.
func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	if hasCredentials() {
		var client *cftunnel.Client
		if client, err = cftunnel.NewClient(cftunnel.WithEnvironment()); err == nil {
			err = run(ctx, client, s, stdout)
		}
	} else {
		fmt.Fprint(stderr, "No credentials in the environment: "+
			"working on a fake of the API in this process.\n\n")
		err = demonstrate(ctx, s, stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "publish:", err)
		return 1
	}
	return 0
}

func run(ctx context.Context, client *cftunnel.Client, s settings, out io.Writer) error {
	if s.unpublish {
		return unpublish(ctx, client, s, out)
	}
	return publish(ctx, client, s, out)
}

func publish(ctx context.Context, client *cftunnel.Client, s settings, out io.Writer) error {
	tunnel, created, err := client.Tunnels.Ensure(ctx, cftunnel.TunnelCreateParams{
		Name: s.tunnel, ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	if err != nil {
		return err
	}
	if created {
		fmt.Fprintf(out, "Tunnel %s is created, its ID is %s.\n", tunnel.Name, tunnel.ID)
	} else {
		fmt.Fprintf(out, "Tunnel %s exists, its ID is %s.\n", tunnel.Name, tunnel.ID)
	}
	published, err := client.Hostnames.Publish(ctx, tunnel.ID, cftunnel.PublishParams{
		Hostname: s.hostname, Path: s.path, Service: s.service, Overwrite: s.overwrite,
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s leads to %s.\n\n", published.Hostname, published.Service)
	if err := show(ctx, client, tunnel.ID, out); err != nil {
		return err
	}
	token, err := client.Tunnels.Token(ctx, tunnel.ID)
	if err != nil {
		return err
	}
	if err := token.WriteFile(s.tokenFile); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nRun the tunnel where the service is, with its token in %s:\n\n"+
		"  cloudflared tunnel run --token-file %s\n", s.tokenFile, quote(s.tokenFile))
	return nil
}

// quote makes a text one word of a shell.
func quote(text string) string {
	if !strings.ContainsAny(text, " \t\n'\"\\$`*?[]{}()<>|&;#~!%") {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// show prints the hostnames of a tunnel with the state of their DNS records.
func show(ctx context.Context, client *cftunnel.Client, tunnelID string, out io.Writer) error {
	list, err := client.Hostnames.List(ctx, tunnelID)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "HOSTNAME\tPATH\tSERVICE\tDNS")
	for _, h := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", h.Hostname, h.Path, h.Service, h.DNS)
	}
	return w.Flush()
}

func unpublish(ctx context.Context, client *cftunnel.Client, s settings, out io.Writer) error {
	tunnel, err := client.Tunnels.FindByName(ctx, s.tunnel)
	if err != nil {
		return err
	}
	if err := client.Hostnames.Unpublish(ctx, tunnel.ID, s.hostname); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s is removed from tunnel %s.\n", s.hostname, tunnel.Name)
	reason, err := inUse(ctx, client, tunnel.ID)
	if err != nil {
		return err
	}
	if reason != "" {
		fmt.Fprintf(out, "Tunnel %s stays: it %s.\n", tunnel.Name, reason)
		return nil
	}
	_, err = client.Tunnels.Delete(ctx, tunnel.ID, cftunnel.TunnelDeleteParams{})
	if errors.Is(err, cftunnel.ErrActiveConnections) {
		fmt.Fprintf(out, "Tunnel %s stays: cloudflared still runs it.\n", tunnel.Name)
		return nil
	}
	if err == nil {
		fmt.Fprintf(out, "Tunnel %s is deleted.\n", tunnel.Name)
	}
	return err
}

// inUse says what a tunnel is still for, or nothing. Its private routes would be deleted with it.
func inUse(ctx context.Context, client *cftunnel.Client, tunnelID string) (string, error) {
	configuration, err := client.Tunnels.Configuration(ctx, tunnelID)
	if err != nil {
		return "", err
	}
	rules := configuration.Config.Ingress
	switch {
	case len(rules) > 1:
		return "has other ingress rules", nil
	case len(rules) == 1 && rules[0].Service != "http_status:404":
		return "serves every host", nil
	}
	networks := cftunnel.RouteListParams{TunnelID: tunnelID}
	for _, err := range client.Routes.All(ctx, networks) {
		return "has private routes", err
	}
	hostnames := cftunnel.HostnameRouteListParams{TunnelID: tunnelID}
	for _, err := range client.HostnameRoutes.All(ctx, hostnames) {
		return "has private hostnames", err
	}
	return "", nil
}

// demonstrate plays on a fake: another hostname is there already, this one is published, a replica
// runs, and everything is undone.
func demonstrate(ctx context.Context, s settings, out io.Writer) error {
	dir, err := os.MkdirTemp("", "publish")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fake := tunneltest.NewServer()
	defer fake.Close()
	fake.SeedZone("example.com")
	client, err := fake.NewClient()
	if err != nil {
		return err
	}
	s.tunnel, s.tokenFile = "blog", filepath.Join(dir, "blog.token")
	for _, hostname := range []string{"*.example.com", "blog.example.com"} {
		s.hostname, s.service = hostname, "http://localhost:8080"
		if err := publish(ctx, client, s, out); err != nil {
			return err
		}
		fmt.Fprintln(out)
	}
	s.unpublish = true
	for _, hostname := range []string{"blog.example.com", "*.example.com"} {
		s.hostname = hostname
		if err := unpublish(ctx, client, s, out); err != nil {
			return err
		}
	}
	return nil
}
