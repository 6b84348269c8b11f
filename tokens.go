package cftunnel

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// TokensService verifies the API token that the client uses.
type TokensService service

// TokenStatus is the status of an API token. The API may return other values.
type TokenStatus string

// The statuses of API tokens.
const (
	TokenStatusActive   TokenStatus = "active"
	TokenStatusDisabled TokenStatus = "disabled"
	TokenStatusExpired  TokenStatus = "expired"
	// TokenStatusRevoked means that the token was found in public, for example in a repository.
	TokenStatusRevoked TokenStatus = "revoked (exposed)"
)

// TokenOwner is the kind of owner that an API token has.
type TokenOwner string

// The owners of API tokens.
const (
	TokenOwnerUser    TokenOwner = "user"
	TokenOwnerAccount TokenOwner = "account"
)

// TokenVerification is the result of verifying an API token.
type TokenVerification struct {
	// ID is the ID of the token. It is not secret.
	ID string
	// Status is not enough to know whether the token works: use Usable.
	Status TokenStatus
	// Owner says which endpoint recognized the token.
	Owner TokenOwner
	// NotBefore is when the token becomes valid. It is zero if the token has no such time.
	NotBefore time.Time
	// ExpiresOn is when the token expires. It is zero if the token does not expire.
	ExpiresOn time.Time
}

// Usable reports whether the token works at the given time: it is active, already valid and not
// expired.
func (v TokenVerification) Usable(at time.Time) bool {
	return v.Status == TokenStatusActive && !at.Before(v.NotBefore) &&
		(v.ExpiresOn.IsZero() || at.Before(v.ExpiresOn))
}

// The prefixes of API tokens that show the owner. Older tokens have no prefix.
const (
	userTokenPrefix    = "cfut_"
	accountTokenPrefix = "cfat_"
)

// The operations of TokensService. Every token may verify itself, so they need no permission.
var (
	opTokenVerifyUser    = op("Tokens.VerifyUser", http.MethodGet, "/user/tokens/verify", "")
	opTokenVerifyAccount = op("Tokens.VerifyAccount", http.MethodGet,
		"/accounts/{account_id}/tokens/verify", "")
)

// Verify returns the status of the client's API token, from the endpoint of the token's owner. A
// disabled or expired token is not an error: see [TokenVerification.Usable].
//
// The text of a token issued before 2026 does not show whether a user or an account owns it. For
// such a token, Verify calls the endpoint for users first. If that does not recognize it and the
// client has an account ID, it calls the endpoint for accounts.
//
// It returns [ErrUnauthorized] if no endpoint recognizes the token, and an [*InvalidArgumentError]
// if the client uses an API key.
//
// Operation: GET /user/tokens/verify
//
// Operation: GET /accounts/{account_id}/tokens/verify
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/verify/
func (s *TokensService) Verify(
	ctx context.Context, opts ...CallOption,
) (*TokenVerification, error) {
	c := clientOf(s)
	if err := c.check(); err != nil {
		return nil, err
	}
	if ctx == nil {
		return nil, invalid("ctx", "is nil")
	}
	// The credential decides on the endpoint, so the first attempt must use the same one. If there
	// is none, the first attempt reports the error.
	got, err := c.credentials(ctx)
	first := func(context.Context) (credential, error) { return got, err }
	token := got.token()
	switch {
	case got.key != "":
		return nil, invalid("credentials",
			"are an API key, which cannot be verified; use an API token")
	case strings.HasPrefix(token, accountTokenPrefix):
		return s.verify(ctx, opTokenVerifyAccount, TokenOwnerAccount, first, opts)
	}
	verification, userErr := s.verify(ctx, opTokenVerifyUser, TokenOwnerUser, first, opts)
	mayBeAccounts := !strings.HasPrefix(token, userTokenPrefix) && c.accountID != ""
	if !mayBeAccounts || !errors.Is(userErr, ErrUnauthorized) {
		return verification, userErr
	}
	verification, accountErr := s.verify(ctx, opTokenVerifyAccount, TokenOwnerAccount, first, opts)
	switch {
	case errors.Is(accountErr, ErrUnauthorized):
		return nil, fmt.Errorf("%w; as a user's token: %w", accountErr, userErr)
	case accountErr != nil:
		return nil, accountErr // it is not known whether the token is an account's
	}
	return verification, nil
}

// VerifyUser returns the status of the client's API token, which must belong to a user.
//
// It returns [ErrUnauthorized] if the token is unknown or belongs to an account.
//
// Operation: GET /user/tokens/verify
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/verify/
func (s *TokensService) VerifyUser(
	ctx context.Context, opts ...CallOption,
) (*TokenVerification, error) {
	return s.verify(ctx, opTokenVerifyUser, TokenOwnerUser, nil, opts)
}

// VerifyAccount returns the status of the client's API token, which must belong to the client's
// account.
//
// It returns [ErrUnauthorized] if the token is unknown or belongs to a user.
//
// Operation: GET /accounts/{account_id}/tokens/verify
//
// API: https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/methods/verify/
func (s *TokensService) VerifyAccount(
	ctx context.Context, opts ...CallOption,
) (*TokenVerification, error) {
	return s.verify(ctx, opTokenVerifyAccount, TokenOwnerAccount, nil, opts)
}

func (s *TokensService) verify(
	ctx context.Context, o operation, owner TokenOwner, first credentials, opts []CallOption,
) (*TokenVerification, error) {
	check := func(r *verificationResponse) error {
		if r.Status == "" {
			return errNoResult
		}
		return nil
	}
	r := request{operation: o, credentials: first}
	response, err := doItem(ctx, clientOf(s), r, check, opts)
	if err != nil {
		return nil, err
	}
	return &TokenVerification{
		ID: response.ID, Status: response.Status, Owner: owner,
		NotBefore: response.NotBefore, ExpiresOn: response.ExpiresOn,
	}, nil
}

type verificationResponse struct {
	ID        string      `json:"id"`
	Status    TokenStatus `json:"status"`
	NotBefore time.Time   `json:"not_before"`
	ExpiresOn time.Time   `json:"expires_on"`
}
