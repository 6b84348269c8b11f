package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/logwatch"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const month = 30 * 24 * time.Hour

// account has three idle tunnels, one that is down, and one that runs.
func account(t *testing.T) (*tunneltest.Server, *cftunnel.Client, time.Time) {
	t.Helper()
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	fake.SeedTunnels(3)
	client, err := fake.NewClient(cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 1}), logwatch.Watch(t, fake))
	require.NoError(t, err)
	for _, name := range []string{"down", "up"} {
		tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: name})
		require.NoError(t, err)
		connector, err := fake.Connect(tunnel.Token)
		require.NoError(t, err)
		if name == "down" {
			fake.Disconnect(connector)
		}
	}
	return fake, client, time.Now()
}

func left(t *testing.T, client *cftunnel.Client) (names []string) {
	t.Helper()
	for tunnel, err := range client.Tunnels.All(t.Context(), cftunnel.TunnelListParams{}) {
		require.NoError(t, err)
		names = append(names, tunnel.Name)
	}
	return names
}

func TestPruneOnlyShowsWithoutYes(t *testing.T) {
	t.Parallel()
	_, client, now := account(t)
	var out bytes.Buffer
	require.NoError(t, prune(t.Context(), client, now.Add(month), month, false, &out))
	for _, name := range []string{"seed-00001", "seed-00003", "down", "4 tunnels"} {
		assert.Contains(t, out.String(), name)
	}
	assert.NotContains(t, out.String(), "up ")
	assert.Len(t, left(t, client), 5)
}

func TestPruneDeletesWhatIsOldEnough(t *testing.T) {
	t.Parallel()
	_, client, now := account(t)
	var out bytes.Buffer
	require.NoError(t, prune(t.Context(), client, now.Add(month-time.Hour), month, true, &out))
	assert.Len(t, left(t, client), 5)
	require.NoError(t, prune(t.Context(), client, now.Add(month), month, true, &out))
	assert.Equal(t, []string{"up"}, left(t, client))
	assert.Contains(t, out.String(), "4 of 4 tunnels are deleted")
}

func TestOneThatCannotBeDeletedStopsNoOther(t *testing.T) {
	t.Parallel()
	fake, client, now := account(t)
	const opDelete = "DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}"
	fake.Inject(tunneltest.Fault{Operation: opDelete, Status: 403})
	fake.Inject(tunneltest.Fault{Operation: opDelete, Status: 400, Body: `{"success":false,"errors":[{"code":1022,"message":"m"}]}`})
	var out bytes.Buffer
	require.ErrorContains(t, prune(t.Context(), client, now.Add(month), month, true, &out), "2 of 4")
	assert.Contains(t, out.String(), "failed  ")
	assert.Contains(t, out.String(), "403 Forbidden")
	assert.Contains(t, out.String(), "somebody runs it again")
	assert.Len(t, left(t, client), 3)
}

func TestUnknownStatusesAreKept(t *testing.T) {
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

func TestCommandLine(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	assert.Zero(t, start(t.Context(), []string{"-help"}, &out, &errs))
	assert.Contains(t, errs.String(), "-older-than")
	for _, args := range [][]string{{"-nonsense"}, {"extra"}, {"-older-than", "-1h"}} {
		assert.Equal(t, 2, start(t.Context(), args, &out, &errs))
	}
	assert.Empty(t, out.String())
}
