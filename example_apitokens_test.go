package cftunnel_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// A test checks that docs/api-tokens.md has the functions up to TestReader_MayNotCreate.

// createOperatorToken creates a token that may manage the account's tunnels from the given networks
// for 90 days, and writes its secret to a file.
func createOperatorToken(
	ctx context.Context, client *cftunnel.Client, networks []netip.Prefix, file string,
) error {
	if len(networks) == 0 {
		return errors.New("no networks") // the token would work from everywhere
	}
	groups, err := client.AccountTokens.ResolvePermissionGroups(
		ctx, cftunnel.TokenScopeAccount, "Cloudflare One Connector: cloudflared Write")
	if err != nil {
		return err
	}
	token, err := client.AccountTokens.Create(ctx, cftunnel.APITokenCreateParams{
		Name:      "tunnel operator, Frankfurt",
		Policies:  []cftunnel.TokenPolicy{cftunnel.AccountPolicy(client.AccountID(), groups...)},
		Condition: &cftunnel.TokenCondition{AllowedIPs: networks},
		ExpiresOn: time.Now().AddDate(0, 0, 90),
	})
	if err != nil {
		return err
	}
	// No later call returns the secret.
	if err := token.Value.WriteFile(file); err != nil {
		return errors.Join(err, client.AccountTokens.Delete(ctx, token.ID))
	}
	return nil
}

// disable disables a token until it is enabled again.
func disable(ctx context.Context, client *cftunnel.Client, tokenID string) error {
	setStatus := func(p *cftunnel.APITokenUpdateParams) error {
		p.Status = cftunnel.TokenStatusDisabled
		return nil
	}
	_, err := client.AccountTokens.Modify(ctx, tokenID, setStatus)
	return err
}

func TestReader_MayNotCreate(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	t.Cleanup(srv.Close)
	secret := srv.AddToken(tunneltest.Token{Policies: []cftunnel.TokenPolicy{
		cftunnel.AccountPolicy(srv.AccountID(), cftunnel.PermissionCloudflareTunnelRead),
	}})
	client, err := srv.NewClient(cftunnel.WithAPIToken(secret.Reveal()))
	require.NoError(t, err)
	_, err = client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{
		Name: "blog", ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	require.ErrorIs(t, err, cftunnel.ErrForbidden)
}

func TestCreateOperatorToken_TokenWorksUntilDisabled(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	ctx, file := t.Context(), filepath.Join(t.TempDir(), "secret")
	require.Error(t, createOperatorToken(ctx, client, nil, file))
	networks := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	require.NoError(t, createOperatorToken(ctx, client, networks, file))
	secret, err := os.ReadFile(file)
	require.NoError(t, err)
	operator, err := srv.NewClient(cftunnel.WithAPIToken(string(secret)))
	require.NoError(t, err)
	require.NoError(t, list(ctx, operator))
	own, err := operator.Tokens.Verify(ctx)
	require.NoError(t, err)
	require.NoError(t, disable(ctx, client, own.ID))
	assert.ErrorIs(t, list(ctx, operator), cftunnel.ErrForbidden)
}

// The token may manage tunnels and the DNS records of one zone.
func ExampleAPITokensService_Create() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	const zoneID = "023e105f4ecef8ad9ca31a8372d0c353"
	token, err := client.AccountTokens.Create(context.Background(), cftunnel.APITokenCreateParams{
		Name: "publisher",
		Policies: []cftunnel.TokenPolicy{
			cftunnel.AccountPolicy(client.AccountID(), cftunnel.PermissionCloudflareTunnelWrite),
			cftunnel.ZonePolicy(zoneID, cftunnel.PermissionDNSWrite, cftunnel.PermissionZoneRead),
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Name, token.Status, token.Value, !token.Value.IsZero())
	// Output:
	// publisher active [REDACTED] true
}

// Modify changes one setting of a token and keeps the others. If nothing changes, it writes
// nothing.
func ExampleAPITokensService_Modify() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	policy := cftunnel.AccountPolicy(
		client.AccountID(), cftunnel.PermissionCloudflareTunnelWrite)
	token, err := client.AccountTokens.Create(ctx, cftunnel.APITokenCreateParams{
		Name:     "operator",
		Policies: []cftunnel.TokenPolicy{policy},
	})
	if err != nil {
		log.Fatal(err)
	}
	office := netip.MustParsePrefix("203.0.113.0/24")
	allowOffice := func(p *cftunnel.APITokenUpdateParams) error {
		p.Condition = &cftunnel.TokenCondition{AllowedIPs: []netip.Prefix{office}}
		return nil
	}
	token, err = client.AccountTokens.Modify(ctx, token.ID, allowOffice)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Name, token.Condition.AllowedIPs)
	// Output:
	// operator [203.0.113.0/24]
}

// The old secret is invalid when Roll returns. Store the new one: no later call returns it.
func ExampleAPITokensService_Roll() {
	srv := tunneltest.NewServer()
	defer srv.Close()
	client, err := srv.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	old := srv.AddToken(tunneltest.Token{Owner: cftunnel.TokenOwnerAccount, Name: "operator"})
	found, err := client.AccountTokens.FindByName(ctx, "operator")
	if err != nil {
		log.Fatal(err)
	}
	if len(found) != 1 {
		log.Fatal("names are not unique: use the ID of the token")
	}
	current, err := client.AccountTokens.Roll(ctx, found[0].ID)
	if err != nil {
		log.Fatal(err)
	}
	for _, secret := range []cftunnel.Secret{old, current} {
		operator, err := srv.NewClient(cftunnel.WithAPIToken(secret.Reveal()))
		if err != nil {
			log.Fatal(err)
		}
		_, err = operator.Tunnels.List(ctx, cftunnel.TunnelListParams{})
		fmt.Println(errors.Is(err, cftunnel.ErrUnauthorized))
	}
	// Output:
	// true
	// false
}
