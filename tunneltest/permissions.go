package tunneltest

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// permission is what a route needs: one of these permission groups, by name, for the account or
// zone in its path, or else for the user. A route without a permission is open to every token.
type permission []string

// reading returns the permission to read something of one of these products. Write includes Read.
func reading(products ...string) permission {
	var groups permission
	for _, product := range products {
		groups = append(groups, product+" Read", product+" Write")
	}
	return groups
}

// writing returns the permission to change something of one of these products.
func writing(products ...string) permission {
	var groups permission
	for _, product := range products {
		groups = append(groups, product+" Write")
	}
	return groups
}

// Products whose permission groups the routes need.
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

// What the routes need.
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

const everything = "*"

// resource is what a request is about, or what a policy applies to.
type resource struct {
	scope cftunnel.TokenScope
	// id is of an account, a zone or a bucket, or everything. A request that is about no zone in
	// particular has none.
	id string
	// account of a zone. Empty in a policy that names the zone alone.
	account string
}

// covers reports whether a policy for r applies to all of other.
func (r resource) covers(other resource) bool {
	return r.scope == other.scope &&
		(r.id == everything || r.id == other.id || other.id == "" || r.scope == cftunnel.TokenScopeUser) &&
		(r.account == "" || r.account == everything || r.account == other.account || other.account == "")
}

// resourceOf returns what a request is about.
func (s *Server) resourceOf(r *route, values map[string]string) resource {
	switch {
	case values["account_id"] != "":
		return resource{scope: cftunnel.TokenScopeAccount, id: strings.ToLower(values["account_id"])}
	case strings.HasPrefix(r.template, "/zones"):
		return s.zoneResource(values["zone_id"])
	}
	return resource{scope: cftunnel.TokenScopeUser}
}

// zoneResource returns the resource of a zone. An empty id is any zone.
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

// allows reports whether the token's policies allow a request: one of them does, and none denies
// it.
func (t *apiToken) allows(need permission, about resource) bool {
	allowed := false
	for _, p := range t.policies {
		if !slices.ContainsFunc(p.Groups, func(g groupReference) bool { return slices.Contains(need, g.Name) }) {
			continue
		}
		for _, r := range p.applies {
			switch {
			case p.Effect == string(cftunnel.PolicyEffectDeny) && (r.covers(about) || about.covers(r)):
				return false
			case p.Effect == string(cftunnel.PolicyEffectAllow) && r.covers(about):
				allowed = true
			}
		}
	}
	return allowed
}

// gives reports whether the token may pass on a permission group for a resource: it must have that
// itself.
func (t *apiToken) gives(group *permissionGroup, to resource) bool {
	need := permission{group.Name}
	if product, ok := strings.CutSuffix(group.Name, " Read"); ok {
		need = reading(product)
	}
	return t.allows(need, to)
}

// resources returns what the resources of a policy are, or nothing for a form that the server does
// not know: it is kept, and allows nothing. The name of a resource that cannot be one is invalid.
func (s *Server) resources(all map[string]json.RawMessage) (list []resource, invalid string) {
	for name, value := range all {
		var within map[string]string
		switch {
		case string(value) == `"`+everything+`"`:
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
				if !ok || value != everything {
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

// parseResource reads the name of a resource. One of a kind that the server does not know has no
// scope.
func (s *Server) parseResource(name string) (r resource, ok bool) {
	name = strings.ToLower(name)
	for _, scope := range []cftunnel.TokenScope{
		cftunnel.TokenScopeZone, cftunnel.TokenScopeAccount, cftunnel.TokenScopeUser, cftunnel.TokenScopeR2Bucket,
	} {
		id, found := strings.CutPrefix(name, string(scope)+".")
		switch {
		case !found || scope == cftunnel.TokenScopeAccount && strings.Contains(id, "."): // a kind of its own
			continue
		case scope == cftunnel.TokenScopeR2Bucket:
			return resource{scope: scope, id: id}, id != ""
		}
		return resource{scope: scope, id: id}, isAccountID(id) || id == everything && scope != cftunnel.TokenScopeUser
	}
	return resource{}, strings.HasPrefix(name, "com.cloudflare.") && !strings.HasSuffix(name, ".")
}

// authorize says why a token may not do what the route does, or nil. Every token may verify itself.
func (s *Server) authorize(token *apiToken, r *route, values map[string]string, from netip.Addr) *answer {
	if strings.HasSuffix(r.template, "/tokens/verify") {
		return nil
	}
	now := s.now()
	about := s.resourceOf(r, values)
	var problem answer
	switch {
	case token.status(now) == cftunnel.TokenStatusExpired:
		problem = failure(http.StatusUnauthorized, 10000, "Authentication error")
	case token.status(now) != cftunnel.TokenStatusActive || now.Before(token.notBefore):
		problem = failure(http.StatusForbidden, 9109, "Invalid access token")
	case !token.condition.allows(from):
		problem = failure(http.StatusForbidden, 9109, "Cannot use the access token from location: "+from.String())
	case token.account != "" && about.scope == cftunnel.TokenScopeUser && strings.HasPrefix(r.template, "/user/"):
		problem = failure(http.StatusForbidden, 9109, "Valid user-level authentication not found")
	case r.needs == nil && !(token.readOnly && r.method != http.MethodGet): // of Handle
		return nil
	case token.isOutside(about) || !token.allows(r.needs, about):
		if strings.Contains(r.template, "/tokens") {
			problem = failure(http.StatusForbidden, 9109, "Unauthorized to access requested resource")
		} else {
			problem = failure(http.StatusForbidden, 10000, "Authentication error")
		}
	default:
		return nil
	}
	return &problem
}

// isOutside reports whether something belongs to another account than the token, which is then of
// no use there.
func (t *apiToken) isOutside(about resource) bool {
	account := about.account
	if about.scope == cftunnel.TokenScopeAccount {
		account = about.id
	}
	return t.account != "" && account != "" && account != t.account
}
