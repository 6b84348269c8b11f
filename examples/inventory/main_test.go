package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/examples/internal/sample"
	"github.com/cftunnel/cftunnel-go/internal/test/logwatch"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// newSeededFake returns a fake with tunnels and a client that does not retry.
func newSeededFake(t *testing.T) (*tunneltest.Server, *cftunnel.Client) {
	t.Helper()
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	once := cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 1})
	client, err := fake.NewClient(once, logwatch.Watch(t, fake))
	require.NoError(t, err)
	require.NoError(t, seed(t.Context(), fake, client))
	return fake, client
}

func TestInventory_EveryType(t *testing.T) {
	t.Parallel()
	_, client := newSeededFake(t)
	var progress bytes.Buffer
	entries, err := collect(t.Context(), client, time.Now().Add(49*time.Hour), &progress)
	require.NoError(t, err)
	assert.Contains(t, progress.String(), "5 of 5 tunnels")

	var table bytes.Buffer
	require.NoError(t, printTable(&table, entries))
	lines := strings.Split(strings.TrimSpace(table.String()), "\n")
	require.Len(t, lines, 6)
	for i, want := range [][]string{
		{"NAME", "TYPE", "STATUS", "CONNECTORS", "VERSIONS", "AGE", "ID", "ROUTES", "HOSTNAMES"},
		{"blog", "cfd_tunnel", "healthy", "1", "2026.10.0", "2d"},
		{"office", "warp_connector", "healthy", "1", "2026.10.0", "2d"},
		{"shop", "cfd_tunnel", "degraded", "1", "2026.10.0", "2d"},
		{"vpn", "cfd_tunnel", "down", "0", "2d"},
		{"wiki", "cfd_tunnel", "inactive", "0", "2d"},
	} {
		assert.Equal(t, want, strings.Fields(lines[i])[:len(want)])
	}
	assert.Regexp(t, `  192\.168\.0\.0/16 *$`, lines[2])
	assert.Regexp(t, `  10\.0\.0\.0/8 10\.0\.0\.0/8@lab wiki\.internal *$`, lines[4])

	var asJSON bytes.Buffer
	require.NoError(t, printJSON(&asJSON, entries))
	var decoded []entry
	require.NoError(t, json.Unmarshal(asJSON.Bytes(), &decoded))
	assert.Equal(t, entries, decoded)

	var asCSV bytes.Buffer
	require.NoError(t, printCSV(&asCSV, entries))
	records, err := csv.NewReader(&asCSV).ReadAll()
	require.NoError(t, err)
	assert.Len(t, records, 6)
	assert.Equal(t, "blog", records[1][0])
}

func TestInventory_NoTunnels(t *testing.T) {
	t.Parallel()
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	client, err := fake.NewClient()
	require.NoError(t, err)
	entries, err := collect(t.Context(), client, time.Now(), io.Discard)
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, printJSON(&out, entries))
	assert.JSONEq(t, "[]", out.String())
}

func TestInventory_UnreadableConnectors(t *testing.T) {
	t.Parallel()
	fake, client := newSeededFake(t)
	fake.Inject(tunneltest.Fault{Operation: "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections", Status: 500})
	entries, err := collect(t.Context(), client, time.Now(), io.Discard)
	require.ErrorIs(t, err, cftunnel.ErrServer)
	assert.Contains(t, err.Error(), "1 of 5 tunnels")
	assert.Len(t, entries, 5)
	var out bytes.Buffer
	require.NoError(t, printTable(&out, entries))
	assert.Equal(t, 1, strings.Count(out.String(), "?"))
}

func TestInventory_UnreadableRoutes(t *testing.T) {
	t.Parallel()
	fake, client := newSeededFake(t)
	for _, path := range []string{"teamnet/virtual_networks", "teamnet/routes", "zerotrust/routes/hostname"} {
		fake.Inject(tunneltest.Fault{Operation: "GET /accounts/{account_id}/" + path, Status: 403})
		entries, err := collect(t.Context(), client, time.Now(), io.Discard)
		require.ErrorIs(t, err, cftunnel.ErrForbidden)
		assert.ErrorContains(t, err, "routes failed")
		assert.Len(t, entries, 5)
		assert.Equal(t, 1, entries[0].Connectors)
	}
}

func TestInventory_CanceledContext(t *testing.T) {
	t.Parallel()
	_, client := newSeededFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := collect(ctx, client, time.Now(), io.Discard)
	require.ErrorIs(t, err, context.Canceled)
}

func TestAge(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 90 * time.Second: "90s", 2 * time.Minute: "2m", 47 * time.Hour: "47h", 48 * time.Hour: "2d", 9000 * time.Hour: "375d",
	} {
		assert.Equal(t, want, age(d))
	}
}

func TestInventory_OneTunnel(t *testing.T) {
	t.Parallel()
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	fake.SeedTunnels(1)
	client, err := fake.NewClient()
	require.NoError(t, err)
	var progress bytes.Buffer
	_, err = collect(t.Context(), client, time.Now(), &progress)
	require.NoError(t, err)
	assert.Contains(t, progress.String(), "1 of 1 tunnel")
	assert.NotContains(t, progress.String(), "tunnels")
}

func TestInventory_CommandLine(t *testing.T) {
	t.Setenv("CLOUDFLARE_API_TOKEN", "")
	t.Setenv("CLOUDFLARE_API_KEY", "")
	for _, test := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{}, 0, "NAME", "No credentials"},
		{[]string{"-csv"}, 0, "NAME,", "No credentials"},
		{[]string{"-json"}, 0, "[", "No credentials"},
		{[]string{"-help"}, 0, "", "usage: inventory"},
		{[]string{"-nonsense"}, 2, "", "-nonsense"},
		{[]string{"extra"}, 2, "", `unexpected argument "extra"`},
		{[]string{"-json", "-csv"}, 2, "", "-json and -csv cannot be combined"},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, test.code, start(t.Context(), test.args, &stdout, &stderr), test.args)
		assert.True(t, strings.HasPrefix(stdout.String(), test.stdout), stdout.String())
		assert.Equal(t, test.stdout == "", stdout.Len() == 0)
		assert.Contains(t, stderr.String(), test.stderr, test.args)
	}
}

//nolint:paralleltest // it sets the environment
func TestInventory_Sample(t *testing.T) { sample.Check(t, "inventory", start) }
