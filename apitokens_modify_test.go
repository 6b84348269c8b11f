package cftunnel_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// richToken is a token in the form of the API, with members that this client does not know.
const richToken = `{
	"id": "ed17574386854bf78a67040be0a770b0", "name": "rich", "status": "active", "issued_on": "2026-10-05T12:00:00.123456Z",
	"modified_on": "2026-10-05T12:00:00Z", "last_used_on": null, "not_before": "2026-10-05T12:00:00.5Z", "expires_on": null,
	"condition": {"request.ip": {"in": ["192.0.2.0/24", "2001:db8::1"], "not_in": [], "future": [1]}, "other": {"a": 1}, "request_ip": {}},
	"policies": [
		{"id": "a", "effect": "allow", "priority": 3, "permission_groups": [
			{"id": "4755a26eedb94da69e1066d98aa820be", "name": "DNS Write", "label": "l", "meta": {"key": "k", "value": "v"}, "limit": 7},
			{"id": "c8fed203ed3043cba015a93ad1616f1f", "name": "Zone Read", "meta": null}
		], "resources": {
			"com.cloudflare.api.account.zone.023e105f4ecef8ad9ca31a8372d0c353": "*",
			"com.cloudflare.api.account.0123456789abcdef0123456789abcdef": {"com.cloudflare.api.account.zone.*": "*"},
			"com.cloudflare.new.thing": ["x", {"y": 1.0}],
			"com.cloudflare.new.empty": {}
		}},
		{"id": "b", "effect": "deny", "permission_groups": [{"id": "c07321b023e944ff818fec44d8203567", "name": "Cloudflare Tunnel Write"}],
			"resources": {"com.cloudflare.api.account.0123456789abcdef0123456789abcdef": "*"}}
	]
}`

// richBody is the body of an update of richToken that changes only the name.
const richBody = `{
	"name": "renamed", "status": "active", "not_before": "2026-10-05T12:00:00Z",
	"condition": {"request_ip": {"in": ["192.0.2.0/24", "2001:db8::1/128"], "future": [1]}, "other": {"a": 1}},
	"policies": [
		{"effect": "allow", "priority": 3, "permission_groups": [
			{"id": "4755a26eedb94da69e1066d98aa820be", "meta": {"key": "k", "value": "v"}, "limit": 7},
			{"id": "c8fed203ed3043cba015a93ad1616f1f"}
		], "resources": {
			"com.cloudflare.api.account.zone.023e105f4ecef8ad9ca31a8372d0c353": "*",
			"com.cloudflare.api.account.0123456789abcdef0123456789abcdef": {"com.cloudflare.api.account.zone.*": "*"},
			"com.cloudflare.new.thing": ["x", {"y": 1.0}],
			"com.cloudflare.new.empty": {}
		}},
		{"effect": "deny", "permission_groups": [{"id": "c07321b023e944ff818fec44d8203567"}],
			"resources": {"com.cloudflare.api.account.0123456789abcdef0123456789abcdef": "*"}}
	]
}`

type tokenUpdate = cftunnel.APITokenUpdateParams

// serveToken returns a client of a server that has one token, and the bodies of the updates that
// the server gets.
func serveToken(t *testing.T, token string) (*cftunnel.Client, *[]string) {
	t.Helper()
	var bodies []string
	client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			var body json.RawMessage
			assert.NoError(t, json.NewDecoder(r.Body).Decode(&body))
			bodies = append(bodies, string(body))
		}
		respond(200, `{"success":true,"errors":[],"messages":[],"result":`+token+`}`)(w, r)
	})
	return client, &bodies
}

func TestAPITokensGet_AllFields(t *testing.T) {
	t.Parallel()
	client, _ := serveToken(t, richToken)
	token, err := client.UserTokens.Get(t.Context(), tokenID)
	require.NoError(t, err)
	assert.Equal(t, time.Date(2026, 10, 5, 12, 0, 0, 123456000, time.UTC), token.IssuedOn.UTC())
	assert.True(t, token.LastUsedOn.IsZero())
	assert.True(t, token.ExpiresOn.IsZero())
	assert.Equal(t, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128")}, token.Condition.AllowedIPs)
	assert.Empty(t, token.Condition.DeniedIPs)
	require.Len(t, token.Policies, 2)
	resources := token.Policies[0].Resources
	assert.Equal(t, cftunnel.TokenResource{}, resources["com.cloudflare.api.account.zone."+zoneID])
	assert.Equal(t, map[string]string{"com.cloudflare.api.account.zone.*": "*"}, resources["com.cloudflare.api.account."+accountID].Within)
	assert.NotNil(t, resources["com.cloudflare.new.empty"].Within)
	assert.Equal(t, cftunnel.PolicyEffectDeny, token.Policies[1].Effect)
	assert.Equal(t, "DNS Write", token.Policies[0].PermissionGroups[0].Name)

	encoded, err := json.Marshal(token)
	require.NoError(t, err)
	var again cftunnel.APIToken
	require.NoError(t, json.Unmarshal(encoded, &again))
	encodedAgain, err := json.Marshal(again)
	require.NoError(t, err)
	assert.JSONEq(t, string(encoded), string(encodedAgain), "JSON keeps every member")
	assert.Contains(t, string(encoded), `"limit":7`)
}

// tokenWith returns the JSON of a token with a condition.
func tokenWith(condition string) string {
	return `{"id":"ed17574386854bf78a67040be0a770b0","name":"n","status":"active",` +
		`"policies":[],"condition":` + condition + `}`
}

func TestAPITokensGet_EmptyCondition(t *testing.T) {
	t.Parallel()
	for _, condition := range []string{`null`, `{}`, `{"request_ip":{}}`, `{"request_ip":{"in":[],"not_in":[]}}`} {
		client, _ := serveToken(t, tokenWith(condition))
		token, err := client.UserTokens.Get(t.Context(), tokenID)
		require.NoError(t, err)
		assert.Nil(t, token.Condition, condition)
	}
}

// The API lets no address use a token with such a condition. A change of another setting must not
// unlock the token.
func TestAPITokensModify_EmptyCondition(t *testing.T) {
	t.Parallel()
	for _, condition := range []string{
		`{}`, `{"request_ip":{}}`, `{"request_ip":{"in":[]}}`, `{"request.ip":{"in":[],"not_in":[]}}`,
		`{"request_ip":{"in":[],"not_in":["192.0.2.0/24"]}}`, `{"request_ip":{"in":null}}`,
		`{"request_ip":{"in":[]},"country":{"in":["DE"]}}`, `{"request_ip":{},"country":{"in":["DE"]}}`,
	} {
		client, bodies := serveToken(t, tokenWith(condition))
		rename := func(p *tokenUpdate) error {
			p.Name = "renamed"
			return nil
		}
		_, err := client.UserTokens.Modify(t.Context(), tokenID, rename)
		refused, ok := errors.AsType[*cftunnel.InvalidArgumentError](err)
		require.True(t, ok, "%s: %v", condition, err)
		assert.Equal(t, "tokenID", refused.Name)
		assert.Empty(t, *bodies)
		_, err = client.UserTokens.Modify(t.Context(), tokenID, func(p *tokenUpdate) error {
			allowed := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
			p.Condition = &cftunnel.TokenCondition{AllowedIPs: allowed}
			return rename(p)
		})
		require.NoError(t, err)
		require.Len(t, *bodies, 1)
		assert.Contains(t, (*bodies)[0], `"in":["192.0.2.0/24"]`)
	}
	// A condition that only excludes addresses, or that is null, does not lock the token.
	for _, condition := range []string{
		`null`, `{"request_ip":{"not_in":["192.0.2.0/24"]}}`, `{"country":{"in":["DE"]}}`,
	} {
		client, bodies := serveToken(t, tokenWith(condition))
		_, err := client.UserTokens.Modify(t.Context(), tokenID, func(p *tokenUpdate) error {
			p.Name = "renamed"
			return nil
		})
		require.NoError(t, err, condition)
		assert.Len(t, *bodies, 1)
	}
}

func TestAPITokensModify_KeepsUnknownMembers(t *testing.T) {
	t.Parallel()
	client, bodies := serveToken(t, richToken)
	_, err := client.UserTokens.Modify(t.Context(), tokenID, func(p *tokenUpdate) error {
		p.Name = "renamed"
		return nil
	})
	require.NoError(t, err)
	require.Len(t, *bodies, 1)
	assert.JSONEq(t, richBody, (*bodies)[0])
}

func TestAPITokensModify_NoChange(t *testing.T) {
	t.Parallel()
	for name, modify := range map[string]func(*tokenUpdate){
		"no change":         func(*tokenUpdate) {},
		"order of policies": func(p *tokenUpdate) { slices.Reverse(p.Policies) },
		"order of groups":   func(p *tokenUpdate) { slices.Reverse(p.Policies[0].PermissionGroups) },
		"a group by its ID": func(p *tokenUpdate) {
			p.Policies[1].PermissionGroups = []cftunnel.PermissionGroup{cftunnel.PermissionCloudflareTunnelWrite}
		},
		"a group twice": func(p *tokenUpdate) {
			groups := &p.Policies[1].PermissionGroups
			*groups = append(*groups, cftunnel.PermissionCloudflareTunnelWrite)
		},
		"a policy twice":       func(p *tokenUpdate) { p.Policies = append(p.Policies, p.Policies[1]) },
		"a policy's ID":        func(p *tokenUpdate) { p.Policies[1].ID = "" },
		"order of addresses":   func(p *tokenUpdate) { slices.Reverse(p.Condition.AllowedIPs) },
		"an empty list":        func(p *tokenUpdate) { p.Condition.DeniedIPs = []netip.Prefix{} },
		"fractions of seconds": func(p *tokenUpdate) { p.NotBefore = p.NotBefore.Truncate(time.Second) },
		"a time zone":          func(p *tokenUpdate) { p.NotBefore = p.NotBefore.In(time.FixedZone("", 3600)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, bodies := serveToken(t, richToken)
			change := func(p *tokenUpdate) error {
				modify(p)
				return nil
			}
			token, err := client.UserTokens.Modify(t.Context(), tokenID, change)
			require.NoError(t, err)
			assert.Equal(t, tokenID, token.ID)
			assert.Empty(t, *bodies)
		})
	}
}

func TestAPITokensModify_Changes(t *testing.T) {
	t.Parallel()
	for name, modify := range map[string]func(*tokenUpdate){
		"name":      func(p *tokenUpdate) { p.Name = "Rich" },
		"status":    func(p *tokenUpdate) { p.Status = cftunnel.TokenStatusDisabled },
		"no policy": func(p *tokenUpdate) { p.Policies = p.Policies[:0] },
		"effect":    func(p *tokenUpdate) { p.Policies[1].Effect = cftunnel.PolicyEffectAllow },
		"group": func(p *tokenUpdate) {
			p.Policies[0].PermissionGroups = p.Policies[0].PermissionGroups[1:]
		},
		"resource": func(p *tokenUpdate) { delete(p.Policies[0].Resources, "com.cloudflare.new.empty") },
		"every resource": func(p *tokenUpdate) {
			p.Policies[0].Resources["com.cloudflare.new.empty"] = cftunnel.TokenResource{}
		},
		"nested resource": func(p *tokenUpdate) {
			p.Policies[0].Resources["com.cloudflare.new.empty"].Within["a"] = "*"
		},
		"address": func(p *tokenUpdate) { p.Condition.AllowedIPs = p.Condition.AllowedIPs[1:] },
		"denied": func(p *tokenUpdate) {
			p.Condition.DeniedIPs = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
		},
		"no condition": func(p *tokenUpdate) { p.Condition = nil },
		"not before":   func(p *tokenUpdate) { p.NotBefore = time.Time{} },
		"expires on":   func(p *tokenUpdate) { p.ExpiresOn = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC) },
		"unknown members": func(p *tokenUpdate) {
			p.Condition = &cftunnel.TokenCondition{AllowedIPs: p.Condition.AllowedIPs}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, bodies := serveToken(t, richToken)
			change := func(p *tokenUpdate) error {
				modify(p)
				return nil
			}
			_, err := client.UserTokens.Modify(t.Context(), tokenID, change)
			require.NoError(t, err)
			assert.Len(t, *bodies, 1)
		})
	}
}

func TestAPITokensModify_Status(t *testing.T) {
	t.Parallel()
	withStatus := func(status string) string {
		return strings.Replace(richToken, `"status": "active"`, `"status": "`+status+`"`, 1)
	}
	rename := func(p *tokenUpdate) error {
		p.Name = "renamed"
		return nil
	}
	for status, sent := range map[string]string{
		"active": `"active"`, "disabled": `"disabled"`, "expired": ``, "paused": `"paused"`,
	} {
		client, bodies := serveToken(t, withStatus(status))
		_, err := client.UserTokens.Modify(t.Context(), tokenID, rename)
		require.NoError(t, err)
		var body struct{ Status json.RawMessage }
		require.NoError(t, json.Unmarshal([]byte((*bodies)[0]), &body))
		assert.Equal(t, sent, string(body.Status), status)
	}
	client, bodies := serveToken(t, withStatus("revoked (exposed)"))
	_, err := client.UserTokens.Modify(t.Context(), tokenID, rename)
	var argument *cftunnel.InvalidArgumentError
	require.ErrorAs(t, err, &argument)
	assert.Contains(t, err.Error(), "revoked")
	assert.Empty(t, *bodies)
}

func TestAPITokensModify_Errors(t *testing.T) {
	t.Parallel()
	client, bodies := serveToken(t, richToken)
	callersErr := errors.New("caller's error")
	_, err := client.UserTokens.Modify(t.Context(), tokenID, func(*tokenUpdate) error {
		return callersErr
	})
	assert.Equal(t, callersErr, err)
	var argument *cftunnel.InvalidArgumentError
	_, err = client.UserTokens.Modify(t.Context(), tokenID, func(p *tokenUpdate) error {
		p.Policies = nil
		return nil
	})
	require.ErrorAs(t, err, &argument)
	assert.Empty(t, *bodies)
	otherToken := strings.Repeat("a", 32)
	_, err = client.UserTokens.Modify(t.Context(), otherToken,
		func(*tokenUpdate) error { return nil })
	require.Error(t, err, "a response about another token")
}

// The fake returns policies and groups in an order that differs from the request.
func TestAPITokensModify_ReorderedPolicies(t *testing.T) {
	t.Parallel()
	srv, client := newFake(t)
	ctx := t.Context()
	token := createToken(t, client.AccountTokens, cftunnel.APITokenCreateParams{
		Name: "ci",
		Policies: []cftunnel.TokenPolicy{
			cftunnel.AccountPolicy(srv.AccountID(), cftunnel.PermissionCloudflareTunnelWrite),
			cftunnel.AllZonesPolicy(
				srv.AccountID(), cftunnel.PermissionDNSWrite, cftunnel.PermissionZoneRead),
		},
		Condition: &cftunnel.TokenCondition{AllowedIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
		ExpiresOn: time.Now().Add(time.Hour),
	})
	assert.Empty(t, token.Condition.DeniedIPs)
	const update = "PUT /accounts/{account_id}/tokens/{token_id}"
	_, err := client.AccountTokens.Modify(ctx, token.ID, func(p *tokenUpdate) error {
		p.Policies = []cftunnel.TokenPolicy{
			cftunnel.AllZonesPolicy(
				srv.AccountID(), cftunnel.PermissionZoneRead, cftunnel.PermissionDNSWrite),
			cftunnel.AccountPolicy(srv.AccountID(), cftunnel.PermissionCloudflareTunnelWrite),
		}
		return nil
	})
	require.NoError(t, err)
	assert.Zero(t, carriedOut(srv, update), "the same policies in another order")
	changed, err := client.AccountTokens.Modify(ctx, token.ID, func(p *tokenUpdate) error {
		allowed := &p.Condition.AllowedIPs
		*allowed = append(*allowed, netip.MustParsePrefix("198.51.100.0/24"))
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, 1, carriedOut(srv, update))
	assert.Len(t, changed.Condition.AllowedIPs, 2)
	assert.Len(t, changed.Policies, 2)
	assert.Equal(t, token.ExpiresOn, changed.ExpiresOn)

	srv.Inject(tunneltest.Fault{Operation: update, Cut: tunneltest.CutAfter})
	_, err = client.AccountTokens.Modify(ctx, token.ID, func(p *tokenUpdate) error {
		p.Condition = nil
		return nil
	})
	require.NoError(t, err, "an update can be repeated")
}

func TestTokenCondition_JSON(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		`{}`:                                     `{}`,
		`{"request_ip":{}}`:                      `{}`,
		`{"request_ip":null}`:                    `{}`,
		`{"request_ip":{"in":[]}}`:               `{}`,
		`{"request_ip":{"in":null}}`:             `{}`,
		`{"request.ip":{"not_in":[]}}`:           `{}`,
		`{"request_ip":{"in":["192.0.2.0/24"]}}`: `{"request_ip":{"in":["192.0.2.0/24"]}}`,
		`{"request.ip":{"in":["192.0.2.0/24"]}}`: `{"request_ip":{"in":["192.0.2.0/24"]}}`,
		`{"request.ip":{"in":["192.0.2.0/24"]},"request_ip":{"in":["2001:db8::/32"]}}`: `{"request_ip":{"in":["2001:db8::/32"]}}`,
		`{"request.ip":{"in":["192.0.2.0/24"]},"request_ip":{}}`:                       `{"request_ip":{"in":["192.0.2.0/24"]}}`,
		`{"request_ip":{"not_in":["192.0.2.0/24"],"in":[]}}`:                           `{"request_ip":{"not_in":["192.0.2.0/24"]}}`,
		`{"request_ip":{"in":["192.0.2.1","odd"]}}`:                                    `{"request_ip":{"in":["192.0.2.1","odd"]}}`,
		`{"request_ip":["odd"]}`:                                                       `{"request_ip":["odd"]}`,
		`{"request_ip":{"in":[],"future":[]},"country":{}}`:                            `{"request_ip":{"future":[]},"country":{}}`,
		`{"country":{"in":["DE"]}}`:                                                    `{"country":{"in":["DE"]}}`,
	} {
		var c cftunnel.TokenCondition
		require.NoError(t, json.Unmarshal([]byte(given), &c), given)
		encoded, err := json.Marshal(c)
		require.NoError(t, err)
		assert.JSONEq(t, want, string(encoded), given)
	}
	var c cftunnel.TokenCondition
	require.Error(t, json.Unmarshal([]byte(`["odd"]`), &c))
}

// A member that cannot be decoded is kept. A change of it is an error.
func TestAPITokensModify_UndecodableMembers(t *testing.T) {
	t.Parallel()
	const token = `{"id":"ed17574386854bf78a67040be0a770b0","name":"odd","status":"active","condition":{"request_ip":{"in":["odd"]}},"policies":[
		{"effect":7,"permission_groups":[{"id":"c07321b023e944ff818fec44d8203567"}],"resources":{"com.cloudflare.api.account.0123456789abcdef0123456789abcdef":"*"}}
	]}`
	client, bodies := serveToken(t, token)
	rename := func(p *tokenUpdate) error {
		p.Name = "renamed"
		return nil
	}
	_, err := client.UserTokens.Modify(t.Context(), tokenID, rename)
	require.NoError(t, err)
	assert.Contains(t, (*bodies)[0], `"effect":7`)
	assert.Contains(t, (*bodies)[0], `"in":["odd"]`)
	for name, modify := range map[string]func(*tokenUpdate){
		"effect": func(p *tokenUpdate) { p.Policies[0].Effect = cftunnel.PolicyEffectAllow },
		"addresses": func(p *tokenUpdate) {
			p.Condition.AllowedIPs = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		},
	} {
		client, bodies := serveToken(t, token)
		change := func(p *tokenUpdate) error {
			modify(p)
			return nil
		}
		_, err := client.UserTokens.Modify(t.Context(), tokenID, change)
		var argument *cftunnel.InvalidArgumentError
		require.ErrorAs(t, err, &argument, name)
		assert.Empty(t, *bodies)
	}
}
