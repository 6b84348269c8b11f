// Quickstart takes a tunnel through its life: it creates one, fetches its token, watches it turn healthy, lists the account's tunnels,
// renames and deletes it. Without credentials in the environment it works on a fake of the API in this process, with
// CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID on the real account.
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
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: quickstart\n\nTakes a tunnel through its life: on the account of CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID,\nor without credentials in the environment on a fake of the API in this process.")
	}
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt does not wait for the clean-up
	if err := start(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// start chooses between the real account and the fake.
func start(ctx context.Context, out io.Writer) error {
	if os.Getenv("CLOUDFLARE_API_TOKEN") != "" || os.Getenv("CLOUDFLARE_API_KEY") != "" {
		client, err := cftunnel.NewClient(cftunnel.WithEnvironment())
		if err != nil {
			return err
		}
		if client.AccountID() == "" {
			return errors.New("credentials are set, but CLOUDFLARE_ACCOUNT_ID is not")
		}
		fmt.Fprintf(out, "Working on account %s at %s.\n\n", client.AccountID(), cmp.Or(os.Getenv("CLOUDFLARE_BASE_URL"), "Cloudflare"))
		return run(ctx, out, client, nil)
	}
	fake := tunneltest.NewServer()
	defer fake.Close()
	fake.SeedTunnels(2)
	client, err := fake.NewClient()
	if err != nil {
		return err
	}
	fmt.Fprint(out, "No credentials in the environment: working on a fake of the API in this process.\n\n")
	return run(ctx, out, client, fake)
}

// run does the job. Only a fake has replicas that can be started from here; nil is the real API.
func run(ctx context.Context, out io.Writer, client *cftunnel.Client, fake *tunneltest.Server) (err error) {
	name := "quickstart-" + time.Now().UTC().Format("20060102-150405.000")
	step := stepper(out)

	created, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: name, ConfigSource: cftunnel.ConfigSourceCloudflare})
	if errors.Is(err, cftunnel.ErrOutcomeUnknown) {
		return errors.Join(err, cleanUpLost(ctx, out, client, name))
	}
	if err != nil {
		return err
	}
	step("created", "%s, id %s", created.Name, created.ID)
	left := created // nil when it is deleted
	defer func() {
		if left != nil {
			err = errors.Join(err, cleanUp(ctx, out, client, left))
		}
	}()

	token, err := client.Tunnels.Token(ctx, created.ID)
	if err != nil {
		return err
	}
	step("token", "%s, %d characters: run a replica with cloudflared tunnel run --token …", token, len(token.Reveal()))

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
	step("listed", "%d tunnels of the account", len(tunnels))
	table(out, tunnels)

	renamed, err := client.Tunnels.Update(ctx, created.ID, cftunnel.TunnelUpdateParams{Name: name + "-renamed"})
	if err != nil {
		return err
	}
	left = renamed
	step("renamed", "%s to %s", name, renamed.Name)

	if _, err = client.Tunnels.Delete(ctx, created.ID, cftunnel.TunnelDeleteParams{}); err != nil {
		return err
	}
	left = nil
	step("deleted", "%s", renamed.Name)
	return nil
}

// stepper returns a function that tells of a step and how long it took.
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
		fmt.Fprintf(w, "\t%s\t%s\t%s\t%s\t%s\n", t.Name, t.ID, t.Status, t.ConfigSource, t.CreatedAt.Format(time.DateTime))
	}
	w.Flush()
}

// cleanUp deletes what a run that failed leaves behind, also when its context is what failed.
func cleanUp(ctx context.Context, out io.Writer, client *cftunnel.Client, tunnel *cftunnel.Tunnel) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if _, err := client.Tunnels.Delete(ctx, tunnel.ID, cftunnel.TunnelDeleteParams{Cascade: true}); err != nil {
		return fmt.Errorf("tunnel %s (%s) is left behind: %w", tunnel.Name, tunnel.ID, err)
	}
	fmt.Fprintf(out, "It failed; %s is deleted.\n", tunnel.Name)
	return nil
}

// cleanUpLost looks for a tunnel whose creation was never answered.
func cleanUpLost(ctx context.Context, out io.Writer, client *cftunnel.Client, name string) error {
	find, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	tunnel, err := client.Tunnels.FindByName(find, name)
	if errors.Is(err, cftunnel.ErrNotFound) {
		fmt.Fprintf(out, "The create was not answered; there is no tunnel named %s.\n", name)
		return nil
	}
	if err != nil {
		return fmt.Errorf("a tunnel %s may be left behind: %w", name, err)
	}
	return cleanUp(ctx, out, client, tunnel)
}
