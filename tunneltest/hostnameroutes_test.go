package tunneltest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func TestHostnameRoutes_Responses(t *testing.T) {
	t.Parallel()
	f, c := startWithFixedTime(t)
	tunnel, _ := f.create("web")
	created := f.send(http.MethodPost, f.accountPath(hosts),
		`{"hostname":"wiki.internal","tunnel_id":"`+tunnel+`","comment":"lab"}`)
	path := f.accountPath(hosts + "/" + created.object().ID)
	wantJSON := func(deleted string) string {
		return `{"id":"` + created.object().ID + `","comment":"lab","created_at":` + createdAt +
			`,"deleted_at":` + deleted +
			`,"hostname":"wiki.internal","tun_type":"cfd_tunnel","tunnel_id":"` + tunnel + `","tunnel_name":"web"}`
	}
	created.assertBody(envelopeWith(wantJSON("null")))
	f.fetch(path).assertBody(envelopeWith(wantJSON("null")))
	f.fetch(f.accountPath(hosts)).assertBody(pageWith("["+wantJSON("null")+"]", 1))
	c.advance(time.Hour)
	f.send(http.MethodDelete, path, "").assertBody(envelopeWith(wantJSON(hourLater)))
}

func TestHostnameRoutes_DuplicateHostname(t *testing.T) {
	t.Parallel()
	f := start(t)
	web, _ := f.create("web")
	shop, _ := f.create("shop")
	wiki := f.add(hosts, `{"hostname":"wiki.internal","tunnel_id":"`+web+`"}`)
	git := f.add(hosts, `{"hostname":"git.internal","tunnel_id":"`+web+`"}`)
	path := f.accountPath(hosts + "/" + git.ID)
	f.send(http.MethodPost, f.accountPath(hosts),
		`{"hostname":"WIKI.internal","tunnel_id":"`+shop+`"}`).
		assertError(http.StatusConflict, 1001)
	f.send(http.MethodPatch, path, `{"hostname":"wiki.internal"}`).
		assertError(http.StatusConflict, 1001)

	git.TunnelID, git.Tunnel, git.Comment = shop, "shop", "code"
	assert.Equal(t, git,
		f.send(http.MethodPatch, path, `{"tunnel_id":"`+shop+`","comment":"code"}`).object())
	for _, body := range []string{`{}`, `{"comment":"code"}`, `{"comment":"x","tunnel_name":"shop"}`} {
		f.send(http.MethodPatch, path, body).assertError(http.StatusInternalServerError, 1000)
	}
	f.send(http.MethodDelete, f.accountPath(hosts+"/"+wiki.ID), "").object()
	assert.Equal(t, "wiki.internal",
		f.send(http.MethodPatch, path, `{"hostname":"wiki.internal"}`).object().Hostname)
}

func TestHostnameRoutes_Invalid(t *testing.T) {
	t.Parallel()
	f := start(t)
	web, _ := f.create("web")
	wiki := f.add(hosts, `{"hostname":"wiki.internal","tunnel_id":"`+web+`"}`)
	for _, member := range []string{
		`"hostname":" "`, `"hostname":7`, `"hostname":"` + strings.Repeat("x", 256) + `"`, `"comment":"` + strings.Repeat("x", 101) + `"`,
	} {
		f.send(http.MethodPatch, f.accountPath(hosts+"/"+wiki.ID), `{`+member+`}`).
			assertError(http.StatusBadRequest, 1001)
		f.send(http.MethodPost, f.accountPath(hosts),
			`{"hostname":"a","tunnel_id":"`+web+`",`+member+`}`).
			assertError(http.StatusBadRequest, 1001)
	}
	for _, body := range []string{``, `[]`, `{"hostname":"a"}`, `{"tunnel_id":"` + web + `"}`} {
		f.send(http.MethodPost, f.accountPath(hosts), body).assertError(http.StatusBadRequest, 1001)
	}
	f.send(http.MethodPost, f.accountPath(hosts), `{"hostname":"a","tunnel_id":"`+unknownID+`"}`).
		assertError(http.StatusNotFound, 1002)
	f.send(http.MethodDelete, f.accountPath(hosts+"/"+wiki.ID), "").object()
	for _, id := range []string{wiki.ID, unknownID} {
		f.fetch(f.accountPath(hosts+"/"+id)).assertError(http.StatusNotFound, 1001)
		f.send(http.MethodPatch, f.accountPath(hosts+"/"+id), `{"comment":"x"}`).
			assertError(http.StatusNotFound, 1001)
		f.send(http.MethodDelete, f.accountPath(hosts+"/"+id), "").
			assertError(http.StatusNotFound, 1001)
	}
}

func TestHostnameRoutes_Filters(t *testing.T) {
	t.Parallel()
	c := newClock(noon)
	f := start(t, tunneltest.WithClock(c.Now))
	web, _ := f.create("web")
	shop, _ := f.create("shop")
	wiki := f.add(hosts, `{"hostname":"Wiki.internal","tunnel_id":"`+web+`","comment":"lab"}`)
	f.add(hosts, `{"hostname":"git.internal","tunnel_id":"`+shop+`"}`)
	c.advance(time.Hour)
	f.send(http.MethodDelete, f.accountPath(hosts+"/"+wiki.ID), "").object()
	f.add(hosts, `{"hostname":"wiki.example.com","tunnel_id":"`+web+`"}`)
	for query, names := range map[string]string{
		"": "Wiki.internal git.internal wiki.example.com", "is_deleted=false": "git.internal wiki.example.com", "is_deleted=true": "Wiki.internal",
		"hostname=wiki": "Wiki.internal wiki.example.com", "hostname=INTERNAL&is_deleted=false": "git.internal", "hostname=none": "",
		"id=" + wiki.ID: "Wiki.internal", "tunnel_id=" + shop: "git.internal", "comment=lab": "Wiki.internal",
		"existed_at=" + hour(0.5): "Wiki.internal git.internal", "per_page=1&page=2": "git.internal",
	} {
		assert.Equal(t, strings.Fields(names), f.listNames(hosts+"?"+query), query)
	}
	f.fetch(f.accountPath(hosts+"?existed_at=noon")).assertError(http.StatusBadRequest, 1001)
}
