package cftunnel_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

func encoded(text string) cftunnel.Secret {
	return cftunnel.NewSecret(base64.StdEncoding.EncodeToString([]byte(text)))
}

func TestTunnelTokensRoundTrip(t *testing.T) {
	t.Parallel()
	for _, credentials := range []cftunnel.TunnelCredentials{
		{AccountTag: accountID, TunnelID: tunnelID, Secret: validSecret},
		{AccountTag: accountID, TunnelID: tunnelID, Secret: validSecret, Endpoint: "fed"},
		{AccountTag: accountID, TunnelID: tunnelID, Secret: cftunnel.NewSecret("kept as it came, not base64")},
	} {
		token := credentials.Token()
		for _, around := range []string{"%s", " %s", "%s\n", "\t%s \r\n"} {
			back, err := cftunnel.ParseTunnelToken(cftunnel.NewSecret(fmt.Sprintf(around, token.Reveal())))
			require.NoError(t, err)
			assert.Equal(t, &credentials, back)
		}
	}
}

func TestTunnelTokenIsThatOfCloudflared(t *testing.T) {
	t.Parallel()
	credentials := cftunnel.TunnelCredentials{AccountTag: accountID, TunnelID: tunnelID, Secret: validSecret}
	raw, err := base64.StdEncoding.DecodeString(credentials.Token().Reveal())
	require.NoError(t, err)
	assert.Equal(t, `{"a":"`+accountID+`","s":"`+validSecret.Reveal()+`","t":"`+tunnelID+`"}`, string(raw))

	// The API has its keys in another order.
	back, err := cftunnel.ParseTunnelToken(encoded(`{"a":"` + accountID + `","t":"` + tunnelID + `","s":"` + validSecret.Reveal() + `","new":1}`))
	require.NoError(t, err)
	assert.Equal(t, &credentials, back)

	_, client := newFake(t)
	tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n", Secret: validSecret})
	require.NoError(t, err)
	back, err = cftunnel.ParseTunnelToken(tunnel.Token)
	require.NoError(t, err)
	assert.Equal(t, validSecret, back.Secret)
	assert.Equal(t, tunnel.ID, back.TunnelID)
}

func TestBadTunnelTokensAreNamedAndNotShown(t *testing.T) {
	t.Parallel()
	field := func(format string) cftunnel.Secret { return encoded(fmt.Sprintf(format, planted)) }
	for name, test := range map[string]struct {
		token cftunnel.Secret
		is    string
	}{
		"nothing":            {cftunnel.Secret{}, "empty"},
		"white space":        {cftunnel.NewSecret(" \n"), "empty"},
		"no base64":          {cftunnel.NewSecret(planted + "!"), "base64"},
		"without padding":    {cftunnel.NewSecret(strings.TrimRight(encoded(`{"a":"`+planted+`x"}`).Reveal(), "=")), "base64"},
		"a line break in":    {cftunnel.NewSecret("eyJh\nIjoi"), "base64"},
		"no JSON":            {encoded(planted), "JSON object"},
		"a JSON list":        {field(`[%q]`), "JSON object"},
		"a number":           {field(`{"a":1,"s":%q}`), "JSON object"},
		"no account":         {field(`{"s":%q,"t":"` + tunnelID + `"}`), "account"},
		"no tunnel":          {field(`{"a":"x","s":%q}`), "tunnel id"},
		"an odd tunnel":      {field(`{"a":"x","s":"y","t":%q}`), "tunnel id"},
		"no secret":          {field(`{"a":%q,"t":"` + tunnelID + `"}`), "no secret"},
		"an API token":       {cftunnel.NewSecret(apiToken), "base64"},
		"a management token": {cftunnel.NewSecret("eyJhbGciOiJFUzI1NiJ9.e30." + planted), "base64"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			credentials, err := cftunnel.ParseTunnelToken(test.token)
			assert.Nil(t, credentials)
			refused, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, "token", refused.Name)
			assert.Contains(t, refused.Reason, test.is)
			assert.NotContains(t, err.Error(), planted)
		})
	}
}

func TestNewTunnelSecret(t *testing.T) {
	t.Parallel()
	seen := map[cftunnel.Secret]bool{}
	for range 100 {
		secret := cftunnel.NewTunnelSecret()
		raw, err := base64.StdEncoding.Strict().DecodeString(secret.Reveal())
		require.NoError(t, err)
		assert.Len(t, raw, 32)
		seen[secret] = true
	}
	assert.Len(t, seen, 100)
}

func TestCredentialsFile(t *testing.T) {
	t.Parallel()
	credentials := cftunnel.TunnelCredentials{AccountTag: accountID, TunnelID: tunnelID, Secret: validSecret}
	folder := t.TempDir()
	path := filepath.Join(folder, tunnelID+".json")
	require.NoError(t, os.WriteFile(path, []byte("old, and readable by all"), 0o644))

	require.NoError(t, credentials.WriteFile(path))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, `{"AccountTag":"`+accountID+`","TunnelSecret":"`+validSecret.Reveal()+`","TunnelID":"`+tunnelID+`","Endpoint":""}`, string(content))
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Len(t, left, 1)
}

func TestCredentialsFileThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	credentials := cftunnel.TunnelCredentials{AccountTag: accountID, TunnelID: tunnelID, Secret: validSecret}
	folder := t.TempDir()
	busy := filepath.Join(folder, "busy")
	require.NoError(t, os.MkdirAll(filepath.Join(busy, "inside"), 0o755)) // nothing can be renamed to it
	for _, path := range []string{busy, filepath.Join(folder, "missing", "file"), ""} {
		err := credentials.WriteFile(path)
		require.Error(t, err, path)
		assert.Contains(t, err.Error(), tunnelID)
		assert.NotContains(t, err.Error(), validSecret.Reveal())
	}
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Len(t, left, 1, "no temporary file stays")

	for argument, lacking := range map[string]cftunnel.TunnelCredentials{
		"AccountTag": {TunnelID: tunnelID, Secret: validSecret},
		"TunnelID":   {AccountTag: accountID, Secret: validSecret},
		"Secret":     {AccountTag: accountID, TunnelID: tunnelID},
	} {
		old := filepath.Join(folder, "old-"+argument)
		require.NoError(t, os.WriteFile(old, []byte("old"), 0o600))
		refused, ok := errors.AsType[*cftunnel.InvalidArgumentError](lacking.WriteFile(old))
		require.True(t, ok)
		assert.Equal(t, argument, refused.Name)
		content, err := os.ReadFile(old)
		require.NoError(t, err)
		assert.Equal(t, "old", string(content))
	}
}
