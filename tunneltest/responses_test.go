package tunneltest_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every answer of the tunnel family has the same wrapping: cloudflared compares Content-Type whole and decodes messages as strings, which
// an empty list alone allows.
func TestEveryAnswerIsWrappedAlike(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	for _, r := range []struct {
		name, method, path, body string
		status                   int
	}{
		{"create", http.MethodPost, f.below("/cfd_tunnel"), `{"name":"other"}`, http.StatusOK},
		{"get", http.MethodGet, f.below("/cfd_tunnel/" + id), "", http.StatusOK},
		{"list", http.MethodGet, f.below("/cfd_tunnel"), "", http.StatusOK},
		{"all kinds", http.MethodGet, f.below("/tunnels"), "", http.StatusOK},
		{"token", http.MethodGet, f.below("/cfd_tunnel/" + id + "/token"), "", http.StatusOK},
		{"update", http.MethodPatch, f.below("/cfd_tunnel/" + id), `{"name":"renamed"}`, http.StatusOK},
		{"delete", http.MethodDelete, f.below("/cfd_tunnel/" + id), "", http.StatusOK},
		{"name taken", http.MethodPost, f.below("/cfd_tunnel"), `{"name":"other"}`, http.StatusConflict},
		{"not found", http.MethodGet, f.below("/cfd_tunnel/" + nobody), "", http.StatusNotFound},
		{"no route", http.MethodGet, "/ips", "", http.StatusNotFound},
	} {
		// One after the other: each finds the tunnel as the one before left it.
		answer := f.send(r.method, r.path, r.body)
		assert.Equal(t, r.status, answer.status, r.name)
		assert.Equal(t, []string{"application/json"}, answer.header["Content-Type"], r.name)
		assert.Regexp(t, `^[0-9a-f]{16}-[A-Z]{3}$`, answer.header.Get("cf-ray"), r.name)
		e := answer.envelope()
		assert.Equal(t, "[]", string(e.Messages), r.name)
		if r.status == http.StatusOK {
			assert.Equal(t, "true", string(e.Success), r.name)
			assert.Equal(t, "[]", string(e.Errors), r.name)
		} else {
			assert.Equal(t, "false", string(e.Success), r.name)
			assert.Equal(t, "null", string(e.Result), r.name)
		}
		if r.name == "list" || r.name == "all kinds" {
			// The tunnel family has no total_pages.
			assert.ElementsMatch(t, []string{"count", "page", "per_page", "total_count"}, keysOf(t, e.ResultInfo), r.name)
		} else {
			assert.Empty(t, e.ResultInfo, r.name)
		}
	}
}

func TestEveryAnswerHasARayOfItsOwn(t *testing.T) {
	t.Parallel()
	f := start(t)
	first := f.send(http.MethodGet, f.below("/cfd_tunnel"), "").header.Get("cf-ray")
	second := f.send(http.MethodGet, f.below("/cfd_tunnel"), "").header.Get("cf-ray")
	assert.NotEqual(t, first, second)
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	for _, c := range []struct {
		name, method, path string
		status, code       int
	}{
		{"no such route", http.MethodGet, "/ips", http.StatusNotFound, 7000},
		{"nothing below the account", http.MethodGet, f.below(""), http.StatusNotFound, 7000},
		{"no such resource of the account", http.MethodGet, f.below("/cfd_tunnels"), http.StatusNotFound, 7000},
		{"no such resource of the tunnel", http.MethodGet, f.below("/cfd_tunnel/" + id + "/tokens"), http.StatusNotFound, 7000},
		{"a path that goes on", http.MethodGet, f.below("/cfd_tunnel/" + id + "/token/x"), http.StatusNotFound, 7000},
		{"the base itself", http.MethodGet, "", http.StatusNotFound, 7000},
		{"short account id", http.MethodGet, "/accounts/0123/cfd_tunnel", http.StatusNotFound, 7003},
		{"account id of other letters", http.MethodGet, "/accounts/0123456789abcdef0123456789abcdeg/cfd_tunnel", http.StatusNotFound, 7003},
		{"escaped account id", http.MethodGet, "/accounts/%2e%2e/cfd_tunnel", http.StatusNotFound, 7003},
		{"malformed account id before an unknown tunnel", http.MethodGet, "/accounts/0123/cfd_tunnel/" + nobody, http.StatusNotFound, 7003},
		{"no tunnel id to delete", http.MethodDelete, f.below("/cfd_tunnel"), http.StatusMethodNotAllowed, 10000},
		{"no tunnel id to update", http.MethodPatch, f.below("/cfd_tunnel"), http.StatusMethodNotAllowed, 10000},
		{"empty tunnel id", http.MethodDelete, f.below("/cfd_tunnel/"), http.StatusMethodNotAllowed, 10000},
		{"empty account id", http.MethodGet, "/accounts//cfd_tunnel", http.StatusMethodNotAllowed, 10000},
		{"empty tunnel id before more", http.MethodGet, f.below("/cfd_tunnel//token"), http.StatusMethodNotAllowed, 10000},
		{"a method that a route lacks", http.MethodPut, f.below("/cfd_tunnel/" + id), http.StatusMethodNotAllowed, 10000},
		{"POST to all kinds", http.MethodPost, f.below("/tunnels"), http.StatusMethodNotAllowed, 10000},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			mine := &fake{f.Server, t, f.base, f.http}
			mine.send(c.method, c.path, "").fails(c.status, c.code)
		})
	}
}

// The numeric code is not known: the status alone counts.
func TestUnknownTunnels(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, c := range []struct{ method, path string }{
		{http.MethodGet, "/cfd_tunnel/" + nobody},
		{http.MethodPatch, "/cfd_tunnel/" + nobody},
		{http.MethodDelete, "/cfd_tunnel/" + nobody},
		{http.MethodGet, "/cfd_tunnel/" + nobody + "/token"},
		{http.MethodGet, "/cfd_tunnel/not-an-id"},
		{http.MethodGet, "/cfd_tunnel/.."},
	} {
		r := f.send(c.method, f.below(c.path), `{"name":"new"}`)
		assert.Equal(t, http.StatusNotFound, r.status, "%s %s", c.method, c.path)
		assert.False(t, f.lastRequest().Done)
	}
	page := f.send(http.MethodGet, f.below("/cfd_tunnel"), "")
	require.Equal(t, "[]", string(page.result()), "none of these made a tunnel")
}
