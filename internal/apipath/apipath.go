// Package apipath builds request paths from a template and checked IDs. No value can change which
// resource a request reaches.
package apipath

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Expand replaces each {name} in template with the escaped value that the function returns for
// that name.
func Expand(template string, value func(name string) (string, error)) (string, error) {
	var path strings.Builder
	path.Grow(len(template) + 64) // IDs are longer than their names
	for rest := template; ; {
		before, after, found := strings.Cut(rest, "{")
		path.WriteString(before)
		if !found {
			return path.String(), nil
		}
		name, tail, _ := strings.Cut(after, "}")
		v, err := value(name)
		if err != nil {
			return "", err
		}
		if v == "" || v == "." || v == ".." {
			return "", fmt.Errorf("%s cannot be a path segment", name)
		}
		path.WriteString(url.PathEscape(v))
		rest = tail
	}
}

// Relative checks a path from a caller. It returns the path, escaped and with one leading slash,
// and the query that followed it.
func Relative(path string) (string, url.Values, error) {
	u, err := url.Parse(path)
	switch {
	case err != nil:
		return "", nil, errors.New("is not a path")
	case u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "":
		return "", nil, errors.New("is absolute; give it relative to the base URL")
	case u.Fragment != "" || u.RawFragment != "" || strings.Contains(path, "#"):
		return "", nil, errors.New("has a fragment")
	}
	escaped := strings.TrimPrefix(u.EscapedPath(), "/")
	if escaped == "" {
		return "", nil, errors.New("is empty")
	}
	for segment := range strings.SplitSeq(escaped, "/") {
		plain, err := url.PathUnescape(segment)
		switch {
		case err != nil:
			return "", nil, errors.New("is not a path")
		case plain == "":
			return "", nil, errors.New("has an empty segment: an ID may be missing")
		case hasDotSegment(plain):
			return "", nil, errors.New(`has a "." or ".." segment`)
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", nil, errors.New("has a query that cannot be read")
	}
	return "/" + escaped, query, nil
}

// hasDotSegment reports whether a path has a "." or ".." segment after any number of unescapings:
// servers and proxies differ in when and how often they unescape.
func hasDotSegment(plain string) bool {
	for {
		next := unescape(plain)
		if next == plain {
			break
		}
		plain = next
	}
	isSlash := func(r rune) bool { return r == '/' || r == '\\' }
	for part := range strings.FieldsFuncSeq(plain, isSlash) {
		if part == "." || part == ".." {
			return true
		}
	}
	return false
}

// unescape decodes the valid percent escapes and leaves the rest of s as it is.
func unescape(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if i+2 < len(s) && s[i] == '%' && isHex(s[i+1]) && isHex(s[i+2]) {
			plain, _ := url.PathUnescape(s[i : i+3])
			out.WriteString(plain)
			i += 2
			continue
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// AccountID returns an error if id is not a valid account ID. The error says what is wrong with it.
func AccountID(id string) error {
	if id == "" {
		return errors.New("is missing")
	}
	return HexID(id)
}

// HexID returns an error if id is not a valid ID of an account, a zone, a DNS record or an API
// token. The error does not contain the value, which may be a secret that was passed by mistake.
func HexID(id string) error {
	if id == "" {
		return errors.New("is empty")
	}
	if len(id) != 32 {
		return fmt.Errorf("is not 32 hexadecimal digits but %d bytes long", len(id))
	}
	for _, c := range []byte(id) {
		if !isHex(c) {
			return errors.New("is not 32 hexadecimal digits")
		}
	}
	return nil
}

// UUID returns an error if id is not a UUID with dashes.
func UUID(id string) error {
	if id == "" {
		return errors.New("is empty")
	}
	const example = "f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"
	ok := len(id) == len(example)
	for i := 0; ok && i < len(id); i++ {
		if example[i] == '-' {
			ok = id[i] == '-'
		} else {
			ok = isHex(id[i])
		}
	}
	if !ok {
		return errors.New("is not a UUID with dashes, such as " + example)
	}
	return nil
}

// maxOpaqueID is the maximum length of an opaque ID. Known IDs are shorter.
const maxOpaqueID = 128

// OpaqueID returns an error if id is not valid as an ID that need not be a UUID.
func OpaqueID(id string) error {
	if id == "" {
		return errors.New("is empty")
	}
	if len(id) > maxOpaqueID {
		return fmt.Errorf("is longer than %d characters", maxOpaqueID)
	}
	classes := 0
	for i := range len(id) {
		class := opaqueIDClasses[id[i]]
		if class == 0 {
			return errors.New(
				"has characters other than letters, digits, dashes, underscores and dots")
		}
		classes |= int(class)
	}
	if classes&alphanumeric == 0 {
		return errors.New("has no letter or digit")
	}
	return nil
}

// The classes of characters in opaque IDs. Any other character has no class.
const (
	alphanumeric = 1
	separator    = 2
)

// opaqueIDClasses is a table because lists check an ID for each item.
var opaqueIDClasses = func() (classes [256]byte) {
	for c := range len(classes) {
		switch c := byte(c); {
		case '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
			classes[c] = alphanumeric
		case c == '-' || c == '_' || c == '.':
			classes[c] = separator
		}
	}
	return classes
}()

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
