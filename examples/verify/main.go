// Verify prints what the API token in CLOUDFLARE_API_TOKEN is and how long it is valid. It exits
// with 1 if the token cannot be used. Without a token in the environment it shows tokens of each
// kind on a fake of the API in this process.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
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

// start returns the exit code: 2 for a bad command line, 1 if anything else fails.
func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("verify", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: verify\n\n"+
			"Prints what the token in CLOUDFLARE_API_TOKEN is, also if it is one of the account\n"+
			"in CLOUDFLARE_ACCOUNT_ID. Exits with 1 if the token cannot be used.")
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2 // Parse has printed the reason
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "verify: unexpected argument %q\n", flags.Arg(0))
		return 2
	}
	var err error
	if os.Getenv("CLOUDFLARE_API_TOKEN") == "" {
		fmt.Fprint(stderr, "CLOUDFLARE_API_TOKEN is not set: "+
			"verifying tokens of a fake of the API in this process.\n\n")
		err = demonstrate(ctx, stdout)
	} else {
		var client *cftunnel.Client
		if client, err = cftunnel.NewClient(cftunnel.WithEnvironment()); err == nil {
			err = verify(ctx, stdout, client, time.Now())
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, "verify:", err)
		return 1
	}
	return 0
}

// errUnusable is for a token that the API knows and does not accept.
var errUnusable = errors.New("the token cannot be used")

func verify(ctx context.Context, out io.Writer, client *cftunnel.Client, now time.Time) error {
	token, err := client.Tokens.Verify(ctx)
	if errors.Is(err, cftunnel.ErrUnauthorized) {
		return fmt.Errorf("the token is unknown: %w", err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "token %s of the %s: %s\n", token.ID, token.Owner, describe(token, now))
	if !token.Usable(now) {
		return errUnusable
	}
	return nil
}

// describe distinguishes disabled, expired and not yet valid tokens.
func describe(token *cftunnel.TokenVerification, now time.Time) string {
	switch {
	case token.Status == cftunnel.TokenStatusDisabled:
		return "disabled; somebody switched it off and can switch it on again"
	case token.Status == cftunnel.TokenStatusExpired && token.ExpiresOn.IsZero():
		return "expired; it must be renewed"
	case token.Status == cftunnel.TokenStatusExpired,
		!token.ExpiresOn.IsZero() && !now.Before(token.ExpiresOn):
		since := token.ExpiresOn.Format(time.DateTime)
		return fmt.Sprintf("expired since %s; it must be renewed", since)
	case token.Status != cftunnel.TokenStatusActive:
		return string(token.Status)
	case now.Before(token.NotBefore):
		return fmt.Sprintf("not valid before %s, in %s",
			token.NotBefore.Format(time.DateTime), about(token.NotBefore.Sub(now)))
	case token.ExpiresOn.IsZero():
		return "active, for ever"
	}
	return fmt.Sprintf("active until %s, for another %s",
		token.ExpiresOn.Format(time.DateTime), about(token.ExpiresOn.Sub(now)))
}

// about rounds a duration to days, or to minutes if it is shorter than two days.
func about(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day {
		return fmt.Sprintf("%d days", d.Round(day)/day)
	}
	return d.Round(time.Minute).String()
}

// demonstrate verifies tokens of each kind on a fake.
func demonstrate(ctx context.Context, out io.Writer) error {
	fake := tunneltest.NewServer()
	defer fake.Close()
	now := time.Now()
	for _, token := range []tunneltest.Token{
		{},
		{Owner: cftunnel.TokenOwnerAccount, ExpiresOn: now.Add(90 * 24 * time.Hour)},
		{NotBefore: now.Add(36 * time.Hour)},
		{Status: cftunnel.TokenStatusDisabled},
		{ExpiresOn: now.Add(-time.Hour)},
	} {
		client, err := fake.NewClient(cftunnel.WithAPIToken(fake.AddToken(token).Reveal()))
		if err != nil {
			return err
		}
		if err := verify(ctx, out, client, now); err != nil && !errors.Is(err, errUnusable) {
			return err
		}
	}
	return nil
}
