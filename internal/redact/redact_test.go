package redact_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/redact"
)

// secret has a character for every kind of escaping.
const secret = `"q8+/z<&>"'\é="`

// inner returns what stands between quotes.
func inner(quoted string) string { return quoted[1 : len(quoted)-1] }

func TestASecretIsBlottedInEveryFormOfAnEcho(t *testing.T) {
	t.Parallel()
	asJSON, err := json.Marshal(secret)
	require.NoError(t, err)
	echoes := map[string]string{
		"raw":          secret,
		"query":        url.QueryEscape(secret),
		"path":         url.PathEscape(secret),
		"HTML":         html.EscapeString(secret),
		"JSON":         inner(string(asJSON)),
		"Go":           inner(strconv.Quote(secret)),
		"slashes only": strings.ReplaceAll(secret, "/", `\/`),
	}
	body, err := json.Marshal(map[string]string{"tunnel_secret": secret})
	require.NoError(t, err)
	for source, blotter := range map[string]redact.Blotter{
		"header": redact.New(http.Header{"X-Auth-Key": {secret}}, nil),
		"body":   redact.New(nil, body),
	} {
		for form, echo := range echoes {
			t.Run(source+", "+form, func(t *testing.T) {
				t.Parallel()
				assert.Equal(t, "before [REDACTED] after", blotter.Blot("before "+echo+" after"))
				assert.Equal(t, "[REDACTED][REDACTED]", blotter.Blot(echo+echo))
			})
		}
	}
}

func TestAnAuthorizationIsBlottedWithAndWithoutItsScheme(t *testing.T) {
	t.Parallel()
	blotter := redact.New(http.Header{"Authorization": {"Bearer cfut_abc"}}, nil)
	for echo, want := range map[string]string{
		"unknown token cfut_abc.":        "unknown token [REDACTED].",
		"header Bearer cfut_abc.":        "header [REDACTED].",
		"header Bearer+cfut_abc.":        "header [REDACTED].",
		"header bearer cfut_abc.":        "header bearer [REDACTED].",
		"a Bearer token was to be given": "a Bearer token was to be given",
	} {
		assert.Equal(t, want, blotter.Blot(echo))
	}
}

func TestHeadersAreSecretByTheirNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"Authorization", "Proxy-Authorization", "X-Auth-Key", "X-Auth-Email", "X-API-KEY", "Cookie", "Cf-Access-Client-Secret",
		"Cf-Access-Token", "X-Password", "X-Credentials",
	} {
		blotter := redact.New(http.Header{name: {"first-value", "second-value"}}, nil)
		assert.Equal(t, "[REDACTED] and [REDACTED]", blotter.Blot("first-value and second-value"), name)
	}
	for _, name := range []string{"Accept", "Content-Type", "User-Agent", "X-Request-Id"} {
		blotter := redact.New(http.Header{name: {"some-value"}}, nil)
		assert.Equal(t, "some-value", blotter.Blot("some-value"), name)
	}
}

func TestSecretsAreFoundAnywhereInABody(t *testing.T) {
	t.Parallel()
	blotter := redact.New(nil, []byte(`{
		"name": "plain-name", "count": 3, "enabled": true, "nothing": null, "TUNNEL_SECRET": "top-secret",
		"config": {"plain": ["plain-item"], "apiToken": "deep-token", "list": [{"password": "listed-password"}]},
		"credentials_file": {"AccountTag": "below-name", "more": [["below-lists", 1, null]]},
		"secret": ""
	}`))

	assert.Equal(t,
		"[REDACTED] [REDACTED] [REDACTED] [REDACTED] [REDACTED]",
		blotter.Blot("top-secret deep-token listed-password below-name below-lists"))
	assert.Equal(t, "plain-name plain-item 3 true", blotter.Blot("plain-name plain-item 3 true"))
}

func TestABodyOfAnyShapeIsRead(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "null", `"tunnel_secret"`, "3", "[]", "{}", `{"secret":`, "not JSON", `{"secret":null}`} {
		blotter := redact.New(http.Header{"Authorization": {"Bearer abc-def"}}, []byte(body))
		assert.Equal(t, "tunnel_secret [REDACTED]", blotter.Blot("tunnel_secret abc-def"), body)
	}
	blotter := redact.New(nil, []byte(`[{"token":"abc-def"}]`))
	assert.Equal(t, "[REDACTED]", blotter.Blot("abc-def"))
}

func TestATextWithoutASecretStaysAsItIs(t *testing.T) {
	t.Parallel()
	const text = "tunnel name taken: \"a\" <b> %2B \x00 ü"
	for name, blotter := range map[string]redact.Blotter{
		"secrets elsewhere": redact.New(http.Header{"Authorization": {"Bearer abc"}}, []byte(`{"tunnel_secret":"def-ghi"}`)),
		"empty secrets":     redact.New(http.Header{"Authorization": {""}, "X-Auth-Key": {"", ""}}, []byte(`{"tunnel_secret":""}`)),
		"no secrets":        redact.New(nil, nil),
	} {
		assert.Equal(t, text, blotter.Blot(text), name)
		assert.Empty(t, blotter.Blot(""), name)
	}
}

// With the shorter one replaced first, the tail of the longer would stay.
func TestASecretThatBeginsLikeAnotherIsBlottedWhole(t *testing.T) {
	t.Parallel()
	const short, long = "abc-def", "abc-def-ghi"
	for name, blotter := range map[string]redact.Blotter{
		"short first":     redact.New(http.Header{"X-Auth-Key": {short, long}}, nil),
		"long first":      redact.New(http.Header{"X-Auth-Key": {long, short}}, nil),
		"header and body": redact.New(http.Header{"Authorization": {"Bearer " + short}}, []byte(`{"tunnel_secret":"`+long+`"}`)),
	} {
		assert.Equal(t, "[REDACTED], [REDACTED], [REDACTED]-x", blotter.Blot("abc-def-ghi, abc-def, abc-def-x"), name)
	}
}

func TestASecretInsideAnotherIsBlottedWithIt(t *testing.T) {
	t.Parallel()
	blotter := redact.New(http.Header{"X-Auth-Key": {"inner", "outer-inner-outer"}}, nil)

	assert.Equal(t, "[REDACTED], [REDACTED]", blotter.Blot("outer-inner-outer, inner"))
}

func TestOneBlotterServesManyAtOnce(t *testing.T) {
	t.Parallel()
	blotter := redact.New(http.Header{"Authorization": {"Bearer abc-def"}}, nil)
	texts := make(chan string, 8)
	for range cap(texts) {
		go func() { texts <- blotter.Blot("abc-def") }()
	}
	for range cap(texts) {
		assert.Equal(t, "[REDACTED]", <-texts)
	}
}
