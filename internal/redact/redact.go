// Package redact removes secrets that were sent from texts that came back.
package redact

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Mark replaces a secret.
const Mark = "[REDACTED]"

const (
	// minLength is that of a text which can be a secret. A shorter one would remove parts of words.
	minLength = 4
	// gramLength is the length of the pieces that a secret is recognized by, its separators left out:
	// an echo may be cut, split or escaped.
	gramLength = 8
	// minWordLength is the length from which on a secret without a digit is recognized by its pieces.
	minWordLength = 16
	// maxForm bounds how far beyond the text that is kept a secret is looked for.
	maxForm = 4 << 10
	// maxSecrets bounds the bytes of secrets that are looked for. With more of them, nothing is shown.
	maxSecrets = 64 << 10
)

type gram [gramLength]byte

// Redactor replaces the secrets of one call, in each form in which a server is likely to echo them.
// It looks for secrets in what was sent when the first text is redacted. It is not safe for
// concurrent use.
type Redactor struct {
	// What was sent, until it is searched.
	header  http.Header
	bodies  [][]byte
	urls    []string
	secrets []string

	known    map[string]struct{}
	size     int // of the known secrets
	forms    []string
	grams    map[gram]struct{}
	withhold bool // there are too many secrets to look for
}

// AddHeader adds the secrets in a request's headers.
func (r *Redactor) AddHeader(header http.Header) {
	if r.header != nil {
		r.learn()
	}
	r.header = header
}

// AddBody adds the secrets in a JSON body.
func (r *Redactor) AddBody(body []byte) { r.bodies = append(r.bodies, body) }

// AddURL adds the secrets in the query of a URL.
func (r *Redactor) AddURL(rawURL string) { r.urls = append(r.urls, rawURL) }

// AddSecret adds a secret.
func (r *Redactor) AddSecret(secret string) { r.secrets = append(r.secrets, secret) }

func (r *Redactor) learn() {
	if r.header == nil && r.bodies == nil && r.urls == nil && r.secrets == nil {
		return
	}
	secrets := inHeader(r.secrets, r.header)
	for _, body := range r.bodies {
		secrets = inBody(secrets, body)
	}
	for _, rawURL := range r.urls {
		secrets = inURL(secrets, rawURL)
	}
	r.header, r.bodies, r.urls, r.secrets = nil, nil, nil, nil
	for _, secret := range secrets {
		if _, ok := r.known[secret]; ok || len(secret) < minLength {
			continue
		}
		if r.known == nil {
			r.known = map[string]struct{}{}
		}
		r.known[secret] = struct{}{}
		if r.size += len(secret); r.size > maxSecrets {
			r.withhold = true
			return
		}
		r.addForms(secret)
	}
}

func (r *Redactor) addForms(secret string) {
	r.forms = append(r.forms, formsOf(secret)...)
	plain := make([]byte, 0, len(secret))
	digit := false
	for _, c := range []byte(secret) {
		if isAlphanumeric(c) {
			plain = append(plain, c)
			digit = digit || c <= '9'
		}
	}
	if len(plain) < minWordLength && !digit {
		return
	}
	for at := 0; at+gramLength <= len(plain); at++ {
		if r.grams == nil {
			r.grams = map[gram]struct{}{}
		}
		r.grams[gram(plain[at:])] = struct{}{}
	}
}

// Redact returns the first max bytes of s without the secrets, and "…" if there was more. It looks at
// little more of s than that.
func (r *Redactor) Redact(s string, max int) string {
	if s == "" {
		return s
	}
	r.learn()
	if r.withhold {
		return Mark
	}
	shorter := truncate(s, max)
	keep := len(shorter)
	cut := keep < len(s)
	s = s[:min(len(s), keep+maxForm)]
	hidden := make([]bool, 0, len(s)) // allocated with the first secret that is found
	hide := func(from, to int) {
		hidden = hidden[:len(s)]
		for i := from; i < to; i++ {
			hidden[i] = true
		}
	}
	for _, form := range r.forms {
		for from := 0; from <= len(s); from++ {
			i := strings.Index(s[from:], form)
			if i < 0 {
				break
			}
			from += i
			hide(from, from+len(form))
		}
	}
	r.hideGrams(s, hide)
	hideTokens(s, hide)

	if len(hidden) > 0 {
		var out strings.Builder
		for i := 0; i < keep; i++ {
			switch {
			case !hidden[i]:
				out.WriteByte(s[i])
			case i == 0 || !hidden[i-1]:
				out.WriteString(Mark) // secrets that overlap are one
			}
		}
		shorter = truncate(out.String(), max)
		cut = cut || len(shorter) < out.Len()
	}
	if cut {
		shorter += "…"
	}
	return shorter
}

// truncate returns at most n bytes of s, whole characters only.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// hideGrams finds the pieces of secrets in s, whatever separates their letters and digits.
func (r *Redactor) hideGrams(s string, hide func(from, to int)) {
	if len(r.grams) == 0 {
		return
	}
	var window gram
	var at [gramLength]int // where in s the bytes of the window are
	n := 0
	for i := range len(s) {
		if !isAlphanumeric(s[i]) {
			continue
		}
		copy(window[:], window[1:])
		copy(at[:], at[1:])
		window[gramLength-1], at[gramLength-1] = s[i], i
		if n++; n < gramLength {
			continue
		}
		if _, ok := r.grams[window]; ok {
			hide(at[0], i+1)
		}
	}
}

// tokenPrefixes are the beginnings of Cloudflare's tokens and keys, and of JSON objects in base64.
var tokenPrefixes = []string{"cfut_", "cfat_", "cfk_", "eyJ"}

// minToken is shorter than any token.
const minToken = 20

// hideTokens finds what looks like a token, also one that was not sent.
func hideTokens(s string, hide func(from, to int)) {
	for _, prefix := range tokenPrefixes {
		for from := 0; ; {
			i := strings.Index(s[from:], prefix)
			if i < 0 {
				break
			}
			from += i
			end := from
			for end < len(s) && (isAlphanumeric(s[end]) || strings.IndexByte("_-+/=.%", s[end]) >= 0) {
				end++
			}
			if end-from >= minToken {
				hide(from, end)
			}
			from = end
		}
	}
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// htmlEscapes are those of package html, whose entities would take more of a program than the rest of
// this package.
var htmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")

func formsOf(secret string) []string {
	quoted, _ := json.Marshal(secret)
	goQuoted := strconv.Quote(secret)
	escaped := htmlEscapes.Replace(secret)
	query, path := url.QueryEscape(secret), url.PathEscape(secret)
	forms := []string{
		secret, query, path, lowerPercent(query), lowerPercent(path),
		escaped, strings.ReplaceAll(escaped, "+", "&#43;"), strings.ReplaceAll(secret, "/", `\/`),
		string(quoted[1 : len(quoted)-1]), goQuoted[1 : len(goQuoted)-1],
	}
	slices.Sort(forms[1:])
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
			secrets = append(secrets, value)
			if _, credential, found := strings.Cut(value, " "); found {
				secrets = append(secrets, strings.TrimSpace(credential))
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
