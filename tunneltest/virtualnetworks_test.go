package tunneltest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// networkOf is a virtual network or a route in a response.
type networkOf struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Network   string     `json:"network"`
	Hostname  string     `json:"hostname"`
	Comment   string     `json:"comment"`
	IsDefault bool       `json:"is_default_network"`
	VNetID    string     `json:"virtual_network_id"`
	VNetName  string     `json:"virtual_network_name"`
	TunnelID  string     `json:"tunnel_id"`
	Tunnel    string     `json:"tunnel_name"`
	Type      string     `json:"tun_type"`
	DeletedAt *time.Time `json:"deleted_at"`
}

// object decodes a result that is a virtual network or a route.
func (r response) object() (object networkOf) {
	r.t.Helper()
	require.NoError(r.t, json.Unmarshal(r.result(), &object))
	return object
}

// objects decodes a result that is a list of virtual networks or routes.
func (r response) objects() (list []networkOf) {
	r.t.Helper()
	require.NoError(r.t, json.Unmarshal(r.result(), &list))
	return list
}

// listNames returns the names, networks or hostnames of a list, in the order of the server.
func (f *fake) listNames(path string) []string {
	f.t.Helper()
	names := []string{}
	for _, object := range f.fetch(f.accountPath(path)).objects() {
		names = append(names, object.Name+object.Network+object.Hostname)
	}
	return names
}

// add creates a virtual network or a route.
func (f *fake) add(path, body string) networkOf {
	f.t.Helper()
	return f.send(http.MethodPost, f.accountPath(path), body).object()
}

const (
	vnets  = "/teamnet/virtual_networks"
	routes = "/teamnet/routes"
	hosts  = "/zerotrust/routes/hostname"
)

func TestVirtualNetworks_DefaultOfNewAccount(t *testing.T) {
	t.Parallel()
	f := start(t)
	list := f.fetch(f.accountPath(vnets)).objects()
	require.Len(t, list, 1)
	assert.True(t, list[0].IsDefault)
	assert.Nil(t, list[0].DeletedAt)

	other := f.fetch("/accounts/" + strings.Repeat("0", 32) + vnets).objects()
	require.Len(t, other, 1)
	assert.NotEqual(t, list[0].ID, other[0].ID)
}

func TestVirtualNetworks_Responses(t *testing.T) {
	t.Parallel()
	f, c := startWithFixedTime(t)
	created := f.send(http.MethodPost, f.accountPath(vnets), `{"name":"blue","comment":"lab"}`)
	path := f.accountPath(vnets + "/" + created.object().ID)
	wantJSON := func(deleted string) string {
		return `{"id":"` + created.object().ID + `","name":"blue","comment":"lab","is_default_network":false,"created_at":` + createdAt +
			`,"deleted_at":` + deleted + `}`
	}
	created.assertBody(envelopeWith(wantJSON("null")))
	f.fetch(path).assertBody(envelopeWith(wantJSON("null")))
	f.fetch(f.accountPath(vnets + "?name=blue")).
		assertBody(envelopeWith("[" + wantJSON("null") + "]"))
	f.fetch(f.accountPath(vnets + "?name=blue&per_page=1000")).
		assertBody(pageWith("["+wantJSON("null")+"]", 1))
	c.advance(time.Hour)
	f.send(http.MethodDelete, path, "").assertBody(envelopeWith(wantJSON(hourLater)))
}

func TestVirtualNetworks_OneDefault(t *testing.T) {
	t.Parallel()
	f := start(t)
	defaults := func() []string { return f.listNames(vnets + "?is_default_network=true") }
	first := f.fetch(f.accountPath(vnets)).objects()[0]
	for _, body := range []string{`{"name":"a","is_default_network":true}`, `{"name":"b","is_default":true}`} {
		assert.True(t, f.add(vnets, body).IsDefault, body)
	}
	assert.Equal(t, []string{"b"}, defaults())
	assert.True(t,
		f.send(http.MethodPatch, f.accountPath(vnets+"/"+first.ID), `{"is_default_network":true}`).
			object().IsDefault)
	assert.Equal(t, []string{first.Name}, defaults())
	assert.Equal(t, defaults(), f.listNames(vnets+"?is_default=true"))
	assert.Equal(t, []string{"a", "b"}, f.listNames(vnets+"?is_default=false"))

	f.send(http.MethodPatch, f.accountPath(vnets+"/"+first.ID), `{"is_default_network":false}`).
		assertError(http.StatusBadRequest, 1001)
	f.send(http.MethodDelete, f.accountPath(vnets+"/"+first.ID), "").
		assertError(http.StatusBadRequest, 1001)
	f.send(http.MethodDelete, f.accountPath(vnets+"/"+first.ID+"?force=true"), "").
		assertError(http.StatusBadRequest, 1001)
	assert.Equal(t, []string{first.Name}, defaults())
}

func TestVirtualNetworks_Delete(t *testing.T) {
	t.Parallel()
	f := start(t)
	tunnel, _ := f.create("web")
	blue, green := f.add(vnets, `{"name":"blue"}`), f.add(vnets, `{"name":"green"}`)
	for _, network := range []networkOf{blue, green} {
		f.add(
			routes,
			`{"network":"10.0.0.0/8","tunnel_id":"`+tunnel+`",`+
				`"virtual_network_id":"`+network.ID+`"}`,
		)
	}
	bluePath := f.accountPath(vnets + "/" + blue.ID)
	f.send(http.MethodDelete, bluePath, "").assertError(http.StatusConflict, 1001)
	f.send(http.MethodDelete, bluePath+"?force=false", "").assertError(http.StatusConflict, 1001)
	assert.Len(t, f.listNames(routes+"?is_deleted=false"), 2)
	assert.NotNil(t, f.send(http.MethodDelete, bluePath+"?force=true", "").object().DeletedAt)
	left := f.fetch(f.accountPath(routes + "?is_deleted=false")).objects()
	require.Len(t, left, 1, "its routes were deleted too")
	assert.Equal(t, green.ID, left[0].VNetID)

	f.fetch(bluePath).assertError(http.StatusNotFound, 1046)
	f.send(http.MethodPatch, bluePath, `{"comment":"x"}`).assertError(http.StatusNotFound, 1046)
	f.send(http.MethodDelete, bluePath, "").assertError(http.StatusNotFound, 1046)
	f.send(http.MethodPost, f.accountPath(routes),
		`{"network":"10.0.0.0/8","tunnel_id":"`+tunnel+`","virtual_network_id":"`+blue.ID+`"}`).
		assertError(http.StatusNotFound, 1046)
	assert.Equal(t, []string{"default", "blue", "green"}, f.listNames(vnets))
	assert.Equal(t, []string{"default", "green"}, f.listNames(vnets+"?is_deleted=false"))
	assert.Equal(t, []string{"blue"}, f.listNames(vnets+"?is_deleted=true"))

	f.send(http.MethodDelete, f.accountPath(routes+"/"+left[0].ID), "").object()
	f.send(http.MethodDelete, f.accountPath(vnets+"/"+green.ID), "").object()
	assert.NotEqual(t, blue.ID, f.add(vnets, `{"name":"blue"}`).ID, "its name is available again")
}

func TestVirtualNetworks_Updates(t *testing.T) {
	t.Parallel()
	f := start(t)
	blue := f.add(vnets, `{"name":"blue","comment":"lab"}`)
	f.add(vnets, `{"name":"green"}`)
	path := f.accountPath(vnets + "/" + blue.ID)
	changed := f.send(http.MethodPatch, path, `{"name":"teal"}`).object()
	assert.Equal(t, networkOf{ID: blue.ID, Name: "teal", Comment: "lab"}, changed)
	assert.Empty(t, f.send(http.MethodPatch, path, `{"comment":""}`).object().Comment)
	for _, body := range []string{`{}`, `{"name":"teal"}`, `{"is_default_network":false}`, `{"comment":"new","id":"` + blue.ID + `"}`, `{"name":null}`} {
		f.send(http.MethodPatch, path, body).assertError(http.StatusInternalServerError, 1000)
	}
	f.send(http.MethodPatch, path, `{"name":"green"}`).assertError(http.StatusConflict, 1014)
	f.send(http.MethodPost, f.accountPath(vnets), `{"name":"green"}`).
		assertError(http.StatusConflict, 1014)
	long := strings.Repeat("é", 257)
	for _, body := range []string{``, `[]`, `null`, `{"name":7}`, `{"name":" "}`, `{"name":"` + long + `"}`, `{"comment":"` + long + `"}`} {
		f.send(http.MethodPatch, path, body).assertError(http.StatusBadRequest, 1001)
		f.send(http.MethodPost, f.accountPath(vnets), body).assertError(http.StatusBadRequest, 1001)
	}
	f.send(http.MethodPatch, path, `{"comment":"`+strings.Repeat("é", 256)+`"}`).object()
	assert.Equal(t, []string{"default", "teal", "green"}, f.listNames(vnets))
}

func TestVirtualNetworks_Pages(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, name := range []string{"a", "b", "c"} {
		f.add(vnets, `{"name":"`+name+`"}`)
	}
	assert.Nil(t, f.fetch(f.accountPath(vnets)).envelope().ResultInfo, "the list is not paginated")
	assert.Equal(t, []string{"default", "a"}, f.listNames(vnets+"?per_page=2"))
	page := f.fetch(f.accountPath(vnets + "?per_page=2&page=2"))
	assert.Len(t, page.objects(), 2)
	assert.JSONEq(t, `{"count":2,"page":2,"per_page":2,"total_count":4}`,
		string(page.envelope().ResultInfo))
	assert.Empty(t, f.listNames(vnets+"?per_page=2&page=3"))
	f.fetch(f.accountPath(vnets+"?per_page=none")).assertError(http.StatusBadRequest, 1001)
}

func TestPrivateNetworks_Permissions(t *testing.T) {
	t.Parallel()
	f := start(t)
	token := f.AddToken(tunneltest.Token{ReadOnly: true})
	header := http.Header{"Authorization": {"Bearer " + token.Reveal()}}
	for _, path := range []string{vnets, routes, hosts, routes + "/ip/10.0.0.1"} {
		r, err := f.tryWith(http.MethodGet, f.accountPath(path), "", header)
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, r.status, path)
	}
	for _, path := range []string{vnets, routes, hosts} {
		for _, method := range []string{http.MethodPost, http.MethodPatch, http.MethodDelete} {
			path := path
			if method != http.MethodPost {
				path += "/" + unknownID
			}
			r, err := f.tryWith(method, f.accountPath(path), "{}", header)
			require.NoError(t, err)
			r.assertError(http.StatusForbidden, 10000)
		}
	}
}

// A request without an ID must not apply to the collection.
func TestPrivateNetworks_PathWithoutID(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, path := range []string{vnets, routes, hosts} {
		for _, end := range []string{"", "/"} {
			f.send(http.MethodDelete, f.accountPath(path+end), "").
				assertError(http.StatusMethodNotAllowed, 10000)
			f.send(http.MethodPatch, f.accountPath(path+end), "{}").
				assertError(http.StatusMethodNotAllowed, 10000)
		}
	}
	f.send(http.MethodPost, f.accountPath(routes+"/network/10.0.0.0%2F8"), "{}").
		assertError(http.StatusNotFound, 7000)
}
