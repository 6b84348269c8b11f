// Rotate gives a tunnel a new token. As planned, it then waits until every replica that ran before is replaced, and shows which still run;
// with -compromised it drops all connections at once, so that nobody with the old token stays. Without credentials in the environment it
// works on a fake of the API in this process, whose replicas are replaced one by one.
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
	defer stop()
	os.Exit(start(ctx, os.Args[1:], os.Stdout, os.Stderr))
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
	flags.BoolVar(&s.compromised, "compromised", false, "drop all connections at once: the old token is in the wrong hands")
	flags.StringVar(&s.out, "out", "", "`file` to write the new token to, with mode 0600")
	flags.BoolVar(&s.print, "print", false, "print the new token")
	flags.DurationVar(&s.wait, "wait", 30*time.Minute, "how `long` to wait for the replicas to be replaced")
	flags.DurationVar(&s.interval, "interval", 5*time.Second, "`pause` between two looks at them")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: rotate [flags] TUNNEL-NAME\n\nGives a tunnel of the account in CLOUDFLARE_ACCOUNT_ID a new token.")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	s.tunnel = flags.Arg(0)
	switch {
	case flags.NArg() > 1:
		err = fmt.Errorf("more than one tunnel: %q", flags.Args())
	case s.interval <= 0 || s.wait <= 0:
		err = errors.New("-wait and -interval must be longer than nothing")
	}
	if err != nil {
		fmt.Fprintln(stderr, "rotate:", err)
	}
	return s, err
}

// start returns the exit code: 2 for a bad command line, 1 for whatever else fails.
func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	credentials := os.Getenv("CLOUDFLARE_API_TOKEN") != "" || os.Getenv("CLOUDFLARE_API_KEY") != ""
	switch {
	case !credentials && (s.tunnel != "" || s.out != ""):
		// A token of a fake must not end up where a real one is awaited.
		fmt.Fprintln(stderr, "rotate: CLOUDFLARE_API_TOKEN is not set; without a tunnel and a file, rotate shows itself on a fake of the API.")
		return 2
	case !credentials:
		err = demonstrate(ctx, s, stdout)
	case s.tunnel == "":
		fmt.Fprintln(stderr, "rotate: which tunnel? Give its name.")
		return 2
	default:
		var client *cftunnel.Client
		if client, err = cftunnel.NewClient(cftunnel.WithEnvironment()); err == nil {
			err = rotate(ctx, client, s, stdout, func([]cftunnel.Connector, cftunnel.Secret) {})
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, "rotate:", err)
		return 1
	}
	return 0
}

// rotate does the job. onLook is told of the replicas at each look, and of the new token.
func rotate(ctx context.Context, client *cftunnel.Client, s settings, out io.Writer, onLook func([]cftunnel.Connector, cftunnel.Secret)) error {
	tunnel, err := client.Tunnels.FindByName(ctx, s.tunnel)
	if err != nil {
		return err
	}
	// A file that cannot be written is better known before there is something to write.
	file, err := newSecretFile(s.out)
	if err != nil {
		return err
	}
	defer file.discard()

	rotation, err := client.Tunnels.RotateSecret(ctx, tunnel.ID, cftunnel.RotateParams{CleanupConnections: s.compromised})
	if errors.Is(err, cftunnel.ErrOutcomeUnknown) && rotation != nil && rotation.Tunnel == nil {
		return errors.Join(err, explain(ctx, client, tunnel, rotation.Token, s, out))
	}
	if rotation == nil {
		return err
	}
	// Nobody can have the new token yet: whoever runs now has the old one.
	before, listErr := client.Connectors.List(ctx, tunnel.ID)
	if keepErr := keep(rotation.Token, file, s, out); keepErr != nil || err != nil || listErr != nil {
		return errors.Join(err, keepErr, listErr)
	}
	if s.compromised {
		fmt.Fprintf(out, "%s has a new token, and its replicas are dropped. Start them again with the new one.\n", tunnel.Name)
		return nil
	}
	fmt.Fprintf(out, "%s has a new token. Replace its %d replicas: those that run stay until they stop.\n", tunnel.Name, len(before))
	return watch(ctx, client, tunnel, before, s, out, func(connectors []cftunnel.Connector) { onLook(connectors, rotation.Token) })
}

// explain finds out what became of a rotation whose answer was lost. The token that it would have made goes to no file in which a good one may be.
func explain(ctx context.Context, client *cftunnel.Client, tunnel *cftunnel.Tunnel, made cftunnel.Secret, s settings, out io.Writer) error {
	now, err := client.Tunnels.Token(ctx, tunnel.ID)
	if err != nil {
		if s.print {
			fmt.Fprintf(out, "If %s is rotated, this is its token: %s\n", tunnel.Name, made.Reveal())
		}
		return fmt.Errorf("whether %s is rotated cannot be read: %w", tunnel.Name, err)
	}
	current, currentErr := cftunnel.ParseTunnelToken(now)
	wanted, wantedErr := cftunnel.ParseTunnelToken(made)
	if currentErr == nil && wantedErr == nil && current.Secret == wanted.Secret {
		return fmt.Errorf("%s is rotated all the same; run this again to rotate it once more and keep its token", tunnel.Name)
	}
	return fmt.Errorf("%s is not rotated", tunnel.Name)
}

// keep hands the token out as it was asked for. Where it was not, it can be fetched later.
func keep(token cftunnel.Secret, file *secretFile, s settings, out io.Writer) error {
	if s.print {
		fmt.Fprintln(out, token.Reveal())
	}
	if s.out == "" {
		return nil
	}
	if err := file.write(token); err != nil {
		return fmt.Errorf("the tunnel is rotated, but its new token is not written: %w", err)
	}
	fmt.Fprintf(out, "The new token is in %s.\n", s.out)
	return nil
}

// secretFile takes the place of an older file whole or not at all, and is for its owner alone.
type secretFile struct {
	path string
	file *os.File // nil where no file is wanted
}

func newSecretFile(path string) (*secretFile, error) {
	if path == "" {
		return &secretFile{}, nil
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".rotate-*") // mode 0600
	return &secretFile{path, file}, err
}

func (f *secretFile) write(secret cftunnel.Secret) error {
	_, err := f.file.WriteString(secret.Reveal() + "\n")
	if err = errors.Join(err, f.file.Sync()); err != nil {
		return err
	}
	return os.Rename(f.file.Name(), f.path)
}

func (f *secretFile) discard() {
	if f.file != nil {
		_ = f.file.Close()
		_ = os.Remove(f.file.Name()) // gone already where it was written
	}
}

// watch shows which replicas run until none of the old ones does.
func watch(ctx context.Context, client *cftunnel.Client, tunnel *cftunnel.Tunnel, before []cftunnel.Connector, s settings, out io.Writer, onLook func([]cftunnel.Connector)) error {
	old := map[string]bool{}
	for _, connector := range before {
		old[connector.ID] = true
	}
	ctx, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	for {
		running, err := client.Connectors.List(ctx, tunnel.ID)
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
			fmt.Fprintf(out, "  %s token  %s  %s  since %s\n", token, connector.ID, connector.Version, connector.RunAt.Format(time.DateTime))
		}
		if left == 0 {
			fmt.Fprintf(out, "No replica with the old token runs any more; %d run with the new one.\n", len(running))
			return nil
		}
		fmt.Fprintf(out, "%d of %d replicas run with the old token.\n", left, len(before))
		onLook(running)
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d replicas still run with the old token: %w", left, ctx.Err())
		case <-time.After(s.interval):
		}
	}
}

// demonstrate rotates a tunnel of a fake, with two replicas. Somebody replaces one of them at each look.
func demonstrate(ctx context.Context, s settings, out io.Writer) error {
	fmt.Fprint(out, "No credentials in the environment: working on a fake of the API in this process.\n\n")
	fake := tunneltest.NewServer()
	defer fake.Close()
	client, err := fake.NewClient()
	if err != nil {
		return err
	}
	s.tunnel, s.interval = cmp.Or(s.tunnel, "blog"), min(s.interval, time.Second)
	tunnel, err := client.Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: s.tunnel})
	if err != nil {
		return err
	}
	replicas := make([]string, 2)
	for i := range replicas {
		if replicas[i], err = fake.Connect(tunnel.Token); err != nil {
			return err
		}
	}
	return rotate(ctx, client, s, out, func(_ []cftunnel.Connector, token cftunnel.Secret) {
		if len(replicas) > 0 {
			fake.Disconnect(replicas[0])
			_, _ = fake.Connect(token)
			replicas = replicas[1:]
		}
	})
}
