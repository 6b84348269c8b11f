// Soak lives the lives of tunnels against the fake for as long as it is told, from many workers at once, while requests fail in every way
// that the fake knows. Each worker keeps books. At the end of each of many epochs, the books and the fake's state must agree exactly,
// nothing may have been done twice, and memory and goroutines must be where they began.
//
//	go run ./internal/soak -duration 10m
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"time"
)

// settings is the command line.
type settings struct {
	duration, epoch, timeout time.Duration
	workers, accounts, steps int
	seed                     uint64
	faults                   float64
	verbose                  bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(start(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// start returns the exit code: 2 for a bad command line, 1 for any disagreement and whatever else fails.
func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var s settings
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.DurationVar(&s.duration, "duration", 30*time.Minute, "`how long` to go on")
	flags.DurationVar(&s.epoch, "epoch", 15*time.Second, "`how long` one server lives; at its end everything is compared")
	flags.IntVar(&s.workers, "workers", 32, "`number` of workers, all of one client's family")
	flags.IntVar(&s.accounts, "accounts", 4, "`number` of accounts that they work on")
	flags.IntVar(&s.steps, "steps", 0, "`number` of steps of each worker, in one epoch; 0 goes by -duration alone")
	flags.Uint64Var(&s.seed, "seed", 0, "`seed` of everything random, so that a run can be repeated in kind; 0 takes a new one")
	flags.Float64Var(&s.faults, "faults", 0.25, "`share` of the calls that bring a fault along, 0 to 1")
	flags.DurationVar(&s.timeout, "timeout", 250*time.Millisecond,
		"`how long` an attempt may take; with a few ms, many requests are carried out after they were given up")
	flags.BoolVar(&s.verbose, "v", false, "tell of every outcome that was not known, and how it turned out")
	flags.Usage = func() {
		fmt.Fprintln(stderr, `usage: soak [flags]

Lives the lives of tunnels against a fake of the API that fails at random, and compares what the workers know with what the fake has.
Exits with 0 where everything agrees, and memory and goroutines are where they began; with 1 where not; with 2 for a bad command line.`)
		flags.PrintDefaults()
	}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2 // flags has told
	}
	if err := s.check(flags); err != nil {
		fmt.Fprintln(stderr, "soak:", err)
		return 2
	}
	if s.seed == 0 {
		s.seed = rand.Uint64()
	}
	if err := soak(ctx, s, stdout); err != nil {
		fmt.Fprintln(stderr, "soak:", err)
		return 1
	}
	return 0
}

func (s *settings) check(flags *flag.FlagSet) error {
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case s.duration <= 0:
		return fmt.Errorf("-duration is %s; it must be longer than nothing", s.duration)
	case s.epoch <= 0:
		return fmt.Errorf("-epoch is %s; it must be longer than nothing", s.epoch)
	case s.timeout <= 0:
		return fmt.Errorf("-timeout is %s; it must be longer than nothing", s.timeout)
	case s.workers < 1 || s.workers > 1000:
		return fmt.Errorf("-workers is %d; it must be 1 to 1000", s.workers)
	case s.accounts < 1 || s.accounts > 1000:
		return fmt.Errorf("-accounts is %d; it must be 1 to 1000", s.accounts)
	case s.steps < 0:
		return fmt.Errorf("-steps is %d; it cannot be negative", s.steps)
	case !(s.faults >= 0 && s.faults <= 1): // nor not a number
		return fmt.Errorf("-faults is %v; it must be 0 to 1", s.faults)
	}
	return nil
}

// progressEvery is how often the soak tells how it goes.
const progressEvery = 10 * time.Second

// soak runs epoch after epoch. Its error says that there are disagreements, which the summary lists, or that the soak itself failed.
func soak(ctx context.Context, s settings, stdout io.Writer) error {
	out, tally, began := log.New(stdout, "", 0), newTally(), time.Now()
	elapsed := func() time.Duration { return time.Since(began).Round(time.Second) }
	tell := func(string, ...any) {}
	if s.verbose {
		tell = out.Printf
	}
	out.Printf("soak: seed %d, %d workers, %d accounts, faults with %g of the calls, %s in epochs of %s",
		s.seed, s.workers, s.accounts, s.faults, s.duration, s.epoch)

	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	over := make(chan struct{})
	defer close(over)
	go func() {
		for {
			select {
			case <-ticker.C:
				out.Printf("%7s  %s", elapsed(), tally.progress())
			case <-over:
				return
			}
		}
	}()

	u := usages{began: measure(0)}
	g, err := newGround(s, tally)
	if err != nil {
		return err
	}
	defer g.close()
	u.ready = measure(0)
	out.Printf("in the beginning: %s; with a client and no fake yet: %s", u.began, u.ready)
	for until := began.Add(s.duration); len(u.epochs) == 0 || s.steps == 0 && ctx.Err() == nil && time.Now().Before(until); {
		n := len(u.epochs) + 1
		c, err := oneEpoch(ctx, g, s, n, tally, tell, until)
		if err != nil {
			return fmt.Errorf("epoch %d: %w", n, err)
		}
		after := measure(u.ready.goroutines)
		u.epochs = append(u.epochs, after)
		out.Printf("%7s  epoch %d: %d requests, %d live and %d deleted tunnels compared; after it: %s",
			elapsed(), n, c.requests, c.live, c.deleted, after)
	}
	g.close()
	u.end = measure(u.began.goroutines)
	for _, problem := range u.problems() {
		tally.find("%s", problem)
	}
	out.Printf("%7s  the end: %s", elapsed(), tally.progress())
	tally.summary(stdout)
	out.Printf("in the beginning: %s; in the end, when all is closed: %s", u.began, u.end)
	if tally.found > 0 {
		return fmt.Errorf("%d disagreements (seed %d)", tally.found, s.seed)
	}
	out.Printf("everything agrees: state, books and record of %d epochs; memory and goroutines are where they began", len(u.epochs))
	return nil
}

func oneEpoch(
	ctx context.Context, g *ground, s settings, number int, tally *tally, tell func(string, ...any), until time.Time,
) (census, error) {
	defer g.rest()
	if end := time.Now().Add(s.epoch); s.steps == 0 && end.Before(until) {
		until = end
	}
	e := newEpoch(ctx, g, s, number, tally, tell)
	e.work(ctx, until)
	return e.check()
}

// usage is what the process holds.
type usage struct {
	heap       uint64
	objects    uint64
	goroutines int
}

func (u usage) String() string {
	return fmt.Sprintf("heap %d KiB in %d objects, %d goroutines", u.heap>>10, u.objects, u.goroutines)
}

// measure waits a while for goroutines that are about to end, and collects garbage: several times, since what is pooled, or weakly held,
// as the texts of secrets are, outlives the first.
func measure(goroutines int) usage {
	for began := time.Now(); runtime.NumGoroutine() > goroutines && goroutines > 0 && time.Since(began) < 10*time.Second; {
		time.Sleep(time.Millisecond)
	}
	for range 4 {
		runtime.GC()
		time.Sleep(time.Millisecond) // for finalizers and cleanups
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{heap: m.HeapAlloc, objects: m.HeapObjects, goroutines: runtime.NumGoroutine()}
}

// usages is what was measured: before there was anything, with the client, after each epoch, and when everything is closed.
type usages struct {
	began, ready, end usage
	epochs            []usage
}

// Bounds on the heap. The first epoch fills what is made once in a process, such as pools and tables of the standard library. What later
// ones may add is the runtime's own, which keeps what the most goroutines so far took. It is little: a client that keeps 16 bytes of each
// request is beyond it within seconds.
const (
	mostOnce    = 2 << 20
	mostGrowing = 256 << 10
)

// problems says what does not go back to where it began.
func (u usages) problems() (list []string) {
	problem := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	for i, after := range u.epochs {
		if after.goroutines > u.ready.goroutines {
			problem("after epoch %d there are %d goroutines, and before the first there were %d", i+1, after.goroutines, u.ready.goroutines)
		}
	}
	if u.end.goroutines > u.began.goroutines {
		problem("in the end there are %d goroutines, and in the beginning there were %d", u.end.goroutines, u.began.goroutines)
	}
	if first, last := u.epochs[0], u.epochs[len(u.epochs)-1]; last.heap > first.heap+mostGrowing {
		problem("after the last epoch the heap is %d KiB, and after the first it was %d KiB", last.heap>>10, first.heap>>10)
	}
	if u.end.heap > u.began.heap+mostOnce {
		problem("in the end the heap is %d KiB, and in the beginning it was %d KiB", u.end.heap>>10, u.began.heap>>10)
	}
	return list
}
