package tunneltest_test

import (
	"encoding/base64"
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

// These tests compare answers byte by byte: programs that nobody here wrote read them, and some by their order and their form.

const shapeAccount = "699d98642c564d2e855e9661899b7252"

// startShapes serves a fake at a time that shows where a time is cut off: east of Greenwich, with nanoseconds.
func startShapes(t *testing.T) (*fake, *clock) {
	t.Helper()
	c := newClock(noon.Add(317854999).In(time.FixedZone("", 2*60*60)))
	return start(t, tunneltest.WithAccountID(shapeAccount), tunneltest.WithClock(c.Now)), c
}

// born is the time of startShapes as the API writes it, and later an hour after it.
const (
	born  = `"2026-10-05T12:00:00.317854Z"`
	later = `"2026-10-05T13:00:00.317854Z"`
)

func wrapped(result string) string {
	return `{"success":true,"errors":[],"messages":[],"result":` + result + `}`
}

func wrappedPage(result string, count int) string {
	info := fmt.Sprintf(`,"result_info":{"count":%d,"page":1,"per_page":1000,"total_count":%[1]d}}`, count)
	return strings.TrimSuffix(wrapped(result), "}") + info
}

// is compares the whole body.
func (r reply) is(want string) {
	r.t.Helper()
	assert.Equal(r.t, want, string(r.body))
}

// tunnelShape is a tunnel up to where its kinds and answers differ.
func tunnelShape(id, name, deleted, connections, active, inactive, kind, status string) string {
	return `{"id":"` + id + `","account_tag":"` + shapeAccount + `","created_at":` + born + `,"deleted_at":` + deleted +
		`,"name":"` + name + `",` + connections +
		`"conns_active_at":` + active + `,"conns_inactive_at":` + inactive + `,"tun_type":"` + kind + `","metadata":{},"status":"` + status + `"`
}

func cloudflaredShape(id, name, status, active, inactive string) string {
	return tunnelShape(id, name, "null", "", active, inactive, "cfd_tunnel", status)
}

func TestTunnelsAreShapedAsReal(t *testing.T) {
	t.Parallel()
	f, c := startShapes(t)
	secret := secretOf(32, 1)
	created := f.send(http.MethodPost, f.below("/cfd_tunnel"), `{"name":"blog","config_src":"cloudflare","tunnel_secret":"`+secret+`"}`)
	id := created.text("id")
	tokenOf := func(secret string) string {
		return base64.StdEncoding.EncodeToString([]byte(`{"a":"` + shapeAccount + `","t":"` + id + `","s":"` + secret + `"}`))
	}
	created.is(wrapped(tunnelShape(id, "blog", "null", `"connections":[],`, "null", born, "cfd_tunnel", "inactive") +
		`,"remote_config":true,"credentials_file":{"AccountTag":"` + shapeAccount + `","TunnelID":"` + id +
		`","TunnelName":"blog","TunnelSecret":"` + secret + `"},"token":"` + tokenOf(secret) + `"}`))

	path := f.below("/cfd_tunnel/" + id)
	remote := `,"remote_config":true,"config_src":"cloudflare"`
	idle := cloudflaredShape(id, "blog", "inactive", "null", born) + remote + "}"
	f.send(http.MethodGet, path, "").is(wrapped(idle))
	f.send(http.MethodGet, f.below("/cfd_tunnel"), "").is(wrappedPage("["+idle+"]", 1))
	f.send(http.MethodGet, f.below("/tunnels"), "").is(wrappedPage("["+idle+"]", 1))
	f.send(http.MethodGet, f.below("/cfd_tunnel?name=other"), "").is(wrappedPage("[]", 0))
	f.send(http.MethodGet, path+"/token", "").is(wrapped(`"` + tokenOf(secret) + `"`))

	renewed := secretOf(32, 2)
	f.send(http.MethodPatch, path, `{"tunnel_secret":"`+renewed+`"}`).
		is(wrapped(cloudflaredShape(id, "blog", "inactive", "null", born) + remote + `,"token":"` + tokenOf(renewed) + `"}`))

	connector := f.connect(cftunnel.NewSecret(tokenOf(renewed)))
	f.send(http.MethodGet, path, "").is(wrapped(cloudflaredShape(id, "blog", "healthy", born, "null") + remote + "}"))
	c.advance(time.Hour)
	f.Disconnect(connector)
	f.send(http.MethodGet, path, "").is(wrapped(cloudflaredShape(id, "blog", "down", "null", later) + remote + "}"))

	gone := tunnelShape(id, "blog", later, "", "null", later, "cfd_tunnel", "down") + `,"remote_config":true}`
	f.send(http.MethodDelete, path, "").is(wrapped(gone))
	f.send(http.MethodGet, path, "").is(wrapped(gone))
	f.send(http.MethodGet, f.below("/cfd_tunnel?is_deleted=true"), "").is(wrappedPage("["+gone+"]", 1))
}

func TestLocallyManagedTunnelsAreShapedAsReal(t *testing.T) {
	t.Parallel()
	f, _ := startShapes(t)
	created := f.send(http.MethodPost, f.below("/cfd_tunnel"), `{"name":"blog"}`)
	assert.Contains(t, string(created.body), `,"status":"inactive","remote_config":false,"credentials_file":{"AccountTag":`)
	id := created.text("id")
	f.send(http.MethodGet, f.below("/cfd_tunnel/"+id), "").
		is(wrapped(cloudflaredShape(id, "blog", "inactive", "null", born) + `,"remote_config":false,"config_src":"local"}`))
}

func TestConnectorsAreShapedAsReal(t *testing.T) {
	t.Parallel()
	f, c := startShapes(t)
	id, token := f.create("blog")
	connector := f.connect(token)
	path := f.below("/cfd_tunnel/" + id)
	one := f.send(http.MethodGet, path+"/connectors/"+connector, "")
	version, conns := one.text("version"), f.connections(one)
	require.Len(t, conns, 4)
	var list []string
	for _, conn := range conns {
		list = append(list, `{"id":"`+conn.id+`","uuid":"`+conn.id+`","client_id":"`+connector+`","client_version":"`+version+`","colo_name":"`+conn.colo+
			`","opened_at":`+born+`,"origin_ip":"198.51.100.7","is_pending_reconnect":false}`)
	}
	whole := `{"id":"` + connector + `","version":"` + version + `","arch":"linux_amd64","features":["ha-origin","management_logs"],"run_at":` + born +
		`,"config_version":0,"conns":[` + strings.Join(list, ",") + `]}`
	one.is(wrapped(whole))
	f.send(http.MethodGet, path+"/connections", "").is(wrapped("[" + whole + "]"))
	f.send(http.MethodDelete, path+"/connections?client_id="+connector, "").is(wrapped("null"))
	f.send(http.MethodGet, path+"/connections", "").is(wrapped("[]"))
	c.advance(time.Hour)
	assert.Contains(t, string(f.send(http.MethodGet, path+"/connections", "").body), `"opened_at":"2026-10-05T12:00:01.317854Z"`, "when it came back")
}

// connection is what no test can know of a connection.
type connection struct{ id, colo string }

func (f *fake) connections(r reply) (list []connection) {
	f.t.Helper()
	for _, part := range strings.Split(string(r.fields()["conns"]), "},{") {
		var c connection
		c.id, _, _ = strings.Cut(part[strings.Index(part, `"id":"`)+len(`"id":"`):], `"`)
		c.colo, _, _ = strings.Cut(part[strings.Index(part, `"colo_name":"`)+len(`"colo_name":"`):], `"`)
		list = append(list, c)
	}
	return list
}

func TestConfigurationsAreShapedAsReal(t *testing.T) {
	t.Parallel()
	f, c := startShapes(t)
	created := f.send(http.MethodPost, f.below("/cfd_tunnel"), `{"name":"blog","config_src":"cloudflare"}`)
	path := f.below("/cfd_tunnel/" + created.text("id") + "/configurations")
	shape := func(version, config, at string) string {
		return wrapped(`{"account_id":"` + shapeAccount + `","tunnel_id":"` + created.text("id") + `","version":` + version + `,"config":` + config +
			`,"source":"cloudflare","created_at":` + at + `}`)
	}
	f.send(http.MethodGet, path, "").is(shape("0", "null", "null"))
	// The order, the numbers and what nobody knows stay as they were put.
	const config = `{"warp-routing":{"enabled":true},"future":1.50,"ingress":[{"service":"http://localhost","hostname":"a.example.com"},` +
		`{"service":"http_status:404"}]}`
	c.advance(time.Hour)
	f.send(http.MethodPut, path, `{"config":`+config+`}`).is(shape("1", config, later))
	f.send(http.MethodGet, path, "").is(shape("1", config, later))
}

func TestWARPConnectorsAreShapedAsReal(t *testing.T) {
	t.Parallel()
	f, c := startShapes(t)
	created := f.send(http.MethodPost, f.below("/warp_connector"), `{"name":"site","ha":true}`)
	id := created.text("id")
	path := f.below("/warp_connector/" + id)
	token := f.send(http.MethodGet, path+"/token", "")
	created.is(wrapped(tunnelShape(id, "site", "null", `"connections":[],`, "null", born, "warp_connector", "inactive") +
		`,"token":` + string(token.result()) + `}`))
	token.is(wrapped(string(token.result())))
	f.send(http.MethodGet, path, "").is(wrapped(tunnelShape(id, "site", "null", "", "null", born, "warp_connector", "inactive") + `}`))

	ha := func(version, updated, mode, config string) string {
		return wrapped(`{"configuration_version":` + version + `,"created_at":` + born + `,"updated_at":` + updated + `,"ha_mode":"` + mode +
			`","tunnel_id":"` + id + `","config":` + config + `}`)
	}
	f.send(http.MethodGet, path+"/configurations", "").is(ha("0", "null", "none", "null"))
	c.advance(time.Hour)
	f.send(http.MethodPut, path+"/configurations", `{"ha_mode":"aws","config":{"fnr_id":"eni-1"}}`).is(ha("1", later, "aws", `{"fnr_id":"eni-1"}`))
	const vips = `{"vips_previous":[{"address":"10.0.0.1/32"}],"vips":[{"address":"10.0.0.2/32"}]}`
	f.send(http.MethodPut, path+"/configurations", `{"ha_mode":"local","config":`+vips+`}`).
		is(ha("2", later, "local", `{"vips":[{"address":"10.0.0.2/32"}],"vips_previous":[{"address":"10.0.0.1/32"}]}`))

	connector := f.connect(cftunnel.NewSecret(strings.Trim(string(token.result()), `"`)))
	one := f.send(http.MethodGet, path+"/connectors/"+connector, "")
	assert.Equal(t, `"active"`, string(one.fields()["ha_status"]))
	for _, absent := range []string{`"uuid"`, `"config_version"`} {
		assert.NotContains(t, string(one.body), absent)
	}
	f.send(http.MethodPut, path+"/failover", `{"client_id":"`+connector+`"}`).is(wrapped("null"))
}

// What checks API tokens is not of the tunnel family: its result stands first, and a message beside it.
func TestVerificationsAreShapedAsReal(t *testing.T) {
	t.Parallel()
	f, _ := startShapes(t)
	verify := func(path string, token tunneltest.Token) reply {
		t.Helper()
		text := f.AddToken(token)
		r, err := f.tryWith(http.MethodGet, path, "", http.Header{"Authorization": {"Bearer " + text.Reveal()}})
		require.NoError(t, err)
		return r
	}
	const valid = `"success":true,"errors":[],"messages":[{"code":10000,"message":"This API Token is valid and active","type":null}]}`
	user := verify("/user/tokens/verify", tunneltest.Token{})
	user.is(`{"result":{"id":"` + user.text("id") + `","status":"active"},` + valid)
	account := verify(f.below("/tokens/verify"), tunneltest.Token{Owner: cftunnel.TokenOwnerAccount, NotBefore: noon, ExpiresOn: noon.Add(time.Hour)})
	account.is(`{"result":{"id":"` + account.text("id") + `","status":"active","not_before":"2026-10-05T12:00:00.000000Z",` +
		`"expires_on":"2026-10-05T13:00:00.000000Z"},` + valid)
	disabled := verify("/user/tokens/verify", tunneltest.Token{Status: cftunnel.TokenStatusDisabled})
	disabled.is(`{"result":{"id":"` + disabled.text("id") + `","status":"disabled"},"success":true,"errors":[],"messages":[]}`)
}

func TestFailuresAreShapedAsReal(t *testing.T) {
	t.Parallel()
	f, _ := startShapes(t)
	f.create("blog")
	for _, c := range []struct {
		method, path, body string
		header             http.Header
		status             int
		want               string // the errors, of which the texts are the fake's own
	}{
		{http.MethodGet, f.below("/cfd_tunnel/" + nobody), "", nil, 404, `{"code":1003,"message":"…"}`},
		{http.MethodPost, f.below("/cfd_tunnel"), `{"name":"blog"}`, nil, 409, `{"code":1013,"message":"…"}`},
		{http.MethodGet, "/ips", "", nil, 404, `{"code":7000,"message":"…"}`},
		{http.MethodPut, f.below("/tunnels"), "", nil, 405, `{"code":10000,"message":"…"}`},
		{http.MethodGet, f.below("/tunnels"), "", http.Header{}, 400, `{"code":9106,"message":"…"}`},
		{http.MethodGet, f.below("/tunnels"), "", http.Header{"Authorization": {"Bearer eyJ"}}, 400,
			`{"code":6003,"message":"…","error_chain":[{"code":6111,"message":"…"}]}`},
		{http.MethodGet, "/user/tokens/verify", "", http.Header{"Authorization": {"Bearer unknown"}}, 401, `{"code":1000,"message":"…"}`},
	} {
		header := c.header
		if header == nil {
			header = http.Header{"Authorization": {"Bearer " + f.APIToken().Reveal()}}
		}
		r, err := f.tryWith(c.method, c.path, c.body, header)
		require.NoError(t, err)
		assert.Equal(t, c.status, r.status)
		want := strings.Split(`{"success":false,"errors":[`+c.want+`],"messages":[],"result":null}`, "…")
		rest := string(r.body)
		for i, piece := range want {
			if i > 0 { // past the text
				rest = rest[strings.Index(rest, `"`):]
			}
			require.True(t, strings.HasPrefix(rest, piece), "%s %s: %s", c.method, c.path, r.body)
			rest = rest[len(piece):]
		}
		assert.Empty(t, rest)
	}
}
