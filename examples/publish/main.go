// Publish serves a local service under a public hostname. It creates the tunnel if it does not
// exist, writes the ingress rule and the DNS record, and prints the command that runs the tunnel.
// With -unpublish it removes the rule and the record, and deletes the tunnel if it is remotely
// managed and nothing else uses it.
//
// If no credentials are set, it does both with a fake of the API in this process.
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
Set CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN. The API token needs the permissions
Cloudflare Tunnel Write, DNS Write and Zone Read. If no credentials are set, publish uses
a fake of the API.
`

func parse(args []string, stderr io.Writer) (s settings, err error) {
	flags := flag.NewFlagSet("publish", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.path, "path", "",
		"regular `expression` that paths must match (default: every path)")
	flags.StringVar(&s.tokenFile, "token-file", "",
		"`file` to write the tunnel's token to, with mode 0600 (default: TUNNEL.token)")
	flags.BoolVar(&s.overwrite, "overwrite", false,
		"replace DNS records of the hostname that point elsewhere")
	flags.BoolVar(&s.unpublish, "unpublish", false,
		"remove the hostname, and the tunnel if it is remotely managed\n"+
			"and nothing else uses it")
	flags.Usage = func() {
		fmt.Fprint(stderr, usage+"\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return s, err // Parse has printed the reason
	}
	required := 3
	if s.unpublish {
		required = 2
	}
	switch {
	case !hasCredentials() && flags.NArg() > 0:
		// Nobody must mistake the fake for the real account.
		err = errors.New("CLOUDFLARE_API_TOKEN is not set. " +
			"To use a fake of the API, omit all arguments")
	case !hasCredentials():
	case flags.NArg() < required:
		err = errors.New("an argument is missing: " +
			strings.Join([]string{"TUNNEL", "HOSTNAME", "SERVICE"}[flags.NArg():required], ", "))
	case flags.NArg() > required:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(required))
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
	out := &resultWriter{w: stdout}
	if hasCredentials() {
		var client *cftunnel.Client
		if client, err = cftunnel.NewClient(cftunnel.WithEnvironment()); err == nil {
			err = run(ctx, client, s, out)
		}
	} else {
		fmt.Fprint(stderr, "No credentials are set: using a fake of the API in this process.\n\n")
		err = demonstrate(ctx, s, out)
	}
	if err == nil {
		err = out.err // the output is incomplete
	}
	if err != nil {
		fmt.Fprintln(stderr, "publish:", err)
		return 1
	}
	return 0
}

// resultWriter writes to w until a write fails, and keeps the error.
type resultWriter struct {
	w   io.Writer
	err error
}

func (r *resultWriter) Write(p []byte) (n int, err error) {
	if r.err == nil {
		n, r.err = r.w.Write(p)
	}
	return n, r.err
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
	fmt.Fprintf(out, "%s is served by %s.\n\n", published.Hostname, published.Service)
	if err := printHostnames(ctx, client, tunnel.ID, out); err != nil {
		return err
	}
	token, err := client.Tunnels.Token(ctx, tunnel.ID)
	if err != nil {
		return err
	}
	if err := token.WriteFile(s.tokenFile); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nThe tunnel's token is in %s. "+
		"Run the tunnel on the machine of the service:\n\n"+
		"  cloudflared tunnel run --token-file %s\n", s.tokenFile, quote(s.tokenFile))
	return nil
}

// quote quotes a text as one word for a shell.
func quote(text string) string {
	if !strings.ContainsAny(text, " \t\n'\"\\$`*?[]{}()<>|&;#~!%") {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// printHostnames prints the hostnames of a tunnel with the state of their DNS records.
func printHostnames(
	ctx context.Context, client *cftunnel.Client, tunnelID string, out io.Writer,
) error {
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
	fmt.Fprintf(out, "%s is unpublished from tunnel %s.\n", s.hostname, tunnel.Name)
	reason, err := inUse(ctx, client, tunnel)
	if err != nil {
		return err
	}
	if reason != "" {
		fmt.Fprintf(out, "Tunnel %s is not deleted: it %s.\n", tunnel.Name, reason)
		return nil
	}
	_, err = client.Tunnels.Delete(ctx, tunnel.ID, cftunnel.TunnelDeleteParams{})
	if errors.Is(err, cftunnel.ErrActiveConnections) {
		fmt.Fprintf(out, "Tunnel %s is not deleted: cloudflared still runs it.\n", tunnel.Name)
		return nil
	}
	if err == nil {
		fmt.Fprintf(out, "Tunnel %s is deleted.\n", tunnel.Name)
	}
	return err
}

// inUse returns why a tunnel must not be deleted, or an empty string. Deleting a tunnel would also
// delete its private routes. DNS records of hostnames without a rule are not a use: the tunnel
// responds to them with 404.
func inUse(
	ctx context.Context, client *cftunnel.Client, tunnel *cftunnel.Tunnel,
) (string, error) {
	configuration, err := client.Tunnels.Configuration(ctx, tunnel.ID)
	if err != nil {
		return "", err
	}
	rules, warp := configuration.Config.Ingress, configuration.Config.WARPRouting
	switch remote := cftunnel.ConfigSourceCloudflare; {
	case tunnel.ConfigSource != remote || configuration.Source != remote:
		// The tunnel ignores this configuration, so it says nothing about the use of the tunnel.
		return "is not remotely managed, and rules in its file stay", nil
	case len(rules) > 1:
		return "has other ingress rules", nil
	case len(rules) == 1 && rules[0].Service != "http_status:404":
		return "serves every hostname", nil
	case warp != nil && warp.Enabled:
		return "serves private networks", nil
	}
	networks := cftunnel.RouteListParams{TunnelID: tunnel.ID}
	for _, err := range client.Routes.All(ctx, networks) {
		return "has private routes", err
	}
	hostnames := cftunnel.HostnameRouteListParams{TunnelID: tunnel.ID}
	for _, err := range client.HostnameRoutes.All(ctx, hostnames) {
		return "has private hostnames", err
	}
	return "", nil
}

// demonstrate publishes two hostnames with a fake, and unpublishes both.
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
