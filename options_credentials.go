package cftunnel

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/cftunnel/cftunnel-go/internal/apipath"
)

// credential authenticates a request: a bearer token, or an email address and a key.
type credential struct{ bearer, email, key string }

// credentials returns the credential of the next attempt. If it returns an error, the credential
// may be set too, so that it can be redacted from the error.
type credentials func(context.Context) (credential, error)

const bearer = "Bearer "

// token returns the API token, or the key.
func (c credential) token() string {
	if c.key != "" {
		return c.key
	}
	return strings.TrimPrefix(c.bearer, bearer)
}

// header returns the header of a request. body reports whether the request has a body.
func (c credential) header(userAgent string, body bool) http.Header {
	const mediaType = "application/json"
	// As in net/http, all values share one allocation.
	values := []string{mediaType, userAgent, mediaType, c.bearer, c.email, c.key}
	header := http.Header{"Accept": values[0:1:1], "User-Agent": values[1:2:2]}
	if body {
		header["Content-Type"] = values[2:3:3]
	}
	if c.key == "" {
		header["Authorization"] = values[3:4:4]
	} else {
		header["X-Auth-Email"], header["X-Auth-Key"] = values[4:5:5], values[5:6:6]
	}
	return header
}

func fixed(c credential) credentials {
	return func(context.Context) (credential, error) { return c, nil }
}

// WithAPIToken authenticates with an API token of a user or of an account. [NewClient] returns an
// error if the text cannot be an API token.
func WithAPIToken(token string) Option {
	return func(s *settings) error { return s.setAPIToken("apiToken", token) }
}

// WithAPIKey authenticates with a user's email address and global API key. Prefer an API token: the
// key has every permission of its user.
func WithAPIKey(email, key string) Option {
	return func(s *settings) error { return s.setAPIKey("email", email, "key", key) }
}

// WithTokenSource authenticates with the API token that source returns.
//
// source is called before every attempt, with the context of the call, so it should cache its
// token. It must be safe for concurrent use. If the attempt waits for more than a minute after
// that, for example for the rate limit, source is called again. If source returns an error, the
// request is not sent, and the call returns an [*Error] that wraps this error.
func WithTokenSource(source func(context.Context) (Secret, error)) Option {
	return func(s *settings) error {
		if source == nil {
			return invalid("source", "is nil")
		}
		s.credentials = func(ctx context.Context) (credential, error) {
			token, err := source(ctx)
			if err == nil {
				err = checkAPIToken("token of the token source", token.Reveal())
			}
			return credential{bearer: bearer + token.Reveal()}, err
		}
		return nil
	}
}

// WithEnvironment reads the credentials from CLOUDFLARE_API_TOKEN, or from CLOUDFLARE_API_KEY and
// CLOUDFLARE_EMAIL, the account ID from CLOUDFLARE_ACCOUNT_ID and the base URL from
// CLOUDFLARE_BASE_URL. It sets only what no other option sets, whatever the order of the options.
// An empty variable counts as not set.
func WithEnvironment() Option {
	return func(s *settings) error {
		s.environment = true
		return nil
	}
}

// The environment variables of WithEnvironment.
const (
	envAPIToken  = "CLOUDFLARE_API_TOKEN"
	envAPIKey    = "CLOUDFLARE_API_KEY"
	envEmail     = "CLOUDFLARE_EMAIL"
	envAccountID = "CLOUDFLARE_ACCOUNT_ID"
	envBaseURL   = "CLOUDFLARE_BASE_URL"
)

// readEnvironment sets the values that no option set.
func (s *settings) readEnvironment() error {
	if s.credentials == nil {
		token, key, email := os.Getenv(envAPIToken), os.Getenv(envAPIKey), os.Getenv(envEmail)
		var err error
		switch {
		case token != "":
			err = s.setAPIToken(envAPIToken, token)
		case key != "" || email != "":
			err = s.setAPIKey(envEmail, email, envAPIKey, key)
		}
		if err != nil {
			return err
		}
	}
	if accountID := os.Getenv(envAccountID); s.accountID == "" && accountID != "" {
		if err := s.setAccountID(envAccountID, accountID); err != nil {
			return err
		}
	}
	if baseURL := os.Getenv(envBaseURL); s.baseURL == "" && baseURL != "" {
		return s.setBaseURL(envBaseURL, baseURL)
	}
	return nil
}

func (s *settings) setAPIToken(name, token string) error {
	if err := checkAPIToken(name, token); err != nil {
		return err
	}
	s.credentials = fixed(credential{bearer: bearer + token})
	return nil
}

func (s *settings) setAPIKey(emailName, email, keyName, key string) error {
	if err := checkEmail(emailName, email); err != nil {
		return err
	}
	if err := checkAPIKey(keyName, key); err != nil {
		return err
	}
	s.credentials = fixed(credential{email: email, key: key})
	return nil
}

func (s *settings) setAccountID(name, accountID string) error {
	if err := apipath.AccountID(accountID); err != nil {
		return invalid(name, "%v", err)
	}
	s.accountID = accountID
	return nil
}

func (s *settings) setBaseURL(name, baseURL string) error {
	u, err := url.Parse(baseURL)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return invalid(name, "is not an absolute URL")
	case u.User != nil:
		return invalid(name, "contains a user or a password")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return invalid(name, "has a query or a fragment")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return invalid(name,
			"is plain http to a remote host, which would expose the credentials; use https")
	case u.Scheme != "http" && u.Scheme != "https":
		return invalid(name, "is neither https nor http")
	}
	s.baseURL = strings.TrimRight(u.String(), "/")
	return nil
}

func isLoopback(host string) bool {
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}
