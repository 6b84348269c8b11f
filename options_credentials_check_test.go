package cftunnel_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// placeholders are texts in place of a credential that was not filled in or was copied wrongly. The
// values are parts of the errors.
var placeholders = map[string]string{
	"${CLOUDFLARE_API_TOKEN}":            "placeholder",
	"$CLOUDFLARE_API_TOKEN":              "placeholder",
	"$(cat token)":                       "placeholder",
	"$env:CLOUDFLARE_API_TOKEN":          "placeholder",
	"<API_TOKEN>":                        "placeholder",
	"<your token>":                       "placeholder",
	"{{ token }}":                        "placeholder",
	"{{.Token}}":                         "placeholder",
	"{token}":                            "placeholder",
	"%TOKEN%":                            "placeholder",
	"%CLOUDFLARE_API_TOKEN%":             "placeholder",
	"CLOUDFLARE_API_TOKEN":               "placeholder",
	"YOUR_API_TOKEN":                     "placeholder",
	"YOUR-API-TOKEN":                     "placeholder",
	"your_api_token_here":                "placeholder",
	"Your-Token":                         "placeholder",
	`"` + apiToken + `"`:                 "characters other than",
	"'" + apiToken + "'":                 "characters other than",
	"`" + apiToken + "`":                 "characters other than",
	apiToken + ";":                       "characters other than",
	apiToken + ",":                       "characters other than",
	apiToken + ".":                       "characters other than",
	"token=" + apiToken:                  "characters other than",
	"Bearer:" + apiToken:                 "characters other than",
	"[REDACTED]":                         "characters other than",
	"********":                           "characters other than",
	`\` + apiToken:                       "characters other than",
	"Bearer " + apiToken:                 "white space",
	"bearer\t" + apiToken:                "white space",
	apiToken + "\n":                      "white space",
	" " + apiToken:                       "white space",
	apiToken[:20] + "\n" + apiToken[20:]: "white space",
	"“" + apiToken + "”":                 "header",
	apiToken + "\u200b":                  "header",
	apiToken + "\x00":                    "header",
	"":                                   "empty",
}

// otherTokens returns secrets of other kinds, which are not API tokens.
func otherTokens() map[string]string {
	tunnelToken := cftunnel.TunnelCredentials{
		AccountTag: accountID, TunnelID: tunnelID, Secret: validSecret,
	}.Token().Reveal()
	unusual := `{"x":1,"a":"` + accountID + `","t":"` + tunnelID + `"}`
	return map[string]string{
		"a tunnel token":                           tunnelToken,
		"a tunnel token with line breaks":          tunnelToken[:76] + "\n" + tunnelToken[76:] + "\n",
		"a tunnel token between spaces":            " " + tunnelToken + " ",
		"a tunnel token without padding":           strings.TrimRight(tunnelToken, "="),
		"a truncated tunnel token":                 tunnelToken[:40],
		"a tunnel token with another member first": base64.StdEncoding.EncodeToString([]byte(unusual)),
		"a management token":                       "eyJhbGciOiJFUzI1NiJ9.eyJhIjoxfQ.c2ln",
		"a truncated management token":             "eyJhbGciOiJFUzI1NiIsInR5",
	}
}

func TestWithAPIToken_Invalid(t *testing.T) {
	t.Parallel()
	requireRefused := func(name, text, reason string) {
		t.Helper()
		_, err := cftunnel.NewClient(cftunnel.WithAPIToken(text))
		refused, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
		require.True(t, ok, "%s: %v", name, err)
		assert.Equal(t, "apiToken", refused.Name, name)
		assert.Contains(t, refused.Reason, reason, name)
		assert.NotContains(t, err.Error(), apiToken[5:])

		// The token of a token source is checked in the same way.
		sent := false
		client, err := cftunnel.NewClient(
			cftunnel.WithTokenSource(func(context.Context) (cftunnel.Secret, error) {
				return cftunnel.NewSecret(text), nil
			}),
			cftunnel.WithAccountID(accountID),
			cftunnel.WithHTTPClient(&http.Client{Transport: roundTripper(
				func(*http.Request) (*http.Response, error) {
					sent = true
					return nil, http.ErrAbortHandler
				},
			)}),
		)
		require.NoError(t, err)
		_, err = client.Tunnels.Get(t.Context(), tunnelID)
		refused, ok = errors.AsType[*cftunnel.InvalidArgumentError](err)
		require.True(t, ok, "%s: %v", name, err)
		assert.Contains(t, refused.Reason, reason, name)
		assert.NotContains(t, err.Error(), apiToken[5:])
		assert.False(t, sent, name)
	}
	for text, reason := range placeholders {
		requireRefused(text, text, reason)
	}
	for name, text := range otherTokens() {
		requireRefused(name, text, "tunnel token")
	}
	requireRefused("a global key", "cfk_0123456789abcdef", "global API key")
}

func TestWithAPIKey_Invalid(t *testing.T) {
	t.Parallel()
	requireRefused := func(name, email, key, argument, reason string) {
		t.Helper()
		_, err := cftunnel.NewClient(cftunnel.WithAPIKey(email, key))
		refused, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
		require.True(t, ok, "%s: %v", name, err)
		assert.Equal(t, argument, refused.Name, name)
		assert.Contains(t, refused.Reason, reason, name)
	}
	for text, reason := range placeholders {
		requireRefused(text, "me@example.com", text, "key", reason)
	}
	for name, text := range otherTokens() {
		requireRefused(name, "me@example.com", text, "key", "tunnel token")
	}
	for email, reason := range map[string]string{
		"":                       "empty",
		"${CLOUDFLARE_EMAIL}":    "placeholder",
		"CLOUDFLARE_EMAIL":       "placeholder",
		"<me@example.com>":       "placeholder",
		"%USER%@example.com":     "placeholder",
		"your-name@example.com":  "placeholder",
		`"me@example.com"`:       "email",
		"'me@example.com'":       "email",
		"me@example.com;":        "email",
		"mailto:me@example.com":  "email",
		"me":                     "email",
		"@example.com":           "email",
		"me@":                    "email",
		"me@example.com@":        "email",
		"me@example.com\n":       "white space",
		"Me <me@example.com>":    "placeholder",
		"me@example.com\r\nX: y": "header",
	} {
		requireRefused(email, email, "0123456789abcdef", "email", reason)
	}
}

// The length of a credential is not checked.
func TestCredentials_Valid(t *testing.T) {
	t.Parallel()
	for _, token := range []string{
		apiToken, "t", "a-token", "explicit", "0123456789", "ABCDEFGHIJ", "A1_B2", "y_our", "-_-_",
		"cfat_0123456789abcdefghijklmnopqrstuvwxyzABCD01234567",
		"eyJ" + strings.Repeat("q", 37), "eyJ" + strings.Repeat("-", 50), strings.Repeat("x", 200),
		"Bearer", "aTokenThatBeginsWithNothingUsual",
	} {
		_, err := cftunnel.NewClient(cftunnel.WithAPIToken(token))
		assert.NoError(t, err, token)
	}
	for _, key := range []string{"key", strings.Repeat("0123456789abcdef", 3)[:37], "cfk_0123456789ABCDEFxyz-_"} {
		for _, email := range []string{"me@example.com", "o'neil+x@example.co.uk", "a@b"} {
			_, err := cftunnel.NewClient(cftunnel.WithAPIKey(email, key))
			assert.NoError(t, err, "%s, %s", email, key)
		}
	}
}
