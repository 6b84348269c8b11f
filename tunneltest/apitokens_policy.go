package tunneltest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// policy allows or denies permission groups on resources.
type policy struct {
	ID        string                     `json:"id"`
	Effect    string                     `json:"effect"`
	Groups    []groupReference           `json:"permission_groups"`
	Resources map[string]json.RawMessage `json:"resources"`

	parsed []resource // of Resources
}

// groupReference is a permission group in a policy.
type groupReference struct {
	ID   string          `json:"id"`
	Name string          `json:"name"`
	Meta json.RawMessage `json:"meta,omitempty"`
}

// writes reports whether the group allows writing.
func (g groupReference) writes() bool {
	group := permissionGroupByID(g.ID)
	return group != nil && strings.HasSuffix(group.Name, " Write")
}

func badPolicy(message string) *response {
	return failure(http.StatusBadRequest, 1001, message)
}

// checkPolicies returns an error response if the token creator may not give the token t these
// policies.
func (s *Server) checkPolicies(policies []policy, t, creator *apiToken) *response {
	for i := range policies {
		p := &policies[i]
		parsed, invalid := s.resources(p.Resources)
		switch {
		case p.Effect != string(cftunnel.PolicyEffectAllow) &&
			p.Effect != string(cftunnel.PolicyEffectDeny):
			return badPolicy("effect must be allow or deny")
		case len(p.Groups) == 0:
			return badPolicy("permission_groups must not be empty")
		case len(p.Resources) == 0:
			return badPolicy("resources must not be empty")
		case invalid != "":
			return badPolicy(invalid + " is not a valid resource name")
		}
		for _, r := range parsed {
			if t.account != "" &&
				(r.scope == cftunnel.TokenScopeUser || !s.isWithin(r, t.account)) {
				return badPolicy("A token of an account can only have resources of that account")
			}
		}
		if problem := s.checkGroups(p, parsed, t, creator); problem != nil {
			return problem
		}
	}
	return nil
}

// checkGroups returns an error response if a group of a policy does not exist, does not apply to
// the resources of the policy, or cannot be granted by the token creator.
func (s *Server) checkGroups(p *policy, parsed []resource, t, creator *apiToken) *response {
	var scope cftunnel.TokenScope
	for _, reference := range p.Groups {
		group := permissionGroupByID(reference.ID)
		switch {
		case group == nil:
			return badPolicy("Permission group " + reference.ID + " does not exist")
		case scope != "" && !slices.Contains(group.Scopes, scope):
			return badPolicy("Permission groups of different scopes must be in separate policies")
		case group.Name == writing(productUserTokens)[0] && !t.hasGroup(group):
			return badPolicy("Permission group " + group.Name +
				" can only be given in the dashboard")
		}
		scope = group.Scopes[0]
		applies := len(parsed) == 0 // the server knows none of these types of resources
		for _, r := range parsed {
			if !slices.Contains(group.Scopes, r.scope) {
				continue
			}
			applies = true
			if r.scope == cftunnel.TokenScopeZone && r.account == "" {
				r.account = wildcard
				if r.id != wildcard {
					r.account = s.accountOfZone(r.id)
				}
			}
			if p.Effect == string(cftunnel.PolicyEffectAllow) && !creator.canGrant(group, r) {
				return badPolicy("Failed common permission check against resources")
			}
		}
		if !applies {
			return badPolicy("Permission group " + group.Name +
				" does not apply to the resources of its policy")
		}
	}
	return nil
}

// isWithin reports whether a resource belongs to an account.
func (s *Server) isWithin(r resource, account string) bool {
	switch {
	case r.scope == cftunnel.TokenScopeAccount:
		return r.id == account
	case r.scope == cftunnel.TokenScopeZone && r.account == "":
		return r.id != wildcard && s.accountOfZone(r.id) == account
	case r.scope == cftunnel.TokenScopeZone:
		return r.account == account
	}
	return true
}

// hasGroup reports whether a policy of the token has the group.
func (t *apiToken) hasGroup(group *permissionGroup) bool {
	isGroup := func(g groupReference) bool { return g.ID == group.ID }
	return slices.ContainsFunc(t.policies, func(p policy) bool {
		return slices.ContainsFunc(p.Groups, isGroup)
	})
}

// storedPolicies returns policies as the API stores them: in reverse order, with IDs, and with the
// names of their groups.
func (s *Server) storedPolicies(policies []policy) []policy {
	var list []policy
	for _, p := range policies {
		p.ID = randomHex(16)
		p.parsed, _ = s.resources(p.Resources)
		p.Groups = slices.Clone(p.Groups)
		for i := range p.Groups {
			if group := permissionGroupByID(p.Groups[i].ID); group != nil {
				p.Groups[i].Name = group.Name
			}
		}
		slices.Reverse(p.Groups)
		list = append(list, p)
	}
	slices.Reverse(list)
	return list
}

// allPolicies returns policies that allow everything in an account, or in all accounts and for the
// user if account is empty.
func (s *Server) allPolicies(account string) []policy {
	all := json.RawMessage(`"` + wildcard + `"`)
	zones, _ := json.Marshal(map[string]string{
		string(cftunnel.TokenScopeZone) + "." + wildcard: wildcard,
	})
	resources := map[cftunnel.TokenScope]map[string]json.RawMessage{
		cftunnel.TokenScopeAccount: {string(cftunnel.TokenScopeAccount) + "." + account: all},
		cftunnel.TokenScopeZone:    {string(cftunnel.TokenScopeAccount) + "." + account: zones},
	}
	if account == "" {
		resources = map[cftunnel.TokenScope]map[string]json.RawMessage{
			cftunnel.TokenScopeAccount: {string(cftunnel.TokenScopeAccount) + "." + wildcard: all},
			cftunnel.TokenScopeZone:    {string(cftunnel.TokenScopeZone) + "." + wildcard: all},
			cftunnel.TokenScopeUser:    {string(cftunnel.TokenScopeUser) + "." + s.userID: all},
		}
	}
	var policies []policy
	for _, scope := range []cftunnel.TokenScope{
		cftunnel.TokenScopeAccount, cftunnel.TokenScopeZone, cftunnel.TokenScopeUser,
	} {
		if resources[scope] == nil {
			continue
		}
		p := policy{Effect: string(cftunnel.PolicyEffectAllow), Resources: resources[scope]}
		for _, group := range permissionGroups {
			if slices.Contains(group.Scopes, scope) {
				p.Groups = append(p.Groups, groupReference{ID: group.ID})
			}
		}
		policies = append(policies, p)
	}
	return policies
}
