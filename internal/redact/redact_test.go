package redact_test

import (
	"encoding/json"
	"html"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/redact"
)

// secret has a character for every kind of escaping, and no upper-case letter.
const secret = `"q8+/z<&>"'\é="`

// inner returns the text between the quotes.
func inner(quoted string) string { return quoted[1 : len(quoted)-1] }

// redacted returns text with its secrets redacted.
func redacted(r *redact.Redactor, text string) string { return r.Redact(text, 1<<20) }

// redactorOf returns a redactor that has collected its secrets, so that subtests can share it.
func redactorOf(header http.Header, body []byte) *redact.Redactor {
	b := new(redact.Redactor)
	b.AddHeader(header)
	b.AddBody(body)
	redacted(b, strings.Repeat("learn", 100))
	return b
}

func TestRedact_EveryEscaping(t *testing.T) {
	t.Parallel()
	asJSON, err := json.Marshal(secret)
	require.NoError(t, err)
	var page strings.Builder
	require.NoError(t, template.Must(template.New("page").Parse("{{.}}")).Execute(&page, secret))
	echoes := map[string]string{
		"raw":                      secret,
		"query":                    url.QueryEscape(secret),
		"query, lower-case digits": strings.ToLower(url.QueryEscape(secret)),
		"path":                     url.PathEscape(secret),
		"path, lower-case digits":  strings.ToLower(url.PathEscape(secret)),
		"HTML":                     html.EscapeString(secret),
		"html/template":            page.String(),
		"JSON":                     inner(string(asJSON)),
		"Go":                       inner(strconv.Quote(secret)),
		"slashes only":             strings.ReplaceAll(secret, "/", `\/`),
	}
	body, err := json.Marshal(map[string]string{"tunnel_secret": secret})
	require.NoError(t, err)
	for source, redactor := range map[string]*redact.Redactor{
		"header": redactorOf(http.Header{"X-Auth-Key": {secret}}, nil),
		"body":   redactorOf(nil, body),
	} {
		for form, echo := range echoes {
			t.Run(source+", "+form, func(t *testing.T) {
				t.Parallel()
				assert.Equal(t, "before [REDACTED] after",
					redacted(redactor, "before "+echo+" after"))
				assert.Equal(t, "[REDACTED]", redacted(redactor, echo+echo))
			})
		}
	}
}

func TestRedact_AuthorizationHeader(t *testing.T) {
	t.Parallel()
	redactor := redactorOf(http.Header{"Authorization": {"Bearer cfut_abc"}}, nil)
	for echo, want := range map[string]string{
		"unknown token cfut_abc.":    "unknown token [REDACTED].",
		"header Bearer cfut_abc.":    "header [REDACTED].",
		"header Bearer+cfut_abc.":    "header [REDACTED].",
		"header bearer cfut_abc.":    "header bearer [REDACTED].",
		"a Bearer token is required": "a Bearer token is required",
	} {
		assert.Equal(t, want, redacted(redactor, echo))
	}
}

func TestRedact_HeaderNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"Authorization", "Proxy-Authorization", "X-Auth-Key", "X-API-KEY", "Cookie", "Cf-Access-Client-Secret",
		"Cf-Access-Token", "X-Password", "X-Credentials",
	} {
		redactor := redactorOf(http.Header{name: {"first-value", "second-value"}}, nil)
		assert.Equal(t, "[REDACTED] and [REDACTED]",
			redacted(redactor, "first-value and second-value"), name)
	}
	for _, name := range []string{"Accept", "Content-Type", "User-Agent", "X-Request-Id"} {
		redactor := redactorOf(http.Header{name: {"some-value"}}, nil)
		assert.Equal(t, "some-value", redacted(redactor, "some-value"), name)
	}
}

func TestRedact_NestedBody(t *testing.T) {
	t.Parallel()
	redactor := redactorOf(nil, []byte(`{
		"name": "plain-name", "count": 3, "enabled": true, "nothing": null, "TUNNEL_SECRET": "top-secret",
		"config": {"plain": ["plain-item"], "apiToken": "deep-token", "list": [{"password": "listed-password"}]},
		"credentials_file": {"AccountTag": "below-name", "more": [["below-lists", 1, null]]},
		"secret": ""
	}`))

	assert.Equal(t,
		"[REDACTED] [REDACTED] [REDACTED] [REDACTED] [REDACTED]",
		redacted(redactor, "top-secret deep-token listed-password below-name below-lists"))
	assert.Equal(t, "plain-name plain-item 3 true",
		redacted(redactor, "plain-name plain-item 3 true"))
}

func TestRedact_BodyOfAnyShape(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"", "null", `"tunnel_secret"`, "3", "[]", "{}", `{"secret":`, "not JSON", `{"secret":null}`,
	} {
		redactor := redactorOf(http.Header{"Authorization": {"Bearer abc-def"}}, []byte(body))
		assert.Equal(t, "tunnel_secret [REDACTED]", redacted(redactor, "tunnel_secret abc-def"),
			body)
	}
	redactor := redactorOf(nil, []byte(`[{"token":"abc-def"}]`))
	assert.Equal(t, "[REDACTED]", redacted(redactor, "abc-def"))
}

func TestRedact_TextWithoutSecret(t *testing.T) {
	t.Parallel()
	const text = "tunnel name taken: \"a\" <b> %2B \x00 ü"
	for name, redactor := range map[string]*redact.Redactor{
		"secrets elsewhere": redactorOf(http.Header{"Authorization": {"Bearer abc"}}, []byte(`{"tunnel_secret":"def-ghi"}`)),
		"empty secrets":     redactorOf(http.Header{"Authorization": {""}, "X-Auth-Key": {"", ""}}, []byte(`{"tunnel_secret":""}`)),
		"no secrets":        redactorOf(nil, nil),
	} {
		assert.Equal(t, text, redacted(redactor, text), name)
		assert.Empty(t, redacted(redactor, ""), name)
	}
}

// If the shorter secret were replaced first, the rest of the longer one would stay.
func TestRedact_CommonPrefix(t *testing.T) {
	t.Parallel()
	const short, long = "abc-def", "abc-def-ghi"
	for name, redactor := range map[string]*redact.Redactor{
		"short first":     redactorOf(http.Header{"X-Auth-Key": {short, long}}, nil),
		"long first":      redactorOf(http.Header{"X-Auth-Key": {long, short}}, nil),
		"header and body": redactorOf(http.Header{"Authorization": {"Bearer " + short}}, []byte(`{"tunnel_secret":"`+long+`"}`)),
	} {
		assert.Equal(t, "[REDACTED], [REDACTED], [REDACTED]-x",
			redacted(redactor, "abc-def-ghi, abc-def, abc-def-x"), name)
	}
}

func TestRedact_SecretInsideAnother(t *testing.T) {
	t.Parallel()
	redactor := redactorOf(http.Header{"X-Auth-Key": {"inner", "outer-inner-outer"}}, nil)

	assert.Equal(t, "[REDACTED], [REDACTED]", redacted(redactor, "outer-inner-outer, inner"))
}

// A percent escape in lower case does not mean that the letters around it are in lower case.
func TestRedact_LowerCaseEscapes(t *testing.T) {
	t.Parallel()
	redactor := redactorOf(http.Header{"X-Auth-Key": {"AB+/CD%EF"}}, nil)

	assert.Equal(t, "[REDACTED], [REDACTED]",
		redacted(redactor, "AB%2B%2FCD%25EF, AB%2b%2fCD%25EF"))
	assert.Equal(t, "ab%2b%2fcd%25ef", redacted(redactor, "ab%2b%2fcd%25ef"))
}

// The end of the secret that begins later must not stay.
func TestRedact_OverlappingSecrets(t *testing.T) {
	t.Parallel()
	const first, second, third = "abcdef", "defghi", "ghijkl"
	for name, redactor := range map[string]*redact.Redactor{
		"in order":        redactorOf(http.Header{"X-Auth-Key": {first, second, third}}, nil),
		"out of order":    redactorOf(http.Header{"X-Auth-Key": {third, first, second}}, nil),
		"header and body": redactorOf(http.Header{"Authorization": {"Bearer " + second}}, []byte(`{"secret":["`+first+`","`+third+`"]}`)),
	} {
		for text, want := range map[string]string{
			"abcdefghi":          "[REDACTED]",
			"xabcdefghix":        "x[REDACTED]x",
			"abcdefghijkl.":      "[REDACTED].",
			"defghijkl":          "[REDACTED]",
			"abcdef defghi":      "[REDACTED] [REDACTED]",
			"abcabcdefghi, defg": "abc[REDACTED], defg",
		} {
			assert.Equal(t, want, redacted(redactor, text), "%s, %s", text, name)
		}
	}
	repeating := redactorOf(http.Header{"X-Auth-Key": {"abab"}}, nil)
	assert.Equal(t, "[REDACTED]c", redacted(repeating, "abababc"), "a secret that overlaps itself")
}

func TestRedact_ShortSecret(t *testing.T) {
	t.Parallel()
	header := http.Header{"Authorization": {"a"}, "X-Auth-Key": {"Bearer nam", "e"}}
	redactor := redactorOf(header, []byte(`{"secret":"tun","token":["n","four"]}`))

	assert.Equal(t, "tunnel name n", redacted(redactor, "tunnel name n"))
	assert.Equal(t, "[REDACTED]teen", redacted(redactor, "fourteen"), "four bytes can be a secret")
}

func TestRedact_Concurrent(t *testing.T) {
	t.Parallel()
	redactor := redactorOf(http.Header{"Authorization": {"Bearer abc-def"}}, nil)
	texts := make(chan string, 8)
	for range cap(texts) {
		go func() { texts <- redacted(redactor, "abc-def") }()
	}
	for range cap(texts) {
		assert.Equal(t, "[REDACTED]", <-texts)
	}
}

func TestRedact_PartsOfALongSecret(t *testing.T) {
	t.Parallel()
	b := redactorOf(http.Header{"X-Auth-Key": {"abcdefghi1+2klmnopqrst/uv=="}}, nil)
	for echo, want := range map[string]string{
		"cut: abcdefghi…": "cut: [REDACTED]…",
		"abcdefghi1&#x2B;2klmnopqrst&#x2F;uv&#x3D;&#x3D;": "[REDACTED]",
		"abcdefghi1 2klmnopqrst/uv":                       "[REDACTED]",
		"abcdefghi1-2klmnopqrst_uv":                       "[REDACTED]",
		"abcdefgh, abcdefghi1k":                           "[REDACTED], [REDACTED]k",
		"abcdefg is too short for it":                     "abcdefg is too short for it",
	} {
		assert.Equal(t, want, redacted(b, echo))
	}
}

func TestRedact_WordsOfASecret(t *testing.T) {
	t.Parallel()
	b := redactorOf(http.Header{
		"X-Auth-Key": {"readonly-token"}, "X-Auth-Email": {"operator@example.com"},
	}, nil)
	const text = "the operator of a readonly account, operator@example.com"
	assert.Equal(t, text, redacted(b, text))
	assert.Equal(t, "[REDACTED]", redacted(b, "readonly-token"))
}

func TestRedact_QueriesAndCookies(t *testing.T) {
	t.Parallel()
	b := new(redact.Redactor)
	b.AddURL("https://example.com/a?token=query-secret&name=visible")
	b.AddHeader(http.Header{"Cookie": {"session=cookie-secret; theme=dark-mode"}})
	assert.Equal(t, "[REDACTED] visible [REDACTED]",
		redacted(b, "query-secret visible cookie-secret"))
}

func TestRedact_EarlierAttempts(t *testing.T) {
	t.Parallel()
	b := new(redact.Redactor)
	b.AddHeader(http.Header{"Authorization": {"Bearer first-token"}})
	assert.Equal(t, "[REDACTED]", redacted(b, "first-token"))
	b.AddHeader(http.Header{"Authorization": {"Bearer second-token"}})
	assert.Equal(t, "[REDACTED] [REDACTED]", redacted(b, "first-token second-token"))
}
