package bench_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cftunnel/cftunnel-go/internal/test/verify/bench"
)

// The server is a process of its own, so that its memory and its allocations are not counted. Who measures in several processes starts it
// and names it.
const (
	serverRole = "CFTUNNEL_BENCH_SERVER"
	serverURL  = "CFTUNNEL_BENCH_URL"
)

// many is all that the server has, few a tenth of it.
const (
	many = 100_000
	few  = many / 10
)

var baseURL string

func TestMain(m *testing.M) {
	if os.Getenv(serverRole) != "" {
		serve()
		return
	}
	baseURL = os.Getenv(serverURL)
	stop := func() {}
	if baseURL == "" {
		baseURL, stop = startServer()
	}
	code := m.Run()
	stop()
	os.Exit(code)
}

func serve() {
	server, err := bench.NewServer(many)
	if err == nil {
		err = server.Run(os.Stdout, os.Stdin)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func startServer() (url string, stop func()) {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), serverRole+"=1")
	command.Stderr = os.Stderr
	input, inputErr := command.StdinPipe()
	output, outputErr := command.StdoutPipe()
	if err := errors.Join(inputErr, outputErr, command.Start()); err != nil {
		panic(err)
	}
	url, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(url), func() {
		_ = input.Close()
		_ = command.Wait()
	}
}

func counts(tb testing.TB) bench.Counts {
	tb.Helper()
	resp, err := http.Get(strings.TrimSuffix(baseURL, bench.BasePath) + "/counts")
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	var c bench.Counts
	if err := json.NewDecoder(resp.Body).Decode(&c); err != nil {
		tb.Fatal(err)
	}
	return c
}

func newClient(tb testing.TB, c bench.Contestant, tunnels int, client *http.Client) bench.Client {
	tb.Helper()
	made, err := c.New(bench.Config{BaseURL: baseURL, AccountID: bench.AccountOf(tunnels), HTTP: client})
	if err != nil {
		tb.Fatal(err)
	}
	return made
}

const secret = "AQIDBAUGBwgBAgMEBQYHCAECAwQFBgcIAQIDBAUGBwg="

// job is something that is measured.
type job struct {
	name  string
	fails bool
	do    func(context.Context, bench.Client) (bench.Seen, error)
}

var (
	get = job{name: "Get", do: func(ctx context.Context, c bench.Client) (bench.Seen, error) { return c.Get(ctx, bench.TunnelID) }}

	calls = []job{
		get,
		{name: "Create", do: func(ctx context.Context, c bench.Client) (bench.Seen, error) { return c.Create(ctx, "blog", secret) }},
		{name: "NotFound", fails: true, do: func(ctx context.Context, c bench.Client) (bench.Seen, error) { return c.Get(ctx, bench.UnknownID) }},
	}
	lists = []job{
		{name: "Tunnels", do: func(ctx context.Context, c bench.Client) (bench.Seen, error) { return c.Page(ctx) }},
		{name: "Connectors", do: func(ctx context.Context, c bench.Client) (bench.Seen, error) {
			return c.Connectors(ctx, bench.TunnelID)
		}},
	}
	all = job{name: "All", do: func(ctx context.Context, c bench.Client) (bench.Seen, error) { return c.All(ctx) }}
)

// What is compared must be the same.
func TestEveryClientUnderstandsTheSame(t *testing.T) {
	t.Parallel()
	for _, job := range slices.Concat(calls, lists, []job{all}) {
		var want bench.Seen
		for i, contestant := range bench.Contestants() {
			before := counts(t)
			got, err := job.do(t.Context(), newClient(t, contestant, few, nil))
			if (err != nil) != job.fails {
				t.Fatalf("%s, %s: %v", job.name, contestant.Name, err)
			}
			if i == 0 {
				want = got
				if !job.fails && (got.Count == 0 || got.Name == "" || got.At.IsZero()) {
					t.Errorf("%s: %+v", job.name, got)
				}
			}
			if got != want {
				t.Errorf("%s: %s has %+v, %s %+v", job.name, contestant.Name, got, bench.Floor, want)
			}
			if counts(t).Requests == before.Requests {
				t.Errorf("%s: %s asked nobody", job.name, contestant.Name)
			}
		}
	}
}

// each runs a benchmark for every client.
func each(b *testing.B, run func(*testing.B, bench.Contestant)) {
	for _, contestant := range bench.Contestants() {
		b.Run(contestant.Name, func(b *testing.B) { run(b, contestant) })
	}
}

func measure(b *testing.B, client bench.Client, job job) {
	// The first call opens the connection, and fills what is made once.
	if _, err := job.do(b.Context(), client); (err != nil) != job.fails {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := job.do(b.Context(), client); (err != nil) != job.fails {
			b.Fatal(err)
		}
	}
}

// BenchmarkCall is one call over a connection that stands.
func BenchmarkCall(b *testing.B) {
	for _, job := range calls {
		b.Run(job.name, func(b *testing.B) {
			each(b, func(b *testing.B, c bench.Contestant) { measure(b, newClient(b, c, few, nil), job) })
		})
	}
}

// BenchmarkList is a page of 1,000 tunnels, and 50 connectors of four connections each.
func BenchmarkList(b *testing.B) {
	for _, job := range lists {
		b.Run(job.name, func(b *testing.B) {
			each(b, func(b *testing.B, c bench.Contestant) { measure(b, newClient(b, c, few, nil), job) })
		})
	}
}

// BenchmarkAll is every page of an account, with ten times as many pages the second time.
func BenchmarkAll(b *testing.B) {
	for _, tunnels := range []int{few, many} {
		b.Run(strconv.Itoa(tunnels), func(b *testing.B) {
			each(b, func(b *testing.B, c bench.Contestant) {
				client := newClient(b, c, tunnels, nil)
				before, n := counts(b), 0
				b.ReportAllocs()
				for b.Loop() {
					seen, err := client.All(b.Context())
					if err != nil || seen.Count != tunnels {
						b.Fatalf("%+v, %v", seen, err)
					}
					n++
				}
				b.StopTimer()
				b.ReportMetric(float64(counts(b).Requests-before.Requests)/float64(n), "requests/op")
			})
		})
	}
}

// goroutines share one client.
const goroutines = 64

// BenchmarkShared is a client that many goroutines share: once on the connections that it makes by itself, once all clients on the same pool.
func BenchmarkShared(b *testing.B) {
	b.Run("own", func(b *testing.B) {
		each(b, func(b *testing.B, c bench.Contestant) { share(b, newClient(b, c, few, nil)) })
	})
	b.Run("pool", func(b *testing.B) {
		each(b, func(b *testing.B, c bench.Contestant) {
			transport := &http.Transport{MaxIdleConns: goroutines, MaxIdleConnsPerHost: goroutines}
			defer transport.CloseIdleConnections()
			share(b, newClient(b, c, few, &http.Client{Transport: transport}))
		})
	})
}

func share(b *testing.B, client bench.Client) {
	before := counts(b)
	defer runtime.SetMutexProfileFraction(runtime.SetMutexProfileFraction(1))
	waited := waiting()
	allBefore, ownBefore := contention()
	b.ReportAllocs()
	b.SetParallelism((goroutines + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := client.Get(b.Context(), bench.TunnelID); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	all, own := contention()
	b.ReportMetric(100*(waiting()-waited)/(goroutines*b.Elapsed().Seconds()), "waiting-%")
	b.ReportMetric(100*float64(own-ownBefore)/float64(max(1, all-allBefore)), "own-%")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
	b.ReportMetric(float64(counts(b).Connections-before.Connections), "connections")
}

// waiting is for how many seconds goroutines have waited for locks so far, all together, those of the runtime included.
func waiting() float64 {
	sample := []metrics.Sample{{Name: "/sync/mutex/wait/total:seconds"}}
	metrics.Read(sample)
	return sample[0].Value.Float64()
}

// contention reads the mutex profile: what all locks made others wait, and what those did that code outside the standard library held, the
// client's or that of a module which it brings.
func contention() (all, own int64) {
	records := make([]runtime.BlockProfileRecord, 1000)
	n, ok := runtime.MutexProfile(records)
	for !ok {
		records = make([]runtime.BlockProfileRecord, 2*n)
		n, ok = runtime.MutexProfile(records)
	}
	for _, record := range records[:n] {
		all += record.Cycles
		if isOwn(record.Stack()) {
			own += record.Cycles
		}
	}
	return all, own
}

// isOwn looks at the innermost function that is not of the mutex itself.
func isOwn(stack []uintptr) bool {
	frames := runtime.CallersFrames(stack)
	for {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, "sync.") && !strings.HasPrefix(frame.Function, "runtime.") &&
			!strings.HasPrefix(frame.Function, "internal/sync.") {
			first, _, _ := strings.Cut(frame.Function, "/")
			return strings.Contains(first, ".") && strings.Contains(frame.Function, "/")
		}
		if !more {
			return false
		}
	}
}
