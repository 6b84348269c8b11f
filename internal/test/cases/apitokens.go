package cases

import (
	"context"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// tokenMethods returns every method of a service for API tokens. path is the path of the list, and
// v7 the name of the service in cloudflare-go v7.
func tokenMethods(
	service, path, v7 string,
	tokens func(*cftunnel.Client) *cftunnel.APITokensService, id func(Fixture) string,
) map[string]Method {
	token := path + "/{token_id}"
	groups := path + "/permission_groups"
	rename := func(p *cftunnel.APITokenUpdateParams) error {
		p.Name = "renamed"
		return nil
	}
	update := cftunnel.APITokenUpdateParams{Name: "renamed", Policies: []cftunnel.TokenPolicy{}}
	methods := map[string]Method{
		service + ".Create": {V7: v7 + ".New", Operations: []string{"POST " + path}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
			_, err := tokens(c).Create(ctx, cftunnel.APITokenCreateParams{Name: f.Free})
			return err
		}},
		service + ".Get": {V7: v7 + ".Get", Operations: []string{"GET " + token}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
			_, err := tokens(c).Get(ctx, id(f))
			return err
		}},
		service + ".List": {V7: v7 + ".List", Operations: []string{"GET " + path}, Call: func(ctx context.Context, c *cftunnel.Client, _ Fixture) error {
			_, err := tokens(c).List(ctx, cftunnel.APITokenListParams{})
			return err
		}},
		service + ".All": {Operations: []string{"GET " + path}, Call: func(ctx context.Context, c *cftunnel.Client, _ Fixture) (err error) {
			for _, err = range tokens(c).All(ctx, cftunnel.APITokenListParams{}) {
				break
			}
			return err
		}},
		service + ".FindByName": {Operations: []string{"GET " + path}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
			_, err := tokens(c).FindByName(ctx, f.Name)
			return err
		}},
		service + ".Update": {V7: v7 + ".Update", Operations: []string{"PUT " + token}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
			_, err := tokens(c).Update(ctx, id(f), update)
			return err
		}},
		service + ".Modify": {Operations: []string{"GET " + token}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
			_, err := tokens(c).Modify(ctx, id(f), rename)
			return err
		}},
		service + ".Delete": {V7: v7 + ".Delete", Operations: []string{"DELETE " + token}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
			return tokens(c).Delete(ctx, id(f))
		}},
		service + ".Roll": {V7: v7 + ".Value.Update", Operations: []string{"PUT " + token + "/value"}, Call: func(ctx context.Context, c *cftunnel.Client, f Fixture) error {
			_, err := tokens(c).Roll(ctx, id(f))
			return err
		}},
		service + ".PermissionGroups": {V7: v7 + ".PermissionGroups.List", Operations: []string{"GET " + groups}, Call: func(ctx context.Context, c *cftunnel.Client, _ Fixture) error {
			_, err := tokens(c).PermissionGroups(ctx, cftunnel.PermissionGroupListParams{})
			return err
		}},
		service + ".ResolvePermissionGroups": {Operations: []string{"GET " + groups}, Call: func(ctx context.Context, c *cftunnel.Client, _ Fixture) error {
			_, err := tokens(c).ResolvePermissionGroups(ctx, cftunnel.TokenScopeZone, "DNS Write")
			return err
		}},
	}
	set := func(name string, change func(*Method)) {
		method := methods[service+"."+name]
		change(&method)
		methods[service+"."+name] = method
	}
	if service == "AccountTokens" {
		set("ResolvePermissionGroups", func(m *Method) { m.V7 = v7 + ".PermissionGroups.Get" })
		return methods
	}
	for name, v0 := range map[string]string{
		"Create": "CreateAPIToken", "Get": "GetAPIToken", "List": "APITokens", "Update": "UpdateAPIToken",
		"Delete": "DeleteAPIToken", "Roll": "RollAPIToken", "PermissionGroups": "ListAPITokensPermissionGroups",
	} {
		set(name, func(m *Method) { m.V0 = v0 })
	}
	return methods
}
