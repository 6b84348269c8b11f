package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// demonstrate runs the life cycle of a token on a fake. Its secrets are not shown.
func demonstrate(ctx context.Context, out io.Writer) error {
	fmt.Fprint(out, "No credentials in the environment: working on a fake of the API in this process.\n\n")
	fake := tunneltest.NewServer()
	defer fake.Close()
	client, err := fake.NewClient()
	if err != nil {
		return err
	}
	var secret bytes.Buffer
	p := &program{client, &secret, out, time.Now}
	office := netip.MustParsePrefix("203.0.113.0/24")
	err = p.do(ctx, &settings{command: "create", name: "tunnel operator", zones: []string{"023e105f4ecef8ad9ca31a8372d0c353"}, ttl: 30 * 24 * time.Hour, allow: []netip.Prefix{office}})
	if err != nil {
		return err
	}
	found, err := client.AccountTokens.FindByName(ctx, "tunnel operator")
	if err != nil {
		return err
	}
	if len(found) != 1 {
		return fmt.Errorf("%d tokens of the name", len(found))
	}
	id := found[0].ID

	old := taken(&secret)
	for _, addr := range []string{"203.0.113.7", "198.51.100.7"} {
		fake.SetRemoteAddr(netip.MustParseAddr(addr))
		fmt.Fprintf(out, "From %s the token %s tunnels.\n", addr, manages(ctx, fake, old))
	}
	fake.SetRemoteAddr(netip.Addr{})
	if err := p.do(ctx, &settings{command: "roll", id: id}); err != nil {
		return err
	}
	fake.SetRemoteAddr(netip.MustParseAddr("203.0.113.7"))
	fmt.Fprintf(out, "With the old secret the token %s tunnels.\n", manages(ctx, fake, old))
	current := taken(&secret)
	fmt.Fprintf(out, "With the new secret the token %s tunnels.\n", manages(ctx, fake, current))
	operator, err := fake.NewClient(cftunnel.WithAPIToken(current.Reveal()))
	if err != nil {
		return err
	}
	for _, step := range []struct {
		client  *cftunnel.Client
		command string
	}{{operator, "verify"}, {client, "list"}, {client, "revoke"}} {
		p := &program{step.client, out, out, time.Now}
		if err := p.do(ctx, &settings{command: step.command, id: id}); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "After that the token %s tunnels.\n", manages(ctx, fake, current))
	return nil
}

// taken returns the secret that a command wrote.
func taken(out *bytes.Buffer) cftunnel.Secret {
	defer out.Reset()
	return cftunnel.NewSecret(strings.TrimSpace(out.String()))
}

// manages tries a token.
func manages(ctx context.Context, fake *tunneltest.Server, secret cftunnel.Secret) string {
	client, err := fake.NewClient(cftunnel.WithAPIToken(secret.Reveal()))
	if err == nil {
		_, err = client.Tunnels.List(ctx, cftunnel.TunnelListParams{})
	}
	switch {
	case err == nil:
		return "manages"
	case errors.Is(err, cftunnel.ErrForbidden), errors.Is(err, cftunnel.ErrUnauthorized):
		return "may not manage"
	}
	return "fails (" + err.Error() + ") to manage"
}
