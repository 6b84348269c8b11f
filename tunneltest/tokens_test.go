package tunneltest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// sendAs is like send, with another API token.
func (f *fake) sendAs(token cftunnel.Secret, method, path, body string) response {
	f.t.Helper()
	r, err := f.tryWith(method, path, body,
		http.Header{"Authorization": {"Bearer " + token.Reveal()}})
	require.NoError(f.t, err)
	return r
}

// clientAs is like client, with another API token.
func (f *fake) clientAs(token cftunnel.Secret) *cftunnel.Client {
	f.t.Helper()
	return f.client(cftunnel.WithAPIToken(token.Reveal()))
}

func TestAddToken(t *testing.T) {
	t.Parallel()
	f := start(t)
	ofUser := f.AddToken(tunneltest.Token{})
	ofAccount := f.AddToken(tunneltest.Token{Owner: cftunnel.TokenOwnerAccount})
	given := cftunnel.NewSecret(strings.Repeat("a", 40))
	assert.Equal(t, given, f.AddToken(tunneltest.Token{Text: given}))
	assert.True(t, strings.HasPrefix(ofUser.Reveal(), "cfut_"))
	assert.True(t, strings.HasPrefix(ofAccount.Reveal(), "cfat_"))
	assert.NotEqual(t, ofUser, f.AddToken(tunneltest.Token{}))
	for _, token := range []cftunnel.Secret{ofUser, ofAccount, given, f.APIToken()} {
		f.sendAs(token, http.MethodGet, f.accountPath("/cfd_tunnel"), "").result()
		_, err := f.clientAs(token).Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
		require.NoError(t, err)
	}
}

func TestAddToken_SameText(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.fetch(f.accountPath("/cfd_tunnel")).result()
	f.AddToken(tunneltest.Token{Text: f.APIToken(), Status: cftunnel.TokenStatusDisabled})
	refused := f.fetch(f.accountPath("/cfd_tunnel"))
	assert.Equal(t, "false", string(refused.envelope().Success))
	assert.NotEqual(t, http.StatusOK, refused.status)
	f.AddToken(tunneltest.Token{Text: f.APIToken()})
	f.fetch(f.accountPath("/cfd_tunnel")).result()
}

// Whether the real status is 401 or 403 is not known.
func TestAddToken_Unusable(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	id, tunnelToken := f.create("web")
	for name, token := range map[string]tunneltest.Token{
		"disabled":      {Status: cftunnel.TokenStatusDisabled},
		"expired":       {Status: cftunnel.TokenStatusExpired},
		"past expiry":   {ExpiresOn: noon},
		"not yet valid": {NotBefore: noon.Add(time.Second)},
		"of an account": {Owner: cftunnel.TokenOwnerAccount, Status: cftunnel.TokenStatusDisabled},
		"expired after it was disabled": {
			Status:    cftunnel.TokenStatusDisabled,
			NotBefore: noon.Add(-time.Hour), ExpiresOn: noon.Add(-time.Minute),
		},
	} {
		text := f.AddToken(token)
		for _, r := range []struct{ method, path, body string }{
			{http.MethodGet, "/cfd_tunnel", ""},
			{http.MethodGet, "/cfd_tunnel/" + id, ""},
			{http.MethodGet, "/cfd_tunnel/" + id + "/token", ""},
			{http.MethodPost, "/cfd_tunnel", `{"name":"other"}`},
			{http.MethodDelete, "/cfd_tunnel/" + id, ""},
			{http.MethodGet, "/warp_connector", ""},
			{http.MethodGet, "/tunnels", ""},
		} {
			refused := f.sendAs(text, r.method, f.accountPath(r.path), r.body)
			assert.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, refused.status, "%s: %s %s", name, r.method, r.path)
			assert.Contains(t, []string{"[10000]", "[9109]"}, asJSON(t, refused.codes()), name)
			assert.Equal(t, "false", string(refused.envelope().Success))
			assert.NotContains(t, string(refused.body), tunnelToken.Reveal())
			assert.False(t, f.lastRequest().Done)
		}
	}
	assert.Equal(t, []string{"web"}, f.names("/cfd_tunnel"))
	assert.False(t, f.get(id).IsDeleted())
}

// codes returns the error codes of a response.
func (r response) codes() []int {
	r.t.Helper()
	var errors []struct{ Code int }
	require.NoError(r.t, json.Unmarshal(r.envelope().Errors, &errors))
	codes := []int{}
	for _, e := range errors {
		codes = append(codes, e.Code)
	}
	return codes
}

func TestAddToken_NotBeforeAndExpiresOn(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	token := f.AddToken(tunneltest.Token{NotBefore: noon.Add(time.Hour),
		ExpiresOn: noon.Add(2 * time.Hour)})
	works := func() bool {
		t.Helper()
		r := f.sendAs(token, http.MethodGet, f.accountPath("/cfd_tunnel"), "")
		return r.status == http.StatusOK
	}
	assert.False(t, works())
	c.advance(time.Hour - time.Nanosecond)
	assert.False(t, works())
	c.advance(time.Nanosecond)
	assert.True(t, works(), "at NotBefore")
	c.advance(time.Hour - time.Nanosecond)
	assert.True(t, works())
	c.advance(time.Nanosecond)
	assert.False(t, works(), "at ExpiresOn")
}

func TestAddToken_ReadOnly(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, tunnelToken := f.create("web")
	connector := f.connect(tunnelToken)
	warp, warpToken := f.createWARP("warp", true)
	warpConnector := f.connect(warpToken)
	token := f.AddToken(tunneltest.Token{ReadOnly: true})
	tunnelPath, warpPath := "/cfd_tunnel/"+id, "/warp_connector/"+warp
	for _, path := range []string{
		"/cfd_tunnel", "/tunnels", "/warp_connector", tunnelPath, tunnelPath + "/connections", tunnelPath + "/connectors/" + connector,
		tunnelPath + "/configurations", warpPath, warpPath + "/connections", warpPath + "/connectors/" + warpConnector,
		warpPath + "/configurations",
	} {
		assert.Equal(t, http.StatusOK,
			f.sendAs(token, http.MethodGet, f.accountPath(path), "").status, path)
	}
	for _, c := range []struct{ method, path, body string }{
		{http.MethodPost, "/cfd_tunnel", `{"name":"other"}`},
		{http.MethodPatch, tunnelPath, `{"name":"other"}`},
		{http.MethodDelete, tunnelPath + "?cascade=true", ""},
		{http.MethodGet, tunnelPath + "/token", ""}, // needs the permission to write
		{http.MethodDelete, tunnelPath + "/connections", ""},
		{http.MethodPut, tunnelPath + "/configurations", catchAll},
		{http.MethodPost, tunnelPath + "/management", `{"resources":["logs"]}`},
		{http.MethodPost, tunnelPath + "/management/logs", ""},
		{http.MethodPost, "/warp_connector", `{"name":"other"}`},
		{http.MethodPatch, warpPath, `{"name":"other"}`},
		{http.MethodDelete, warpPath + "?cascade=true", ""},
		{http.MethodGet, warpPath + "/token", ""},
		{http.MethodPut, warpPath + "/configurations", `{"ha_mode":"disabled"}`},
		{http.MethodPut, warpPath + "/failover", `{"client_id":"` + warpConnector + `"}`},
	} {
		r := f.sendAs(token, c.method, f.accountPath(c.path), c.body)
		r.assertError(http.StatusForbidden, 10000)
		assert.False(t, f.lastRequest().Done, "%s %s", c.method, c.path)
	}
	assert.Equal(t, []string{"web", "warp"}, f.names("/tunnels"))
	assert.Equal(t, []string{connector}, f.connectorIDs(id))
	assert.Equal(t, "0", string(f.configuration(id).fields()["version"]))

	_, err := f.clientAs(token).Tunnels.Token(t.Context(), id)
	require.ErrorIs(t, err, cftunnel.ErrForbidden)
}

func verifyPath(f *fake, owner cftunnel.TokenOwner) string {
	if owner == cftunnel.TokenOwnerAccount {
		return f.accountPath("/tokens/verify")
	}
	return "/user/tokens/verify"
}

func TestTokensVerify(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	const before, after = `"2026-10-05T11:00:00.000000Z"`, `"2026-10-05T13:00:00.000000Z"`
	earlier, later := noon.Add(-time.Hour), noon.Add(time.Hour)
	const (
		active   = cftunnel.TokenStatusActive
		disabled = cftunnel.TokenStatusDisabled
		expired  = cftunnel.TokenStatusExpired
	)
	ids := map[string]bool{}
	for _, owner := range []cftunnel.TokenOwner{cftunnel.TokenOwnerUser, cftunnel.TokenOwnerAccount} {
		for _, token := range []struct {
			name                 string
			token                tunneltest.Token
			status               cftunnel.TokenStatus
			notBefore, expiresOn string // empty if the response does not have it
			isUsable             bool
		}{
			{"active", tunneltest.Token{}, active, "", "", true},
			{"with both times", tunneltest.Token{NotBefore: earlier, ExpiresOn: later}, active, before, after, true},
			{"not yet valid", tunneltest.Token{NotBefore: later}, active, after, "", false},
			{"disabled", tunneltest.Token{Status: disabled, ExpiresOn: later}, disabled, "", after, false},
			{"expired", tunneltest.Token{Status: expired}, expired, "", "", false},
			{"past expiry", tunneltest.Token{ExpiresOn: earlier}, expired, "", before, false},
			{"at expiry", tunneltest.Token{ExpiresOn: noon}, expired, "", `"2026-10-05T12:00:00.000000Z"`, false},
			{"disabled before expiry", tunneltest.Token{Status: disabled, ExpiresOn: earlier}, disabled, "", before, false},
			{"read-only", tunneltest.Token{ReadOnly: true}, active, "", "", true},
		} {
			token.token.Owner = owner
			text := f.AddToken(token.token)
			fields := f.sendAs(text, http.MethodGet, verifyPath(f, owner), "").fields()
			assert.Regexp(t, `^"[0-9a-f]{32}"$`, string(fields["id"]), token.name)
			ids[string(fields["id"])] = true
			assert.Equal(t, asJSON(t, token.status), string(fields["status"]), token.name)
			want := []string{"id", "status"}
			for key, value := range map[string]string{"not_before": token.notBefore, "expires_on": token.expiresOn} {
				if value != "" {
					want = append(want, key)
				}
				assert.Equal(t, value, string(fields[key]), "%s: %s", token.name, key)
			}
			assert.Len(t, fields, len(want), token.name)
			r := f.sendAs(text, http.MethodGet, verifyPath(f, owner), "")
			assert.NotContains(t, string(r.body), text.Reveal())

			verification, err := f.clientAs(text).Tokens.Verify(t.Context())
			require.NoError(t, err, token.name)
			assert.Equal(t, &cftunnel.TokenVerification{
				ID: verification.ID, Status: token.status, Owner: owner,
				NotBefore: token.token.NotBefore, ExpiresOn: token.token.ExpiresOn,
			}, verification, token.name)
			assert.Equal(t, asJSON(t, verification.ID), string(fields["id"]),
				"the ID does not change")
			assert.Equal(t, token.isUsable, verification.Usable(noon), token.name)
		}
	}
	assert.Len(t, ids, 18, "each token has its own ID")
}

// The response has a message, with a code that means an error in other responses.
func TestTokensVerify_Message(t *testing.T) {
	t.Parallel()
	f := start(t)
	r := f.fetch("/user/tokens/verify")
	assert.Equal(t, "[]", string(r.envelope().Errors))
	messages := members[[]json.RawMessage](t, r.envelope().Messages)
	require.Len(t, messages, 1)
	message := members[map[string]json.RawMessage](t, messages[0])
	assert.Equal(t, "10000", string(message["code"]))
	assert.Equal(t, `"This API Token is valid and active"`, string(message["message"]))
	assert.Equal(t, "null", string(message["type"]))

	disabled := f.AddToken(tunneltest.Token{Status: cftunnel.TokenStatusDisabled})
	assert.Equal(t, "[]",
		string(f.sendAs(disabled, http.MethodGet, "/user/tokens/verify", "").envelope().Messages))
}

func TestTokensVerify_Expiry(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	client := f.clientAs(f.AddToken(tunneltest.Token{ExpiresOn: noon.Add(time.Hour)}))
	for _, status := range []cftunnel.TokenStatus{cftunnel.TokenStatusActive, cftunnel.TokenStatusExpired} {
		verification, err := client.Tokens.Verify(t.Context())
		require.NoError(t, err)
		assert.Equal(t, status, verification.Status)
		c.advance(time.Hour)
	}
}

func TestTokensVerify_OtherOwner(t *testing.T) {
	t.Parallel()
	f := start(t)
	ofUser := f.AddToken(tunneltest.Token{})
	ofAccount := f.AddToken(tunneltest.Token{Owner: cftunnel.TokenOwnerAccount})
	unknown := cftunnel.NewSecret(strings.Repeat("a", 40))
	f.sendAs(ofAccount, http.MethodGet, "/user/tokens/verify", "").
		assertError(http.StatusUnauthorized, 1000)
	f.sendAs(ofUser, http.MethodGet, f.accountPath("/tokens/verify"), "").
		assertError(http.StatusUnauthorized, 1000)
	for _, path := range []string{"/user/tokens/verify", f.accountPath("/tokens/verify")} {
		f.sendAs(unknown, http.MethodGet, path, "").assertError(http.StatusUnauthorized, 1000)
		f.sendAs(cftunnel.NewSecret("eyJhIjoiYSJ9"), http.MethodGet, path, "").
			assertError(http.StatusBadRequest, 6003)
		r, err := f.tryWith(http.MethodGet, path, "", http.Header{})
		require.NoError(t, err)
		r.assertError(http.StatusBadRequest, 9106)
		f.sendAs(ofUser, http.MethodPost, path, "").assertError(http.StatusMethodNotAllowed, 10000)
	}
	f.sendAs(ofAccount, http.MethodGet, "/accounts/0123/tokens/verify", "").
		assertError(http.StatusNotFound, 7003)

	_, err := f.clientAs(ofAccount).Tokens.VerifyUser(t.Context())
	require.ErrorIs(t, err, cftunnel.ErrUnauthorized)
	assert.True(t, cftunnel.HasCode(err, 1000))
	_, err = f.clientAs(ofUser).Tokens.VerifyAccount(t.Context())
	require.ErrorIs(t, err, cftunnel.ErrUnauthorized)
}

// Tokens from before 2026 have no prefix that shows the owner.
func TestClient_OwnerOfTokenWithoutPrefix(t *testing.T) {
	t.Parallel()
	f := start(t)
	for letter, owner := range map[string]cftunnel.TokenOwner{"a": cftunnel.TokenOwnerUser, "b": cftunnel.TokenOwnerAccount} {
		token := f.AddToken(tunneltest.Token{Text: cftunnel.NewSecret(strings.Repeat(letter, 40)),
			Owner: owner})
		verification, err := f.clientAs(token).Tokens.Verify(t.Context())
		require.NoError(t, err)
		assert.Equal(t, owner, verification.Owner)
	}
}

func TestAPIToken_Owner(t *testing.T) {
	t.Parallel()
	f := start(t)
	client, err := f.NewClient()
	require.NoError(t, err)
	verification, err := client.Tokens.Verify(t.Context())
	require.NoError(t, err)
	assert.Equal(t, cftunnel.TokenOwnerUser, verification.Owner)
	assert.True(t, verification.Usable(time.Now()))
}

func TestWithQuota_EachToken(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithQuota(2, time.Minute), tunneltest.WithClock(c.Now))
	other := f.AddToken(tunneltest.Token{})
	ask := func(token cftunnel.Secret) response {
		return f.sendAs(token, http.MethodGet, f.accountPath("/cfd_tunnel"), "")
	}
	for range 2 {
		f.assertAllowed()
	}
	f.assertRefusedFor(60)
	for _, ratelimit := range []string{`"default";r=1;t=60`, `"default";r=0;t=60`} {
		r := ask(other)
		r.result()
		assert.Equal(t, ratelimit, r.header.Get("Ratelimit"))
	}
	c.advance(30 * time.Second)
	refused := ask(other)
	assert.Equal(t, http.StatusTooManyRequests, refused.status)
	assert.Equal(t, "60", refused.header.Get("Retry-After"), "it exceeded its quota later")
	f.assertRefusedFor(30)
	c.advance(30 * time.Second)
	f.assertAllowed()
	assert.Equal(t, http.StatusTooManyRequests, ask(other).status)
}

// The quota of a token also applies if the token is sent as a key.
func TestWithQuota_KeyAndToken(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithQuota(1, time.Hour))
	f.assertAllowed()
	r, err := f.tryWith(http.MethodGet, f.accountPath("/cfd_tunnel"), "", http.Header{
		"X-Auth-Email": {"me@example.com"}, "X-Auth-Key": {f.APIToken().Reveal()},
	})
	require.NoError(t, err)
	assert.Equal(t, http.StatusTooManyRequests, r.status)
}

func TestTokensVerify_OtherAccount(t *testing.T) {
	t.Parallel()
	f := start(t)
	token := f.AddToken(tunneltest.Token{Owner: cftunnel.TokenOwnerAccount})
	client := f.client(cftunnel.WithAPIToken(token.Reveal()))
	_, err := client.Tokens.VerifyAccount(t.Context())
	require.NoError(t, err)
	other, err := client.ForAccount(strings.Repeat("a", 32))
	require.NoError(t, err)
	_, err = other.Tokens.VerifyAccount(t.Context())
	require.ErrorIs(t, err, cftunnel.ErrUnauthorized)
}
