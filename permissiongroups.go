package cftunnel

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// PermissionGroupListParams filters permission groups. Zero fields do not filter.
type PermissionGroupListParams struct {
	// Name is the whole name, such as "Cloudflare Tunnel Write".
	Name string `url:"name,omitempty"`
	// Scope is the kind of resource that the groups apply to.
	Scope TokenScope `url:"scope,omitempty"`
}

// PermissionGroups returns the permission groups that the policies of a token can have. The API
// returns all of them in one response: about 400 groups if params are zero.
//
// [Client.UserTokens] sends the first operation, [Client.AccountTokens] the second.
//
// Operation: GET /user/tokens/permission_groups
//
// Operation: GET /accounts/{account_id}/tokens/permission_groups
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/subresources/permission_groups/methods/list/
//
// API: https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/subresources/permission_groups/methods/list/
func (s *APITokensService) PermissionGroups(
	ctx context.Context, params PermissionGroupListParams, opts ...CallOption,
) ([]PermissionGroup, error) {
	client, operations := s.unpack()
	r := request{operation: operations.groups, query: queryOf(params)}
	check := func(g *PermissionGroup) error { return checkID(g.ID, "") }
	return doList(ctx, client, r, check, opts)
}

// ResolvePermissionGroups returns the permission groups with exactly these names, in the order of
// the names. Only groups with this scope are searched, because groups of different scopes can have
// the same name.
//
// It returns [ErrNotFound] if one or more of the names have no group. The error lists these names.
//
// [Client.UserTokens] sends the first operation, [Client.AccountTokens] the second.
//
// Operation: GET /user/tokens/permission_groups
//
// Operation: GET /accounts/{account_id}/tokens/permission_groups
//
// API: https://developers.cloudflare.com/api/resources/user/subresources/tokens/subresources/permission_groups/methods/list/
//
// API: https://developers.cloudflare.com/api/resources/accounts/subresources/tokens/subresources/permission_groups/methods/list/
func (s *APITokensService) ResolvePermissionGroups(
	ctx context.Context, scope TokenScope, names ...string,
) ([]PermissionGroup, error) {
	switch {
	case scope == "":
		return nil, invalid("scope", "is empty")
	case len(names) == 0:
		return nil, invalid("names", "are empty")
	case slices.Contains(names, ""):
		return nil, invalid("names", "contain an empty name")
	}
	all, err := s.PermissionGroups(ctx, PermissionGroupListParams{Scope: scope})
	if err != nil {
		return nil, listFailed(err)
	}
	var found []PermissionGroup
	var missing []string
	for _, name := range names {
		group, err := groupNamed(all, scope, name)
		switch {
		case err != nil:
			return nil, err
		case group == nil:
			missing = append(missing, strconv.Quote(name))
		default:
			found = append(found, *group)
		}
	}
	if len(missing) == 0 {
		return found, nil
	}
	text := "cftunnel: no permission groups of the scope %s named %s"
	if len(all) == 0 {
		text += "; the list is empty, so the token may lack the permission to read it"
	}
	return nil, fmt.Errorf(text+": %w", scope, strings.Join(missing, ", "), ErrNotFound)
}

// groupNamed returns the group with a name and scope, or nil. A deprecated group is returned only
// if there is no other.
func groupNamed(groups []PermissionGroup, scope TokenScope, name string) (*PermissionGroup, error) {
	var found *PermissionGroup
	several := false
	for i, g := range groups {
		switch {
		case g.Name != name || !slices.Contains(g.Scopes, scope):
		case found == nil || found.Deprecated && !g.Deprecated:
			found, several = &groups[i], false
		case found.Deprecated == g.Deprecated && found.ID != g.ID:
			several = true
		}
	}
	if several {
		return nil, fmt.Errorf("cftunnel: several permission groups of the scope %s "+
			"are named %q; use one by its ID", scope, name)
	}
	return found, nil
}
