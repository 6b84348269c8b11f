package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/logwatch"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const (
	opUpdate = "PATCH /accounts/{account_id}/cfd_tunnel/{tunnel_id}"
	opToken  = "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/token"
)

// running returns a fake with a tunnel and a replica. It works on the clock of a bubble.
func running(t *testing.T) (*tunneltest.Server, *cftunnel.Client, *cftunnel.Tunnel, string) {
	t.Helper()
	fake := tunneltest.NewServer(tunneltest.InMemory())
	t.Cleanup(fake.Close)
	client, err := fake.NewClient(cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 1}))
	require.NoError(t, err)
	tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "blog"})
	require.NoError(t, err)
	connector, err := fake.Connect(tunnel.Token)
	require.NoError(t, err)
	return fake, client, tunnel, connector
}

// rotate runs a rotator on the tunnel "blog" and returns what it wrote.
func rotate(t *testing.T, r rotator) (token, progress string, err error) {
	t.Helper()
	var stdout, messages bytes.Buffer
	r.token, r.progress = &stdout, &messages
	r.tunnel = cmp.Or(r.tunnel, "blog")
	err = r.rotate(t.Context())
	return stdout.String(), messages.String(), err
}

func TestPlannedRotationWaitsForTheReplicas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, plannedRotationWaits)
}

func plannedRotationWaits(t *testing.T) {
	fake, client, tunnel, connector := running(t)
	looks := 0
	r := rotator{client: client, settings: settings{wait: time.Minute, interval: 5 * time.Second}}
	r.onLook = func(token cftunnel.Secret) {
		if looks++; looks == 2 {
			fake.Disconnect(connector)
			_, err := fake.Connect(token)
			assert.NoError(t, err)
		}
	}
	printed, progress, err := rotate(t, r)
	require.NoError(t, err)
	assert.Equal(t, 2, looks)
	assert.Contains(t, progress, "old token  "+connector)
	assert.Contains(t, progress, "Replicas with the old token: 1 of 1; with the new one: 0.")
	assert.Contains(t, progress, "Replicas with the old token: 0 of 1; with the new one: 1.")
	token, err := client.Tunnels.Token(t.Context(), tunnel.ID)
	require.NoError(t, err)
	assert.NotContains(t, progress, token.Reveal())
	assert.Empty(t, printed)
}

func TestPlannedRotationEndsWhereReplicasStay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, client, _, _ := running(t)
		began := time.Now()
		_, _, err := rotate(t, rotator{
			client: client, settings: settings{wait: time.Hour, interval: 7 * time.Minute},
		})
		require.ErrorContains(t, err, "still run with the old token: 1")
		assert.Equal(t, time.Hour, time.Since(began))
	})
}

func TestNothingSecretIsLogged(t *testing.T) {
	t.Parallel()
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	client, err := fake.NewClient(logwatch.Watch(t, fake))
	require.NoError(t, err)
	tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "blog"})
	require.NoError(t, err)
	_, err = fake.Connect(tunnel.Token)
	require.NoError(t, err)
	_, _, err = rotate(t, rotator{client: client, settings: settings{compromised: true}})
	require.NoError(t, err)
}

func TestRotationAfterACompromise(t *testing.T) {
	t.Parallel()
	fake, client, tunnel, _ := running(t)
	path := filepath.Join(t.TempDir(), "token")
	_, progress, err := rotate(t, rotator{client: client, settings: settings{compromised: true, out: path}})
	require.NoError(t, err)
	connectors, err := client.Connectors.List(t.Context(), tunnel.ID)
	require.NoError(t, err)
	assert.Empty(t, connectors)

	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.NotContains(t, progress, string(content[:40]))
	_, err = fake.Connect(cftunnel.NewSecret(string(content)))
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	_, err = fake.Connect(tunnel.Token)
	require.Error(t, err)
}

func TestTokenIsKeptWhereTheCleanUpFails(t *testing.T) {
	t.Parallel()
	fake, client, _, _ := running(t)
	fake.Inject(tunneltest.Fault{Operation: "DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections", Status: 500})
	path := filepath.Join(t.TempDir(), "token")
	_, _, err := rotate(t, rotator{client: client, settings: settings{compromised: true, out: path}})
	require.ErrorContains(t, err, "cleaning up its connections failed")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	_, err = fake.Connect(cftunnel.NewSecret(string(content)))
	require.NoError(t, err)
}

func TestRotation_Print(t *testing.T) {
	t.Parallel()
	fake, client, tunnel, _ := running(t)
	printed, progress, err := rotate(t, rotator{client: client, settings: settings{compromised: true, print: true}})
	require.NoError(t, err)
	token, err := client.Tunnels.Token(t.Context(), tunnel.ID)
	require.NoError(t, err)
	assert.Equal(t, token.Reveal()+"\n", printed)
	assert.NotContains(t, progress, token.Reveal())

	// Nobody can say whether the tunnel is rotated: the token is still the only thing that is printed.
	fake.Inject(tunneltest.Fault{Operation: opUpdate, Cut: tunneltest.CutAfter})
	fake.Inject(tunneltest.Fault{Operation: opToken, Status: 500})
	printed, progress, err = rotate(t, rotator{client: client, settings: settings{print: true}})
	require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	require.ErrorContains(t, err, "whether blog is rotated is unknown")
	assert.Contains(t, progress, "good if blog is rotated")
	require.True(t, strings.HasSuffix(printed, "\n"))
	_, err = fake.Connect(cftunnel.NewSecret(printed))
	require.NoError(t, err)
}

func TestRotation_UnknownTunnel(t *testing.T) {
	t.Parallel()
	_, client, _, _ := running(t)
	_, _, err := rotate(t, rotator{client: client, settings: settings{tunnel: "shop"}})
	require.ErrorIs(t, err, cftunnel.ErrNotFound)
}

func TestRotate_CommandLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	t.Setenv("CLOUDFLARE_BASE_URL", fake.URL())
	t.Setenv("CLOUDFLARE_ACCOUNT_ID", fake.AccountID())
	t.Setenv("CLOUDFLARE_API_KEY", "")
	for _, test := range []struct {
		credentials bool
		args        []string
		code        int
		stderr      string
	}{
		{true, []string{"-help"}, 0, "-compromised"},
		{true, []string{"-nonsense"}, 2, "-nonsense"},
		{true, []string{"-print", "a", "b"}, 2, "more than one tunnel"},
		{true, []string{"-print", "-wait", "0s", "a"}, 2, "-wait is 0s; it must be positive"},
		{true, []string{"-print", "-interval", "-1s", "a"}, 2, "-interval is -1s; it must be positive"},
		{true, []string{"-print"}, 2, "name of the tunnel is missing"},
		{true, []string{"blog"}, 2, "-out or -print is missing"},
		{true, []string{"-compromised", "blog"}, 2, "-out or -print is missing"},
		// A token of a fake must not be taken for a real one.
		{false, []string{"blog"}, 2, "CLOUDFLARE_API_TOKEN is not set"},
		{false, []string{"-print", "blog"}, 2, "CLOUDFLARE_API_TOKEN is not set"},
		{false, []string{"-out", file}, 2, "CLOUDFLARE_API_TOKEN is not set"},
		{false, []string{"-out", file, "blog"}, 2, "CLOUDFLARE_API_TOKEN is not set"},
	} {
		t.Run(fmt.Sprint(test.credentials, test.args), func(t *testing.T) {
			t.Setenv("CLOUDFLARE_API_TOKEN", "")
			if test.credentials {
				t.Setenv("CLOUDFLARE_API_TOKEN", fake.APIToken().Reveal())
			}
			var stdout, stderr bytes.Buffer
			assert.Equal(t, test.code, start(t.Context(), test.args, &stdout, &stderr))
			assert.Contains(t, stderr.String(), test.stderr)
			assert.Empty(t, stdout.String())
			assert.NoFileExists(t, file)
			assert.Empty(t, fake.Requests())
		})
	}
}

func TestRotate_Program(t *testing.T) {
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	t.Setenv("CLOUDFLARE_BASE_URL", fake.URL())
	t.Setenv("CLOUDFLARE_ACCOUNT_ID", fake.AccountID())
	t.Setenv("CLOUDFLARE_API_TOKEN", fake.APIToken().Reveal())
	fake.Seed(tunneltest.TunnelSeed{Name: "blog"})
	file := filepath.Join(t.TempDir(), "token")
	var stdout, stderr bytes.Buffer
	require.Zero(t, start(t.Context(), []string{"-print", "-out", file, "blog"}, &stdout, &stderr), stderr.String())
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(content)+"\n", stdout.String())
	assert.Contains(t, stderr.String(), "blog has a new token")
	_, err = fake.Connect(cftunnel.NewSecret(string(content)))
	require.NoError(t, err)

	stdout.Reset()
	stderr.Reset()
	require.Zero(t, start(t.Context(), []string{"-compromised", "-out", file, "blog"}, &stdout, &stderr))
	assert.Contains(t, stdout.String(), "blog has a new token")
	assert.Empty(t, stderr.String())
}

func TestLostRotationOverwritesNoGoodToken(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault tunneltest.Fault
		said  string
	}{
		"that was not carried out": {tunneltest.Fault{Operation: opUpdate, Status: 503}, "is not rotated"},
		"that was":                 {tunneltest.Fault{Operation: opUpdate, Cut: tunneltest.CutAfter}, "is rotated all the same"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, client, tunnel, _ := running(t)
			path := filepath.Join(t.TempDir(), "token")
			require.NoError(t, os.WriteFile(path, []byte(tunnel.Token.Reveal()), 0o600))
			fake.Inject(test.fault)
			_, _, err := rotate(t, rotator{client: client, settings: settings{out: path}})
			require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
			require.ErrorContains(t, err, test.said)
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, tunnel.Token.Reveal(), string(content))
			left, err := os.ReadDir(filepath.Dir(path))
			require.NoError(t, err)
			assert.Len(t, left, 1)
		})
	}
}

func TestRotation_FileThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	fake, client, tunnel, _ := running(t)
	folder := t.TempDir()
	for _, path := range []string{filepath.Join(folder, "missing", "token"), folder} {
		_, _, err := rotate(t, rotator{client: client, settings: settings{out: path}})
		require.Error(t, err)
		_, err = fake.Connect(tunnel.Token)
		require.NoError(t, err, "it is not rotated")
	}
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestRotate_Demonstration(t *testing.T) {
	t.Setenv("CLOUDFLARE_API_TOKEN", "")
	t.Setenv("CLOUDFLARE_API_KEY", "")
	var stdout, stderr bytes.Buffer
	require.Zero(t, start(t.Context(), []string{"-interval", "1ms"}, &stdout, &stderr), stderr.String())
	assert.Contains(t, stderr.String(), "No credentials in the environment")
	assert.Contains(t, stdout.String(), "Replicas with the old token: 0 of 2; with the new one: 2.")
	assert.NotContains(t, stdout.String(), "No credentials")

	stdout.Reset()
	require.Zero(t, start(t.Context(), []string{"-interval", "1ms", "-print"}, &stdout, &stderr), stderr.String())
	_, err := cftunnel.ParseTunnelToken(cftunnel.NewSecret(stdout.String()))
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(stdout.String(), "\n"))
}
