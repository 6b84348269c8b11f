package main

import (
	"bytes"
	"context"
	"fmt"
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

// The tests start this program's workers: the test binary itself.
func TestMain(m *testing.M) {
	if os.Getenv(envWorker) != "" {
		main()
	}
	logging.Disable()
	os.Exit(m.Run())
}

// eventually bounds what only a defect or a very busy machine makes long.
const eventually = 30 * time.Second

// crew is a fleet under way.
type crew struct {
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

// employ starts a fleet with a Redis and a fake of its own. It runs until finish.
func employ(t *testing.T, s settings, opts ...tunneltest.Option) *crew {
	t.Helper()
	s.fleet, s.length = s.workers, time.Hour
	c := &crew{t: t, s: s, stderr: new(buffer), done: make(chan struct{})}
	c.fake = tunneltest.NewServer(append([]tunneltest.Option{tunneltest.WithQuota(s.quota, s.window)}, opts...)...)
	t.Cleanup(c.fake.Close)
	c.redis = ownRedis(t, 0)
	ctx, stop := context.WithCancel(t.Context())
	c.stop = stop
	environment := append(environmentOf(c.fake), envRedis+"="+c.redis.url())
	go func() {
		defer close(c.done)
		c.reports, c.err = s.employ(ctx, environment, c.stderr)
	}()
	t.Cleanup(func() {
		stop()
		<-c.done
	})
	return c
}

// wait fails the test where the condition does not come true, or the fleet ends before.
func (c *crew) wait(what string, condition func() bool) {
	c.t.Helper()
	deadline := time.After(eventually)
	for !condition() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-c.done:
			require.NoError(c.t, c.err, "the fleet ended before: %s\n%s", what, c.stderr)
		case <-deadline:
			require.FailNow(c.t, "this did not happen: "+what, "%s", c.stderr)
		}
	}
}

// counts returns how many requests of each worker the fake recorded.
func (c *crew) counts() []int {
	list := make([]int, c.s.workers)
	for _, r := range c.fake.Requests() {
		for i := range list {
			if strings.HasPrefix(r.Header.Get("User-Agent"), fmt.Sprintf("fleet-worker/%d ", i+1)) {
				list[i]++
			}
		}
	}
	return list
}

// more waits until each worker has made so many requests more.
func (c *crew) more(n int) {
	c.t.Helper()
	before := c.counts()
	c.wait(fmt.Sprintf("%d requests more of each worker", n), func() bool {
		for i, now := range c.counts() {
			if now < before[i]+n {
				return false
			}
		}
		return true
	})
}

// finish ends the fleet, and holds what it reports against what the fake recorded.
func (c *crew) finish() (all, refused, fullest int) {
	c.t.Helper()
	c.stop()
	<-c.done
	require.NoError(c.t, c.err, "%s", c.stderr)
	counts := c.counts()
	var sum report
	for i, r := range c.reports {
		assert.Equal(c.t, counts[i], r.Calls, "worker %d", i+1)
		sum.Calls += r.Calls
		sum.Refused += r.Refused
	}
	all, refused, fullest = count(c.fake.Requests(), c.s.window)
	assert.Equal(c.t, report{all, refused}, sum)
	return all, refused, fullest
}

// scaled is a quota of which some windows fit into a test.
var scaled = settings{workers: 4, callers: 4, quota: 120, window: 3 * time.Second, shared: true}

func TestAFleetThatSharesUsesTheQuotaAndMeetsNoRefusal(t *testing.T) {
	t.Parallel()
	c := employ(t, scaled)
	c.more(1)
	// As many as two windows have, less a fifth. The first requests come at once.
	c.wait("two windows", func() bool {
		requests := c.fake.Requests()
		return requests[len(requests)-1].Time.Sub(requests[0].Time) >= 2*scaled.window
	})
	all, refused, fullest := c.finish()
	assert.Zero(t, refused)
	assert.LessOrEqual(t, fullest, scaled.quota)
	assert.GreaterOrEqual(t, all, 2*scaled.quota*8/10)
	assert.Empty(t, c.stderr.String())
}

func TestAFleetThatDoesNotShareIsRefused(t *testing.T) {
	t.Parallel()
	alone := scaled
	alone.shared = false
	c := employ(t, alone)
	c.wait("a refusal", func() bool {
		_, refused, _ := count(c.fake.Requests(), alone.window)
		return refused > 0
	})
	_, refused, _ := c.finish()
	assert.Positive(t, refused)
}

func TestAFleetGoesOnWithoutRedisAndComesBackToIt(t *testing.T) {
	t.Parallel()
	c := employ(t, scaled)
	c.more(5)
	c.redis.stop()
	c.wait("all say that Redis is gone", func() bool { return strings.Count(c.stderr.String(), "is gone") == scaled.workers })
	c.more(3)
	port := c.redis.port
	ownRedis(t, port)
	c.wait("all say that it is back", func() bool { return strings.Count(c.stderr.String(), "is back") == scaled.workers })
	// Until every window that has to do with it is over.
	back := time.Now()
	c.wait("another window", func() bool { return time.Since(back) > scaled.window })
	c.more(1)
	_, refused, fullest := c.finish()
	assert.Zero(t, refused)
	assert.LessOrEqual(t, fullest, scaled.quota)
	for number := range scaled.workers {
		worker := fmt.Sprintf("worker %d: Redis is ", number+1)
		assert.Equal(t, 1, strings.Count(c.stderr.String(), worker+"gone"), "%s", c.stderr)
		assert.Equal(t, 1, strings.Count(c.stderr.String(), worker+"back"), "%s", c.stderr)
	}
}

func TestARetryAfterHoldsTheWholeFleet(t *testing.T) {
	t.Parallel()
	quick := settings{workers: 3, callers: 2, quota: 6000, window: 3 * time.Second, shared: true}
	c := employ(t, quick)
	c.more(10)
	c.fake.Inject(tunneltest.Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"3600"}}})
	client := dial(t, c.redis)
	c.wait("the hold is in Redis", func() bool {
		keys, err := client.Keys(t.Context(), "hold:*").Result()
		return err == nil && len(keys) == 1
	})
	// What was let through before may still come; a worker that did not know would send a thousand a second.
	before := len(c.fake.Requests())
	under := quick.workers * quick.callers
	assert.Never(t, func() bool { return len(c.fake.Requests()) > before+under }, 300*time.Millisecond, 20*time.Millisecond)
	_, refused, _ := c.finish()
	assert.Equal(t, 1, refused)
}

func TestAWorkerThatFailsEndsTheFleet(t *testing.T) {
	t.Parallel()
	c := employ(t, scaled)
	c.more(1)
	c.fake.Inject(tunneltest.Fault{Status: http.StatusForbidden})
	select {
	case <-c.done:
	case <-time.After(eventually):
		require.FailNow(t, "the others go on")
	}
	require.ErrorContains(t, c.err, "exit status 1")
	assert.Contains(t, c.stderr.String(), "403")
	assert.NotContains(t, c.stderr.String(), c.fake.APIToken().Reveal())
}

// The simulator is another process, as a fleet on several machines has it.
func TestAFleetOnTheSimulator(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "simulator")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/cftunnel/cftunnel-go/examples/simulator")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	simulator := exec.CommandContext(t.Context(), program, "-addr", "127.0.0.1:0", "-quota", "120", "-window", "3s")
	stdout, err := simulator.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, simulator.Start())
	t.Cleanup(func() {
		_ = simulator.Process.Kill()
		_ = simulator.Wait()
	})
	var environment []string
	for range 4 { // what it prints when it is ready
		var line string
		_, err := fmt.Fscanf(stdout, "export %s\n", &line)
		require.NoError(t, err)
		environment = append(environment, line)
	}
	s := scaled
	s.fleet, s.length = s.workers, time.Second
	reports, err := s.employ(t.Context(), append(environment, envRedis+"="+ownRedis(t, 0).url()), os.Stderr)
	require.NoError(t, err)
	var out bytes.Buffer
	assert.Zero(t, show(&out, reports))
	for _, r := range reports {
		assert.Positive(t, r.Calls)
	}
}

func TestTheProgramStartsWhatItNeeds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args          []string
		said, refused string
	}{
		{nil, "share through Redis at 127.0.0.1:", "0"},
		{[]string{"-shared=false", "-quota", "20", "-window", "1s"}, "each take for their own: 20 requests in 1s", `[1-9]\d*`},
	} {
		t.Run(test.said, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr buffer
			code := start(t.Context(), append([]string{"-workers", "2", "-for", "1s"}, test.args...), &stdout, &stderr)
			require.Zero(t, code, "%s", &stderr)
			assert.Contains(t, stdout.String(), "2 workers "+test.said)
			assert.Regexp(t, `(?m)^1 +\d+ +\d+ +\d+\.\d %$`, stdout.String())
			assert.Regexp(t, `The API counted \d+ requests and refused `+test.refused+` of them`, stdout.String())
			assert.Empty(t, stderr.String())
		})
	}
}

// The worker's counts would else not be the API's.
func TestARequestUnderWayIsFinished(t *testing.T) {
	t.Parallel()
	fake := tunneltest.NewServer()
	t.Cleanup(fake.Close)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fake.URL()+"/user/tokens/verify", nil)
	require.NoError(t, err)
	counter := &counter{next: &http.Transport{}}
	t.Cleanup(counter.CloseIdleConnections)
	resp, err := counter.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.EqualValues(t, 1, counter.calls.Load())
	assert.Len(t, fake.Requests(), 1)
}

func TestAnInterruptEndsTheProgramWithItsReport(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr buffer
	code := make(chan int)
	go func() { code <- start(ctx, []string{"-shared=false", "-workers", "1", "-for", "1h"}, &stdout, &stderr) }()
	require.Eventually(t, func() bool { return stdout.String() != "" }, eventually, time.Millisecond)
	cancel()
	select {
	case got := <-code:
		assert.Zero(t, got, "%s", &stderr)
	case <-time.After(eventually):
		require.FailNow(t, "it goes on")
	}
	assert.Contains(t, stdout.String(), "The API counted")
	assert.Zero(t, start(ctx, []string{"-shared=false"}, &stdout, &stderr), "also where no worker was started")
	assert.Contains(t, stdout.String(), "The API counted 0 requests")
}

func TestCommandLines(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		code int
		said string
	}{
		{[]string{"-help"}, 0, "usage: fleet"},
		{[]string{"-nonsense"}, exitUsage, "-nonsense"},
		{[]string{"extra"}, exitUsage, "extra"},
		{[]string{"-workers", "0"}, exitUsage, "-workers"},
		{[]string{"-callers", "0"}, exitUsage, "-callers"},
		{[]string{"-workers", "4", "-fleet", "3"}, exitUsage, "-fleet"},
		{[]string{"-quota", "4", "-workers", "4"}, exitUsage, "4 requests are too few for 4 workers"},
		{[]string{"-quota", "2", "-workers", "1"}, exitUsage, "too few"},
		{[]string{"-window", "0s"}, exitUsage, "-window"},
		{[]string{"-for", "0s"}, exitUsage, "-for"},
		{[]string{"-redis", "http://:a-password@host"}, exitUsage, "-redis"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			assert.Equal(t, test.code, start(t.Context(), test.args, &stdout, &stderr))
			assert.Contains(t, stderr.String(), test.said)
			assert.NotContains(t, stderr.String(), "a-password")
			assert.Empty(t, stdout.String())
		})
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	at := func(ms int, status int) tunneltest.Request {
		return tunneltest.Request{Time: time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond), Status: status}
	}
	all, refused, fullest := count([]tunneltest.Request{at(0, 200), at(900, 200), at(999, 429), at(1000, 200), at(2500, 200)}, time.Second)
	assert.Equal(t, []int{5, 1, 3}, []int{all, refused, fullest})
	all, refused, fullest = count(nil, time.Second)
	assert.Equal(t, []int{0, 0, 0}, []int{all, refused, fullest})
}

// buffer is a bytes.Buffer for many goroutines.
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
