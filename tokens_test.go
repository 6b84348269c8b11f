package cftunnel_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const (
	opVerifyUser    = "GET /user/tokens/verify"
	opVerifyAccount = "GET /accounts/{account_id}/tokens/verify"
)

func TestTokensVerify_Endpoint(t *testing.T) {
	t.Parallel()
	plain := cftunnel.NewSecret(strings.Repeat("p", 40))
	for name, test := range map[string]struct {
		token tunneltest.Token
		calls []string // operations
		owner cftunnel.TokenOwner
	}{
		"user token with prefix":    {tunneltest.Token{}, []string{opVerifyUser}, cftunnel.TokenOwnerUser},
		"account token with prefix": {tunneltest.Token{Owner: cftunnel.TokenOwnerAccount}, []string{opVerifyAccount}, cftunnel.TokenOwnerAccount},
		"user token":                {tunneltest.Token{Text: plain}, []string{opVerifyUser}, cftunnel.TokenOwnerUser},
		"account token": {
			tunneltest.Token{Text: plain, Owner: cftunnel.TokenOwnerAccount},
			[]string{opVerifyUser, opVerifyAccount}, cftunnel.TokenOwnerAccount,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, _ := newFake(t)
			for how, credentials := range map[string]cftunnel.Option{
				"token": cftunnel.WithAPIToken(srv.AddToken(test.token).Reveal()),
				"source": cftunnel.WithTokenSource(func(context.Context) (cftunnel.Secret, error) {
					return srv.AddToken(test.token), nil
				}),
			} {
				before := len(srv.Requests())
				client, err := srv.NewClient(credentials)
				require.NoError(t, err)
				verification, err := client.Tokens.Verify(t.Context())
				require.NoError(t, err, how)
				assert.Equal(t, test.owner, verification.Owner)
				assert.Equal(t, cftunnel.TokenStatusActive, verification.Status)
				assert.Len(t, verification.ID, 32)
				assert.Equal(t, test.calls, operations(srv)[before:], how)
			}
		})
	}
}

func TestTokensVerify_UnknownToken(t *testing.T) {
	t.Parallel()
	srv, _ := newFake(t)
	newClient := func(opts ...cftunnel.Option) *cftunnel.Client {
		client, err := srv.NewClient(opts...)
		require.NoError(t, err)
		return client
	}
	unknown := strings.Repeat("x", 40)
	_, err := newClient(cftunnel.WithAPIToken(unknown)).Tokens.Verify(t.Context())
	require.ErrorIs(t, err, cftunnel.ErrUnauthorized)
	assert.Equal(t, []string{opVerifyUser, opVerifyAccount}, operations(srv))
	assert.Contains(t, err.Error(), "/user/tokens/verify")

	_, err = newClient(cftunnel.WithAPIToken("cfut_" + unknown)).Tokens.Verify(t.Context())
	require.ErrorIs(t, err, cftunnel.ErrUnauthorized)
	assert.Len(t, srv.Requests(), 3, "the prefix says that it is a user token")
}

func TestTokensVerify_NoAccountID(t *testing.T) {
	t.Parallel()
	srv, _ := newFake(t)
	newClient := func(token cftunnel.Secret) *cftunnel.Client {
		client, err := cftunnel.NewClient(
			cftunnel.WithBaseURL(srv.URL()), cftunnel.WithAPIToken(token.Reveal()))
		require.NoError(t, err)
		return client
	}
	verification, err := newClient(srv.APIToken()).Tokens.Verify(t.Context())
	require.NoError(t, err)
	assert.Equal(t, cftunnel.TokenOwnerUser, verification.Owner)

	_, err = newClient(cftunnel.NewSecret(strings.Repeat("x", 40))).Tokens.Verify(t.Context())
	require.ErrorIs(t, err, cftunnel.ErrUnauthorized)

	token := srv.AddToken(tunneltest.Token{Owner: cftunnel.TokenOwnerAccount})
	_, err = newClient(token).Tokens.Verify(t.Context())
	refused, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, "accountID", refused.Name)
}

func TestTokensVerify_NoToken(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, cftunnel.WithAPIKey("a@example.com", "key"))
	_, err := client.Tokens.Verify(t.Context())
	_, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
	assert.True(t, ok, "%v", err)

	broken := errors.New("vault is sealed")
	client, err = srv.NewClient(failingSource(broken))
	require.NoError(t, err)
	_, err = client.Tokens.Verify(t.Context())
	require.ErrorIs(t, err, broken)
	assert.Empty(t, srv.Requests())
}

func TestTokenVerification_Usable(t *testing.T) {
	t.Parallel()
	srv, _ := newFake(t)
	now := time.Now().UTC().Truncate(time.Second)
	for name, test := range map[string]struct {
		token  tunneltest.Token
		status cftunnel.TokenStatus
		usable bool
	}{
		"active":           {tunneltest.Token{}, cftunnel.TokenStatusActive, true},
		"within its times": {tunneltest.Token{NotBefore: now.Add(-time.Hour), ExpiresOn: now.Add(time.Hour)}, cftunnel.TokenStatusActive, true},
		"disabled":         {tunneltest.Token{Status: cftunnel.TokenStatusDisabled}, cftunnel.TokenStatusDisabled, false},
		"expired":          {tunneltest.Token{ExpiresOn: now.Add(-time.Hour)}, cftunnel.TokenStatusExpired, false},
		"not yet valid":    {tunneltest.Token{NotBefore: now.Add(time.Hour)}, cftunnel.TokenStatusActive, false},
		"status expired":   {tunneltest.Token{Status: cftunnel.TokenStatusExpired}, cftunnel.TokenStatusExpired, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := srv.NewClient(cftunnel.WithAPIToken(srv.AddToken(test.token).Reveal()))
			require.NoError(t, err)
			verification, err := client.Tokens.VerifyUser(t.Context())
			require.NoError(t, err)
			assert.Equal(t, test.status, verification.Status)
			assert.Equal(t, test.usable, verification.Usable(now))
			assert.Equal(t, test.token.NotBefore, verification.NotBefore)
			assert.Equal(t, test.token.ExpiresOn, verification.ExpiresOn)

			_, err = client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
			assert.Equal(t, test.usable, err == nil, "%v", err)
		})
	}
	bounded := cftunnel.TokenVerification{
		Status: cftunnel.TokenStatusActive, NotBefore: now, ExpiresOn: now.Add(time.Hour),
	}
	assert.True(t, bounded.Usable(now))
	assert.False(t, bounded.Usable(now.Add(-1)))
	assert.False(t, bounded.Usable(now.Add(time.Hour)))
}

func TestTunnels_ReadOnlyToken(t *testing.T) {
	t.Parallel()
	srv, _ := newFake(t)
	tunnel := srv.SeedTunnels(1)[0]
	token := srv.AddToken(tunneltest.Token{ReadOnly: true})
	client, err := srv.NewClient(cftunnel.WithAPIToken(token.Reveal()))
	require.NoError(t, err)
	_, err = client.Tunnels.Get(t.Context(), tunnel.ID)
	require.NoError(t, err)
	_, err = client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
	require.ErrorIs(t, err, cftunnel.ErrForbidden)
	assert.Contains(t, err.Error(), "Cloudflare Tunnel Write")
	_, err = client.Tunnels.Token(t.Context(), tunnel.ID)
	require.ErrorIs(t, err, cftunnel.ErrForbidden)
}

func TestTokensVerify_ServerError(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t, once, cftunnel.WithAPIToken(strings.Repeat("x", 40)))
	srv.Inject(tunneltest.Fault{Operation: opVerifyAccount, Status: 503})
	_, err := client.Tokens.Verify(t.Context())
	require.ErrorIs(t, err, cftunnel.ErrServer)
	assert.NotErrorIs(t, err, cftunnel.ErrUnauthorized)
}
