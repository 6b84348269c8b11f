// Quickstart runs a tunnel's full life cycle: it creates a tunnel, gets its token, lists the
// account's tunnels, and renames and deletes the tunnel.
//
// It uses the account of CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID. If no credentials are set,
// it uses a fake of the API in this process, and also starts a replica of the tunnel.
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
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
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
			"Creates a tunnel, lists the account's tunnels, and renames and deletes the tunnel.\n"+
			"Set CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN. If no credentials are set,\n"+
			"quickstart uses a fake of the API.")
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
	out := &resultWriter{w: stdout}
	client, fake, err := connect(stderr)
	if err == nil {
		if fake != nil {
			defer fake.Close()
		}
		err = run(ctx, out, stderr, client, fake)
	}
	if err == nil {
		err = out.err // the output is incomplete
	}
	if err != nil {
		fmt.Fprintln(stderr, "quickstart:", err)
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

// connect returns a client for the real account or, if no credentials are set, a fake and a client
// for it.
func connect(stderr io.Writer) (*cftunnel.Client, *tunneltest.Server, error) {
	if os.Getenv("CLOUDFLARE_API_TOKEN") != "" || os.Getenv("CLOUDFLARE_API_KEY") != "" {
		client, err := cftunnel.NewClient(cftunnel.WithEnvironment())
		if err != nil {
			return nil, nil, err
		}
		if client.AccountID() == "" {
			return nil, nil, errors.New("credentials are set, but CLOUDFLARE_ACCOUNT_ID is not")
		}
		fmt.Fprintf(stderr, "Using account %s at %s.\n\n",
			client.AccountID(), cmp.Or(os.Getenv("CLOUDFLARE_BASE_URL"), "Cloudflare"))
		return client, nil, nil
	}
	fmt.Fprint(stderr, "No credentials are set: using a fake of the API in this process.\n\n")
	fake := tunneltest.NewServer()
	fake.SeedTunnels(2)
	client, err := fake.NewClient()
	return client, fake, err
}

// run runs the life cycle. If fake is not nil, it also starts and stops a replica.
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
	step("created", "%s, ID %s", created.Name, created.ID)
	remaining := created // nil after it is deleted
	defer func() {
		if remaining != nil {
			err = errors.Join(err, cleanUp(ctx, notices, client, remaining))
		}
	}()

	token, err := client.Tunnels.Token(ctx, created.ID)
	if err != nil {
		return err
	}
	step("token", "%s, %d characters: store it in a file for cloudflared tunnel run --token-file",
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
	printTable(out, tunnels)

	rename := cftunnel.TunnelUpdateParams{Name: name + "-renamed"}
	renamed, err := client.Tunnels.Update(ctx, created.ID, rename)
	if err != nil {
		return err
	}
	remaining = renamed
	step("renamed", "%s to %s", name, renamed.Name)

	_, err = client.Tunnels.Delete(ctx, created.ID, cftunnel.TunnelDeleteParams{})
	if err != nil {
		return err
	}
	remaining = nil
	step("deleted", "%s", renamed.Name)
	return nil
}

// count returns a number and its noun, such as "1 tunnel" or "2 tunnels".
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// stepper returns a function that prints a step and its duration.
func stepper(out io.Writer) func(name, format string, args ...any) {
	last := time.Now()
	return func(name, format string, args ...any) {
		duration := time.Since(last).Round(10 * time.Microsecond)
		fmt.Fprintf(out, "%-8s %9s  %s\n", name, duration, fmt.Sprintf(format, args...))
		last = time.Now()
	}
}

func printTable(out io.Writer, tunnels []*cftunnel.Tunnel) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tNAME\tID\tSTATUS\tCONFIGURED\tCREATED")
	for _, t := range tunnels {
		fmt.Fprintf(w, "\t%s\t%s\t%s\t%s\t%s\n",
			t.Name, t.ID, t.Status, t.ConfigSource, t.CreatedAt.Format(time.DateTime))
	}
	w.Flush()
}

// cleanUp deletes the tunnel of a run that failed, even if ctx has ended.
func cleanUp(
	ctx context.Context, notices io.Writer, client *cftunnel.Client, tunnel *cftunnel.Tunnel,
) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	params := cftunnel.TunnelDeleteParams{Cascade: true}
	if _, err := client.Tunnels.Delete(ctx, tunnel.ID, params); err != nil {
		return fmt.Errorf("tunnel %s (%s) is not deleted: %w", tunnel.Name, tunnel.ID, err)
	}
	fmt.Fprintf(notices, "A step failed; tunnel %s is deleted.\n", tunnel.Name)
	return nil
}

// cleanUpLost deletes a tunnel that may exist because the response to its creation was lost.
func cleanUpLost(
	ctx context.Context, notices io.Writer, client *cftunnel.Client, name string,
) error {
	find, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	tunnel, err := client.Tunnels.FindByName(find, name)
	if errors.Is(err, cftunnel.ErrNotFound) {
		fmt.Fprintf(notices, "The response was lost; no tunnel is named %s.\n", name)
		return nil
	}
	if err != nil {
		return fmt.Errorf("tunnel %s may exist: %w", name, err)
	}
	return cleanUp(ctx, notices, client, tunnel)
}
