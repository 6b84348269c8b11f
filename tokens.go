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
	// TokenStatusRevoked is of a token whose secret was found in public, in a repository for instance.
	TokenStatusRevoked TokenStatus = "revoked (exposed)"
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

// Verify returns what the API knows of the client's own API token, from the endpoint of its owner.
//
// Tokens issued before 2026 do not show their owner: the user's endpoint is called first, and if that
// responds that the token is unauthorized and the client has an account, the account's endpoint. A token
// that is disabled or expired is no error: see [TokenVerification.Usable]. Verify returns [ErrUnauthorized]
// if neither endpoint recognizes the token, and an [*InvalidArgumentError] for a client with an API key.
//
// Operation: GET /user/tokens/verify
//
// Operation: GET /accounts/{account_id}/tokens/verify
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/verify/
func (s *TokensService) Verify(ctx context.Context, opts ...CallOption) (*TokenVerification, error) {
	c, err := clientOf(s)
	if err != nil {
		return nil, err
	}
	if ctx == nil {
		return nil, invalid("ctx", "is nil")
	}
	// The first attempt uses the credential that the endpoint is chosen by, or reports why there is none.
	got, err := c.credentials(ctx)
	first := func(context.Context) (credential, error) { return got, err }
	token := got.token()
	switch {
	case got.key != "":
		return nil, invalid("credentials", "are an API key, which cannot be verified; use an API token")
	case strings.HasPrefix(token, accountTokenPrefix):
		return s.verify(ctx, opTokenVerifyAccount, TokenOwnerAccount, first, opts)
	}
	verification, userErr := s.verify(ctx, opTokenVerifyUser, TokenOwnerUser, first, opts)
	if strings.HasPrefix(token, userTokenPrefix) || !errors.Is(userErr, ErrUnauthorized) || c.accountID == "" {
		return verification, userErr
	}
	verification, accountErr := s.verify(ctx, opTokenVerifyAccount, TokenOwnerAccount, first, opts)
	switch {
	case errors.Is(accountErr, ErrUnauthorized):
		return nil, fmt.Errorf("%w; and as a user's: %w", accountErr, userErr)
	case accountErr != nil:
		return nil, accountErr // which does not say that nobody knows the token
	}
	return verification, nil
}

// VerifyUser returns what the API knows of a token of a user.
//
// It returns [ErrUnauthorized] if the token is unknown, or an account's.
//
// Operation: GET /user/tokens/verify
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/verify/
func (s *TokensService) VerifyUser(ctx context.Context, opts ...CallOption) (*TokenVerification, error) {
	return s.verify(ctx, opTokenVerifyUser, TokenOwnerUser, nil, opts)
}

// VerifyAccount returns what the API knows of a token of the client's account.
//
// It returns [ErrUnauthorized] if the token is unknown, or a user's.
//
// Operation: GET /accounts/{account_id}/tokens/verify
//
// API: https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/methods/verify/
func (s *TokensService) VerifyAccount(ctx context.Context, opts ...CallOption) (*TokenVerification, error) {
	return s.verify(ctx, opTokenVerifyAccount, TokenOwnerAccount, nil, opts)
}

func (s *TokensService) verify(
	ctx context.Context, o operation, owner TokenOwner, first credentials, opts []CallOption,
) (*TokenVerification, error) {
	response, err := doItem(ctx, s, request{operation: o, credentials: first}, func(r *verificationResponse) error {
		if r.Status == "" {
			return errNoResult
		}
		return nil
	}, opts)
	if err != nil {
		return nil, err
	}
	return &TokenVerification{
		ID: response.ID, Status: response.Status, Owner: owner, NotBefore: response.NotBefore, ExpiresOn: response.ExpiresOn,
	}, nil
}

type verificationResponse struct {
	ID        string      `json:"id"`
	Status    TokenStatus `json:"status"`
	NotBefore time.Time   `json:"not_before"`
	ExpiresOn time.Time   `json:"expires_on"`
}
