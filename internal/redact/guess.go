package redact

import (
	"bytes"
	"strings"
)

// This file guesses secrets that the client did not send: a token in an unexpected part of a
// response, or one that an error of the caller quotes.

// tokenPrefixes are the prefixes of Cloudflare's tokens and keys, and of JSON objects in base64.
var tokenPrefixes = []string{"cfut_", "cfat_", "cfk_", "eyJ"}

const (
	// minToken is the minimum length of a token. Known tokens are longer.
	minToken = 20
	// minSplitToken is the minimum total length of the pieces of a token that is split.
	minSplitToken = 32
	// minWord is the minimum length of a word. Shorter pieces may be part of a token.
	minWord = 4
)

// hideTokens hides text that begins with a token's prefix.
func hideTokens(v view, hide func(from, to int)) {
	for _, prefix := range tokenPrefixes {
		for from := 0; ; {
			i := bytes.Index(v.text[from:], []byte(prefix))
			if i < 0 {
				break
			}
			from += i
			end := from
			for end < len(v.text) && isOfToken(v.text[end]) {
				end++
			}
			if end-from >= minToken {
				hide(v.start(from), v.end(end-1))
			}
			from = end
		}
	}
}

// isOfToken reports whether a token with a prefix can have the character c.
func isOfToken(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("_-+/=.%", c) >= 0 }

// hideRandom hides text that looks random: it often changes between upper case, lower case and
// digits. The text may be split into several pieces. IDs of accounts, zones and tunnels are not
// hidden.
func hideRandom(v view, hide func(from, to int)) {
	// joined are the latest pieces that are separated only by joints. all are the latest pieces
	// that are separated by anything except words.
	var joined, all run
	flush := func(r *run, isToken bool) {
		if isToken {
			hide(v.start(r.from), v.end(r.to-1))
		}
		*r = run{}
	}
	for at := 0; at < len(v.text); at++ {
		if !isAlphanumeric(v.text[at]) {
			continue
		}
		from := at
		n := idLength(v.text[from:])
		for at += n; at < len(v.text) && isAlphanumeric(v.text[at]); {
			at++
		}
		p := newRun(v.text, from, at)
		isWord := n > 0 || p.changes == 0 && p.length >= minWord
		if isWord || !isJoint(v.text[joined.to:from]) {
			flush(&joined, joined.isToken())
		}
		switch {
		case isWord:
			flush(&all, all.isSplitToken())
		case p.changes > 0:
			joined.add(p)
			all.add(p)
		case joined.length > 0:
			joined.add(p)
		}
	}
	flush(&joined, joined.isToken())
	flush(&all, all.isSplitToken())
}

// run is one or more pieces of letters and digits.
type run struct {
	from, to, length, pieces int
	// changes is the number of characters whose class differs from the character before. The change
	// from an initial capital to a small letter does not count.
	changes            int
	hasUpper, hasLower bool
}

func newRun(text []byte, from, to int) run {
	r := run{from: from, to: to, length: to - from, pieces: 1}
	for i := from; i < to; i++ {
		now := class(text[i])
		r.hasUpper, r.hasLower = r.hasUpper || now == upper, r.hasLower || now == lower
		if i == from {
			continue
		}
		before := class(text[i-1])
		beginsWord := before == upper && now == lower && (i-1 == from || class(text[i-2]) != upper)
		if before != now && !beginsWord {
			r.changes++
		}
	}
	return r
}

func (r *run) add(p run) {
	if r.length == 0 {
		r.from = p.from
	}
	r.to = p.to
	r.length += p.length
	r.pieces += p.pieces
	r.changes += p.changes
	r.hasUpper, r.hasLower = r.hasUpper || p.hasUpper, r.hasLower || p.hasLower
}

// isToken reports whether joined pieces look like a token. Several pieces in one case are more
// likely a hostname.
func (r *run) isToken() bool {
	isName := r.pieces > 1 && !(r.hasUpper && r.hasLower)
	return r.length >= minToken && 5*r.changes >= r.length && !isName
}

// isSplitToken reports whether pieces that are not joined look like a token.
func (r *run) isSplitToken() bool {
	return r.length >= minSplitToken && 4*r.changes >= r.length
}

// isJoint reports whether the text between two pieces can be part of a token.
func isJoint(between []byte) bool {
	return len(between) <= 2 && len(bytes.Trim(between, "+/=_-")) == 0
}

type characterClass int

const (
	digit characterClass = iota
	upper
	lower
)

func class(c byte) characterClass {
	switch {
	case c <= '9':
		return digit
	case c <= 'Z':
		return upper
	}
	return lower
}

// idLength returns the length of the UUID or of the 32 hexadecimal digits at the beginning of text.
// It returns 0 if there is neither.
func idLength(text []byte) int {
	n := 0
	isDash := func(n int) bool {
		return text[n] == '-' && (n == 8 || n == 13 || n == 18 || n == 23)
	}
	for n < len(text) && (isHex(text[n]) || isDash(n)) {
		n++
	}
	isUUID := n == 36 && bytes.Count(text[:n], []byte{'-'}) == 4
	isID := bytes.IndexByte(text[:n], '-') < 0 && n == 32
	if n < len(text) && isAlphanumeric(text[n]) || !isUUID && !isID {
		return 0
	}
	return n
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
