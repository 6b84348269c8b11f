// Prune finds tunnels that are down, or never ran, for longer than -older-than, prints them, and with -yes deletes them, several at a time.
// One that cannot be deleted is reported and stops no other. Without credentials in the environment it works on a fake of the API in this
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

// workers is how many tunnels are deleted at a time. The client keeps them all within the rate limit.
const workers = 8

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(start(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// start returns the exit code: 2 for a bad command line, 1 for whatever else fails.
func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("prune", flag.ContinueOnError)
	flags.SetOutput(stderr)
	olderThan := flags.Duration("older-than", 30*24*time.Hour, "how `long` a tunnel must have had no connection, such as 720h")
	yes := flags.Bool("yes", false, "delete what is found; without it nothing is changed")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: prune [flags]\n\nFinds tunnels of the account in CLOUDFLARE_ACCOUNT_ID that nobody runs, and deletes them with -yes.")
		flags.PrintDefaults()
	}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0 || *olderThan < 0:
		flags.Usage()
		return 2
	}
	client, closeFake, err := connect(stderr)
	if err == nil {
		defer closeFake()
		err = prune(ctx, client, time.Now(), *olderThan, *yes, stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "prune:", err)
		return 1
	}
	return 0
}

// connect returns a client of the real account, or of a fake with tunnels that nobody has run for a year.
func connect(stderr io.Writer) (*cftunnel.Client, func(), error) {
	if os.Getenv("CLOUDFLARE_API_TOKEN") != "" || os.Getenv("CLOUDFLARE_API_KEY") != "" {
		client, err := cftunnel.NewClient(cftunnel.WithEnvironment())
		return client, func() {}, err
	}
	fmt.Fprintln(stderr, "No credentials in the environment: working on a fake of the API in this process.")
	fake := tunneltest.NewServer(tunneltest.WithClock(func() time.Time { return time.Now().AddDate(-1, 0, 0) }))
	fake.SeedTunnels(3)
	client, err := fake.NewClient()
	return client, fake.Close, err
}

// prune lists what nobody has run for so long, and deletes it if it is told to.
func prune(ctx context.Context, client *cftunnel.Client, now time.Time, olderThan time.Duration, yes bool, out io.Writer) error {
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
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", tunnel.Name, tunnel.Status, idleSince(tunnel).Format(time.DateOnly), tunnel.ID)
	}
	w.Flush()
	if !yes {
		fmt.Fprintf(out, "%d tunnels had no connection for %s. Nothing is deleted without -yes.\n", len(idle), olderThan)
		return nil
	}
	return deleteAll(ctx, client, idle, out)
}

// isIdle goes by the status that is known: of one that is not, nobody can say that it does not run.
func isIdle(tunnel *cftunnel.Tunnel, now time.Time, olderThan time.Duration) bool {
	if tunnel.Status != cftunnel.TunnelStatusDown && tunnel.Status != cftunnel.TunnelStatusInactive {
		return false
	}
	since := idleSince(tunnel)
	return !since.IsZero() && now.Sub(since) >= olderThan
}

// idleSince is zero where nobody can say.
func idleSince(tunnel *cftunnel.Tunnel) time.Time {
	if tunnel.Status == cftunnel.TunnelStatusInactive && tunnel.ConnsInactiveAt.IsZero() {
		return tunnel.CreatedAt
	}
	return tunnel.ConnsInactiveAt
}

// deleteAll deletes tunnels, and not those that somebody has started since they were listed: the server refuses them.
func deleteAll(ctx context.Context, client *cftunnel.Client, tunnels []*cftunnel.Tunnel, out io.Writer) error {
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
	fmt.Fprintf(out, "%d of %d tunnels are deleted.\n", deleted, len(tunnels))
	if failed > 0 {
		return fmt.Errorf("%d of %d tunnels could not be deleted", failed, len(tunnels))
	}
	return nil
}
