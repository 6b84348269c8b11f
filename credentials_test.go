package cftunnel_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/filemode"
)

// encoded returns the base64 of text, the encoding of tunnel tokens.
func encoded(text string) cftunnel.Secret {
	return cftunnel.NewSecret(base64.StdEncoding.EncodeToString([]byte(text)))
}

func TestParseTunnelToken_RoundTrip(t *testing.T) {
	t.Parallel()
	for _, credentials := range []cftunnel.TunnelCredentials{
		{AccountTag: accountID, TunnelID: tunnelID, Secret: validSecret},
		{AccountTag: accountID, TunnelID: tunnelID, Secret: validSecret, Endpoint: "fed"},
		{AccountTag: accountID, TunnelID: tunnelID, Secret: cftunnel.NewSecret("AQIDBAUGBwgJCgsMDQ4PEB")}, // without padding
	} {
		token := credentials.Token()
		for _, format := range []string{"%s", " %s", "%s\n", "\t%s \r\n"} {
			text := fmt.Sprintf(format, token.Reveal())
			back, err := cftunnel.ParseTunnelToken(cftunnel.NewSecret(text))
			require.NoError(t, err)
			assert.Equal(t, &credentials, back)
		}
	}
}

func TestParseTunnelToken_AcceptedForms(t *testing.T) {
	t.Parallel()
	const secret = "Pj4+Pz8/Pj4+Pz8/Pj4+Pz8/Pj4+Pz8/Pj4+Pz8/Pj4="
	bare := strings.ReplaceAll(tunnelID, "-", "")
	token := func(tunnel, secret string) string {
		text := `{"a":"` + accountID + `","t":"` + tunnel + `","s":"` + secret + `"}`
		return encoded(text).Reveal()
	}
	whole := token(tunnelID, secret)
	var lines strings.Builder
	for i, c := range []byte(whole) {
		lines.WriteByte(c)
		if i%76 == 75 {
			lines.WriteString("\r\n")
		}
	}
	urls := strings.NewReplacer("+", "-", "/", "_")
	for name, test := range map[string]struct{ token, secret string }{
		"form of the API":              {whole, secret},
		"in lines":                     {lines.String(), secret},
		"with a line break at the end": {whole + "\n", secret},
		"without padding":              {strings.TrimRight(whole, "="), secret},
		"URL alphabet":                 {urls.Replace(whole), secret},
		"tunnel without dashes":        {token(bare, secret), secret},
		"tunnel in braces":             {token("{"+tunnelID+"}", secret), secret},
		"tunnel as a URN":              {token("urn:uuid:"+tunnelID, secret), secret},
		"secret without padding":       {token(tunnelID, strings.TrimRight(secret, "=")), strings.TrimRight(secret, "=")},
		"secret in URL alphabet":       {token(tunnelID, urls.Replace(secret)), urls.Replace(secret)},
		"secret in lines":              {token(tunnelID, `Pj4+\nPz8/\r\nPj4+`), "Pj4+\nPz8/\r\nPj4+"},
		"secret with trailing bits":    {token(tunnelID, "Pj4+Pz8/Pj9="), "Pj4+Pz8/Pj9="},
		"short secret":                 {token(tunnelID, "AA=="), "AA=="},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			back, err := cftunnel.ParseTunnelToken(cftunnel.NewSecret(test.token))
			require.NoError(t, err)
			assert.Equal(t, &cftunnel.TunnelCredentials{
				AccountTag: accountID, TunnelID: tunnelID, Secret: cftunnel.NewSecret(test.secret),
			}, back)
		})
	}
}

func TestTunnelCredentialsToken_Encoding(t *testing.T) {
	t.Parallel()
	credentials := cftunnel.TunnelCredentials{
		AccountTag: accountID, TunnelID: tunnelID, Secret: validSecret,
	}
	raw, err := base64.StdEncoding.DecodeString(credentials.Token().Reveal())
	require.NoError(t, err)
	assert.Equal(t, `{"a":"`+accountID+`","s":"`+validSecret.Reveal()+`","t":"`+tunnelID+`"}`,
		string(raw))

	// The API sends the members in another order.
	back, err := cftunnel.ParseTunnelToken(encoded(`{"a":"` + accountID + `","t":"` + tunnelID +
		`","s":"` + validSecret.Reveal() + `","new":1}`))
	require.NoError(t, err)
	assert.Equal(t, &credentials, back)

	_, client := newFake(t)
	params := cftunnel.TunnelCreateParams{Name: "n", Secret: validSecret}
	tunnel, err := client.Tunnels.Create(t.Context(), params)
	require.NoError(t, err)
	back, err = cftunnel.ParseTunnelToken(tunnel.Token)
	require.NoError(t, err)
	assert.Equal(t, validSecret, back.Secret)
	assert.Equal(t, tunnel.ID, back.TunnelID)
}

func TestParseTunnelToken_InvalidTokens(t *testing.T) {
	t.Parallel()
	field := func(format string) cftunnel.Secret { return encoded(fmt.Sprintf(format, planted)) }
	for name, test := range map[string]struct {
		token cftunnel.Secret
		is    string
	}{
		"empty":                 {cftunnel.Secret{}, "empty"},
		"white space":           {cftunnel.NewSecret(" \n"), "empty"},
		"not base64":            {cftunnel.NewSecret(planted + "!"), "base64"},
		"truncated":             {cftunnel.NewSecret(encoded(`{"a":"` + planted + `","s":"`).Reveal()[:24]), "JSON object"},
		"a space inside":        {cftunnel.NewSecret("eyJh Ijoi"), "base64"},
		"two alphabets":         {cftunnel.NewSecret("eyJh+/-_"), "base64"},
		"padding inside":        {cftunnel.NewSecret("eyJh==Ijoi"), "base64"},
		"too much padding":      {cftunnel.NewSecret("eyJhIjoi="), "base64"},
		"not JSON":              {encoded(planted), "JSON object"},
		"a JSON list":           {field(`[%q]`), "JSON object"},
		"a number":              {field(`{"a":1,"s":%q}`), "JSON object"},
		"no account":            {field(`{"s":%q,"t":"` + tunnelID + `"}`), "account"},
		"no tunnel":             {field(`{"a":"x","s":%q}`), "that is a UUID (t)"},
		"an invalid tunnel":     {field(`{"a":"x","s":"AAAA","t":%q}`), "that is a UUID (t)"},
		"an invalid secret":     {field(`{"a":"x","s":"%[1]s!","t":"` + tunnelID + `"}`), "not base64"},
		"mixed alphabets":       {field(`{"a":%q,"s":"AA+-","t":"` + tunnelID + `"}`), "not base64"},
		"a space in the secret": {field(`{"a":%q,"s":"AAAA AAAA","t":"` + tunnelID + `"}`), "not base64"},
		"a short last group":    {field(`{"a":%q,"s":"AAAAA","t":"` + tunnelID + `"}`), "not base64"},
		"no secret":             {field(`{"a":%q,"t":"` + tunnelID + `"}`), "no secret"},
		"an API token":          {cftunnel.NewSecret(apiToken), "base64"},
		"a management token":    {cftunnel.NewSecret("eyJhbGciOiJFUzI1NiJ9.e30." + planted), "base64"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			credentials, err := cftunnel.ParseTunnelToken(test.token)
			assert.Nil(t, credentials)
			invalid, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, "token", invalid.Name)
			assert.Contains(t, invalid.Reason, test.is)
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

func TestTunnelCredentialsWriteFile(t *testing.T) {
	t.Parallel()
	credentials := cftunnel.TunnelCredentials{
		AccountTag: accountID, TunnelID: tunnelID, Secret: validSecret,
	}
	folder := t.TempDir()
	path := filepath.Join(folder, tunnelID+".json")
	require.NoError(t, os.WriteFile(path, []byte("old, and readable by all"), 0o644))

	require.NoError(t, credentials.WriteFile(path))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, `{"AccountTag":"`+accountID+`","TunnelSecret":"`+validSecret.Reveal()+
		`","TunnelID":"`+tunnelID+`","Endpoint":""}`, string(content))
	filemode.AssertPrivate(t, path)
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Len(t, left, 1)
}

func TestTunnelCredentialsWriteFile_Errors(t *testing.T) {
	t.Parallel()
	credentials := cftunnel.TunnelCredentials{
		AccountTag: accountID, TunnelID: tunnelID, Secret: validSecret,
	}
	folder := t.TempDir()
	busy := filepath.Join(folder, "busy")
	// A file cannot be renamed to a directory that is not empty.
	require.NoError(t, os.MkdirAll(filepath.Join(busy, "inside"), 0o755))
	for _, path := range []string{busy, filepath.Join(folder, "missing", "file"), ""} {
		err := credentials.WriteFile(path)
		require.Error(t, err, path)
		assert.Contains(t, err.Error(), tunnelID)
		assert.NotContains(t, err.Error(), validSecret.Reveal())
	}
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Len(t, left, 1, "a temporary file is left")

	for argument, incomplete := range map[string]cftunnel.TunnelCredentials{
		"AccountTag": {TunnelID: tunnelID, Secret: validSecret},
		"TunnelID":   {AccountTag: accountID, Secret: validSecret},
		"Secret":     {AccountTag: accountID, TunnelID: tunnelID},
	} {
		old := filepath.Join(folder, "old-"+argument)
		require.NoError(t, os.WriteFile(old, []byte("old"), 0o600))
		invalid, ok := errors.AsType[*cftunnel.InvalidArgumentError](incomplete.WriteFile(old))
		require.True(t, ok)
		assert.Equal(t, argument, invalid.Name)
		content, err := os.ReadFile(old)
		require.NoError(t, err)
		assert.Equal(t, "old", string(content))
	}
}

func TestSameTunnelToken(t *testing.T) {
	t.Parallel()
	const secret, sameBytes = "Pj4+Pz8/Pj4+Pz8/Pj4+Pw==", "Pj4-Pz8_Pj4-Pz8_Pj4-Pw"
	token := func(account, tunnel, secret, endpoint string) cftunnel.Secret {
		return encoded(`{"t":"` + tunnel + `","e":"` + endpoint +
			`","s":"` + secret + `","a":"` + account + `"}`)
	}
	first := cftunnel.TunnelCredentials{
		AccountTag: accountID, TunnelID: tunnelID,
		Secret: cftunnel.NewSecret(secret), Endpoint: "fed",
	}.Token()
	opaque := cftunnel.NewSecret("warp_0123456789")
	for name, test := range map[string]struct {
		other cftunnel.Secret
		same  bool
	}{
		"itself":               {first, true},
		"another order":        {token(accountID, tunnelID, secret, "fed"), true},
		"upper case":           {token(strings.ToUpper(accountID), strings.ToUpper(tunnelID), secret, "fed"), true},
		"without dashes":       {token(accountID, strings.ReplaceAll(tunnelID, "-", ""), secret, "fed"), true},
		"same bytes of secret": {token(accountID, tunnelID, sameBytes, "fed"), true},
		"in lines":             {cftunnel.NewSecret(first.Reveal()[:20] + "\r\n" + first.Reveal()[20:] + "\n"), true},
		"another account":      {token(strings.Repeat("a", 32), tunnelID, secret, "fed"), false},
		"another tunnel":       {token(accountID, "f70ff985-a4ef-4643-bbbc-4a0ed4fc8416", secret, "fed"), false},
		"another secret":       {token(accountID, tunnelID, validSecret.Reveal(), "fed"), false},
		"secret in other case": {token(accountID, tunnelID, strings.ToLower(secret), "fed"), false},
		"another endpoint":     {token(accountID, tunnelID, secret, ""), false},
		"no token":             {cftunnel.Secret{}, false},
		"an opaque token":      {opaque, false},
	} {
		assert.Equal(t, test.same, cftunnel.SameTunnelToken(first, test.other), name)
		assert.Equal(t, test.same, cftunnel.SameTunnelToken(test.other, first), name)
	}
	assert.True(t, cftunnel.SameTunnelToken(opaque, cftunnel.NewSecret(opaque.Reveal()+"\n")))
	assert.False(t, cftunnel.SameTunnelToken(opaque, cftunnel.NewSecret("warp_0123456780")))
	assert.False(t, cftunnel.SameTunnelToken(cftunnel.Secret{}, cftunnel.Secret{}))
}

func TestReadTunnelCredentials(t *testing.T) {
	t.Parallel()
	credentials := cftunnel.TunnelCredentials{
		AccountTag: accountID, TunnelID: tunnelID, Secret: validSecret, Endpoint: "fed",
	}
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, credentials.WriteFile(path))
	back, err := cftunnel.ReadTunnelCredentials(path)
	require.NoError(t, err)
	assert.Equal(t, &credentials, back)

	require.NoError(t, credentials.Token().WriteFile(path))
	back, err = cftunnel.ReadTunnelCredentials(path)
	require.NoError(t, err)
	assert.Equal(t, &credentials, back)

	// The format of older versions of cloudflared, edited by hand.
	require.NoError(t, os.WriteFile(path, []byte(`
		{"AccountTag":"`+accountID+`","TunnelSecret":"AQIDBAUGBwgJCgsMDQ4PEB",
		"TunnelID":"`+strings.ReplaceAll(tunnelID, "-", "")+`","TunnelName":"blog"}`), 0o644))
	back, err = cftunnel.ReadTunnelCredentials(path)
	require.NoError(t, err)
	assert.Equal(t, &cftunnel.TunnelCredentials{
		AccountTag: accountID, TunnelID: tunnelID,
		Secret: cftunnel.NewSecret("AQIDBAUGBwgJCgsMDQ4PEB"),
	}, back)
}

func TestReadTunnelCredentials_InvalidFiles(t *testing.T) {
	t.Parallel()
	file := func(account, secret, id string) string {
		return `{"AccountTag":` + account + `,"TunnelSecret":` + secret + `,"TunnelID":` + id + `}`
	}
	const account, id = `"` + accountID + `"`, `"` + tunnelID + `"`
	const secret = `"AQIDBAUGBwgJCgsMDQ4PEB=="`
	for name, test := range map[string]struct{ content, member, is string }{
		"no account":        {file(`""`, secret, id), "AccountTag", "empty"},
		"account is number": {file(`1`, secret, id), "AccountTag", "string"},
		"no tunnel":         {file(account, secret, `null`), "TunnelID", "empty"},
		"invalid tunnel":    {file(account, secret, `"`+planted+`"`), "TunnelID", "UUID"},
		"no secret":         {file(account, `""`, id), "TunnelSecret", "empty"},
		"invalid secret":    {file(account, `"`+planted+`!"`, id), "TunnelSecret", "base64"},
		"secret is list":    {file(account, `["`+planted+`"]`, id), "TunnelSecret", "string"},
		"endpoint is list":  {`{"Endpoint":["` + planted + `"]}`, "Endpoint", "string"},
		"not JSON":          {planted, "file", "JSON object"},
		"truncated JSON":    {`{"TunnelSecret":"` + planted, "file", "JSON object"},
		"a list":            {`["` + planted + `"]`, "file", "JSON object"},
		"a tunnel token":    {encoded(`{"a":"` + planted + `"}`).Reveal(), "file", "tunnel token"},
		"empty":             {"", "file", "JSON object"},
		"too large":         {file(account, secret, id) + strings.Repeat(" ", 64<<10), "file", "larger than 65536 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "file")
			require.NoError(t, os.WriteFile(path, []byte(test.content), 0o600))
			credentials, err := cftunnel.ReadTunnelCredentials(path)
			assert.Nil(t, credentials)
			invalid, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, test.member, invalid.Name)
			assert.Contains(t, invalid.Reason, test.is)
			assert.Contains(t, err.Error(), strconv.Quote(path))
			assert.NotContains(t, err.Error(), planted)
		})
	}
	_, err := cftunnel.ReadTunnelCredentials(filepath.Join(t.TempDir(), "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = cftunnel.ReadTunnelCredentials(t.TempDir())
	require.Error(t, err)
}

func TestTunnelCredentialsRotatedToken(t *testing.T) {
	t.Parallel()
	old := cftunnel.TunnelCredentials{
		AccountTag: accountID, TunnelID: tunnelID, Secret: validSecret, Endpoint: "fed",
	}
	renewed := old
	renewed.Secret, renewed.Endpoint = cftunnel.NewTunnelSecret(), ""
	withEndpoint := renewed
	withEndpoint.Endpoint = "fed"
	other := withEndpoint
	other.TunnelID = "f70ff985-a4ef-4643-bbbc-4a0ed4fc8416"
	for name, test := range map[string]struct{ seen, want cftunnel.Secret }{
		"none":              {cftunnel.Secret{}, renewed.Token()},
		"opaque":            {cftunnel.NewSecret("opaque"), renewed.Token()},
		"old":               {old.Token(), withEndpoint.Token()},
		"new":               {withEndpoint.Token(), withEndpoint.Token()},
		"new, line break":   {cftunnel.NewSecret(withEndpoint.Token().Reveal() + "\n"), cftunnel.NewSecret(withEndpoint.Token().Reveal() + "\n")},
		"of another tunnel": {other.Token(), renewed.Token()},
	} {
		assert.True(t, test.want == renewed.RotatedToken(test.seen), name)
	}
}
