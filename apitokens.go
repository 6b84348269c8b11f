package cftunnel

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"slices"
)

// APITokensService manages API tokens: those of the user whose credentials the client uses
// ([Client.UserTokens]), or those of the client's account ([Client.AccountTokens]). Both have the
// same methods. A token of an account keeps working when the member who created it leaves the
// account.
//
// The token that the client uses can be one of these tokens. If that token is disabled or deleted,
// or its secret is replaced, later calls of the client fail with [ErrUnauthorized] or
// [ErrForbidden]. Use [WithTokenSource] for a client that must continue with a new secret.
type APITokensService struct {
	service
	ofAccount bool // not of the user
}

// apiTokenOperations has the operations on the tokens of a user or an account.
type apiTokenOperations struct {
	create, list, get, update, delete, roll, groups operation
}

// newAPITokenOperations is called by every method, instead of once, so that the linker can leave it
// out of programs that do not manage API tokens.
func newAPITokenOperations(ofAccount bool) apiTokenOperations {
	service, path, permission := "UserTokens", "/user/tokens", "API Tokens"
	if ofAccount {
		service, permission = "AccountTokens", "Account API Tokens"
		path = "/accounts/{account_id}/tokens"
	}
	tokenPath := path + "/{token_id}"
	read := fmt.Sprintf("%q, or the same with Write", permission+" Read")
	write := fmt.Sprintf("%q", permission+" Write")
	return apiTokenOperations{
		create: secretOp(service+".Create", http.MethodPost, path, write),
		list:   op(service+".List", http.MethodGet, path, read),
		get:    op(service+".Get", http.MethodGet, tokenPath, read),
		update: op(service+".Update", http.MethodPut, tokenPath, write),
		delete: op(service+".Delete", http.MethodDelete, tokenPath, write),
		roll:   once(secretOp(service+".Roll", http.MethodPut, tokenPath+"/value", write)),
		groups: op(service+".PermissionGroups", http.MethodGet, path+"/permission_groups", read),
	}
}

// unpack returns the service and its operations. A nil service has none, which the call reports.
func (s *APITokensService) unpack() (*Client, apiTokenOperations) {
	if s == nil {
		return noService, apiTokenOperations{}
	}
	return s.client, newAPITokenOperations(s.ofAccount)
}

const (
	minTokensPerPage = 5
	maxTokensPerPage = 50
)

// Create creates an API token. The field Value of the result is the secret of the token. No later
// call returns it.
//
// The request is retried only if it certainly was not carried out. Create returns
// [ErrOutcomeUnknown] if the token may have been created. The secret is then lost: find the token
// with FindByName, delete it, and create another. If the response has an ID but no secret, Create
// returns the token without Value, together with ErrOutcomeUnknown: delete the token by its ID.
//
// The API refuses policies that allow more than the client's own token may do: [ErrBadRequest] with
// code 1001.
//
// [Client.UserTokens] sends the first operation, [Client.AccountTokens] the second.
//
// Operation: POST /user/tokens
//
// Operation: POST /accounts/{account_id}/tokens
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/create/
//
// API: https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/methods/create/
func (s *APITokensService) Create(
	ctx context.Context, params APITokenCreateParams, opts ...CallOption,
) (*APIToken, error) {
	body, err := APITokenUpdateParams{
		Name: params.Name, Policies: params.Policies, Condition: params.Condition,
		NotBefore: params.NotBefore, ExpiresOn: params.ExpiresOn,
	}.body()
	if err != nil {
		return nil, err
	}
	client, operations := s.unpack()
	var created *APIToken
	r := request{operation: operations.create, body: body}
	_, err = doItem(ctx, client, r, func(r *apiTokenResponse) error {
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
// It returns [ErrNotFound] if the token is unknown or deleted.
//
// [Client.UserTokens] sends the first operation, [Client.AccountTokens] the second.
//
// Operation: GET /user/tokens/{token_id}
//
// Operation: GET /accounts/{account_id}/tokens/{token_id}
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/get/
//
// API: https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/methods/get/
func (s *APITokensService) Get(
	ctx context.Context, tokenID string, opts ...CallOption,
) (*APIToken, error) {
	client, operations := s.unpack()
	r := request{operation: operations.get, ids: []string{tokenID}}
	return doAPIToken(ctx, client, r, opts)
}

// List returns one page of API tokens, without expired ones unless params say otherwise.
// [APITokensService.All] returns every page.
//
// [Client.UserTokens] sends the first operation, [Client.AccountTokens] the second.
//
// Operation: GET /user/tokens
//
// Operation: GET /accounts/{account_id}/tokens
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/list/
//
// API: https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/methods/list/
func (s *APITokensService) List(
	ctx context.Context, params APITokenListParams, opts ...CallOption,
) (*Page[APIToken], error) {
	err := checkPages(params.Page, params.PerPage, minTokensPerPage, maxTokensPerPage)
	if err != nil {
		return nil, err
	}
	client, operations := s.unpack()
	r := request{operation: operations.list, query: queryOf(params)}
	check := func(t *apiTokenResponse) error { return checkPathID(t.ID) }
	page, err := doPage(ctx, client, r, maxTokensPerPage, check, opts)
	if err != nil {
		return nil, err
	}
	return mapPage(page, (*apiTokenResponse).token), nil
}

// All returns an iterator over the API tokens on all pages of List. Ranging over it again sends new
// requests. An error is yielded once, with a nil token, and ends the iteration.
//
// [Client.UserTokens] sends the first operation, [Client.AccountTokens] the second.
//
// Operation: GET /user/tokens
//
// Operation: GET /accounts/{account_id}/tokens
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/list/
//
// API: https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/methods/list/
func (s *APITokensService) All(
	ctx context.Context, params APITokenListParams, opts ...CallOption,
) iter.Seq2[*APIToken, error] {
	identity := func(t *APIToken) string { return t.ID }
	fetch := func(page, perPage int) (*Page[APIToken], error) {
		params := params
		params.Page, params.PerPage = page, perPage
		return s.List(ctx, params, opts...)
	}
	return allPages(params.Page, params.PerPage, maxTokensPerPage, identity, fetch)
}

// FindByName returns the API tokens with exactly this name, the oldest first. Names are not unique.
// Tokens that expired recently are included. If no token has the name, the result is empty and the
// error is nil.
//
// [Client.UserTokens] sends the first operation, [Client.AccountTokens] the second.
//
// Operation: GET /user/tokens
//
// Operation: GET /accounts/{account_id}/tokens
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/list/
//
// API: https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/methods/list/
func (s *APITokensService) FindByName(
	ctx context.Context, name string, opts ...CallOption,
) ([]APIToken, error) {
	if err := checkTokenName("name", name); err != nil {
		return nil, err
	}
	var found []APIToken
	for token, err := range s.All(ctx, APITokenListParams{IncludeExpired: true}, opts...) {
		if err != nil {
			return nil, listFailed(err)
		}
		// A new token can move others to the next page, so that they are listed twice.
		hasSameID := func(t APIToken) bool { return t.ID == token.ID }
		if token.Name == name && !slices.ContainsFunc(found, hasSameID) {
			found = append(found, *token)
		}
	}
	slices.SortStableFunc(found, func(a, b APIToken) int {
		return a.IssuedOn.Compare(b.IssuedOn)
	})
	return found, nil
}

// Update replaces all of an API token except its secret. If Condition, NotBefore or ExpiresOn is
// zero, the token loses that setting. To change only some settings, use [APITokensService.Modify].
//
// It returns [ErrNotFound] if the token is unknown or deleted, and [ErrOutcomeUnknown] if the token
// may have been changed: call Update again.
//
// [Client.UserTokens] sends the first operation, [Client.AccountTokens] the second.
//
// Operation: PUT /user/tokens/{token_id}
//
// Operation: PUT /accounts/{account_id}/tokens/{token_id}
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/update/
//
// API: https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/methods/update/
func (s *APITokensService) Update(
	ctx context.Context, tokenID string, params APITokenUpdateParams, opts ...CallOption,
) (*APIToken, error) {
	if params.Policies == nil {
		return nil, invalid("Policies", "are missing; an update replaces all of them")
	}
	body, err := params.body()
	if err != nil {
		return nil, err
	}
	client, operations := s.unpack()
	r := request{operation: operations.update, ids: []string{tokenID}, body: body}
	return doAPIToken(ctx, client, r, opts)
}

// Delete deletes an API token. Its secret stops working at once.
//
// It returns [ErrNotFound] if the token is unknown or already deleted, and [ErrOutcomeUnknown] if
// the token may have been deleted: call Delete again, and treat ErrNotFound as success. If the
// response to an attempt was lost and the retry gets a 404, the token is deleted and Delete returns
// nil.
//
// [Client.UserTokens] sends the first operation, [Client.AccountTokens] the second.
//
// Operation: DELETE /user/tokens/{token_id}
//
// Operation: DELETE /accounts/{account_id}/tokens/{token_id}
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/delete/
//
// API: https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/methods/delete/
func (s *APITokensService) Delete(ctx context.Context, tokenID string, opts ...CallOption) error {
	client, operations := s.unpack()
	r := request{operation: operations.delete, ids: []string{tokenID}}
	_, err := doDelete(ctx, client, r, func(deleted *deletedToken) error {
		if deleted.ID == "" {
			return nil
		}
		return checkID(deleted.ID, tokenID)
	}, opts)
	return err
}

// Roll replaces the secret of an API token and returns the new one. The old secret stops working at
// once. Nothing else of the token changes.
//
// The request is retried only if it certainly was not carried out. Roll returns [ErrOutcomeUnknown]
// if the secret may have been replaced, but the new secret was not received: call Roll again. If
// the client uses this token, it may then have no valid secret: see [APITokensService].
//
// [Client.UserTokens] sends the first operation, [Client.AccountTokens] the second.
//
// Operation: PUT /user/tokens/{token_id}/value
//
// Operation: PUT /accounts/{account_id}/tokens/{token_id}/value
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/subresources/value/methods/update/
//
// API: https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/subresources/value/methods/update/
func (s *APITokensService) Roll(
	ctx context.Context, tokenID string, opts ...CallOption,
) (Secret, error) {
	client, operations := s.unpack()
	r := request{operation: operations.roll, ids: []string{tokenID}, body: struct{}{}}
	return doToken(ctx, client, r, nil, opts)
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

// token returns the token without its secret. An empty condition becomes nil.
func (r *apiTokenResponse) token() APIToken {
	token := r.APIToken
	if c := token.Condition; c.isEmpty() {
		token.shutsOut = c != nil
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

// doAPIToken sends a request about one token and returns the token in the response.
func doAPIToken(
	ctx context.Context, c *Client, r request, opts []CallOption,
) (*APIToken, error) {
	check := func(t *apiTokenResponse) error { return checkID(t.ID, r.ids[0]) }
	response, err := doItem(ctx, c, r, check, opts)
	if err != nil {
		return nil, err
	}
	token := response.token()
	return &token, nil
}
