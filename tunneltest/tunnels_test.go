package tunneltest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// Clients may depend on the order of fields.
func TestTunnelsCreate_FieldOrder(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.October, 5, 14, 0, 0, 123456789, time.FixedZone("CEST", 2*60*60))
	f := start(t, tunneltest.WithClock(func() time.Time { return at }))
	secret := secretOf(32, 1)
	for _, source := range []struct {
		body   string
		remote bool
	}{
		{`{"name":"a","tunnel_secret":"` + secret + `"}`, false},
		{`{"name":"b","tunnel_secret":"` + secret + `","config_src":"local"}`, false},
		{`{"name":"c","tunnel_secret":"` + secret + `","config_src":"cloudflare"}`, true},
	} {
		r := f.send(http.MethodPost, f.accountPath("/cfd_tunnel"), source.body)
		id, name, account := r.stringField("id"), r.stringField("name"), f.AccountID()
		token := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"a":"%s","t":"%s","s":"%s"}`,
			account, id, secret))
		const stamp = `"2026-10-05T12:00:00.123456Z"`
		assert.Equal(t, fmt.Sprintf(`{"id":"%s","account_tag":"%s","created_at":%s,"deleted_at":null,"name":"%s","connections":[],`+
			`"conns_active_at":null,"conns_inactive_at":%[3]s,"tun_type":"cfd_tunnel","metadata":{},"status":"inactive","remote_config":%[5]t,`+
			`"credentials_file":{"AccountTag":"%[2]s","TunnelID":"%[1]s","TunnelName":"%[4]s","TunnelSecret":"%[6]s"},"token":"%[7]s"}`,
			id, account, stamp, name, source.remote, secret, token), string(r.result()))
	}
}

func TestTunnelsCreate_GeneratesSecret(t *testing.T) {
	t.Parallel()
	f := start(t)
	secrets := map[string]bool{}
	for _, body := range []string{`{"name":"a"}`, `{"name":"b","tunnel_secret":""}`} {
		r := f.send(http.MethodPost, f.accountPath("/cfd_tunnel"), body)
		var credentials struct{ TunnelSecret string }
		require.NoError(t, json.Unmarshal(r.fields()["credentials_file"], &credentials))
		raw, err := base64.StdEncoding.DecodeString(credentials.TunnelSecret)
		require.NoError(t, err)
		assert.GreaterOrEqual(t, len(raw), 32)
		assert.Equal(t, credentials.TunnelSecret, tokenOf(t, r.stringField("token")).S)
		secrets[credentials.TunnelSecret] = true
	}
	assert.Len(t, secrets, 2)
}

type token struct{ A, T, S string }

func tokenOf(t testing.TB, encoded string) (decoded token) {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(encoded)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &decoded))
	return decoded
}

func TestTunnelsCreate_Invalid(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.create("taken")
	ofURLs := base64.URLEncoding.EncodeToString([]byte(strings.Repeat("\xff", 33)))
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{"name taken", `{"name":"taken"}`, http.StatusConflict},
		{"no name", `{}`, http.StatusBadRequest},
		{"blank name", `{"name":"  "}`, http.StatusBadRequest},
		{"name of another type", `{"name":1}`, http.StatusBadRequest},
		{"no body", ``, http.StatusBadRequest},
		{"not JSON", `name=web`, http.StatusBadRequest},
		{"null", `null`, http.StatusBadRequest},
		{"a list", `[]`, http.StatusBadRequest},
		{"unknown config_src", `{"name":"web","config_src":"remote"}`, http.StatusBadRequest},
		{"secret of 15 bytes", `{"name":"web","tunnel_secret":"` + secretOf(15, 1) + `"}`, http.StatusBadRequest},
		{"secret that is not base64", `{"name":"web","tunnel_secret":"` + strings.Repeat("!", 64) + `"}`, http.StatusBadRequest},
		{"secret in URL-safe base64", `{"name":"web","tunnel_secret":"` + ofURLs + `"}`, http.StatusBadRequest},
		{"secret without padding", `{"name":"web","tunnel_secret":"` + strings.TrimRight(secretOf(32, 1), "=") + `"}`, http.StatusBadRequest},
	} {
		r := f.send(http.MethodPost, f.accountPath("/cfd_tunnel"), c.body)
		assert.Equal(t, c.status, r.status, c.name)
		assert.Equal(t, "false", string(r.envelope().Success), c.name)
		assert.False(t, f.lastRequest().Done, c.name)
	}
	page, err := f.client().Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
	require.NoError(t, err)
	assert.Len(t, page.Items, 1, "a refused create changes nothing")
}

// An error response must not contain the secret of the request.
func TestTunnels_ErrorsWithoutSecrets(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	f.create("taken")
	for _, secret := range []string{secretOf(32, 7), "not-base64-but-a-secret"} {
		body := `{"name":"taken","tunnel_secret":"` + secret + `"}`
		for _, r := range []response{
			f.send(http.MethodPost, f.accountPath("/cfd_tunnel"), body),
			f.send(http.MethodPatch, f.accountPath("/cfd_tunnel/"+id), body),
		} {
			assert.NotEqual(t, http.StatusOK, r.status)
			assert.NotContains(t, string(r.body), secret)
		}
	}
}

func TestTunnelsCreate_NameTaken(t *testing.T) {
	t.Parallel()
	f := start(t)
	post := func(name string) response {
		return f.send(http.MethodPost, f.accountPath("/cfd_tunnel"), asJSON(t, map[string]string{"name": name}))
	}
	first := post("web").stringField("id")
	post("web").assertError(http.StatusConflict, 1013)
	post("Web").result() // names are case-sensitive
	_, err := f.client().Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "web"})
	require.ErrorIs(t, err, cftunnel.ErrTunnelNameTaken)

	f.delete(first)
	second := post("web").stringField("id")
	assert.NotEqual(t, first, second)
	post("web").assertError(http.StatusConflict, 1013)
	assert.True(t, f.get(first).IsDeleted(), "the first tunnel does not change")
}

func TestTunnelsUpdate_Name(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	other, _ := f.create("other")
	patch := func(name string) response {
		return f.send(http.MethodPatch, f.accountPath("/cfd_tunnel/"+id), asJSON(t, map[string]string{"name": name}))
	}
	patch("other").assertError(http.StatusConflict, 1013)
	assert.Equal(t, "web", f.get(id).Name)
	assert.Equal(t, "web", patch("web").stringField("name"), "its own name is not taken")
	assert.Equal(t, "renamed", patch("renamed").stringField("name"))
	assert.Equal(t, "renamed", f.get(id).Name)
	f.create("web") // the old name is available
	f.delete(other)
	assert.Equal(t, "other", patch("other").stringField("name"),
		"the name of a deleted tunnel is available")
}

func TestTunnelsUpdate_Token(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	secret := secretOf(32, 9)
	for _, body := range []string{`{"tunnel_secret":"` + secret + `"}`, `{"name":"renamed"}`, `{}`} {
		r := f.send(http.MethodPatch, f.accountPath("/cfd_tunnel/"+id), body)
		fields := r.fields()
		assert.NotContains(t, fields, "credentials_file")
		assert.NotContains(t, fields, "tunnel_secret")
		assert.Equal(t, token{f.AccountID(), id, secret}, tokenOf(t, r.stringField("token")))
		assert.NotContains(t, string(r.body), secret, "only the token contains the secret")
		assert.Equal(t, "local", r.stringField("config_src"))
	}
}

// A rotation is a PATCH with only a new secret.
func TestTunnelsUpdate_Secret(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, before := f.create("web")
	secret := cftunnel.NewSecret(secretOf(40, 5))
	updated, err := f.client().Tunnels.Update(t.Context(), id,
		cftunnel.TunnelUpdateParams{Secret: secret})
	require.NoError(t, err)
	assert.Equal(t, "web", updated.Name)
	assert.NotEqual(t, before, updated.Token)
	fetched, err := f.client().Tunnels.Token(t.Context(), id)
	require.NoError(t, err)
	assert.Equal(t, updated.Token, fetched)
	assert.Equal(t, secret.Reveal(), tokenOf(t, fetched.Reveal()).S)
}

func TestTunnelsUpdate_Invalid(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, before := f.create("web")
	f.create("taken")
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{"short secret", `{"name":"renamed","tunnel_secret":"` + secretOf(15, 1) + `"}`, http.StatusBadRequest},
		{"secret that is not base64", `{"name":"renamed","tunnel_secret":"***"}`, http.StatusBadRequest},
		{"name taken, with a good secret", `{"name":"taken","tunnel_secret":"` + secretOf(32, 1) + `"}`, http.StatusConflict},
		{"not JSON", `{`, http.StatusBadRequest},
		{"no body", ``, http.StatusBadRequest},
	} {
		r := f.send(http.MethodPatch, f.accountPath("/cfd_tunnel/"+id), c.body)
		assert.Equal(t, c.status, r.status, c.name)
		assert.False(t, f.lastRequest().Done, c.name)
		assert.Equal(t, "web", f.get(id).Name, c.name)
		after, err := f.client().Tunnels.Token(t.Context(), id)
		require.NoError(t, err)
		assert.Equal(t, before, after, c.name)
	}
}

func TestTunnelsGet_NoSecrets(t *testing.T) {
	t.Parallel()
	f := start(t)
	secret := secretOf(32, 3)
	id := f.send(http.MethodPost, f.accountPath("/cfd_tunnel"),
		`{"name":"web","tunnel_secret":"`+secret+`"}`).stringField("id")
	for _, path := range []string{"/cfd_tunnel/" + id, "/cfd_tunnel", "/tunnels"} {
		r := f.fetch(f.accountPath(path))
		r.result()
		for _, hidden := range []string{secret, "token", "secret", "credentials"} {
			assert.NotContains(t, strings.ToLower(string(r.body)), strings.ToLower(hidden), path)
		}
	}
}

// Since October 2026, responses to GET and lists have no connections.
func TestTunnelsGet_Fields(t *testing.T) {
	t.Parallel()
	c := newClock(noon.Add(123456789 * time.Nanosecond))
	f := start(t, tunneltest.WithClock(c.Now))
	for _, source := range []cftunnel.ConfigSource{cftunnel.ConfigSourceLocal, cftunnel.ConfigSourceCloudflare} {
		created, err := f.client().Tunnels.Create(t.Context(),
			cftunnel.TunnelCreateParams{Name: string(source), ConfigSource: source})
		require.NoError(t, err)
		id := created.ID
		r := f.fetch(f.accountPath("/cfd_tunnel/" + id))
		const stamp = "2026-10-05T12:00:00.123456Z"
		assert.JSONEq(t, asJSON(t, map[string]any{
			"id": id, "account_tag": f.AccountID(), "name": source, "created_at": stamp, "deleted_at": nil, "conns_active_at": nil,
			"conns_inactive_at": stamp, "tun_type": "cfd_tunnel", "metadata": map[string]any{}, "status": "inactive",
			"remote_config": source == cftunnel.ConfigSourceCloudflare, "config_src": source,
		}), string(r.result()))
		list := f.fetch(f.accountPath("/cfd_tunnel?uuid=" + id))
		assert.Equal(t, "["+string(r.result())+"]", string(list.result()),
			"lists have the same fields")
	}
}

func TestTunnelsCreate_Microseconds(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithClock(func() time.Time { return noon }))
	r := f.send(http.MethodPost, f.accountPath("/cfd_tunnel"), `{"name":"web"}`)
	assert.Equal(t, "2026-10-05T12:00:00.000000Z", r.stringField("created_at"))
}

func TestTunnelsGet_IDForms(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	assert.Regexp(t, "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$", id)
	assert.Equal(t, id, f.get(strings.ToUpper(id)).ID)
	escaped := fmt.Sprintf("%%%02x%s", id[0], id[1:])
	assert.Equal(t, id, f.fetch(f.accountPath("/cfd_tunnel/"+escaped)).stringField("id"))
}

func TestTunnelsToken(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, created := f.create("web")
	r := f.fetch(f.accountPath("/cfd_tunnel/" + id + "/token"))
	assert.Equal(t, `"`+created.Reveal()+`"`, string(r.result()))
	decoded := tokenOf(t, created.Reveal())
	assert.Equal(t, f.AccountID(), decoded.A)
	assert.Equal(t, id, decoded.T)
}

func TestTunnelsGet_Deleted(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	id, _ := f.create("web")
	c.advance(time.Hour)
	deleted := f.send(http.MethodDelete, f.accountPath("/cfd_tunnel/"+id), "")
	assert.Equal(t, "2026-10-05T13:00:00.000000Z", deleted.stringField("deleted_at"))
	assert.NotContains(t, deleted.fields(), "config_src")
	assert.NotContains(t, deleted.fields(), "token")
	assert.NotContains(t, deleted.fields(), "credentials_file")

	c.advance(time.Hour)
	got := f.fetch(f.accountPath("/cfd_tunnel/" + id))
	assert.Equal(t, string(deleted.result()), string(got.result()))
	tunnel := f.get(id)
	assert.True(t, tunnel.IsDeleted())
	assert.Empty(t, tunnel.ConfigSource)
	assert.Equal(t, "web", tunnel.Name)
	assert.Equal(t, noon, tunnel.CreatedAt)
}

func TestTunnelsUpdate_Deleted(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	f.delete(id)
	before := f.fetch(f.accountPath("/cfd_tunnel/" + id))
	for _, r := range []response{
		f.fetch(f.accountPath("/cfd_tunnel/" + id + "/token")),
		f.send(http.MethodPatch, f.accountPath("/cfd_tunnel/"+id), `{"name":"renamed"}`),
		f.send(http.MethodPatch, f.accountPath("/cfd_tunnel/"+id), `{"tunnel_secret":"`+secretOf(32, 1)+`"}`),
	} {
		assert.Equal(t, http.StatusNotFound, r.status)
		assert.Equal(t, "false", string(r.envelope().Success))
	}
	after := f.fetch(f.accountPath("/cfd_tunnel/" + id))
	assert.Equal(t, string(before.result()), string(after.result()))
}

// A DELETE can be repeated after a lost response.
func TestTunnelsDelete_Twice(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	id, _ := f.create("web")
	first := f.send(http.MethodDelete, f.accountPath("/cfd_tunnel/"+id), "")
	c.advance(time.Hour)
	for _, query := range []string{"", "?cascade=true"} {
		again := f.send(http.MethodDelete, f.accountPath("/cfd_tunnel/"+id+query), "")
		assert.Equal(t, string(first.result()), string(again.result()))
	}
}

func TestTunnelsDelete_ActiveConnections(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	id, token := f.create("web")
	connector := f.connect(token)
	for _, query := range []string{"", "?cascade=false"} {
		f.send(http.MethodDelete, f.accountPath("/cfd_tunnel/"+id+query), "").
			assertError(http.StatusBadRequest, 1022)
	}
	_, err := f.client().Tunnels.Delete(t.Context(), id, cftunnel.TunnelDeleteParams{})
	require.ErrorIs(t, err, cftunnel.ErrActiveConnections)
	assert.False(t, f.get(id).IsDeleted())
	assert.Equal(t, cftunnel.TunnelStatusHealthy, f.get(id).Status, "its connections stay up")

	f.Disconnect(connector)
	f.delete(id)
	assert.True(t, f.get(id).IsDeleted())
}

func TestTunnelsDelete_Cascade(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	id, token := f.create("web")
	connector := f.connect(token)
	at := c.advance(time.Hour)
	deleted, err := f.client().Tunnels.Delete(t.Context(), id,
		cftunnel.TunnelDeleteParams{Cascade: true})
	require.NoError(t, err)
	assert.Equal(t, at, deleted.DeletedAt)
	assert.Equal(t, cftunnel.TunnelStatusDown, deleted.Status)
	assert.Zero(t, deleted.ConnsActiveAt)
	assert.Equal(t, at, deleted.ConnsInactiveAt)
	c.advance(time.Hour)
	f.Disconnect(connector)
	assert.Equal(t, at, f.get(id).ConnsInactiveAt, "the connector was already removed")
}

func TestTunnelsDelete_CascadeNoConnections(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	_, err := f.client().Tunnels.Delete(t.Context(), id, cftunnel.TunnelDeleteParams{Cascade: true})
	require.NoError(t, err)
	assert.True(t, f.get(id).IsDeleted())
}

func TestTunnelsUpdate_BlankNameAndNull(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("n")
	for _, body := range []string{`{"name":"  "}`, "null"} {
		f.send(http.MethodPatch, f.accountPath("/cfd_tunnel/"+id), body).
			assertError(http.StatusBadRequest, 1001)
	}
	assert.Equal(t, "n", f.get(id).Name)
}

func TestSeedTunnels_UniqueNames(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.create("seed-00002")
	assert.NotEqual(t, "seed-00002", f.SeedTunnels(1)[0].Name)
}
