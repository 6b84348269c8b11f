package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/examples/internal/sample"
	"github.com/cftunnel/cftunnel-go/internal/test/filemode"
	"github.com/cftunnel/cftunnel-go/internal/test/logwatch"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const (
	opUpdate = "PATCH /accounts/{account_id}/cfd_tunnel/{tunnel_id}"
	opToken  = "GET /accounts/{account_id}/cfd_tunnel/{tunnel_id}/token"
)

// newTunnel returns a fake with a tunnel and the ID of its replica. It can be used in a bubble.
func newTunnel(t *testing.T) (*tunneltest.Server, *cftunnel.Client, *cftunnel.Tunnel, string) {
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

// rotate runs a rotator, by default for the tunnel "blog", and returns what it wrote.
func rotate(t *testing.T, r rotator) (token, progress string, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	r.token, r.progress = &stdout, &stderr
	r.tunnel = cmp.Or(r.tunnel, "blog")
	err = r.rotate(t.Context())
	return stdout.String(), stderr.String(), err
}

func TestRotate_WaitsForReplicas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testWaitsForReplicas)
}

func testWaitsForReplicas(t *testing.T) {
	fake, client, tunnel, connector := newTunnel(t)
	checks := 0
	r := rotator{client: client, settings: settings{wait: time.Minute, interval: 5 * time.Second}}
	r.onCheck = func(token cftunnel.Secret) {
		if checks++; checks == 2 {
			fake.Disconnect(connector)
			_, err := fake.Connect(token)
			assert.NoError(t, err)
		}
	}
	printed, progress, err := rotate(t, r)
	require.NoError(t, err)
	assert.Equal(t, 2, checks)
	assert.Contains(t, progress, "old token  "+connector)
	assert.Contains(t, progress, "Replicas with the old token: 1 of 1; with the new one: 0.")
	assert.Contains(t, progress, "Replicas with the old token: 0 of 1; with the new one: 1.")
	token, err := client.Tunnels.Token(t.Context(), tunnel.ID)
	require.NoError(t, err)
	assert.NotContains(t, progress, token.Reveal())
	assert.Empty(t, printed)
}

func TestRotate_Timeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, client, _, _ := newTunnel(t)
		began := time.Now()
		_, _, err := rotate(t, rotator{
			client: client, settings: settings{wait: time.Hour, interval: 7 * time.Minute},
		})
		require.ErrorContains(t, err, "1 of 1 replicas still run with the old token")
		assert.Equal(t, time.Hour, time.Since(began))
	})
}

func TestRotate_LogsNoSecret(t *testing.T) {
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

func TestRotate_Compromised(t *testing.T) {
	t.Parallel()
	fake, client, tunnel, _ := newTunnel(t)
	path := filepath.Join(t.TempDir(), "token")
	s := settings{compromised: true, out: path}
	_, progress, err := rotate(t, rotator{client: client, settings: s})
	require.NoError(t, err)
	connectors, err := client.Connectors.List(t.Context(), tunnel.ID)
	require.NoError(t, err)
	assert.Empty(t, connectors)

	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.NotContains(t, progress, string(content[:40]))
	_, err = fake.Connect(cftunnel.NewSecret(string(content)))
	require.NoError(t, err)
	filemode.AssertPrivate(t, path)
	_, err = fake.Connect(tunnel.Token)
	require.Error(t, err)
}

func TestRotate_FailedCleanupKeepsToken(t *testing.T) {
	t.Parallel()
	fake, client, _, _ := newTunnel(t)
	const opCleanup = "DELETE /accounts/{account_id}/cfd_tunnel/{tunnel_id}/connections"
	fake.Inject(tunneltest.Fault{Operation: opCleanup, Status: 500})
	path := filepath.Join(t.TempDir(), "token")
	s := settings{compromised: true, out: path}
	_, _, err := rotate(t, rotator{client: client, settings: s})
	require.ErrorContains(t, err, "cleaning up its connections failed")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	_, err = fake.Connect(cftunnel.NewSecret(string(content)))
	require.NoError(t, err)
}

func TestRotate_Print(t *testing.T) {
	t.Parallel()
	fake, client, tunnel, _ := newTunnel(t)
	s := settings{compromised: true, print: true}
	printed, progress, err := rotate(t, rotator{client: client, settings: s})
	require.NoError(t, err)
	token, err := client.Tunnels.Token(t.Context(), tunnel.ID)
	require.NoError(t, err)
	assert.Equal(t, token.Reveal()+"\n", printed)
	assert.NotContains(t, progress, token.Reveal())

	// If the outcome is unknown, the token is still the only output.
	fake.Inject(tunneltest.Fault{Operation: opUpdate, Cut: tunneltest.CutAfter})
	fake.Inject(tunneltest.Fault{Operation: opToken, Status: 500})
	printed, progress, err = rotate(t, rotator{client: client, settings: settings{print: true}})
	require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	require.ErrorContains(t, err, "it is unknown whether tunnel blog is rotated")
	assert.Contains(t, progress, "valid only if tunnel blog is rotated")
	require.True(t, strings.HasSuffix(printed, "\n"))
	_, err = fake.Connect(cftunnel.NewSecret(printed))
	require.NoError(t, err)
}

// A new token that cannot be printed must not be lost without an error.
func TestRotate_UnwritableOutput(t *testing.T) {
	t.Parallel()
	fake, client, _, _ := newTunnel(t)
	reader, stdout := io.Pipe()
	require.NoError(t, reader.Close())
	var progress bytes.Buffer
	s := settings{tunnel: "blog", print: true}
	r := rotator{client: client, settings: s, token: stdout, progress: &progress}
	err := r.rotate(t.Context())
	require.ErrorIs(t, err, io.ErrClosedPipe)
	require.ErrorContains(t, err, "tunnel blog is rotated, but writing its new token failed")
	require.ErrorContains(t, err, "get the token with Tunnels.Token, or run rotate again")

	// The file is written all the same.
	r.out = filepath.Join(t.TempDir(), "token")
	require.ErrorIs(t, r.rotate(t.Context()), io.ErrClosedPipe)
	content, err := os.ReadFile(r.out)
	require.NoError(t, err)
	_, err = fake.Connect(cftunnel.NewSecret(string(content)))
	require.NoError(t, err)
	assert.Contains(t, progress.String(), "The new token is in "+r.out)

	progress.Reset()
	fake.Inject(tunneltest.Fault{Operation: opUpdate, Cut: tunneltest.CutAfter})
	fake.Inject(tunneltest.Fault{Operation: opToken, Status: 500})
	err = r.rotate(t.Context())
	require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
	require.ErrorIs(t, err, io.ErrClosedPipe)
	assert.Empty(t, progress.String())
}

func TestRotate_UnknownTunnel(t *testing.T) {
	t.Parallel()
	_, client, _, _ := newTunnel(t)
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
		// Nobody must mistake a token of the fake for a real one.
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
	args := []string{"-print", "-out", file, "blog"}
	require.Zero(t, start(t.Context(), args, &stdout, &stderr), stderr.String())
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(content)+"\n", stdout.String())
	assert.Contains(t, stderr.String(), "blog has a new token")
	_, err = fake.Connect(cftunnel.NewSecret(string(content)))
	require.NoError(t, err)

	stdout.Reset()
	stderr.Reset()
	args = []string{"-compromised", "-out", file, "blog"}
	require.Zero(t, start(t.Context(), args, &stdout, &stderr))
	assert.Contains(t, stdout.String(), "blog has a new token")
	assert.Empty(t, stderr.String())
}

func TestRotate_LostResponseKeepsFile(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault tunneltest.Fault
		text  string
	}{
		"not carried out": {tunneltest.Fault{Operation: opUpdate, Status: 503}, "is not rotated"},
		"carried out":     {tunneltest.Fault{Operation: opUpdate, Cut: tunneltest.CutAfter}, "is rotated, but"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, client, tunnel, _ := newTunnel(t)
			path := filepath.Join(t.TempDir(), "token")
			require.NoError(t, os.WriteFile(path, []byte(tunnel.Token.Reveal()), 0o600))
			fake.Inject(test.fault)
			_, _, err := rotate(t, rotator{client: client, settings: settings{out: path}})
			require.ErrorIs(t, err, cftunnel.ErrOutcomeUnknown)
			require.ErrorContains(t, err, test.text)
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, tunnel.Token.Reveal(), string(content))
			files, err := os.ReadDir(filepath.Dir(path))
			require.NoError(t, err)
			assert.Len(t, files, 1)
		})
	}
}

func TestRotate_UnwritableFile(t *testing.T) {
	t.Parallel()
	fake, client, tunnel, _ := newTunnel(t)
	folder := t.TempDir()
	for _, path := range []string{filepath.Join(folder, "missing", "token"), folder} {
		_, _, err := rotate(t, rotator{client: client, settings: settings{out: path}})
		require.Error(t, err)
		_, err = fake.Connect(tunnel.Token)
		require.NoError(t, err, "the tunnel is not rotated")
	}
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Empty(t, files)
}

func TestRotate_Demonstration(t *testing.T) {
	t.Setenv("CLOUDFLARE_API_TOKEN", "")
	t.Setenv("CLOUDFLARE_API_KEY", "")
	var stdout, stderr bytes.Buffer
	args := []string{"-interval", "1ms"}
	require.Zero(t, start(t.Context(), args, &stdout, &stderr), stderr.String())
	assert.Contains(t, stderr.String(), "No credentials are set")
	assert.Contains(t, stdout.String(), "Replicas with the old token: 0 of 2; with the new one: 2.")
	assert.NotContains(t, stdout.String(), "No credentials")

	stdout.Reset()
	args = append(args, "-print")
	require.Zero(t, start(t.Context(), args, &stdout, &stderr), stderr.String())
	_, err := cftunnel.ParseTunnelToken(cftunnel.NewSecret(stdout.String()))
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(stdout.String(), "\n"))

	reader, closed := io.Pipe()
	require.NoError(t, reader.Close())
	for _, args := range [][]string{args, args[:2]} { // with and without -print
		stderr.Reset()
		assert.Equal(t, 1, start(t.Context(), args, closed, &stderr), args)
		assert.Contains(t, stderr.String(), io.ErrClosedPipe.Error())
	}
}

//nolint:paralleltest // it sets the environment
func TestRotate_Sample(t *testing.T) { sample.Check(t, "rotate", start, "-interval", "1ms") }
