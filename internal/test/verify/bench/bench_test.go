package bench_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/test/verify/bench"
)

// serverRole is the environment variable that makes this program the server. The server is a
// separate process, so that its allocations are not counted.
const serverRole = "CFTUNNEL_BENCH_SERVER"

// many and few are the numbers of tunnels of two accounts.
const (
	many = 100_000
	few  = many / 10
)

var baseURL string

func TestMain(m *testing.M) {
	if os.Getenv(serverRole) != "" {
		server, err := bench.NewServer(many)
		if err == nil {
			err = server.Run(os.Stdout, os.Stdin)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	stop := startServer()
	code := m.Run()
	stop()
	os.Exit(code)
}

func startServer() (stop func()) {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), serverRole+"=1")
	command.Stderr = os.Stderr
	input, inputErr := command.StdinPipe()
	output, outputErr := command.StdoutPipe()
	if err := errors.Join(inputErr, outputErr, command.Start()); err != nil {
		panic(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		panic(err)
	}
	baseURL = strings.TrimSpace(line)
	return func() {
		_ = input.Close()
		_ = command.Wait()
	}
}

// requests returns the number of requests that the server got so far.
func requests(tb testing.TB) (n int) {
	tb.Helper()
	resp, err := http.Get(strings.TrimSuffix(baseURL, bench.BasePath) + "/requests")
	require.NoError(tb, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(tb, err)
	_, err = fmt.Sscan(string(text), &n)
	require.NoError(tb, err)
	return n
}

type call struct {
	name    string
	tunnels int
	do      func(context.Context, bench.Client) (bench.Result, error)
}

const secret = "AQIDBAUGBwgBAgMEBQYHCAECAwQFBgcIAQIDBAUGBwg="

var calls = []call{
	{"Get", few, func(ctx context.Context, c bench.Client) (bench.Result, error) { return c.Get(ctx, bench.TunnelID) }},
	{"Create", few, func(ctx context.Context, c bench.Client) (bench.Result, error) { return c.Create(ctx, "blog", secret) }},
	{"Page", few, func(ctx context.Context, c bench.Client) (bench.Result, error) { return c.Page(ctx) }},
	{"All", many, func(ctx context.Context, c bench.Client) (bench.Result, error) { return c.All(ctx) }},
	{"Routes", few, func(ctx context.Context, c bench.Client) (bench.Result, error) { return c.Routes(ctx) }},
	{"Record", few, func(ctx context.Context, c bench.Client) (bench.Result, error) {
		return c.Record(ctx, bench.ZoneID, bench.RecordName, bench.RecordTarget)
	}},
}

func newClient(tb testing.TB, name string, tunnels int) bench.Client {
	tb.Helper()
	for _, c := range bench.Clients {
		if c.Name == name {
			config := bench.Config{BaseURL: baseURL, AccountID: bench.AccountOf(tunnels)}
			client, err := c.New(config)
			require.NoError(tb, err)
			return client
		}
	}
	require.Fail(tb, "no such client", name)
	return nil
}

func TestClients_SameResult(t *testing.T) {
	t.Parallel()
	for _, call := range calls {
		want, err := call.do(t.Context(), newClient(t, bench.Baseline, few))
		require.NoError(t, err)
		assert.Positive(t, want.Count)
		assert.NotEmpty(t, want.Name)
		assert.False(t, want.At.IsZero())
		for _, c := range bench.Clients {
			got, err := call.do(t.Context(), newClient(t, c.Name, few))
			require.NoError(t, err)
			assert.Equal(t, want, got, "%s, %s", call.name, c.Name)
		}
	}
}

// maxAllocations returns the limit for the allocations of Get, relative to the baseline.
// encoding/json, which only the baseline uses, allocates less since Go 1.27.
func maxAllocations() float64 {
	if strings.HasPrefix(runtime.Version(), "go1.26") {
		return 1.20
	}
	return 1.45
}

//nolint:paralleltest // what other tests allocate would count
func TestGet_Allocations(t *testing.T) {
	allocations := func(name string) float64 {
		client := newClient(t, name, few)
		return testing.AllocsPerRun(3000, func() {
			_, err := client.Get(t.Context(), bench.TunnelID)
			require.NoError(t, err)
		})
	}
	baseline, ours := allocations(bench.Baseline), allocations(bench.Ours)
	t.Logf("cftunnel: %v allocations, baseline: %v", ours, baseline)
	assert.LessOrEqual(t, ours/baseline, maxAllocations())
}

func BenchmarkCalls(b *testing.B) {
	for _, call := range calls {
		b.Run(call.name, func(b *testing.B) {
			for _, c := range bench.Clients {
				b.Run(c.Name, func(b *testing.B) {
					client := newClient(b, c.Name, call.tunnels)
					if _, err := call.do(b.Context(), client); err != nil { // opens the connection
						b.Fatal(err)
					}
					before, n := requests(b), 0
					b.ReportAllocs()
					for b.Loop() {
						if _, err := call.do(b.Context(), client); err != nil {
							b.Fatal(err)
						}
						n++
					}
					b.StopTimer()
					b.ReportMetric(float64(requests(b)-before)/float64(n), "requests/op")
				})
			}
		})
	}
}
