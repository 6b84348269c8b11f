package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The test sends the requests of `cloudflared tunnel --api-url $CLOUDFLARE_BASE_URL` in the order
// of a tunnel's life cycle. Package tunneltest tests the commands one by one.
func TestSimulator_Cloudflared(t *testing.T) {
	t.Parallel()
	environment := simulate(t, "-account", account, "-token", "a-token")
	tunnels := environment["CLOUDFLARE_BASE_URL"] + "/accounts/" + account + "/cfd_tunnel"
	// cloudflared decodes messages as strings. It reads errors only if the Content-Type is exactly
	// application/json.
	do := func(method, url, body string, result any) (status, code int) {
		t.Helper()
		ctx := t.Context()
		request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer a-token")
		request.Header.Set("Accept", "application/json;version=1")
		request.Header.Set("User-Agent", "cloudflared/2026.10.0")
		if body != "" {
			request.Header.Set("Content-Type", "application/json")
		}
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, []string{"application/json"}, response.Header["Content-Type"])
		var envelope struct {
			Success  bool
			Errors   []struct{ Code int }
			Messages []string
			Result   json.RawMessage
		}
		require.NoError(t, json.NewDecoder(response.Body).Decode(&envelope))
		require.Equal(t, response.StatusCode == http.StatusOK, envelope.Success)
		if len(envelope.Errors) > 0 {
			code = envelope.Errors[0].Code
		}
		if result != nil {
			require.NoError(t, json.Unmarshal(envelope.Result, result))
		}
		return response.StatusCode, code
	}
	var tunnel struct{ ID, Name, Token string }
	secret := base64.StdEncoding.EncodeToString(make([]byte, 32))
	create := fmt.Sprintf(`{"name":"web","tunnel_secret":%q}`, secret)
	do(http.MethodPost, tunnels, create, &tunnel)
	_, code := do(http.MethodPost, tunnels, create, nil)
	assert.Equal(t, 1013, code)
	var found []struct{ ID string }
	do(http.MethodGet, tunnels+"?is_deleted=false&name_prefix=we&page=1", "", &found)
	require.Len(t, found, 1)
	assert.Equal(t, tunnel.ID, found[0].ID)
	var token string
	do(http.MethodGet, tunnels+"/"+tunnel.ID+"/token", "", &token)
	assert.Equal(t, tunnel.Token, token)
	do(http.MethodPost, tunnels+"/"+tunnel.ID+"/management/logs", "", &token)
	assert.NotEqual(t, tunnel.Token, token)

	root := strings.TrimSuffix(environment["CLOUDFLARE_BASE_URL"], "/client/v4")
	body := fmt.Sprintf(`{"token":%q}`, tunnel.Token)
	_, response := control(t, http.MethodPost, root+"/simulator/connectors", body)
	var connectors []struct {
		ID    string
		Conns []struct{ ID string }
	}
	do(http.MethodGet, tunnels+"/"+tunnel.ID+"/connections", "", &connectors)
	require.Len(t, connectors, 1)
	assert.Equal(t, response["connector_id"], connectors[0].ID)
	assert.Len(t, connectors[0].Conns, 4)

	status, code := do(http.MethodDelete, tunnels+"/"+tunnel.ID, "", nil)
	assert.Equal(t, http.StatusBadRequest, status)
	assert.Equal(t, 1022, code)
	connections := tunnels + "/" + tunnel.ID + "/connections?client_id=" + connectors[0].ID
	status, _ = do(http.MethodDelete, connections, "", nil)
	assert.Equal(t, http.StatusOK, status)
	status, _ = do(http.MethodDelete, tunnels+"/"+tunnel.ID+"?cascade=true", "", nil)
	assert.Equal(t, http.StatusOK, status)
	do(http.MethodGet, tunnels+"?is_deleted=false&name=web&page=1", "", &found)
	assert.Empty(t, found)
}
