package tunneltest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

const (
	userTokensPath    = "/user/tokens"
	accountTokensPath = "/accounts/{account_id}/tokens"
)

// tokenRoutes are the operations on API tokens of users and accounts.
var tokenRoutes = slices.Concat(
	[]route{
		{http.MethodGet, userTokensPath + "/verify", (*Server).verifyToken, nil},
		{http.MethodGet, accountTokensPath + "/verify", (*Server).verifyToken, nil},
	},
	tokenRoutesOf(userTokensPath, userTokensRead, userTokensWrite),
	tokenRoutesOf(accountTokensPath, accountTokensRead, accountTokensWrite),
)

func tokenRoutesOf(path string, read, write permission) []route {
	return []route{
		{http.MethodGet, path, (*Server).listTokens, read},
		{http.MethodPost, path, (*Server).createToken, write},
		{http.MethodGet, path + "/permission_groups", (*Server).listPermissionGroups, read},
		{http.MethodGet, path + "/{token_id}", (*Server).getToken, read},
		{http.MethodPut, path + "/{token_id}", (*Server).updateToken, write},
		{http.MethodDelete, path + "/{token_id}", (*Server).deleteToken, write},
		{http.MethodPut, path + "/{token_id}/value", (*Server).rollToken, write},
	}
}

// apiToken is the state of an API token.
type apiToken struct {
	number            int // in the order of creation
	id, name          string
	secret            cftunnel.Secret
	account           string // ID of the owner; empty if the user owns the token
	state             cftunnel.TokenStatus
	issued, modified  time.Time
	lastUsed          time.Time
	notBefore, expiry time.Time
	policies          []policy
	condition         *condition
	readOnly          bool // Token.ReadOnly
}

// status returns the current status of the token, which can have expired.
func (t *apiToken) status(now time.Time) cftunnel.TokenStatus {
	if t.state == cftunnel.TokenStatusActive && !t.expiry.IsZero() && !now.Before(t.expiry) {
		return cftunnel.TokenStatusExpired
	}
	return t.state
}

// newTokenSecret returns a random token with the prefix of the owner.
func newTokenSecret(account string) cftunnel.Secret {
	prefix := userPrefix
	if account != "" {
		prefix = accountPrefix
	}
	return cftunnel.NewSecret(prefix + randomHex(24))
}

// addToken adds a new token. The caller holds s.mu.
func (s *Server) addToken(t *apiToken) {
	s.tokenCount++
	t.number, t.id = s.tokenCount, randomHex(16)
	t.issued = s.currentTime()
	t.modified = t.issued
	s.tokens[t.secret] = t
}

// tokenJSON is a token in a response.
type tokenJSON struct {
	ID         string               `json:"id"`
	Name       string               `json:"name"`
	Status     cftunnel.TokenStatus `json:"status"`
	IssuedOn   timestamp            `json:"issued_on"`
	ModifiedOn timestamp            `json:"modified_on"`
	LastUsedOn *timestamp           `json:"last_used_on"`
	NotBefore  *timestamp           `json:"not_before,omitempty"`
	ExpiresOn  *timestamp           `json:"expires_on,omitempty"`
	Policies   []policy             `json:"policies"`
	Condition  *condition           `json:"condition,omitempty"`
	Value      string               `json:"value,omitempty"`
}

func (t *apiToken) json(now time.Time) tokenJSON {
	return tokenJSON{
		ID: t.id, Name: t.name, Status: t.status(now), IssuedOn: timestamp{t.issued},
		ModifiedOn: timestamp{t.modified}, LastUsedOn: nullTime(t.lastUsed),
		NotBefore: nullTime(t.notBefore), ExpiresOn: nullTime(t.expiry),
		Policies: append([]policy{}, t.policies...), Condition: t.condition,
	}
}

// badTokenRequest returns the error response of the endpoints for API tokens to requests that are
// invalid for a reason other than their policies. The code is lower than those that the API
// documents.
func badTokenRequest(message string) *response {
	return failure(http.StatusBadRequest, 400, message)
}

// tokenBody is the body of a create or an update.
type tokenBody struct {
	Name      string               `json:"name"`
	Status    cftunnel.TokenStatus `json:"status"`
	Policies  *[]policy            `json:"policies"`
	Condition json.RawMessage      `json:"condition"`
	NotBefore string               `json:"not_before"`
	ExpiresOn string               `json:"expires_on"`
}

// maxTokenName is the maximum length of a token's name in characters.
const maxTokenName = 120

// apply replaces the fields of t with those of a request body, or changes nothing and returns an
// error response. creator is the token of the request.
func (s *Server) apply(t, creator *apiToken, raw []byte) *response {
	var body tokenBody
	if !decodeObject(raw, &body) {
		return badTokenRequest("The request's body is not a valid JSON object")
	}
	condition, problem := parseCondition(body.Condition)
	switch {
	case strings.TrimSpace(body.Name) == "" || utf8.RuneCountInString(body.Name) > maxTokenName:
		return badTokenRequest("name must have 1 to 120 characters")
	case body.Policies == nil:
		return badTokenRequest("policies is required")
	case body.Status != "" && body.Status != cftunnel.TokenStatusActive &&
		body.Status != cftunnel.TokenStatusDisabled:
		return badTokenRequest("status must be active or disabled")
	case t.state == cftunnel.TokenStatusRevoked:
		return badTokenRequest("The token is revoked")
	case problem != nil:
		return problem
	}
	notBefore, ok1 := parseSeconds(body.NotBefore)
	expiry, ok2 := parseSeconds(body.ExpiresOn)
	switch {
	case !ok1 || !ok2:
		return badTokenRequest(
			"not_before and expires_on must be times in UTC without fractions of a second",
		)
	case !notBefore.IsZero() && !expiry.IsZero() && expiry.Before(notBefore):
		return badTokenRequest("expires_on must not be before not_before")
	}
	if problem := s.checkPolicies(*body.Policies, t, creator); problem != nil {
		return problem
	}
	t.name, t.state = body.Name, cmp.Or(body.Status, t.state)
	t.condition, t.notBefore, t.expiry = condition, notBefore, expiry
	t.policies = s.storedPolicies(*body.Policies)
	return nil
}

// parseSeconds parses a time in a request. An empty text returns the zero time.
func parseSeconds(text string) (time.Time, bool) {
	if text == "" {
		return time.Time{}, true
	}
	t, err := time.Parse(time.RFC3339, text)
	return t.UTC(), err == nil && !strings.Contains(text, ".")
}

func (s *Server) createToken(c *call) *response {
	t := &apiToken{state: cftunnel.TokenStatusActive, account: c.owner()}
	if problem := s.apply(t, c.token, c.body); problem != nil {
		return problem
	}
	t.secret = newTokenSecret(t.account)
	s.addToken(t)
	j := t.json(s.now())
	j.Value = t.secret.Reveal()
	return successResultFirst(j)
}

// owner returns the ID of the account in the path, or "" for the user.
func (c *call) owner() string {
	if c.account == nil {
		return ""
	}
	return c.account.id
}

// ownerTokens returns the tokens of the account in the path, or of the user, newest first.
func (s *Server) ownerTokens(c *call) []*apiToken {
	var list []*apiToken
	for _, t := range s.tokens {
		if t.account == c.owner() {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b *apiToken) int {
		return cmp.Or(b.issued.Compare(a.issued), cmp.Compare(b.number, a.number))
	})
	return list
}

func (s *Server) listTokens(c *call) *response {
	list, now := s.ownerTokens(c), s.now()
	if c.query.Get("include_expired") != "true" {
		list = slices.DeleteFunc(list, func(t *apiToken) bool {
			return t.status(now) == cftunnel.TokenStatusExpired
		})
	}
	if c.query.Get("direction") == "asc" {
		slices.Reverse(list)
	}
	page, info, problem := selectPage(c.query, pageLimits{5, 20, 50}, list)
	if problem != nil {
		return badTokenRequest("page and per_page must be whole numbers from 1")
	}
	toJSON := func(t *apiToken) tokenJSON { return t.json(now) }
	return successPage(allJSON(page, toJSON), info)
}

// findToken returns the token of the path, or an error response.
func (s *Server) findToken(c *call) (*apiToken, *response) {
	id := strings.ToLower(c.values["token_id"])
	for _, t := range s.ownerTokens(c) {
		if t.id == id {
			return t, nil
		}
	}
	switch {
	case isHexID(id):
		return nil, failure(http.StatusNotFound, 1003, "Token not found")
	case c.account == nil:
		return nil, badTokenRequest("Invalid token identifier")
	}
	return nil, cannotRoute("the token")
}

func (s *Server) getToken(c *call) *response {
	t, problem := s.findToken(c)
	if problem != nil {
		return problem
	}
	return successResultFirst(t.json(s.now()))
}

func (s *Server) updateToken(c *call) *response {
	t, problem := s.findToken(c)
	if problem == nil {
		problem = s.apply(t, c.token, c.body)
	}
	if problem != nil {
		return problem
	}
	t.modified = s.currentTime()
	return successResultFirst(t.json(s.now()))
}

// deleteToken deletes the token. It stops working at once.
func (s *Server) deleteToken(c *call) *response {
	t, problem := s.findToken(c)
	if problem != nil {
		return problem
	}
	delete(s.tokens, t.secret)
	return successResultFirst(struct {
		ID string `json:"id"`
	}{t.id})
}

// rollToken replaces the secret of the token. The old secret stops working at once.
func (s *Server) rollToken(c *call) *response {
	t, problem := s.findToken(c)
	switch {
	case problem != nil:
		return problem
	case len(bytes.TrimSpace(c.body)) > 0 && !isObject(c.body):
		return badTokenRequest("The request's body must be a JSON object")
	}
	delete(s.tokens, t.secret)
	t.secret = newTokenSecret(t.account)
	t.modified = s.currentTime()
	s.tokens[t.secret] = t
	return successResultFirst(t.secret.Reveal())
}

// emptyTokenID handles paths with an empty token ID as the API does: it returns the path of the
// list, or an error response. It returns other paths unchanged.
func emptyTokenID(method, path string) (string, *response) {
	switch collection, ok := strings.CutSuffix(path, "/tokens/"); {
	case strings.HasSuffix(path, "/tokens//value"):
		return path, cannotRoute(path)
	case !ok:
		return path, nil
	case method == http.MethodGet:
		return collection + "/tokens", nil
	}
	return path, failure(http.StatusMethodNotAllowed, 7001, "Method not allowed for this endpoint")
}
