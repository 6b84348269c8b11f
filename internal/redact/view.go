package redact

import (
	"strconv"
	"strings"
)

// view is a text as a person reads it: its characters, and the position of each in the text.
type view struct {
	text     []byte
	from, to []int // nil if the view is the text itself
}

func (v view) start(i int) int {
	if v.from == nil {
		return i
	}
	return v.from[i]
}

func (v view) end(i int) int {
	if v.to == nil {
		return i + 1
	}
	return v.to[i]
}

// decodedView returns a view of a text in which percent escapes, HTML entities and the escapes of
// strings are decoded and HTML tags are removed. It returns false if the text has none of these.
func decodedView(s string) (view, bool) {
	if !strings.ContainsAny(s, `%&\<`) {
		return view{}, false
	}
	var v view
	for i := 0; i < len(s); {
		c, length := decodeOne(s[i:])
		if length == 0 {
			c, length = s[i], 1
		}
		if c != 0 {
			v.text, v.from, v.to = append(v.text, c), append(v.from, i), append(v.to, i+length)
		}
		i += length
	}
	return v, true
}

// decodeOne decodes the escaped character or the tag at the beginning of s. c is 0 for a tag and
// for a character that is not ASCII. length is 0 if s begins with neither.
func decodeOne(s string) (c byte, length int) {
	switch s[0] {
	case '%':
		digits := 1
		for strings.HasPrefix(s[digits:], "25") { // escaped more than once
			digits += 2
		}
		if c, ok := character(s, digits, 2, 16); ok {
			return c, digits + 2
		}
	case '\\':
		if len(s) > 1 && s[1] == 'u' {
			if c, ok := character(s, 2, 4, 16); ok {
				return c, 6
			}
		}
		if len(s) > 1 && strings.IndexByte(`nrtbf`, s[1]) >= 0 {
			return ' ', 2
		}
	case '&':
		return entity(s)
	case '<':
		const longestTag = 200
		isTag := len(s) > 1 && (s[1] == '/' || s[1] == '!' || isAlphanumeric(s[1]))
		if end := strings.IndexByte(s[:min(len(s), longestTag)], '>'); isTag && end > 0 {
			return 0, end + 1
		}
	}
	return 0, 0
}

// entity decodes a numeric HTML entity. For a named one it returns a space, since no named entity
// is a letter or a digit in ASCII.
func entity(s string) (c byte, length int) {
	const longestEntity = 12
	end := strings.IndexByte(s[:min(len(s), longestEntity)], ';')
	switch {
	case end < 0:
		return 0, 0
	case strings.HasPrefix(s, "&#x") || strings.HasPrefix(s, "&#X"):
		c, _ = character(s, 3, end-3, 16)
	case strings.HasPrefix(s, "&#"):
		c, _ = character(s, 2, end-2, 10)
	default:
		c = ' '
	}
	return c, end + 1
}

// character parses the code of a character. c is 0 if the character is not ASCII.
func character(s string, at, length, base int) (c byte, ok bool) {
	if len(s) < at+length {
		return 0, false
	}
	n, err := strconv.ParseUint(s[at:at+length], base, 32)
	if err != nil {
		return 0, false
	}
	if n > 0x7f {
		n = 0
	}
	return byte(n), true
}
