package tunneltest

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// permission lists names of permission groups. A route needs one of them, for the account or zone
// in its path, or for the user if the path has neither. Every token may use a route without a
// permission.
type permission []string

// reading returns the permission to read with one of these products. Write includes Read.
func reading(products ...string) permission {
	var groups permission
	for _, product := range products {
		groups = append(groups, product+" Read", product+" Write")
	}
	return groups
}

// writing returns the permission to write with one of these products.
func writing(products ...string) permission {
	var groups permission
	for _, product := range products {
		groups = append(groups, product+" Write")
	}
	return groups
}

// The first words of the permission groups that routes need.
const (
	productTunnel        = "Cloudflare Tunnel"
	productConnectors    = "Cloudflare One Connectors"
	productCloudflared   = "Cloudflare One Connector: cloudflared"
	productWARP          = "Cloudflare One Connector: WARP"
	productNetworks      = "Cloudflare One Networks"
	productUserTokens    = "API Tokens"
	productAccountTokens = "Account API Tokens"
	productZone          = "Zone"
	productDNS           = "DNS"
)

// The permissions that routes need.
var (
	tunnelsRead        = reading(productTunnel, productConnectors, productCloudflared)
	tunnelsWrite       = writing(productTunnel, productConnectors, productCloudflared)
	warpRead           = reading(productConnectors, productWARP)
	warpWrite          = writing(productConnectors, productWARP)
	allTunnelsRead     = reading(productTunnel, productConnectors, productCloudflared, productWARP)
	networksRead       = reading(productNetworks, productTunnel)
	networksWrite      = writing(productNetworks, productTunnel)
	userTokensRead     = reading(productUserTokens)
	userTokensWrite    = writing(productUserTokens)
	accountTokensRead  = reading(productAccountTokens)
	accountTokensWrite = writing(productAccountTokens)
	zonesRead          = reading(productZone)
	dnsRead            = reading(productDNS)
	dnsWrite           = writing(productDNS)
)

const wildcard = "*"

// resource is the object of a request, or an object that a policy applies to.
type resource struct {
	scope cftunnel.TokenScope
	// id is the ID of an account, a zone or a bucket, or the wildcard. It is empty for a request
	// that is not about one zone.
	id string
	// account is the ID of the zone's account. It is empty in a policy that names only the zone.
	account string
}

// covers reports whether a policy for r applies to all of other.
func (r resource) covers(other resource) bool {
	sameID := r.id == wildcard || r.id == other.id || other.id == ""
	sameAccount := r.account == "" || r.account == wildcard ||
		r.account == other.account || other.account == ""
	return r.scope == other.scope && (sameID || r.scope == cftunnel.TokenScopeUser) && sameAccount
}

// resourceOf returns the object of a request.
func (s *Server) resourceOf(r *route, values map[string]string) resource {
	accountID := strings.ToLower(values["account_id"])
	switch {
	case accountID != "":
		return resource{scope: cftunnel.TokenScopeAccount, id: accountID}
	case strings.HasPrefix(r.template, "/zones"):
		return s.zoneResource(values["zone_id"])
	}
	return resource{scope: cftunnel.TokenScopeUser}
}

// zoneResource returns the resource of a zone. An empty ID means any zone.
func (s *Server) zoneResource(id string) resource {
	r := resource{scope: cftunnel.TokenScopeZone, id: strings.ToLower(id)}
	if id != "" {
		r.account = s.accountOfZone(r.id)
	}
	return r
}

// accountOfZone returns the account that a zone belongs to.
func (s *Server) accountOfZone(id string) string {
	if z := s.zoneByID(id); z != nil {
		return strings.ToLower(z.account)
	}
	return strings.ToLower(s.accountID)
}

// allows reports whether at least one policy of the token allows a request and no policy denies it.
func (t *apiToken) allows(need permission, target resource) bool {
	allowed := false
	for _, p := range t.policies {
		isNeeded := func(g groupReference) bool { return slices.Contains(need, g.Name) }
		if !slices.ContainsFunc(p.Groups, isNeeded) {
			continue
		}
		for _, r := range p.parsed {
			switch {
			case p.Effect == string(cftunnel.PolicyEffectDeny) &&
				(r.covers(target) || target.covers(r)):
				return false
			case p.Effect == string(cftunnel.PolicyEffectAllow) && r.covers(target):
				allowed = true
			}
		}
	}
	return allowed
}

// canGrant reports whether the token may grant a permission group for a resource to another token.
// It must have the permission itself.
func (t *apiToken) canGrant(group *permissionGroup, to resource) bool {
	need := permission{group.Name}
	if product, ok := strings.CutSuffix(group.Name, " Read"); ok {
		need = reading(product)
	}
	return t.allows(need, to)
}

// resources parses the resources of a policy. It leaves out resources of a form that the server
// does not know, so they allow nothing. If a name is invalid, resources returns that name.
func (s *Server) resources(all map[string]json.RawMessage) (list []resource, invalid string) {
	for name, value := range all {
		var within map[string]string
		switch {
		case string(value) == `"`+wildcard+`"`:
			r, ok := s.parseResource(name)
			if !ok {
				return nil, name
			}
			if r.scope != "" {
				list = append(list, r)
			}
		case json.Unmarshal(value, &within) == nil && within != nil:
			outer, ok := s.parseResource(name)
			if !ok {
				return nil, name
			}
			for inner, value := range within {
				r, ok := s.parseResource(inner)
				if !ok || value != wildcard {
					return nil, inner
				}
				if outer.scope == cftunnel.TokenScopeAccount && r.scope == cftunnel.TokenScopeZone {
					list = append(list, resource{r.scope, r.id, outer.id})
				}
			}
		case len(value) > 0 && value[0] == '"':
			return nil, name
		}
	}
	return list, ""
}

// parseResource parses the name of a resource. The scope is empty if the server does not know this
// type of resource.
func (s *Server) parseResource(name string) (r resource, ok bool) {
	name = strings.ToLower(name)
	for _, scope := range []cftunnel.TokenScope{
		cftunnel.TokenScopeZone, cftunnel.TokenScopeAccount, cftunnel.TokenScopeUser,
		cftunnel.TokenScopeR2Bucket,
	} {
		id, found := strings.CutPrefix(name, string(scope)+".")
		switch {
		case !found, scope == cftunnel.TokenScopeAccount && strings.Contains(id, "."):
			continue // another type of resource
		case scope == cftunnel.TokenScopeR2Bucket:
			return resource{scope: scope, id: id}, id != ""
		}
		isWildcard := id == wildcard && scope != cftunnel.TokenScopeUser
		return resource{scope: scope, id: id}, isHexID(id) || isWildcard
	}
	return resource{}, strings.HasPrefix(name, "com.cloudflare.") && !strings.HasSuffix(name, ".")
}

// authorize returns the error response if a token may not use a route, or nil. Every token may
// verify itself.
func (s *Server) authorize(
	token *apiToken, r *route, values map[string]string, from netip.Addr,
) *response {
	if strings.HasSuffix(r.template, "/tokens/verify") {
		return nil
	}
	now := s.now()
	target := s.resourceOf(r, values)
	switch {
	case token.status(now) == cftunnel.TokenStatusExpired:
		return failure(http.StatusUnauthorized, 10000, "Authentication error")
	case token.status(now) != cftunnel.TokenStatusActive || now.Before(token.notBefore):
		return failure(http.StatusForbidden, 9109, "Invalid access token")
	case !token.condition.allows(from):
		return failure(http.StatusForbidden, 9109,
			"Cannot use the access token from location: "+from.String())
	case token.account != "" && target.scope == cftunnel.TokenScopeUser &&
		strings.HasPrefix(r.template, "/user/"):
		return failure(http.StatusForbidden, 9109, "Valid user-level authentication not found")
	case r.needs == nil && !token.isOutsideAccount(target) &&
		!(token.readOnly && r.method != http.MethodGet): // endpoints of Handle
		return nil
	case token.isOutsideAccount(target) || !token.allows(r.needs, target):
		if strings.Contains(r.template, "/tokens") {
			return failure(http.StatusForbidden, 9109, "Unauthorized to access requested resource")
		}
		return failure(http.StatusForbidden, 10000, "Authentication error")
	}
	return nil
}

// isOutsideAccount reports whether the token belongs to an account and the target to another one.
func (t *apiToken) isOutsideAccount(target resource) bool {
	account := target.account
	if target.scope == cftunnel.TokenScopeAccount {
		account = target.id
	}
	return t.account != "" && account != "" && account != t.account
}
