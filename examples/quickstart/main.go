// Quickstart runs a tunnel's full life cycle: it creates a tunnel, fetches its token, sees it turn
// healthy, lists the account's tunnels, and renames and deletes the tunnel. Without credentials in
// the environment it works on a fake of the API in this process, with CLOUDFLARE_API_TOKEN and
// CLOUDFLARE_ACCOUNT_ID on the real account.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"text/tabwriter"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second interrupt does not wait for the clean-up
	code := start(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// start returns the exit code: 2 for a bad command line, 1 if anything else fails.
func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: quickstart\n\n"+
			"Runs a tunnel's full life cycle on the account of CLOUDFLARE_API_TOKEN and\n"+
			"CLOUDFLARE_ACCOUNT_ID. Without credentials in the environment it works on a fake\n"+
			"of the API in this process.")
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2 // Parse has printed the reason
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "quickstart: unexpected argument %q\n", flags.Arg(0))
		return 2
	}
	client, fake, err := connect(stderr)
	if err == nil {
		if fake != nil {
			defer fake.Close()
		}
		err = run(ctx, stdout, stderr, client, fake)
	}
	if err != nil {
		fmt.Fprintln(stderr, "quickstart:", err)
		return 1
	}
	return 0
}

// connect returns a client of the real account, or of a fake, which it returns too.
func connect(stderr io.Writer) (*cftunnel.Client, *tunneltest.Server, error) {
	if os.Getenv("CLOUDFLARE_API_TOKEN") != "" || os.Getenv("CLOUDFLARE_API_KEY") != "" {
		client, err := cftunnel.NewClient(cftunnel.WithEnvironment())
		if err != nil {
			return nil, nil, err
		}
		if client.AccountID() == "" {
			return nil, nil, errors.New("credentials are set, but CLOUDFLARE_ACCOUNT_ID is not")
		}
		fmt.Fprintf(stderr, "Working on account %s at %s.\n\n",
			client.AccountID(), cmp.Or(os.Getenv("CLOUDFLARE_BASE_URL"), "Cloudflare"))
		return client, nil, nil
	}
	fmt.Fprint(stderr, "No credentials in the environment: "+
		"working on a fake of the API in this process.\n\n")
	fake := tunneltest.NewServer()
	fake.SeedTunnels(2)
	client, err := fake.NewClient()
	return client, fake, err
}

// run does the work. Only a fake has replicas that can be started from here; nil is the real API.
func run(
	ctx context.Context, out, notices io.Writer, client *cftunnel.Client, fake *tunneltest.Server,
) (err error) {
	name := "quickstart-" + time.Now().UTC().Format("20060102-150405.000")
	step := stepper(out)

	created, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{
		Name: name, ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	if errors.Is(err, cftunnel.ErrOutcomeUnknown) {
		return errors.Join(err, cleanUpLost(ctx, notices, client, name))
	}
	if err != nil {
		return err
	}
	step("created", "%s, id %s", created.Name, created.ID)
	left := created // nil when it is deleted
	defer func() {
		if left != nil {
			err = errors.Join(err, cleanUp(ctx, notices, client, left))
		}
	}()

	token, err := client.Tunnels.Token(ctx, created.ID)
	if err != nil {
		return err
	}
	step("token", "%s, %d characters: run a replica with cloudflared tunnel run --token …",
		token, len(token.Reveal()))

	if fake != nil {
		connector, err := fake.Connect(token)
		if err != nil {
			return err
		}
		defer fake.Disconnect(connector)
		step("replica", "%s connected", connector)
		tunnel, err := client.Tunnels.Get(ctx, created.ID)
		if err != nil {
			return err
		}
		step("status", "%s since %s", tunnel.Status, tunnel.ConnsActiveAt.Format(time.TimeOnly))
		fake.Disconnect(connector)
		step("replica", "%s stopped", connector)
	}

	var tunnels []*cftunnel.Tunnel
	for t, err := range client.Tunnels.All(ctx, cftunnel.TunnelListParams{}) {
		if err != nil {
			return err
		}
		tunnels = append(tunnels, t)
	}
	step("listed", "%s of the account", count(len(tunnels), "tunnel"))
	table(out, tunnels)

	rename := cftunnel.TunnelUpdateParams{Name: name + "-renamed"}
	renamed, err := client.Tunnels.Update(ctx, created.ID, rename)
	if err != nil {
		return err
	}
	left = renamed
	step("renamed", "%s to %s", name, renamed.Name)

	_, err = client.Tunnels.Delete(ctx, created.ID, cftunnel.TunnelDeleteParams{})
	if err != nil {
		return err
	}
	left = nil
	step("deleted", "%s", renamed.Name)
	return nil
}

// count is a number and its noun: "1 tunnel", "2 tunnels".
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// stepper returns a function that prints a step and how long it took.
func stepper(out io.Writer) func(what, format string, args ...any) {
	last := time.Now()
	return func(what, format string, args ...any) {
		took := time.Since(last).Round(10 * time.Microsecond)
		fmt.Fprintf(out, "%-8s %9s  %s\n", what, took, fmt.Sprintf(format, args...))
		last = time.Now()
	}
}

func table(out io.Writer, tunnels []*cftunnel.Tunnel) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tNAME\tID\tSTATUS\tCONFIGURED\tCREATED")
	for _, t := range tunnels {
		fmt.Fprintf(w, "\t%s\t%s\t%s\t%s\t%s\n",
			t.Name, t.ID, t.Status, t.ConfigSource, t.CreatedAt.Format(time.DateTime))
	}
	w.Flush()
}

// cleanUp deletes what a run that failed leaves behind, also if its context has ended.
func cleanUp(
	ctx context.Context, notices io.Writer, client *cftunnel.Client, tunnel *cftunnel.Tunnel,
) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	params := cftunnel.TunnelDeleteParams{Cascade: true}
	if _, err := client.Tunnels.Delete(ctx, tunnel.ID, params); err != nil {
		return fmt.Errorf("tunnel %s (%s) is left behind: %w", tunnel.Name, tunnel.ID, err)
	}
	fmt.Fprintf(notices, "It failed; %s is deleted.\n", tunnel.Name)
	return nil
}

// cleanUpLost looks for a tunnel if the response to its creation was lost.
func cleanUpLost(
	ctx context.Context, notices io.Writer, client *cftunnel.Client, name string,
) error {
	find, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	tunnel, err := client.Tunnels.FindByName(find, name)
	if errors.Is(err, cftunnel.ErrNotFound) {
		fmt.Fprintf(notices, "The response was lost; there is no tunnel named %s.\n", name)
		return nil
	}
	if err != nil {
		return fmt.Errorf("a tunnel %s may be left behind: %w", name, err)
	}
	return cleanUp(ctx, notices, client, tunnel)
}
