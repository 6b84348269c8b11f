// Rotate replaces the token of a tunnel. It then waits until every replica with the old token is
// replaced, and prints which replicas run. With -compromised it also closes all connections of the
// tunnel, so that nobody stays connected with the old token.
//
// If no credentials are set, it uses a fake of the API in this process, and replaces the fake's
// replicas one by one.
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
	"syscall"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func main() {
	// Return an error from a write to a closed pipe, instead of ending the program: the error says
	// how to get the token.
	signal.Ignore(syscall.SIGPIPE)
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
		"close all connections at once, because somebody else has the old token")
	flags.StringVar(&s.out, "out", "", "`file` to write the new token to, with mode 0600")
	flags.BoolVar(&s.print, "print", false,
		"print the new token to standard output, and all other output to standard error")
	flags.DurationVar(&s.wait, "wait", 30*time.Minute,
		"maximum `duration` to wait until the replicas are replaced")
	flags.DurationVar(&s.interval, "interval", 5*time.Second, "`pause` between two checks")
	flags.Usage = func() {
		fmt.Fprint(stderr, "usage: rotate [flags] TUNNEL-NAME\n\n"+
			"Replaces the token of a tunnel. At least one of -out and -print is required. Set\n"+
			"CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN. If no credentials are set, rotate\n"+
			"uses a fake of the API.\n\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return s, err // Parse has printed the reason
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
		// Nobody must mistake a token of the fake for a real one.
		err = errors.New("CLOUDFLARE_API_TOKEN is not set. " +
			"To use a fake of the API, omit the tunnel and -out")
	case hasCredentials() && s.tunnel == "":
		err = errors.New("the name of the tunnel is missing")
	case hasCredentials() && s.out == "" && !s.print:
		err = errors.New("-out or -print is missing: the new token would be lost")
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
	out := &resultWriter{w: stdout}
	r := rotator{settings: s, token: out, progress: out}
	if s.print {
		r.progress = stderr
	}
	if hasCredentials() {
		if r.client, err = cftunnel.NewClient(cftunnel.WithEnvironment()); err == nil {
			err = r.rotate(ctx)
		}
	} else {
		fmt.Fprint(stderr, "No credentials are set: using a fake of the API in this process.\n\n")
		err = demonstrate(ctx, r)
	}
	if err == nil {
		err = out.err // the output is incomplete
	}
	if err != nil {
		fmt.Fprintln(stderr, "rotate:", err)
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

// rotator rotates the token of one tunnel.
type rotator struct {
	settings
	client *cftunnel.Client
	// token receives the token of -print, and nothing else.
	token, progress io.Writer
	// onCheck is called with the new token after each check of the replicas, unless it is nil.
	onCheck func(cftunnel.Secret)
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
	// Nobody has the new token yet, so every running replica has the old one.
	before, listErr := r.client.Connectors.List(ctx, tunnel.ID)
	writeErr := r.writeToken(rotation.Token)
	if writeErr != nil || err != nil || listErr != nil {
		return errors.Join(err, writeErr, listErr)
	}
	if r.compromised {
		fmt.Fprintf(r.progress, "Tunnel %s has a new token, and its connections are closed. "+
			"Start the replicas with the new token.\n", tunnel.Name)
		return nil
	}
	fmt.Fprintf(r.progress, "Tunnel %s has a new token. "+
		"Running replicas use the old one until you replace them.\n", tunnel.Name)
	return r.waitForReplicas(ctx, tunnel, before, rotation.Token)
}

// explain returns an error that says whether a rotation with a lost response was carried out. The
// new token is not written to the file, which may contain a valid one.
func (r rotator) explain(
	ctx context.Context, tunnel *cftunnel.Tunnel, newToken cftunnel.Secret,
) error {
	now, err := r.client.Tunnels.Token(ctx, tunnel.ID)
	if err != nil {
		err = fmt.Errorf("it is unknown whether tunnel %s is rotated: %w", tunnel.Name, err)
		if !r.print {
			return err
		}
		if _, writeErr := fmt.Fprintln(r.token, newToken.Reveal()); writeErr != nil {
			return errors.Join(err, fmt.Errorf("printing its new token failed: %w", writeErr))
		}
		fmt.Fprintf(r.progress, "The token is valid only if tunnel %s is rotated.\n", tunnel.Name)
		return err
	}
	current, currentErr := cftunnel.ParseTunnelToken(now)
	wanted, wantedErr := cftunnel.ParseTunnelToken(newToken)
	if currentErr == nil && wantedErr == nil && current.Secret == wanted.Secret {
		return fmt.Errorf("tunnel %s is rotated, but its token is not written; "+
			"run rotate again", tunnel.Name)
	}
	return fmt.Errorf("tunnel %s is not rotated", tunnel.Name)
}

// writeToken writes the token as -print and -out say. If one of them fails, it still does the
// other.
func (r rotator) writeToken(token cftunnel.Secret) error {
	var printErr, fileErr error
	if r.print {
		_, printErr = fmt.Fprintln(r.token, token.Reveal())
	}
	if r.out != "" {
		if fileErr = token.WriteFile(r.out); fileErr == nil {
			fmt.Fprintf(r.progress, "The new token is in %s.\n", r.out)
		}
	}
	if err := errors.Join(printErr, fileErr); err != nil {
		return fmt.Errorf("tunnel %s is rotated, but writing its new token failed; "+
			"get the token with Tunnels.Token, or run rotate again: %w", r.tunnel, err)
	}
	return nil
}

// checkWritable returns an error if the token could not be written to path.
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

// waitForReplicas prints which replicas run, until none of those in before does.
func (r rotator) waitForReplicas(
	ctx context.Context, tunnel *cftunnel.Tunnel, before []cftunnel.Connector,
	newToken cftunnel.Secret,
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
		remaining := 0
		for _, connector := range running {
			token := "new"
			if old[connector.ID] {
				token = "old"
				remaining++
			}
			fmt.Fprintf(r.progress, "  %s token  %s  %s  since %s\n",
				token, connector.ID, connector.Version, connector.RunAt.Format(time.DateTime))
		}
		fmt.Fprintf(r.progress, "Replicas with the old token: %d of %d; with the new one: %d.\n",
			remaining, len(before), len(running)-remaining)
		if remaining == 0 {
			return nil
		}
		if r.onCheck != nil {
			r.onCheck(newToken)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d replicas still run with the old token: %w",
				remaining, len(before), ctx.Err())
		case <-time.After(r.interval):
		}
	}
}

// demonstrate rotates a tunnel of a fake with two replicas. It replaces one after each check.
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
	r.onCheck = func(token cftunnel.Secret) {
		if len(replicas) > 0 {
			fake.Disconnect(replicas[0])
			_, _ = fake.Connect(token)
			replicas = replicas[1:]
		}
	}
	return r.rotate(ctx)
}
