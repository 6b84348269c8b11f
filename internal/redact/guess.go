package redact

import (
	"bytes"
	"strings"
)

// What was never sent can only be guessed: the token of a response that is not where it belongs, or
// one that an error of the caller's quotes.

// tokenPrefixes are the beginnings of Cloudflare's tokens and keys, and of JSON objects in base64.
var tokenPrefixes = []string{"cfut_", "cfat_", "cfk_", "eyJ"}

const (
	// minToken is shorter than any token.
	minToken = 20
	// minSplitToken is the least that the pieces of a token have together, if it is split.
	minSplitToken = 32
	// minWord is the length of a word. What is shorter says nothing.
	minWord = 4
)

// hideTokens finds what begins like a token.
func hideTokens(v view, hide func(from, to int)) {
	for _, prefix := range tokenPrefixes {
		for from := 0; ; {
			i := bytes.Index(v.text[from:], []byte(prefix))
			if i < 0 {
				break
			}
			from += i
			end := from
			for end < len(v.text) && (isAlphanumeric(v.text[end]) || strings.IndexByte("_-+/=.%", v.text[end]) >= 0) {
				end++
			}
			if end-from >= minToken {
				hide(v.start(from), v.end(end-1))
			}
			from = end
		}
	}
}

// hideRandom finds what looks random: letters of both cases and digits that change all the time, in
// one piece or in several, one after another. The ids of accounts, zones and tunnels are left.
func hideRandom(v view, hide func(from, to int)) {
	var joined, all run // pieces with nothing but joints between them, and with anything but words
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

// run is a piece of letters and digits, or several.
type run struct {
	from, to, length, pieces int
	changes                  int // characters of another class than the one before, as words do not have them
	hasUpper, hasLower       bool
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

// isToken reports whether pieces that are joined look like a token. Names of hosts, which are in one
// case, have joints too.
func (r *run) isToken() bool {
	isName := r.pieces > 1 && !(r.hasUpper && r.hasLower)
	return r.length >= minToken && 5*r.changes >= r.length && !isName
}

// isSplitToken is isToken for pieces that are not joined.
func (r *run) isSplitToken() bool {
	return r.length >= minSplitToken && 4*r.changes >= r.length
}

// isJoint reports whether what is between two pieces can be part of a token.
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

// idLength returns the length of the UUID, or of the 32 hexadecimal digits, that a text begins with.
func idLength(text []byte) int {
	n := 0
	for n < len(text) && (isHex(text[n]) || text[n] == '-' && (n == 8 || n == 13 || n == 18 || n == 23)) {
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
