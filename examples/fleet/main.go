// Fleet shows how several processes share the quota of one API token through Redis. It starts
// worker processes that call the API as often as their limiter allows, and prints the results:
//
//	go run .               # the workers share the quota, and the API rejects no request
//	go run . -shared=false # each worker uses the whole quota, and the API rejects requests
//
// The output of the first command, with a small quota of 120 requests in 3 seconds:
//
//	4 workers share a quota of 120 requests in 3s through Redis at 127.0.0.1:33063, for 6s.
//	WORKER  CALLS  REJECTED  SHARE
//	1       57     0         27.0 %
//	2       58     0         27.5 %
//	3       44     0         20.9 %
//	4       52     0         24.6 %
//	all     211    0
//	The API received 211 requests and rejected 0 of them. The busiest 3s had 108 of 120 requests.
//
// The API is a fake in this process. With -simulator it is the simulator of another process. Redis
// is set by -redis or REDIS_URL; otherwise the program starts a redis-server and stops it at the
// end. If you stop Redis during the run, each worker reports it, continues with its part of the
// quota, and uses Redis again when it is back.
//
// The limiter is package redislimit. The exit code is 0 for success, 1 if something fails or if the
// API rejects a request of workers that share the quota, and 2 for a bad command line.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/cftunnel/cftunnel-go/redislimit"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	logging.Disable() // each worker reports an unavailable Redis once
	if number := os.Getenv(envWorker); number != "" {
		os.Exit(startWorker(number))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(start(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// settings is the command line of the program and of its workers.
type settings struct {
	workers, fleet, callers, quota int
	window, length                 time.Duration
	shared, simulator              bool
	redis                          string
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&s.workers, "workers", 4, "number of worker `processes` to start")
	flags.IntVar(&s.fleet, "fleet", 0,
		"number of `processes` that share the quota on all machines (default: -workers)")
	flags.IntVar(&s.callers, "callers", 4, "number of `goroutines` in each worker")
	flags.IntVar(&s.quota, "quota", 120, "`requests` that the API allows in a window")
	flags.DurationVar(&s.window, "window", 3*time.Second, "`length` of the window")
	flags.DurationVar(&s.length, "for", 6*time.Second, "`duration` of the run")
	flags.BoolVar(&s.shared, "shared", true,
		"share the quota through Redis; with -shared=false each worker uses the whole quota")
	flags.BoolVar(&s.simulator, "simulator", false,
		"use the simulator at CLOUDFLARE_BASE_URL, with CLOUDFLARE_ACCOUNT_ID and\n"+
			"CLOUDFLARE_API_TOKEN, instead of a fake in this process")
	flags.StringVar(&s.redis, "redis", "",
		"`URL` of Redis, redis://HOST:PORT (default: REDIS_URL, otherwise a new redis-server)")
	flags.Usage = func() {
		fmt.Fprint(stderr, "usage: fleet [flags]\n\n"+
			"Starts processes that share the quota of one API token through Redis, and prints\n"+
			"how many requests each of them sent.\n\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return s, err // Parse has printed the reason
	}
	s.fleet = cmp.Or(s.fleet, s.workers)
	s.redis = cmp.Or(s.redis, os.Getenv(envRedis))
	err := s.check(flags)
	if err != nil {
		fmt.Fprintln(stderr, "fleet:", err)
	}
	return s, err
}

func (s settings) check(flags *flag.FlagSet) error {
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case s.workers < 1 || s.callers < 1:
		return errors.New("-workers and -callers must be at least 1")
	case s.fleet < s.workers:
		return fmt.Errorf("-fleet is %d; it must be at least -workers, %d", s.fleet, s.workers)
	case s.length <= 0:
		return fmt.Errorf("-for is %s; it must be positive", s.length)
	case s.quota < 1 || s.window <= 0:
		return errors.New("-quota and -window must be positive")
	}
	client := redis.NewClient(&redis.Options{}) // does not connect
	defer client.Close()
	if _, err := redislimit.New(client, s.limit("")); err != nil {
		return fmt.Errorf("-quota: %w", err)
	}
	if s.redis != "" {
		if _, err := redis.ParseURL(s.redis); err != nil {
			// The error of ParseURL may contain a password.
			return errors.New("-redis must be a URL such as redis://127.0.0.1:6379")
		}
	}
	return nil
}

// limit returns the rate limit of the workers. Its key contains the account, because all workers
// use the same API token of the account.
func (s settings) limit(account string) redislimit.Options {
	return redislimit.Options{
		Key: "cftunnel:" + account, Requests: s.quota, Window: s.window, Processes: s.fleet,
	}
}

// start returns the exit code.
func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage
	}
	out := &resultWriter{w: stdout}
	err = s.run(ctx, out, stderr)
	if err == nil {
		err = out.err // the output is incomplete
	}
	if err != nil {
		fmt.Fprintln(stderr, "fleet:", err)
		return exitFailed
	}
	return 0
}

// resultWriter writes to w until a write fails, and keeps the error.
type resultWriter struct {
	w   io.Writer
	err error
}

func (r *resultWriter) Write(p []byte) (n int, err error) {
	if r.err == nil {
		n, r.err = r.w.Write(p)
	}
	return n, r.err
}

// startWorker runs a worker and returns the exit code.
func startWorker(number string) int {
	// A terminal sends the interrupt to the workers too, but the program ends them itself.
	signal.Ignore(os.Interrupt)
	s, err := parse(os.Args[1:], os.Stderr)
	if err != nil {
		return exitUsage
	}
	if err := work(number, s, os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "worker %s: %v\n", number, err)
		return exitFailed
	}
	return 0
}

// run starts Redis and the API if needed, runs the workers and prints the results.
func (s settings) run(ctx context.Context, stdout, stderr io.Writer) error {
	mode := fmt.Sprintf("use a quota of %d requests in %s each", s.quota, s.window)
	if s.shared {
		if s.redis == "" {
			server, err := startRedis(ctx, 0)
			if err != nil {
				return err
			}
			defer server.stop()
			s.redis = server.url()
		}
		options, err := redis.ParseURL(s.redis)
		if err != nil {
			return err
		}
		mode = fmt.Sprintf("share a quota of %d requests in %s through Redis at %s",
			s.quota, s.window, options.Addr)
	}
	environment := []string{envRedis + "=" + s.redis}
	var fake *tunneltest.Server
	if !s.simulator {
		fake = tunneltest.NewServer(tunneltest.WithQuota(s.quota, s.window))
		defer fake.Close()
		environment = append(environment, environmentOf(fake)...)
	}
	fmt.Fprintf(stdout, "%d workers %s, for %s.\n", s.workers, mode, s.length)
	reports, err := s.runWorkers(ctx, environment, stderr)
	if err != nil {
		return err
	}
	rejected := printReports(stdout, reports)
	if fake != nil {
		var all, busiest int
		all, rejected, busiest = count(fake.Requests(), s.window)
		fmt.Fprintf(stdout, "The API received %d requests and rejected %d of them. "+
			"The busiest %s had %d of %d requests.\n",
			all, rejected, s.window, busiest, s.quota)
	}
	if s.shared && rejected > 0 {
		return fmt.Errorf("the API rejected %d requests although the quota was shared", rejected)
	}
	return nil
}

// environmentOf returns the environment variables for a fake, as examples/simulator prints them.
func environmentOf(fake *tunneltest.Server) []string {
	return []string{
		"CLOUDFLARE_BASE_URL=" + fake.URL(),
		"CLOUDFLARE_ACCOUNT_ID=" + fake.AccountID(),
		"CLOUDFLARE_API_TOKEN=" + fake.APIToken().Reveal(),
	}
}

// runWorkers runs the workers until the time is over, ctx ends or a worker fails, and returns their
// reports. The environment has the variables for the API and Redis.
func (s settings) runWorkers(
	ctx context.Context, environment []string, stderr io.Writer,
) ([]report, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(ctx, s.length)
	defer stop()
	stderr = &lockedWriter{w: stderr}
	reports, failures := make([]report, s.workers), make([]error, s.workers)
	var workers sync.WaitGroup
	for i := range s.workers {
		workers.Go(func() {
			number := strconv.Itoa(i + 1)
			cmd := exec.CommandContext(ctx, program, s.args()...)
			cmd.Env = slices.Concat(os.Environ(), environment, []string{envWorker + "=" + number})
			r, err := runWorker(cmd, stderr)
			// A worker that is not started because ctx has ended is not a failure.
			if err != nil && !errors.Is(err, ctx.Err()) {
				failures[i] = fmt.Errorf("worker %s: %w", number, err)
				stop()
			}
			reports[i] = r
		})
	}
	workers.Wait()
	return reports, errors.Join(failures...)
}

// args returns the command line of a worker.
func (s settings) args() []string {
	return []string{
		"-workers", strconv.Itoa(s.workers),
		"-fleet", strconv.Itoa(s.fleet),
		"-callers", strconv.Itoa(s.callers),
		"-quota", strconv.Itoa(s.quota),
		"-window", s.window.String(),
		fmt.Sprintf("-shared=%t", s.shared),
	}
}

// runWorker runs a worker until it ends. When the context of cmd ends, it closes the standard input
// of the worker, and the worker ends.
func runWorker(cmd *exec.Cmd, stderr io.Writer) (report, error) {
	var r report
	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return r, err
	}
	cmd.Cancel = func() error {
		_ = stdin.Close()
		return os.ErrProcessDone // the end of the worker is not a failure
	}
	cmd.WaitDelay = 20 * time.Second
	if err := cmd.Run(); err != nil {
		return r, err
	}
	return r, json.Unmarshal(stdout.Bytes(), &r)
}

// lockedWriter is a writer for several goroutines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// printReports prints the reports and returns the number of rejected requests.
func printReports(out io.Writer, reports []report) int {
	var all report
	for _, r := range reports {
		all.Calls += r.Calls
		all.Rejected += r.Rejected
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WORKER\tCALLS\tREJECTED\tSHARE")
	for i, r := range reports {
		share := 100 * float64(r.Calls) / float64(max(all.Calls, 1))
		fmt.Fprintf(w, "%d\t%d\t%d\t%.1f %%\n", i+1, r.Calls, r.Rejected, share)
	}
	fmt.Fprintf(w, "all\t%d\t%d\t\n", all.Calls, all.Rejected)
	_ = w.Flush()
	return all.Rejected
}

// count returns the number of all requests, of rejected requests, and of requests in the busiest
// window.
func count(requests []tunneltest.Request, window time.Duration) (all, rejected, busiest int) {
	first := 0
	for i, r := range requests {
		if r.Status == http.StatusTooManyRequests {
			rejected++
		}
		for !requests[first].Time.After(r.Time.Add(-window)) {
			first++
		}
		busiest = max(busiest, i-first+1)
	}
	return len(requests), rejected, busiest
}
