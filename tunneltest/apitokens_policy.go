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

	applies []resource // what Resources are
}

// groupReference is a permission group in a policy.
type groupReference struct {
	ID   string          `json:"id"`
	Name string          `json:"name"`
	Meta json.RawMessage `json:"meta,omitempty"`
}

// writes reports whether the group allows more than to read.
func (g groupReference) writes() bool {
	group := permissionGroupByID(g.ID)
	return group != nil && strings.HasSuffix(group.Name, " Write")
}

func policyProblem(message string) *answer {
	a := failure(http.StatusBadRequest, 1001, message)
	return &a
}

// checkPolicies says why a token t may not have these policies, given by the token maker.
func (s *Server) checkPolicies(policies []policy, t, maker *apiToken) *answer {
	for i := range policies {
		p := &policies[i]
		applies, invalid := s.resources(p.Resources)
		switch {
		case p.Effect != string(cftunnel.PolicyEffectAllow) && p.Effect != string(cftunnel.PolicyEffectDeny):
			return policyProblem("effect must be allow or deny")
		case len(p.Groups) == 0:
			return policyProblem("permission_groups must not be empty")
		case len(p.Resources) == 0:
			return policyProblem("resources must not be empty")
		case invalid != "":
			return policyProblem(invalid + " is not a valid resource name")
		}
		for _, r := range applies {
			if t.account != "" && (r.scope == cftunnel.TokenScopeUser || !s.isWithin(r, t.account)) {
				return policyProblem("A token of an account can be given resources of that account alone")
			}
		}
		if problem := s.checkGroups(p, applies, t, maker); problem != nil {
			return problem
		}
	}
	return nil
}

// checkGroups checks that each group of a policy exists, fits one of its resources, and is the
// maker's to give.
func (s *Server) checkGroups(p *policy, applies []resource, t, maker *apiToken) *answer {
	var scope cftunnel.TokenScope
	for _, reference := range p.Groups {
		group := permissionGroupByID(reference.ID)
		switch {
		case group == nil:
			return policyProblem("Permission group " + reference.ID + " does not exist")
		case scope != "" && !slices.Contains(group.Scopes, scope):
			return policyProblem("Permission groups of different scopes must be in policies of their own")
		case group.Name == writing(productUserTokens)[0] && !t.has(group):
			return policyProblem("Permission group " + group.Name + " can be given in the dashboard alone")
		}
		scope = group.Scopes[0]
		fits := len(applies) == 0 // every resource is of a kind that the server does not know
		for _, r := range applies {
			if !slices.Contains(group.Scopes, r.scope) {
				continue
			}
			fits = true
			if r.scope == cftunnel.TokenScopeZone && r.account == "" {
				r.account = everything
				if r.id != everything {
					r.account = s.accountOfZone(r.id)
				}
			}
			if p.Effect == string(cftunnel.PolicyEffectAllow) && !maker.gives(group, r) {
				return policyProblem("Failed common permission check against resources")
			}
		}
		if !fits {
			return policyProblem("Permission group " + group.Name + " does not apply to the resources of its policy")
		}
	}
	return nil
}

// isWithin reports whether a resource is of one account.
func (s *Server) isWithin(r resource, account string) bool {
	switch {
	case r.scope == cftunnel.TokenScopeAccount:
		return r.id == account
	case r.scope == cftunnel.TokenScopeZone && r.account == "":
		return r.id != everything && s.accountOfZone(r.id) == account
	case r.scope == cftunnel.TokenScopeZone:
		return r.account == account
	}
	return true
}

// has reports whether a policy of the token has the group.
func (t *apiToken) has(group *permissionGroup) bool {
	return slices.ContainsFunc(t.policies, func(p policy) bool {
		return slices.ContainsFunc(p.Groups, func(g groupReference) bool { return g.ID == group.ID })
	})
}

// stored returns policies as the API keeps them: in another order, with ids, and with the names of
// their groups.
func (s *Server) stored(policies []policy) []policy {
	var list []policy
	for _, p := range policies {
		p.ID = randomHex(16)
		p.applies, _ = s.resources(p.Resources)
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

// allPolicies allows everything on everything that an account or, if account is empty, the user
// has.
func (s *Server) allPolicies(account string) []policy {
	all := json.RawMessage(`"` + everything + `"`)
	zones, _ := json.Marshal(map[string]string{string(cftunnel.TokenScopeZone) + "." + everything: everything})
	resources := map[cftunnel.TokenScope]map[string]json.RawMessage{
		cftunnel.TokenScopeAccount: {string(cftunnel.TokenScopeAccount) + "." + account: all},
		cftunnel.TokenScopeZone:    {string(cftunnel.TokenScopeAccount) + "." + account: zones},
	}
	if account == "" {
		resources = map[cftunnel.TokenScope]map[string]json.RawMessage{
			cftunnel.TokenScopeAccount: {string(cftunnel.TokenScopeAccount) + "." + everything: all},
			cftunnel.TokenScopeZone:    {string(cftunnel.TokenScopeZone) + "." + everything: all},
			cftunnel.TokenScopeUser:    {string(cftunnel.TokenScopeUser) + "." + s.userID: all},
		}
	}
	var policies []policy
	for _, scope := range []cftunnel.TokenScope{cftunnel.TokenScopeAccount, cftunnel.TokenScopeZone, cftunnel.TokenScopeUser} {
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
