package tunneltest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const opApp = "POST /accounts/{account_id}/access/apps/{app_id}"

// echoApp returns the request's ID, query and body in the API's envelope.
func echoApp(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Own", "yes")
	w.WriteHeader(http.StatusCreated)
	_, _ = fmt.Fprintf(w, `{"success":true,"result":{"id":%q,"query":%q,"body":%q}}`,
		r.PathValue("app_id"), r.URL.RawQuery, body)
}

func TestHandle(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.Handle(opApp, http.HandlerFunc(echoApp))
	path := f.accountPath("/access/apps/an%20id")
	r := f.send(http.MethodPost, path+"?a=b", `{"name":"n"}`)
	assert.Equal(t, http.StatusCreated, r.status)
	assert.Equal(t, "yes", r.header.Get("X-Own"))
	assert.Equal(t, "application/json", r.header.Get("Content-Type"))
	assert.NotEmpty(t, r.header.Get("Cf-Ray"))
	assert.JSONEq(t, `{"id":"an id","query":"a=b","body":"{\"name\":\"n\"}"}`,
		string(r.envelope().Result))

	kept := f.lastRequest()
	assert.Equal(t, opApp, kept.Operation)
	assert.Equal(t, path, kept.Path)
	assert.Equal(t, `{"name":"n"}`, kept.Body.Reveal())
	assert.True(t, kept.Done)
	assert.Equal(t, http.StatusCreated, kept.Status)

	f.fetch(path).assertError(http.StatusNotFound, 7000)
	var result struct{ ID string }
	err := f.client().Do(t.Context(), http.MethodPost, path, nil, &result)
	require.NoError(t, err)
	assert.Equal(t, "an id", result.ID)
}

func TestHandle_BehindCredentialsAndQuota(t *testing.T) {
	t.Parallel()
	f := start(t, tunneltest.WithQuota(5, time.Hour))
	f.Handle(opApp, http.HandlerFunc(echoApp))
	path := f.accountPath("/access/apps/a")
	r, err := f.tryWith(http.MethodPost, path, "", http.Header{})
	require.NoError(t, err)
	r.assertError(http.StatusBadRequest, 9106)
	r, err = f.tryWith(http.MethodPost, path, "", http.Header{"Authorization": {"Bearer unknown"}})
	require.NoError(t, err)
	r.assertError(http.StatusUnauthorized, 1000)
	reader := f.AddToken(tunneltest.Token{ReadOnly: true}).Reveal()
	r, err = f.tryWith(http.MethodPost, path, "",
		http.Header{"Authorization": {"Bearer " + reader}})
	require.NoError(t, err)
	r.assertError(http.StatusForbidden, 10000)
	f.send(http.MethodPost, "/accounts/odd/access/apps/a", "").
		assertError(http.StatusNotFound, 7003)
	for _, request := range f.Requests() {
		assert.Equal(t, opApp, request.Operation)
		assert.False(t, request.Done)
	}
	for range 4 {
		assert.Equal(t, http.StatusCreated, f.send(http.MethodPost, path, "").status)
	}
	r = f.send(http.MethodPost, path, "")
	r.assertError(http.StatusTooManyRequests, 10429)
	assert.Equal(t, "3600", r.header.Get("Retry-After"))
}

func TestHandle_ChecksAccount(t *testing.T) {
	t.Parallel()
	f := start(t)
	const other = "ffffffffffffffffffffffffffffffff"
	zone, otherZone := f.SeedZone("example.com"), f.SeedZoneIn(other, "example.com")
	token := f.AddToken(tunneltest.Token{Owner: cftunnel.TokenOwnerAccount})
	for _, pattern := range []string{
		"GET /accounts/{account_id}/plain", "GET /accounts/{account_id}/tree/",
		"GET /accounts/{account_id}/rest/{path...}", "GET /accounts/{account_id}/end/{$}",
		"/accounts/{account_id}/any/", "GET /zones/{zone_id}/tree/",
	} {
		f.Handle(pattern, http.HandlerFunc(echoApp))
	}
	for _, path := range []string{
		"/accounts/ID/plain", "/accounts/ID/%70lain", "/accounts/ID/tree/", "/accounts/ID/tree/a/b",
		"/accounts/ID/rest/", "/accounts/ID/rest/a/b", "/accounts/ID/end/", "/accounts/ID/any/a",
		"/zones/ID/tree/a/b",
	} {
		send := func(token cftunnel.Secret, id string) response {
			return f.sendAs(token, http.MethodGet, strings.Replace(path, "ID", id, 1), "")
		}
		own, another := f.AccountID(), other
		if strings.HasPrefix(path, "/zones") {
			own, another = zone, otherZone
		} else {
			send(f.APIToken(), "not-an-id").assertError(http.StatusNotFound, 7003)
		}
		assert.Equal(t, http.StatusCreated, send(f.APIToken(), own).status, path)
		assert.Equal(t, http.StatusCreated, send(f.APIToken(), another).status, path)
		assert.Equal(t, http.StatusCreated, send(token, own).status, path)
		send(token, another).assertError(http.StatusForbidden, 10000)
	}
}

func TestHandle_Faults(t *testing.T) {
	t.Parallel()
	f := start(t)
	calls := 0
	f.Handle(opApp, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		echoApp(w, r)
	}))
	send := func(fault tunneltest.Fault) (response, error) {
		fault.Operation = opApp
		f.Inject(fault)
		return f.try(http.MethodPost, f.accountPath("/access/apps/a"), "")
	}
	r, err := send(tunneltest.Fault{Status: http.StatusBadGateway, Body: "<html>"})
	require.NoError(t, err)
	assert.Equal(t, http.StatusBadGateway, r.status)
	assert.Equal(t, "<html>", string(r.body))
	assert.Zero(t, calls)
	r, err = send(tunneltest.Fault{Status: http.StatusBadGateway, Work: true})
	require.NoError(t, err)
	assert.Equal(t, http.StatusBadGateway, r.status)
	assert.True(t, f.lastRequest().Done)
	assert.Equal(t, 1, calls)
	_, err = send(tunneltest.Fault{Cut: tunneltest.CutAfter})
	require.Error(t, err)
	assert.True(t, f.lastRequest().Done)
	_, err = send(tunneltest.Fault{Cut: tunneltest.CutInside})
	require.Error(t, err)
	_, err = send(tunneltest.Fault{Cut: tunneltest.CutBefore})
	require.Error(t, err)
	assert.Equal(t, 3, calls)
}

// The handler can call methods of the server, because the server's mutex is not locked.
func TestHandle_CallsTheServer(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.Handle("GET /own", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.SeedTunnels(1)
		page, err := f.client().Tunnels.List(r.Context(), cftunnel.TunnelListParams{})
		if assert.NoError(t, err) {
			_, _ = fmt.Fprintf(w, `{"success":true,"result":%d}`, len(page.Items))
		}
	}))
	assert.Equal(t, "1", string(f.fetch("/own").result()))
	assert.Len(t, f.Requests(), 2)
}

func TestHandle_Patterns(t *testing.T) {
	t.Parallel()
	f := start(t)
	own := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_,
				_ = io.WriteString(w, name)
		})
	}
	f.Handle("/any", own("any"))
	f.Handle("GET /client/v4/based", own("based"))
	f.Handle("/below/", own("below"))
	f.Handle("GET /rest/{path...}", own("rest"))
	f.Handle(opList, own("the fake's own"))
	for _, test := range []struct{ method, path, body, operation string }{
		{http.MethodGet, "/any", "any", "GET /any"},
		{http.MethodPut, "/any", "any", "PUT /any"},
		{http.MethodGet, "/based", "based", "GET /based"},
		{http.MethodGet, "/below/a/b", "below", "GET /below/"},
		{http.MethodGet, "/rest/a/b", "rest", "GET /rest/{path...}"},
		{http.MethodGet, f.accountPath("/cfd_tunnel"), "the fake's own", opList},
	} {
		r := f.send(test.method, test.path, "")
		assert.Equal(t, test.body, string(r.body), test.path)
		assert.Equal(t, test.operation, f.lastRequest().Operation)
		f.Inject(tunneltest.Fault{Operation: test.operation, Status: http.StatusTeapot})
		assert.Equal(t, http.StatusTeapot, f.send(test.method, test.path, "").status, test.path)
	}
	for _, path := range []string{"/anything", "/based/", "/below", "/below//a", "/below/../any"} {
		assert.NotEqual(t, http.StatusOK, f.fetch(path).status, path)
		assert.Empty(t, f.lastRequest().Operation)
	}
	f.send(http.MethodPost, f.accountPath("/cfd_tunnel"), `{"name":"web"}`).result()
	for _, bad := range []string{"", "GET", "GET any", "/any", "/{"} {
		assert.Panics(t, func() { f.Handle(bad, own("bad")) }, bad)
	}
	assert.Panics(t, func() { f.Inject(tunneltest.Fault{Operation: "GET /unknown", Status: 500}) })
}
