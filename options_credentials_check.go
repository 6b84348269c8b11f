package cftunnel

import (
	"encoding/json"
	"strings"
)

// The checks of credentials know texts by their characters and their beginning, never by their
// length, and never repeat a text in an error.

// checkAPIToken refuses a text that cannot be an API token.
func checkAPIToken(name, token string) error {
	switch {
	case isTunnelToken(token):
		return invalid(name,
			"is a tunnel token, or another one of the kind eyJ…; the API takes an API token")
	case strings.HasPrefix(token, "cfk_"):
		return invalid(name, "is a global API key, not an API token")
	}
	return checkCredential(name, token)
}

// checkAPIKey refuses a text that cannot be a global API key.
func checkAPIKey(name, key string) error {
	if isTunnelToken(key) {
		return invalid(name, "is a tunnel token, or another one of the kind eyJ…, not an API key")
	}
	return checkCredential(name, key)
}

// checkCredential refuses a text that is neither an API token nor a key. Both consist of letters,
// digits, dashes and underscores.
func checkCredential(name, value string) error {
	switch {
	case value == "":
		return invalid(name, "is empty")
	case isPlaceholder(value):
		return invalid(name, "is a placeholder such as ${NAME} or <NAME>, not the value itself")
	case !isVisibleASCII(value):
		return invalid(name, "has white space or other characters that a header cannot hold")
	case strings.Trim(value, credentialCharacters) != "":
		return invalid(name, `has characters other than letters, digits, "-" and "_"`)
	}
	return nil
}

const credentialCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

func checkEmail(name, email string) error {
	user, domain, _ := strings.Cut(email, "@")
	switch {
	case email == "":
		return invalid(name, "is empty")
	case isPlaceholder(email):
		return invalid(name, "is a placeholder such as ${NAME} or <NAME>, not the value itself")
	case !isVisibleASCII(email):
		return invalid(name, "has white space or other characters that a header cannot hold")
	case user == "" || domain == "" || strings.ContainsAny(email, "\"`\\;:,()[]") ||
		strings.Contains(domain, "@") || strings.Trim(email, "'") != email:
		return invalid(name, "is not an email address")
	}
	return nil
}

// isPlaceholder reports whether a text stands for a value that was not filled in: ${NAME}, $NAME,
// <NAME>, {{ name }}, %NAME%, NAME_OF_A_VARIABLE, your-name.
func isPlaceholder(text string) bool {
	if strings.ContainsAny(text, "${}<>%") {
		return true
	}
	lower := strings.ToLower(text)
	if strings.HasPrefix(lower, "your-") || strings.HasPrefix(lower, "your_") {
		return true
	}
	const capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return strings.ContainsAny(text, "_-") && strings.ContainsAny(text, capitals) &&
		strings.Trim(text, capitals+"_-") == ""
}

func isVisibleASCII(text string) bool {
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

// isTunnelToken reports whether a text is a tunnel token or another JSON object in base64, such as
// a JWT, complete or cut off. An API token of before 2026 may begin with eyJ by chance, but not
// with a member of such an object.
func isTunnelToken(text string) bool {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "eyJ") {
		return false
	}
	for _, member := range []string{
		"eyJhIjoi", "eyJ0Ijoi", "eyJzIjoi", "eyJlIjoi", // {"a":" and so on for t, s and e
		"eyJhbGciOi", // {"alg":
	} {
		if strings.HasPrefix(text, member) {
			return true
		}
	}
	raw, err := decodeBase64(text)
	return strings.Contains(text, ".") || err == nil && json.Valid(raw)
}
