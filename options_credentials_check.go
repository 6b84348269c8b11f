package cftunnel

import (
	"encoding/json"
	"strings"
)

// The checks in this file use the prefix and the characters of a credential, never its length. No
// error contains the credential.

// checkAPIToken returns an error if token cannot be an API token.
func checkAPIToken(name, token string) error {
	switch {
	case isTunnelToken(token):
		return invalid(name,
			"is a tunnel token or another token that begins with eyJ; use an API token")
	case strings.HasPrefix(token, "cfk_"):
		return invalid(name, "is a global API key, not an API token")
	}
	return checkCredential(name, token)
}

// checkAPIKey returns an error if key cannot be a global API key.
func checkAPIKey(name, key string) error {
	if isTunnelToken(key) {
		return invalid(name,
			"is a tunnel token or another token that begins with eyJ, not an API key")
	}
	return checkCredential(name, key)
}

// checkCredential returns an error if value can be neither an API token nor a key. Both consist of
// letters, digits, dashes and underscores.
func checkCredential(name, value string) error {
	switch {
	case value == "":
		return invalid(name, "is empty")
	case isPlaceholder(value):
		return invalid(name, "is a placeholder such as ${NAME} or <NAME>, not the value itself")
	case !isVisibleASCII(value):
		return invalid(name, "has white space or other characters that a header cannot contain")
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
		return invalid(name, "has white space or other characters that a header cannot contain")
	case user == "" || domain == "" || strings.ContainsAny(email, "\"`\\;:,()[]") ||
		strings.Contains(domain, "@") || strings.Trim(email, "'") != email:
		return invalid(name, "is not an email address")
	}
	return nil
}

// isPlaceholder reports whether text is a placeholder for a value: ${NAME}, $NAME, <NAME>, {{ name
// }}, %NAME%, NAME_OF_A_VARIABLE or your-name.
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

// isTunnelToken reports whether text is a tunnel token or other base64 of a JSON object, such as a
// JWT, complete or truncated. An API token issued before 2026 may begin with eyJ by chance, but not
// with the base64 of a member name.
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
