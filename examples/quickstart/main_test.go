package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/examples/internal/sample"
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
	once := cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 1})
	client, err := fake.NewClient(once, logwatch.Watch(t, fake))
	require.NoError(t, err)
	return fake, client
}

// countTunnels returns the number of live tunnels.
func countTunnels(t *testing.T, client *cftunnel.Client) int {
	t.Helper()
	page, err := client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
	require.NoError(t, err)
	return len(page.Items)
}

func TestRun_PrintsStepsAndDeletesTunnel(t *testing.T) {
	t.Parallel()
	fake, client := newFake(t)
	fake.SeedTunnels(2)
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out, io.Discard, client, fake))
	for _, text := range []string{"created", "[REDACTED]", "connected", "healthy", "3 tunnels", "seed-00001", "renamed", "deleted"} {
		assert.Contains(t, out.String(), text)
	}
	assert.Equal(t, 2, countTunnels(t, client))
}

func TestRun_RealAccountStartsNoReplica(t *testing.T) {
	t.Parallel()
	_, client := newFake(t)
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out, io.Discard, client, nil))
	assert.NotContains(t, out.String(), "replica  ")
	assert.Contains(t, out.String(), "1 tunnel of the account")
	assert.Zero(t, countTunnels(t, client))
}

func TestRun_FailureDeletesTunnel(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]tunneltest.Fault{
		"create rejected":             {Operation: opCreate, Status: 403},
		"create, lost response":       {Operation: opCreate, Cut: tunneltest.CutAfter},
		"create, lost request":        {Operation: opCreate, Cut: tunneltest.CutBefore},
		"token rejected":              {Operation: "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/token", Status: 403},
		"get fails":                   {Operation: "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}", Status: 500},
		"list fails":                  {Operation: "GET /accounts/{account_id}/cfd_tunnel", Status: 500},
		"rename fails":                {Operation: opUpdate, Status: 500},
		"first delete fails":          {Operation: opDelete, Status: 500},
		"first delete, lost response": {Operation: opDelete, Cut: tunneltest.CutAfter},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, client := newFake(t)
			fake.Inject(fault)
			require.Error(t, run(t.Context(), io.Discard, io.Discard, client, fake))
			fake.ClearFaults()
			assert.Zero(t, countTunnels(t, client))
		})
	}
}

func TestRun_InterruptDeletesTunnel(t *testing.T) {
	t.Parallel()
	fake, client := newFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := run(ctx, writerFunc(func(string) { cancel() }), io.Discard, client, fake)
	require.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, countTunnels(t, client))
}

func TestRun_NamesTunnelThatIsNotDeleted(t *testing.T) {
	t.Parallel()
	fake, client := newFake(t)
	fake.Inject(tunneltest.Fault{Operation: opDelete, Status: 500, Times: tunneltest.Always})
	err := run(t.Context(), io.Discard, io.Discard, client, fake)
	require.Error(t, err)
	assert.Contains(t, err.Error(), "is not deleted")
}

// writerFunc calls a function with everything that is written.
type writerFunc func(string)

func (f writerFunc) Write(p []byte) (int, error) {
	f(string(p))
	return len(p), nil
}

func TestQuickstart_CommandLine(t *testing.T) {
	t.Setenv("CLOUDFLARE_API_TOKEN", "")
	t.Setenv("CLOUDFLARE_API_KEY", "")
	for _, test := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{}, 0, "created", "No credentials"},
		{[]string{"-help"}, 0, "", "usage: quickstart"},
		{[]string{"-nonsense"}, 2, "", "-nonsense"},
		{[]string{"extra"}, 2, "", `unexpected argument "extra"`},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, test.code, start(t.Context(), test.args, &stdout, &stderr), test.args)
		assert.True(t, strings.HasPrefix(stdout.String(), test.stdout), stdout.String())
		assert.Equal(t, test.stdout == "", stdout.Len() == 0)
		assert.Contains(t, stderr.String(), test.stderr, test.args)
	}
}

func TestQuickstart_RealAccount(t *testing.T) {
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	t.Setenv("CLOUDFLARE_BASE_URL", fake.URL())
	t.Setenv("CLOUDFLARE_API_TOKEN", fake.APIToken().Reveal())
	t.Setenv("CLOUDFLARE_ACCOUNT_ID", fake.AccountID())
	fake.Inject(tunneltest.Fault{Operation: opUpdate, Status: 403})
	var stdout, stderr bytes.Buffer
	assert.Equal(t, 1, start(t.Context(), nil, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "Using account "+fake.AccountID())
	assert.Contains(t, stderr.String(), "A step failed; ")
	assert.NotContains(t, stdout.String(), "failed")

	t.Setenv("CLOUDFLARE_ACCOUNT_ID", "")
	assert.Equal(t, 1, start(t.Context(), nil, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "CLOUDFLARE_ACCOUNT_ID is not")
}

func TestQuickstart_UnwritableOutput(t *testing.T) {
	t.Setenv("CLOUDFLARE_API_TOKEN", "")
	t.Setenv("CLOUDFLARE_API_KEY", "")
	reader, stdout := io.Pipe()
	require.NoError(t, reader.Close())
	var stderr bytes.Buffer
	assert.Equal(t, 1, start(t.Context(), nil, stdout, &stderr))
	assert.Contains(t, stderr.String(), io.ErrClosedPipe.Error())
}

//nolint:paralleltest // it sets the environment
func TestQuickstart_Sample(t *testing.T) { sample.Check(t, "quickstart", start) }
