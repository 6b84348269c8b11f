package tunneltest_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// canonicalUUID decodes only UUIDs in the canonical form.
type canonicalUUID string

func (id *canonicalUUID) UnmarshalText(text []byte) error {
	if !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).Match(text) {
		return errors.New("not a UUID")
	}
	*id = canonicalUUID(text)
	return nil
}

// cloudflared sends the requests of `cloudflared tunnel --api-url …`, and decodes the responses as
// strictly as that program.
type cloudflared struct{ *fake }

// The types that cloudflared decodes responses into. It fails if the ID of a connector or a tunnel
// is not a UUID, or if a message is not a string.
type (
	cloudflaredEnvelope struct {
		Success bool `json:"success"`
		Errors  []struct {
			Code    json.Number `json:"code"`
			Message string      `json:"message"`
		} `json:"errors"`
		Messages   []string        `json:"messages"`
		Result     json.RawMessage `json:"result"`
		Pagination struct {
			Count      int `json:"count"`
			Page       int `json:"page"`
			PerPage    int `json:"per_page"`
			TotalCount int `json:"total_count"`
		} `json:"result_info"`
	}
	cloudflaredTunnel struct {
		ID          canonicalUUID           `json:"id"`
		Name        string                  `json:"name"`
		CreatedAt   time.Time               `json:"created_at"`
		DeletedAt   time.Time               `json:"deleted_at"`
		Connections []cloudflaredConnection `json:"connections"`
		Token       string                  `json:"token"` // in the response to a create
	}
	cloudflaredConnector struct {
		ID          canonicalUUID           `json:"id"`
		Features    []string                `json:"features"`
		Version     string                  `json:"version"`
		Arch        string                  `json:"arch"`
		RunAt       time.Time               `json:"run_at"`
		Connections []cloudflaredConnection `json:"conns"`
	}
	cloudflaredConnection struct {
		ColoName           string        `json:"colo_name"`
		ID                 canonicalUUID `json:"id"`
		IsPendingReconnect bool          `json:"is_pending_reconnect"`
		OriginIP           net.IP        `json:"origin_ip"`
		OpenedAt           time.Time     `json:"opened_at"`
	}
)

// do sends a request below /cfd_tunnel and decodes the result. Its errors have the code of the API,
// or the status if the Content-Type is not exactly application/json.
func (c cloudflared) do(
	method, path string, query url.Values, body, result any,
) (cloudflaredEnvelope, error) {
	c.t.Helper()
	header := http.Header{
		"Authorization": {"Bearer " + c.APIToken().Reveal()},
		"Accept":        {"application/json;version=1"},
		"User-Agent":    {"cloudflared/2026.10.0"},
	}
	text := ""
	if body != nil {
		header.Set("Content-Type", "application/json")
		text = asJSON(c.t, body)
	}
	path = c.accountPath("/cfd_tunnel" + path)
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	resp, err := c.tryWith(method, path, text, header)
	require.NoError(c.t, err)
	var envelope cloudflaredEnvelope
	if resp.header.Get("Content-Type") != "application/json" {
		return envelope, fmt.Errorf("status %d", resp.status)
	}
	require.NoError(c.t, json.Unmarshal(resp.body, &envelope), "%s", resp.body)
	if len(envelope.Errors) > 0 {
		return envelope, fmt.Errorf("code %s", envelope.Errors[0].Code)
	}
	if !envelope.Success || resp.status != http.StatusOK {
		return envelope, fmt.Errorf("status %d, and no error", resp.status)
	}
	if result != nil {
		require.NoError(c.t, json.Unmarshal(envelope.Result, result), "%s", envelope.Result)
	}
	return envelope, nil
}

// create is `tunnel create NAME`.
func (c cloudflared) create(name string, secret []byte) (tunnel cloudflaredTunnel, err error) {
	c.t.Helper()
	_, err = c.do(http.MethodPost, "", nil, struct {
		Name   string `json:"name"`
		Secret []byte `json:"tunnel_secret"` // encoding/json encodes it in base64
	}{name, secret}, &tunnel)
	return tunnel, err
}

// list is `tunnel list`, which all commands use to find a tunnel by name. It reads pages until a
// page is not full or it has total_count tunnels.
func (c cloudflared) list(filter url.Values) (tunnels []cloudflaredTunnel) {
	c.t.Helper()
	for page := 1; ; page++ {
		filter.Set("page", strconv.Itoa(page))
		var more []cloudflaredTunnel
		envelope, err := c.do(http.MethodGet, "", filter, nil, &more)
		require.NoError(c.t, err)
		tunnels = append(tunnels, more...)
		if p := envelope.Pagination; p.Count < p.PerPage || len(tunnels) >= p.TotalCount {
			return tunnels
		}
	}
}

// find returns the ID of the tunnel with this name.
func (c cloudflared) find(name string) (canonicalUUID, error) {
	c.t.Helper()
	tunnels := c.list(url.Values{"name": {name}, "is_deleted": {"false"}})
	if len(tunnels) != 1 {
		return canonicalUUID(""), fmt.Errorf("%d tunnels with this name", len(tunnels))
	}
	return tunnels[0].ID, nil
}

// info is `tunnel info NAME`.
func (c cloudflared) info(
	name string,
) (tunnel cloudflaredTunnel, connectors []cloudflaredConnector) {
	c.t.Helper()
	id, err := c.find(name)
	require.NoError(c.t, err)
	tunnels := c.list(url.Values{"uuid": {string(id)}})
	require.Len(c.t, tunnels, 1)
	_, err = c.do(http.MethodGet, "/"+string(id)+"/connections", nil, nil, &connectors)
	require.NoError(c.t, err)
	return tunnels[0], connectors
}

// token is `tunnel token NAME`.
func (c cloudflared) token(name string) (token string) {
	c.t.Helper()
	id, err := c.find(name)
	require.NoError(c.t, err)
	_, err = c.do(http.MethodGet, "/"+string(id)+"/token", nil, nil, &token)
	require.NoError(c.t, err)
	return token
}

// cleanup is `tunnel cleanup [--connector-id ID] NAME`.
func (c cloudflared) cleanup(name, connectorID string) error {
	c.t.Helper()
	id, err := c.find(name)
	require.NoError(c.t, err)
	query := url.Values{}
	if connectorID != "" {
		query.Set("client_id", connectorID)
	}
	_, err = c.do(http.MethodDelete, "/"+string(id)+"/connections", query, nil, nil)
	return err
}

// delete is `tunnel delete [--force] ID`.
func (c cloudflared) delete(id canonicalUUID, force bool) error {
	c.t.Helper()
	var tunnel cloudflaredTunnel
	if _, err := c.do(http.MethodGet, "/"+string(id), nil, nil, &tunnel); err != nil {
		return err
	}
	if !tunnel.DeletedAt.IsZero() {
		return errors.New("already deleted")
	}
	query := url.Values{}
	if force {
		query.Set("cascade", "true")
	}
	_, err := c.do(http.MethodDelete, "/"+string(id), query, nil, nil)
	return err
}

func TestCloudflared_LifeCycle(t *testing.T) {
	t.Parallel()
	f := start(t)
	c := cloudflared{f}
	secret := []byte("0123456789abcdef0123456789abcdef")
	created, err := c.create("web", secret)
	require.NoError(t, err)
	assert.Equal(t, "web", created.Name)
	assert.False(t, created.CreatedAt.IsZero())
	assert.True(t, created.DeletedAt.IsZero())
	assert.Empty(t, created.Connections)

	// The fields of the token are those of the credentials file.
	raw, err := base64.StdEncoding.DecodeString(c.token("web"))
	require.NoError(t, err)
	var token struct {
		Account string        `json:"a"`
		Secret  []byte        `json:"s"`
		Tunnel  canonicalUUID `json:"t"`
	}
	require.NoError(t, json.Unmarshal(raw, &token))
	assert.Equal(t, f.AccountID(), token.Account)
	assert.Equal(t, secret, token.Secret)
	assert.Equal(t, created.ID, token.Tunnel)
	assert.Equal(t, created.Token, c.token("web"))

	tunnel, connectors := c.info("web")
	assert.Equal(t, created.CreatedAt, tunnel.CreatedAt)
	assert.Empty(t, connectors)
	tunnelToken := cftunnel.NewSecret(created.Token)
	first, second := f.connect(tunnelToken), f.connect(tunnelToken)
	_, connectors = c.info("web")
	require.Len(t, connectors, 2)
	assert.Equal(t, first, string(connectors[0].ID))
	assert.NotEmpty(t, connectors[0].Version+connectors[0].Arch)
	assert.NotEmpty(t, connectors[0].Features)
	assert.False(t, connectors[0].RunAt.IsZero())
	require.Len(t, connectors[0].Connections, 4)
	for _, connection := range connectors[0].Connections {
		assert.NotEqual(t, canonicalUUID(""), connection.ID)
		assert.NotEmpty(t, connection.ColoName)
		assert.NotNil(t, connection.OriginIP)
		assert.False(t, connection.OpenedAt.IsZero())
		assert.False(t, connection.IsPendingReconnect)
	}

	require.EqualError(t, c.delete(created.ID, false), "code 1022")
	f.Disconnect(first)
	require.EqualError(t, c.delete(created.ID, false), "code 1022",
		"one connector is still running")
	f.Disconnect(second)
	require.NoError(t, c.delete(created.ID, false))
	require.EqualError(t, c.delete(created.ID, false), "already deleted")
	_, err = c.find("web")
	require.Error(t, err)

	for _, r := range f.Requests() {
		assert.Equal(t, []string{"application/json;version=1"}, r.Header["Accept"])
		assert.Equal(t, []string{"cloudflared/2026.10.0"}, r.Header["User-Agent"])
	}
}

func TestCloudflared_Cleanup(t *testing.T) {
	t.Parallel()
	clock := newClock(noon) // it does not advance, so connectors do not reconnect
	f := start(t, tunneltest.WithClock(clock.Now))
	c := cloudflared{f}
	created, err := c.create("web", make([]byte, 32))
	require.NoError(t, err)
	token := cftunnel.NewSecret(created.Token)
	first, second := f.connect(token), f.connect(token)
	f.connect(token)

	require.NoError(t, c.cleanup("web", first))
	assert.Equal(t, url.Values{"client_id": {first}}, f.lastRequest().Query)
	_, connectors := c.info("web")
	require.Len(t, connectors, 2)
	assert.Equal(t, second, string(connectors[0].ID))
	require.NoError(t, c.cleanup("web", ""))
	_, connectors = c.info("web")
	assert.Empty(t, connectors)
	// Before the parameter cascade existed, --force cleaned up the connections and then deleted the
	// tunnel.
	require.NoError(t, c.delete(created.ID, false))
}

func TestCloudflared_DeleteForce(t *testing.T) {
	t.Parallel()
	f := start(t)
	c := cloudflared{f}
	created, err := c.create("web", make([]byte, 32))
	require.NoError(t, err)
	f.connect(cftunnel.NewSecret(created.Token))
	require.EqualError(t, c.delete(created.ID, false), "code 1022")
	require.NoError(t, c.delete(created.ID, true))
	assert.Equal(t, url.Values{"cascade": {"true"}}, f.lastRequest().Query)
	var connectors []cloudflaredConnector
	_, err = c.do(http.MethodGet, "/"+string(created.ID)+"/connections", nil, nil, &connectors)
	require.NoError(t, err)
	assert.Empty(t, connectors)
	_, err = f.Connect(cftunnel.NewSecret(created.Token))
	require.Error(t, err)
}

func TestCloudflared_List(t *testing.T) {
	t.Parallel()
	f, ids := startWithTunnels(t)
	live := []string{"vpc1-idle", "vpc1-up", "vpc2-down", "late"}
	at := noon.Add(210 * time.Minute).Format(time.RFC3339)
	for _, c := range []struct {
		flags  string
		filter url.Values
		names  []string
	}{
		{"", url.Values{"is_deleted": {"false"}}, live},
		{"--show-deleted", url.Values{}, live}, // without is_deleted, lists included deleted tunnels until December 2025
		{"deleted only", url.Values{"is_deleted": {"true"}}, []string{"old"}},
		{"--name", url.Values{"is_deleted": {"false"}, "name": {"late"}}, []string{"late"}},
		{"--name-prefix", url.Values{"is_deleted": {"false"}, "name_prefix": {"vpc1"}}, []string{"vpc1-idle", "vpc1-up"}},
		{"--exclude-name-prefix", url.Values{"is_deleted": {"false"}, "exclude_prefix": {"vpc"}}, []string{"late"}},
		{"--id", url.Values{"is_deleted": {"false"}, "uuid": {ids["vpc2-down"]}}, []string{"vpc2-down"}},
		{"--when", url.Values{"is_deleted": {"false"}, "existed_at": {at}}, []string{"vpc1-idle", "vpc1-up", "vpc2-down"}},
		{"--max-fetch-size", url.Values{"is_deleted": {"false"}, "per_page": {"3"}}, live},
	} {
		t.Run(c.flags, func(t *testing.T) {
			t.Parallel()
			var names []string
			program := cloudflared{&fake{f.Server, t, f.base, f.http}}
			for _, tunnel := range program.list(c.filter) {
				names = append(names, tunnel.Name)
				assert.Equal(t, ids[tunnel.Name], string(tunnel.ID))
				assert.Equal(t, tunnel.Name == "old", !tunnel.DeletedAt.IsZero())
			}
			assert.Equal(t, c.names, names)
		})
	}
}

func TestCloudflared_ListPages(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.SeedTunnels(1001)
	assert.Len(t, cloudflared{f}.list(url.Values{"is_deleted": {"false"}}), 1001)
	assert.Len(t, f.Requests(), 2)
}

func TestCloudflared_Tail(t *testing.T) {
	t.Parallel()
	f := start(t)
	id, _ := f.create("web")
	var token string
	_, err := cloudflared{f}.do(http.MethodPost, "/"+id+"/management/logs", nil, nil, &token)
	require.NoError(t, err)
	assert.Regexp(t, `^eyJ[^.]*\.eyJ[^.]*\.[^.]+$`, token)
	last := f.lastRequest()
	assert.True(t, last.Body.IsZero())
	assert.NotContains(t, last.Header, "Content-Type")
}

func TestCloudflared_Errors(t *testing.T) {
	t.Parallel()
	f := start(t)
	c := cloudflared{f}
	_, err := c.create("web", make([]byte, 32))
	require.NoError(t, err)
	_, err = c.create("web", make([]byte, 32))
	require.EqualError(t, err, "code 1013")
	assert.Equal(t, http.StatusConflict, f.lastRequest().Status)
	_, err = c.create("short", make([]byte, 15))
	require.ErrorContains(t, err, "code")
	assert.Equal(t, http.StatusBadRequest, f.lastRequest().Status)
	require.ErrorContains(t, c.delete("f70ff985-a4ef-4643-bbbc-4a0ed4fc8415", true), "code")
	assert.Equal(t, http.StatusNotFound, f.lastRequest().Status)
	f.AddToken(tunneltest.Token{Text: f.APIToken(), ReadOnly: true})
	_, err = c.create("other", make([]byte, 32))
	require.EqualError(t, err, "code 10000")
	assert.Equal(t, http.StatusForbidden, f.lastRequest().Status)
	// If the Content-Type has a charset, cloudflared does not read the code.
	header := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	f.Inject(tunneltest.Fault{Header: header})
	_, err = c.create("other", make([]byte, 32))
	require.EqualError(t, err, "status 403")
}
