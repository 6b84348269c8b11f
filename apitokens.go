package cftunnel

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"slices"
)

// APITokensService manages API tokens: those of the user ([Client.UserTokens]) or those of the
// client's account ([Client.AccountTokens]), which outlive the members of the account. Both have
// the same methods.
//
// The client's own token can be among them. If it is rolled, disabled or deleted, later calls fail
// with [ErrUnauthorized] or [ErrForbidden]. Use [WithTokenSource] for a client that goes on with a
// new secret.
type APITokensService struct {
	service
	ofAccount bool // not of the user
}

// apiTokenOperations is the operations of one family.
type apiTokenOperations struct {
	create, list, get, update, delete, roll, groups operation
}

// newAPITokenOperations is called by every method, and not once for all, so that a program that does
// not manage API tokens need not link it.
func newAPITokenOperations(ofAccount bool) apiTokenOperations {
	name, tokens, group := "UserTokens", "/user/tokens", "API Tokens"
	if ofAccount {
		name, tokens, group = "AccountTokens", "/accounts/{account_id}/tokens", "Account API Tokens"
	}
	token := tokens + "/{token_id}"
	read := fmt.Sprintf("%q, or the same with Write", group+" Read")
	write := fmt.Sprintf("%q", group+" Write")
	return apiTokenOperations{
		create: secretOp(name+".Create", http.MethodPost, tokens, write),
		list:   op(name+".List", http.MethodGet, tokens, read),
		get:    op(name+".Get", http.MethodGet, token, read),
		update: op(name+".Update", http.MethodPut, token, write),
		delete: op(name+".Delete", http.MethodDelete, token, write),
		roll:   once(secretOp(name+".Roll", http.MethodPut, token+"/value", write)),
		groups: op(name+".PermissionGroups", http.MethodGet, tokens+"/permission_groups", read),
	}
}

// family returns what a call needs. A nil service has none of it, which the call reports.
func (s *APITokensService) family() (*service, apiTokenOperations) {
	if s == nil {
		return nil, apiTokenOperations{}
	}
	return &s.service, newAPITokenOperations(s.ofAccount)
}

// maxTokensPerPage is the most that the API puts on a page.
const maxTokensPerPage = 50

// Create creates an API token. Value of the result is its secret, which no later call returns.
//
// It is retried only if it was certainly not carried out. On [ErrOutcomeUnknown] the token may
// exist, and its secret is lost: find it with FindByName, delete it, and create another. If the
// response has an ID but no secret, the token is returned beside that error, without Value: delete
// it by its ID.
//
// The API refuses policies that allow more than the client's own token may do, with [ErrBadRequest]
// and code 1001.
//
// Operation: POST /user/tokens
//
// Operation: POST /accounts/{account_id}/tokens
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/create/
//
// API: https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/methods/create/
func (s *APITokensService) Create(ctx context.Context, params APITokenCreateParams, opts ...CallOption) (*APIToken, error) {
	body, err := APITokenUpdateParams{
		Name: params.Name, Policies: params.Policies, Condition: params.Condition,
		NotBefore: params.NotBefore, ExpiresOn: params.ExpiresOn,
	}.body()
	if err != nil {
		return nil, err
	}
	service, operations := s.family()
	var created *APIToken
	r := request{operation: operations.create, body: body}
	_, err = doItem(ctx, service, r, func(r *apiTokenResponse) error {
		if err := checkPathID(r.ID); err != nil {
			return err
		}
		token := r.token()
		token.Value = r.secret()
		created = &token
		if created.Value.IsZero() {
			return fmt.Errorf("the response has no secret of token %s", created.ID)
		}
		return nil
	}, opts)
	return created, err
}

// Get returns an API token by ID.
//
// It returns [ErrNotFound] if the token was deleted.
//
// Operation: GET /user/tokens/{token_id}
//
// Operation: GET /accounts/{account_id}/tokens/{token_id}
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/get/
//
// API: https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/methods/get/
func (s *APITokensService) Get(ctx context.Context, tokenID string, opts ...CallOption) (*APIToken, error) {
	service, operations := s.family()
	return doAPIToken(ctx, service, request{operation: operations.get, ids: []string{tokenID}}, opts)
}

// List returns one page of API tokens, without expired ones unless params say otherwise. Use
// [APITokensService.All] for every page.
//
// Operation: GET /user/tokens
//
// Operation: GET /accounts/{account_id}/tokens
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/list/
//
// API: https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/methods/list/
func (s *APITokensService) List(ctx context.Context, params APITokenListParams, opts ...CallOption) (*Page[APIToken], error) {
	if err := checkPages(params.Page, params.PerPage, maxTokensPerPage); err != nil {
		return nil, err
	}
	service, operations := s.family()
	r := request{operation: operations.list, query: queryOf(params)}
	page, err := doPage(ctx, service, r, maxTokensPerPage, func(t *apiTokenResponse) error { return checkPathID(t.ID) }, opts)
	if err != nil {
		return nil, err
	}
	return mapPage(page, (*apiTokenResponse).token), nil
}

// All yields every API token that List returns, from every page. An error is yielded once, with a
// nil token, and ends the iteration.
//
// Operation: GET /user/tokens
//
// Operation: GET /accounts/{account_id}/tokens
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/list/
//
// API: https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/methods/list/
func (s *APITokensService) All(ctx context.Context, params APITokenListParams, opts ...CallOption) iter.Seq2[*APIToken, error] {
	identity := func(t *APIToken) string { return t.ID }
	fetch := func(page, perPage int) (*Page[APIToken], error) {
		params := params
		params.Page, params.PerPage = page, perPage
		return s.List(ctx, params, opts...)
	}
	return allPages(params.Page, params.PerPage, maxTokensPerPage, identity, fetch)
}

// FindByName returns the API tokens with exactly this name, the oldest first. Names are not unique.
// Tokens that expired recently are included. If there are none, it returns no error.
//
// Operation: GET /user/tokens
//
// Operation: GET /accounts/{account_id}/tokens
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/list/
//
// API: https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/methods/list/
func (s *APITokensService) FindByName(ctx context.Context, name string, opts ...CallOption) ([]APIToken, error) {
	if err := checkTokenName("name", name); err != nil {
		return nil, err
	}
	var found []APIToken
	for token, err := range s.All(ctx, APITokenListParams{IncludeExpired: true}, opts...) {
		if err != nil {
			return nil, err
		}
		// A token that is created meanwhile moves others to the next page, where they come again.
		again := func(t APIToken) bool { return t.ID == token.ID }
		if token.Name == name && !slices.ContainsFunc(found, again) {
			found = append(found, *token)
		}
	}
	slices.SortStableFunc(found, func(a, b APIToken) int {
		return a.IssuedOn.Compare(b.IssuedOn)
	})
	return found, nil
}

// Update replaces everything of an API token except its secret. What params leave out is removed:
// see [APITokensService.Modify].
//
// It returns [ErrNotFound], and [ErrOutcomeUnknown] if the token may be changed nevertheless: call
// it again.
//
// Operation: PUT /user/tokens/{token_id}
//
// Operation: PUT /accounts/{account_id}/tokens/{token_id}
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/update/
//
// API: https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/methods/update/
func (s *APITokensService) Update(ctx context.Context, tokenID string, params APITokenUpdateParams, opts ...CallOption) (*APIToken, error) {
	if params.Policies == nil {
		return nil, invalid("Policies", "are missing; an update replaces all of them")
	}
	body, err := params.body()
	if err != nil {
		return nil, err
	}
	service, operations := s.family()
	return doAPIToken(ctx, service, request{operation: operations.update, ids: []string{tokenID}, body: body}, opts)
}

// Delete deletes an API token. Its secret stops working at once.
//
// It returns [ErrNotFound] if the token was deleted before, and [ErrOutcomeUnknown] if it may be
// deleted nevertheless: call it again. If a response was lost and the retry is a 404, the token is
// deleted.
//
// Operation: DELETE /user/tokens/{token_id}
//
// Operation: DELETE /accounts/{account_id}/tokens/{token_id}
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/delete/
//
// API: https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/methods/delete/
func (s *APITokensService) Delete(ctx context.Context, tokenID string, opts ...CallOption) error {
	service, operations := s.family()
	r := request{operation: operations.delete, ids: []string{tokenID}}
	_, err := doDelete(ctx, service, r, func(deleted *deletedToken) error {
		if deleted.ID == "" {
			return nil
		}
		return checkID(deleted.ID, tokenID)
	}, opts)
	return err
}

// Roll replaces the secret of an API token and returns the new one. The old one stops working at
// once; everything else of the token stays.
//
// It is retried only if it was certainly not carried out. On [ErrOutcomeUnknown] the old secret may
// be invalid and a new one lost: roll again. A client whose own token it is may then be locked out:
// see [APITokensService].
//
// Operation: PUT /user/tokens/{token_id}/value
//
// Operation: PUT /accounts/{account_id}/tokens/{token_id}/value
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/subresources/value/methods/update/
//
// API: https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/subresources/value/methods/update/
func (s *APITokensService) Roll(ctx context.Context, tokenID string, opts ...CallOption) (Secret, error) {
	service, operations := s.family()
	r := request{operation: operations.roll, ids: []string{tokenID}, body: struct{}{}}
	return doToken(ctx, service, r, nil, opts)
}

// deletedToken is the response to a delete.
type deletedToken struct {
	ID string `json:"id"`
}

// apiTokenResponse is a token and, in the response to a create, its secret.
type apiTokenResponse struct {
	APIToken
	Secret json.RawMessage `json:"value"`
}

// token returns the token without its secret. An empty condition is none.
func (r *apiTokenResponse) token() APIToken {
	token := r.APIToken
	if token.Condition.isEmpty() {
		token.Condition = nil
	}
	return token
}

func (r *apiTokenResponse) secret() Secret {
	var text string
	if json.Unmarshal(r.Secret, &text) != nil {
		return Secret{}
	}
	return NewSecret(text)
}

// doAPIToken sends a request whose response is the token that it is about.
func doAPIToken(ctx context.Context, s *service, r request, opts []CallOption) (*APIToken, error) {
	response, err := doItem(ctx, s, r, func(t *apiTokenResponse) error { return checkID(t.ID, r.ids[0]) }, opts)
	if err != nil {
		return nil, err
	}
	token := response.token()
	return &token, nil
}
