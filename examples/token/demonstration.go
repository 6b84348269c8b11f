package main

import (
	"bufio"
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

// demonstrate runs the life cycle of a token with a fake. It prints no secrets.
func demonstrate(ctx context.Context, stdout io.Writer) (err error) {
	out := bufio.NewWriter(stdout)
	defer func() { err = errors.Join(err, out.Flush()) }()
	fmt.Fprint(out, "No credentials are set: using a fake of the API in this process.\n\n")
	fake := tunneltest.NewServer()
	defer fake.Close()
	client, err := fake.NewClient()
	if err != nil {
		return err
	}
	var secret bytes.Buffer
	p := &program{client, &secret, out, time.Now}
	err = p.do(ctx, &settings{
		command: "create", name: "tunnel operator",
		zones: []string{"023e105f4ecef8ad9ca31a8372d0c353"},
		ttl:   30 * 24 * time.Hour,
		allow: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")},
	})
	if err != nil {
		return err
	}
	found, err := client.AccountTokens.FindByName(ctx, "tunnel operator")
	if err != nil {
		return err
	}
	if len(found) != 1 {
		return fmt.Errorf("%d tokens have the same name", len(found))
	}
	id := found[0].ID

	oldSecret := readSecret(&secret)
	for _, addr := range []string{"203.0.113.7", "198.51.100.7"} {
		fake.SetRemoteAddr(netip.MustParseAddr(addr))
		fmt.Fprintf(out, "From %s, the token %s.\n", addr, try(ctx, fake, oldSecret))
	}
	fake.SetRemoteAddr(netip.Addr{})
	if err := p.do(ctx, &settings{command: "roll", id: id}); err != nil {
		return err
	}
	fake.SetRemoteAddr(netip.MustParseAddr("203.0.113.7"))
	fmt.Fprintf(out, "With the old secret, the token %s.\n", try(ctx, fake, oldSecret))
	newSecret := readSecret(&secret)
	fmt.Fprintf(out, "With the new secret, the token %s.\n", try(ctx, fake, newSecret))
	operator, err := fake.NewClient(cftunnel.WithAPIToken(newSecret.Reveal()))
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
	fmt.Fprintf(out, "After that, the token %s.\n", try(ctx, fake, newSecret))
	return nil
}

// readSecret returns the secret that a command wrote.
func readSecret(out *bytes.Buffer) cftunnel.Secret {
	defer out.Reset()
	return cftunnel.NewSecret(strings.TrimSpace(out.String()))
}

// try lists tunnels with a token, and describes the result.
func try(ctx context.Context, fake *tunneltest.Server, secret cftunnel.Secret) string {
	client, err := fake.NewClient(cftunnel.WithAPIToken(secret.Reveal()))
	if err == nil {
		_, err = client.Tunnels.List(ctx, cftunnel.TunnelListParams{})
	}
	switch {
	case err == nil:
		return "can list tunnels"
	case errors.Is(err, cftunnel.ErrForbidden), errors.Is(err, cftunnel.ErrUnauthorized):
		return "cannot list tunnels"
	}
	return "cannot list tunnels: " + err.Error()
}
