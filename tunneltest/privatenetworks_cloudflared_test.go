package tunneltest_test

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// These tests send recorded requests of cloudflared and of Terraform's provider.

// strictNetwork is a virtual network or a route as cloudflared decodes it. Decoding fails if a
// network is not a CIDR, or if a time is neither RFC 3339 nor null.
type strictNetwork struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Comment   string    `json:"comment"`
	IsDefault bool      `json:"is_default_network"`
	Network   cidr      `json:"network"`
	TunnelID  string    `json:"tunnel_id"`
	VNetID    *string   `json:"virtual_network_id"`
	Tunnel    string    `json:"tunnel_name"`
	CreatedAt time.Time `json:"created_at"`
	DeletedAt time.Time `json:"deleted_at"`
}

type cidr string

func (c *cidr) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	prefix, err := netip.ParsePrefix(text)
	*c = cidr(prefix.String())
	return err
}

// sendAsCloudflared sends a request as cloudflared does. It checks the response as strictly as
// cloudflared: the status is 200, the Content-Type is exactly application/json, and messages are
// strings.
func (f *fake) sendAsCloudflared(
	method, path, body string,
) (result json.RawMessage, info *struct{ Page, Count int }) {
	f.t.Helper()
	header := http.Header{
		"Authorization": {"Bearer " + f.APIToken().Reveal()},
		"Accept":        {"application/json;version=1"},
		"User-Agent":    {"cloudflared/2026.8.2"},
	}
	if body != "" {
		header.Set("Content-Type", "application/json")
	}
	r, err := f.tryWith(method, f.accountPath(path), body, header)
	require.NoError(f.t, err)
	require.Equal(f.t, http.StatusOK, r.status, "%s", r.body)
	require.Equal(f.t, []string{"application/json"}, r.header["Content-Type"])
	var envelope struct {
		Success  bool
		Errors   []struct{}
		Messages []string
		Result   json.RawMessage
		Info     *struct{ Page, Count int } `json:"result_info"`
	}
	require.NoError(f.t, json.Unmarshal(r.body, &envelope))
	require.True(f.t, envelope.Success)
	require.Empty(f.t, envelope.Errors)
	return envelope.Result, envelope.Info
}

func (f *fake) networkAsCloudflared(method, path, body string) (network strictNetwork) {
	f.t.Helper()
	result, _ := f.sendAsCloudflared(method, path, body)
	require.NoError(f.t, json.Unmarshal(result, &network), "%s", result)
	return network
}

func (f *fake) listAsCloudflared(path string) (names []string) {
	f.t.Helper()
	result, _ := f.sendAsCloudflared(http.MethodGet, path, "")
	var list []strictNetwork
	require.NoError(f.t, json.Unmarshal(result, &list), "%s", result)
	for _, network := range list {
		names = append(names, network.Name+string(network.Network))
	}
	return names
}

func TestVirtualNetworks_CloudflaredAndTerraform(t *testing.T) {
	t.Parallel()
	f := start(t)
	tunnel, _ := f.create("web")
	// vnet add, Terraform's create
	blue := f.networkAsCloudflared(http.MethodPost, vnets,
		`{"name":"blue","comment":"","is_default_network":false}`)
	green := f.networkAsCloudflared(http.MethodPost, vnets,
		`{"name":"green","comment":"lab","is_default_network":true}`)
	assert.False(t, blue.IsDefault)
	assert.True(t, green.IsDefault)
	assert.True(t, green.DeletedAt.IsZero())

	// vnet list, and the lookup of a name
	for query, names := range map[string]string{
		"?is_deleted=false":                         "default blue green",
		"?is_deleted=false&name=blue":               "blue",
		"?is_deleted=false&is_default=true":         "green",
		"?is_deleted=false&is_default=false":        "default blue",
		"?is_deleted=false&id=" + blue.ID:           "blue",
		"?is_deleted=false&per_page=2":              "default blue",
		"?is_deleted=true":                          "",
		"?is_default_network=true&is_deleted=false": "green", // Terraform's data source
	} {
		assert.Equal(t, strings.Fields(names),
			append([]string{}, f.listAsCloudflared(vnets+query)...), query)
	}

	// Terraform's read, vnet update
	assert.Equal(t, blue, f.networkAsCloudflared(http.MethodGet, vnets+"/"+blue.ID, ""))
	blue.Name, blue.Comment = "teal", "x"
	assert.Equal(t, blue,
		f.networkAsCloudflared(http.MethodPatch, vnets+"/"+blue.ID,
			`{"name":"teal","comment":"x"}`))
	blue.IsDefault = true
	assert.Equal(t, blue,
		f.networkAsCloudflared(http.MethodPatch, vnets+"/"+blue.ID, `{"is_default_network":true}`))

	// vnet delete, without and with -f
	f.addRoute("10.0.0.0/8", tunnel, green.ID)
	f.send(http.MethodDelete, f.accountPath(vnets+"/"+green.ID), "").
		assertError(http.StatusConflict, 1001)
	assert.False(t,
		f.networkAsCloudflared(http.MethodDelete, vnets+"/"+green.ID+"?force=true",
			"").DeletedAt.IsZero())
	assert.Empty(t, f.listAsCloudflared(routes+"?is_deleted=false&page=1&tun_types=cfd_tunnel"))
}

func TestRoutes_CloudflaredAndTerraform(t *testing.T) {
	t.Parallel()
	f := start(t)
	web, _ := f.create("web")
	shop, _ := f.create("shop")
	blue := f.networkAsCloudflared(http.MethodPost, vnets,
		`{"name":"blue","comment":"","is_default_network":false}`)
	// route ip add, Terraform's create
	ten := f.networkAsCloudflared(http.MethodPost, routes,
		`{"network":"10.0.0.0/8","tunnel_id":"`+web+`","comment":""}`)
	assert.Equal(t, cidr("10.0.0.0/8"), ten.Network)
	assert.Equal(t, web, ten.TunnelID)
	f.networkAsCloudflared(
		http.MethodPost,
		routes,
		`{"network":"10.0.0.0/8","tunnel_id":"`+shop+`","comment":"lab",`+
			`"virtual_network_id":"`+blue.ID+`"}`,
	)
	f.networkAsCloudflared(http.MethodPost, routes,
		`{"network":"2001:db8::/32","tunnel_id":"`+web+`","comment":""}`)

	// route ip show
	const show = routes + "?is_deleted=false&page=1&tun_types=cfd_tunnel"
	for query, networks := range map[string]string{
		"":                                      "10.0.0.0/8 10.0.0.0/8 2001:db8::/32",
		"&per_page=2":                           "10.0.0.0/8 10.0.0.0/8",
		"&comment=lab":                          "10.0.0.0/8",
		"&tunnel_id=" + web:                     "10.0.0.0/8 2001:db8::/32",
		"&virtual_network_id=" + blue.ID:        "10.0.0.0/8",
		"&network_superset=10.1.0.0%2F16":       "10.0.0.0/8 10.0.0.0/8",
		"&network_subset=2001%3Adb8%3A%3A%2F16": "2001:db8::/32",
		// the lookup of a CIDR for route ip delete
		"&network_subset=10.0.0.0%2F8&network_superset=10.0.0.0%2F8&virtual_network_id=" + blue.ID: "10.0.0.0/8",
	} {
		result, info := f.sendAsCloudflared(http.MethodGet, show+query, "")
		require.NotNil(t, info, "cloudflared requires result_info")
		var list []strictNetwork
		require.NoError(t, json.Unmarshal(result, &list))
		found := []string{}
		for _, route := range list {
			found = append(found, string(route.Network))
			assert.NotEmpty(t, route.Tunnel)
			assert.NotNil(t, route.VNetID)
		}
		assert.Equal(t, strings.Fields(networks), found, query)
		assert.Equal(t, len(found), info.Count)
	}
	// Terraform reads pages until a page is empty.
	var pages [][]string
	for _, page := range []string{"1", "2", "3"} {
		pages = append(pages, f.listAsCloudflared(routes+"?is_deleted=false&per_page=2&page="+page))
	}
	assert.Equal(t, [][]string{{"10.0.0.0/8", "10.0.0.0/8"}, {"2001:db8::/32"}, nil}, pages)

	// Terraform's read and update
	assert.Equal(t, ten, f.networkAsCloudflared(http.MethodGet, routes+"/"+ten.ID, ""))
	ten.Comment = "office"
	assert.Equal(t, ten,
		f.networkAsCloudflared(http.MethodPatch, routes+"/"+ten.ID, `{"comment":"office"}`))
	ten.Network, ten.TunnelID = "10.0.0.0/9", shop
	assert.Equal(t, ten,
		f.networkAsCloudflared(http.MethodPatch, routes+"/"+ten.ID,
			`{"network":"10.0.0.0/9","tunnel_id":"`+shop+`"}`))

	// route ip get
	assert.Equal(t, ten.ID, f.networkAsCloudflared(http.MethodGet, routes+"/ip/10.1.2.3", "").ID)
	assert.Equal(t, shop,
		f.networkAsCloudflared(http.MethodGet, routes+"/ip/10.200.0.1?virtual_network_id="+blue.ID,
			"").TunnelID)
	assert.Equal(t, cidr("2001:db8::/32"),
		f.networkAsCloudflared(http.MethodGet, routes+"/ip/2001:db8::1", "").Network)
	result, _ := f.sendAsCloudflared(http.MethodGet, routes+"/ip/192.0.2.1", "")
	assert.Equal(t, "null", string(result))

	// route ip delete
	assert.False(t,
		f.networkAsCloudflared(http.MethodDelete, routes+"/"+ten.ID, "").DeletedAt.IsZero())
	assert.Equal(t, []string{"10.0.0.0/8", "2001:db8::/32"}, f.listAsCloudflared(show))
}
