package cftunnel

import "strings"

func checkAPIToken(name, token string) error {
	if err := checkCredential(name, token); err != nil {
		return err
	}
	if isTunnelToken(token) {
		return invalid(name, "is a tunnel token, or another one of the kind eyJ…; the API takes an API token")
	}
	return nil
}

func checkCredential(name, value string) error {
	if value == "" {
		return invalid(name, "is empty")
	}
	for _, c := range []byte(value) {
		if c <= ' ' || c > '~' {
			return invalid(name, "has white space or other characters that a header cannot hold")
		}
	}
	return nil
}

// isTunnelToken knows a tunnel token, or another JSON object in base64, by its beginning. An old API token, of just 40 characters, may begin
// with the same three by chance, but not with the first key of a tunnel token.
func isTunnelToken(token string) bool {
	if !strings.HasPrefix(token, "eyJ") {
		return false
	}
	const oldTokenLength = 40
	for _, firstKey := range []string{"eyJhIjoi", "eyJ0Ijoi", "eyJzIjoi", "eyJlIjoi"} { // {"a":" and so on for t, s and e
		if strings.HasPrefix(token, firstKey) {
			return true
		}
	}
	return len(token) != oldTokenLength
}
