package main

import (
	"bytes"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/examples/internal/sample"
	"github.com/cftunnel/cftunnel-go/internal/test/filemode"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// runner runs the program with a fake that has the zone example.com, in a temporary directory.
type runner struct {
	t      *testing.T
	fake   *tunneltest.Server
	client *cftunnel.Client
	zoneID string
	stdout bytes.Buffer
	stderr bytes.Buffer
}

func newRunner(t *testing.T) *runner {
	t.Helper()
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	client, err := fake.NewClient()
	require.NoError(t, err)
	t.Setenv("CLOUDFLARE_BASE_URL", fake.URL())
	t.Setenv("CLOUDFLARE_ACCOUNT_ID", fake.AccountID())
	t.Setenv("CLOUDFLARE_API_TOKEN", fake.APIToken().Reveal())
	t.Chdir(t.TempDir())
	return &runner{t: t, fake: fake, client: client, zoneID: fake.SeedZone("example.com")}
}

func (p *runner) run(args ...string) int {
	p.t.Helper()
	p.stdout.Reset()
	p.stderr.Reset()
	return start(p.t.Context(), args, &p.stdout, &p.stderr)
}

func (p *runner) countRecords() int {
	p.t.Helper()
	page, err := p.client.DNSRecords.List(p.t.Context(), p.zoneID, cftunnel.DNSRecordListParams{})
	require.NoError(p.t, err)
	return len(page.Items)
}

func TestPublish(t *testing.T) { //nolint:paralleltest // it sets the environment
	p := newRunner(t)
	require.Zero(t, p.run("web", "app.example.com", "http://localhost:8080"), p.stderr.String())
	tunnel, err := p.client.Tunnels.FindByName(t.Context(), "web")
	require.NoError(t, err)
	token, err := p.client.Tunnels.Token(t.Context(), tunnel.ID)
	require.NoError(t, err)
	out := p.stdout.String()
	assert.Contains(t, out, "is created")
	assert.Contains(t, out, "cloudflared tunnel run --token-file web.token\n")
	assert.Regexp(t, `app\.example\.com +http://localhost:8080 +ready`, out)
	assert.NotContains(t, out, token.Reveal())
	written, err := os.ReadFile("web.token")
	require.NoError(t, err)
	assert.Equal(t, token.Reveal(), strings.TrimSpace(string(written)))
	filemode.AssertPrivate(t, "web.token")

	file := filepath.Join(t.TempDir(), "my token")
	args := []string{"-path", "^/api", "-token-file", file}
	args = append(args, "web", "app.example.com", "http://localhost:9")
	require.Zero(t, p.run(args...))
	assert.Contains(t, p.stdout.String(), "exists")
	assert.Contains(t, p.stdout.String(), "--token-file '"+file+"'")
	assert.FileExists(t, file)
	list, err := p.client.Hostnames.List(t.Context(), tunnel.ID)
	require.NoError(t, err)
	assert.Len(t, list, 2)
	assert.Equal(t, 1, p.countRecords())
}

func TestUnpublish(t *testing.T) { //nolint:paralleltest // it sets the environment
	p := newRunner(t)
	for _, hostname := range []string{"a.example.com", "b.example.com"} {
		require.Zero(t, p.run("web", hostname, "http://localhost:8080"))
	}
	tunnel, err := p.client.Tunnels.FindByName(t.Context(), "web")
	require.NoError(t, err)
	token, err := p.client.Tunnels.Token(t.Context(), tunnel.ID)
	require.NoError(t, err)
	connector, err := p.fake.Connect(token)
	require.NoError(t, err)

	for _, step := range []struct{ hostname, text string }{
		{"a.example.com", "other ingress rules"}, {"b.example.com", "still runs"}, {"b.example.com", "is deleted"},
	} {
		if step.text == "is deleted" {
			p.fake.Disconnect(connector)
		}
		require.Zero(t, p.run("-unpublish", "web", step.hostname), p.stderr.String())
		assert.Contains(t, p.stdout.String(), step.text)
	}
	assert.Zero(t, p.countRecords())
	tunnel, err = p.client.Tunnels.Get(t.Context(), tunnel.ID)
	require.NoError(t, err)
	assert.True(t, tunnel.IsDeleted())
	assert.Equal(t, 1, p.run("-unpublish", "web", "b.example.com"))
}

func TestInUse(t *testing.T) { //nolint:paralleltest // it sets the environment
	p := newRunner(t)
	tunnel, err := p.client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{
		Name: "web", ConfigSource: cftunnel.ConfigSourceCloudflare,
	})
	require.NoError(t, err)
	check := func(reason string) {
		t.Helper()
		got, err := inUse(t.Context(), p.client, tunnel)
		require.NoError(t, err)
		assert.Equal(t, reason, got)
	}
	check("")
	hostname, err := p.client.HostnameRoutes.Create(t.Context(), cftunnel.HostnameRouteCreateParams{
		Hostname: "wiki.internal", TunnelID: tunnel.ID,
	})
	require.NoError(t, err)
	check("has private hostnames")
	_, err = p.client.HostnameRoutes.Delete(t.Context(), hostname.ID)
	require.NoError(t, err)
	_, err = p.client.Routes.Create(t.Context(), cftunnel.RouteCreateParams{
		Network: netip.MustParsePrefix("10.0.0.0/8"), TunnelID: tunnel.ID,
	})
	require.NoError(t, err)
	check("has private routes")
	for service, reason := range map[string]string{
		"http_status:404": "has private routes", "http://localhost": "serves every hostname",
	} {
		config := cftunnel.TunnelConfig{Ingress: []cftunnel.IngressRule{{Service: service}}}
		_, err := p.client.Tunnels.UpdateConfiguration(t.Context(), tunnel.ID, config)
		require.NoError(t, err)
		check(reason)
	}
	_, err = p.client.Tunnels.UpdateConfiguration(t.Context(), tunnel.ID, cftunnel.TunnelConfig{
		Ingress:     []cftunnel.IngressRule{{Service: "http_status:404"}},
		WARPRouting: &cftunnel.WARPRouting{Enabled: true},
	})
	require.NoError(t, err)
	check("serves private networks")
}

// The rules of a locally managed tunnel are in a file, so an empty remote configuration does not
// mean that nothing uses the tunnel.
func TestUnpublish_LocallyManaged(t *testing.T) { //nolint:paralleltest // it sets the environment
	p := newRunner(t)
	seed := tunneltest.TunnelSeed{Name: "loc", ConfigSource: cftunnel.ConfigSourceLocal}
	tunnel := new(p.fake.Seed(seed))
	_, err := p.client.DNSRecords.Create(t.Context(), p.zoneID, cftunnel.DNSRecordCreateParams{
		Type: "CNAME", Name: "app", Content: cftunnel.TunnelHostname(tunnel.ID), Proxied: true,
	})
	require.NoError(t, err)
	require.Zero(t, p.run("-unpublish", "loc", "app.example.com"), p.stderr.String())
	assert.Contains(t, p.stdout.String(), "Tunnel loc is not deleted: it is not remotely managed")
	assert.Zero(t, p.countRecords())
	tunnel, err = p.client.Tunnels.Get(t.Context(), tunnel.ID)
	require.NoError(t, err)
	assert.False(t, tunnel.IsDeleted())

	// One of the two responses that have the source is enough to keep a tunnel.
	remote := p.fake.Seed(tunneltest.TunnelSeed{})
	for id, source := range map[string]cftunnel.ConfigSource{
		tunnel.ID: cftunnel.ConfigSourceCloudflare, remote.ID: "",
	} {
		reason, err := inUse(t.Context(), p.client, &cftunnel.Tunnel{ID: id, ConfigSource: source})
		require.NoError(t, err)
		assert.Contains(t, reason, "is not remotely managed")
	}
}

func TestPublish_HostnameTaken(t *testing.T) { //nolint:paralleltest // it sets the environment
	p := newRunner(t)
	record := cftunnel.DNSRecordCreateParams{Type: "A", Name: "app", Content: "192.0.2.1"}
	_, err := p.client.DNSRecords.Create(t.Context(), p.zoneID, record)
	require.NoError(t, err)
	assert.Equal(t, 1, p.run("web", "app.example.com", "http://localhost:8080"))
	assert.Contains(t, p.stderr.String(), "192.0.2.1")
	assert.NoFileExists(t, "web.token")
	args := []string{"-overwrite", "web", "app.example.com", "http://localhost:8080"}
	assert.Zero(t, p.run(args...), p.stderr.String())
}

func TestPublish_CommandLine(t *testing.T) { //nolint:paralleltest // it sets the environment
	p := newRunner(t)
	for _, test := range []struct {
		args []string
		text string
	}{
		{nil, "TUNNEL, HOSTNAME, SERVICE"},
		{[]string{"web"}, "missing: HOSTNAME, SERVICE"},
		{[]string{"-unpublish", "web"}, "missing: HOSTNAME\n"},
		{[]string{"web", "a", "b", "c"}, `"c"`},
		{[]string{"-unpublish", "web", "a", "b"}, `"b"`},
		{[]string{"-unpublish", "-overwrite", "web", "a"}, "-unpublish"},
		{[]string{"-nonsense"}, "-nonsense"},
	} {
		assert.Equal(t, 2, p.run(test.args...), "%q", test.args)
		assert.Contains(t, p.stderr.String(), test.text)
	}
	assert.Zero(t, p.run("-h"))
	assert.Contains(t, p.stderr.String(), "usage: publish")
	assert.Empty(t, p.fake.Requests())

	t.Setenv("CLOUDFLARE_API_TOKEN", "")
	assert.Equal(t, 2, p.run("web", "app.example.com", "http://localhost:8080"))
	assert.Contains(t, p.stderr.String(), "CLOUDFLARE_API_TOKEN is not set")
}

func TestPublish_Demonstration(t *testing.T) { //nolint:paralleltest // it sets the environment
	p := newRunner(t)
	t.Setenv("CLOUDFLARE_API_TOKEN", "")
	t.Setenv("CLOUDFLARE_API_KEY", "")
	require.Zero(t, p.run(), p.stderr.String())
	assert.Regexp(t, `blog\.example\.com .* ready\n\*\.example\.com .* ready\n`, p.stdout.String())
	assert.Contains(t, p.stdout.String(), "Tunnel blog is deleted.")
	assert.Contains(t, p.stderr.String(), "fake")
	assert.Empty(t, p.fake.Requests())
}

func TestPublish_UnwritableOutput(t *testing.T) { //nolint:paralleltest // it sets the environment
	p := newRunner(t)
	require.Zero(t, p.run("web", "app.example.com", "http://localhost:8080"))
	reader, stdout := io.Pipe()
	require.NoError(t, reader.Close())
	args := []string{"-unpublish", "web", "app.example.com"}
	assert.Equal(t, 1, start(t.Context(), args, stdout, &p.stderr))
	assert.Contains(t, p.stderr.String(), io.ErrClosedPipe.Error())
	assert.Zero(t, p.countRecords())
}

//nolint:paralleltest // it sets the environment
func TestPublish_Sample(t *testing.T) { sample.Check(t, "publish", start) }
