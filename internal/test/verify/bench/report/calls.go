package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"

	"github.com/cftunnel/cftunnel-go/internal/test/verify/bench"
)

// results are all that was measured.
type results struct {
	began   time.Time
	machine []string
	builds  map[string]*build
	values  map[key][]float64
	quota   map[string]map[string]string // of a client, by what is counted
}

// key names a series of values.
type key struct{ benchmark, client, unit string }

// The environment variables that the test binary knows.
const (
	serverRole = "CFTUNNEL_BENCH_SERVER"
	serverURL  = "CFTUNNEL_BENCH_URL"
)

// peakMemory is the unit of what is measured from outside: the memory of a process beyond that of one which does nothing.
const peakMemory = "peak-B"

func measureCalls(ctx context.Context, o options, work string, r *results) error {
	progress("building the benchmarks")
	binary := filepath.Join(work, "bench.test")
	if _, err := output(exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, ".")); err != nil {
		return err
	}
	url, stop, err := startServer(ctx, binary)
	if err != nil {
		return err
	}
	defer stop()
	r.values = map[key][]float64{}

	clients := bench.Contestants()
	for round := range o.count {
		progress("measuring calls, lists and sharing, %d of %d", round+1, o.count)
		for i := range clients {
			// Each round begins with another one: what the machine does beside must meet all alike.
			client := clients[(round+i)%len(clients)].Name
			out, err := benchmark(ctx, binary, url, "^Benchmark(Call|List|Shared)$/./^"+client+"$", o.time.String())
			if err != nil {
				return err
			}
			if err := r.read(out); err != nil {
				return err
			}
		}
	}
	for round := range max(1, o.count/2) {
		progress("measuring memory and whole accounts, %d of %d", round+1, max(1, o.count/2))
		if err := r.measureMemory(ctx, binary, url); err != nil {
			return err
		}
	}
	progress("measuring what a quota costs")
	return r.measureQuota(ctx, binary, url)
}

func startServer(ctx context.Context, binary string) (url string, stop func(), err error) {
	command := exec.CommandContext(ctx, binary)
	command.Env = append(os.Environ(), serverRole+"=1")
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := command.Start(); err != nil {
		return "", nil, err
	}
	url, err = bufio.NewReader(out).ReadString('\n')
	return strings.TrimSpace(url), func() {
		_ = input.Close()
		_ = command.Wait()
	}, err
}

func benchmark(ctx context.Context, binary, url, pattern, times string) (string, error) {
	command := exec.CommandContext(ctx, binary, "-test.run", "^$", "-test.bench", pattern, "-test.benchtime", times)
	command.Env = append(os.Environ(), serverURL+"="+url)
	return output(command)
}

// read takes the values of a run.
func (r *results) read(out string) error {
	reader := benchfmt.NewReader(strings.NewReader(out), "benchmarks")
	for reader.Scan() {
		result, ok := reader.Result().(*benchfmt.Result)
		if !ok {
			continue
		}
		name, _, _ := bytes.Cut(result.Name.Full(), []byte("-"))
		benchmark, client := filepath.Split(string(name))
		for _, value := range result.Values {
			r.add(key{strings.TrimSuffix(benchmark, "/"), client, value.Unit}, value.Value)
		}
	}
	return reader.Err()
}

func (r *results) add(k key, value float64) { r.values[k] = append(r.values[k], value) }

// measureMemory runs each client in a process of its own.
func (r *results) measureMemory(ctx context.Context, binary, url string) error {
	for _, c := range []struct{ name, times string }{{"List/Tunnels", "50x"}, {"List/Connectors", "200x"}, {"All/10000", "2x"}, {"All/100000", "2x"}} {
		for _, contestant := range bench.Contestants() {
			pattern := "^Benchmark" + strings.ReplaceAll(c.name+"/"+contestant.Name, "/", "$/^") + "$"
			idle, _, err := peak(ctx, binary, url, "^$", "1x")
			if err != nil {
				return err
			}
			used, out, err := peak(ctx, binary, url, pattern, c.times)
			if err != nil {
				return err
			}
			r.add(key{c.name, contestant.Name, peakMemory}, used-idle)
			if strings.HasPrefix(c.name, "All") {
				if err := r.read(out); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func peak(ctx context.Context, binary, url, pattern, times string) (memory float64, out string, err error) {
	command := exec.CommandContext(ctx, binary, "-test.run", "^$", "-test.bench", pattern, "-test.benchtime", times)
	command.Env = append(os.Environ(), serverURL+"="+url)
	out, err = output(command)
	if err != nil {
		return 0, "", err
	}
	_, memory = usage(command)
	return memory, out, nil
}

// measureQuota reads what the test tells in lines such as "=== ATTR  TestQuota/v7 refused 32".
func (r *results) measureQuota(ctx context.Context, binary, url string) error {
	command := exec.CommandContext(ctx, binary, "-test.run", "^TestQuota$", "-test.v")
	command.Env = append(os.Environ(), serverURL+"="+url)
	out, err := output(command)
	if err != nil {
		return err
	}
	r.quota = map[string]map[string]string{}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) != 5 || fields[1] != "ATTR" {
			continue
		}
		client := filepath.Base(fields[2])
		if r.quota[client] == nil {
			r.quota[client] = map[string]string{}
		}
		r.quota[client][fields[3]] = fields[4]
	}
	if len(r.quota) != len(bench.Contestants()) {
		return fmt.Errorf("TestQuota told of %d clients", len(r.quota))
	}
	return nil
}

// sample is a series of values as benchstat looks at it.
func sample(values []float64) *benchmath.Sample {
	return benchmath.NewSample(values, &benchmath.DefaultThresholds)
}

// median is the middle of a series.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return benchmath.AssumeNothing.Summary(sample(values), 0.95).Center
}
