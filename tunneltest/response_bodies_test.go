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

// These tests compare whole bodies, because some programs depend on the order and format of the
// fields.

const fixedAccountID = "699d98642c564d2e855e9661899b7252"

// startWithFixedTime starts a server whose time has nanoseconds and a time zone, which responses do
// not have.
func startWithFixedTime(t *testing.T) (*fake, *clock) {
	t.Helper()
	c := newClock(noon.Add(317854999).In(time.FixedZone("", 2*60*60)))
	return start(t, tunneltest.WithAccountID(fixedAccountID), tunneltest.WithClock(c.Now)), c
}

// createdAt is the time of startWithFixedTime in a response, and hourLater is an hour after it.
const (
	createdAt = `"2026-10-05T12:00:00.317854Z"`
	hourLater = `"2026-10-05T13:00:00.317854Z"`
)

func envelopeWith(result string) string {
	return `{"success":true,"errors":[],"messages":[],"result":` + result + `}`
}

func pageWith(result string, count int) string {
	info := fmt.Sprintf(`,"result_info":{"count":%d,"page":1,"per_page":1000,"total_count":%[1]d}}`, count)
	return strings.TrimSuffix(envelopeWith(result), "}") + info
}

// assertBody compares the whole body.
func (r response) assertBody(want string) {
	r.t.Helper()
	assert.Equal(r.t, want, string(r.body))
}

// tunnelJSON returns the members of a tunnel that all types and responses have in common.
func tunnelJSON(id, name, deleted, connections, active, inactive, kind, status string) string {
	return `{"id":"` + id + `","account_tag":"` + fixedAccountID + `","created_at":` + createdAt +
		`,"deleted_at":` + deleted +
		`,"name":"` + name + `",` + connections +
		`"conns_active_at":` + active + `,"conns_inactive_at":` + inactive + `,"tun_type":"` +
		kind + `","metadata":{},"status":"` + status + `"`
}

func cloudflaredJSON(id, name, status, active, inactive string) string {
	return tunnelJSON(id, name, "null", "", active, inactive, "cfd_tunnel", status)
}

func TestResponses_Tunnels(t *testing.T) {
	t.Parallel()
	f, c := startWithFixedTime(t)
	secret := secretOf(32, 1)
	created := f.send(http.MethodPost, f.accountPath("/cfd_tunnel"),
		`{"name":"blog","config_src":"cloudflare","tunnel_secret":"`+secret+`"}`)
	id := created.stringField("id")
	tokenOf := func(secret string) string {
		return base64.StdEncoding.EncodeToString([]byte(`{"a":"` + fixedAccountID + `","t":"` + id +
			`","s":"` + secret + `"}`))
	}
	created.assertBody(envelopeWith(tunnelJSON(id, "blog", "null", `"connections":[],`, "null",
		createdAt, "cfd_tunnel", "inactive") +
		`,"remote_config":true,"credentials_file":{"AccountTag":"` + fixedAccountID +
		`","TunnelID":"` + id +
		`","TunnelName":"blog","TunnelSecret":"` + secret + `"},"token":"` + tokenOf(secret) +
		`"}`))

	path := f.accountPath("/cfd_tunnel/" + id)
	remote := `,"remote_config":true,"config_src":"cloudflare"`
	idle := cloudflaredJSON(id, "blog", "inactive", "null", createdAt) + remote + "}"
	f.fetch(path).assertBody(envelopeWith(idle))
	f.fetch(f.accountPath("/cfd_tunnel")).assertBody(pageWith("["+idle+"]", 1))
	f.fetch(f.accountPath("/tunnels")).assertBody(pageWith("["+idle+"]", 1))
	f.fetch(f.accountPath("/cfd_tunnel?name=other")).assertBody(pageWith("[]", 0))
	f.fetch(path + "/token").assertBody(envelopeWith(`"` + tokenOf(secret) + `"`))

	renewed := secretOf(32, 2)
	f.send(http.MethodPatch, path, `{"tunnel_secret":"`+renewed+`"}`).
		assertBody(envelopeWith(cloudflaredJSON(id, "blog", "inactive", "null", createdAt) +
			remote + `,"token":"` + tokenOf(renewed) + `"}`))

	connector := f.connect(cftunnel.NewSecret(tokenOf(renewed)))
	healthy := cloudflaredJSON(id, "blog", "healthy", createdAt, "null") + remote + "}"
	f.fetch(path).assertBody(envelopeWith(healthy))
	c.advance(time.Hour)
	f.Disconnect(connector)
	down := cloudflaredJSON(id, "blog", "down", "null", hourLater) + remote + "}"
	f.fetch(path).assertBody(envelopeWith(down))

	gone := tunnelJSON(id, "blog", hourLater, "", "null", hourLater, "cfd_tunnel", "down") +
		`,"remote_config":true}`
	f.send(http.MethodDelete, path, "").assertBody(envelopeWith(gone))
	f.fetch(path).assertBody(envelopeWith(gone))
	f.fetch(f.accountPath("/cfd_tunnel?is_deleted=true")).assertBody(pageWith("["+gone+"]", 1))
}

func TestResponses_LocallyManagedTunnels(t *testing.T) {
	t.Parallel()
	f, _ := startWithFixedTime(t)
	created := f.send(http.MethodPost, f.accountPath("/cfd_tunnel"), `{"name":"blog"}`)
	assert.Contains(t, string(created.body), `,"status":"inactive","remote_config":false,"credentials_file":{"AccountTag":`)
	id := created.stringField("id")
	f.fetch(f.accountPath("/cfd_tunnel/" + id)).
		assertBody(envelopeWith(cloudflaredJSON(id, "blog", "inactive", "null", createdAt) +
			`,"remote_config":false,"config_src":"local"}`))
}

func TestResponses_Connectors(t *testing.T) {
	t.Parallel()
	f, c := startWithFixedTime(t)
	id, token := f.create("blog")
	connector := f.connect(token)
	path := f.accountPath("/cfd_tunnel/" + id)
	one := f.fetch(path + "/connectors/" + connector)
	version, conns := one.stringField("version"), f.connections(one)
	require.Len(t, conns, 4)
	var list []string
	for _, conn := range conns {
		list = append(list,
			`{"id":"`+conn.id+`","uuid":"`+conn.id+`","client_id":"`+connector+
				`","client_version":"`+version+`","colo_name":"`+conn.colo+
				`","opened_at":`+createdAt+`,"origin_ip":"198.51.100.7",`+
				`"is_pending_reconnect":false}`)
	}
	whole := `{"id":"` + connector + `","version":"` + version + `","arch":"linux_amd64",` +
		`"features":["ha-origin","management_logs"],"run_at":` + createdAt +
		`,"config_version":0,"conns":[` + strings.Join(list, ",") + `]}`
	one.assertBody(envelopeWith(whole))
	f.fetch(path + "/connections").assertBody(envelopeWith("[" + whole + "]"))
	f.send(http.MethodDelete, path+"/connections?client_id="+connector, "").
		assertBody(envelopeWith("null"))
	f.fetch(path + "/connections").assertBody(envelopeWith("[]"))
	c.advance(time.Hour)
	assert.Contains(t, string(f.fetch(path+"/connections").body),
		`"opened_at":"2026-10-05T12:00:01.317854Z"`, "the time of the reconnection")
}

// connection has the random members of a connection.
type connection struct{ id, colo string }

func (f *fake) connections(r response) (list []connection) {
	f.t.Helper()
	for _, part := range strings.Split(string(r.fields()["conns"]), "},{") {
		var c connection
		c.id, _, _ = strings.Cut(part[strings.Index(part, `"id":"`)+len(`"id":"`):], `"`)
		c.colo, _, _ = strings.Cut(part[strings.Index(part, `"colo_name":"`)+len(`"colo_name":"`):],
			`"`)
		list = append(list, c)
	}
	return list
}

func TestResponses_Configurations(t *testing.T) {
	t.Parallel()
	f, c := startWithFixedTime(t)
	created := f.send(http.MethodPost, f.accountPath("/cfd_tunnel"),
		`{"name":"blog","config_src":"cloudflare"}`)
	path := f.accountPath("/cfd_tunnel/" + created.stringField("id") + "/configurations")
	wantJSON := func(version, config, at string) string {
		return envelopeWith(`{"account_id":"` + fixedAccountID + `","tunnel_id":"` +
			created.stringField("id") + `","version":` + version + `,"config":` + config +
			`,"source":"cloudflare","created_at":` + at + `}`)
	}
	f.fetch(path).assertBody(wantJSON("0", "null", "null"))
	// The order, the form of numbers and unknown members do not change.
	const config = `{"warp-routing":{"enabled":true},"future":1.50,"ingress":[{"service":"http://localhost","hostname":"a.example.com"},` +
		`{"service":"http_status:404"}]}`
	c.advance(time.Hour)
	f.send(http.MethodPut, path, `{"config":`+config+`}`).
		assertBody(wantJSON("1", config, hourLater))
	f.fetch(path).assertBody(wantJSON("1", config, hourLater))
}

func TestResponses_WARPConnectors(t *testing.T) {
	t.Parallel()
	f, c := startWithFixedTime(t)
	created := f.send(http.MethodPost, f.accountPath("/warp_connector"),
		`{"name":"site","ha":true}`)
	id := created.stringField("id")
	path := f.accountPath("/warp_connector/" + id)
	token := f.fetch(path + "/token")
	created.assertBody(envelopeWith(tunnelJSON(id, "site", "null", `"connections":[],`, "null",
		createdAt, "warp_connector", "inactive") +
		`,"token":` + string(token.result()) + `}`))
	token.assertBody(envelopeWith(string(token.result())))
	f.fetch(path).
		assertBody(envelopeWith(tunnelJSON(id, "site", "null", "", "null", createdAt,
			"warp_connector", "inactive") + `}`))

	ha := func(version, updated, mode, config string) string {
		return envelopeWith(`{"configuration_version":` + version + `,"created_at":` + createdAt +
			`,"updated_at":` + updated + `,"ha_mode":"` + mode +
			`","tunnel_id":"` + id + `","config":` + config + `}`)
	}
	f.fetch(path + "/configurations").assertBody(ha("0", "null", "none", "null"))
	c.advance(time.Hour)
	f.send(http.MethodPut, path+"/configurations", `{"ha_mode":"aws","config":{"fnr_id":"eni-1"}}`).
		assertBody(ha("1", hourLater, "aws", `{"fnr_id":"eni-1"}`))
	const vips = `{"vips_previous":[{"address":"10.0.0.1/32"}],"vips":[{"address":"10.0.0.2/32"}]}`
	f.send(http.MethodPut, path+"/configurations", `{"ha_mode":"local","config":`+vips+`}`).
		assertBody(ha("2", hourLater, "local", `{"vips":[{"address":"10.0.0.2/32"}],"vips_previous":[{"address":"10.0.0.1/32"}]}`))

	connector := f.connect(cftunnel.NewSecret(strings.Trim(string(token.result()), `"`)))
	one := f.fetch(path + "/connectors/" + connector)
	assert.Equal(t, `"active"`, string(one.fields()["ha_status"]))
	for _, absent := range []string{`"uuid"`, `"config_version"`} {
		assert.NotContains(t, string(one.body), absent)
	}
	f.send(http.MethodPut, path+"/failover", `{"client_id":"`+connector+`"}`).
		assertBody(envelopeWith("null"))
}

// The endpoints that verify API tokens have the result first, and a message.
func TestResponses_TokenVerification(t *testing.T) {
	t.Parallel()
	f, _ := startWithFixedTime(t)
	verify := func(path string, token tunneltest.Token) response {
		t.Helper()
		text := f.AddToken(token)
		r, err := f.tryWith(http.MethodGet, path, "",
			http.Header{"Authorization": {"Bearer " + text.Reveal()}})
		require.NoError(t, err)
		return r
	}
	const valid = `"success":true,"errors":[],"messages":[{"code":10000,"message":"This API Token is valid and active","type":null}]}`
	user := verify("/user/tokens/verify", tunneltest.Token{})
	user.assertBody(`{"result":{"id":"` + user.stringField("id") + `","status":"active"},` + valid)
	account := verify(f.accountPath("/tokens/verify"),
		tunneltest.Token{Owner: cftunnel.TokenOwnerAccount, NotBefore: noon,
			ExpiresOn: noon.Add(time.Hour)})
	account.assertBody(`{"result":{"id":"` + account.stringField("id") + `","status":"active","not_before":"2026-10-05T12:00:00.000000Z",` +
		`"expires_on":"2026-10-05T13:00:00.000000Z"},` + valid)
	disabled := verify("/user/tokens/verify",
		tunneltest.Token{Status: cftunnel.TokenStatusDisabled})
	disabled.assertBody(`{"result":{"id":"` + disabled.stringField("id") + `","status":"disabled"},"success":true,"errors":[],"messages":[]}`)
}

func TestResponses_Errors(t *testing.T) {
	t.Parallel()
	f, _ := startWithFixedTime(t)
	f.create("blog")
	for _, c := range []struct {
		method, path, body string
		header             http.Header
		status             int
		want               string // the errors; … stands for the texts of the fake
	}{
		{http.MethodGet, f.accountPath("/cfd_tunnel/" + unknownID), "", nil, 404, `{"code":1002,"message":"…"}`},
		{http.MethodPost, f.accountPath("/cfd_tunnel"), `{"name":"blog"}`, nil, 409, `{"code":1013,"message":"…"}`},
		{http.MethodGet, "/ips", "", nil, 404, `{"code":7000,"message":"…"}`},
		{http.MethodPut, f.accountPath("/tunnels"), "", nil, 405, `{"code":10000,"message":"…"}`},
		{http.MethodGet, f.accountPath("/tunnels"), "", http.Header{}, 400, `{"code":9106,"message":"…"}`},
		{http.MethodGet, f.accountPath("/tunnels"), "",
			http.Header{"Authorization": {"Bearer eyJ"}}, 400,
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
		body := `{"success":false,"errors":[` + c.want + `],"messages":[],"result":null}`
		want := strings.Split(body, "…")
		rest := string(r.body)
		for i, piece := range want {
			if i > 0 { // skip the text
				rest = rest[strings.Index(rest, `"`):]
			}
			require.True(t, strings.HasPrefix(rest, piece), "%s %s: %s", c.method, c.path, r.body)
			rest = rest[len(piece):]
		}
		assert.Empty(t, rest)
	}
}
