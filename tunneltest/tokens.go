package tunneltest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// Token is an API token of the server.
type Token struct {
	// Text is the secret of the token. The zero Secret gets a random one, with the prefix of its
	// owner.
	Text cftunnel.Secret
	// Owner defaults to what the prefix of Text says, or else to the user.
	Owner cftunnel.TokenOwner
	// AccountID is the account that owns the token, if an account does. The default is that of
	// [Server.AccountID].
	AccountID string
	// Name is what the operations on API tokens show. The default is "test token".
	Name string
	// Policies are what the token may do. nil allows everything: a user's token in every account,
	// an account's token in its own. An empty list allows nothing.
	Policies []cftunnel.TokenPolicy
	// Condition restricts the addresses that the token is used from: see [Server.SetRemoteAddr].
	// nil restricts nothing.
	Condition *cftunnel.TokenCondition
	// Status defaults to active.
	Status cftunnel.TokenStatus
	// NotBefore and ExpiresOn are the times between which the token works. Zero is no limit.
	NotBefore, ExpiresOn time.Time
	// ReadOnly leaves the permission groups to write out of Policies, and refuses requests other than
	// GET to endpoints of [Server.Handle].
	ReadOnly bool
}

// Beginnings of the tokens of users and of accounts, since 2026.
const (
	userPrefix    = "cfut_"
	accountPrefix = "cfat_"
)

// AddToken adds an API token to that of [Server.APIToken], and returns its secret. It replaces a
// token with the same secret.
//
// It is the account's dashboard: unlike a token that a request creates, this one can have any
// policy.
func (s *Server) AddToken(token Token) cftunnel.Secret {
	if token.Owner == "" && strings.HasPrefix(token.Text.Reveal(), accountPrefix) {
		token.Owner = cftunnel.TokenOwnerAccount
	}
	t := &apiToken{
		name: cmp.Or(token.Name, "test token"), secret: token.Text, state: cmp.Or(token.Status, cftunnel.TokenStatusActive),
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
		panic("tunneltest: a token with a condition that the API refuses")
	}
	t.condition = condition

	s.mu.Lock()
	defer s.mu.Unlock()
	t.policies = s.stored(policies)
	s.addToken(t)
	return t.secret
}

// convert copies a value by its JSON.
func convert(from, to any) {
	raw, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(raw, to)
	}
	if err != nil {
		panic("tunneltest: " + err.Error())
	}
}

// SetRemoteAddr sets the address that later requests come from, for the conditions of tokens. The
// zero Addr is that of the connection.
func (s *Server) SetRemoteAddr(addr netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remoteAddr = addr.Unmap()
}

// addressOf returns where a request comes from. The caller holds s.mu.
func (s *Server) addressOf(r *http.Request) netip.Addr {
	if s.remoteAddr.IsValid() {
		return s.remoteAddr
	}
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return from.Addr().Unmap()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1}) // a connection in memory
}

// credential is what a request is counted by.
func credential(header http.Header) cftunnel.Secret {
	if authorization := header.Get("Authorization"); authorization != "" {
		return cftunnel.NewSecret(strings.TrimPrefix(authorization, "Bearer "))
	}
	return cftunnel.NewSecret(header.Get("X-Auth-Key"))
}

// authenticate finds the token of a request, or says what is wrong with its credentials. The caller
// holds s.mu.
func (s *Server) authenticate(header http.Header) (*apiToken, *answer) {
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

// verifyToken serves the endpoints of both owners.
func (s *Server) verifyToken(c *call) answer {
	owner := ""
	if c.account != nil {
		owner = c.account.id
	}
	if c.token.account != owner {
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
	}{c.token.id, status, orNull(c.token.notBefore), orNull(c.token.expiry)}, remarks...)
}
