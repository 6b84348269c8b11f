package tunneltest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// terraform sends the requests of Terraform's Cloudflare provider v5, and decodes the responses
// into Terraform's state.
type terraform struct{ *fake }

// terraformTunnel is the state of a tunnel or a WARP connector. Decoding fails if a time is not
// RFC 3339.
type terraformTunnel struct {
	ID              *string         `json:"id"`
	AccountTag      *string         `json:"account_tag"`
	Name            *string         `json:"name"`
	ConfigSource    *string         `json:"config_src"`
	RemoteConfig    *bool           `json:"remote_config"`
	Status          *string         `json:"status"`
	Type            *string         `json:"tun_type"`
	CreatedAt       *time.Time      `json:"created_at"`
	DeletedAt       *time.Time      `json:"deleted_at"`
	ConnsActiveAt   *time.Time      `json:"conns_active_at"`
	ConnsInactiveAt *time.Time      `json:"conns_inactive_at"`
	Metadata        json.RawMessage `json:"metadata"`
	Connections     *[]struct {
		ID string `json:"id"`
	} `json:"connections"`
}

// terraformConfig is the state of a tunnel's configuration.
type terraformConfig struct {
	AccountID *string         `json:"account_id"`
	TunnelID  *string         `json:"tunnel_id"`
	Version   *int64          `json:"version"`
	Source    *string         `json:"source"`
	CreatedAt *time.Time      `json:"created_at"`
	Config    json.RawMessage `json:"config"`
}

// do sends a request below the account. If the status is 200, it decodes the result.
func (tf terraform) do(method, path, body string, result any) response {
	tf.t.Helper()
	header := http.Header{
		"Authorization":               {"Bearer " + tf.APIToken().Reveal()},
		"Accept":                      {"application/json"},
		"User-Agent":                  {"terraform-provider-cloudflare/5.0.0 terraform-plugin-framework/1.0.0 terraform/1.0.0"},
		"X-Stainless-Lang":            {"go"},
		"X-Stainless-Retry-Count":     {"0"},
		"X-Stainless-Package-Version": {"6.0.0"},
	}
	if body != "" {
		header.Set("Content-Type", "application/json")
	}
	resp, err := tf.tryWith(method, tf.accountPath(path), body, header)
	require.NoError(tf.t, err)
	if resp.status == http.StatusOK && result != nil {
		require.NoError(tf.t, json.Unmarshal(resp.envelope().Result, result), "%s", resp.body)
	}
	return resp
}

// apply creates a tunnel.
func (tf terraform) apply(path, body string) (state terraformTunnel) {
	tf.t.Helper()
	require.Equal(tf.t, http.StatusOK, tf.do(http.MethodPost, path, body, &state).status)
	require.NotNil(tf.t, state.ID)
	return state
}

// refresh reads the state of a tunnel. Only a status 404 would remove it from the state.
func (tf terraform) refresh(path string, id *string) (state terraformTunnel) {
	tf.t.Helper()
	require.Equal(tf.t, http.StatusOK, tf.do(http.MethodGet, path+"/"+*id, "", &state).status)
	return state
}

func TestTerraform_Tunnel(t *testing.T) {
	t.Parallel()
	tf := terraform{start(t)}
	secret := secretOf(32, 7)
	created := tf.apply("/cfd_tunnel",
		`{"config_src":"cloudflare","name":"web","tunnel_secret":"`+secret+`"}`)
	state := tf.refresh("/cfd_tunnel", created.ID)
	// The configured values are unchanged, so the plan after an apply is empty.
	assert.Equal(t, created.ID, state.ID)
	assert.Equal(t, new("web"), state.Name)
	assert.Equal(t, new("cloudflare"), state.ConfigSource)
	assert.Equal(t, created.RemoteConfig, state.RemoteConfig)
	assert.Equal(t, created.CreatedAt, state.CreatedAt)
	assert.Equal(t, new("inactive"), state.Status)
	assert.Equal(t, new("cfd_tunnel"), state.Type)
	assert.Nil(t, state.DeletedAt)
	assert.Nil(t, state.ConnsActiveAt)
	assert.Equal(t, state.CreatedAt, state.ConnsInactiveAt)
	assert.JSONEq(t, "{}", string(state.Metadata))
	assert.Equal(t, state, tf.refresh("/cfd_tunnel", created.ID))

	// The data source of the token is read in the same run.
	var token string
	tf.do(http.MethodGet, "/cfd_tunnel/"+*created.ID+"/token", "", &token)
	credentials, err := cftunnel.ParseTunnelToken(cftunnel.NewSecret(token))
	require.NoError(t, err)
	assert.Equal(t, secret, credentials.Secret.Reveal())

	for _, change := range []string{`{"name":"web-2"}`, `{"tunnel_secret":"` + secretOf(32, 8) + `"}`} {
		var changed terraformTunnel
		require.Equal(t, http.StatusOK,
			tf.do(http.MethodPatch, "/cfd_tunnel/"+*created.ID, change, &changed).status)
		assert.Equal(t, new("web-2"), changed.Name)
		assert.Equal(t, changed, tf.refresh("/cfd_tunnel", created.ID))
	}
	_, err = tf.Connect(cftunnel.NewSecret(token))
	require.Error(t, err, "the secret was changed")

	require.Equal(t, http.StatusOK,
		tf.do(http.MethodDelete, "/cfd_tunnel/"+*created.ID, "", nil).status)
	assert.Equal(t, []string{"web-2"}, tf.names("/cfd_tunnel?is_deleted=true"))
}

func TestTerraform_Configuration(t *testing.T) {
	t.Parallel()
	tf := terraform{start(t)}
	tunnel := tf.apply("/cfd_tunnel", `{"config_src":"cloudflare","name":"web"}`)
	path := "/cfd_tunnel/" + *tunnel.ID + "/configurations"
	var state terraformConfig
	require.Equal(t, http.StatusOK, tf.do(http.MethodGet, path, "", &state).status)
	assert.Equal(t, new(int64(0)), state.Version)
	assert.Equal(t, "null", string(state.Config))
	assert.Nil(t, state.CreatedAt)

	for i, config := range []string{
		`{"ingress":[{"hostname":"a.example.com","service":"http://localhost"},{"service":"http_status:404"}]}`,
		`{"ingress":[{"service":"http_status:404"}],"originRequest":{"connectTimeout":10,"noTLSVerify":true}}`,
	} {
		var applied, read terraformConfig
		require.Equal(t, http.StatusOK,
			tf.do(http.MethodPut, path, `{"config":`+config+`}`, &applied).status)
		require.Equal(t, http.StatusOK, tf.do(http.MethodGet, path, "", &read).status)
		assert.Equal(t, applied, read)
		assert.JSONEq(t, config, string(read.Config))
		assert.Equal(t, new(int64(i+1)), read.Version)
		assert.Equal(t, new("cloudflare"), read.Source)
		assert.Equal(t, tunnel.ID, read.TunnelID)
		assert.Equal(t, tunnel.AccountTag, read.AccountID)
	}
	noCatchAll := `{"config":{"ingress":[{"hostname":"a.example.com","service":"http://localhost"}]}}`
	tf.do(http.MethodPut, path, noCatchAll, nil).assertError(http.StatusBadRequest, 1056)
}

func TestTerraform_DeletedTunnel(t *testing.T) {
	t.Parallel()
	tf := terraform{start(t)}
	created := tf.apply("/cfd_tunnel", `{"config_src":"cloudflare","name":"web"}`)
	tf.delete(*created.ID)
	state := tf.refresh("/cfd_tunnel", created.ID)
	assert.NotNil(t, state.DeletedAt, "Terraform keeps it as any other field")
	assert.Equal(t, new("web"), state.Name)
	assert.Nil(t, state.ConfigSource)
	// Its configuration does not exist any more.
	tf.do(http.MethodGet, "/cfd_tunnel/"+*created.ID+"/configurations", "", nil).
		assertError(http.StatusNotFound, 1055)
	// A new tunnel with the same name has another ID.
	again := tf.apply("/cfd_tunnel", `{"config_src":"cloudflare","name":"web"}`)
	assert.NotEqual(t, created.ID, again.ID)
}

func TestTerraform_DestroyHealthyTunnel(t *testing.T) {
	t.Parallel()
	tf := terraform{start(t)}
	created := tf.apply("/cfd_tunnel", `{"config_src":"cloudflare","name":"web"}`)
	var token string
	tf.do(http.MethodGet, "/cfd_tunnel/"+*created.ID+"/token", "", &token)
	replica := tf.connect(cftunnel.NewSecret(token))
	state := tf.refresh("/cfd_tunnel", created.ID)
	assert.Equal(t, new("healthy"), state.Status)
	assert.NotNil(t, state.ConnsActiveAt)
	assert.Nil(t, state.ConnsInactiveAt)

	tf.do(http.MethodDelete, "/cfd_tunnel/"+*created.ID, "", nil).
		assertError(http.StatusBadRequest, 1022)
	tf.Disconnect(replica)
	assert.Equal(t, http.StatusOK,
		tf.do(http.MethodDelete, "/cfd_tunnel/"+*created.ID, "", nil).status)
}

func TestTerraform_WARPConnector(t *testing.T) {
	t.Parallel()
	tf := terraform{start(t)}
	created := tf.apply("/warp_connector", `{"ha":false,"name":"net"}`)
	state := tf.refresh("/warp_connector", created.ID)
	assert.Equal(t, new("warp_connector"), state.Type)
	assert.Nil(t, state.ConfigSource)
	assert.Nil(t, state.RemoteConfig)
	assert.Equal(t, created.CreatedAt, state.CreatedAt)
	var token string
	tf.do(http.MethodGet, "/warp_connector/"+*created.ID+"/token", "", &token)
	tf.Disconnect(tf.connect(cftunnel.NewSecret(token)))
	assert.Equal(t, new("down"), tf.refresh("/warp_connector", created.ID).Status)
	var changed terraformTunnel
	tf.do(http.MethodPatch, "/warp_connector/"+*created.ID, `{"name":"net-2"}`, &changed)
	assert.Equal(t, changed, tf.refresh("/warp_connector", created.ID))
	assert.Equal(t, http.StatusOK,
		tf.do(http.MethodDelete, "/warp_connector/"+*created.ID, "", nil).status)
	assert.NotNil(t, tf.refresh("/warp_connector", created.ID).DeletedAt)
}

// The data source of several tunnels reads pages until a page is empty.
func TestTerraform_List(t *testing.T) {
	t.Parallel()
	f, ids := startWithTunnels(t)
	for _, c := range []struct {
		filter url.Values
		names  []string
	}{
		{url.Values{}, []string{"vpc1-idle", "vpc1-up", "vpc2-down", "late"}},
		{url.Values{"is_deleted": {"true"}}, []string{"old"}},
		{url.Values{"is_deleted": {"false"}, "name": {"late"}}, []string{"late"}},
		{url.Values{"uuid": {ids["old"]}, "is_deleted": {"true"}}, []string{"old"}},
		{url.Values{"existed_at": {noon.Add(time.Hour).Format(time.RFC3339)}}, []string{"vpc1-idle", "vpc1-up", "vpc2-down"}},
		{url.Values{"include_prefix": {"vpc"}, "exclude_prefix": {"vpc1"}}, []string{"vpc2-down"}},
		{url.Values{"status": {"healthy"}}, []string{"vpc1-up"}},
		{url.Values{"was_active_at": {noon.Add(90 * time.Minute).Format(time.RFC3339)}}, []string{"vpc1-up", "vpc2-down"}},
	} {
		t.Run(c.filter.Encode(), func(t *testing.T) {
			t.Parallel()
			tf := terraform{&fake{f.Server, t, f.base, f.http}}
			for _, path := range []string{"/cfd_tunnel", "/tunnels"} {
				var names []string
				for _, page := range []string{"", "2"} {
					query := url.Values{"page": {page}}
					for name, values := range c.filter {
						query[name] = values
					}
					if page == "" {
						query.Del("page")
					}
					var tunnels []terraformTunnel
					resp := tf.do(http.MethodGet, path+"?"+query.Encode(), "", &tunnels)
					require.Equal(t, http.StatusOK, resp.status)
					for _, tunnel := range tunnels {
						names = append(names, *tunnel.Name)
						assert.Equal(t, ids[*tunnel.Name], *tunnel.ID)
					}
					if page == "2" {
						assert.Equal(t, "[]", string(resp.envelope().Result),
							"the last page is empty")
					}
				}
				assert.Equal(t, c.names, names)
			}
		})
	}
}
