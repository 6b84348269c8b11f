package tunneltest_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// The documented endpoint has the resources in the body, the newer one in the path.
func TestManagementTokens(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithClock(newClock(noon).Now))
	id, _ := f.create("web")
	seen, actors := map[string]bool{}, map[string]bool{}
	for _, c := range []struct {
		path, body string
		resources  []string
	}{
		{"/management", `{"resources":["logs"]}`, []string{"logs", "ping"}},
		{"/management", `{"resources":["logs"]}`, []string{"logs", "ping"}},
		{"/management/logs", "", []string{"logs", "ping"}},
		{"/management/admin", "", []string{"admin"}},
		{"/management/host_details", "", []string{"host_details"}},
	} {
		var token string
		require.NoError(t,
			json.Unmarshal(f.send(http.MethodPost, f.accountPath("/cfd_tunnel/"+id+c.path),
				c.body).result(), &token), c.path)
		header, claims := readJWT(t, token)
		assert.Equal(t, "JWT", header["typ"])
		assert.Equal(t, "ES256", header["alg"])
		assert.NotEmpty(t, header["kid"])
		assert.Equal(t, id, claims.Tun.ID)
		assert.Equal(t, f.AccountID(), claims.Tun.AccountTag)
		assert.NotEmpty(t, claims.Actor.ID)
		assert.Equal(t, c.resources, claims.Res)
		assert.Equal(t, "tunnelstore", claims.Iss)
		assert.Equal(t, noon.Unix(), claims.Iat)
		assert.Equal(t, int64(3600), claims.Exp-claims.Iat)
		seen[token], actors[claims.Actor.ID] = true, true
	}
	assert.Len(t, seen, 5, "each call returns a new token")
	assert.Len(t, actors, 1)
}

func TestManagementTokens_Actor(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	actor := func(header http.Header) string {
		r, err := f.tryWith(http.MethodPost, f.accountPath("/cfd_tunnel/"+id+"/management/logs"),
			"", header)
		require.NoError(t, err)
		var token string
		require.NoError(t, json.Unmarshal(r.result(), &token))
		_, claims := readJWT(t, token)
		return claims.Actor.ID
	}
	mine := actor(http.Header{"Authorization": {"Bearer " + f.APIToken().Reveal()}})
	assert.Equal(t, mine,
		actor(http.Header{"X-Auth-Key": {f.APIToken().Reveal()},
			"X-Auth-Email": {"a@example.com"}}))
	assert.NotEqual(t, mine,
		actor(http.Header{"Authorization": {"Bearer " + f.AddToken(tunneltest.Token{}).Reveal()}}))
}

// managementClaims are the claims that cloudflared reads.
type managementClaims struct {
	Tun struct {
		ID         string `json:"id"`
		AccountTag string `json:"account_tag"`
	}
	Actor    struct{ ID string }
	Res      []string
	Iss      string
	Iat, Exp int64
}

func readJWT(t testing.TB, token string) (header map[string]string, claims managementClaims) {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3, "a JWT")
	for i, part := range []any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(raw, part))
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	require.NoError(t, err)
	assert.Len(t, signature, 64, "r and s")
	return header, claims
}

func TestManagementTokens_Invalid(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	warp, _ := f.createWARP("warp", false)
	gone, _ := f.create("gone")
	f.delete(gone)
	const logs = `{"resources":["logs"]}`
	for _, c := range []struct {
		name, method, path, body string
		status                   int
	}{
		{"no body", http.MethodPost, id + "/management", "", http.StatusBadRequest},
		{"no resources", http.MethodPost, id + "/management", `{}`, http.StatusBadRequest},
		{"resource that only the newer endpoint has", http.MethodPost, id + "/management", `{"resources":["admin"]}`, http.StatusBadRequest},
		{"such a resource and logs", http.MethodPost, id + "/management", `{"resources":["logs","admin"]}`, http.StatusBadRequest},
		{"resources of another type", http.MethodPost, id + "/management", `{"resources":"logs"}`, http.StatusBadRequest},
		{"unknown tunnel", http.MethodPost, unknownID + "/management", logs, http.StatusNotFound},
		{"deleted tunnel", http.MethodPost, gone + "/management", logs, http.StatusNotFound},
		{"WARP connector", http.MethodPost, warp + "/management", logs, http.StatusNotFound},
		{"unknown tunnel, newer endpoint", http.MethodPost, unknownID + "/management/logs", "", http.StatusNotFound},
		{"deleted tunnel, newer endpoint", http.MethodPost, gone + "/management/logs", "", http.StatusNotFound},
		{"GET", http.MethodGet, id + "/management", "", http.StatusMethodNotAllowed},
	} {
		r := f.send(c.method, f.accountPath("/cfd_tunnel/"+c.path), c.body)
		assert.Equal(t, c.status, r.status, c.name)
		assert.Equal(t, "false", string(r.envelope().Success), c.name)
		assert.Equal(t, "null", string(r.envelope().Result), c.name)
	}
	f.send(http.MethodPost, f.accountPath("/cfd_tunnel/"+id+"/management/other"), "").
		assertError(http.StatusNotFound, 7000)
	f.send(http.MethodPost, f.accountPath("/warp_connector/"+warp+"/management"), logs).
		assertError(http.StatusNotFound, 7000)
}

func TestClient_ManagementToken(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	const documented, newer = "/accounts/{account_id}/cfd_tunnel/{tunnel_id}/management", "/accounts/{account_id}/cfd_tunnel/{tunnel_id}/management/{resource}"
	for resource, operation := range map[cftunnel.ManagementResource]string{
		cftunnel.ManagementResourceLogs:        documented,
		cftunnel.ManagementResourceAdmin:       newer,
		cftunnel.ManagementResourceHostDetails: newer,
	} {
		token, err := f.client().Tunnels.ManagementToken(t.Context(), id, resource)
		require.NoError(t, err)
		assert.False(t, token.IsZero())
		assert.Equal(t, "POST "+operation, f.lastRequest().Operation)
	}
}
