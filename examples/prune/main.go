// Prune lists tunnels that have had no connection for longer than -older-than, or that never had
// one. With -yes it deletes them, several at a time. If a tunnel cannot be deleted, it reports the
// error and continues with the others.
//
// If no credentials are set, it uses a fake of the API in this process.
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

// workers is the number of tunnels that are deleted at a time. The client keeps all requests within
// the rate limit.
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
		"minimum `duration` without a connection, such as 720h")
	yes := flags.Bool("yes", false, "delete the listed tunnels")
	flags.Usage = func() {
		fmt.Fprint(stderr, "usage: prune [flags]\n\n"+
			"Lists tunnels that have had no connection for some time, and deletes them with\n"+
			"-yes. Set CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN. If no credentials are\n"+
			"set, prune uses a fake of the API.\n\n")
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

// connect returns a client for the real account or, if no credentials are set, for a fake with
// tunnels that have had no connection for a year. The function that it returns closes the fake.
func connect(stderr io.Writer) (*cftunnel.Client, func(), error) {
	if os.Getenv("CLOUDFLARE_API_TOKEN") != "" || os.Getenv("CLOUDFLARE_API_KEY") != "" {
		client, err := cftunnel.NewClient(cftunnel.WithEnvironment())
		return client, func() {}, err
	}
	fmt.Fprintln(stderr, "No credentials are set: using a fake of the API in this process.")
	fake := tunneltest.NewServer()
	for range 3 {
		fake.Seed(tunneltest.TunnelSeed{CreatedAt: time.Now().AddDate(-1, 0, 0)})
	}
	client, err := fake.NewClient()
	return client, fake.Close, err
}

// prune lists the tunnels that have had no connection for olderThan. It deletes them if yes is set.
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
		fmt.Fprintln(notices, "No tunnel is deleted. To delete them, use -yes.")
		return nil
	}
	return deleteAll(ctx, client, idle, out)
}

// count returns a number and its noun, such as "1 tunnel" or "2 tunnels".
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// isIdle reports whether a tunnel has had no connection for olderThan. It returns false for an
// unknown status, because the tunnel may be running.
func isIdle(tunnel *cftunnel.Tunnel, now time.Time, olderThan time.Duration) bool {
	status, since := tunnel.Status, idleSince(tunnel)
	if status != cftunnel.TunnelStatusDown && status != cftunnel.TunnelStatusInactive {
		return false
	}
	return !since.IsZero() && now.Sub(since) >= olderThan
}

// idleSince returns the time since which a tunnel has no connection, or zero if it is unknown.
func idleSince(tunnel *cftunnel.Tunnel) time.Time {
	if tunnel.Status == cftunnel.TunnelStatusInactive && tunnel.ConnsInactiveAt.IsZero() {
		return tunnel.CreatedAt
	}
	return tunnel.ConnsInactiveAt
}

// deleteAll deletes tunnels. The API rejects the deletion of a tunnel that is running again.
func deleteAll(
	ctx context.Context, client *cftunnel.Client, tunnels []*cftunnel.Tunnel, out io.Writer,
) error {
	var mu sync.Mutex
	var group sync.WaitGroup
	failed, deleted := 0, 0
	work := make(chan *cftunnel.Tunnel)
	for range workers {
		group.Go(func() {
			for tunnel := range work {
				_, err := client.Tunnels.Delete(ctx, tunnel.ID, cftunnel.TunnelDeleteParams{})
				mu.Lock()
				switch {
				case err == nil:
					deleted++
					fmt.Fprintf(out, "deleted %s\n", tunnel.Name)
				case errors.Is(err, cftunnel.ErrActiveConnections):
					failed++
					fmt.Fprintf(out, "kept    %s: it is running again\n", tunnel.Name)
				default:
					failed++
					fmt.Fprintf(out, "failed  %s: %v\n", tunnel.Name, err)
				}
				mu.Unlock()
			}
		})
	}
	for _, tunnel := range tunnels {
		work <- tunnel
	}
	close(work)
	group.Wait()
	all := count(len(tunnels), "tunnel")
	fmt.Fprintf(out, "Deleted %d of %s.\n", deleted, all)
	if failed > 0 {
		return fmt.Errorf("%d of %s could not be deleted", failed, all)
	}
	return nil
}
