// Fleet shows how many processes share the quota of one API token through Redis. It starts worker processes that call the API as fast as
// they may, and prints what came of it:
//
//	go run .               # they share the quota, and nothing is refused
//	go run . -shared=false # each takes the whole quota for its own: the API refuses, and refuses everybody for a whole window
//
// The output of the first, on a scaled quota of 120 requests in 3 seconds:
//
//	4 workers share through Redis at 127.0.0.1:33063: 120 requests in 3s, for 6s.
//	WORKER  CALLS  REFUSED  SHARE
//	1       57     0        27.0 %
//	2       58     0        27.5 %
//	3       44     0        20.9 %
//	4       52     0        24.6 %
//	all     211    0
//	The API counted 211 requests and refused 0 of them. The fullest 3s had 108 of 120.
//
// The API is a fake in this process, the one that examples/simulator serves; with -simulator it is a simulator of another process. Redis is
// the one that -redis or REDIS_URL names, else a redis-server that the program starts and stops. Stop it meanwhile: the workers say so, go
// on with a part of the quota each, and come back to Redis when it does.
//
// The limiter is in limiter.go, which is made to be taken along. The exit code is 0 where all went well, 1 where something failed or the
// API refused a fleet that shared, 2 for a bad command line.
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

	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	logging.Disable() // the workers tell about Redis themselves, once
	if number := os.Getenv(envWorker); number != "" {
		os.Exit(startWorker(number))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(start(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// settings is the command line, the same for the program and its workers.
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
	flags.IntVar(&s.workers, "workers", 4, "how many worker `processes` to start")
	flags.IntVar(&s.fleet, "fleet", 0, "how many `processes` share the quota on all machines (default: those of -workers)")
	flags.IntVar(&s.callers, "callers", 4, "how many `goroutines` call at once in each worker")
	flags.IntVar(&s.quota, "quota", 120, "`requests` that the API allows in a window")
	flags.DurationVar(&s.window, "window", 3*time.Second, "`length` of the window")
	flags.DurationVar(&s.length, "for", 6*time.Second, "how `long` to run")
	flags.BoolVar(&s.shared, "shared", true, "share the quota through Redis; -shared=false shows what happens without")
	flags.BoolVar(&s.simulator, "simulator", false, "call the simulator that CLOUDFLARE_BASE_URL, CLOUDFLARE_ACCOUNT_ID and\n"+
		"CLOUDFLARE_API_TOKEN name, as it prints them, in place of a fake in this process")
	flags.StringVar(&s.redis, "redis", "", "`URL` of the Redis, redis://HOST:PORT (default: REDIS_URL, else a redis-server of its own)")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: fleet [flags]\n\n"+
			"Starts processes that share the quota of one API token through Redis, and prints what each of them had of it.")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return s, err // which flags has told
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
		return fmt.Errorf("-fleet is %d, but %d processes are started here", s.fleet, s.workers)
	case s.length <= 0:
		return fmt.Errorf("-for is %s; it must be longer than nothing", s.length)
	}
	if _, _, err := divide(s.sharedQuota("")); err != nil {
		return fmt.Errorf("-quota, -window: %w", err)
	}
	if s.redis != "" {
		if _, err := redis.ParseURL(s.redis); err != nil {
			return errors.New("-redis is not the URL of a Redis, such as redis://127.0.0.1:6379") // which may hold a password
		}
	}
	return nil
}

// sharedQuota is named after the account, which stands for the one API token that all workers have.
func (s settings) sharedQuota(account string) Quota {
	return Quota{Name: "cftunnel:" + account, Requests: s.quota, Window: s.window, Workers: s.fleet}
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
	if err := s.run(ctx, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "fleet:", err)
		return exitFailed
	}
	return 0
}

func startWorker(number string) int {
	signal.Ignore(os.Interrupt) // which the terminal sends to all: the program ends its workers itself
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

// run starts what the workers need and is not there.
func (s settings) run(ctx context.Context, stdout, stderr io.Writer) error {
	how := "each take for their own"
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
		how = "share through Redis at " + options.Addr
	}
	environment := []string{envRedis + "=" + s.redis}
	var fake *tunneltest.Server
	if !s.simulator {
		fake = tunneltest.NewServer(tunneltest.WithQuota(s.quota, s.window))
		defer fake.Close()
		environment = append(environment, environmentOf(fake)...)
	}
	fmt.Fprintf(stdout, "%d workers %s: %d requests in %s, for %s.\n", s.workers, how, s.quota, s.window, s.length)
	reports, err := s.employ(ctx, environment, stderr)
	if err != nil {
		return err
	}
	refused := show(stdout, reports)
	if fake != nil {
		var all, fullest int
		all, refused, fullest = count(fake.Requests(), s.window)
		fmt.Fprintf(stdout, "The API counted %d requests and refused %d of them. The fullest %s had %d of %d.\n",
			all, refused, s.window, fullest, s.quota)
	}
	if s.shared && refused > 0 {
		return fmt.Errorf("the API refused %d requests, though the quota was shared", refused)
	}
	return nil
}

// environmentOf is what examples/simulator prints.
func environmentOf(fake *tunneltest.Server) []string {
	return []string{
		"CLOUDFLARE_BASE_URL=" + fake.URL(), "CLOUDFLARE_ACCOUNT_ID=" + fake.AccountID(), "CLOUDFLARE_API_TOKEN=" + fake.APIToken().Reveal(),
	}
}

// employ runs the workers until the time is over, the context ends or one of them fails, and returns what they report. The environment
// names the API and Redis.
func (s settings) employ(ctx context.Context, environment []string, stderr io.Writer) ([]report, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(ctx, s.length)
	defer stop()
	stderr = &lines{to: stderr}
	reports, failures := make([]report, s.workers), make([]error, s.workers)
	var workers sync.WaitGroup
	for i := range s.workers {
		workers.Go(func() {
			number := strconv.Itoa(i + 1)
			cmd := exec.CommandContext(ctx, program, s.args()...)
			cmd.Env = slices.Concat(os.Environ(), environment, []string{envWorker + "=" + number})
			r, err := oversee(cmd, stderr)
			if err != nil && !errors.Is(err, ctx.Err()) { // which is that of one that came too late to be started
				failures[i] = fmt.Errorf("worker %s: %w", number, err)
				stop()
			}
			reports[i] = r
		})
	}
	workers.Wait()
	return reports, errors.Join(failures...)
}

// args is the command line of a worker.
func (s settings) args() []string {
	return []string{
		"-workers", strconv.Itoa(s.workers), "-fleet", strconv.Itoa(s.fleet), "-callers", strconv.Itoa(s.callers),
		"-quota", strconv.Itoa(s.quota), "-window", s.window.String(), fmt.Sprintf("-shared=%t", s.shared),
	}
}

// oversee runs a worker to its end, which it is told by closing its standard input.
func oversee(cmd *exec.Cmd, stderr io.Writer) (report, error) {
	var r report
	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return r, err
	}
	cmd.Cancel = func() error {
		_ = stdin.Close()
		return os.ErrProcessDone // that it ends now is no failure
	}
	cmd.WaitDelay = 20 * time.Second
	if err := cmd.Run(); err != nil {
		return r, err
	}
	return r, json.Unmarshal(stdout.Bytes(), &r)
}

// lines lets several processes write to one place.
type lines struct {
	mu sync.Mutex
	to io.Writer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(p)
}

// show prints the reports and returns how many requests were refused.
func show(out io.Writer, reports []report) int {
	var all report
	for _, r := range reports {
		all.Calls += r.Calls
		all.Refused += r.Refused
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WORKER\tCALLS\tREFUSED\tSHARE")
	for i, r := range reports {
		fmt.Fprintf(w, "%d\t%d\t%d\t%.1f %%\n", i+1, r.Calls, r.Refused, 100*float64(r.Calls)/float64(max(all.Calls, 1)))
	}
	fmt.Fprintf(w, "all\t%d\t%d\t\n", all.Calls, all.Refused)
	_ = w.Flush()
	return all.Refused
}

// count counts all requests, those that were refused, and those of the fullest window.
func count(requests []tunneltest.Request, window time.Duration) (all, refused, fullest int) {
	first := 0
	for i, r := range requests {
		if r.Status == http.StatusTooManyRequests {
			refused++
		}
		for !requests[first].Time.After(r.Time.Add(-window)) {
			first++
		}
		fullest = max(fullest, i-first+1)
	}
	return len(requests), refused, fullest
}
