package main

import (
	"bytes"
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

const month = 30 * 24 * time.Hour

const (
	opDelete       = "DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}"
	opRecordDelete = "DELETE /zones/{zone_id}/dns_records/{dns_record_id}"
)

// newAccount returns a fake with three tunnels that never ran, one that is down, and one that runs.
func newAccount(t *testing.T) (*tunneltest.Server, *cftunnel.Client, time.Time) {
	t.Helper()
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	fake.SeedTunnels(3)
	once := cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 1})
	client, err := fake.NewClient(once, logwatch.Watch(t, fake))
	require.NoError(t, err)
	for _, name := range []string{"down", "up"} {
		tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{
			Name: name, ConfigSource: cftunnel.ConfigSourceCloudflare,
		})
		require.NoError(t, err)
		connector, err := fake.Connect(tunnel.Token)
		require.NoError(t, err)
		if name == "down" {
			fake.Disconnect(connector)
		}
	}
	return fake, client, time.Now()
}

// tunnelNames returns the names of the live tunnels.
func tunnelNames(t *testing.T, client *cftunnel.Client) (names []string) {
	t.Helper()
	for tunnel, err := range client.Tunnels.All(t.Context(), cftunnel.TunnelListParams{}) {
		require.NoError(t, err)
		names = append(names, tunnel.Name)
	}
	return names
}

func TestPrune_WithoutYesDeletesNothing(t *testing.T) {
	t.Parallel()
	_, client, now := newAccount(t)
	var out, notices bytes.Buffer
	p := &pruner{client: client, out: &out}
	require.NoError(t, p.prune(t.Context(), now.Add(month), month, false, &notices))
	for _, name := range []string{"seed-00001", "seed-00003", "down", "4 tunnels had no connection"} {
		assert.Contains(t, out.String(), name)
	}
	assert.Equal(t, "No tunnel is deleted. To delete them, use -yes.\n", notices.String())
	assert.NotContains(t, out.String(), "up ")
	assert.Len(t, tunnelNames(t, client), 5)
}

func TestPrune_DeletesOldTunnels(t *testing.T) {
	t.Parallel()
	_, client, now := newAccount(t)
	var out bytes.Buffer
	p := &pruner{client: client, out: &out}
	early := now.Add(month - time.Hour)
	require.NoError(t, p.prune(t.Context(), early, month, true, io.Discard))
	assert.Len(t, tunnelNames(t, client), 5)
	require.NoError(t, p.prune(t.Context(), now.Add(month), month, true, io.Discard))
	assert.Equal(t, []string{"up"}, tunnelNames(t, client))
	assert.Contains(t, out.String(), "Deleted 4 of 4 tunnels.")
}

func TestPrune_FailedDeletes(t *testing.T) {
	t.Parallel()
	fake, client, now := newAccount(t)
	fake.Inject(tunneltest.Fault{Operation: opDelete, Status: 403})
	fake.Inject(tunneltest.Fault{
		Operation: opDelete, Status: 400,
		Body: `{"success":false,"errors":[{"code":1022,"message":"m"}]}`,
	})
	var out bytes.Buffer
	p := &pruner{client: client, out: &out}
	err := p.prune(t.Context(), now.Add(month), month, true, io.Discard)
	require.ErrorContains(t, err, "2 of 4")
	assert.Contains(t, out.String(), "failed  ")
	assert.Contains(t, out.String(), "403 Forbidden")
	assert.Contains(t, out.String(), "it is running again")
	assert.Len(t, tunnelNames(t, client), 3)
}

// The DNS records of a deleted tunnel are removed, or listed if the flag is not set or the token
// may not remove them. The records of a tunnel that is kept stay.
func TestPrune_Hostnames(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		unpublish bool
		fault     tunneltest.Fault
		records   int    // that are left
		text      string // of the output
		err       string
	}{
		"removed": {unpublish: true, text: "Deleted 4 of 4 tunnels."},
		"without the flag": {
			records: 1, text: "left    app.example.com of down, DNS record: ready\n",
		},
		"no permission for DNS": {
			unpublish: true, fault: tunneltest.Fault{Operation: opRecordDelete, Status: 403},
			records: 1, text: "left    app.example.com of down: ", err: "1 hostname could not be",
		},
		"a tunnel that runs again": {
			unpublish: true, fault: tunneltest.Fault{
				Operation: opDelete, Status: 400, Times: tunneltest.Always,
				Body: `{"success":false,"errors":[{"code":1022,"message":"m"}]}`,
			},
			records: 1, text: "kept    down", err: "4 of 4 tunnels could not be deleted",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, client, now := newAccount(t)
			zoneID := fake.SeedZone("example.com")
			tunnel, err := client.Tunnels.FindByName(t.Context(), "down")
			require.NoError(t, err)
			for _, path := range []string{"", "^/api"} {
				_, err = client.Hostnames.Publish(t.Context(), tunnel.ID, cftunnel.PublishParams{
					Hostname: "app.example.com", Path: path, Service: "http://localhost:8080",
				})
				require.NoError(t, err)
			}
			if test.fault.Operation != "" {
				fake.Inject(test.fault)
			}
			var out bytes.Buffer
			p := pruner{client: client, unpublish: test.unpublish, out: &out}
			err = p.prune(t.Context(), now.Add(month), month, true, io.Discard)
			if test.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.err)
			}
			assert.Contains(t, out.String(), test.text)
			left := strings.Count(out.String(), "left    ")
			assert.Equal(t, strings.HasPrefix(test.text, "left"), left == 1, "%s", &out)
			page, err := client.DNSRecords.List(
				t.Context(), zoneID, cftunnel.DNSRecordListParams{})
			require.NoError(t, err)
			assert.Len(t, page.Items, test.records)
		})
	}
}

// The hostnames of the tunnel are in a file, so prune cannot remove or name its DNS records.
func TestPrune_LocallyManaged(t *testing.T) {
	t.Parallel()
	fake, client, now := newAccount(t)
	fake.Seed(tunneltest.TunnelSeed{
		Name: "loc", ConfigSource: cftunnel.ConfigSourceLocal, CreatedAt: now,
	})
	var out bytes.Buffer
	p := pruner{client: client, unpublish: true, out: &out}
	require.NoError(t, p.prune(t.Context(), now.Add(month), month, true, io.Discard))
	assert.Contains(t, out.String(), "deleted loc; its hostnames are in a file, DNS records may be")
	assert.Equal(t, 1, strings.Count(out.String(), "in a file"))
	assert.Contains(t, out.String(), "Deleted 5 of 5 tunnels.")
}

func TestIsIdle(t *testing.T) {
	t.Parallel()
	now := time.Now()
	old := now.Add(-2 * month)
	assert.True(t, isIdle(&cftunnel.Tunnel{Status: "down", ConnsInactiveAt: old}, now, month))
	assert.True(t, isIdle(&cftunnel.Tunnel{Status: "inactive", ConnsInactiveAt: old}, now, month))
	assert.True(t, isIdle(&cftunnel.Tunnel{Status: "inactive", CreatedAt: old}, now, month))
	for _, tunnel := range []cftunnel.Tunnel{
		{Status: "inactive"}, {Status: "inactive", CreatedAt: now}, {Status: "down", CreatedAt: old}, {Status: "down"}, {Status: "healthy", ConnsInactiveAt: old}, {Status: "degraded", ConnsInactiveAt: old}, {Status: "new", ConnsInactiveAt: old},
	} {
		assert.False(t, isIdle(&tunnel, now, month))
	}
}

func TestPrune_OneTunnel(t *testing.T) {
	t.Parallel()
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	fake.SeedTunnels(1)
	client, err := fake.NewClient()
	require.NoError(t, err)
	var out bytes.Buffer
	p := &pruner{client: client, out: &out}
	later := time.Now().Add(month)
	require.NoError(t, p.prune(t.Context(), later, month, false, io.Discard))
	assert.Contains(t, out.String(), "\n1 tunnel had no connection")
	require.NoError(t, p.prune(t.Context(), later, month, true, io.Discard))
	assert.Contains(t, out.String(), "\nDeleted 1 of 1 tunnel.")
	require.NoError(t, p.prune(t.Context(), later, month, false, io.Discard))
	assert.Contains(t, out.String(), "\n0 tunnels had no connection")
}

func TestPrune_CommandLine(t *testing.T) {
	t.Setenv("CLOUDFLARE_API_TOKEN", "")
	t.Setenv("CLOUDFLARE_API_KEY", "")
	for _, test := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{}, 0, "3 tunnels had no connection", "No credentials"},
		{[]string{"-yes"}, 0, "Deleted 3 of 3 tunnels.", "No credentials"},
		{[]string{"-older-than", "10000h"}, 0, "0 tunnels had no connection", "No credentials"},
		{[]string{"-help"}, 0, "", "-older-than"},
		{[]string{"-nonsense"}, 2, "", "-nonsense"},
		{[]string{"extra"}, 2, "", `unexpected argument "extra"`},
		{[]string{"-older-than", "-1h"}, 2, "", "-older-than is -1h0m0s; it cannot be negative"},
		{[]string{"-older-than", "month"}, 2, "", "month"},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, test.code, start(t.Context(), test.args, &stdout, &stderr), test.args)
		assert.Contains(t, stdout.String(), test.stdout)
		assert.Equal(t, test.stdout == "", stdout.Len() == 0)
		assert.Contains(t, stderr.String(), test.stderr, test.args)
	}
}

// writerFunc is a function that is called with everything that is written.
type writerFunc func(string) error

func (f writerFunc) Write(p []byte) (int, error) { return len(p), f(string(p)) }

func TestPrune_UnwritableOutput(t *testing.T) {
	t.Setenv("CLOUDFLARE_API_TOKEN", "")
	t.Setenv("CLOUDFLARE_API_KEY", "")
	for _, test := range []struct{ flag, failing string }{
		{"-yes=false", "3 tunnels"}, {"-yes", "deleted seed-00002"}, {"-yes", "Deleted 3"},
	} {
		full := writerFunc(func(text string) error {
			if strings.HasPrefix(text, test.failing) {
				return io.ErrShortWrite
			}
			return nil
		})
		var stderr bytes.Buffer
		assert.Equal(t, 1, start(t.Context(), []string{test.flag}, full, &stderr), test)
		assert.Contains(t, stderr.String(), io.ErrShortWrite.Error())
	}
}

//nolint:paralleltest // it sets the environment
func TestPrune_Sample(t *testing.T) { sample.Check(t, "prune", start) }
