package cftunnel

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// TokensService verifies the API token that the client itself uses.
type TokensService service

// TokenStatus is whether a token is switched on. There may be others than these.
type TokenStatus string

// The statuses that are known.
const (
	TokenStatusActive   TokenStatus = "active"
	TokenStatusDisabled TokenStatus = "disabled"
	TokenStatusExpired  TokenStatus = "expired"
)

// TokenOwner is whom a token belongs to.
type TokenOwner string

// A token belongs to a user or to an account.
const (
	TokenOwnerUser    TokenOwner = "user"
	TokenOwnerAccount TokenOwner = "account"
)

// TokenVerification is what the API says of a token.
type TokenVerification struct {
	ID     string      // of the token, which is no secret
	Status TokenStatus // which alone does not say that it works: see Usable
	Owner  TokenOwner  // whose endpoint knew it
	// NotBefore and ExpiresOn bound the time in which the token works; zero is no bound.
	NotBefore, ExpiresOn time.Time
}

// Usable reports whether the token works at that time: it is active, and the time is within its bounds.
func (v TokenVerification) Usable(at time.Time) bool {
	return v.Status == TokenStatusActive && !at.Before(v.NotBefore) && (v.ExpiresOn.IsZero() || at.Before(v.ExpiresOn))
}

// Beginnings of API tokens that tell their owner. Older tokens do not.
const (
	userTokenPrefix    = "cfut_"
	accountTokenPrefix = "cfat_"
)

// The operations of TokensService. They need no permission: every token may verify itself.
var (
	opTokenVerifyUser    = op("Tokens.VerifyUser", http.MethodGet, "/user/tokens/verify", "")
	opTokenVerifyAccount = op("Tokens.VerifyAccount", http.MethodGet, "/accounts/{account_id}/tokens/verify", "")
)

// Verify tells what the client's API token is, from the endpoint of its owner: GET /user/tokens/verify or
// GET /accounts/{account_id}/tokens/verify. A token of before 2026 does not show its owner: the user's endpoint is asked first, and where
// that answers 401 and the client has an account, the account's.
//
// Errors: [ErrUnauthorized] where nobody knows the token; [*InvalidArgumentError] for a client with an API key. That a token is disabled or
// has expired is no error: see [TokenVerification.Usable].
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/verify/
func (s *TokensService) Verify(ctx context.Context, opts ...CallOption) (*TokenVerification, error) {
	token, isKey := s.client.apiToken(ctx)
	if isKey {
		return nil, invalid("credentials", "are an API key, which cannot be verified; use an API token")
	}
	if strings.HasPrefix(token, accountTokenPrefix) {
		return s.VerifyAccount(ctx, opts...)
	}
	verification, err := s.VerifyUser(ctx, opts...)
	if strings.HasPrefix(token, userTokenPrefix) || !errors.Is(err, ErrUnauthorized) || s.client.accountID == "" {
		return verification, err
	}
	verification, accountErr := s.VerifyAccount(ctx, opts...)
	switch {
	case errors.Is(accountErr, ErrUnauthorized):
		return nil, fmt.Errorf("%w; and as a user's: %w", accountErr, err)
	case accountErr != nil:
		return nil, accountErr // which does not say that nobody knows the token
	}
	return verification, nil
}

// VerifyUser tells what a token of a user is: GET /user/tokens/verify.
//
// Errors: [ErrUnauthorized] where it is unknown, or an account's.
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/verify/
func (s *TokensService) VerifyUser(ctx context.Context, opts ...CallOption) (*TokenVerification, error) {
	return s.verify(ctx, opTokenVerifyUser, TokenOwnerUser, opts)
}

// VerifyAccount tells what a token of the client's account is: GET /accounts/{account_id}/tokens/verify.
//
// Errors: [ErrUnauthorized] where it is unknown, or a user's.
//
// API: https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/methods/verify/
func (s *TokensService) VerifyAccount(ctx context.Context, opts ...CallOption) (*TokenVerification, error) {
	return s.verify(ctx, opTokenVerifyAccount, TokenOwnerAccount, opts)
}

func (s *TokensService) verify(ctx context.Context, op operation, owner TokenOwner, opts []CallOption) (*TokenVerification, error) {
	answer, err := fetch[tokenVerificationAnswer](ctx, s.client, request{operation: op}, opts)
	if err != nil {
		return nil, err
	}
	return &TokenVerification{
		ID: answer.ID, Status: answer.Status, Owner: owner, NotBefore: answer.NotBefore, ExpiresOn: answer.ExpiresOn,
	}, nil
}

type tokenVerificationAnswer struct {
	ID        string      `json:"id"`
	Status    TokenStatus `json:"status"`
	NotBefore time.Time   `json:"not_before"`
	ExpiresOn time.Time   `json:"expires_on"`
}

func (a tokenVerificationAnswer) complete() bool { return a.Status != "" }

// apiToken returns the API token that a request would carry now, empty where there is none to be had; that request will say why.
func (c *Client) apiToken(ctx context.Context) (token string, isKey bool) {
	header := http.Header{}
	if ctx == nil || c.authorize(ctx, header) != nil {
		return "", false
	}
	return strings.TrimPrefix(header.Get("Authorization"), "Bearer "), header.Get("X-Auth-Key") != ""
}
