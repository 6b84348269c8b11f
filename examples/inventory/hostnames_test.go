package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func TestInventory_Hostnames(t *testing.T) {
	t.Parallel()
	_, client := newSeededFake(t)
	entries, err := collect(t.Context(), client, time.Now(), io.Discard)
	require.NoError(t, err)
	cells := map[string]string{}
	for _, e := range entries {
		cells[e.Name] = e.hostnamesCell()
	}
	assert.Equal(t, map[string]string{
		"blog": "blog.example.com", "shop": "shop.example.com (missing)", "office": "", "vpn": "", "wiki": "",
	}, cells)
	var out bytes.Buffer
	require.NoError(t, printJSON(&out, entries))
	var decoded []entry
	require.NoError(t, json.Unmarshal(out.Bytes(), &decoded))
	assert.Equal(t, []hostname{{
		Hostname: "blog.example.com", Service: "http://localhost:8080", DNS: cftunnel.DNSStateReady,
	}}, decoded[0].Hostnames)
}

func TestInventory_UnreadableHostnames(t *testing.T) {
	t.Parallel()
	fake, client := newSeededFake(t)
	fake.Inject(tunneltest.Fault{
		Operation: "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/configurations", Status: 500,
	})
	entries, err := collect(t.Context(), client, time.Now(), io.Discard)
	require.ErrorIs(t, err, cftunnel.ErrServer)
	assert.Contains(t, err.Error(), "1 of 5 tunnels")
	var out bytes.Buffer
	require.NoError(t, printTable(&out, entries))
	assert.Equal(t, 1, strings.Count(out.String(), "?"))
}

func TestEntry_HostnamesCell(t *testing.T) {
	t.Parallel()
	e := entry{Hostnames: []hostname{
		{Hostname: "a.example.com", Path: "^/api", DNS: cftunnel.DNSStateReady},
		{Hostname: "a.example.com", DNS: cftunnel.DNSStateReady},
		{Hostname: "b.example.com", DNS: cftunnel.DNSStateNotProxied},
	}}
	assert.Equal(t, "a.example.com, b.example.com (not proxied)", e.hostnamesCell())
	assert.Empty(t, entry{ConfigSource: cftunnel.ConfigSourceCloudflare}.hostnamesCell())
	assert.Equal(t, "?", entry{ConfigSource: cftunnel.ConfigSourceLocal}.hostnamesCell())
}
