package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// program runs the commands.
type program struct {
	client         *cftunnel.Client
	stdout, stderr io.Writer
	now            func() time.Time
}

func (p *program) do(ctx context.Context, s *settings) error {
	tokens := p.client.AccountTokens
	if s.user {
		tokens = p.client.UserTokens
	}
	switch s.command {
	case "create":
		return p.create(ctx, tokens, s)
	case "list":
		return p.list(ctx, tokens)
	case "roll":
		return p.roll(ctx, tokens, s)
	case "revoke":
		if err := tokens.Delete(ctx, s.id); err != nil {
			return err
		}
		fmt.Fprintf(p.stderr, "Token %s is revoked.\n", s.id)
		return nil
	default:
		return p.verify(ctx)
	}
}

// create creates a token that may manage the account's tunnels and the DNS records of the zones.
func (p *program) create(
	ctx context.Context, tokens *cftunnel.APITokensService, s *settings,
) error {
	if p.client.AccountID() == "" {
		return errors.New("CLOUDFLARE_ACCOUNT_ID is not set")
	}
	policies, err := policies(ctx, tokens, p.client.AccountID(), s.zones)
	if err != nil {
		return err
	}
	params := cftunnel.APITokenCreateParams{Name: s.name, Policies: policies}
	if len(s.allow) > 0 {
		params.Condition = &cftunnel.TokenCondition{AllowedIPs: s.allow}
	}
	if s.ttl > 0 {
		params.ExpiresOn = p.now().Add(s.ttl)
	}
	if err := checkWritable(s.out); err != nil {
		return err
	}
	token, err := tokens.Create(ctx, params)
	if err != nil {
		return errors.Join(err, findOrphans(ctx, tokens, token, s.name, err))
	}
	if err := writeSecret(token.Value, s.out, p.stdout); err != nil {
		err = fmt.Errorf("the secret cannot be written: %w", err)
		return errors.Join(err, discard(ctx, tokens, token))
	}
	fmt.Fprintf(p.stderr, "Token %s, %q, is created%s.\n", token.ID, token.Name, limits(token))
	return nil
}

// policies returns the policies with the least permissions to manage tunnels and to publish
// hostnames of zones. Permission groups for the account and for zones are in separate policies.
func policies(
	ctx context.Context, tokens *cftunnel.APITokensService, account string, zones []string,
) ([]cftunnel.TokenPolicy, error) {
	groups, err := tokens.ResolvePermissionGroups(
		ctx, cftunnel.TokenScopeAccount, "Cloudflare Tunnel Write")
	if err != nil {
		return nil, err
	}
	list := []cftunnel.TokenPolicy{cftunnel.AccountPolicy(account, groups...)}
	if len(zones) == 0 {
		return list, nil
	}
	groups, err = tokens.ResolvePermissionGroups(
		ctx, cftunnel.TokenScopeZone, "DNS Write", "Zone Read")
	if err != nil {
		return nil, err
	}
	for _, zone := range zones {
		list = append(list, cftunnel.ZonePolicy(zone, groups...))
	}
	return list, nil
}

// findOrphans returns an error that names the tokens that a failed create may have created. Their
// secrets are lost.
func findOrphans(
	ctx context.Context, tokens *cftunnel.APITokensService, token *cftunnel.APIToken, name string,
	createErr error,
) error {
	switch {
	case token != nil:
		return fmt.Errorf("token %s exists, and its secret is lost: revoke it", token.ID)
	case !errors.Is(createErr, cftunnel.ErrOutcomeUnknown):
		return nil
	}
	found, err := tokens.FindByName(context.WithoutCancel(ctx), name)
	if err != nil {
		return fmt.Errorf("it is unknown whether token %q was created: %w", name, err)
	}
	if len(found) == 0 {
		return fmt.Errorf("no token is named %q; run token list again in a minute", name)
	}
	var ids []string
	for _, t := range found {
		ids = append(ids, fmt.Sprintf("%s, issued at %s", t.ID, t.IssuedOn.Format(time.DateTime)))
	}
	return fmt.Errorf("a token may have been created and its secret is lost: "+
		"revoke it; these tokens are named %q: %s", name, strings.Join(ids, "; "))
}

// discard deletes a token whose secret is lost.
func discard(
	ctx context.Context, tokens *cftunnel.APITokensService, token *cftunnel.APIToken,
) error {
	if err := tokens.Delete(context.WithoutCancel(ctx), token.ID); err != nil {
		return fmt.Errorf("token %s is useless and cannot be deleted: %w", token.ID, err)
	}
	return fmt.Errorf("token %s is deleted again", token.ID)
}

func (p *program) list(ctx context.Context, tokens *cftunnel.APITokensService) error {
	out := bufio.NewWriter(p.stdout)
	n := 0
	for token, err := range tokens.All(ctx, cftunnel.APITokenListParams{IncludeExpired: true}) {
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		n++
		used := "never used"
		if !token.LastUsedOn.IsZero() {
			used = "used " + token.LastUsedOn.Format(time.DateTime)
		}
		fmt.Fprintf(out, "%s  %-9s  %s  %q%s\n",
			token.ID, token.Status, used, token.Name, limits(token))
	}
	noun := "tokens"
	if n == 1 {
		noun = "token"
	}
	fmt.Fprintf(out, "%d %s\n", n, noun)
	return out.Flush()
}

// limits describes the expiry and the addresses of a token.
func limits(token *cftunnel.APIToken) string {
	text := ""
	if !token.ExpiresOn.IsZero() {
		text += ", until " + token.ExpiresOn.UTC().Format(time.DateTime) + " UTC"
	}
	if c := token.Condition; c != nil && len(c.AllowedIPs) > 0 {
		text += fmt.Sprintf(", from %s", c.AllowedIPs)
	}
	return text
}

func (p *program) roll(ctx context.Context, tokens *cftunnel.APITokensService, s *settings) error {
	if err := checkWritable(s.out); err != nil {
		return err
	}
	secret, err := tokens.Roll(ctx, s.id)
	if errors.Is(err, cftunnel.ErrOutcomeUnknown) {
		return fmt.Errorf("the old secret may be invalid; roll again: %w", err)
	}
	if err != nil {
		return err
	}
	if err := writeSecret(secret, s.out, p.stdout); err != nil {
		return fmt.Errorf("the token is rolled, but its new secret cannot be written; "+
			"roll again: %w", err)
	}
	fmt.Fprintf(p.stderr, "Token %s has a new secret. The old one is invalid.\n", s.id)
	return nil
}

func (p *program) verify(ctx context.Context) error {
	token, err := p.client.Tokens.Verify(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "Token %s of the %s is %s.\n",
		token.ID, token.Owner, token.Status)
	if err != nil {
		return err
	}
	if !token.Usable(p.now()) {
		return errors.New("the token cannot be used")
	}
	return nil
}
