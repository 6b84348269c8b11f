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

// What a client that keeps the order of fields, or that compares texts, may rely on.
func TestCreateAnswersInTheOrderOfTheRealAPI(t *testing.T) {
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
		r := f.send(http.MethodPost, f.below("/cfd_tunnel"), source.body)
		id, name, account := r.text("id"), r.text("name"), f.AccountID()
		token := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"a":"%s","t":"%s","s":"%s"}`, account, id, secret))
		const stamp = `"2026-10-05T12:00:00.123456Z"`
		assert.Equal(t, fmt.Sprintf(`{"id":"%s","account_tag":"%s","created_at":%s,"deleted_at":null,"name":"%s","connections":[],`+
			`"conns_active_at":null,"conns_inactive_at":%[3]s,"tun_type":"cfd_tunnel","metadata":{},"status":"inactive","remote_config":%[5]t,`+
			`"credentials_file":{"AccountTag":"%[2]s","TunnelID":"%[1]s","TunnelName":"%[4]s","TunnelSecret":"%[6]s"},"token":"%[7]s"}`,
			id, account, stamp, name, source.remote, secret, token), string(r.result()))
	}
}

func TestCreateMakesASecretWhereNoneIsGiven(t *testing.T) {
	t.Parallel()
	f := start(t)
	secrets := map[string]bool{}
	for _, body := range []string{`{"name":"a"}`, `{"name":"b","tunnel_secret":""}`} {
		r := f.send(http.MethodPost, f.below("/cfd_tunnel"), body)
		var credentials struct{ TunnelSecret string }
		require.NoError(t, json.Unmarshal(r.fields()["credentials_file"], &credentials))
		raw, err := base64.StdEncoding.DecodeString(credentials.TunnelSecret)
		require.NoError(t, err)
		assert.GreaterOrEqual(t, len(raw), 32)
		assert.Equal(t, credentials.TunnelSecret, tokenOf(t, r.text("token")).S)
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

func TestCreateRefusals(t *testing.T) {
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
		{"secret in the alphabet of URLs", `{"name":"web","tunnel_secret":"` + ofURLs + `"}`, http.StatusBadRequest},
		{"secret without padding", `{"name":"web","tunnel_secret":"` + strings.TrimRight(secretOf(32, 1), "=") + `"}`, http.StatusBadRequest},
	} {
		r := f.send(http.MethodPost, f.below("/cfd_tunnel"), c.body)
		assert.Equal(t, c.status, r.status, c.name)
		assert.Equal(t, "false", string(r.envelope().Success), c.name)
		assert.False(t, f.lastRequest().Done, c.name)
	}
	page, err := f.client().Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
	require.NoError(t, err)
	assert.Len(t, page.Items, 1, "a refused create makes nothing")
}

// A refusal must not give back the secret that came with it.
func TestRefusalsHoldNoSecret(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	f.create("taken")
	for _, secret := range []string{secretOf(32, 7), "not-base64-but-a-secret"} {
		body := `{"name":"taken","tunnel_secret":"` + secret + `"}`
		for _, r := range []reply{
			f.send(http.MethodPost, f.below("/cfd_tunnel"), body),
			f.send(http.MethodPatch, f.below("/cfd_tunnel/"+id), body),
		} {
			assert.NotEqual(t, http.StatusOK, r.status)
			assert.NotContains(t, string(r.body), secret)
		}
	}
}

func TestNamesAreUniqueAmongLiveTunnels(t *testing.T) {
	t.Parallel()
	f := start(t)
	post := func(name string) reply {
		return f.send(http.MethodPost, f.below("/cfd_tunnel"), asJSON(t, map[string]string{"name": name}))
	}
	first := post("web").text("id")
	post("web").fails(http.StatusConflict, 1013)
	post("Web").result() // case counts
	_, err := f.client().Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "web"})
	require.ErrorIs(t, err, cftunnel.ErrTunnelNameTaken)

	f.delete(first)
	second := post("web").text("id")
	assert.NotEqual(t, first, second)
	post("web").fails(http.StatusConflict, 1013)
	assert.True(t, f.get(first).IsDeleted(), "the first one stays as it is")
}

func TestUpdateRenames(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	other, _ := f.create("other")
	patch := func(name string) reply {
		return f.send(http.MethodPatch, f.below("/cfd_tunnel/"+id), asJSON(t, map[string]string{"name": name}))
	}
	patch("other").fails(http.StatusConflict, 1013)
	assert.Equal(t, "web", f.get(id).Name)
	assert.Equal(t, "web", patch("web").text("name"), "its own name is no other tunnel's")
	assert.Equal(t, "renamed", patch("renamed").text("name"))
	assert.Equal(t, "renamed", f.get(id).Name)
	f.create("web") // the old name is free again
	f.delete(other)
	assert.Equal(t, "other", patch("other").text("name"), "a deleted tunnel's name is free")
}

func TestUpdateAnswersWithTheTokenAndWithoutCredentials(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	secret := secretOf(32, 9)
	for _, body := range []string{`{"tunnel_secret":"` + secret + `"}`, `{"name":"renamed"}`, `{}`} {
		r := f.send(http.MethodPatch, f.below("/cfd_tunnel/"+id), body)
		fields := r.fields()
		assert.NotContains(t, fields, "credentials_file")
		assert.NotContains(t, fields, "tunnel_secret")
		assert.Equal(t, token{f.AccountID(), id, secret}, tokenOf(t, r.text("token")))
		assert.NotContains(t, string(r.body), secret, "nothing but the token holds the secret")
		assert.Equal(t, "local", r.text("config_src"))
	}
}

// Rotation is a PATCH with a new secret and nothing else.
func TestUpdateRotatesTheSecret(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, before := f.create("web")
	secret := cftunnel.NewSecret(secretOf(40, 5))
	updated, err := f.client().Tunnels.Update(t.Context(), id, cftunnel.TunnelUpdateParams{Secret: secret})
	require.NoError(t, err)
	assert.Equal(t, "web", updated.Name)
	assert.NotEqual(t, before, updated.Token)
	fetched, err := f.client().Tunnels.Token(t.Context(), id)
	require.NoError(t, err)
	assert.Equal(t, updated.Token, fetched)
	assert.Equal(t, secret.Reveal(), tokenOf(t, fetched.Reveal()).S)
}

func TestUpdateRefusalsChangeNothing(t *testing.T) {
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
		r := f.send(http.MethodPatch, f.below("/cfd_tunnel/"+id), c.body)
		assert.Equal(t, c.status, r.status, c.name)
		assert.False(t, f.lastRequest().Done, c.name)
		assert.Equal(t, "web", f.get(id).Name, c.name)
		after, err := f.client().Tunnels.Token(t.Context(), id)
		require.NoError(t, err)
		assert.Equal(t, before, after, c.name)
	}
}

func TestGetShowsNoSecret(t *testing.T) {
	t.Parallel()
	f := start(t)
	secret := secretOf(32, 3)
	id := f.send(http.MethodPost, f.below("/cfd_tunnel"), `{"name":"web","tunnel_secret":"`+secret+`"}`).text("id")
	for _, path := range []string{"/cfd_tunnel/" + id, "/cfd_tunnel", "/tunnels"} {
		r := f.send(http.MethodGet, f.below(path), "")
		r.result()
		for _, hidden := range []string{secret, "token", "secret", "credentials"} {
			assert.NotContains(t, strings.ToLower(string(r.body)), strings.ToLower(hidden), path)
		}
	}
}

// In October 2026 connections left the answers to GET and to lists.
func TestGetFieldsOfALiveTunnel(t *testing.T) {
	t.Parallel()
	c := newClock(noon.Add(123456789 * time.Nanosecond))
	f := start(t, tunneltest.WithClock(c.Now))
	for _, source := range []cftunnel.ConfigSource{cftunnel.ConfigSourceLocal, cftunnel.ConfigSourceCloudflare} {
		created, err := f.client().Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: string(source), ConfigSource: source})
		require.NoError(t, err)
		id := created.ID
		r := f.send(http.MethodGet, f.below("/cfd_tunnel/"+id), "")
		const stamp = "2026-10-05T12:00:00.123456Z"
		assert.JSONEq(t, asJSON(t, map[string]any{
			"id": id, "account_tag": f.AccountID(), "name": source, "created_at": stamp, "deleted_at": nil, "conns_active_at": nil,
			"conns_inactive_at": stamp, "tun_type": "cfd_tunnel", "metadata": map[string]any{}, "status": "inactive",
			"remote_config": source == cftunnel.ConfigSourceCloudflare, "config_src": source,
		}), string(r.result()))
		list := f.send(http.MethodGet, f.below("/cfd_tunnel?uuid="+id), "")
		assert.Equal(t, "["+string(r.result())+"]", string(list.result()), "a list has what GET has")
	}
}

func TestTimesHaveMicrosecondsAlsoWhereTheyAreZero(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithClock(func() time.Time { return noon }))
	r := f.send(http.MethodPost, f.below("/cfd_tunnel"), `{"name":"web"}`)
	assert.Equal(t, "2026-10-05T12:00:00.000000Z", r.text("created_at"))
}

func TestATunnelIDIsTheSameInEitherCaseAndEscaped(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	assert.Regexp(t, "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$", id)
	assert.Equal(t, id, f.get(strings.ToUpper(id)).ID)
	escaped := fmt.Sprintf("%%%02x%s", id[0], id[1:])
	assert.Equal(t, id, f.send(http.MethodGet, f.below("/cfd_tunnel/"+escaped), "").text("id"))
}

func TestTokenIsABareString(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, created := f.create("web")
	r := f.send(http.MethodGet, f.below("/cfd_tunnel/"+id+"/token"), "")
	assert.Equal(t, `"`+created.Reveal()+`"`, string(r.result()))
	decoded := tokenOf(t, created.Reveal())
	assert.Equal(t, f.AccountID(), decoded.A)
	assert.Equal(t, id, decoded.T)
}

func TestADeletedTunnelCanBeRead(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	id, _ := f.create("web")
	c.advance(time.Hour)
	deleted := f.send(http.MethodDelete, f.below("/cfd_tunnel/"+id), "")
	assert.Equal(t, "2026-10-05T13:00:00.000000Z", deleted.text("deleted_at"))
	assert.NotContains(t, deleted.fields(), "config_src")
	assert.NotContains(t, deleted.fields(), "token")
	assert.NotContains(t, deleted.fields(), "credentials_file")

	c.advance(time.Hour)
	got := f.send(http.MethodGet, f.below("/cfd_tunnel/"+id), "")
	assert.Equal(t, string(deleted.result()), string(got.result()))
	tunnel := f.get(id)
	assert.True(t, tunnel.IsDeleted())
	assert.Empty(t, tunnel.ConfigSource)
	assert.Equal(t, "web", tunnel.Name)
	assert.Equal(t, noon, tunnel.CreatedAt)
}

func TestADeletedTunnelHasNoTokenAndTakesNoChange(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	f.delete(id)
	before := f.send(http.MethodGet, f.below("/cfd_tunnel/"+id), "")
	for _, r := range []reply{
		f.send(http.MethodGet, f.below("/cfd_tunnel/"+id+"/token"), ""),
		f.send(http.MethodPatch, f.below("/cfd_tunnel/"+id), `{"name":"renamed"}`),
		f.send(http.MethodPatch, f.below("/cfd_tunnel/"+id), `{"tunnel_secret":"`+secretOf(32, 1)+`"}`),
	} {
		assert.Equal(t, http.StatusNotFound, r.status)
		assert.Equal(t, "false", string(r.envelope().Success))
	}
	after := f.send(http.MethodGet, f.below("/cfd_tunnel/"+id), "")
	assert.Equal(t, string(before.result()), string(after.result()))
}

// A DELETE that is sent again after a lost answer must do no harm.
func TestASecondDeleteChangesNothing(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	id, _ := f.create("web")
	first := f.send(http.MethodDelete, f.below("/cfd_tunnel/"+id), "")
	c.advance(time.Hour)
	for _, query := range []string{"", "?cascade=true"} {
		again := f.send(http.MethodDelete, f.below("/cfd_tunnel/"+id+query), "")
		assert.Equal(t, string(first.result()), string(again.result()))
	}
}

func TestDeleteOfATunnelWithConnections(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	id, token := f.create("web")
	connector := f.connect(token)
	for _, query := range []string{"", "?cascade=false"} {
		f.send(http.MethodDelete, f.below("/cfd_tunnel/"+id+query), "").fails(http.StatusBadRequest, 1022)
	}
	_, err := f.client().Tunnels.Delete(t.Context(), id, cftunnel.TunnelDeleteParams{})
	require.ErrorIs(t, err, cftunnel.ErrActiveConnections)
	assert.False(t, f.get(id).IsDeleted())
	assert.Equal(t, cftunnel.TunnelStatusHealthy, f.get(id).Status, "its connections stay")

	f.Disconnect(connector)
	f.delete(id)
	assert.True(t, f.get(id).IsDeleted())
}

func TestCascadeDeletesWithTheConnections(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	id, token := f.create("web")
	connector := f.connect(token)
	at := c.advance(time.Hour)
	deleted, err := f.client().Tunnels.Delete(t.Context(), id, cftunnel.TunnelDeleteParams{Cascade: true})
	require.NoError(t, err)
	assert.Equal(t, at, deleted.DeletedAt)
	assert.Equal(t, cftunnel.TunnelStatusDown, deleted.Status)
	assert.Zero(t, deleted.ConnsActiveAt)
	assert.Equal(t, at, deleted.ConnsInactiveAt)
	c.advance(time.Hour)
	f.Disconnect(connector)
	assert.Equal(t, at, f.get(id).ConnsInactiveAt, "the connector was gone already")
}

func TestCascadeOfATunnelWithoutConnections(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	_, err := f.client().Tunnels.Delete(t.Context(), id, cftunnel.TunnelDeleteParams{Cascade: true})
	require.NoError(t, err)
	assert.True(t, f.get(id).IsDeleted())
}

func TestUpdateRefusesABlankNameAndNull(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("n")
	for _, body := range []string{`{"name":"  "}`, "null"} {
		f.send(http.MethodPatch, f.below("/cfd_tunnel/"+id), body).fails(http.StatusBadRequest, 1001)
	}
	assert.Equal(t, "n", f.get(id).Name)
}

func TestSeededNamesAreUnique(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.create("seed-00002")
	assert.NotEqual(t, "seed-00002", f.SeedTunnels(1)[0].Name)
}
