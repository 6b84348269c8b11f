// Package redact blots secrets that were sent out of texts that came back.
package redact

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Mark stands where a secret stood.
const Mark = "[REDACTED]"

// minLength is that of a text which can be a secret. A shorter one would blot parts of words.
const minLength = 4

// A run of letters and digits in a secret is blotted wherever it stands, since no encoding changes it and an echo that is cut still has it:
// from minRun characters on where it has a digit, from minWord on where it may be a word.
const (
	minRun  = 8
	minWord = 16
)

// Blotter replaces the secrets of one call, in each form in which a server is likely to echo them. It looks for secrets in what was sent
// when the first text is to be blotted. It is not safe for concurrent use.
type Blotter struct {
	// What was sent and not looked at yet.
	header http.Header
	body   []byte
	url    string

	secrets []string
	forms   []string // of the secrets
	formed  bool     // whether the forms were needed and are known
}

// AddHeader makes the secrets in a request's headers known.
func (b *Blotter) AddHeader(header http.Header) {
	if b.header != nil {
		b.learn()
	}
	b.header = header
}

// AddBody does the same for a JSON body.
func (b *Blotter) AddBody(body []byte) {
	if b.body != nil {
		b.learn()
	}
	b.body = body
}

// AddURL does the same for the query of a URL.
func (b *Blotter) AddURL(rawURL string) {
	if b.url != "" {
		b.learn()
	}
	b.url = rawURL
}

func (b *Blotter) learn() {
	if b.header == nil && b.body == nil && b.url == "" {
		return
	}
	b.secrets = inHeader(b.secrets, b.header)
	b.secrets = inBody(b.secrets, b.body)
	b.secrets = inURL(b.secrets, b.url)
	b.header, b.body, b.url = nil, nil, ""
	b.forms, b.formed = nil, false
}

// Blot returns s without the secrets.
func (b *Blotter) Blot(s string) string {
	if s == "" {
		return s
	}
	b.learn()
	if !b.formed && b.canHold(s) {
		b.forms, b.formed = formsOf(b.secrets), true
	}
	var spans []span
	for _, form := range b.forms {
		spans = append(spans, spansOf(form, s)...)
	}
	for _, secret := range b.secrets {
		spans = append(spans, partsOf(secret, s)...)
	}
	if len(spans) == 0 {
		return s
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(b.to, a.to)) })
	var out strings.Builder
	end := 0
	for _, found := range spans {
		// Secrets that overlap are one stain: the tail of the second must not stay.
		if found.from >= end {
			out.WriteString(s[end:found.from])
			out.WriteString(Mark)
		}
		end = max(end, found.to)
	}
	out.WriteString(s[end:])
	return out.String()
}

// canHold reports whether a secret has room in s: no form of it is shorter than the secret itself.
func (b *Blotter) canHold(s string) bool {
	return slices.ContainsFunc(b.secrets, func(secret string) bool { return len(secret) <= len(s) })
}

// span is where a secret stands in a text.
type span struct{ from, to int }

// partsOf finds where a piece of a long run of letters and digits of the secret stands in s, whatever of it was cut.
func partsOf(secret, s string) []span {
	var spans []span
	for run := range strings.FieldsFuncSeq(secret, isNotAlphanumeric) {
		if len(run) < minRun || len(run) < minWord && !strings.ContainsAny(run, "0123456789") {
			continue
		}
		if len(s) < len(run) {
			// Less to look for the other way round.
			for at := 0; at+minRun <= len(s); at++ {
				if strings.Contains(run, s[at:at+minRun]) {
					spans = append(spans, span{at, at + minRun})
				}
			}
			continue
		}
		for at := 0; at+minRun <= len(run); at++ {
			spans = append(spans, spansOf(run[at:at+minRun], s)...)
		}
	}
	return spans
}

// spansOf finds every place of text in s, those that overlap too.
func spansOf(text, s string) []span {
	var spans []span
	for from := 0; ; {
		i := strings.Index(s[from:], text)
		if i < 0 {
			return spans
		}
		spans = append(spans, span{from + i, from + i + len(text)})
		from += i + 1
	}
}

func isNotAlphanumeric(r rune) bool {
	return !('0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
}

// htmlEscapes are those of package html, whose entities would weigh more in a program than the rest of this package.
var htmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")

func formsOf(secrets []string) []string {
	var forms []string
	for _, secret := range secrets {
		if len(secret) < minLength {
			continue
		}
		quoted, _ := json.Marshal(secret)
		goQuoted := strconv.Quote(secret)
		escaped := htmlEscapes.Replace(secret)
		forms = append(forms,
			secret, url.QueryEscape(secret), url.PathEscape(secret), lowerPercent(url.QueryEscape(secret)), lowerPercent(url.PathEscape(secret)),
			escaped, strings.ReplaceAll(escaped, "+", "&#43;"),
			strings.ReplaceAll(secret, "/", `\/`), string(quoted[1:len(quoted)-1]), goQuoted[1:len(goQuoted)-1],
		)
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

// lowerPercent writes the digits of percent escapes in lower case, as some servers do.
func lowerPercent(escaped string) string {
	b := []byte(escaped)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}

func inHeader(secrets []string, header http.Header) []string {
	for name, values := range header {
		switch name {
		case "Accept", "Content-Type", "User-Agent", "X-Auth-Email":
			continue
		}
		if !isSecretName(name) {
			continue
		}
		for _, value := range values {
			if _, credential, found := strings.Cut(value, " "); found {
				secrets = append(secrets, value, strings.TrimSpace(credential))
			} else {
				secrets = append(secrets, value)
			}
			if name != "Cookie" {
				continue
			}
			if cookies, err := http.ParseCookie(value); err == nil {
				for _, cookie := range cookies {
					secrets = append(secrets, cookie.Value)
				}
			}
		}
	}
	return secrets
}

func inBody(secrets []string, body []byte) []string {
	var value any
	if len(body) == 0 || json.Unmarshal(body, &value) != nil {
		return secrets
	}
	return inJSON(secrets, value, false)
}

func inURL(secrets []string, rawURL string) []string {
	_, query, found := strings.Cut(rawURL, "?")
	if !found {
		return secrets
	}
	values, _ := url.ParseQuery(query)
	for name, list := range values {
		if isSecretName(name) {
			secrets = append(secrets, list...)
		}
	}
	return secrets
}

func inJSON(secrets []string, value any, secret bool) []string {
	switch value := value.(type) {
	case string:
		if secret {
			secrets = append(secrets, value)
		}
	case []any:
		for _, item := range value {
			secrets = inJSON(secrets, item, secret)
		}
	case map[string]any:
		for name, item := range value {
			secrets = inJSON(secrets, item, secret || isSecretName(name))
		}
	}
	return secrets
}

func isSecretName(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(
		[]string{"auth", "secret", "token", "pass", "pwd", "psk", "private", "key", "cookie", "credential"},
		func(part string) bool { return strings.Contains(name, part) },
	)
}
