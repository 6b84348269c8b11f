package tunneltest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

const (
	userTokensPath    = "/user/tokens"
	accountTokensPath = "/accounts/{account_id}/tokens"
)

// tokenRoutes is the operations on API tokens of the user and of accounts.
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

// apiToken is an API token as the server keeps it.
type apiToken struct {
	number            int // in the order of creation
	id, name          string
	secret            cftunnel.Secret
	account           string // that owns it; empty if the user does
	state             cftunnel.TokenStatus
	issued, modified  time.Time
	lastUsed          time.Time
	notBefore, expiry time.Time
	policies          []policy
	condition         *condition
	readOnly          bool // of AddToken: it may not write to endpoints of Handle
}

// status is what the token is now: its time can run out.
func (t *apiToken) status(now time.Time) cftunnel.TokenStatus {
	if t.state == cftunnel.TokenStatusActive && !t.expiry.IsZero() && !now.Before(t.expiry) {
		return cftunnel.TokenStatusExpired
	}
	return t.state
}

// newTokenSecret returns a random secret, with the prefix of its owner.
func newTokenSecret(account string) cftunnel.Secret {
	prefix := userPrefix
	if account != "" {
		prefix = accountPrefix
	}
	return cftunnel.NewSecret(prefix + randomHex(24))
}

// addToken keeps a new token. The caller holds s.mu.
func (s *Server) addToken(t *apiToken) {
	s.tokenCount++
	t.number, t.id = s.tokenCount, randomHex(16)
	t.issued = s.stamp()
	t.modified = t.issued
	s.tokens[t.secret] = t
}

// tokenJSON is a token as responses have it.
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
		ID: t.id, Name: t.name, Status: t.status(now), IssuedOn: timestamp{t.issued}, ModifiedOn: timestamp{t.modified},
		LastUsedOn: orNull(t.lastUsed), NotBefore: orNull(t.notBefore), ExpiresOn: orNull(t.expiry),
		Policies: append([]policy{}, t.policies...), Condition: t.condition,
	}
}

// malformed refuses a request to the token family that is not about policies. Its code is below the
// least that the API documents.
func malformed(message string) *answer {
	a := failure(http.StatusBadRequest, 400, message)
	return &a
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

// maxTokenName is in characters.
const maxTokenName = 120

// apply replaces everything of t by what a request asks for, or changes nothing. maker is the token
// of the request.
func (s *Server) apply(t, maker *apiToken, raw []byte) *answer {
	var body tokenBody
	if json.Unmarshal(raw, &body) != nil || !isObject(raw) {
		return malformed("The request's body must be a JSON object of the documented shape")
	}
	condition, problem := parseCondition(body.Condition)
	switch {
	case strings.TrimSpace(body.Name) == "" || utf8.RuneCountInString(body.Name) > maxTokenName:
		return malformed("name must have 1 to 120 characters")
	case body.Policies == nil:
		return malformed("policies is required")
	case body.Status != "" && body.Status != cftunnel.TokenStatusActive && body.Status != cftunnel.TokenStatusDisabled:
		return malformed("status must be active or disabled")
	case t.state == cftunnel.TokenStatusRevoked:
		return malformed("The token is revoked")
	case problem != nil:
		return problem
	}
	notBefore, ok1 := parseSeconds(body.NotBefore)
	expiry, ok2 := parseSeconds(body.ExpiresOn)
	switch {
	case !ok1 || !ok2:
		return malformed("not_before and expires_on must be times in UTC without fractions of a second")
	case !notBefore.IsZero() && !expiry.IsZero() && expiry.Before(notBefore):
		return malformed("expires_on must not be before not_before")
	}
	if problem := s.checkPolicies(*body.Policies, t, maker); problem != nil {
		return problem
	}
	t.name, t.state = body.Name, cmp.Or(body.Status, t.state)
	t.condition, t.notBefore, t.expiry = condition, notBefore, expiry
	t.policies = s.stored(*body.Policies)
	return nil
}

func isObject(raw []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) }

// parseSeconds reads a time of a request. Empty is no time.
func parseSeconds(text string) (time.Time, bool) {
	if text == "" {
		return time.Time{}, true
	}
	t, err := time.Parse(time.RFC3339, text)
	return t.UTC(), err == nil && !strings.Contains(text, ".")
}

func (s *Server) createToken(c *call) answer {
	t := &apiToken{state: cftunnel.TokenStatusActive}
	if c.account != nil {
		t.account = c.account.id
	}
	if problem := s.apply(t, c.token, c.body); problem != nil {
		return *problem
	}
	t.secret = newTokenSecret(t.account)
	s.addToken(t)
	j := t.json(s.now())
	j.Value = t.secret.Reveal()
	return resultFirst(j)
}

// ownTokens returns the tokens of the account in the path, or of the user, the newest first.
func (s *Server) ownTokens(c *call) []*apiToken {
	account := ""
	if c.account != nil {
		account = c.account.id
	}
	var list []*apiToken
	for _, t := range s.tokens {
		if t.account == account {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b *apiToken) int {
		return cmp.Or(b.issued.Compare(a.issued), cmp.Compare(b.number, a.number))
	})
	return list
}

func (s *Server) listTokens(c *call) answer {
	number, perPage, ok := pageNumbers(c, 20)
	if !ok {
		return *malformed("page and per_page must be whole numbers from 1")
	}
	perPage = min(max(perPage, 5), 50)
	list, now := s.ownTokens(c), s.now()
	if c.query.Get("include_expired") != "true" {
		list = slices.DeleteFunc(list, func(t *apiToken) bool {
			return t.status(now) == cftunnel.TokenStatusExpired
		})
	}
	if c.query.Get("direction") == "asc" {
		slices.Reverse(list)
	}
	result := []tokenJSON{}
	from := len(list)
	if number-1 <= len(list)/perPage {
		from = min((number-1)*perPage, len(list))
	}
	for _, t := range list[from:min(from+perPage, len(list))] {
		result = append(result, t.json(now))
	}
	return page(result, resultInfo{
		Count: len(result), Page: int64(number), PerPage: int64(perPage), TotalCount: int64(len(list)),
	})
}

// pageNumbers reads which page of a list a request is for.
func pageNumbers(c *call, byDefault int) (number, perPage int, ok bool) {
	number, perPage = 1, byDefault
	for name, value := range map[string]*int{"page": &number, "per_page": &perPage} {
		text := c.query.Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return 0, 0, false
		}
		*value = n
	}
	return number, perPage, true
}

// ownToken returns the token that the path names, or says why there is none.
func (s *Server) ownToken(c *call) (*apiToken, *answer) {
	id := strings.ToLower(c.values["token_id"])
	var problem answer
	switch {
	case isAccountID(id): // which has the same form
		problem = failure(http.StatusNotFound, 1003, "Token not found")
	case c.account == nil:
		return nil, malformed("Invalid token identifier")
	default:
		problem = failure(http.StatusNotFound, 7003, "Could not route to the token, perhaps your object identifier is invalid?")
	}
	for _, t := range s.ownTokens(c) {
		if t.id == id {
			return t, nil
		}
	}
	return nil, &problem
}

func (s *Server) getToken(c *call) answer {
	t, problem := s.ownToken(c)
	if problem != nil {
		return *problem
	}
	return resultFirst(t.json(s.now()))
}

func (s *Server) updateToken(c *call) answer {
	t, problem := s.ownToken(c)
	if problem == nil {
		problem = s.apply(t, c.token, c.body)
	}
	if problem != nil {
		return *problem
	}
	t.modified = s.stamp()
	return resultFirst(t.json(s.now()))
}

// deleteToken ends the secret at once.
func (s *Server) deleteToken(c *call) answer {
	t, problem := s.ownToken(c)
	if problem != nil {
		return *problem
	}
	delete(s.tokens, t.secret)
	return resultFirst(struct {
		ID string `json:"id"`
	}{t.id})
}

// rollToken replaces the secret. The old one ends at once.
func (s *Server) rollToken(c *call) answer {
	t, problem := s.ownToken(c)
	switch {
	case problem != nil:
		return *problem
	case len(bytes.TrimSpace(c.body)) > 0 && !isObject(c.body):
		return *malformed("The request's body must be a JSON object")
	}
	delete(s.tokens, t.secret)
	t.secret = newTokenSecret(t.account)
	t.modified = s.stamp()
	s.tokens[t.secret] = t
	return resultFirst(t.secret.Reveal())
}

// emptyTokenID returns what the API makes of a path in which the id of a token is missing: the
// list, which path then is, or a problem.
func emptyTokenID(method, path string) (string, *answer) {
	var problem answer
	switch collection, ok := strings.CutSuffix(path, "/tokens/"); {
	case strings.HasSuffix(path, "/tokens//value"):
		problem = failure(http.StatusNotFound, 7003, "Could not route to "+path+", perhaps your object identifier is invalid?")
	case !ok:
		return path, nil
	case method == http.MethodGet:
		return collection + "/tokens", nil
	default:
		problem = failure(http.StatusMethodNotAllowed, 7001, "Method not allowed for this endpoint")
	}
	return path, &problem
}
