// Prune finds tunnels that are down, or never ran, for longer than -older-than, prints them, and
// deletes them with -yes, several at a time. One that cannot be deleted is reported and does not
// stop the others. Without credentials in the environment it works on a fake of the API in this
// process.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"text/tabwriter"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// workers is how many tunnels are deleted at a time. The client keeps them all within the rate
// limit.
const workers = 8

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := start(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// start returns the exit code: 2 for a bad command line, 1 if anything else fails.
func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("prune", flag.ContinueOnError)
	flags.SetOutput(stderr)
	olderThan := flags.Duration("older-than", 30*24*time.Hour,
		"how `long` a tunnel must have had no connection, such as 720h")
	yes := flags.Bool("yes", false, "delete the tunnels that are found")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: prune [flags]\n\n"+
			"Finds tunnels of the account in CLOUDFLARE_ACCOUNT_ID that nobody runs,\n"+
			"and deletes them with -yes.")
		flags.PrintDefaults()
	}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2 // Parse has printed the reason
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "prune: unexpected argument %q\n", flags.Arg(0))
		return 2
	case *olderThan < 0:
		fmt.Fprintf(stderr, "prune: -older-than is %s; it cannot be negative\n", *olderThan)
		return 2
	}
	client, closeFake, err := connect(stderr)
	if err == nil {
		defer closeFake()
		err = prune(ctx, client, time.Now(), *olderThan, *yes, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintln(stderr, "prune:", err)
		return 1
	}
	return 0
}

// connect returns a client of the real account, or of a fake with tunnels that nobody has run for a
// year.
func connect(stderr io.Writer) (*cftunnel.Client, func(), error) {
	if os.Getenv("CLOUDFLARE_API_TOKEN") != "" || os.Getenv("CLOUDFLARE_API_KEY") != "" {
		client, err := cftunnel.NewClient(cftunnel.WithEnvironment())
		return client, func() {}, err
	}
	fmt.Fprintln(stderr, "No credentials in the environment: "+
		"working on a fake of the API in this process.")
	fake := tunneltest.NewServer()
	for range 3 {
		fake.Seed(tunneltest.TunnelSeed{CreatedAt: time.Now().AddDate(-1, 0, 0)})
	}
	client, err := fake.NewClient()
	return client, fake.Close, err
}

// prune lists the tunnels that nobody has run for so long, and deletes them if yes is set.
func prune(
	ctx context.Context, client *cftunnel.Client, now time.Time, olderThan time.Duration, yes bool,
	out, notices io.Writer,
) error {
	var idle []*cftunnel.Tunnel
	for tunnel, err := range client.Tunnels.All(ctx, cftunnel.TunnelListParams{}) {
		if err != nil {
			return err
		}
		if isIdle(tunnel, now, olderThan) {
			idle = append(idle, tunnel)
		}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tSTATUS\tSINCE\tID")
	for _, tunnel := range idle {
		since := idleSince(tunnel).Format(time.DateOnly)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", tunnel.Name, tunnel.Status, since, tunnel.ID)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if !yes {
		fmt.Fprintf(out, "%s had no connection for %s.\n", count(len(idle), "tunnel"), olderThan)
		fmt.Fprintln(notices, "Nothing is deleted without -yes.")
		return nil
	}
	return deleteAll(ctx, client, idle, out)
}

// count is a number and its noun: "1 tunnel", "2 tunnels".
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// isIdle is false for unknown statuses: such a tunnel may be running.
func isIdle(tunnel *cftunnel.Tunnel, now time.Time, olderThan time.Duration) bool {
	status, since := tunnel.Status, idleSince(tunnel)
	if status != cftunnel.TunnelStatusDown && status != cftunnel.TunnelStatusInactive {
		return false
	}
	return !since.IsZero() && now.Sub(since) >= olderThan
}

// idleSince is zero if the API does not say.
func idleSince(tunnel *cftunnel.Tunnel) time.Time {
	if tunnel.Status == cftunnel.TunnelStatusInactive && tunnel.ConnsInactiveAt.IsZero() {
		return tunnel.CreatedAt
	}
	return tunnel.ConnsInactiveAt
}

// deleteAll deletes tunnels. The server refuses to delete those that somebody has started since.
func deleteAll(
	ctx context.Context, client *cftunnel.Client, tunnels []*cftunnel.Tunnel, out io.Writer,
) error {
	var mu sync.Mutex
	var group sync.WaitGroup
	failed, deleted := 0, 0
	next := make(chan *cftunnel.Tunnel)
	for range workers {
		group.Go(func() {
			for tunnel := range next {
				_, err := client.Tunnels.Delete(ctx, tunnel.ID, cftunnel.TunnelDeleteParams{})
				mu.Lock()
				switch {
				case err == nil:
					deleted++
					fmt.Fprintf(out, "deleted %s\n", tunnel.Name)
				case errors.Is(err, cftunnel.ErrActiveConnections):
					failed++
					fmt.Fprintf(out, "kept    %s: somebody runs it again\n", tunnel.Name)
				default:
					failed++
					fmt.Fprintf(out, "failed  %s: %v\n", tunnel.Name, err)
				}
				mu.Unlock()
			}
		})
	}
	for _, tunnel := range tunnels {
		next <- tunnel
	}
	close(next)
	group.Wait()
	all := count(len(tunnels), "tunnel")
	fmt.Fprintf(out, "Deleted %d of %s.\n", deleted, all)
	if failed > 0 {
		return fmt.Errorf("%d of %s could not be deleted", failed, all)
	}
	return nil
}
