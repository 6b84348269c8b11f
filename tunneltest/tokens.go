package tunneltest

import (
	"cmp"
	"net/http"
	"strings"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// Token is an API token of the server.
type Token struct {
	// Text is the token itself. The zero Secret gets a random one, which begins as those of its owner do.
	Text cftunnel.Secret
	// Owner is what the text tells where it is empty, and else the user.
	Owner cftunnel.TokenOwner
	// AccountID is the account that owns it, where one does. Empty is that of [Server.AccountID].
	AccountID string
	// Status is active where it is empty.
	Status cftunnel.TokenStatus
	// NotBefore and ExpiresOn bound the time in which it works; zero is no bound.
	NotBefore, ExpiresOn time.Time
	// ReadOnly has it refused, with 403, where a permission to write is needed.
	ReadOnly bool

	id string
}

// Beginnings of the tokens of users and of accounts, since 2026.
const (
	userPrefix    = "cfut_"
	accountPrefix = "cfat_"
)

// AddToken makes the server know another API token, beside that of [Server.APIToken], and returns its text. A token of the same text takes
// the place of the one before.
func (s *Server) AddToken(token Token) cftunnel.Secret {
	if token.Owner == "" && strings.HasPrefix(token.Text.Reveal(), accountPrefix) {
		token.Owner = cftunnel.TokenOwnerAccount
	}
	token.Owner = cmp.Or(token.Owner, cftunnel.TokenOwnerUser)
	token.AccountID = strings.ToLower(cmp.Or(token.AccountID, s.accountID))
	token.Status = cmp.Or(token.Status, cftunnel.TokenStatusActive)
	token.id = randomHex(16)
	if token.Text.IsZero() {
		prefix := userPrefix
		if token.Owner == cftunnel.TokenOwnerAccount {
			prefix = accountPrefix
		}
		token.Text = cftunnel.NewSecret(prefix + randomHex(24))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token.Text] = &token
	return token.Text
}

// status is what the token is now: its time can run out.
func (t *Token) status(now time.Time) cftunnel.TokenStatus {
	if t.Status == cftunnel.TokenStatusActive && !t.ExpiresOn.IsZero() && !now.Before(t.ExpiresOn) {
		return cftunnel.TokenStatusExpired
	}
	return t.Status
}

// credential is what a request is counted by.
func credential(header http.Header) cftunnel.Secret {
	if authorization := header.Get("Authorization"); authorization != "" {
		return cftunnel.NewSecret(strings.TrimPrefix(authorization, "Bearer "))
	}
	return cftunnel.NewSecret(header.Get("X-Auth-Key"))
}

// authenticate finds the token of a request, or says what is wrong with its credentials. The caller holds s.mu.
func (s *Server) authenticate(header http.Header) (*Token, *answer) {
	var problem answer
	bearer, isBearer := strings.CutPrefix(header.Get("Authorization"), "Bearer ")
	isPair := header.Get("Authorization") == "" && header.Get("X-Auth-Key") != "" && header.Get("X-Auth-Email") != ""
	token := s.tokens[credential(header)]
	switch {
	case token != nil && (isBearer || isPair):
		return token, nil
	case isPair:
		problem = failure(http.StatusForbidden, 9103, "Unknown X-Auth-Key or X-Auth-Email")
	case header.Get("Authorization") == "":
		problem = failure(http.StatusBadRequest, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers")
	case !isBearer || !isPlainToken(bearer):
		problem = failure(http.StatusBadRequest, 6003, "Invalid request headers",
			apiError{Code: 6111, Message: "Invalid format for Authorization header"})
	default:
		problem = failure(http.StatusUnauthorized, 1000, "Invalid API Token")
	}
	return nil, &problem
}

// isPlainToken reports whether a bearer token looks like an API token; a tunnel token does not.
func isPlainToken(token string) bool {
	return token != "" && !strings.HasPrefix(token, "eyJ") && strings.Trim(token, tokenCharacters) == ""
}

const tokenCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// authorize says why a token may not do what the route does, or nil. Every token may verify itself.
func (s *Server) authorize(token *Token, r *route) *answer {
	if strings.HasSuffix(r.template, "/tokens/verify") {
		return nil
	}
	var problem answer
	now := s.now()
	writes := r.method != http.MethodGet || strings.HasSuffix(r.template, "/token")
	switch {
	case token.status(now) == cftunnel.TokenStatusExpired:
		problem = failure(http.StatusUnauthorized, 10000, "Authentication error")
	case token.status(now) != cftunnel.TokenStatusActive || now.Before(token.NotBefore):
		problem = failure(http.StatusForbidden, 9109, "Invalid access token")
	case token.ReadOnly && writes:
		problem = failure(http.StatusForbidden, 10000, "Authentication error")
	default:
		return nil
	}
	return &problem
}

// verifyToken serves the endpoints of both owners.
func (s *Server) verifyToken(c *call) answer {
	owner := cftunnel.TokenOwnerUser
	if c.account != nil {
		owner = cftunnel.TokenOwnerAccount
	}
	if c.token.Owner != owner || c.account != nil && c.account.id != c.token.AccountID {
		return failure(http.StatusUnauthorized, 1000, "Invalid API Token")
	}
	status := c.token.status(s.now())
	var remarks []message
	if status == cftunnel.TokenStatusActive {
		remarks = []message{{Code: 10000, Message: "This API Token is valid and active"}}
	}
	return resultFirst(struct {
		ID        string               `json:"id"`
		Status    cftunnel.TokenStatus `json:"status"`
		NotBefore *timestamp           `json:"not_before,omitempty"`
		ExpiresOn *timestamp           `json:"expires_on,omitempty"`
	}{c.token.id, status, orNull(c.token.NotBefore), orNull(c.token.ExpiresOn)}, remarks...)
}
