// Verify tells what the API token in CLOUDFLARE_API_TOKEN is and how long it still holds. It exits with 1 where the token cannot be used.
// Without a token in the environment it shows tokens of each kind on a fake of the API in this process.
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
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: verify\n\nTells what the token in CLOUDFLARE_API_TOKEN is, looking at the account of CLOUDFLARE_ACCOUNT_ID too where that is set.\nExits with 1 where it cannot be used.")
	}
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if os.Getenv("CLOUDFLARE_API_TOKEN") == "" {
		if err := demonstrate(ctx, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "verify:", err)
			os.Exit(1)
		}
		return
	}
	client, err := cftunnel.NewClient(cftunnel.WithEnvironment())
	if err == nil {
		err = verify(ctx, os.Stdout, client, time.Now())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(1)
	}
}

// errUnusable is what a token comes to that the API knows and does not take.
var errUnusable = errors.New("the token cannot be used")

func verify(ctx context.Context, out io.Writer, client *cftunnel.Client, now time.Time) error {
	token, err := client.Tokens.Verify(ctx)
	if errors.Is(err, cftunnel.ErrUnauthorized) {
		return fmt.Errorf("nobody knows the token: %w", err)
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

// describe tells disabled from expired, and not yet valid from both.
func describe(token *cftunnel.TokenVerification, now time.Time) string {
	switch {
	case token.Status == cftunnel.TokenStatusDisabled:
		return "disabled; somebody switched it off and can switch it on again"
	case token.Status == cftunnel.TokenStatusExpired && token.ExpiresOn.IsZero():
		return "expired; it must be renewed"
	case token.Status == cftunnel.TokenStatusExpired || !token.ExpiresOn.IsZero() && !now.Before(token.ExpiresOn):
		return fmt.Sprintf("expired since %s; it must be renewed", token.ExpiresOn.Format(time.DateTime))
	case token.Status != cftunnel.TokenStatusActive:
		return string(token.Status)
	case now.Before(token.NotBefore):
		return fmt.Sprintf("not valid before %s, in %s", token.NotBefore.Format(time.DateTime), about(token.NotBefore.Sub(now)))
	case token.ExpiresOn.IsZero():
		return "active, for ever"
	}
	return fmt.Sprintf("active until %s, for another %s", token.ExpiresOn.Format(time.DateTime), about(token.ExpiresOn.Sub(now)))
}

// about rounds a time to what a person wants to know of it.
func about(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day {
		return fmt.Sprintf("%d days", d.Round(day)/day)
	}
	return d.Round(time.Minute).String()
}

// demonstrate verifies tokens of each kind on a fake.
func demonstrate(ctx context.Context, out io.Writer) error {
	fmt.Fprint(out, "CLOUDFLARE_API_TOKEN is not set: verifying tokens of a fake of the API in this process.\n\n")
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
