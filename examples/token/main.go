// Token creates, lists, rolls, revokes and verifies API tokens for programs that manage tunnels. A
// token that it creates may manage the tunnels of one account and the DNS records of the given
// zones, and nothing else.
//
// The commands create and roll write the new secret to a file of mode 0600 or to standard output,
// and all other output to standard error.
//
// If no credentials are set and no command is given, it runs a token's full life cycle with a fake
// of the API in this process.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

const usage = `usage: token create -name NAME [-zone ID]... [-ttl 30d] [-allow CIDR]...
                    [-out FILE] [-user]
       token list [-user]
       token roll [-out FILE] [-user] ID
       token revoke [-user] ID
       token verify

Manages the API tokens of the account in CLOUDFLARE_ACCOUNT_ID or, with -user, those of
the user. The API token in CLOUDFLARE_API_TOKEN needs the permission
"Account API Tokens Write" or, with -user, "API Tokens Write". If no credentials are set
and no command is given, token uses a fake of the API.

  -name NAME   name of the new token
  -zone ID     zone whose DNS records the token may manage; may be repeated
  -ttl 30d     how long the token is valid, such as 30d, 36h or 1d12h (default: no limit)
  -allow CIDR  addresses from which the token works; may be repeated (default: all)
  -out FILE    file for the secret, with mode 0600 (default: standard output)
  -user        use tokens of the user instead of the account
`

func main() {
	// Return an error from a write to a closed pipe, instead of ending the program: a token whose
	// secret is lost must be deleted or reported.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(start(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// errUsage is part of each error about a bad command line.
var errUsage = errors.New("see token -h")

// start returns the exit code: 2 for a bad command line, 1 if anything else fails.
func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := run(ctx, args, stdout, stderr)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stderr, usage)
		return 0
	}
	fmt.Fprintln(stderr, "token:", err)
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	credentials := os.Getenv("CLOUDFLARE_API_TOKEN") != "" || os.Getenv("CLOUDFLARE_API_KEY") != ""
	if len(args) == 0 && !credentials {
		return demonstrate(ctx, stdout)
	}
	s, err := parse(args)
	if err != nil {
		return err
	}
	if !credentials {
		return fmt.Errorf("CLOUDFLARE_API_TOKEN is not set; "+
			"to use a fake of the API, omit the command: %w", errUsage)
	}
	client, err := cftunnel.NewClient(cftunnel.WithEnvironment())
	if err != nil {
		return err
	}
	return (&program{client, stdout, stderr, time.Now}).do(ctx, s)
}

// settings is the command line.
type settings struct {
	command string
	id      string // of the token
	name    string
	zones   []string // their IDs
	ttl     time.Duration
	allow   []netip.Prefix
	out     string
	user    bool
}

func parse(args []string) (*settings, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("the command is missing: %w", errUsage)
	}
	s := &settings{command: args[0]}
	flags := flag.NewFlagSet(s.command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	needsID := false
	switch s.command {
	case "create":
		flags.StringVar(&s.name, "name", "", "")
		flags.StringVar(&s.out, "out", "", "")
		flags.Func("zone", "", func(text string) error {
			s.zones = append(s.zones, text)
			return nil
		})
		flags.Func("ttl", "", func(text string) (err error) {
			s.ttl, err = parseTTL(text)
			return err
		})
		flags.Func("allow", "", func(text string) error {
			prefix, err := netip.ParsePrefix(text)
			s.allow = append(s.allow, prefix)
			return err
		})
	case "roll":
		needsID = true
		flags.StringVar(&s.out, "out", "", "")
	case "revoke":
		needsID = true
	case "list", "verify":
	case "-h", "-help", "--help", "help":
		return nil, flag.ErrHelp
	default:
		return nil, fmt.Errorf("%q is not a command: %w", s.command, errUsage)
	}
	if s.command != "verify" {
		flags.BoolVar(&s.user, "user", false, "")
	}
	if err := flags.Parse(args[1:]); errors.Is(err, flag.ErrHelp) {
		return nil, err
	} else if err != nil {
		return nil, fmt.Errorf("%w: %w", err, errUsage)
	}
	rest := flags.Args()
	if needsID && len(rest) > 0 {
		s.id, rest = rest[0], rest[1:]
	}
	switch {
	case len(rest) > 0:
		return nil, fmt.Errorf("unexpected argument %q: %w", rest[0], errUsage)
	case needsID && s.id == "":
		return nil, fmt.Errorf("the ID of the token is missing: %w", errUsage)
	case s.command == "create" && s.name == "":
		return nil, fmt.Errorf("-name is missing: %w", errUsage)
	}
	return s, nil
}

// parseTTL parses a duration that may begin with days, such as 30d, 1d12h or 90m.
func parseTTL(text string) (time.Duration, error) {
	const day = 24 * time.Hour
	var ttl time.Duration
	rest := text
	if days, after, found := strings.Cut(text, "d"); found {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, errors.New("the number of days is not a whole number")
		}
		ttl, rest = time.Duration(n)*day, after
	}
	if rest != "" {
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 {
			return 0, errors.New("must be a duration such as 30d, 36h or 1d12h")
		}
		ttl += d
	}
	if ttl < time.Second {
		return 0, errors.New("must be at least a second")
	}
	return ttl, nil
}
