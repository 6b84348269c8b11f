package redact

import (
	"strconv"
	"strings"
)

// view is what a reader sees of a text: its characters, and where in the text each of them is.
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

// decodedView is a view of a text with its percent escapes, its HTML entities, the escapes of its
// strings and without its HTML tags. It reports false if the text has none of them.
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

// decodeOne returns the character that s begins with, if it is escaped. 0 is none: a tag, or one that
// is not ASCII.
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

// entity decodes a numeric entity. A named one is no letter or digit.
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

// character reads the number of an ASCII character.
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
