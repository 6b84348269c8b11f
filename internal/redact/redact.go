// Package redact blots secrets that were sent out of texts that came back.
package redact

import (
	"bytes"
	"cmp"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Mark stands where a secret stood.
const Mark = "[REDACTED]"

// minLength is that of a text which can be a secret. A shorter one would blot parts of words.
const minLength = 4

// Blotter replaces the secrets of one request, in each form in which a server is likely to echo them.
type Blotter struct{ forms func() []string }

// New returns a Blotter for the secrets in a request's headers and JSON body. It looks for them when the first text is to be blotted.
func New(header http.Header, body []byte) Blotter {
	return Blotter{sync.OnceValue(func() []string { return formsOf(header, body) })}
}

// Blot returns s without the secrets.
func (b Blotter) Blot(s string) string {
	if s == "" {
		return s
	}
	var spans []span
	for _, form := range b.forms() {
		for from := 0; ; {
			i := strings.Index(s[from:], form)
			if i < 0 {
				break
			}
			spans = append(spans, span{from + i, from + i + len(form)})
			from += i + 1
		}
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

// span is where a secret stands in a text.
type span struct{ from, to int }

func formsOf(header http.Header, body []byte) []string {
	secrets := inHeader(header)
	if len(body) > 0 {
		var value any
		if json.Unmarshal(body, &value) == nil {
			secrets = inJSON(secrets, value, false)
		}
	}
	var forms []string
	for _, secret := range secrets {
		if len(secret) < minLength {
			continue
		}
		quoted, _ := json.Marshal(secret)
		goQuoted := strconv.Quote(secret)
		escaped := html.EscapeString(secret)
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

func inHeader(header http.Header) []string {
	var secrets []string
	for name, values := range header {
		if !isSecretName(name) {
			continue
		}
		for _, value := range values {
			secrets = append(secrets, value)
			if _, credential, found := strings.Cut(value, " "); found {
				secrets = append(secrets, credential)
			}
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
		[]string{"auth", "secret", "token", "password", "key", "cookie", "credential"},
		func(part string) bool { return strings.Contains(name, part) },
	)
}
