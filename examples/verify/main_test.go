package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/examples/internal/sample"
	"github.com/cftunnel/cftunnel-go/internal/test/logwatch"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func TestVerify_Statuses(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, test := range map[string]struct {
		token  tunneltest.Token
		text   string
		usable bool
	}{
		"never expires":    {tunneltest.Token{}, "of the user: active, does not expire", true},
		"of an account":    {tunneltest.Token{Owner: cftunnel.TokenOwnerAccount}, "of the account: active", true},
		"90 days":          {tunneltest.Token{ExpiresOn: now.Add(90*24*time.Hour + time.Hour)}, "which is in 90 days", true},
		"one hour":         {tunneltest.Token{ExpiresOn: now.Add(time.Hour)}, "which is in 1h0m0s", true},
		"not yet valid":    {tunneltest.Token{NotBefore: now.Add(time.Hour)}, "not valid before", false},
		"disabled":         {tunneltest.Token{Status: cftunnel.TokenStatusDisabled}, "disabled", false},
		"expired":          {tunneltest.Token{ExpiresOn: now.Add(-time.Hour)}, "expired since", false},
		"expired, no time": {tunneltest.Token{Status: cftunnel.TokenStatusExpired}, "expired; ", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := tunneltest.NewServer()
			t.Cleanup(fake.Close)
			token := cftunnel.WithAPIToken(fake.AddToken(test.token).Reveal())
			client, err := fake.NewClient(token, logwatch.Watch(t, fake))
			require.NoError(t, err)
			var out bytes.Buffer
			err = verify(t.Context(), &out, client, now)
			assert.Contains(t, out.String(), test.text)
			if test.usable {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, errUnusable)
			}
		})
	}
}

func TestVerify_UnknownToken(t *testing.T) {
	t.Parallel()
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	client, err := fake.NewClient(cftunnel.WithAPIToken("an-unknown-token"))
	require.NoError(t, err)
	err = verify(t.Context(), &bytes.Buffer{}, client, time.Now())
	require.ErrorIs(t, err, cftunnel.ErrUnauthorized)
	assert.Contains(t, err.Error(), "does not exist")
	assert.NotContains(t, err.Error(), "an-unknown-token")
}

func TestVerify_CommandLine(t *testing.T) {
	t.Setenv("CLOUDFLARE_API_TOKEN", "")
	for _, test := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{}, 0, "token ", "CLOUDFLARE_API_TOKEN is not set"},
		{[]string{"-help"}, 0, "", "usage: verify"},
		{[]string{"-nonsense"}, 2, "", "-nonsense"},
		{[]string{"extra"}, 2, "", `unexpected argument "extra"`},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, test.code, start(t.Context(), test.args, &stdout, &stderr), test.args)
		assert.True(t, strings.HasPrefix(stdout.String(), test.stdout), stdout.String())
		assert.Equal(t, test.stdout == "", stdout.Len() == 0)
		assert.Contains(t, stderr.String(), test.stderr, test.args)
		if test.stdout != "" {
			for _, text := range []string{
				"does not expire", "90 days", "not valid before", "disabled", "expired",
			} {
				assert.Contains(t, stdout.String(), text)
			}
		}
	}
}

func TestVerify_TokenFromEnvironment(t *testing.T) {
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	t.Setenv("CLOUDFLARE_BASE_URL", fake.URL())
	t.Setenv("CLOUDFLARE_ACCOUNT_ID", fake.AccountID())
	for token, code := range map[string]int{fake.APIToken().Reveal(): 0, "unknown": 1} {
		t.Setenv("CLOUDFLARE_API_TOKEN", token)
		var stdout, stderr bytes.Buffer
		assert.Equal(t, code, start(t.Context(), nil, &stdout, &stderr))
		assert.Equal(t, code == 0, strings.HasPrefix(stdout.String(), "token "))
		assert.Equal(t, code == 0, stderr.Len() == 0, stderr.String())
	}
}

func TestVerify_UnwritableOutput(t *testing.T) {
	t.Setenv("CLOUDFLARE_API_TOKEN", "")
	reader, stdout := io.Pipe()
	require.NoError(t, reader.Close())
	var stderr bytes.Buffer
	assert.Equal(t, 1, start(t.Context(), nil, stdout, &stderr))
	assert.Contains(t, stderr.String(), io.ErrClosedPipe.Error())
}

//nolint:paralleltest // it sets the environment
func TestVerify_Sample(t *testing.T) { sample.Check(t, "verify", start) }
