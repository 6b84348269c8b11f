// Rotate gives a tunnel a new token. It then waits until every replica that ran before is replaced,
// and shows which still run. With -compromised it drops all connections at once, so that nobody who
// has the old token stays connected. Without credentials in the environment it works on a fake of
// the API in this process, whose replicas are replaced one by one.
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
	"path/filepath"
	"time"

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
	tunnel      string // its name
	compromised bool
	out         string
	print       bool
	wait        time.Duration
	interval    time.Duration
}

func parse(args []string, stderr io.Writer) (s settings, err error) {
	flags := flag.NewFlagSet("rotate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&s.compromised, "compromised", false,
		"drop all connections at once: somebody else has the old token")
	flags.StringVar(&s.out, "out", "", "`file` to write the new token to, with mode 0600")
	flags.BoolVar(&s.print, "print", false,
		"print the new token to standard output, and everything else to standard error")
	flags.DurationVar(&s.wait, "wait", 30*time.Minute,
		"how `long` to wait until the replicas are replaced")
	flags.DurationVar(&s.interval, "interval", 5*time.Second, "`pause` between two looks at them")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: rotate [flags] TUNNEL-NAME\n\n"+
			"Gives a tunnel of the account in CLOUDFLARE_ACCOUNT_ID a new token.\n"+
			"-out, -print or both say where the token goes.")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return s, err // which Parse has printed
	}
	s.tunnel = flags.Arg(0)
	switch {
	case flags.NArg() > 1:
		err = fmt.Errorf("more than one tunnel: %q", flags.Args())
	case s.wait <= 0:
		err = fmt.Errorf("-wait is %s; it must be positive", s.wait)
	case s.interval <= 0:
		err = fmt.Errorf("-interval is %s; it must be positive", s.interval)
	case !hasCredentials() && (s.tunnel != "" || s.out != ""):
		// A token of a fake must not be taken for a real one.
		err = errors.New("CLOUDFLARE_API_TOKEN is not set. " +
			"Without a tunnel and a file, rotate shows itself on a fake of the API")
	case hasCredentials() && s.tunnel == "":
		err = errors.New("the name of the tunnel is missing")
	case hasCredentials() && s.out == "" && !s.print:
		err = errors.New("-out or -print is missing: the new token would go nowhere")
	}
	if err != nil {
		fmt.Fprintln(stderr, "rotate:", err)
	}
	return s, err
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
	r := rotator{settings: s, token: stdout, progress: stdout}
	if s.print {
		r.progress = stderr
	}
	if hasCredentials() {
		if r.client, err = cftunnel.NewClient(cftunnel.WithEnvironment()); err == nil {
			err = r.rotate(ctx)
		}
	} else {
		fmt.Fprint(stderr, "No credentials in the environment: "+
			"working on a fake of the API in this process.\n\n")
		err = demonstrate(ctx, r)
	}
	if err != nil {
		fmt.Fprintln(stderr, "rotate:", err)
		return 1
	}
	return 0
}

// rotator rotates the token of one tunnel.
type rotator struct {
	settings
	client *cftunnel.Client
	// token is where -print writes the token to. Nothing else is written to it.
	token, progress io.Writer
	// onLook, unless nil, is called after each look at the replicas, with the new token.
	onLook func(cftunnel.Secret)
}

func (r rotator) rotate(ctx context.Context) error {
	tunnel, err := r.client.Tunnels.FindByName(ctx, r.tunnel)
	if err != nil {
		return err
	}
	if err := checkWritable(r.out); err != nil {
		return err
	}
	params := cftunnel.RotateParams{CleanupConnections: r.compromised}
	rotation, err := r.client.Tunnels.RotateSecret(ctx, tunnel.ID, params)
	if errors.Is(err, cftunnel.ErrOutcomeUnknown) && rotation != nil && rotation.Tunnel == nil {
		return errors.Join(err, r.explain(ctx, tunnel, rotation.Token))
	}
	if rotation == nil {
		return err
	}
	// Nobody has the new token yet: every replica that runs now has the old one.
	before, listErr := r.client.Connectors.List(ctx, tunnel.ID)
	keepErr := r.keep(rotation.Token)
	if keepErr != nil || err != nil || listErr != nil {
		return errors.Join(err, keepErr, listErr)
	}
	if r.compromised {
		fmt.Fprintf(r.progress, "%s has a new token, and its replicas are dropped. "+
			"Start them again with the new one.\n", tunnel.Name)
		return nil
	}
	fmt.Fprintf(r.progress, "%s has a new token. "+
		"Running replicas keep the old one until they are restarted.\n", tunnel.Name)
	return r.watch(ctx, tunnel, before, rotation.Token)
}

// explain finds out what became of a rotation whose response was lost. The token that it may have
// made is not written to the file, which may contain a good one.
func (r rotator) explain(
	ctx context.Context, tunnel *cftunnel.Tunnel, made cftunnel.Secret,
) error {
	now, err := r.client.Tunnels.Token(ctx, tunnel.ID)
	if err != nil {
		if r.print {
			fmt.Fprintln(r.token, made.Reveal())
			fmt.Fprintf(r.progress, "The token is good if %s is rotated.\n", tunnel.Name)
		}
		return fmt.Errorf("whether %s is rotated is unknown: %w", tunnel.Name, err)
	}
	current, currentErr := cftunnel.ParseTunnelToken(now)
	wanted, wantedErr := cftunnel.ParseTunnelToken(made)
	if currentErr == nil && wantedErr == nil && current.Secret == wanted.Secret {
		return fmt.Errorf("%s is rotated all the same; "+
			"run this again to rotate it once more and keep its token", tunnel.Name)
	}
	return fmt.Errorf("%s is not rotated", tunnel.Name)
}

// keep writes the token to where it was asked for.
func (r rotator) keep(token cftunnel.Secret) error {
	if r.print {
		fmt.Fprintln(r.token, token.Reveal())
	}
	if r.out == "" {
		return nil
	}
	if err := token.WriteFile(r.out); err != nil {
		return fmt.Errorf("the tunnel is rotated, but writing its new token failed: %w", err)
	}
	fmt.Fprintf(r.progress, "The new token is in %s.\n", r.out)
	return nil
}

// checkWritable finds out before the rotation what would keep its token from being written.
func checkWritable(path string) error {
	if path == "" {
		return nil
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	probe, err := os.CreateTemp(filepath.Dir(path), ".rotate-*")
	if err != nil {
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// watch shows which replicas run until none of the old ones does.
func (r rotator) watch(
	ctx context.Context, tunnel *cftunnel.Tunnel, before []cftunnel.Connector, made cftunnel.Secret,
) error {
	old := map[string]bool{}
	for _, connector := range before {
		old[connector.ID] = true
	}
	ctx, cancel := context.WithTimeout(ctx, r.wait)
	defer cancel()
	for {
		running, err := r.client.Connectors.List(ctx, tunnel.ID)
		if err != nil {
			return err
		}
		left := 0
		for _, connector := range running {
			token := "new"
			if old[connector.ID] {
				token = "old"
				left++
			}
			fmt.Fprintf(r.progress, "  %s token  %s  %s  since %s\n",
				token, connector.ID, connector.Version, connector.RunAt.Format(time.DateTime))
		}
		fmt.Fprintf(r.progress, "Replicas with the old token: %d of %d; with the new one: %d.\n",
			left, len(before), len(running)-left)
		if left == 0 {
			return nil
		}
		if r.onLook != nil {
			r.onLook(made)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("replicas that still run with the old token: %d: %w", left, ctx.Err())
		case <-time.After(r.interval):
		}
	}
}

// demonstrate rotates a tunnel of a fake with two replicas. One of them is replaced at each look.
func demonstrate(ctx context.Context, r rotator) (err error) {
	fake := tunneltest.NewServer()
	defer fake.Close()
	if r.client, err = fake.NewClient(); err != nil {
		return err
	}
	r.tunnel, r.interval = cmp.Or(r.tunnel, "blog"), min(r.interval, time.Second)
	params := cftunnel.TunnelCreateParams{Name: r.tunnel}
	tunnel, err := r.client.Tunnels.Create(ctx, params)
	if err != nil {
		return err
	}
	replicas := make([]string, 2)
	for i := range replicas {
		if replicas[i], err = fake.Connect(tunnel.Token); err != nil {
			return err
		}
	}
	r.onLook = func(token cftunnel.Secret) {
		if len(replicas) > 0 {
			fake.Disconnect(replicas[0])
			_, _ = fake.Connect(token)
			replicas = replicas[1:]
		}
	}
	return r.rotate(ctx)
}
