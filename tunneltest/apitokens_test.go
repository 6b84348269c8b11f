package tunneltest_test

import (
	"encoding/json"
	"fmt"
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

const (
	userTokens  = "/user/tokens"
	tunnelWrite = "c07321b023e944ff818fec44d8203567"
	tunnelRead  = "efea2ab8357b47888938f101ae5e053f"
	dnsWrite    = "4755a26eedb94da69e1066d98aa820be"
	zoneID      = "023e105f4ecef8ad9ca31a8372d0c353"
	noTokenID   = "ed17574386854bf78a67040be0a770b0"
)

// tokenFields is an API token in a response.
type tokenFields struct {
	ID, Name, Status, Value string
	IssuedOn                time.Time                  `json:"issued_on"`
	ModifiedOn              time.Time                  `json:"modified_on"`
	LastUsedOn              *time.Time                 `json:"last_used_on"`
	ExpiresOn               *time.Time                 `json:"expires_on"`
	Condition               map[string]json.RawMessage `json:"condition"`
	Policies                []struct {
		ID, Effect string
		Groups     []struct {
			ID, Name string
			Meta     json.RawMessage
		} `json:"permission_groups"`
		Resources map[string]json.RawMessage
	}
}

func decoded[T any](t testing.TB, raw json.RawMessage) (value T) {
	t.Helper()
	require.NoError(t, json.Unmarshal(raw, &value), "%s", raw)
	return value
}

func (r response) token() tokenFields {
	r.t.Helper()
	return decoded[tokenFields](r.t, r.result())
}

// policyJSON is a policy that allows groups on a resource.
func policyJSON(resource string, groups ...string) string {
	return fmt.Sprintf(`{"effect":"allow","permission_groups":[{"id":"%s"}],"resources":{%q:"*"}}`,
		strings.Join(groups, `"},{"id":"`), resource)
}

func (f *fake) accountResource() string { return "com.cloudflare.api.account." + f.AccountID() }

func (f *fake) createToken(path, body string) tokenFields {
	f.t.Helper()
	return f.send(http.MethodPost, path, body).token()
}

func (f *fake) works(secret cftunnel.Secret) bool {
	f.t.Helper()
	r := f.sendAs(secret, http.MethodGet, f.accountPath("/cfd_tunnel"), "")
	return r.status == http.StatusOK
}

func TestAPITokens_LifeCycle(t *testing.T) {
	t.Parallel()
	for name, owner := range map[string]struct {
		path   func(*fake) string
		prefix string
	}{
		"user":    {func(*fake) string { return userTokens }, "cfut_"},
		"account": {func(f *fake) string { return f.accountPath("/tokens") }, "cfat_"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock(noon)
			f := start(t, tunneltest.WithClock(c.Now))
			path := owner.path(f)
			policies := `"policies":[` + policyJSON(f.accountResource(), tunnelWrite) + `]`
			created := f.createToken(path,
				`{"name":"ci",`+policies+`,"expires_on":"2026-10-06T00:00:00Z"}`)
			assert.Regexp(t, `^[0-9a-f]{32}$`, created.ID)
			assert.Regexp(t, `^`+owner.prefix+`[0-9a-zA-Z]{40,75}$`, created.Value)
			assert.Equal(t, "active", created.Status)
			assert.Equal(t, noon, created.IssuedOn)
			require.Len(t, created.Policies, 1)
			assert.Equal(t, "Cloudflare Tunnel Write", created.Policies[0].Groups[0].Name)

			secret := cftunnel.NewSecret(created.Value)
			assert.True(t, f.works(secret))
			c.advance(time.Minute)
			got := f.fetch(path + "/" + created.ID).token()
			assert.Empty(t, got.Value, "no other response has the secret")
			assert.Equal(t, noon, got.LastUsedOn.UTC())

			updated := f.send(http.MethodPut, path+"/"+created.ID,
				`{"name":"renamed",`+policies+`}`).token()
			assert.Equal(t, "renamed", updated.Name)
			assert.Nil(t, updated.ExpiresOn, "missing fields are removed")
			assert.Equal(t, noon.Add(time.Minute), updated.ModifiedOn)
			assert.True(t, f.works(secret), "the secret does not change")

			rolled := cftunnel.NewSecret(decoded[string](t,
				f.send(http.MethodPut, path+"/"+created.ID+"/value", "{}").result()))
			assert.True(t, strings.HasPrefix(rolled.Reveal(), owner.prefix))
			f.sendAs(secret, http.MethodGet, f.accountPath("/cfd_tunnel"), "").
				assertError(http.StatusUnauthorized, 1000)
			assert.True(t, f.works(rolled))
			assert.Equal(t, created.ID, f.fetch(path+"/"+created.ID).token().ID)

			assert.Equal(t, created.ID,
				f.send(http.MethodDelete, path+"/"+created.ID, "").stringField("id"))
			f.sendAs(rolled, http.MethodGet, f.accountPath("/cfd_tunnel"), "").
				assertError(http.StatusUnauthorized, 1000)
			for _, method := range []string{http.MethodGet, http.MethodDelete} {
				assert.Equal(t, http.StatusNotFound, f.send(method, path+"/"+created.ID, "").status)
			}
			assert.Equal(t, http.StatusNotFound,
				f.send(http.MethodPut, path+"/"+created.ID, `{"name":"n",`+policies+`}`).status)
			assert.Equal(t, http.StatusNotFound,
				f.send(http.MethodPut, path+"/"+created.ID+"/value", "{}").status)
		})
	}
}

func TestAPITokens_UserAndAccountTokensAreSeparate(t *testing.T) {
	t.Parallel()
	f := start(t)
	body := `{"name":"same","policies":[` + policyJSON(f.accountResource(), tunnelWrite) + `]}`
	ofUser := f.createToken(userTokens, body)
	ofAccount := f.createToken(f.accountPath("/tokens"), body)
	assert.NotEqual(t, ofUser.ID, ofAccount.ID)
	assert.Equal(t, http.StatusNotFound, f.fetch(userTokens+"/"+ofAccount.ID).status)
	assert.Equal(t, http.StatusNotFound, f.fetch(f.accountPath("/tokens/"+ofUser.ID)).status)
	other := "/accounts/" + strings.Repeat("a", 32) + "/tokens"
	assert.Equal(t, http.StatusNotFound, f.fetch(other+"/"+ofAccount.ID).status)
	assert.Empty(t, decoded[[]tokenFields](t, f.fetch(other).result()))
}

func TestAPITokens_List(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	path := f.accountPath("/tokens")
	for i := range 60 {
		f.AddToken(tunneltest.Token{Owner: cftunnel.TokenOwnerAccount,
			Name: fmt.Sprintf("token-%02d", i), ExpiresOn: noon.Add(time.Hour)})
		c.advance(time.Second)
	}
	f.AddToken(tunneltest.Token{Owner: cftunnel.TokenOwnerAccount, Name: "lasting"})
	list := func(query string) (names []string, info map[string]int) {
		r := f.fetch(path + query)
		for _, token := range decoded[[]tokenFields](t, r.result()) {
			names = append(names, token.Name)
		}
		return names, decoded[map[string]int](t, r.envelope().ResultInfo)
	}
	names, info := list("")
	assert.Len(t, names, 20)
	assert.Equal(t, []string{"lasting", "token-59"}, names[:2], "newest first")
	assert.Equal(t, map[string]int{"count": 20, "page": 1, "per_page": 20, "total_count": 61}, info)
	names, info = list("?per_page=500&page=2")
	assert.Len(t, names, 11)
	assert.Equal(t, map[string]int{"count": 11, "page": 2, "per_page": 50, "total_count": 61}, info)
	names, _ = list("?per_page=1&direction=asc")
	assert.Equal(t, []string{"token-00", "token-01", "token-02", "token-03", "token-04"}, names)
	names, _ = list("?page=1000")
	assert.Empty(t, names)
	f.fetch(path+"?page=0").assertError(http.StatusBadRequest, 400)

	c.advance(time.Hour)
	names, _ = list("")
	assert.Equal(t, []string{"lasting"}, names)
	_, info = list("?include_expired=true")
	assert.Equal(t, 61, info["total_count"])
}

func TestAPITokens_Policies(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	account := strings.ToUpper(f.AccountID())
	another := strings.Repeat("b", 32)
	const allow, deny = cftunnel.PolicyEffectAllow, cftunnel.PolicyEffectDeny
	warpRead := cftunnel.PermissionGroup{ID: "1cd960c063a0448481343372c963d8c7"}
	read, write := cftunnel.PermissionCloudflareTunnelRead, cftunnel.PermissionCloudflareTunnelWrite
	denying := func(p cftunnel.TokenPolicy) cftunnel.TokenPolicy {
		p.Effect = deny
		return p
	}
	for name, test := range map[string]struct {
		policies                             []cftunnel.TokenPolicy
		read, write, warp, other, userTokens bool
	}{
		"everything":           {nil, true, true, true, true, true},
		"nothing":              {[]cftunnel.TokenPolicy{}, false, false, false, false, false},
		"read":                 {[]cftunnel.TokenPolicy{cftunnel.AccountPolicy(account, read)}, true, false, false, false, false},
		"no effect":            {[]cftunnel.TokenPolicy{{PermissionGroups: []cftunnel.PermissionGroup{write}, Resources: cftunnel.TokenResources{"com.cloudflare.api.account." + account: {}}}}, true, true, false, false, false},
		"write":                {[]cftunnel.TokenPolicy{cftunnel.AccountPolicy(account, write)}, true, true, false, false, false},
		"every account":        {[]cftunnel.TokenPolicy{cftunnel.AccountPolicy("*", write)}, true, true, false, true, false},
		"another account":      {[]cftunnel.TokenPolicy{cftunnel.AccountPolicy(another, write)}, false, false, false, true, false},
		"two":                  {[]cftunnel.TokenPolicy{cftunnel.AccountPolicy(account, read), cftunnel.AccountPolicy(account, warpRead)}, true, false, true, false, false},
		"denied":               {[]cftunnel.TokenPolicy{denying(cftunnel.AccountPolicy(account, write)), cftunnel.AccountPolicy("*", write)}, false, false, false, true, false},
		"other account denied": {[]cftunnel.TokenPolicy{cftunnel.AccountPolicy("*", write), denying(cftunnel.AccountPolicy(another, write))}, true, true, false, false, false},
		"zones":                {[]cftunnel.TokenPolicy{cftunnel.AllZonesPolicy(account, cftunnel.PermissionDNSWrite)}, false, false, false, false, false},
		"group on zones":       {[]cftunnel.TokenPolicy{cftunnel.AllZonesPolicy(account, write)}, false, false, false, false, false},
		"an unknown group":     {[]cftunnel.TokenPolicy{cftunnel.AccountPolicy(account, cftunnel.PermissionGroup{ID: noTokenID})}, false, false, false, false, false},
		"an unknown kind":      {[]cftunnel.TokenPolicy{{PermissionGroups: []cftunnel.PermissionGroup{write}, Resources: cftunnel.TokenResources{"com.cloudflare.new.thing": {}}}}, false, false, false, false, false},
		"nothing in account":   {[]cftunnel.TokenPolicy{{PermissionGroups: []cftunnel.PermissionGroup{write}, Resources: cftunnel.TokenResources{"com.cloudflare.api.account." + account: {Within: map[string]string{}}}}}, false, false, false, false, false},
		"tokens":               {[]cftunnel.TokenPolicy{{Effect: allow, PermissionGroups: []cftunnel.PermissionGroup{{ID: "0cc3a61731504c89b99ec1be78b77aa0"}}, Resources: cftunnel.TokenResources{"com.cloudflare.api.user." + zoneID: {}}}}, false, false, false, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{f.Server, t, f.base, f.http}
			secret := f.AddToken(tunneltest.Token{Policies: test.policies})
			ok := func(method, path, body string) bool {
				r := f.sendAs(secret, method, path, body)
				if r.status != http.StatusOK {
					assert.Equal(t, http.StatusForbidden, r.status, path)
				}
				return r.status == http.StatusOK
			}
			tunnel, warp := f.accountPath("/cfd_tunnel/"+id), f.accountPath("/warp_connector")
			assert.Equal(t, test.read, ok(http.MethodGet, tunnel, ""), "read")
			assert.Equal(t, test.write, ok(http.MethodGet, tunnel+"/token", ""),
				"reading a tunnel token needs Write")
			assert.Equal(t, test.write, ok(http.MethodPatch, tunnel, `{"name":"web"}`), "write")
			assert.Equal(t, test.warp, ok(http.MethodGet, warp, ""), "WARP")
			assert.Equal(t, test.other, ok(http.MethodGet, "/accounts/"+another+"/cfd_tunnel", ""),
				"another account")
			assert.Equal(t, test.userTokens, ok(http.MethodGet, userTokens, ""),
				"the user's tokens")
			verified := f.sendAs(secret, http.MethodGet, userTokens+"/verify", "")
			assert.Equal(t, http.StatusOK, verified.status, "verify needs no permission")
		})
	}
}

func TestAPITokens_AccountTokenInOtherAccount(t *testing.T) {
	t.Parallel()
	f := start(t)
	another := strings.Repeat("c", 32)
	elsewhere := "/accounts/" + another + "/cfd_tunnel"
	secret := f.AddToken(tunneltest.Token{Owner: cftunnel.TokenOwnerAccount})
	assert.True(t, f.works(secret))
	f.sendAs(secret, http.MethodGet, elsewhere, "").assertError(http.StatusForbidden, 10000)
	f.sendAs(secret, http.MethodPost, elsewhere, `{"name":"web"}`).
		assertError(http.StatusForbidden, 10000)
	f.sendAs(secret, http.MethodGet, userTokens, "").assertError(http.StatusForbidden, 9109)
	f.sendAs(secret, http.MethodGet, "/accounts/"+another+"/tokens", "").
		assertError(http.StatusForbidden, 9109)

	theirs := f.AddToken(tunneltest.Token{Owner: cftunnel.TokenOwnerAccount, AccountID: another})
	assert.False(t, f.works(theirs))
	assert.Equal(t, http.StatusOK, f.sendAs(theirs, http.MethodGet, elsewhere, "").status)

	tooMuch := f.AddToken(tunneltest.Token{
		Owner: cftunnel.TokenOwnerAccount, Policies: []cftunnel.TokenPolicy{cftunnel.AccountPolicy("*", cftunnel.PermissionCloudflareTunnelWrite)},
	})
	assert.True(t, f.works(tooMuch))
	f.sendAs(tooMuch, http.MethodGet, elsewhere, "").assertError(http.StatusForbidden, 10000)
}

// A token without policies may only use routes that need no permission.
func TestAPITokens_EveryRouteNeedsPermission(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, tunnelToken := f.create("web")
	warp, _ := f.createWARP("warp", true)
	connector := f.connect(tunnelToken)
	secret := f.AddToken(tunneltest.Token{Policies: []cftunnel.TokenPolicy{}})
	values := strings.NewReplacer("{account_id}", f.AccountID(), "{connector_id}", connector,
		"{resource}", "logs", "{token_id}", noTokenID)
	for _, operation := range tunneltest.Operations() {
		method, template, _ := strings.Cut(operation, " ")
		tunnel := id
		if strings.Contains(template, "/warp_connector/") {
			tunnel = warp
		}
		path := strings.ReplaceAll(values.Replace(template), "{tunnel_id}", tunnel)
		r := f.sendAs(secret, method, path, "{}")
		if slices.Contains([]string{"GET /user/tokens/verify"}, operation) {
			assert.Equal(t, http.StatusOK, r.status)
			continue
		}
		if operation == "GET /accounts/{account_id}/tokens/verify" {
			r.assertError(http.StatusUnauthorized, 1000)
			continue
		}
		assert.Equal(t, http.StatusForbidden, r.status, operation)
		assert.False(t, f.lastRequest().Done, operation)
	}
}

func TestAPITokens_InvalidPolicies(t *testing.T) {
	t.Parallel()
	f := start(t)
	mine := f.accountResource()
	other := "com.cloudflare.api.account." + strings.Repeat("d", 32)
	zone := "com.cloudflare.api.account.zone." + zoneID
	const user, account, both = 1, 2, 3
	for name, test := range map[string]struct {
		policy     string
		refusedFor int
	}{
		"an unknown group":              {policyJSON(mine, noTokenID), both},
		"no group":                      {`{"effect":"allow","permission_groups":[],"resources":{"` + mine + `":"*"}}`, both},
		"no resource":                   {`{"effect":"allow","permission_groups":[{"id":"` + tunnelWrite + `"}],"resources":{}}`, both},
		"no effect":                     {`{"permission_groups":[{"id":"` + tunnelWrite + `"}],"resources":{"` + mine + `":"*"}}`, both},
		"a group of zones on accounts":  {policyJSON(mine, dnsWrite), both},
		"a group of accounts on zones":  {policyJSON(zone, tunnelWrite), both},
		"groups of both on an account":  {policyJSON(mine, tunnelWrite, dnsWrite), both},
		"an invalid resource name":      {policyJSON("account", tunnelWrite), both},
		"an invalid account ID":         {policyJSON("com.cloudflare.api.account.mine", tunnelWrite), both},
		"an empty account ID":           {policyJSON("com.cloudflare.api.account.", tunnelWrite), both},
		"a value other than all":        {`{"effect":"allow","permission_groups":[{"id":"` + tunnelWrite + `"}],"resources":{"` + mine + `":"all"}}`, both},
		"every account":                 {policyJSON("com.cloudflare.api.account.*", tunnelWrite), account},
		"another account":               {policyJSON(other, tunnelWrite), account},
		"every zone":                    {policyJSON("com.cloudflare.api.account.zone.*", dnsWrite), account},
		"every zone of another account": {`{"effect":"allow","permission_groups":[{"id":"` + dnsWrite + `"}],"resources":{"` + other + `":{"com.cloudflare.api.account.zone.*":"*"}}}`, account},
		"tokens of the user":            {policyJSON("com.cloudflare.api.user."+zoneID, "0cc3a61731504c89b99ec1be78b77aa0"), account},
		"a group of the dashboard":      {policyJSON("com.cloudflare.api.user."+zoneID, "686d18d5ac6c441c867cbf6771e58a0a"), user},
	} {
		for _, path := range []string{userTokens, f.accountPath("/tokens")} {
			r := f.send(http.MethodPost, path, `{"name":"n","policies":[`+test.policy+`]}`)
			if test.refusedFor == both || test.refusedFor == account && path != userTokens ||
				test.refusedFor == user && path == userTokens {
				r.assertError(http.StatusBadRequest, 1001)
				assert.False(t, f.lastRequest().Done, name)
			} else if test.refusedFor == account {
				assert.NotEmpty(t, r.token().Value, name)
			}
		}
	}
}

func TestAPITokens_ValidPolicies(t *testing.T) {
	t.Parallel()
	f := start(t)
	mine, zone := f.accountResource(), "com.cloudflare.api.account.zone."
	for name, resources := range map[string]string{
		"two kinds in one map":   `{"` + zone + zoneID + `":"*","` + mine + `":{"` + zone + `*":"*"}}`,
		"a kind that is unknown": `{"com.cloudflare.api.account.worker.1":"*"}`,
		"a form that is unknown": `{"com.cloudflare.new":["a",{"b":1}]}`,
	} {
		policy := `{"effect":"allow","permission_groups":[{"id":"` + dnsWrite +
			`","meta":{"key":"k","value":"v"}}],"resources":` + resources + `}`
		got := f.createToken(userTokens, `{"name":"n","policies":[`+policy+`]}`).Policies[0]
		assert.JSONEq(t, resources, asJSON(t, got.Resources), name)
		assert.JSONEq(t, `{"key":"k","value":"v"}`, string(got.Groups[0].Meta))
		assert.Equal(t, "DNS Write", got.Groups[0].Name)
	}
	nothing := f.createToken(userTokens, `{"name":"n","policies":[]}`)
	assert.Empty(t, nothing.Policies)
	assert.False(t, f.works(cftunnel.NewSecret(nothing.Value)))

	policies := policyJSON(mine, tunnelWrite, tunnelRead) + `,` + policyJSON(zone+"*", dnsWrite)
	two := f.createToken(userTokens, `{"name":"n","policies":[`+policies+`]}`)
	assert.Equal(t, dnsWrite, two.Policies[0].Groups[0].ID, "the order changes")
	assert.Equal(t, tunnelRead, two.Policies[1].Groups[0].ID)
}

func TestAPITokens_CreatorLacksPermission(t *testing.T) {
	t.Parallel()
	f := start(t)
	mine := f.AccountID()
	tokens := cftunnel.PermissionGroup{ID: "5bc3f8b21c554832afc660159ab75fa4"}
	policies := []cftunnel.TokenPolicy{
		cftunnel.AccountPolicy(mine, tokens, cftunnel.PermissionCloudflareTunnelWrite),
		cftunnel.ZonePolicy(zoneID, cftunnel.PermissionDNSWrite),
	}
	creator := f.AddToken(tunneltest.Token{Owner: cftunnel.TokenOwnerAccount, Policies: policies})
	zone := "com.cloudflare.api.account.zone."
	for _, test := range []struct {
		policy string
		given  bool
	}{
		{policyJSON(f.accountResource(), tunnelWrite), true},
		{policyJSON(f.accountResource(), tunnelRead), true}, // Write includes Read
		{policyJSON(f.accountResource(), "a7030c9c98d544e092d8b099fabb1f06"), false},
		{policyJSON(zone+zoneID, dnsWrite), true},
		{policyJSON(zone+noTokenID, dnsWrite), false},
		{`{"effect":"allow","permission_groups":[{"id":"` + dnsWrite + `"}],"resources":{"` + f.accountResource() + `":{"` + zone + `*":"*"}}}`, false},
		{`{"effect":"allow","permission_groups":[{"id":"` + dnsWrite + `"}],"resources":{"` + f.accountResource() + `":{"` + zone + zoneID + `":"*"}}}`, true},
	} {
		r := f.sendAs(creator, http.MethodPost, f.accountPath("/tokens"),
			`{"name":"n","policies":[`+test.policy+`]}`)
		if test.given {
			r.result()
		} else {
			r.assertError(http.StatusBadRequest, 1001)
		}
	}
}

// A permission that is denied for one zone cannot be given for all zones.
func TestAPITokens_CreatorIsDeniedPermission(t *testing.T) {
	t.Parallel()
	f := start(t)
	denied := cftunnel.ZonePolicy(zoneID, cftunnel.PermissionDNSWrite)
	denied.Effect = cftunnel.PolicyEffectDeny
	tokens := cftunnel.PermissionGroup{ID: "5bc3f8b21c554832afc660159ab75fa4"}
	policies := []cftunnel.TokenPolicy{
		cftunnel.AccountPolicy(f.AccountID(), tokens),
		cftunnel.AllZonesPolicy(f.AccountID(), cftunnel.PermissionDNSWrite), denied,
	}
	creator := f.AddToken(tunneltest.Token{Owner: cftunnel.TokenOwnerAccount, Policies: policies})
	give := func(resources string) response {
		policy := `{"effect":"allow","permission_groups":[{"id":"` + dnsWrite + `"}],"resources":` +
			resources + `}`
		return f.sendAs(creator, http.MethodPost, f.accountPath("/tokens"),
			`{"name":"n","policies":[`+policy+`]}`)
	}
	const zone = "com.cloudflare.api.account.zone."
	give(`{"`+f.accountResource()+`":{"`+zone+`*":"*"}}`).assertError(http.StatusBadRequest, 1001)
	give(`{"`+zone+zoneID+`":"*"}`).assertError(http.StatusBadRequest, 1001)
	give(`{"` + zone + noTokenID + `":"*"}`).result()
}

// An update keeps a group that only the dashboard can give.
func TestAPITokens_UpdateKeepsDashboardGroup(t *testing.T) {
	t.Parallel()
	f := start(t)
	const tokensWrite = "686d18d5ac6c441c867cbf6771e58a0a"
	secret := f.AddToken(tunneltest.Token{Policies: []cftunnel.TokenPolicy{{
		PermissionGroups: []cftunnel.PermissionGroup{{ID: tokensWrite}}, Effect: cftunnel.PolicyEffectAllow,
		Resources: cftunnel.TokenResources{"com.cloudflare.api.user." + zoneID: {}},
	}}})
	id := f.sendAs(secret, http.MethodGet, userTokens+"/verify", "").stringField("id")
	body := `{"name":"renamed","policies":[` +
		policyJSON("com.cloudflare.api.user."+zoneID, tokensWrite) + `]}`
	assert.Equal(t, "renamed", f.send(http.MethodPut, userTokens+"/"+id, body).token().Name)
	f.send(http.MethodPost, userTokens, body).assertError(http.StatusBadRequest, 1001)
}

func TestAPITokens_InvalidBodies(t *testing.T) {
	t.Parallel()
	f := start(t)
	for name, body := range map[string]string{
		"no JSON":               `name`,
		"null":                  `null`,
		"a list":                `[]`,
		"no name":               `{"policies":[]}`,
		"a blank name":          `{"name":" ","policies":[]}`,
		"a name of 121":         `{"name":"` + strings.Repeat("é", 121) + `","policies":[]}`,
		"no policies":           `{"name":"n"}`,
		"a fraction":            `{"name":"n","policies":[],"expires_on":"2027-01-01T00:00:00.5Z"}`,
		"no time":               `{"name":"n","policies":[],"not_before":"tomorrow"}`,
		"an end before begin":   `{"name":"n","policies":[],"not_before":"2027-01-02T00:00:00Z","expires_on":"2027-01-01T00:00:00Z"}`,
		"an expired status":     `{"name":"n","policies":[],"status":"expired"}`,
		"a lone address":        `{"name":"n","policies":[],"condition":{"request_ip":{"in":["192.0.2.1"]}}}`,
		"every address":         `{"name":"n","policies":[],"condition":{"request_ip":{"in":["0.0.0.0/0"]}}}`,
		"a condition of text":   `{"name":"n","policies":[],"condition":"192.0.2.1/32"}`,
		"addresses in a string": `{"name":"n","policies":[],"condition":{"request_ip":{"in":"192.0.2.1/32"}}}`,
	} {
		r := f.send(http.MethodPost, userTokens, body)
		r.assertError(http.StatusBadRequest, 400)
		assert.False(t, f.lastRequest().Done, name)
	}
	assert.NotEmpty(t,
		f.createToken(userTokens, `{"name":"`+strings.Repeat("é", 120)+`","policies":[]}`).Value)
}

func TestAPITokens_InvalidIDs(t *testing.T) {
	t.Parallel()
	f := start(t)
	body := `{"name":"n","policies":[]}`
	for _, path := range []string{userTokens, f.accountPath("/tokens")} {
		assert.Equal(t, http.StatusOK, f.fetch(path+"/").status, "an empty ID means the list")
		f.send(http.MethodPut, path+"/", body).assertError(http.StatusMethodNotAllowed, 7001)
		f.send(http.MethodDelete, path+"/", "").assertError(http.StatusMethodNotAllowed, 7001)
		f.send(http.MethodPut, path+"//value", "{}").assertError(http.StatusNotFound, 7003)
		f.send(http.MethodPut, path+"/"+noTokenID, body).assertError(http.StatusNotFound, 1003)
	}
	f.fetch(userTokens+"/odd").assertError(http.StatusBadRequest, 400)
	f.fetch(f.accountPath("/tokens/odd")).assertError(http.StatusNotFound, 7003)
	f.send(http.MethodDelete, userTokens+"/verify", "").assertError(http.StatusBadRequest, 400)
}

func TestAPITokens_Status(t *testing.T) {
	t.Parallel()
	f := start(t)
	policies := `"policies":[` + policyJSON(f.accountResource(), tunnelWrite) + `]`
	created := f.createToken(userTokens, `{"name":"n",`+policies+`}`)
	secret, path := cftunnel.NewSecret(created.Value), userTokens+"/"+created.ID
	assert.Equal(t, "disabled",
		f.send(http.MethodPut, path, `{"name":"n","status":"disabled",`+policies+`}`).
			token().Status)
	f.sendAs(secret, http.MethodGet, f.accountPath("/cfd_tunnel"), "").
		assertError(http.StatusForbidden, 9109)
	assert.Equal(t, "active",
		f.send(http.MethodPut, path, `{"name":"n","status":"active",`+policies+`}`).token().Status)
	assert.True(t, f.works(secret))

	f.AddToken(tunneltest.Token{Text: secret, Status: cftunnel.TokenStatusRevoked})
	assert.False(t, f.works(secret))
	assert.Equal(t, `"revoked (exposed)"`,
		string(f.sendAs(secret, http.MethodGet, userTokens+"/verify", "").fields()["status"]))
	id := f.sendAs(secret, http.MethodGet, userTokens+"/verify", "").stringField("id")
	assert.Equal(t, http.StatusBadRequest,
		f.send(http.MethodPut, userTokens+"/"+id, `{"name":"n",`+policies+`}`).status)
}

func TestAPITokens_Condition(t *testing.T) {
	t.Parallel()
	f := start(t)
	policies := `"policies":[` + policyJSON(f.accountResource(), tunnelWrite) + `]`
	for name, test := range map[string]struct {
		condition        string
		allowed, refused []string
	}{
		"none":            {`null`, []string{"192.0.2.1", "2001:db8::1"}, nil},
		"allowed":         {`{"request_ip":{"in":["192.0.2.0/24","2001:db8::/32"]}}`, []string{"192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"}, []string{"198.51.100.1", "2001:db9::1"}},
		"denied":          {`{"request_ip":{"not_in":["192.0.2.0/24"]}}`, []string{"198.51.100.1"}, []string{"192.0.2.1"}},
		"both":            {`{"request_ip":{"in":["192.0.2.0/24"],"not_in":["192.0.2.128/25"]}}`, []string{"192.0.2.1"}, []string{"192.0.2.129", "198.51.100.1"}},
		"the older name":  {`{"request.ip":{"in":["192.0.2.0/24"]}}`, []string{"192.0.2.1"}, []string{"198.51.100.1"}},
		"empty":           {`{}`, nil, []string{"192.0.2.1"}},
		"no addresses":    {`{"request_ip":{}}`, nil, []string{"192.0.2.1"}},
		"an empty list":   {`{"request_ip":{"in":[]}}`, nil, []string{"192.0.2.1"}},
		"an empty list 2": {`{"request_ip":{"in":[],"not_in":["198.51.100.0/24"]}}`, nil, []string{"192.0.2.1", "198.51.100.1"}},
	} {
		created := f.createToken(userTokens,
			`{"name":"n",`+policies+`,"condition":`+test.condition+`}`)
		assert.NotContains(t, created.Condition, "request.ip")
		secret := cftunnel.NewSecret(created.Value)
		for _, addr := range test.allowed {
			f.SetRemoteAddr(netip.MustParseAddr(addr))
			assert.True(t, f.works(secret), "%s: %s", name, addr)
		}
		for _, addr := range test.refused {
			f.SetRemoteAddr(netip.MustParseAddr(addr))
			r := f.sendAs(secret, http.MethodGet, f.accountPath("/cfd_tunnel"), "")
			r.assertError(http.StatusForbidden, 9109)
			assert.Contains(t, string(r.body),
				"Cannot use the access token from location: "+addr, name)
			verified := f.sendAs(secret, http.MethodGet, userTokens+"/verify", "")
			assert.Equal(t, http.StatusOK, verified.status, "verify ignores the condition")
		}
		f.SetRemoteAddr(netip.Addr{})
	}

	loopback := f.AddToken(tunneltest.Token{Condition: &cftunnel.TokenCondition{AllowedIPs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	assert.True(t, f.works(loopback), "the address of the connection")
	f.SetRemoteAddr(netip.MustParseAddr("192.0.2.1"))
	assert.False(t, f.works(loopback))
	inMemory := startInBubble(t)
	assert.True(t, inMemory.works(inMemory.AddToken(tunneltest.Token{Condition: &cftunnel.TokenCondition{AllowedIPs: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}})))
}

func TestAPITokens_PermissionGroups(t *testing.T) {
	t.Parallel()
	f := start(t)
	groups := func(query string) (names []string) {
		for _, path := range []string{userTokens, f.accountPath("/tokens")} {
			names = nil
			for _, group := range decoded[[]struct {
				Name   string
				Scopes []string
			}](t, f.fetch(path+"/permission_groups"+query).result()) {
				names = append(names, group.Name+" of "+strings.Join(group.Scopes, " and "))
			}
		}
		return names
	}
	assert.Greater(t, len(groups("")), 20)
	assert.Equal(t, []string{"DNS Write of com.cloudflare.api.account.zone"}, groups("?name=DNS+Write"))
	assert.Empty(t, groups("?name=DNS"), "the filter compares the whole name")
	assert.Len(t, groups("?name=Access:%20Apps%20and%20Policies%20Write"), 2)
	assert.Len(t, groups("?name=Access:%20Apps%20and%20Policies%20Write&scope=com.cloudflare.api.account"), 1)
	assert.Len(t, groups("?scope=com.cloudflare.api.user"), 2)
}

// A client that rolls its own token must use the new secret.
func TestAPITokens_RollOwnToken(t *testing.T) {
	t.Parallel()
	f := start(t)
	id := f.fetch(userTokens + "/verify").stringField("id")
	secret := decoded[string](t, f.send(http.MethodPut, userTokens+"/"+id+"/value", "{}").result())
	f.fetch(userTokens).assertError(http.StatusUnauthorized, 1000)
	assert.True(t, f.works(cftunnel.NewSecret(secret)))
}
