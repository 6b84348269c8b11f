package main

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/logwatch"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const (
	opCreate = "POST /accounts/{account_id}/cfd_tunnel"
	opUpdate = "PATCH /accounts/{account_id}/cfd_tunnel/{tunnel_id}"
	opDelete = "DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}"
)

func newFake(t *testing.T) (*tunneltest.Server, *cftunnel.Client) {
	t.Helper()
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	client, err := fake.NewClient(cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 1}), logwatch.Watch(t, fake))
	require.NoError(t, err)
	return fake, client
}

func live(t *testing.T, client *cftunnel.Client) int {
	t.Helper()
	page, err := client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
	require.NoError(t, err)
	return len(page.Items)
}

func TestRunTellsEveryStepAndLeavesNothing(t *testing.T) {
	t.Parallel()
	fake, client := newFake(t)
	fake.SeedTunnels(2)
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out, client, fake))
	for _, said := range []string{"created", "[REDACTED]", "connected", "healthy", "3 tunnels", "seed-00001", "renamed", "deleted"} {
		assert.Contains(t, out.String(), said)
	}
	assert.Equal(t, 2, live(t, client))
}

func TestRunOnARealAccountStartsNoReplica(t *testing.T) {
	t.Parallel()
	_, client := newFake(t)
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out, client, nil))
	assert.NotContains(t, out.String(), "replica  ")
	assert.Zero(t, live(t, client))
}

func TestRunDeletesWhatItMadeWhateverFails(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]tunneltest.Fault{
		"the create is refused":           {Operation: opCreate, Status: 403},
		"the create's answer is lost":     {Operation: opCreate, Cut: tunneltest.CutAfter},
		"the create is lost":              {Operation: opCreate, Cut: tunneltest.CutBefore},
		"the token is refused":            {Operation: "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/token", Status: 403},
		"the status cannot be read":       {Operation: "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}", Status: 500},
		"the list cannot be read":         {Operation: "GET /accounts/{account_id}/cfd_tunnel", Status: 500},
		"the rename fails":                {Operation: opUpdate, Status: 500},
		"the first delete fails":          {Operation: opDelete, Status: 500},
		"the first delete's answer is so": {Operation: opDelete, Cut: tunneltest.CutAfter},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, client := newFake(t)
			fake.Inject(fault)
			require.Error(t, run(t.Context(), &bytes.Buffer{}, client, fake))
			fake.ClearFaults()
			assert.Zero(t, live(t, client))
		})
	}
}

func TestRunDeletesWhatItMadeWhenItIsInterrupted(t *testing.T) {
	t.Parallel()
	fake, client := newFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := run(ctx, writer(func(line string) { cancel() }), client, fake)
	require.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, live(t, client))
}

func TestRunNamesWhatItCouldNotDelete(t *testing.T) {
	t.Parallel()
	fake, client := newFake(t)
	fake.Inject(tunneltest.Fault{Operation: opDelete, Status: 500, Times: tunneltest.Always})
	err := run(t.Context(), &bytes.Buffer{}, client, fake)
	require.Error(t, err)
	assert.Contains(t, err.Error(), "is left behind")
}

// writer calls a function with everything that is written.
type writer func(string)

func (w writer) Write(p []byte) (int, error) {
	w(string(p))
	return len(p), nil
}
