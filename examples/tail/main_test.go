package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/internal/test/logwatch"
	"github.com/cftunnel/cftunnel-go/tunnellogs"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// run runs the demonstration with these arguments, and returns its output.
func run(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	s, err := parse(args, &stderr)
	require.NoError(t, err)
	out := newPrinter(&stdout, s.json, s.fields)
	require.NoError(t, demonstrate(t.Context(), s, out, &stderr, 8*time.Millisecond))
	assert.Empty(t, stderr.String())
	return stdout.String()
}

func TestTail_SampleLogs(t *testing.T) {
	t.Parallel()
	text := run(t)
	lines := strings.Split(strings.TrimSpace(text), "\n")
	assert.Greater(t, len(lines), 60) // some of about 125 may be lost
	for _, want := range []string{"debug http ", "warn  cloudflared", "error http ", "info  tcp "} {
		assert.Contains(t, text, want)
	}
	for _, secret := range []string{"eyJ", "session=", "\x1b"} {
		assert.NotContains(t, text, secret)
	}
	first, err := time.Parse(time.RFC3339, strings.Fields(lines[1])[0])
	require.NoError(t, err)
	last, err := time.Parse(time.RFC3339, strings.Fields(lines[len(lines)-1])[0])
	require.NoError(t, err)
	assert.InDelta(t, time.Minute.Seconds(), last.Sub(first).Seconds(), 5)
}

func TestTail_Flags(t *testing.T) {
	t.Parallel()
	assert.NotContains(t, run(t, "-level", "warn"), " info ")
	text := run(t, "-event", "tcp,cloudflared", "-fields")
	assert.NotContains(t, text, " http ")
	assert.Contains(t, text, `"location":"fra06"`)
	for line := range strings.Lines(run(t, "-json", "any name")) {
		var entry tunnellogs.Entry
		require.NoError(t, json.Unmarshal([]byte(line), &entry))
		assert.NotEmpty(t, entry.ConnectorID)
	}
	assert.Contains(t, run(t, "-json"), "access_token=eyJ")
}

func TestPrinter_Colors(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &printer{out: &out, color: true}
	require.NoError(t, p.print(tunnellogs.Entry{Level: "error", Message: "a\x1b[0m"}))
	assert.Contains(t, out.String(), "\x1b[31merror\x1b[0m")
	assert.NotContains(t, out.String(), "a\x1b")
	assert.False(t, newPrinter(&out, false, false).color)
}

func TestTail_CommandLine(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args string
		code int
		text string
	}{
		{"-help", 0, "-connector"},
		{"-nonsense", 2, "-nonsense"},
		{"a b", 2, `"b"`},
		{"-level trace a", 2, "debug, info, warn, error"},
		{"-event quic a", 2, "cloudflared, http, tcp, udp"},
		{"-sample 0 a", 2, "-sample"},
		{"-sample 1.5 a", 2, "-sample"},
		{"-sample NaN a", 2, "-sample"},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			code := start(t.Context(), strings.Fields(test.args), &stdout, &stderr)
			assert.Equal(t, test.code, code)
			assert.Contains(t, stderr.String(), test.text)
			assert.Empty(t, stdout.String())
		})
	}
}

// newTunnel returns a fake with a tunnel and the ID of its replica.
func newTunnel(
	t *testing.T, opts ...tunneltest.Option,
) (*tunneltest.Server, *cftunnel.Client, *cftunnel.Tunnel, string) {
	t.Helper()
	fake := tunneltest.NewServer(opts...)
	t.Cleanup(fake.Close)
	once := cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: 1})
	client, err := fake.NewClient(once, logwatch.Watch(t, fake))
	require.NoError(t, err)
	tunnel, err := client.Tunnels.Create(t.Context(), cftunnel.TunnelCreateParams{Name: "web"})
	require.NoError(t, err)
	connector, err := fake.Connect(tunnel.Token)
	require.NoError(t, err)
	return fake, client, tunnel, connector
}

func TestFollow_Interrupt(t *testing.T) {
	t.Parallel()
	fake, client, tunnel, connector := newTunnel(t)
	for _, name := range []string{"web", tunnel.ID} {
		ctx, cancel := context.WithCancel(t.Context())
		var stdout, stderr buffer
		s := settings{tunnel: name, params: tunnellogs.Params{Endpoint: fake.LogsURL()}}
		ended := make(chan error)
		go func() { ended <- follow(ctx, client, s, newPrinter(&stdout, false, false), &stderr) }()
		require.Eventually(t, func() bool {
			fake.Log(connector, tunnellogs.Entry{Message: "a line"})
			return strings.Contains(stdout.String(), "a line")
		}, time.Minute, time.Millisecond)
		cancel()
		require.NoError(t, <-ended)
		assert.Empty(t, stderr.String())
	}
}

func TestFollow_ErrorsAtStart(t *testing.T) {
	t.Parallel()
	fake, client, tunnel, connector := newTunnel(t)
	s := settings{tunnel: "another", params: tunnellogs.Params{Endpoint: fake.LogsURL()}}
	try := func() error {
		var out bytes.Buffer
		return follow(t.Context(), client, s, newPrinter(&out, false, false), &out)
	}
	require.ErrorIs(t, try(), cftunnel.ErrNotFound)

	s.tunnel, s.params.Level = tunnel.ID, "trace"
	require.ErrorIs(t, try(), tunnellogs.ErrInvalidFilter)

	s.params.Level = ""
	fake.Disconnect(connector)
	require.ErrorIs(t, try(), tunnellogs.ErrNoConnector)
}

// following is a run of follow in a bubble, for another user than that of the fake's own token.
type following struct {
	t              *testing.T
	fake           *tunneltest.Server
	client         *cftunnel.Client
	tunnel         *cftunnel.Tunnel
	params         tunnellogs.Params
	stdout, stderr buffer
	ended          bool
}

// inBubble runs a test with a tunnel that has a replica.
func inBubble(t *testing.T, test func(f *following, connector string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fake, client, tunnel, connector := newTunnel(t, tunneltest.InMemory())
		f := &following{t: t, fake: fake, client: client, tunnel: tunnel}
		f.params = tunnellogs.Params{Endpoint: fake.LogsURL(), HTTPClient: fake.HTTPClient()}
		test(f, connector)
	})
}

func (f *following) start() {
	f.t.Helper()
	token := cftunnel.WithAPIToken(f.fake.AddToken(tunneltest.Token{}).Reveal())
	client, err := f.fake.NewClient(token)
	require.NoError(f.t, err)
	s := settings{tunnel: f.tunnel.ID, params: f.params}
	ctx, cancel := context.WithCancel(f.t.Context())
	go func() {
		assert.NoError(f.t, follow(ctx, client, s, newPrinter(&f.stdout, false, false), &f.stderr))
		f.ended = true
	}()
	f.t.Cleanup(func() {
		cancel()
		synctest.Wait()
		assert.True(f.t, f.ended)
	})
	synctest.Wait()
}

// occupy streams the connector for the user of the fake's own token.
func (f *following) occupy(connector string) *tunnellogs.Stream {
	f.t.Helper()
	stream, err := tunnellogs.Open(f.t.Context(), f.client, f.tunnel.ID, connector, f.params)
	require.NoError(f.t, err)
	synctest.Wait() // until the fake has read the start
	return stream
}

// requirePrinted logs a line with the connector, and checks that follow prints it.
func (f *following) requirePrinted(connector string) {
	f.t.Helper()
	f.fake.Log(connector, tunnellogs.Entry{Message: "a line of " + connector})
	synctest.Wait()
	require.Contains(f.t, f.stdout.String(), "a line of "+connector, "%s", &f.stderr)
}

// A connector that had an error and has logged nothing since may be streamed from.
func TestFollow_QuietConnector(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *following, quiet string) {
		restarting, err := f.fake.Connect(f.tunnel.Token)
		require.NoError(f.t, err)
		other := f.occupy(quiet)
		f.start()
		assert.Contains(f.t, f.stderr.String(), "another user streams")
		require.NoError(f.t, other.Close())
		time.Sleep(2 * time.Minute)

		f.fake.Disconnect(restarting)
		time.Sleep(time.Minute)
		assert.Contains(f.t, f.stderr.String(), restarting)
		f.requirePrinted(quiet)
	})
}

func TestFollow_WaitsForOtherUser(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *following, connector string) {
		other := f.occupy(connector)
		f.start()
		time.Sleep(time.Hour)
		assert.Equal(f.t, 1, strings.Count(f.stderr.String(), "; trying again each minute\n"))
		require.NoError(f.t, other.Close())
		time.Sleep(2 * time.Minute) // a retry at this moment may be too early
		f.requirePrinted(connector)
	})
}

func TestFollow_WaitsForNewConnector(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *following, _ string) {
		f.fake.Inject(tunneltest.Fault{
			Operation: "GET /logs", Status: http.StatusForbidden, Times: 2,
		})
		f.start()
		time.Sleep(time.Hour)
		assert.Contains(f.t, f.stderr.String(), "403")
		connector, err := f.fake.Connect(f.tunnel.Token)
		require.NoError(f.t, err)
		time.Sleep(time.Minute)
		f.requirePrinted(connector)
	})
}

func TestTail_ExitCodes(t *testing.T) {
	fake, _, _, _ := newTunnel(t)
	t.Setenv("CLOUDFLARE_API_TOKEN", fake.APIToken().Reveal())
	t.Setenv("CLOUDFLARE_ACCOUNT_ID", fake.AccountID())
	t.Setenv("CLOUDFLARE_BASE_URL", fake.URL())
	for _, test := range []struct {
		args []string
		code int
		text string
	}{
		{nil, 2, "name or the ID"},
		{[]string{"another"}, 1, "no live tunnel"},
		{[]string{"-endpoint", "http://192.0.2.1", "web"}, 1, "Endpoint"},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, test.code, start(t.Context(), test.args, &stdout, &stderr), stderr.String())
		assert.Contains(t, stderr.String(), test.text)
		assert.Empty(t, stdout.String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	args := []string{"-endpoint", fake.LogsURL(), fake.AccountID()}
	assert.Zero(t, start(ctx, args, &buffer{}, &buffer{}))
}

// With the variables that the simulator prints, tail follows a tunnel of the simulator.
func TestTail_EndpointFromEnvironment(t *testing.T) {
	fake, _, _, connector := newTunnel(t)
	t.Setenv("CLOUDFLARE_API_TOKEN", fake.APIToken().Reveal())
	t.Setenv("CLOUDFLARE_ACCOUNT_ID", fake.AccountID())
	t.Setenv("CLOUDFLARE_BASE_URL", fake.URL())
	t.Setenv("CFTUNNEL_LOGS_ENDPOINT", fake.LogsURL())
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr buffer
	code := make(chan int)
	go func() { code <- start(ctx, []string{"web"}, &stdout, &stderr) }()
	require.Eventually(t, func() bool {
		fake.Log(connector, tunnellogs.Entry{Message: "a line"})
		return strings.Contains(stdout.String(), "a line")
	}, time.Minute, time.Millisecond, "%s", &stderr)
	cancel()
	assert.Zero(t, <-code)
	s, err := parse([]string{"-endpoint", "http://localhost:1", "web"}, &stderr)
	require.NoError(t, err)
	assert.Equal(t, "http://localhost:1", s.params.Endpoint)
}
