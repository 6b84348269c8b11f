package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// TestMain runs the test binary as a worker if the environment says so.
func TestMain(m *testing.M) {
	if os.Getenv(envWorker) != "" {
		main()
	}
	logging.Disable()
	os.Exit(m.Run())
}

// maxWait bounds waits that are short unless something is broken.
const maxWait = 30 * time.Second

// fleet is a running fleet.
type fleet struct {
	t      *testing.T
	s      settings
	fake   *tunneltest.Server
	redis  *redisServer
	stderr *buffer
	stop   context.CancelFunc
	done   chan struct{}

	reports []report
	err     error
}

// startFleet starts a fleet with a new Redis and a new fake. It runs until finish is called.
func startFleet(t *testing.T, s settings) *fleet {
	t.Helper()
	s.fleet, s.length = s.workers, time.Hour
	f := &fleet{t: t, s: s, stderr: new(buffer), done: make(chan struct{})}
	f.fake = tunneltest.NewServer(tunneltest.WithQuota(s.quota, s.window))
	t.Cleanup(f.fake.Close)
	f.redis = newRedis(t, 0)
	ctx, stop := context.WithCancel(t.Context())
	f.stop = stop
	environment := append(environmentOf(f.fake), envRedis+"="+f.redis.url())
	go func() {
		defer close(f.done)
		f.reports, f.err = s.runWorkers(ctx, environment, f.stderr)
	}()
	t.Cleanup(func() {
		stop()
		<-f.done
	})
	return f
}

// waitFor waits until the condition is true. The test fails if the fleet ends before, or after
// maxWait.
func (f *fleet) waitFor(description string, condition func() bool) {
	f.t.Helper()
	deadline := time.After(maxWait)
	for !condition() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-f.done:
			require.NoError(f.t, f.err, "the fleet ended before: %s\n%s", description, f.stderr)
		case <-deadline:
			require.FailNow(f.t, "timeout: "+description, "%s", f.stderr)
		}
	}
}

// counts returns the number of requests of each worker that the fake has recorded.
func (f *fleet) counts() []int {
	list := make([]int, f.s.workers)
	for _, r := range f.fake.Requests() {
		for i := range list {
			if strings.HasPrefix(r.Header.Get("User-Agent"), fmt.Sprintf("fleet-worker/%d ", i+1)) {
				list[i]++
			}
		}
	}
	return list
}

// waitForRequests waits until each worker has sent n more requests.
func (f *fleet) waitForRequests(n int) {
	f.t.Helper()
	before := f.counts()
	f.waitFor(fmt.Sprintf("%d more requests of each worker", n), func() bool {
		for i, now := range f.counts() {
			if now < before[i]+n {
				return false
			}
		}
		return true
	})
}

// finish ends the fleet, and compares its reports with the requests that the fake has recorded.
func (f *fleet) finish() (all, rejected, busiest int) {
	f.t.Helper()
	f.stop()
	<-f.done
	require.NoError(f.t, f.err, "%s", f.stderr)
	counts := f.counts()
	var sum report
	for i, r := range f.reports {
		assert.Equal(f.t, counts[i], r.Calls, "worker %d", i+1)
		sum.Calls += r.Calls
		sum.Rejected += r.Rejected
	}
	all, rejected, busiest = count(f.fake.Requests(), f.s.window)
	assert.Equal(f.t, report{all, rejected}, sum)
	return all, rejected, busiest
}

// smallQuota has short windows, so that a test can have several.
var smallQuota = settings{workers: 4, callers: 4, quota: 120, window: 3 * time.Second, shared: true}

func TestFleet_SharedQuota(t *testing.T) {
	t.Parallel()
	f := startFleet(t, smallQuota)
	f.waitForRequests(1)
	// The fleet uses at least 80 % of the quota of two windows.
	f.waitFor("two windows", func() bool {
		requests := f.fake.Requests()
		return requests[len(requests)-1].Time.Sub(requests[0].Time) >= 2*smallQuota.window
	})
	all, rejected, busiest := f.finish()
	assert.Zero(t, rejected)
	assert.LessOrEqual(t, busiest, smallQuota.quota)
	assert.GreaterOrEqual(t, all, 2*smallQuota.quota*8/10)
	assert.Empty(t, f.stderr.String())
}

func TestFleet_QuotaNotShared(t *testing.T) {
	t.Parallel()
	separate := smallQuota
	separate.shared = false
	f := startFleet(t, separate)
	f.waitFor("a rejected request", func() bool {
		_, rejected, _ := count(f.fake.Requests(), separate.window)
		return rejected > 0
	})
	_, rejected, _ := f.finish()
	assert.Positive(t, rejected)
}

func TestFleet_RedisUnavailable(t *testing.T) {
	t.Parallel()
	f := startFleet(t, smallQuota)
	f.waitForRequests(5)
	f.redis.stop()
	f.waitFor("all workers report that Redis is unavailable", func() bool {
		return strings.Count(f.stderr.String(), "is unavailable") == smallQuota.workers
	})
	f.waitForRequests(3)
	newRedis(t, f.redis.port)
	f.waitFor("all workers report that Redis is back", func() bool {
		return strings.Count(f.stderr.String(), "is back") == smallQuota.workers
	})
	// Wait until every window that includes the change is over.
	back := time.Now()
	f.waitFor("another window", func() bool { return time.Since(back) > smallQuota.window })
	f.waitForRequests(1)
	_, rejected, busiest := f.finish()
	assert.Zero(t, rejected)
	assert.LessOrEqual(t, busiest, smallQuota.quota)
	for number := range smallQuota.workers {
		worker := fmt.Sprintf("worker %d: Redis is ", number+1)
		assert.Equal(t, 1, strings.Count(f.stderr.String(), worker+"unavailable"), "%s", f.stderr)
		assert.Equal(t, 1, strings.Count(f.stderr.String(), worker+"back"), "%s", f.stderr)
	}
}

func TestFleet_RetryAfterHoldsAllWorkers(t *testing.T) {
	t.Parallel()
	quick := settings{workers: 3, callers: 2, quota: 6000, window: 3 * time.Second, shared: true}
	f := startFleet(t, quick)
	f.waitForRequests(10)
	f.fake.Inject(tunneltest.Fault{
		Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"3600"}},
	})
	client := newRedisClient(t, f.redis)
	f.waitFor("the hold is in Redis", func() bool {
		keys, err := client.Keys(t.Context(), "*:hold").Result()
		return err == nil && len(keys) == 1
	})
	// Requests that have a token may still arrive. A worker without the hold would send a thousand
	// requests a second.
	limit := len(f.fake.Requests()) + quick.workers*quick.callers
	exceeded := func() bool { return len(f.fake.Requests()) > limit }
	assert.Never(t, exceeded, 300*time.Millisecond, 20*time.Millisecond)
	_, rejected, _ := f.finish()
	assert.Equal(t, 1, rejected)
}

func TestFleet_FailedWorkerEndsFleet(t *testing.T) {
	t.Parallel()
	f := startFleet(t, smallQuota)
	f.waitForRequests(1)
	f.fake.Inject(tunneltest.Fault{Status: http.StatusForbidden})
	select {
	case <-f.done:
	case <-time.After(maxWait):
		require.FailNow(t, "the other workers continue")
	}
	require.ErrorContains(t, f.err, "exit status 1")
	assert.Contains(t, f.stderr.String(), "403")
	assert.NotContains(t, f.stderr.String(), f.fake.APIToken().Reveal())
}

// The simulator is another process, as for a fleet on several machines.
func TestFleet_Simulator(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "simulator")
	const path = "github.com/cftunnel/cftunnel-go/examples/simulator"
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, path)
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	simulator := exec.CommandContext(t.Context(), program,
		"-addr", "127.0.0.1:0", "-quota", "120", "-window", "3s")
	stdout, err := simulator.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, simulator.Start())
	t.Cleanup(func() {
		_ = simulator.Process.Kill()
		_ = simulator.Wait()
	})
	var environment []string
	// When the simulator is ready, it prints variables, of which the API token is the last.
	for line := ""; !strings.HasPrefix(line, "CLOUDFLARE_API_TOKEN="); {
		_, err := fmt.Fscanf(stdout, "export %s\n", &line)
		require.NoError(t, err)
		environment = append(environment, line)
	}
	s := smallQuota
	s.fleet, s.length = s.workers, time.Second
	environment = append(environment, envRedis+"="+newRedis(t, 0).url())
	reports, err := s.runWorkers(t.Context(), environment, os.Stderr)
	require.NoError(t, err)
	var out bytes.Buffer
	assert.Zero(t, printReports(&out, reports))
	for _, r := range reports {
		assert.Positive(t, r.Calls)
	}
}

func TestProgram_StartsRedisAndFake(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args           []string
		text, rejected string
	}{
		{nil, "share a quota of 120 requests in 3s through Redis at 127.0.0.1:", "0"},
		{[]string{"-shared=false", "-quota", "20", "-window", "1s"}, "use a quota of 20 requests in 1s each", `[1-9]\d*`},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			t.Parallel()
			var stdout, stderr buffer
			args := append([]string{"-workers", "2", "-for", "1s"}, test.args...)
			code := start(t.Context(), args, &stdout, &stderr)
			require.Zero(t, code, "%s", &stderr)
			assert.Contains(t, stdout.String(), "2 workers "+test.text)
			assert.Regexp(t, `(?m)^1 +\d+ +\d+ +\d+\.\d %$`, stdout.String())
			want := `The API received \d+ requests and rejected ` + test.rejected + ` of them`
			assert.Regexp(t, want, stdout.String())
			assert.Empty(t, stderr.String())
		})
	}
}

// If the request were canceled, the worker and the API could count differently.
func TestCounter_CanceledRequestIsSent(t *testing.T) {
	t.Parallel()
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	url := fake.URL() + "/user/tokens/verify"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	counter := &counter{next: &http.Transport{}}
	t.Cleanup(counter.CloseIdleConnections)
	resp, err := counter.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.EqualValues(t, 1, counter.calls.Load())
	assert.Len(t, fake.Requests(), 1)
}

func TestProgram_InterruptPrintsResults(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr buffer
	code := make(chan int)
	args := []string{"-shared=false", "-workers", "1", "-for", "1h"}
	go func() { code <- start(ctx, args, &stdout, &stderr) }()
	started := func() bool { return stdout.String() != "" }
	require.Eventually(t, started, maxWait, time.Millisecond)
	cancel()
	select {
	case got := <-code:
		assert.Zero(t, got, "%s", &stderr)
	case <-time.After(maxWait):
		require.FailNow(t, "the program continues")
	}
	assert.Contains(t, stdout.String(), "The API received")
	assert.Zero(t, start(ctx, []string{"-shared=false"}, &stdout, &stderr), "without workers")
	assert.Contains(t, stdout.String(), "The API received 0 requests")
}

func TestProgram_UnwritableOutput(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // without workers
	reader, stdout := io.Pipe()
	require.NoError(t, reader.Close())
	var stderr buffer
	assert.Equal(t, exitFailed, start(ctx, []string{"-shared=false"}, stdout, &stderr))
	assert.Contains(t, stderr.String(), io.ErrClosedPipe.Error())
}

func TestProgram_CommandLine(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"-help"}, 0, "usage: fleet"},
		{[]string{"-nonsense"}, exitUsage, "-nonsense"},
		{[]string{"extra"}, exitUsage, "extra"},
		{[]string{"-workers", "0"}, exitUsage, "-workers"},
		{[]string{"-callers", "0"}, exitUsage, "-callers"},
		{[]string{"-workers", "4", "-fleet", "3"}, exitUsage, "-fleet"},
		{[]string{"-quota", "4", "-workers", "4"}, exitUsage, "4 requests are too few for 4 processes"},
		{[]string{"-quota", "2", "-workers", "1"}, exitUsage, "too few"},
		{[]string{"-window", "0s"}, exitUsage, "-window"},
		{[]string{"-for", "0s"}, exitUsage, "-for"},
		{[]string{"-redis", "http://:a-password@host"}, exitUsage, "-redis"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			assert.Equal(t, test.code, start(t.Context(), test.args, &stdout, &stderr))
			assert.Contains(t, stderr.String(), test.text)
			assert.NotContains(t, stderr.String(), "a-password")
			assert.Empty(t, stdout.String())
		})
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	at := func(ms int, status int) tunneltest.Request {
		return tunneltest.Request{Time: time.UnixMilli(int64(ms)), Status: status}
	}
	requests := []tunneltest.Request{
		at(0, 200), at(900, 200), at(999, 429), at(1000, 200), at(2500, 200),
	}
	all, rejected, busiest := count(requests, time.Second)
	assert.Equal(t, []int{5, 1, 3}, []int{all, rejected, busiest})
	all, rejected, busiest = count(nil, time.Second)
	assert.Equal(t, []int{0, 0, 0}, []int{all, rejected, busiest})
}

// buffer is a strings.Builder for several goroutines.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
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
