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
	// maxSecrets and maxCount bound the bytes and the number of secrets that are looked for. With more
	// of them, nothing is shown.
	maxSecrets = 64 << 10
	maxCount   = 1000
)

type (
	gram  [gramLength]byte // in lower case
	start [minLength]byte
)

// Redactor replaces the secrets of one call, in each form in which a server is likely to echo them,
// and what looks like a secret. It looks for secrets in what was sent when the first text is redacted.
// It is not safe for concurrent use.
type Redactor struct {
	// What was sent, until it is searched.
	header  http.Header
	bodies  [][]byte
	urls    []string
	secrets []string

	known    map[string]struct{}
	size     int                // of the known secrets
	forms    map[start][]string // by their beginnings
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

// Redact returns the first max bytes of s without secrets, and "…" if there was more. It looks at
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
	if keep == 0 {
		return "…"
	}
	s = s[:min(len(s), keep+maxForm)]
	var edges []int // of what is hidden: how many parts of it begin there, less those that end there
	hide := func(from, to int) {
		if edges == nil {
			edges = make([]int, len(s)+1)
		}
		edges[from]++
		edges[to]--
	}
	r.look(view{text: []byte(s)}, hide)
	if v, ok := decodedView(s); ok {
		r.look(v, hide)
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
				out.WriteString(Mark) // secrets that overlap are one
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

// look hides what is a secret, or looks like one.
func (r *Redactor) look(v view, hide func(from, to int)) {
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

// hideGrams finds the pieces of secrets in a view, whatever separates their letters and digits.
func (r *Redactor) hideGrams(v view, hide func(from, to int)) {
	if len(r.grams) == 0 {
		return
	}
	var window gram
	var at [gramLength]int // where in the view the bytes of the window are
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
