package tunneltest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// Token describes an API token for [Server.AddToken]. All fields are optional.
type Token struct {
	// Text is the text of the token. The default is a random text with the prefix of the owner:
	// "cfut_" for users, "cfat_" for accounts.
	Text cftunnel.Secret
	// Owner is the owner of the token. The default is the account if Text begins with "cfat_", and
	// the user otherwise.
	Owner cftunnel.TokenOwner
	// AccountID is the account that owns the token, if the owner is an account. The default is
	// [Server.AccountID].
	AccountID string
	// Name is the name of the token. The default is "test token".
	Name string
	// Policies list what the token allows and denies. nil allows everything in all accounts, or in
	// the account that owns the token. An empty non-nil slice allows nothing.
	Policies []cftunnel.TokenPolicy
	// Condition restricts the addresses of the clients that may use the token. To set the address
	// of a client, use [Server.SetRemoteAddr]. nil allows all addresses.
	Condition *cftunnel.TokenCondition
	// Status is the status of the token. The default is [cftunnel.TokenStatusActive].
	Status cftunnel.TokenStatus
	// NotBefore and ExpiresOn are when the token becomes valid and when it expires. Zero means no
	// limit.
	NotBefore, ExpiresOn time.Time
	// ReadOnly removes from Policies the permission groups that allow writing. Endpoints of
	// [Server.Handle] then accept only GET requests with the token.
	ReadOnly bool
}

// Prefixes of the tokens of users and accounts. Tokens that were created before 2026 have none.
const (
	userPrefix    = "cfut_"
	accountPrefix = "cfat_"
)

// AddToken adds an API token and returns its text.
//
// If a token with the same text exists, AddToken replaces it. Unlike a token that a request
// creates, the token can have any policy. AddToken panics if the Text, the Owner, the AccountID or
// the Condition of the token is invalid.
func (s *Server) AddToken(token Token) cftunnel.Secret {
	switch {
	case !fitsHeader(token.Text):
		panic("tunneltest: AddToken: the text " + unfitForHeader)
	case token.Owner != "" && token.Owner != cftunnel.TokenOwnerUser &&
		token.Owner != cftunnel.TokenOwnerAccount:
		panic(fmt.Sprintf("tunneltest: AddToken: unknown owner %q", token.Owner))
	case token.AccountID != "" && !isHexID(token.AccountID):
		panic("tunneltest: AddToken: the account ID is not 32 hexadecimal digits")
	}
	if token.Owner == "" && strings.HasPrefix(token.Text.Reveal(), accountPrefix) {
		token.Owner = cftunnel.TokenOwnerAccount
	}
	t := &apiToken{
		name: cmp.Or(token.Name, "test token"), secret: token.Text,
		state:     cmp.Or(token.Status, cftunnel.TokenStatusActive),
		notBefore: token.NotBefore, expiry: token.ExpiresOn, readOnly: token.ReadOnly,
	}
	if token.Owner == cftunnel.TokenOwnerAccount {
		t.account = strings.ToLower(cmp.Or(token.AccountID, s.accountID))
	}
	if t.secret.IsZero() {
		t.secret = newTokenSecret(t.account)
	}
	var policies []policy
	convert(token.Policies, &policies)
	for i := range policies {
		policies[i].Effect = cmp.Or(policies[i].Effect, string(cftunnel.PolicyEffectAllow))
	}
	if token.Policies == nil {
		policies = s.allPolicies(t.account)
	}
	if token.ReadOnly {
		for i := range policies {
			policies[i].Groups = slices.DeleteFunc(policies[i].Groups, groupReference.writes)
		}
	}
	var restriction json.RawMessage
	convert(token.Condition, &restriction)
	condition, problem := parseCondition(restriction)
	if problem != nil {
		panic("tunneltest: AddToken: the API does not allow the condition")
	}
	t.condition = condition

	s.mu.Lock()
	defer s.mu.Unlock()
	t.policies = s.storedPolicies(policies)
	s.addToken(t)
	return t.secret
}

const unfitForHeader = "has white space or other characters that a header cannot contain"

// fitsHeader reports whether a token can be sent in a header: it has only visible ASCII characters.
func fitsHeader(token cftunnel.Secret) bool {
	return !strings.ContainsFunc(token.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' })
}

// convert copies a value by way of JSON.
func convert(from, to any) {
	raw, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(raw, to)
	}
	if err != nil {
		panic("tunneltest: " + err.Error())
	}
}

// SetRemoteAddr sets the client address of later requests, for tests of [Token.Condition].
//
// The zero Addr, the default, means the address of the connection.
func (s *Server) SetRemoteAddr(addr netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remoteAddr = addr.Unmap()
}

// addressOf returns the client address of a request. The caller holds s.mu.
func (s *Server) addressOf(r *http.Request) netip.Addr {
	if s.remoteAddr.IsValid() {
		return s.remoteAddr
	}
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return from.Addr().Unmap()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1}) // an in-memory connection
}

// credential returns the token or key of a request. The quota is counted for each of them.
func credential(header http.Header) cftunnel.Secret {
	if authorization := header.Get("Authorization"); authorization != "" {
		return cftunnel.NewSecret(strings.TrimPrefix(authorization, "Bearer "))
	}
	return cftunnel.NewSecret(header.Get("X-Auth-Key"))
}

// authenticate returns the token of a request, or the error response if its credentials are
// invalid. The caller holds s.mu.
func (s *Server) authenticate(header http.Header) (*apiToken, *response) {
	bearer, isBearer := strings.CutPrefix(header.Get("Authorization"), "Bearer ")
	isPair := header.Get("Authorization") == "" &&
		header.Get("X-Auth-Key") != "" && header.Get("X-Auth-Email") != ""
	token := s.tokens[credential(header)]
	switch {
	case token != nil && (isBearer || isPair):
		return token, nil
	case isPair:
		return nil, failure(http.StatusForbidden, 9103, "Unknown X-Auth-Key or X-Auth-Email")
	case header.Get("Authorization") == "":
		return nil, failure(http.StatusBadRequest, 9106,
			"Missing X-Auth-Key, X-Auth-Email or Authorization headers")
	case !isBearer || !isPlainToken(bearer):
		return nil, failure(http.StatusBadRequest, 6003, "Invalid request headers",
			apiError{Code: 6111, Message: "Invalid format for Authorization header"})
	}
	return nil, failure(http.StatusUnauthorized, 1000, "Invalid API Token")
}

// isPlainToken reports whether a bearer token has the form of an API token. Tunnel tokens do not.
func isPlainToken(token string) bool {
	return token != "" && !strings.HasPrefix(token, "eyJ") &&
		strings.Trim(token, tokenCharacters) == ""
}

const tokenCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// verifyToken serves the verify endpoints of users and accounts.
func (s *Server) verifyToken(c *call) *response {
	if c.token.account != c.owner() {
		return failure(http.StatusUnauthorized, 1000, "Invalid API Token")
	}
	status := c.token.status(s.now())
	var messages []message
	if status == cftunnel.TokenStatusActive {
		messages = []message{{Code: 10000, Message: "This API Token is valid and active"}}
	}
	return successResultFirst(struct {
		ID        string               `json:"id"`
		Status    cftunnel.TokenStatus `json:"status"`
		NotBefore *timestamp           `json:"not_before,omitempty"`
		ExpiresOn *timestamp           `json:"expires_on,omitempty"`
	}{c.token.id, status, nullTime(c.token.notBefore), nullTime(c.token.expiry)}, messages...)
}
