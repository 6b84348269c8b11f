package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// tokenParts creates, lists, gets and updates tokens in which every field is set.
func tokenParts(ctx context.Context, s *scenario) error {
	var withMeta cftunnel.PermissionGroup
	const group = `{"id":"4755a26eedb94da69e1066d98aa820be","meta":{"key":"k","value":"v"}}`
	if err := json.Unmarshal([]byte(group), &withMeta); err != nil {
		return err
	}
	account := s.srv.AccountID()
	denied := cftunnel.AccountPolicy(account, cftunnel.PermissionCloudflareTunnelWrite)
	denied.Effect = cftunnel.PolicyEffectDeny
	both := cftunnel.AllZonesPolicy(account, withMeta, cftunnel.PermissionZoneRead)
	const zone = "com.cloudflare.api.account.zone.023e105f4ecef8ad9ca31a8372d0c353"
	both.Resources[zone] = cftunnel.TokenResource{}
	params := cftunnel.APITokenUpdateParams{
		Name: "whole", Status: cftunnel.TokenStatusDisabled, Policies: []cftunnel.TokenPolicy{both, denied},
		Condition: &cftunnel.TokenCondition{
			AllowedIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")},
			DeniedIPs:  []netip.Prefix{netip.MustParsePrefix("192.0.2.128/25")},
		},
		NotBefore: time.Now(), ExpiresOn: time.Now().Add(time.Hour),
	}
	for _, service := range []*cftunnel.APITokensService{s.client.UserTokens, s.client.AccountTokens} {
		token, err := service.Create(ctx, cftunnel.APITokenCreateParams{
			Name: params.Name, Policies: params.Policies, Condition: params.Condition,
			NotBefore: params.NotBefore, ExpiresOn: params.ExpiresOn,
		})
		if err != nil {
			return err
		}
		_, updateErr := service.Update(ctx, token.ID, params)
		_, getErr := service.Get(ctx, token.ID)
		_, modifyErr := service.Modify(ctx, token.ID, func(p *cftunnel.APITokenUpdateParams) error {
			p.Status = cftunnel.TokenStatusActive
			return nil
		})
		list := cftunnel.APITokenListParams{IncludeExpired: true, Page: 1, PerPage: 5}
		_, listErr := service.List(ctx, list, cftunnel.AddQuery("direction", "asc"))
		_, groupsErr := service.PermissionGroups(ctx, cftunnel.PermissionGroupListParams{
			Name: "DNS Write", Scope: cftunnel.TokenScopeZone,
		})
		_, refused := service.Create(ctx, cftunnel.APITokenCreateParams{
			Name: "refused", Policies: []cftunnel.TokenPolicy{cftunnel.AccountPolicy(account, withMeta)},
		})
		if !errors.Is(refused, cftunnel.ErrBadRequest) {
			const text = "a permission group for zones must be refused for an account"
			return errors.Join(errors.New(text), refused)
		}
		if err := errors.Join(updateErr, getErr, modifyErr, listErr, groupsErr); err != nil {
			return err
		}
	}
	return nil
}
