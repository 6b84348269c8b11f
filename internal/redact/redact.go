// Package redact removes secrets from error texts and responses: those that the client sent, and
// text that looks like a secret.
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
	// minLength is the minimum length of a secret. Shorter secrets would match parts of words.
	minLength = 4
	// gramLength is the length of the pieces by which a secret is recognized if the server cut,
	// split or escaped it. Pieces have only the letters and digits of the secret.
	gramLength = 8
	// minWordLength is the minimum length for recognizing a secret without a digit by its pieces.
	minWordLength = 16
	// maxForm is the number of bytes after the kept text in which the rest of a secret is looked
	// for.
	maxForm = 4 << 10
	// maxSecrets and maxCount are the maximum size, in bytes, and the maximum number of all
	// secrets. If there are more, the whole text is redacted.
	maxSecrets = 64 << 10
	maxCount   = 1000
)

type (
	gram  [gramLength]byte // in lower case
	start [minLength]byte
)

// Redactor redacts the secrets of one call, in every form in which a server is likely to repeat
// them, and text that looks like a secret. It collects the secrets from the requests when it
// redacts the first text. It is not safe for concurrent use.
type Redactor struct {
	// These are the parts of requests whose secrets are not collected yet.
	header  http.Header
	bodies  [][]byte
	urls    []string
	secrets []string

	known    map[string]struct{}
	size     int                // the total length of known
	forms    map[start][]string // forms of known secrets by their first bytes
	grams    map[gram]struct{}
	withhold bool // whether there are too many secrets, so that the whole text is redacted
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
	for _, secret := range r.secrets {
		r.add(secret)
	}
	r.addHeader(r.header)
	for _, body := range r.bodies {
		r.addBody(body)
	}
	for _, rawURL := range r.urls {
		r.addURL(rawURL)
	}
	r.header, r.bodies, r.urls, r.secrets = nil, nil, nil, nil
}

// add makes a secret known.
func (r *Redactor) add(secret string) {
	if _, ok := r.known[secret]; ok || len(secret) < minLength || r.withhold {
		return
	}
	if r.size += len(secret); r.size > maxSecrets || len(r.known) == maxCount {
		r.withhold = true
		return
	}
	if r.known == nil {
		r.known, r.forms, r.grams = map[string]struct{}{}, map[start][]string{}, map[gram]struct{}{}
	}
	r.known[secret] = struct{}{}
	for _, form := range formsOf(secret) {
		begin := start([]byte(form[:minLength]))
		r.forms[begin] = append(r.forms[begin], form)
	}
	plain := make([]byte, 0, len(secret))
	hasDigit := false
	for _, c := range []byte(secret) {
		if isAlphanumeric(c) {
			plain = append(plain, lowerCase(c))
			hasDigit = hasDigit || c <= '9'
		}
	}
	if len(plain) < minWordLength && !hasDigit {
		return
	}
	for at := 0; at+gramLength <= len(plain); at++ {
		r.grams[gram(plain[at:])] = struct{}{}
	}
}

// Redact returns the first max bytes of s with secrets redacted, followed by "…" if s is longer. It
// reads at most maxForm bytes more of s.
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
	if keep == 0 {
		return "…"
	}
	s = s[:min(len(s), keep+maxForm)]
	// edges has, for each position, the number of hidden parts that begin there minus the number of
	// those that end there.
	var edges []int
	hide := func(from, to int) {
		if edges == nil {
			edges = make([]int, len(s)+1)
		}
		edges[from]++
		edges[to]--
	}
	r.hideAll(view{text: []byte(s)}, hide)
	if v, ok := decodedView(s); ok {
		r.hideAll(v, hide)
	}
	if edges != nil {
		var out strings.Builder
		hidden, wasHidden := 0, false
		for i := range keep {
			hidden += edges[i]
			switch {
			case hidden == 0:
				out.WriteByte(s[i])
			case !wasHidden:
				out.WriteString(Mark) // overlapping secrets share one mark
			}
			wasHidden = hidden > 0
		}
		shorter = truncate(out.String(), max)
		cut = cut || len(shorter) < out.Len()
	}
	if cut {
		shorter += "…"
	}
	return shorter
}

// hideAll hides known secrets and text that looks like a secret.
func (r *Redactor) hideAll(v view, hide func(from, to int)) {
	r.hideForms(v, hide)
	r.hideGrams(v, hide)
	hideTokens(v, hide)
	hideRandom(v, hide)
}

func (r *Redactor) hideForms(v view, hide func(from, to int)) {
	for i := 0; len(r.forms) > 0 && i+minLength <= len(v.text); i++ {
		for _, form := range r.forms[start(v.text[i:])] {
			if len(form) <= len(v.text)-i && string(v.text[i:i+len(form)]) == form {
				hide(v.start(i), v.end(i+len(form)-1))
			}
		}
	}
}

// truncate returns at most the first n bytes of s. It does not cut a character.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// hideGrams hides the pieces of secrets, whatever separates their letters and digits.
func (r *Redactor) hideGrams(v view, hide func(from, to int)) {
	if len(r.grams) == 0 {
		return
	}
	var window gram
	var at [gramLength]int // the positions of the window's bytes in the view
	n := 0
	for i, c := range v.text {
		if !isAlphanumeric(c) {
			continue
		}
		copy(window[:], window[1:])
		copy(at[:], at[1:])
		window[gramLength-1], at[gramLength-1] = lowerCase(c), i
		if n++; n < gramLength {
			continue
		}
		if _, ok := r.grams[window]; ok {
			hide(v.start(at[0]), v.end(i))
		}
	}
}

func lowerCase(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// htmlEscapes escapes as package html does. That package has a large table of entities, which would
// make programs bigger.
var htmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'",
	"&#39;")

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

// lowerPercent converts the digits of percent escapes to lower case, as some servers do.
func lowerPercent(escaped string) string {
	b := []byte(escaped)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}
