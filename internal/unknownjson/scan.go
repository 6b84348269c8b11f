package unknownjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// The scanner finds the members and items of a text that is known to be JSON. It copies nothing and
// reads only the syntax between values.

var errSyntax = errors.New("invalid JSON")

type scanner struct {
	data []byte
	at   int
}

// next skips white space and returns the next byte, or 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.data); s.at++ {
		switch c := s.data[s.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// skip reports whether the next byte is c, and skips it in that case.
func (s *scanner) skip(c byte) bool {
	found := s.next() == c
	if found {
		s.at++
	}
	return found
}

// value returns the text of the next value.
func (s *scanner) value() ([]byte, error) {
	first := s.next()
	from := s.at
	depth := 0
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case '"':
			if !s.skipString() {
				return nil, errSyntax
			}
			if depth == 0 {
				return s.data[from:s.at], nil
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth <= 0 {
				if depth == 0 {
					s.at++
				}
				return s.text(from)
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return s.text(from)
			}
		}
		s.at++
	}
	if first == '{' || first == '[' {
		return nil, errSyntax
	}
	return s.text(from)
}

func (s *scanner) text(from int) ([]byte, error) {
	if s.at == from {
		return nil, errSyntax
	}
	return s.data[from:s.at], nil
}

func (s *scanner) skipString() bool {
	for end := s.at + 1; end < len(s.data); end++ {
		i := bytes.IndexByte(s.data[end:], '"')
		if i < 0 {
			return false
		}
		end += i
		before := s.data[s.at+1 : end]
		if escapes := len(before) - len(bytes.TrimRight(before, `\`)); escapes%2 == 0 {
			s.at = end + 1
			return true
		}
	}
	return false
}

// eachMember calls f with each member of an object.
func eachMember(data []byte, f func(name, raw []byte) error) error {
	s := scanner{data: data}
	if !s.skip('{') {
		return errSyntax
	}
	if s.skip('}') {
		return s.end()
	}
	for {
		if s.next() != '"' {
			return errSyntax
		}
		name, err := s.value()
		if err != nil || !s.skip(':') {
			return errSyntax
		}
		raw, err := s.value()
		if err != nil {
			return err
		}
		if plain, ok := plainText(name); ok {
			name = plain
		} else {
			text, err := exactText(name)
			if err != nil {
				return err
			}
			name = []byte(text)
		}
		if err := f(name, raw); err != nil {
			return err
		}
		if s.skip('}') {
			return s.end()
		}
		if !s.skip(',') {
			return errSyntax
		}
	}
}

// eachItem calls f with each item of a list.
func eachItem(data []byte, f func(raw []byte) error) error {
	s := scanner{data: data}
	if !s.skip('[') {
		return errSyntax
	}
	if s.skip(']') {
		return s.end()
	}
	for {
		raw, err := s.value()
		if err == nil {
			err = f(raw)
		}
		if err != nil {
			return err
		}
		if s.skip(']') {
			return s.end()
		}
		if !s.skip(',') {
			return errSyntax
		}
	}
}

func (s *scanner) end() error {
	if s.next() != 0 || s.at < len(s.data) {
		return errSyntax
	}
	return nil
}

// plainText returns a JSON string without its quotes. It returns false if the string needs decoding
// because it has escapes or is not ASCII.
func plainText(raw []byte) ([]byte, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, false
	}
	text := raw[1 : len(raw)-1]
	for _, c := range text {
		if c < ' ' || c == '\\' || c >= 0x80 {
			return nil, false
		}
	}
	return text, true
}

// exactText decodes a JSON string. Unlike encoding/json, it returns an error for bytes that are not
// UTF-8 and for half of a surrogate pair. encoding/json replaces them with U+FFFD, so they could
// not be written again.
func exactText(raw []byte) (string, error) {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", err
	}
	if !utf8.Valid(raw) || strings.Count(text, string(utf8.RuneError)) > replacements(raw) {
		return "", errors.New("invalid text")
	}
	return text, nil
}

// replacements counts the characters U+FFFD, also as escapes, of a valid JSON string.
func replacements(raw []byte) int {
	n := bytes.Count(raw, []byte(string(utf8.RuneError)))
	for {
		_, after, found := bytes.Cut(raw, []byte(`\`))
		if !found {
			return n
		}
		if bytes.EqualFold(after[:min(5, len(after))], []byte("ufffd")) {
			n++
		}
		raw = after[1:]
	}
}
