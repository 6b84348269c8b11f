package tunneltest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// routeResult is the result of a route as cloudflared decodes it.
type routeResult struct {
	CName        string `json:"cname"`
	Name         string `json:"name"`
	LoadBalancer string `json:"load_balancer"`
	Pool         string `json:"pool"`
}

// route sends the request of `cloudflared tunnel route`.
func (f zoneFake) route(tunnelID, body string) (result routeResult) {
	f.t.Helper()
	require.NoError(f.t, json.Unmarshal(f.tryRoute(tunnelID, body).result(), &result))
	return result
}

func (f zoneFake) tryRoute(tunnelID, body string) response {
	f.t.Helper()
	return f.send(http.MethodPut,
		strings.Replace(f.records, "dns_records", "tunnels/"+tunnelID+"/routes", 1), body)
}

func TestTunnelRoutes_DNS(t *testing.T) {
	t.Parallel()
	f := startWithZone(t)
	one, _ := f.fake.create("one")
	other, _ := f.fake.create("other")
	route := `{"type":"dns","user_hostname":"app.example.com","overwrite_existing":false}`
	overwrite := strings.Replace(route, "false", "true", 1)

	assert.Equal(t, routeResult{CName: "new", Name: "app.example.com"}, f.route(one, route))
	assert.Equal(t, routeResult{CName: "unchanged", Name: "app.example.com"}, f.route(one, route))
	assert.Equal(t, routeResult{CName: "unchanged", Name: "app.example.com"},
		f.route(one, overwrite))
	f.tryRoute(other, route).assertError(http.StatusBadRequest, 1003)
	assert.Equal(t, one+".cfargotunnel.com", f.content("app.example.com"))
	assert.Equal(t, routeResult{CName: "updated", Name: "app.example.com"},
		f.route(other, overwrite))
	assert.Equal(t, other+".cfargotunnel.com", f.content("app.example.com"))

	// A record that is not proxied does not count as unchanged.
	f.path(`{"type":"CNAME","name":"plain","content":"` + one + `.cfargotunnel.com"}`)
	f.tryRoute(one, `{"type":"dns","user_hostname":"plain.example.com"}`).
		assertError(http.StatusBadRequest, 1003)

	f.path(`{"type":"A","name":"web","content":"192.0.2.1"}`)
	f.path(`{"type":"AAAA","name":"web","content":"2001:db8::1"}`)
	f.path(`{"type":"TXT","name":"web","content":"x"}`)
	f.tryRoute(one, `{"type":"dns","user_hostname":"web.example.com"}`).
		assertError(http.StatusBadRequest, 1003)
	f.tryRoute(one, `{"type":"dns","user_hostname":"web","overwrite_existing":true}`).
		assertError(http.StatusBadRequest, 1003)
	assert.Equal(t, "updated",
		f.route(one,
			`{"type":"dns","user_hostname":"web.example.com","overwrite_existing":true}`).CName)
	names, _ := f.fetch(f.records + "?name=web.example.com").namesIn()
	assert.Len(t, names, 2, "the TXT record stays")

	// The name of the zone is appended to a hostname outside the zone.
	assert.Equal(t, routeResult{CName: "new", Name: "app.other.test.example.com"},
		f.route(one, `{"type":"dns","user_hostname":"app.other.test"}`))
}

// content returns the content of the only record with this name.
func (f zoneFake) content(name string) string {
	f.t.Helper()
	var records []struct{ Content string }
	require.NoError(f.t, json.Unmarshal(f.fetch(f.records+"?name="+name).result(), &records))
	require.Len(f.t, records, 1)
	return records[0].Content
}

func TestTunnelRoutes_LoadBalancer(t *testing.T) {
	t.Parallel()
	f := startWithZone(t)
	one, _ := f.fake.create("one")
	other, _ := f.fake.create("other")
	route := func(name, pool string) string {
		return `{"type":"lb","lb_name":"` + name + `","lb_pool":"` + pool + `"}`
	}
	assert.Equal(t, routeResult{LoadBalancer: "new", Pool: "new"},
		f.route(one, route("lb.example.com", "p")))
	assert.Equal(t, routeResult{LoadBalancer: "unchanged", Pool: "unchanged"},
		f.route(one, route("lb.example.com", "p")))
	assert.Equal(t, routeResult{LoadBalancer: "unchanged", Pool: "updated"},
		f.route(other, route("lb.example.com", "p")))
	assert.Equal(t, routeResult{LoadBalancer: "updated", Pool: "new"},
		f.route(one, route("lb.example.com", "q")))
	assert.Equal(t, routeResult{LoadBalancer: "new", Pool: "unchanged"},
		f.route(one, route("lb2.example.com", "q")))
}

func TestTunnelRoutes_Invalid(t *testing.T) {
	t.Parallel()
	f := startWithZone(t)
	id, _ := f.fake.create("one")
	for _, body := range []string{
		"", "[]", "{}", `{"type":"dns"}`, `{"type":"lb","lb_name":"x"}`, `{"type":"x","user_hostname":"a.example.com"}`,
		`{"type":"dns","user_hostname":"a b.example.com"}`,
	} {
		assert.Equal(t, http.StatusBadRequest, f.tryRoute(id, body).status, body)
	}
	route := `{"type":"dns","user_hostname":"app.example.com"}`
	assert.Equal(t, http.StatusNotFound, f.tryRoute(unknownID, route).status)
	f.delete(id)
	assert.Equal(t, http.StatusNotFound, f.tryRoute(id, route).status)
	f.send(http.MethodPut, "/zones/"+strings.Repeat("0", 32)+"/tunnels/"+id+"/routes", route).
		assertError(http.StatusNotFound, 7003)
	names, _ := f.fetch(f.records).namesIn()
	assert.Empty(t, names)
}
