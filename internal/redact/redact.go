// Package redact blots secrets that were sent out of texts that came back.
package redact

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Mark stands where a secret stood.
const Mark = "[REDACTED]"

// Blotter replaces the secrets of one request, in each form in which a server is likely to echo them.
type Blotter struct{ replacer func() *strings.Replacer }

// New returns a Blotter for the secrets in a request's headers and JSON body. It looks for them when the first text is to be blotted.
func New(header http.Header, body []byte) Blotter {
	return Blotter{sync.OnceValue(func() *strings.Replacer { return replacer(header, body) })}
}

// Blot returns s without the secrets.
func (b Blotter) Blot(s string) string {
	if s == "" {
		return s
	}
	return b.replacer().Replace(s)
}

func replacer(header http.Header, body []byte) *strings.Replacer {
	secrets := inHeader(header)
	if len(body) > 0 {
		var value any
		if json.Unmarshal(body, &value) == nil {
			secrets = inJSON(secrets, value, false)
		}
	}
	var forms []string
	for _, secret := range secrets {
		quoted, _ := json.Marshal(secret)
		goQuoted := strconv.Quote(secret)
		for _, form := range []string{
			secret, url.QueryEscape(secret), url.PathEscape(secret), html.EscapeString(secret),
			strings.ReplaceAll(secret, "/", `\/`), string(quoted[1 : len(quoted)-1]), goQuoted[1 : len(goQuoted)-1],
		} {
			if form != "" && !slices.Contains(forms, form) {
				forms = append(forms, form)
			}
		}
	}
	// Where two forms begin at the same place the longer must win, or its tail would stay.
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(forms))
	for _, form := range forms {
		pairs = append(pairs, form, Mark)
	}
	return strings.NewReplacer(pairs...)
}

func inHeader(header http.Header) []string {
	var secrets []string
	for name, values := range header {
		if !isSecretName(name) {
			continue
		}
		for _, value := range values {
			secrets = append(secrets, value)
			if _, credential, found := strings.Cut(value, " "); found {
				secrets = append(secrets, credential)
			}
		}
	}
	return secrets
}

func inJSON(secrets []string, value any, secret bool) []string {
	switch value := value.(type) {
	case string:
		if secret {
			secrets = append(secrets, value)
		}
	case []any:
		for _, item := range value {
			secrets = inJSON(secrets, item, secret)
		}
	case map[string]any:
		for name, item := range value {
			secrets = inJSON(secrets, item, secret || isSecretName(name))
		}
	}
	return secrets
}

func isSecretName(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(
		[]string{"auth", "secret", "token", "password", "key", "cookie", "credential"},
		func(part string) bool { return strings.Contains(name, part) },
	)
}
