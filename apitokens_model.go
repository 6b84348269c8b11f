package cftunnel

import (
	"slices"
	"strings"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/unknownjson"
)

// APIToken is an API token of a user or an account. The API returns the secret of a token only when
// it creates the token or replaces the secret: see [APITokensService.Roll].
type APIToken struct {
	// ID is 32 hexadecimal digits. It is not a secret.
	ID string `json:"id"`
	// Name has at most 120 characters. Several tokens can have the same name.
	Name string `json:"name"`
	// Status is the status of the token, such as TokenStatusActive. It does not depend on
	// NotBefore: a token can be active before it is valid.
	Status TokenStatus `json:"status"`
	// Policies are what the token may do. The order of the policies, and of the permission groups
	// in them, has no meaning.
	Policies []TokenPolicy `json:"policies"`
	// Condition restricts the addresses that the token works from. It is nil if there is no
	// restriction, and also if the condition is empty, with which the token works from no address.
	Condition *TokenCondition `json:"condition,omitempty"`
	// IssuedOn is when the token was created, ModifiedOn when it was last updated or rolled.
	IssuedOn   time.Time `json:"issued_on,omitzero"`
	ModifiedOn time.Time `json:"modified_on,omitzero"`
	// LastUsedOn is when the token was last used. It is zero if the token was never used.
	LastUsedOn time.Time `json:"last_used_on,omitzero"`
	// NotBefore and ExpiresOn limit the time in which the token works. Zero is no limit.
	NotBefore time.Time `json:"not_before,omitzero"`
	ExpiresOn time.Time `json:"expires_on,omitzero"`
	// Value is the secret of the token. Only Create sets it. It is never encoded as JSON.
	Value Secret `json:"-"`

	shutsOut bool // the condition was empty
}

// TokenPolicy allows or denies permission groups on resources. A request is allowed if one policy
// of the token allows it and none denies it.
//
// A permission group applies only to resources of its scope: put groups for accounts and groups for
// zones into separate policies.
//
// JSON members that this type has no field for are kept when a token is read, changed and written.
type TokenPolicy struct {
	// ID is set by the API and ignored in requests.
	ID string `json:"id,omitempty"`
	// Effect says whether the policy allows or denies. The default is to allow.
	Effect PolicyEffect `json:"effect"`
	// PermissionGroups are what is allowed or denied. Requests contain only their IDs and the JSON
	// members that PermissionGroup has no field for, such as meta.
	PermissionGroups []PermissionGroup `json:"permission_groups"`
	// Resources are what the permission groups apply to.
	Resources TokenResources `json:"resources"`

	members unknownjson.Members
}

// PolicyEffect says whether a policy allows or denies. The API may return other values.
type PolicyEffect string

// The known effects.
const (
	PolicyEffectAllow PolicyEffect = "allow"
	PolicyEffectDeny  PolicyEffect = "deny"
)

// TokenResources maps the name of a resource, such as
// "com.cloudflare.api.account.023e105f4ecef8ad9ca31a8372d0c353", to the part of it that a policy
// applies to. [AccountPolicy], [ZonePolicy] and [AllZonesPolicy] set the usual ones.
type TokenResources map[string]TokenResource

// TokenResource is the part of a resource that a policy applies to. The zero value is the whole
// resource, which is "*" in JSON. JSON that is neither "*" nor an object of names is kept when a
// token is read, changed and written.
type TokenResource struct {
	// Within limits the policy to resources inside this one. The keys are the names of these
	// resources, and every value is "*". The name "com.cloudflare.api.account.zone.*" means every
	// zone of the account. If Within is nil, the policy applies to the whole resource.
	Within map[string]string

	other string // the JSON of a form that Within cannot express
}

// TokenScope is the kind of resource that a permission group applies to. The API may return other
// values.
type TokenScope string

// The known scopes.
const (
	TokenScopeAccount  TokenScope = "com.cloudflare.api.account"
	TokenScopeZone     TokenScope = "com.cloudflare.api.account.zone"
	TokenScopeUser     TokenScope = "com.cloudflare.api.user"
	TokenScopeR2Bucket TokenScope = "com.cloudflare.edge.r2.bucket"
)

// PermissionGroup is a set of permissions that a policy allows or denies. The dashboard shows Edit
// instead of Write at the end of its name.
//
// JSON members that this type has no field for are kept when a token is read, changed and written.
type PermissionGroup struct {
	// ID is 32 hexadecimal digits. It is the same for all accounts.
	ID string `json:"id"`
	// Name is not unique: groups of different scopes can have the same name.
	Name string `json:"name,omitempty"`
	// Scopes are the kinds of resources that the group applies to, usually one.
	Scopes []TokenScope `json:"scopes,omitempty"`
	// Category is the API's category, such as "dns_and_zones".
	Category string `json:"category,omitempty"`
	// Deprecated reports whether the API will remove the group.
	Deprecated bool `json:"deprecated,omitempty"`

	members unknownjson.Members
}

// Permission groups for tunnels and their hostnames. Use them if the client's credentials lack the
// permission to call [APITokensService.ResolvePermissionGroups]. Do not change them.
var (
	PermissionCloudflareTunnelRead = accountGroup(
		"efea2ab8357b47888938f101ae5e053f", "Cloudflare Tunnel Read")
	PermissionCloudflareTunnelWrite = accountGroup(
		"c07321b023e944ff818fec44d8203567", "Cloudflare Tunnel Write")
	PermissionDNSRead  = zoneGroup("82e64a83756745bbbb1c9c2701bf816b", "DNS Read")
	PermissionDNSWrite = zoneGroup("4755a26eedb94da69e1066d98aa820be", "DNS Write")
	PermissionZoneRead = zoneGroup("c8fed203ed3043cba015a93ad1616f1f", "Zone Read")
)

func accountGroup(id, name string) PermissionGroup {
	return PermissionGroup{ID: id, Name: name, Scopes: []TokenScope{TokenScopeAccount}}
}

func zoneGroup(id, name string) PermissionGroup {
	return PermissionGroup{ID: id, Name: name, Scopes: []TokenScope{TokenScopeZone}}
}

// AccountPolicy returns a policy that allows permission groups on an account. The groups must have
// the scope [TokenScopeAccount].
func AccountPolicy(accountID string, groups ...PermissionGroup) TokenPolicy {
	return allowPolicy(TokenResources{accountResource(accountID): {}}, groups)
}

// ZonePolicy returns a policy that allows permission groups on a zone. The groups must have the
// scope [TokenScopeZone].
func ZonePolicy(zoneID string, groups ...PermissionGroup) TokenPolicy {
	return allowPolicy(TokenResources{zoneResource(zoneID): {}}, groups)
}

// AllZonesPolicy returns a policy that allows permission groups on every zone of an account,
// including zones that are added later. The groups must have the scope [TokenScopeZone].
func AllZonesPolicy(accountID string, groups ...PermissionGroup) TokenPolicy {
	within := map[string]string{zoneResource("*"): "*"}
	return allowPolicy(TokenResources{accountResource(accountID): {Within: within}}, groups)
}

func accountResource(id string) string { return string(TokenScopeAccount) + "." + id }

func zoneResource(id string) string { return string(TokenScopeZone) + "." + id }

func allowPolicy(resources TokenResources, groups []PermissionGroup) TokenPolicy {
	return TokenPolicy{
		Effect:           PolicyEffectAllow,
		PermissionGroups: slices.Clone(groups),
		Resources:        resources,
	}
}

// isResourceName reports whether a policy can have a resource of this name. A name without an ID
// ends in a dot.
func isResourceName(name string) bool {
	return name != "" && !strings.HasSuffix(name, ".") &&
		!strings.ContainsFunc(name, isSpaceOrControl)
}

func isSpaceOrControl(r rune) bool { return r <= ' ' || r == 0x7f }
