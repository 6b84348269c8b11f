package redact

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

func (r *Redactor) addHeader(header http.Header) {
	for name, values := range header {
		switch name {
		case "Accept", "Content-Type", "User-Agent", "X-Auth-Email":
			continue
		}
		if !isSecretName(name) {
			continue
		}
		for _, value := range values {
			r.add(value)
			if _, credential, found := strings.Cut(value, " "); found {
				r.add(strings.TrimSpace(credential))
			}
			if name != "Cookie" {
				continue
			}
			// By hand, because http.ParseCookie returns nothing if one of the cookies is malformed.
			for cookie := range strings.SplitSeq(value, ";") {
				_, value, _ := strings.Cut(cookie, "=")
				r.add(strings.Trim(value, "\" \t"))
			}
		}
	}
}

func (r *Redactor) addURL(rawURL string) {
	_, query, found := strings.Cut(rawURL, "?")
	if !found {
		return
	}
	values, _ := url.ParseQuery(query)
	for name, list := range values {
		if isSecretName(name) {
			for _, value := range list {
				r.add(value)
			}
		}
	}
}

// level is an enclosing object or list in a JSON text.
type level struct{ isObject, isSecret bool }

// addBody adds the strings in members whose names are those of secrets. It stops when there are too
// many secrets, so that a long body costs little.
func (r *Redactor) addBody(body []byte) {
	levels := []level{{}}
	// name reports whether the next string is the name of a member, isSecret whether the next value
	// is in a member with the name of a secret.
	name, isSecret := false, false
	for i := 0; i < len(body) && !r.withhold; i++ {
		switch body[i] {
		case '{', '[':
			levels = append(levels, level{body[i] == '{', isSecret})
			name = body[i] == '{'
		case '}', ']':
			levels = levels[:max(1, len(levels)-1)]
		case ',':
			top := levels[len(levels)-1]
			name, isSecret = top.isObject, top.isSecret
		case '"':
			text, length := quoted(body[i:])
			i += length - 1
			switch {
			case name:
				name = false
				isSecret = isSecret || isSecretName(unquote(text))
			case isSecret && len(text) > maxEscaped*maxSecrets:
				r.withhold = true
			case isSecret:
				r.add(unquote(text))
			}
		}
	}
}

// maxEscaped is the maximum number of bytes of JSON for one byte of text.
const maxEscaped = 6

// quoted returns the JSON string at the beginning of body, without its quotes, and its length with
// them.
func quoted(body []byte) (text []byte, length int) {
	for end := 1; end < len(body); end++ {
		i := bytes.IndexByte(body[end:], '"')
		if i < 0 {
			break
		}
		end += i
		before := body[1:end]
		if escapes := len(before) - len(bytes.TrimRight(before, `\`)); escapes%2 == 0 {
			return before, end + 1
		}
	}
	return body[1:], len(body)
}

func unquote(text []byte) string {
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text)
	}
	var s string
	_ = json.Unmarshal(slices.Concat([]byte{'"'}, text, []byte{'"'}), &s)
	return s
}

func isSecretName(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(
		[]string{"auth", "secret", "token", "pass", "pwd", "psk", "private", "key", "cookie", "credential"},
		func(part string) bool { return strings.Contains(name, part) },
	)
}
