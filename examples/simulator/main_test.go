package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunnellogs"
)

const account = "0123456789abcdef0123456789abcdef"

// simulate runs the simulator until the test ends and returns the environment that it prints.
func simulate(t *testing.T, args ...string) map[string]string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	code := make(chan int)
	var stderr bytes.Buffer
	args = append([]string{"-addr", "127.0.0.1:0"}, args...)
	go func() { code <- run(ctx, args, writer, &stderr) }()
	t.Cleanup(func() {
		cancel()
		assert.Zero(t, <-code, stderr.String())
	})
	environment := map[string]string{}
	lines := bufio.NewScanner(reader)
	for environment["CLOUDFLARE_API_TOKEN"] == "" { // the last line
		require.True(t, lines.Scan())
		name, value, found := strings.Cut(strings.TrimPrefix(lines.Text(), "export "), "=")
		require.True(t, found, lines.Text())
		environment[name] = value
	}
	return environment
}

// newClient returns a client for the simulator that does not retry.
func newClient(t *testing.T, environment map[string]string) *cftunnel.Client {
	t.Helper()
	client, err := cftunnel.NewClient(
		cftunnel.WithBaseURL(environment["CLOUDFLARE_BASE_URL"]),
		cftunnel.WithAPIToken(environment["CLOUDFLARE_API_TOKEN"]),
		cftunnel.WithAccountID(environment["CLOUDFLARE_ACCOUNT_ID"]),
		cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 1}),
	)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// control sends a request to an endpoint of the simulator that is not part of the API.
func control(t *testing.T, method, url, body string) (int, map[string]string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	var result map[string]string
	require.NoError(t, json.NewDecoder(response.Body).Decode(&result))
	return response.StatusCode, result
}

func TestSimulator_Replicas(t *testing.T) {
	t.Parallel()
	environment := simulate(t, "-account", account, "-token", "a-token")
	assert.Equal(t, account, environment["CLOUDFLARE_ACCOUNT_ID"])
	assert.Equal(t, "a-token", environment["CLOUDFLARE_API_TOKEN"])
	client := newClient(t, environment)
	tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
	require.NoError(t, err)

	root := strings.TrimSuffix(environment["CLOUDFLARE_BASE_URL"], "/client/v4")
	connectors := root + "/simulator/connectors"
	body := fmt.Sprintf(`{"token":%q}`, tunnel.Token.Reveal())
	status, response := control(t, http.MethodPost, connectors, body)
	assert.Equal(t, http.StatusOK, status)
	tunnel, err = client.Tunnels.Get(t.Context(), tunnel.ID)
	require.NoError(t, err)
	assert.Equal(t, cftunnel.TunnelStatusHealthy, tunnel.Status)

	status, _ = control(t, http.MethodDelete, connectors+"/"+response["connector_id"], "")
	assert.Equal(t, http.StatusOK, status)
	tunnel, err = client.Tunnels.Get(t.Context(), tunnel.ID)
	require.NoError(t, err)
	assert.Equal(t, cftunnel.TunnelStatusDown, tunnel.Status)

	for _, body := range []string{"", "{", `{"token":""}`, `{"token":"eyJ"}`} {
		status, response = control(t, http.MethodPost, connectors, body)
		assert.Equal(t, http.StatusBadRequest, status)
		assert.NotEmpty(t, response["error"])
	}
}

func TestSimulator_Defaults(t *testing.T) {
	t.Parallel()
	environment := simulate(t, "-addr", ":0")
	assert.Regexp(t, `^http://127\.0\.0\.1:\d+/client/v4$`, environment["CLOUDFLARE_BASE_URL"])
	_, err := newClient(t, environment).Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
	require.NoError(t, err)
}

func TestSimulator_Quota(t *testing.T) {
	t.Parallel()
	client := newClient(t, simulate(t, "-quota", "2", "-window", "1h"))
	var info cftunnel.ResponseInfo
	for range 2 {
		_, err := client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{})
		require.NoError(t, err)
	}
	capture := cftunnel.CaptureResponse(&info)
	_, err := client.Tunnels.List(t.Context(), cftunnel.TunnelListParams{}, capture)
	require.ErrorIs(t, err, cftunnel.ErrRateLimited)
	assert.Equal(t, "3600", info.Header.Get("Retry-After"))
}

func TestSimulator_PathWithEmptySegment(t *testing.T) {
	t.Parallel()
	environment := simulate(t, "-token", "a-token")
	url := environment["CLOUDFLARE_BASE_URL"] + "/accounts//cfd_tunnel"
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer a-token")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
}

func TestSimulator_CommandLine(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"-help"}, 0, "-quota"},
		{[]string{"-nonsense"}, exitUsage, "-nonsense"},
		{[]string{"extra"}, exitUsage, "extra"},
		{[]string{"-quota", "-1"}, exitUsage, "-quota"},
		{[]string{"-window", "0s"}, exitUsage, "-window"},
		{[]string{"-account", "x"}, exitUsage, "-account"},
		{[]string{"-token", "a b"}, exitUsage, "-token"},
		{[]string{"-allow-host", "http://simulator"}, exitUsage, "-allow-host"},
		{[]string{"-allow-host", "simulator:8787"}, exitUsage, "without a scheme and a port"},
		{[]string{"-allow-host", ""}, exitUsage, "-allow-host"},
		{[]string{"-token", "<token>"}, exitUsage, "placeholder"},
		{[]string{"-addr", "127.0.0.1:port"}, exitFailed, "port"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			assert.Equal(t, test.code, run(t.Context(), test.args, &stdout, &stderr))
			assert.Contains(t, stderr.String(), test.text)
			assert.Empty(t, stdout.String())
		})
	}
}

func TestSimulator_Host(t *testing.T) {
	t.Parallel()
	base := simulate(t, "-token", "a-token", "-account", account,
		"-allow-host", "Simulator.internal.", "-allow-host", "192.0.2.1")["CLOUDFLARE_BASE_URL"]
	root := strings.TrimSuffix(base, "/client/v4")
	for host, allowed := range map[string]bool{
		"":                           true, // the host of the URL
		"localhost":                  true,
		"LOCALHOST.":                 true,
		"localhost:8787":             true,
		"127.9.8.7:1":                true,
		"[::1]":                      true,
		"[::1]:8787":                 true,
		"simulator.internal":         true,
		"SIMULATOR.internal:8787":    true,
		"192.0.2.1:8787":             true,
		"192.0.2.2":                  false,
		"0.0.0.0":                    false,
		"[::]":                       false,
		"evil.example.com":           false,
		"localhost.example.com":      false,
		"127.0.0.1.example.com":      false,
		"other.simulator.internal":   false,
		"simulator.internal.example": false,
		"host.docker.internal:8787":  false,
	} {
		for _, url := range []string{
			base + "/accounts/" + account + "/cfd_tunnel", root + "/simulator/connectors/x",
		} {
			method := http.MethodGet
			if strings.Contains(url, "/simulator/") {
				method = http.MethodDelete
			}
			request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
			require.NoError(t, err)
			request.Header.Set("Authorization", "Bearer a-token")
			request.Host = host
			response, err := http.DefaultClient.Do(request)
			require.NoError(t, err)
			text, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			if allowed {
				assert.Equal(t, http.StatusOK, response.StatusCode, "%s: %s", host, text)
			} else {
				assert.Equal(t, http.StatusForbidden, response.StatusCode, host)
				assert.Contains(t, string(text), "-allow-host")
			}
		}
	}
}

// httpClient returns an HTTP client that trusts the simulator's certificate.
func httpClient(t *testing.T, environment map[string]string) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(environment["SSL_CERT_FILE"])
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pem))
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true,
	}
	return &http.Client{Transport: transport}
}

func TestSimulator_LogsOverTLS(t *testing.T) {
	t.Parallel()
	environment := simulate(t, "-tls", "-token", "a-token")
	https := httpClient(t, environment)
	base := environment["CLOUDFLARE_BASE_URL"]
	assert.Equal(t, "https://"+environment["TUNNEL_MANAGEMENT_HOSTNAME"]+"/client/v4", base)
	assert.Equal(t, strings.TrimSuffix(base, "/client/v4"), environment["CFTUNNEL_LOGS_ENDPOINT"])
	client, err := cftunnel.NewClient(
		cftunnel.WithBaseURL(base),
		cftunnel.WithAPIToken("a-token"),
		cftunnel.WithAccountID(environment["CLOUDFLARE_ACCOUNT_ID"]),
		cftunnel.WithHTTPClient(https),
	)
	require.NoError(t, err)
	tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "n"})
	require.NoError(t, err)
	root := strings.TrimSuffix(base, "/client/v4")
	post := func(path, body string) (int, map[string]string) {
		response, err := https.Post(root+path, "application/json", strings.NewReader(body))
		require.NoError(t, err)
		defer response.Body.Close()
		var result map[string]string
		require.NoError(t, json.NewDecoder(response.Body).Decode(&result))
		return response.StatusCode, result
	}
	body := fmt.Sprintf(`{"token":%q}`, tunnel.Token.Reveal())
	_, response := post("/simulator/connectors", body)
	connector := response["connector_id"]
	logs := "/simulator/connectors/" + connector + "/logs"
	params := tunnellogs.Params{
		Endpoint: environment["CFTUNNEL_LOGS_ENDPOINT"], HTTPClient: https,
	}
	stream, err := tunnellogs.Open(t.Context(), client, tunnel.ID, connector, params)
	require.NoError(t, err)
	defer stream.Close()
	var entry tunnellogs.Entry
	const line = `{"level":"info","event":"http","message":"a line","fields":{"host":"h"}}`
	require.Eventually(t, func() bool { // the stream starts a moment after Open returns
		status, _ := post(logs, line)
		require.Equal(t, http.StatusOK, status)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		entry, err = stream.Next(ctx)
		return err == nil
	}, time.Minute, time.Millisecond)
	assert.Equal(t, "a line", entry.Message)
	assert.Equal(t, tunnellogs.LevelInfo, entry.Level)
	assert.Equal(t, tunnellogs.EventHTTP, entry.Event)
	assert.Equal(t, map[string]any{"host": "h"}, entry.Fields)

	status, response := post(logs, "line")
	assert.Equal(t, http.StatusBadRequest, status)
	assert.NotEmpty(t, response["error"])
}

func TestSimulator_RemovesItsCertificate(t *testing.T) {
	t.Parallel()
	var path string
	t.Run("run", func(t *testing.T) {
		path = simulate(t, "-tls")["SSL_CERT_FILE"]
		assert.FileExists(t, path)
		assert.NoFileExists(t, path+".key")
	})
	assert.NoDirExists(t, filepath.Dir(path))
}

// Nobody could use a simulator without the variables that it prints.
func TestSimulator_UnwritableOutput(t *testing.T) {
	t.Parallel()
	reader, stdout := io.Pipe()
	require.NoError(t, reader.Close())
	var stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	assert.Equal(t, exitFailed, run(ctx, []string{"-addr", "127.0.0.1:0"}, stdout, &stderr))
	assert.Contains(t, stderr.String(), io.ErrClosedPipe.Error())
}
