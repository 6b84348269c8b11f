// Soak uses the client with the fake for a given time. Many workers create, change and delete
// tunnels, while requests fail with the faults of package cases. Each worker has a model of its
// tunnels. After each round:
//
//   - the models must be equal to the fake's state
//   - no request that is not idempotent may have been repeated
//   - memory and goroutines must not have grown
//
// Usage:
//
//	go -C internal/test/verify run ./soak -duration 10m
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"time"
)

type settings struct {
	duration, round, timeout time.Duration
	workers, accounts, steps int
	seed                     uint64
	faultRate                float64
	http2                    bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(start(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// start returns the exit code: 2 for a bad command line, 1 for any problem.
func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var s settings
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.DurationVar(&s.duration, "duration", 30*time.Minute, "total time to run")
	flags.DurationVar(&s.round, "round", 15*time.Second,
		"time of one round; each round has a new fake")
	flags.IntVar(&s.workers, "workers", 32,
		"`number` of workers; their clients share one rate limit")
	flags.IntVar(&s.accounts, "accounts", 4, "`number` of accounts")
	flags.IntVar(&s.steps, "steps", 0,
		"run only one round, with this `number` of steps per worker; 0 means no limit")
	flags.Uint64Var(&s.seed, "seed", 0, "random `seed`; 0 means a new one")
	flags.Float64Var(&s.faultRate, "faults", 0.25, "`share` of calls with a fault, from 0 to 1")
	flags.DurationVar(&s.timeout, "timeout", 250*time.Millisecond, "timeout of one attempt")
	flags.BoolVar(&s.http2, "http2", false, "use HTTP/2")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0 || s.duration <= 0 || s.round <= 0 || s.timeout <= 0 || s.workers < 1 ||
		s.accounts < 1 || s.steps < 0 || !(s.faultRate >= 0 && s.faultRate <= 1):
		flags.Usage()
		return 2
	}
	if s.seed == 0 {
		s.seed = rand.Uint64()
	}
	stats, err := soak(ctx, s, stdout)
	if err != nil {
		fmt.Fprintln(stderr, "soak:", err)
		return 1
	}
	fmt.Fprintln(stdout, stats)
	for _, problem := range stats.problems {
		fmt.Fprintln(stdout, "PROBLEM:", problem)
	}
	if stats.problemCount > 0 {
		fmt.Fprintf(stderr, "soak: %d problems (seed %d)\n", stats.problemCount, s.seed)
		return 1
	}
	return 0
}

// soak runs rounds until the duration is over.
func soak(ctx context.Context, s settings, out io.Writer) (*stats, error) {
	fmt.Fprintf(out,
		"seed %d, %d workers, %d accounts, share of calls with a fault %g, HTTP/2 %t\n",
		s.seed, s.workers, s.accounts, s.faultRate, s.http2)
	stats, began := newStats(), time.Now()
	goOn := func() bool {
		return s.steps == 0 && ctx.Err() == nil && time.Since(began) < s.duration
	}
	r, err := newRig(s, stats)
	if err != nil {
		return nil, err
	}
	defer r.close()
	idle := runtime.NumGoroutine()
	var rounds []usage
	for len(rounds) == 0 || goOn() {
		done, err := playRound(ctx, r, s, len(rounds)+1, stats, began.Add(s.duration))
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", len(rounds)+1, err)
		}
		after := measure(idle)
		rounds = append(rounds, after)
		elapsed := time.Since(began).Round(time.Second)
		fmt.Fprintf(out, "%7s  round %d: %d requests and %d tunnels checked, %d problems; %s\n",
			elapsed, len(rounds), done.requests, done.tunnels, stats.problemCount, after)
	}
	for _, problem := range growth(s, idle, rounds) {
		stats.report("%s", problem)
	}
	return stats, nil
}

func playRound(
	ctx context.Context, r *rig, s settings, number int, stats *stats, until time.Time,
) (compared, error) {
	defer r.reset()
	if end := time.Now().Add(s.round); s.steps == 0 && end.Before(until) {
		until = end
	}
	c := newRound(ctx, r, s, number, stats)
	c.run(ctx, until)
	return c.compare() //nolint:contextcheck // compare must finish after an interrupt
}

// usage is the memory and the goroutines of the process.
type usage struct {
	heap       uint64
	goroutines int
}

func (u usage) String() string {
	return fmt.Sprintf("heap %d KiB, %d goroutines", u.heap>>10, u.goroutines)
}

// measure waits until only the given number of goroutines is left, at most 10 seconds. It collects
// garbage several times, because pooled and weakly referenced objects survive the first collection.
func measure(goroutines int) usage {
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(time.Millisecond) {
		if runtime.NumGoroutine() <= goroutines {
			break
		}
	}
	for range 4 {
		runtime.GC()
		time.Sleep(time.Millisecond) // for finalizers and cleanups
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{heap: m.HeapAlloc, goroutines: runtime.NumGoroutine()}
}

// growth reports goroutines and memory that were not released. It compares memory with that after
// the first round, because some memory is allocated once in a process.
func growth(s settings, idle int, rounds []usage) (problems []string) {
	report := func(format string, args ...any) {
		problems = append(problems, fmt.Sprintf(format, args...))
	}
	for i, after := range rounds {
		if after.goroutines > idle {
			report("%d goroutines after round %d, want %d", after.goroutines, i+1, idle)
		}
	}
	limit := uint64(256 << 10) // the runtime keeps memory of ended goroutines
	if s.http2 {
		limit = 16 << 20 // net/http keeps closed connections for seconds
	}
	if first, last := rounds[0].heap, rounds[len(rounds)-1].heap; last > first+limit {
		report("the heap grew to %d KiB after the last round, from %d KiB after the first",
			last>>10, first>>10)
	}
	return problems
}
