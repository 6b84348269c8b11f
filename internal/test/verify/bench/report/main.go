// Command report measures everything that the bench's README tells, and writes it there.
//
//	go -C internal/bench run ./report
//
// It takes about half an hour on two cores, most of it for builds, and wants the machine for itself. With -quick it takes a few minutes and
// its figures are rough: it shows that everything runs.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), `Usage: go -C internal/bench run ./report [flags]

Measures builds, calls, lists, sharing and pacing of this client, of cloudflare-go v7 and v0 and of the floor, and writes the table and the
plots into the README of the bench. Run it on a machine that does nothing else.

`)
		flag.PrintDefaults()
	}
	var o options
	flag.IntVar(&o.count, "count", 12, "how often calls are measured")
	flag.IntVar(&o.builds, "builds", 5, "how often programs are built, v7's root client once; 0 for no builds")
	flag.DurationVar(&o.time, "time", 500*time.Millisecond, "how long a call is measured each time")
	flag.BoolVar(&o.quick, "quick", false, "a short pass: one measurement of each, and no build of v7's root client")
	flag.StringVar(&o.readme, "readme", "README.md", "the file to write; the plots go beside it")
	flag.Parse()
	if flag.NArg() > 0 || o.count < 1 || o.builds < 0 || o.time <= 0 {
		flag.Usage()
		os.Exit(2)
	}
	if o.quick {
		o.count, o.builds, o.time = 1, min(o.builds, 1), 100*time.Millisecond
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		log.Print(err)
		os.Exit(1)
	}
}

type options struct {
	count, builds int
	time          time.Duration
	quick         bool
	readme        string
}

func run(ctx context.Context, o options) error {
	work, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)

	readme, err := openREADME(o.readme)
	if err != nil {
		return err
	}
	r := &results{began: time.Now()}
	if err := measureCalls(ctx, o, work, r); err != nil {
		return err
	}
	if r.builds, err = measureBuilds(ctx, o, work); err != nil {
		return err
	}
	if r.machine, err = machine(ctx); err != nil {
		return err
	}
	progress("writing %s", o.readme)
	for name, plot := range map[string]string{"build.svg": buildPlot(r), "call.svg": callPlot(r)} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(o.readme), name), []byte(plot), 0o644); err != nil {
			return err
		}
	}
	return readme.write(o, r)
}

func progress(format string, args ...any) {
	log.Printf("%s  %s", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// output runs a command and returns what it prints.
func output(command *exec.Cmd) (string, error) {
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(command.Args, " "), err)
	}
	return string(out), nil
}
