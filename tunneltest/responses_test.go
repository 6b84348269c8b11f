package tunneltest_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// cloudflared compares the whole Content-Type and decodes messages as strings, so messages must be
// empty.
func TestServer_ResponseEnvelope(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	for _, r := range []struct {
		name, method, path, body string
		status                   int
	}{
		{"create", http.MethodPost, f.accountPath("/cfd_tunnel"), `{"name":"other"}`, http.StatusOK},
		{"get", http.MethodGet, f.accountPath("/cfd_tunnel/" + id), "", http.StatusOK},
		{"list", http.MethodGet, f.accountPath("/cfd_tunnel"), "", http.StatusOK},
		{"list all types", http.MethodGet, f.accountPath("/tunnels"), "", http.StatusOK},
		{"token", http.MethodGet, f.accountPath("/cfd_tunnel/" + id + "/token"), "", http.StatusOK},
		{"update", http.MethodPatch, f.accountPath("/cfd_tunnel/" + id), `{"name":"renamed"}`, http.StatusOK},
		{"delete", http.MethodDelete, f.accountPath("/cfd_tunnel/" + id), "", http.StatusOK},
		{"name taken", http.MethodPost, f.accountPath("/cfd_tunnel"), `{"name":"other"}`, http.StatusConflict},
		{"not found", http.MethodGet, f.accountPath("/cfd_tunnel/" + unknownID), "", http.StatusNotFound},
		{"no route", http.MethodGet, "/ips", "", http.StatusNotFound},
	} {
		// Sequential, because each request depends on the ones before.
		resp := f.send(r.method, r.path, r.body)
		assert.Equal(t, r.status, resp.status, r.name)
		assert.Equal(t, []string{"application/json"}, resp.header["Content-Type"], r.name)
		assert.Regexp(t, `^[0-9a-f]{16}-[A-Z]{3}$`, resp.header.Get("cf-ray"), r.name)
		e := resp.envelope()
		assert.Equal(t, "[]", string(e.Messages), r.name)
		if r.status == http.StatusOK {
			assert.Equal(t, "true", string(e.Success), r.name)
			assert.Equal(t, "[]", string(e.Errors), r.name)
		} else {
			assert.Equal(t, "false", string(e.Success), r.name)
			assert.Equal(t, "null", string(e.Result), r.name)
		}
		if r.name == "list" || r.name == "list all types" {
			// Lists of tunnels have no total_pages.
			want := []string{"count", "page", "per_page", "total_count"}
			assert.ElementsMatch(t, want, keysOf(t, e.ResultInfo), r.name)
		} else {
			assert.Empty(t, e.ResultInfo, r.name)
		}
	}
}

func TestServer_DistinctRayIDs(t *testing.T) {
	t.Parallel()
	f := start(t)
	first := f.fetch(f.accountPath("/cfd_tunnel")).header.Get("cf-ray")
	second := f.fetch(f.accountPath("/cfd_tunnel")).header.Get("cf-ray")
	assert.NotEqual(t, first, second)
}

func TestServer_UnknownRoutes(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	for _, c := range []struct {
		name, method, path string
		status, code       int
	}{
		{"unknown path", http.MethodGet, "/ips", http.StatusNotFound, 7000},
		{"account without a path", http.MethodGet, f.accountPath(""), http.StatusNotFound, 7000},
		{"unknown path of the account", http.MethodGet, f.accountPath("/cfd_tunnels"), http.StatusNotFound, 7000},
		{"unknown path of the tunnel", http.MethodGet, f.accountPath("/cfd_tunnel/" + id + "/tokens"), http.StatusNotFound, 7000},
		{"path that is too long", http.MethodGet, f.accountPath("/cfd_tunnel/" + id + "/token/x"), http.StatusNotFound, 7000},
		{"base path", http.MethodGet, "", http.StatusNotFound, 7000},
		{"short account ID", http.MethodGet, "/accounts/0123/cfd_tunnel", http.StatusNotFound, 7003},
		{"account ID that is not hexadecimal", http.MethodGet, "/accounts/0123456789abcdef0123456789abcdeg/cfd_tunnel", http.StatusNotFound, 7003},
		{"escaped account ID", http.MethodGet, "/accounts/%2e%2e/cfd_tunnel", http.StatusNotFound, 7003},
		{"malformed account ID and unknown tunnel", http.MethodGet, "/accounts/0123/cfd_tunnel/" + unknownID, http.StatusNotFound, 7003},
		{"DELETE without a tunnel ID", http.MethodDelete, f.accountPath("/cfd_tunnel"), http.StatusMethodNotAllowed, 10000},
		{"PATCH without a tunnel ID", http.MethodPatch, f.accountPath("/cfd_tunnel"), http.StatusMethodNotAllowed, 10000},
		{"empty tunnel ID", http.MethodDelete, f.accountPath("/cfd_tunnel/"), http.StatusMethodNotAllowed, 10000},
		{"empty account ID", http.MethodGet, "/accounts//cfd_tunnel", http.StatusMethodNotAllowed, 10000},
		{"empty tunnel ID before /token", http.MethodGet, f.accountPath("/cfd_tunnel//token"), http.StatusMethodNotAllowed, 10000},
		{"method that the route does not have", http.MethodPut, f.accountPath("/cfd_tunnel/" + id), http.StatusMethodNotAllowed, 10000},
		{"POST to all types", http.MethodPost, f.accountPath("/tunnels"), http.StatusMethodNotAllowed, 10000},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			mine := &fake{f.Server, t, f.base, f.http}
			mine.send(c.method, c.path, "").assertError(c.status, c.code)
		})
	}
}

// The real code for an ID that is not a UUID is not known, so only the status is checked.
func TestTunnels_UnknownID(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, c := range []struct {
		method, path string
		code         int
	}{
		{http.MethodGet, "/cfd_tunnel/" + unknownID, 1002},
		{http.MethodPatch, "/cfd_tunnel/" + unknownID, 1002},
		{http.MethodDelete, "/cfd_tunnel/" + unknownID, 1002},
		{http.MethodGet, "/cfd_tunnel/" + unknownID + "/connections", 1002},
		{http.MethodGet, "/cfd_tunnel/" + unknownID + "/token", 1054},
		{http.MethodGet, "/cfd_tunnel/" + unknownID + "/configurations", 1055},
		{http.MethodGet, "/cfd_tunnel/not-an-id", 0},
		{http.MethodGet, "/cfd_tunnel/..", 0},
	} {
		r := f.send(c.method, f.accountPath(c.path), `{"name":"new"}`)
		assert.Equal(t, http.StatusNotFound, r.status, "%s %s", c.method, c.path)
		if c.code != 0 {
			r.assertError(http.StatusNotFound, c.code)
		}
		assert.False(t, f.lastRequest().Done)
	}
	page := f.fetch(f.accountPath("/cfd_tunnel"))
	require.Equal(t, "[]", string(page.result()), "no tunnel was created")
}
