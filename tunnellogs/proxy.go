package tunnellogs

import (
	"cmp"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/cftunnel/cftunnel-go/internal/redact"
)

// proxySecrets returns a redactor of the credentials that a transport sends to the proxy of a
// request, because a proxy may quote them when it refuses the request. It returns nil if the
// transport sends none, or if they are not known.
func proxySecrets(transport http.RoundTripper, request *http.Request) *redact.Redactor {
	known, _ := transport.(*http.Transport)
	if known == nil {
		// Most transports of other types wrap one that uses the proxy of the environment.
		known = &http.Transport{Proxy: http.ProxyFromEnvironment}
	}
	if known.Proxy == nil {
		return nil
	}
	var secrets []string
	var header http.Header
	switch proxy, err := known.Proxy(request); {
	case err != nil:
		if invalid, ok := errors.AsType[*url.Error](err); ok {
			secrets = urlSecrets(invalid.URL)
		}
	case proxy == nil:
		return nil
	default:
		header = connectHeader(known, proxy, request)
		if proxy.User != nil {
			password, _ := proxy.User.Password()
			secrets = basicSecrets(proxy.User.Username(), password)
		}
	}
	for _, values := range header {
		for _, value := range values {
			sent := http.Request{Header: http.Header{"Authorization": {value}}}
			if user, password, ok := sent.BasicAuth(); ok {
				secrets = append(secrets, basicSecrets(user, password)...)
			}
		}
	}
	if secrets == nil && len(header) == 0 {
		return nil
	}
	r := new(redact.Redactor)
	r.AddHeader(header)
	for _, secret := range secrets {
		r.AddSecret(secret)
	}
	return r
}

// connectHeader returns the header that the caller adds to a CONNECT request.
func connectHeader(t *http.Transport, proxy *url.URL, request *http.Request) http.Header {
	if t.GetProxyConnectHeader == nil {
		return t.ProxyConnectHeader
	}
	ctx := request.Context()
	if ctx.Err() != nil {
		return nil // the function has no time left
	}
	port := "443"
	if request.URL.Scheme == "http" {
		port = "80"
	}
	target := net.JoinHostPort(request.URL.Hostname(), cmp.Or(request.URL.Port(), port))
	header, err := t.GetProxyConnectHeader(ctx, proxy, target)
	if err != nil {
		return nil
	}
	return header
}

// urlSecrets returns the secrets in a URL that cannot be parsed.
func urlSecrets(raw string) []string {
	_, rest, _ := strings.Cut(raw, "://")
	end := strings.LastIndexByte(rest, '@')
	if end < 0 {
		return nil
	}
	user, password, _ := strings.Cut(rest[:end], ":")
	return basicSecrets(user, password)
}

// basicSecrets returns what must not be shown of a user name and a password. Without a password,
// the name may be a token.
func basicSecrets(user, password string) []string {
	both := user + ":" + password
	return []string{
		cmp.Or(password, user), both,
		base64.RawStdEncoding.EncodeToString([]byte(both)),
		base64.RawURLEncoding.EncodeToString([]byte(both)),
	}
}
