package tunnellogs

import (
	"bytes"
	"strings"
)

const (
	tokenParameter = "access_token"
	redacted       = "[REDACTED]"
	// maxUnescape is how often a text is percent-decoded to find the parameter.
	maxUnescape = 8
	// pieceLength is the shortest part of a token that is redacted.
	pieceLength = 8
)

// redactToken replaces every part of a token in a text, also in other case. A management token is a
// JWT, whose characters no usual encoding changes. The text must be short, because the search is
// slow.
func redactToken(text, token string) string {
	length := min(pieceLength, len(token))
	if length == 0 {
		return text
	}
	lower, token := string(lowerASCII([]byte(text))), string(lowerASCII([]byte(token)))
	var b strings.Builder
	for i := 0; i < len(text); {
		end := i // of the overlapping parts that begin here
		for at := i; at <= end && at+length <= len(text); at++ {
			if strings.Contains(token, lower[at:at+length]) {
				end = at + length
			}
		}
		if end == i {
			b.WriteByte(text[i])
			i++
			continue
		}
		b.WriteString(redacted)
		i = end
	}
	return b.String()
}

// redactAccessTokens replaces the value of each access_token in a text, in a query or in JSON, also
// if it is percent-encoded.
func redactAccessTokens(s string) string {
	if !strings.Contains(s, "%") && !strings.Contains(strings.ToLower(s), tokenParameter) {
		return s
	}
	text := unescape(s)
	lower := lowerASCII(text.bytes)
	var b strings.Builder
	kept := 0 // how much of s is written
	for i := 0; ; {
		found := bytes.Index(lower[i:], []byte(tokenParameter))
		if found < 0 {
			b.WriteString(s[kept:])
			return b.String()
		}
		i += found + len(tokenParameter)
		from, to := text.value(i)
		if from < to {
			b.WriteString(s[kept:text.at[from]])
			b.WriteString(redacted)
			kept = text.at[to]
			i = to
		}
	}
}

// unescaped is a text without percent escapes. at[i] is the index of bytes[i] in the original text;
// depth[i] is how often it was escaped.
type unescaped struct {
	bytes []byte
	at    []int
	depth []uint8
}

// unescape decodes escapes, also those of escapes.
func unescape(s string) unescaped {
	text := unescaped{[]byte(s), make([]int, len(s)+1), make([]uint8, len(s))}
	for i := range text.at {
		text.at[i] = i
	}
	for range maxUnescape {
		n := 0
		for i := 0; i < len(text.bytes); n++ {
			c, depth, width := text.bytes[i], text.depth[i], 1
			if c == '%' && i+2 < len(text.bytes) {
				high, low := fromHex(text.bytes[i+1]), fromHex(text.bytes[i+2])
				if high >= 0 && low >= 0 {
					c, depth, width = byte(high<<4|low), depth+1, 3
				}
			}
			text.bytes[n], text.at[n], text.depth[n] = c, text.at[i], depth
			i += width
		}
		if n == len(text.bytes) {
			break
		}
		text.at[n] = len(s)
		text.bytes, text.at, text.depth = text.bytes[:n], text.at[:n+1], text.depth[:n]
	}
	return text
}

// value returns the bounds of the value of a parameter whose name ends at i. They are equal if
// there is no value.
func (u unescaped) value(i int) (from, to int) {
	const quotes, blanks = "\"'", " \t"
	name := i
	for i < len(u.bytes) && strings.IndexByte(quotes+blanks+"\\", u.bytes[i]) >= 0 {
		i++
	}
	if i == len(u.bytes) || u.bytes[i] != '=' && u.bytes[i] != ':' {
		return i, i
	}
	depth := u.depth[i] // a character that is escaped more often does not end the value
	around := quotes + "\\"
	if u.bytes[i] == ':' || i > name { // in a query, a blank ends the value
		around += blanks
	}
	for i++; i < len(u.bytes) && strings.IndexByte(around, u.bytes[i]) >= 0; {
		i++
	}
	quote := u.bytes[i-1]
	isQuoted := strings.IndexByte(quotes, quote) >= 0
	isEscaped := func(at int) bool { return u.bytes[at-1] == '\\' }
	for to = i; to < len(u.bytes); to++ {
		switch c := u.bytes[to]; {
		case u.depth[to] > depth:
		case isQuoted && c == quote && (!isEscaped(to) || isEscaped(i-1)):
			return i, to
		case !isQuoted && strings.IndexByte(" \t\r\n&#\"<>`\\", c) >= 0:
			return i, to
		}
	}
	return i, to
}

// lowerASCII keeps the length of s; bytes.ToLower may change it.
func lowerASCII(s []byte) []byte {
	lower := bytes.Clone(s)
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	return lower
}

func fromHex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
