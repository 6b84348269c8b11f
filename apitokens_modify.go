package cftunnel

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
)

// Modify reads an API token, calls modify to change it, and writes all of it. Settings that modify
// does not change keep their values. If nothing changes, nothing is written. The order of policies,
// permission groups and addresses is not a change, and neither are fractions of a second.
//
// modify is called once. If it returns an error, Modify returns that error and writes nothing. If
// the token is expired, the Status that modify gets is empty, because the API does not accept
// TokenStatusExpired in an update. If the token was revoked because its secret was found in public,
// Modify returns an [*InvalidArgumentError]: delete the token.
//
// If the stored condition has no allowed addresses, so that the token works from no address, modify
// must set the addresses in Condition. Otherwise Modify returns an InvalidArgumentError, because an
// update cannot express such a condition. To remove it, use Update.
//
// The API cannot detect concurrent changes: the later of two writes wins. Modify returns
// [ErrNotFound] if the token is unknown or deleted, and [ErrOutcomeUnknown] if the token may have
// been changed: call Modify again.
//
// [Client.UserTokens] sends the first two operations, [Client.AccountTokens] the last two.
//
// Operation: GET /user/tokens/{token_id}
//
// Operation: PUT /user/tokens/{token_id}
//
// Operation: GET /accounts/{account_id}/tokens/{token_id}
//
// Operation: PUT /accounts/{account_id}/tokens/{token_id}
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/methods/update/
//
// API: https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/methods/update/
func (s *APITokensService) Modify(
	ctx context.Context, tokenID string, modify func(*APITokenUpdateParams) error,
	opts ...CallOption,
) (*APIToken, error) {
	if modify == nil {
		return nil, invalid("modify", "is nil")
	}
	token, err := s.Get(ctx, tokenID, opts...)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(string(token.Status), statusRevoked) {
		return nil, invalid("tokenID",
			"is the ID of a revoked token; delete it and create another")
	}
	params := token.updateParams()
	before, err := params.fingerprint()
	if err != nil {
		return nil, err
	}
	if err := modify(&params); err != nil {
		return nil, err
	}
	after, err := params.fingerprint()
	switch {
	case err != nil:
		return nil, err
	case after == before:
		return token, nil
	case token.isShutOut() && (params.Condition == nil || len(params.Condition.AllowedIPs) == 0):
		return nil, invalid("tokenID", "is the ID of a token that works from no address: set "+
			"Condition.AllowedIPs in modify, or call Update to remove the condition")
	}
	return s.Update(ctx, tokenID, params, opts...)
}

// isShutOut reports whether the condition of the token lets no address use it.
func (t *APIToken) isShutOut() bool {
	return t.shutsOut || t.Condition != nil && t.Condition.shutsOut
}

// statusRevoked begins the status of every revoked token.
const statusRevoked = "revoked"

// updateParams returns the token as an update that changes nothing.
func (t *APIToken) updateParams() APITokenUpdateParams {
	p := APITokenUpdateParams{
		Name: t.Name, Status: t.Status, NotBefore: t.NotBefore, ExpiresOn: t.ExpiresOn,
		Policies: append([]TokenPolicy{}, t.Policies...), Condition: t.Condition.clone(),
	}
	if p.Status == TokenStatusExpired {
		p.Status = ""
	}
	return p
}

// fingerprint returns a text that is the same for two updates that have the same effect.
func (p APITokenUpdateParams) fingerprint() (string, error) {
	policies := make([]string, len(p.Policies))
	for i, policy := range p.Policies {
		policy = policy.inRequest()
		groups := make([]string, len(policy.PermissionGroups))
		for j, group := range policy.PermissionGroups {
			groups[j] = strings.ToLower(group.ID)
		}
		text, err := json.Marshal(
			[]any{policy.Effect, asSet(groups), policy.Resources, policy.members})
		if err != nil {
			return "", err
		}
		policies[i] = string(text)
	}
	c := TokenCondition{}
	if p.Condition != nil {
		c = *p.Condition
	}
	text, err := json.Marshal([]any{
		p.Name, p.Status, asSet(policies),
		prefixSet(c.AllowedIPs), prefixSet(c.DeniedIPs), c.members, c.ipMembers,
		requestTime(p.NotBefore), requestTime(p.ExpiresOn),
	})
	return string(text), err
}

func asSet(texts []string) []string {
	slices.Sort(texts)
	return slices.Compact(texts)
}

func prefixSet(prefixes []netip.Prefix) []string {
	texts := make([]string, len(prefixes))
	for i, prefix := range prefixes {
		texts[i] = prefix.String()
	}
	return asSet(texts)
}
