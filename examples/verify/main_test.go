package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/logwatch"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func TestVerifyTellsWhatATokenIs(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, test := range map[string]struct {
		token  tunneltest.Token
		said   string
		usable bool
	}{
		"for ever":      {tunneltest.Token{}, "of the user: active, for ever", true},
		"an account's":  {tunneltest.Token{Owner: cftunnel.TokenOwnerAccount}, "of the account: active", true},
		"for a while":   {tunneltest.Token{ExpiresOn: now.Add(90*24*time.Hour + time.Hour)}, "for another 90 days", true},
		"for an hour":   {tunneltest.Token{ExpiresOn: now.Add(time.Hour)}, "for another 1h0m0s", true},
		"not yet valid": {tunneltest.Token{NotBefore: now.Add(time.Hour)}, "not valid before", false},
		"disabled":      {tunneltest.Token{Status: cftunnel.TokenStatusDisabled}, "disabled", false},
		"expired":       {tunneltest.Token{ExpiresOn: now.Add(-time.Hour)}, "expired since", false},
		"of old":        {tunneltest.Token{Status: cftunnel.TokenStatusExpired}, "expired; ", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := tunneltest.NewServer()
			t.Cleanup(fake.Close)
			client, err := fake.NewClient(cftunnel.WithAPIToken(fake.AddToken(test.token).Reveal()), logwatch.Watch(t, fake))
			require.NoError(t, err)
			var out bytes.Buffer
			err = verify(t.Context(), &out, client, now)
			assert.Contains(t, out.String(), test.said)
			if test.usable {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, errUnusable)
			}
		})
	}
}

func TestVerifyOfAnUnknownToken(t *testing.T) {
	t.Parallel()
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	client, err := fake.NewClient(cftunnel.WithAPIToken("nobody-knows-this"))
	require.NoError(t, err)
	err = verify(t.Context(), &bytes.Buffer{}, client, time.Now())
	require.ErrorIs(t, err, cftunnel.ErrUnauthorized)
	assert.Contains(t, err.Error(), "nobody knows")
	assert.NotContains(t, err.Error(), "nobody-knows-this")
}

func TestDemonstration(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, demonstrate(t.Context(), &out))
	for _, said := range []string{"for ever", "90 days", "not valid before", "disabled", "expired"} {
		assert.Contains(t, out.String(), said)
	}
}
