package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/logwatch"
	"github.com/cftunnel/cftunnel-go/internal/test/pipenet"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

func running(t *testing.T) (*tunneltest.Server, *cftunnel.Client, *cftunnel.Tunnel, string) {
	t.Helper()
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	// Over pipes, so that it works on synctest's clock.
	client, err := cftunnel.NewClient(cftunnel.WithBaseURL("http://localhost/client/v4"), cftunnel.WithAPIToken(fake.APIToken().Reveal()),
		cftunnel.WithAccountID(fake.AccountID()), cftunnel.WithHTTPClient(pipenet.Serve(t, fake.Handler()).Client(t)),
		cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 1}))
	require.NoError(t, err)
	tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "blog"})
	require.NoError(t, err)
	connector, err := fake.Connect(tunnel.Token)
	require.NoError(t, err)
	return fake, client, tunnel, connector
}

func nobody([]cftunnel.Connector, cftunnel.Secret) {}

func TestPlannedRotationWaitsForTheReplicas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, plannedRotationWaits)
}

func plannedRotationWaits(t *testing.T) {
	fake, client, tunnel, connector := running(t)
	var out bytes.Buffer
	looks := 0
	err := rotate(t.Context(), client, settings{tunnel: "blog", wait: time.Minute, interval: 5 * time.Second}, &out,
		func(_ []cftunnel.Connector, token cftunnel.Secret) {
			if looks++; looks == 2 {
				fake.Disconnect(connector)
				_, err := fake.Connect(token)
				assert.NoError(t, err)
			}
		})
	require.NoError(t, err)
	assert.Equal(t, 2, looks)
	assert.Contains(t, out.String(), "old token  "+connector)
	assert.Contains(t, out.String(), "1 of 1 replicas run with the old token")
	assert.Contains(t, out.String(), "No replica with the old token runs any more; 1 run with the new one")
	token, err := client.Tunnels.Token(t.Context(), tunnel.ID)
	require.NoError(t, err)
	assert.NotContains(t, out.String(), token.Reveal())
}

func TestPlannedRotationEndsWhereReplicasStay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, client, _, _ := running(t)
		began := time.Now()
		err := rotate(t.Context(), client, settings{tunnel: "blog", wait: time.Hour, interval: 7 * time.Minute}, io.Discard, nobody)
		require.ErrorContains(t, err, "1 replicas still run with the old token")
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
	require.NoError(t, rotate(t.Context(), client, settings{tunnel: "blog", compromised: true}, io.Discard, nobody))
}

func TestRotationAfterACompromise(t *testing.T) {
	t.Parallel()
	fake, client, tunnel, _ := running(t)
	path := filepath.Join(t.TempDir(), "token")
	var out bytes.Buffer
	require.NoError(t, rotate(t.Context(), client, settings{tunnel: "blog", compromised: true, out: path}, &out, nobody))
	connectors, err := client.Connectors.List(t.Context(), tunnel.ID)
	require.NoError(t, err)
	assert.Empty(t, connectors)

	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.NotContains(t, out.String(), string(content[:40]))
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
	err := rotate(t.Context(), client, settings{tunnel: "blog", compromised: true, out: path}, io.Discard, nobody)
	require.ErrorContains(t, err, "cleaning up its connections failed")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	_, err = fake.Connect(cftunnel.NewSecret(string(content)))
	require.NoError(t, err)
}

func TestTokenIsPrintedWhereThatIsAsked(t *testing.T) {
	t.Parallel()
	_, client, tunnel, _ := running(t)
	var out bytes.Buffer
	require.NoError(t, rotate(t.Context(), client, settings{tunnel: "blog", compromised: true, print: true}, &out, nobody))
	token, err := client.Tunnels.Token(t.Context(), tunnel.ID)
	require.NoError(t, err)
	assert.Contains(t, out.String(), token.Reveal())
}

func TestRotationOfNothing(t *testing.T) {
	t.Parallel()
	_, client, _, _ := running(t)
	require.ErrorIs(t, rotate(t.Context(), client, settings{tunnel: "shop"}, io.Discard, nobody), cftunnel.ErrNotFound)
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	assert.Zero(t, start(t.Context(), []string{"-help"}, &out, &errs))
	assert.Contains(t, errs.String(), "-compromised")
	assert.Equal(t, 2, start(t.Context(), []string{"-nonsense"}, &out, &errs))
	assert.Equal(t, 2, start(t.Context(), []string{"a", "b"}, &out, &errs))
	assert.Equal(t, 2, start(t.Context(), []string{"-wait", "0s", "a"}, &out, &errs))
}

func TestNoTokenOfAFakeTakesTheRealOnesPlace(t *testing.T) {
	t.Setenv("CLOUDFLARE_API_TOKEN", "")
	t.Setenv("CLOUDFLARE_API_KEY", "")
	file := filepath.Join(t.TempDir(), "token")
	for _, args := range [][]string{{"blog"}, {"-out", file}, {"-out", file, "blog"}} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, 2, start(t.Context(), args, &stdout, &stderr))
		assert.Contains(t, stderr.String(), "CLOUDFLARE_API_TOKEN is not set")
		assert.Empty(t, stdout.String())
		assert.NoFileExists(t, file)
	}
}

func TestLostRotationOverwritesNoGoodToken(t *testing.T) {
	t.Parallel()
	const opUpdate = "PATCH /accounts/{account_id}/cfd_tunnel/{tunnel_id}"
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
			err := rotate(t.Context(), client, settings{tunnel: "blog", out: path}, io.Discard, nobody)
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

func TestFileThatCannotBeWrittenIsKnownBeforeTheRotation(t *testing.T) {
	t.Parallel()
	fake, client, tunnel, _ := running(t)
	err := rotate(t.Context(), client, settings{tunnel: "blog", out: filepath.Join(t.TempDir(), "missing", "token")}, io.Discard, nobody)
	require.Error(t, err)
	_, err = fake.Connect(tunnel.Token)
	require.NoError(t, err)
}
