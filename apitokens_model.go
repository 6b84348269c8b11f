package cftunnel

import (
	"slices"
	"strings"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/unknownjson"
)

// APIToken is an API token of a user or an account. It says what the token may do; its secret is
// known only to whoever created it.
type APIToken struct {
	// ID is 32 hexadecimal digits. It is not a secret.
	ID string `json:"id"`
	// Name has at most 120 characters. Several tokens can have the same name.
	Name string `json:"name"`
	// Status does not cover NotBefore: an active token may not be valid yet.
	Status TokenStatus `json:"status"`
	// Policies are in no particular order, and neither are the permission groups in them.
	Policies []TokenPolicy `json:"policies"`
	// Condition restricts the addresses that the token works from. nil is no restriction.
	Condition *TokenCondition `json:"condition,omitempty"`
	// IssuedOn is when the token was created, ModifiedOn when it was last updated or rolled.
	IssuedOn   time.Time `json:"issued_on,omitzero"`
	ModifiedOn time.Time `json:"modified_on,omitzero"`
	// LastUsedOn is zero if the token was not used yet.
	LastUsedOn time.Time `json:"last_used_on,omitzero"`
	// NotBefore and ExpiresOn are the times between which the token works. Zero is no limit.
	NotBefore time.Time `json:"not_before,omitzero"`
	ExpiresOn time.Time `json:"expires_on,omitzero"`
	// Value is the secret of the token. It is set by Create alone; the API never returns it again.
	Value Secret `json:"-"`
}

// TokenPolicy allows or denies permission groups on resources. A request is allowed if one policy
// of the token allows it and none denies it.
//
// A permission group counts only if its scope fits the resources: groups for accounts and groups
// for zones belong in policies of their own. Members of a policy that this type does not have
// survive reading and writing.
type TokenPolicy struct {
	// ID is set by the API and ignored in requests.
	ID string `json:"id,omitempty"`
	// Effect defaults to allow.
	Effect PolicyEffect `json:"effect"`
	// PermissionGroups are compared by ID. Only the ID is sent, and members that PermissionGroup
	// does not have.
	PermissionGroups []PermissionGroup `json:"permission_groups"`
	// Resources are what the groups are allowed or denied on.
	Resources TokenResources `json:"resources"`

	members unknownjson.Members
}

// PolicyEffect is what a policy does. The API may add others.
type PolicyEffect string

// The known effects.
const (
	PolicyEffectAllow PolicyEffect = "allow"
	PolicyEffectDeny  PolicyEffect = "deny"
)

// TokenResources maps the name of a resource, such as
// "com.cloudflare.api.account.023e105f4ecef8ad9ca31a8372d0c353", to the part of it that a policy
// applies to. [AccountPolicy], [ZonePolicy] and [AllZonesPolicy] make the usual ones.
type TokenResources map[string]TokenResource

// TokenResource is the part of a resource that a policy applies to. The zero value is all of it,
// which the API writes as "*". A form that this type does not know survives reading and writing.
type TokenResource struct {
	// Within names resources inside, such as "com.cloudflare.api.account.zone.*": "*" for every
	// zone of an account. If it is not nil, the policy applies to these alone.
	Within map[string]string

	other string // the JSON of a form that Within cannot hold
}

// TokenScope is the kind of resource that a permission group is for. The API may add others.
type TokenScope string

// The known scopes.
const (
	TokenScopeAccount  TokenScope = "com.cloudflare.api.account"
	TokenScopeZone     TokenScope = "com.cloudflare.api.account.zone"
	TokenScopeUser     TokenScope = "com.cloudflare.api.user"
	TokenScopeR2Bucket TokenScope = "com.cloudflare.edge.r2.bucket"
)

// PermissionGroup is a set of permissions that a policy allows or denies. The dashboard calls Edit
// what the API calls Write.
type PermissionGroup struct {
	// ID is 32 hexadecimal digits, the same for all accounts.
	ID string `json:"id"`
	// Name is not unique: groups of different scopes can have the same name.
	Name string `json:"name,omitempty"`
	// Scopes are the kinds of resources that the group applies to; usually one.
	Scopes []TokenScope `json:"scopes,omitempty"`
	// Category is such as "dns_and_zones".
	Category string `json:"category,omitempty"`
	// Deprecated groups will be removed by the API.
	Deprecated bool `json:"deprecated,omitempty"`

	members unknownjson.Members
}

// Permission groups for work on tunnels, for programs that cannot ask
// [APITokensService.ResolvePermissionGroups]. Do not change them.
var (
	PermissionCloudflareTunnelRead  = accountGroup("efea2ab8357b47888938f101ae5e053f", "Cloudflare Tunnel Read")
	PermissionCloudflareTunnelWrite = accountGroup("c07321b023e944ff818fec44d8203567", "Cloudflare Tunnel Write")
	PermissionDNSRead               = zoneGroup("82e64a83756745bbbb1c9c2701bf816b", "DNS Read")
	PermissionDNSWrite              = zoneGroup("4755a26eedb94da69e1066d98aa820be", "DNS Write")
	PermissionZoneRead              = zoneGroup("c8fed203ed3043cba015a93ad1616f1f", "Zone Read")
)

func accountGroup(id, name string) PermissionGroup {
	return PermissionGroup{ID: id, Name: name, Scopes: []TokenScope{TokenScopeAccount}}
}

func zoneGroup(id, name string) PermissionGroup {
	return PermissionGroup{ID: id, Name: name, Scopes: []TokenScope{TokenScopeZone}}
}

// AccountPolicy returns a policy that allows groups of the scope [TokenScopeAccount] on an account.
func AccountPolicy(accountID string, groups ...PermissionGroup) TokenPolicy {
	return allowing(TokenResources{accountResource(accountID): {}}, groups)
}

// ZonePolicy returns a policy that allows groups of the scope [TokenScopeZone] on a zone.
func ZonePolicy(zoneID string, groups ...PermissionGroup) TokenPolicy {
	return allowing(TokenResources{zoneResource(zoneID): {}}, groups)
}

// AllZonesPolicy returns a policy that allows groups of the scope [TokenScopeZone] on every zone of
// an account, including those that it gets later.
func AllZonesPolicy(accountID string, groups ...PermissionGroup) TokenPolicy {
	within := map[string]string{zoneResource("*"): "*"}
	return allowing(TokenResources{accountResource(accountID): {Within: within}}, groups)
}

func accountResource(id string) string { return string(TokenScopeAccount) + "." + id }

func zoneResource(id string) string { return string(TokenScopeZone) + "." + id }

func allowing(resources TokenResources, groups []PermissionGroup) TokenPolicy {
	return TokenPolicy{Effect: PolicyEffectAllow, PermissionGroups: slices.Clone(groups), Resources: resources}
}

// isResourceName reports whether a policy can name such a resource. One without an id ends in a
// dot.
func isResourceName(name string) bool {
	return name != "" && !strings.HasSuffix(name, ".") && !strings.ContainsFunc(name, isSpaceOrControl)
}

func isSpaceOrControl(r rune) bool { return r <= ' ' || r == 0x7f }
