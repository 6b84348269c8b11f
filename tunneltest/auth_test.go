package tunneltest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func TestServer_Credentials(t *testing.T) {
	t.Parallel()
	f := start(t)
	token := f.APIToken().Reveal()
	_, ofTunnel := f.create("web")
	const ok = http.StatusOK
	for _, c := range []struct {
		name                string
		header              http.Header
		status, code, chain int
	}{
		{"token", http.Header{"Authorization": {"Bearer " + token}}, ok, 0, 0},
		{"email and key", http.Header{"X-Auth-Email": {"me@example.com"}, "X-Auth-Key": {token}}, ok, 0, 0},
		{"none", http.Header{}, http.StatusBadRequest, 9106, 0},
		{"key without email", http.Header{"X-Auth-Key": {token}}, http.StatusBadRequest, 9106, 0},
		{"email without key", http.Header{"X-Auth-Email": {"me@example.com"}}, http.StatusBadRequest, 9106, 0},
		{"no scheme", http.Header{"Authorization": {token}}, http.StatusBadRequest, 6003, 6111},
		{"scheme only", http.Header{"Authorization": {"Bearer"}}, http.StatusBadRequest, 6003, 6111},
		{"another scheme", http.Header{"Authorization": {"Basic " + token}}, http.StatusBadRequest, 6003, 6111},
		{"invalid characters", http.Header{"Authorization": {"Bearer not a token!"}}, http.StatusBadRequest, 6003, 6111},
		{"a tunnel token", http.Header{"Authorization": {"Bearer " + ofTunnel.Reveal()}}, http.StatusBadRequest, 6003, 6111},
		{"a tunnel token without padding", http.Header{"Authorization": {"Bearer eyJhIjoiYSJ9"}}, http.StatusBadRequest, 6003, 6111},
		{"unknown token", http.Header{"Authorization": {"Bearer " + strings.Repeat("a", 40)}}, http.StatusUnauthorized, 1000, 0},
		{"unknown user token", http.Header{"Authorization": {"Bearer cfut_0123456789"}}, http.StatusUnauthorized, 1000, 0},
		{"unknown account token", http.Header{"Authorization": {"Bearer cfat_0123-456789"}}, http.StatusUnauthorized, 1000, 0},
		{"prefix of the token", http.Header{"Authorization": {"Bearer " + token[:39]}}, http.StatusUnauthorized, 1000, 0},
		{
			"unknown token with a valid key",
			http.Header{"Authorization": {"Bearer unknown"}, "X-Auth-Email": {"me@example.com"},
				"X-Auth-Key": {token}},
			http.StatusUnauthorized, 1000, 0,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			mine := &fake{f.Server, t, f.base, f.http}
			r, err := mine.tryWith(http.MethodGet, f.accountPath("/cfd_tunnel"), "", c.header)
			require.NoError(t, err)
			if c.status == ok {
				r.result()
				return
			}
			r.assertError(c.status, c.code)
			var errors []struct {
				Chain []struct {
					Code    int    `json:"code"`
					Message string `json:"message"`
				} `json:"error_chain"`
			}
			require.NoError(t, json.Unmarshal(r.envelope().Errors, &errors))
			if c.chain == 0 {
				assert.NotContains(t, string(r.body), "error_chain")
				return
			}
			require.Len(t, errors[0].Chain, 1)
			assert.Equal(t, c.chain, errors[0].Chain[0].Code)
			assert.NotEmpty(t, errors[0].Chain[0].Message)
		})
	}
}

// net/http removes the space at the end of a header, so the test calls the handler directly.
func TestServer_EmptyBearerToken(t *testing.T) {
	t.Parallel()
	srv := tunneltest.NewServer()
	path := "/client/v4/accounts/" + srv.AccountID() + "/cfd_tunnel"
	req := httptest.NewRequest(http.MethodGet, path, nil)
	req.Header.Set("Authorization", "Bearer ")
	recorder := httptest.NewRecorder()
	srv.Handler().ServeHTTP(recorder, req)
	response{t, recorder.Code, recorder.Header(),
		recorder.Body.Bytes()}.assertError(http.StatusBadRequest, 6003)
}

// The real status is not known.
func TestServer_UnknownAPIKey(t *testing.T) {
	t.Parallel()
	f := start(t)
	r, err := f.tryWith(http.MethodGet, f.accountPath("/cfd_tunnel"), "",
		http.Header{"X-Auth-Email": {"me@example.com"}, "X-Auth-Key": {"unknown"}})
	require.NoError(t, err)
	assert.Contains(t, []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden}, r.status)
	assert.Equal(t, "false", string(r.envelope().Success))
}

func TestServer_NoCredentials(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, token := f.create("web")
	for _, c := range []struct{ method, path, body string }{
		{http.MethodPost, "/cfd_tunnel", `{"name":"other"}`},
		{http.MethodGet, "/cfd_tunnel", ""},
		{http.MethodGet, "/cfd_tunnel/" + id, ""},
		{http.MethodPatch, "/cfd_tunnel/" + id, `{"name":"renamed"}`},
		{http.MethodDelete, "/cfd_tunnel/" + id, ""},
		{http.MethodGet, "/cfd_tunnel/" + id + "/token", ""},
		{http.MethodGet, "/tunnels", ""},
	} {
		r, err := f.tryWith(c.method, f.accountPath(c.path), c.body, http.Header{})
		require.NoError(t, err)
		r.assertError(http.StatusBadRequest, 9106)
		assert.NotContains(t, string(r.body), token.Reveal())
		assert.False(t, f.lastRequest().Done)
	}
	tunnel := f.get(id)
	assert.Equal(t, "web", tunnel.Name)
	assert.False(t, tunnel.IsDeleted())
	assert.Equal(t, []string{"web"}, f.names("/cfd_tunnel"))
}

func TestClient_InvalidCredentials(t *testing.T) {
	t.Parallel()
	f := start(t)
	_, err := f.client(cftunnel.WithAPIToken("unknown")).Tunnels.List(t.Context(),
		cftunnel.TunnelListParams{})
	require.ErrorIs(t, err, cftunnel.ErrUnauthorized)
	assert.True(t, cftunnel.HasCode(err, 1000))
	client := f.client(cftunnel.WithAPIToken("eyJ" + strings.Repeat("q", 37)))
	_, err = client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
	require.ErrorIs(t, err, cftunnel.ErrBadRequest)
	assert.True(t, cftunnel.HasCode(err, 6111), "the code is in the error chain")
	client = f.client(cftunnel.WithAPIKey("me@example.com", f.APIToken().Reveal()))
	_, err = client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
	require.NoError(t, err)
}
