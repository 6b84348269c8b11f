// Prune lists tunnels that have had no connection for longer than -older-than, or that never had
// one. With -yes it deletes them, several at a time. If a tunnel cannot be deleted, it reports the
// error and continues with the others.
//
// The DNS records of a deleted tunnel's hostnames stay and lead visitors to an error page. With
// -unpublish, prune removes them; without it, prune prints the hostnames. The hostnames of a
// locally managed tunnel are in a file, so prune prints that DNS records may be left.
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
	unpublish := flags.Bool("unpublish", false,
		"also remove the DNS records of the deleted tunnels' hostnames")
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
	out := &resultWriter{w: stdout}
	client, closeFake, err := connect(stderr)
	if err == nil {
		defer closeFake()
		p := pruner{client: client, unpublish: *unpublish, out: out}
		err = p.prune(ctx, time.Now(), *olderThan, *yes, stderr)
	}
	if err == nil {
		err = out.err // the output is incomplete
	}
	if err != nil {
		fmt.Fprintln(stderr, "prune:", err)
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

// pruner deletes tunnels.
type pruner struct {
	client    *cftunnel.Client
	unpublish bool // also remove DNS records

	mu      sync.Mutex // protects the fields below
	out     io.Writer
	deleted int
	failed  int // tunnels that could not be deleted
	left    int // hostnames whose DNS records may be left
}

// prune lists the tunnels that have had no connection for olderThan. It deletes them if yes is set.
func (p *pruner) prune(
	ctx context.Context, now time.Time, olderThan time.Duration, yes bool, notices io.Writer,
) error {
	var idle []*cftunnel.Tunnel
	for tunnel, err := range p.client.Tunnels.All(ctx, cftunnel.TunnelListParams{}) {
		if err != nil {
			return err
		}
		if isIdle(tunnel, now, olderThan) {
			idle = append(idle, tunnel)
		}
	}
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tSTATUS\tSINCE\tID")
	for _, tunnel := range idle {
		since := idleSince(tunnel).Format(time.DateOnly)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", tunnel.Name, tunnel.Status, since, tunnel.ID)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if !yes {
		fmt.Fprintf(p.out, "%s had no connection for %s.\n", count(len(idle), "tunnel"), olderThan)
		fmt.Fprintln(notices, "No tunnel is deleted. To delete them, use -yes.")
		return nil
	}
	return p.deleteAll(ctx, idle)
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

// deleteAll deletes tunnels, several at a time.
func (p *pruner) deleteAll(ctx context.Context, tunnels []*cftunnel.Tunnel) error {
	var group sync.WaitGroup
	work := make(chan *cftunnel.Tunnel)
	for range workers {
		group.Go(func() {
			for tunnel := range work {
				p.delete(ctx, tunnel)
			}
		})
	}
	for _, tunnel := range tunnels {
		work <- tunnel
	}
	close(work)
	group.Wait()
	all := count(len(tunnels), "tunnel")
	fmt.Fprintf(p.out, "Deleted %d of %s.\n", p.deleted, all)
	switch {
	case p.failed > 0:
		return fmt.Errorf("%d of %s could not be deleted", p.failed, all)
	case p.left > 0 && p.unpublish:
		return fmt.Errorf("%s could not be unpublished", count(p.left, "hostname"))
	case p.left > 0:
		fmt.Fprintf(p.out, "The DNS records of %s may be left. -unpublish removes such records "+
			"together with the tunnels.\n", count(p.left, "hostname"))
	}
	return nil
}

// delete deletes a tunnel. The API rejects the deletion of a tunnel that is running again, so the
// DNS records are removed after the tunnel. Its hostnames are read before, because a deleted tunnel
// has no configuration.
func (p *pruner) delete(ctx context.Context, tunnel *cftunnel.Tunnel) {
	hostnames, err := p.client.Hostnames.List(ctx, tunnel.ID)
	if err == nil {
		_, err = p.client.Tunnels.Delete(ctx, tunnel.ID, cftunnel.TunnelDeleteParams{})
	}
	switch {
	case err == nil && tunnel.ConfigSource == cftunnel.ConfigSourceLocal:
		p.report(&p.deleted, "deleted %s; its hostnames are in a file, DNS records may be left",
			tunnel.Name)
	case err == nil:
		p.report(&p.deleted, "deleted %s", tunnel.Name)
	case errors.Is(err, cftunnel.ErrActiveConnections):
		p.report(&p.failed, "kept    %s: it is running again", tunnel.Name)
		return
	default:
		p.report(&p.failed, "failed  %s: %v", tunnel.Name, err)
		return
	}
	done := map[string]bool{} // a hostname is listed once for each path
	for _, h := range hostnames {
		if done[h.Hostname] || h.DNS == cftunnel.DNSStateMissing ||
			h.DNS == cftunnel.DNSStateElsewhere {
			continue
		}
		done[h.Hostname] = true
		if !p.unpublish {
			p.report(&p.left, "left    %s of %s, DNS record: %s", h.Hostname, tunnel.Name, h.DNS)
		} else if err := p.client.Hostnames.Unpublish(ctx, tunnel.ID, h.Hostname); err != nil {
			p.report(&p.left, "left    %s of %s: %v", h.Hostname, tunnel.Name, err)
		}
	}
}

// report prints a line and adds 1 to a counter.
func (p *pruner) report(counter *int, format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*counter++
	fmt.Fprintf(p.out, format+"\n", args...)
}
