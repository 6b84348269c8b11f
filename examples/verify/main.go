// Verify prints the status of the API token in CLOUDFLARE_API_TOKEN and how long it is valid. The
// exit code is 1 if the token cannot be used.
//
// If CLOUDFLARE_API_TOKEN is not set, it verifies tokens of each status with a fake of the API in
// this process.
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
			"Prints the status of the API token in CLOUDFLARE_API_TOKEN. If the token belongs\n"+
			"to an account, set CLOUDFLARE_ACCOUNT_ID. The exit code is 1 if the token cannot\n"+
			"be used. If no token is set, verify uses a fake of the API.")
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
			"using a fake of the API in this process.\n\n")
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

// errUnusable is the error for a token that exists and cannot be used.
var errUnusable = errors.New("the token cannot be used")

func verify(ctx context.Context, out io.Writer, client *cftunnel.Client, now time.Time) error {
	token, err := client.Tokens.Verify(ctx)
	if errors.Is(err, cftunnel.ErrUnauthorized) {
		return fmt.Errorf("the token does not exist: %w", err)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "token %s of the %s: %s\n",
		token.ID, token.Owner, describe(token, now))
	if err != nil {
		return err
	}
	if !token.Usable(now) {
		return errUnusable
	}
	return nil
}

// describe returns the status of a token and how long it is valid.
func describe(token *cftunnel.TokenVerification, now time.Time) string {
	switch {
	case token.Status == cftunnel.TokenStatusDisabled:
		return "disabled; it can be enabled again"
	case token.Status == cftunnel.TokenStatusExpired && token.ExpiresOn.IsZero():
		return "expired; replace it"
	case token.Status == cftunnel.TokenStatusExpired,
		!token.ExpiresOn.IsZero() && !now.Before(token.ExpiresOn):
		since := token.ExpiresOn.Format(time.DateTime)
		return fmt.Sprintf("expired since %s; replace it", since)
	case token.Status != cftunnel.TokenStatusActive:
		return string(token.Status)
	case now.Before(token.NotBefore):
		return fmt.Sprintf("not valid before %s, which is in %s",
			token.NotBefore.Format(time.DateTime), round(token.NotBefore.Sub(now)))
	case token.ExpiresOn.IsZero():
		return "active, does not expire"
	}
	return fmt.Sprintf("active, expires on %s, which is in %s",
		token.ExpiresOn.Format(time.DateTime), round(token.ExpiresOn.Sub(now)))
}

// round rounds a duration to days, or to minutes if it is shorter than two days.
func round(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day {
		return fmt.Sprintf("%d days", d.Round(day)/day)
	}
	return d.Round(time.Minute).String()
}

// demonstrate verifies a token of each status with a fake.
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
