package redact_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/redact"
)

// unknown are secrets that the client did not send.
var unknown = map[string]string{
	"API token":                     "V1StGXR8_Z5jdHi6BmyT0qWe-Kx4PzLr7NbVc2Uw",
	"API key":                       "c2547eb745079dac9320b638f5e225cf483cc",
	"tunnel secret":                 "AQIDBAUGBwgBAgMEBQYHCAECAwQFBgcIAQIDBAUGBwg=",
	"secret with + and /":           "q8+Zx/7Kp2+Lw9/Rt4+Vb1/Nm6+Qs3=",
	"tunnel token":                  "eyJhIjoiMDEyMzQ1Njc4OWFiY2RlZiIsInQiOiJmNzBmIiwicyI6IkFRSURCQVVHIn0=",
	"API token with a prefix":       "cfut_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	"upper-case letters and digits": "AKIAIOSFODNN7EXAMPLE42Q9",
}

func TestRedact_UnknownSecrets(t *testing.T) {
	t.Parallel()
	for name, secret := range unknown {
		for place, text := range map[string]string{
			"alone":            "%",
			"in a sentence":    "the token % is not valid",
			"in HTML":          "<html><pre>%</pre></html>",
			"in JSON":          `{"token":"%"}`,
			"in a URL":         "https://example.com/path/of/words/%/more?x=1",
			"after an ID":      "f70ff985-a4ef-4643-bbbc-4a0ed4fc8415 %",
			"in Go quotes":     `"\"%\""`,
			"after many words": strings.Repeat("word ", 100) + "%",
		} {
			plain := strings.ReplaceAll(text, "%", secret)
			escaped := strings.ReplaceAll(text, "%", url.QueryEscape(secret))
			shown := new(redact.Redactor).Redact(plain, 4<<10) +
				new(redact.Redactor).Redact(escaped, 4<<10)
			assert.Contains(t, shown, redact.Mark, "%s, %s", name, place)
			assert.NotContains(t, shown, secret[:12], "%s, %s", name, place)
			assert.NotContains(t, shown, secret[len(secret)-12:], "%s, %s", name, place)
		}
	}
}

func TestRedact_UnknownSecretInPieces(t *testing.T) {
	t.Parallel()
	const secret = "eyJhIjoiMDEyMzQ1Njc4OWFiY2RlZiIsInQiOiJmNzBmIiwicyI6IkFRSURCQVVHIn0"
	for _, separator := range []string{
		"\n", "\r\n", "<br>", "<br />\n", "<wbr>", `\n`, " ", "%0A", "&#10;", `\u000a`,
	} {
		var pieces []string
		for rest := secret; rest != ""; rest = rest[min(len(rest), 20):] {
			pieces = append(pieces, rest[:min(len(rest), 20)])
		}
		shown := new(redact.Redactor).Redact("token "+strings.Join(pieces, separator), 4<<10)
		for _, piece := range pieces {
			assert.NotContains(t, shown, piece, "%q", separator)
		}
	}
}

func TestRedact_WordsAndIDsStay(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"tunnel f70ff985-a4ef-4643-bbbc-4a0ed4fc8415 of account 0123456789abcdef0123456789abcdef not found",
		"f70ff985-a4ef-4643-bbbc-4a0ed4fc8415, a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11, 9b2e4c1d-77aa-4b3c-8d5e-1f2a3b4c5d6e",
		"8f2ab1234567890a-FRA",
		"dial tcp [2606:4700:0db8:85a3:8a2e:0370:7334:1a2b]:443: connect: connection refused",
		"x509: certificate is valid for a1b2c3.example.com, *.x9y8z7.example.com",
		`Get "https://vault-7d9f8b6c5-x2x4z.vault.svc.cluster.local:8200/v1/kv/data": context deadline exceeded`,
		"https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/methods/get/",
		"cftunnel-go v0.0.0-20240102030405-1a2b3c4d5e6f",
		"at 2026-01-02T03:04:05.123456Z until 2026-01-02T03:04:05.123456+02:00",
		"/tmp/TestFoo2284719/001/token: no such file or directory",
		`open C:\Users\Anna2\AppData\Local\Temp\x1y2z3\tok.txt: Access is denied.`,
		"00:1b:44:11:3a:b7 6c:1f:88:0a:3c:2d",
		"ip-10-12-13-14.eu-central-1.compute.internal",
		"error code: 1020 Ray ID: 8f2ab1234567890a IP 203.0.113.7",
		"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>",
		"tls: failed to verify certificate: x509: certificate has expired or is not yet valid",
		"100% of <3 & more, a=1&b=2; 50%25 %zz &unknown; &#xzz; \\u12 \\",
	} {
		assert.Equal(t, text, new(redact.Redactor).Redact(text, 4<<10))
	}
}

func TestRedact_SentSecretInPieces(t *testing.T) {
	t.Parallel()
	const secret = "a1b+c2d/e3f=g4h+i5j/k6l"
	for name, replace := range map[string][]string{
		"tags":                   {"+", "+<wbr>", "/", "/<wbr/>", "=", "=<br>"},
		"lines":                  {"+", "+\n", "/", "/\r\n", "=", "=\n"},
		"percent":                {"+", "%2B", "/", "%2f", "=", "%3D"},
		"percent, escaped again": {"+", "%252B", "/", "%25252F", "=", "%253d"},
		"entities":               {"+", "&#43;", "/", "&#x2F;", "=", "&equals;"},
		"entities for letters":   {"a", "&#97;", "c", "&#x63;", "e", "&#X65;"},
		"JSON":                   {"+", `\u002b`, "/", `\/`, "=", `\u003D`},
		"JSON, escaped again":    {"+", `\\u002b`, "/", `\\/`},
		"single characters":      {"", " "},
		"table cells":            {"", "</td><td>"},
		"in upper case":          {"a", "A", "b", "B", "c", "C", "d", "D", "e", "E", "f", "F", "g", "G", "h", "H"},
	} {
		redactor := redactorOf(http.Header{"X-Auth-Key": {secret}}, nil)
		text := strings.NewReplacer(replace...).Replace(secret)
		if replace[0] == "" {
			text = strings.Join(strings.Split(secret, ""), replace[1])
		}
		shown := redacted(redactor, "key "+text+" is wrong")
		assert.Regexp(t, `^key \S*`, shown)
		assert.Contains(t, shown, redact.Mark, name)
		letters := strings.Map(func(r rune) rune {
			if strings.ContainsRune("abcdefghijkl123456", r|0x20) && r != ' ' {
				return r
			}
			return -1
		}, strings.NewReplacer("key ", "", " is wrong", "", redact.Mark, "").Replace(shown))
		assert.Less(t, len(letters), 8, "%s: %s", name, shown)
	}
}

// The test does not know how fast its machine is, so it compares with the time to validate the
// body.
//
//nolint:paralleltest // other tests would count too
func TestRedact_WorkIsBounded(t *testing.T) {
	long := strings.Repeat("word ", 1<<20)
	for name, body := range map[string]string{
		"one long secret":      `{"token":"` + strings.Repeat("aB3+", 4<<20) + `"}`,
		"one long text":        `{"name":"` + strings.Repeat("aB3+", 4<<20) + `"}`,
		"many secrets":         `{"token":[` + strings.Repeat(`"abcd1234",`, 1<<18) + `""]}`,
		"many escapes":         `{"token":"` + strings.Repeat(`\"`, 4<<20) + `"}`,
		"many backslashes":     `{"token":"` + strings.Repeat(`\\`, 4<<20) + `"}`,
		"many names":           `{"a":[` + strings.Repeat(`{"token":""},`, 1<<18) + `{}]}`,
		"many similar secrets": `{"token":[` + strings.Repeat(`"word word word word word word word word word word w",`, 999) + `"word word x"]}`,
		"many lists":           strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000),
	} {
		// The work for a short body is compared with that for one of 1 MiB.
		began := time.Now()
		for range 4 * max(1, 1<<20/len(body)) {
			require.True(t, json.Valid([]byte(body)))
		}
		reference := time.Since(began)

		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began = time.Now()
		redactor := new(redact.Redactor)
		redactor.AddBody([]byte(body))
		assert.Less(t, len(redacted(redactor, "word")), 20)
		for range 8 {
			assert.Less(t, len(redactor.Redact(long, 1<<10)), 1<<10+4)
		}
		assert.Less(t, time.Since(began), 20*reference+20*time.Millisecond, name)
		runtime.ReadMemStats(&after)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(3*len(body)+4<<20), name)
	}
}
