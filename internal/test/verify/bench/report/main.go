// Report runs the benchmarks with each Go release and writes the results to the README of the
// benchmarks.
//
//	go -C internal/test/verify run ./bench/report
//
// Run nothing else on the machine at the same time. Use -count 1 only to check that Report works.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/test/verify/bench"
)

// This program replaces the text between these marks in the README.
const (
	startMark = "<!-- measured -->"
	endMark   = "<!-- /measured -->"
)

const (
	folder = "bench" // the folder of the benchmarks in the module
	v7Root = "v7root"
)

func main() {
	log.SetFlags(log.Ltime)
	var o options
	flag.IntVar(&o.count, "count", 12,
		"the `number` of rounds; each round measures every call once")
	flag.StringVar(&o.releases, "go", "local,go1.27.4",
		"comma-separated `list` of Go releases, each a value of GOTOOLCHAIN")
	flag.BoolVar(&o.cold, "cold", false,
		"also measure builds with an empty cache; v7's root package takes minutes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		log.Fatal(err)
	}
}

type options struct {
	count    int
	releases string
	cold     bool
}

func run(ctx context.Context, o options) error {
	readme := filepath.Join(folder, "README.md")
	text, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	before, rest, hasStart := bytes.Cut(text, []byte(startMark))
	_, after, hasEnd := bytes.Cut(rest, []byte(endMark))
	if !hasStart || !hasEnd {
		return fmt.Errorf("%s does not have the marks %s and %s", readme, startMark, endMark)
	}
	work, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	var out bytes.Buffer
	fmt.Fprintf(&out, "Measured on %s, on %d cores. Each call was measured in %d rounds.\n",
		time.Now().Format("2 January 2006"), runtime.NumCPU(), o.count)
	for release := range strings.SplitSeq(o.releases, ",") {
		g := &goRelease{name: release, work: work, cells: map[row]map[string]string{}}
		if err := g.measure(ctx, o); err != nil {
			return fmt.Errorf("%s: %w", release, err)
		}
		g.print(&out)
	}
	text = slices.Concat(before, []byte(startMark+"\n\n"), out.Bytes(), []byte("\n"+endMark), after)
	return os.WriteFile(readme, text, 0o644)
}

// goRelease has the results for one Go release.
type goRelease struct {
	name, work string
	version    string
	rows       []row
	cells      map[row]map[string]string // by client
}

type row string

func (g *goRelease) set(name row, client, cell string) {
	if g.cells[name] == nil {
		g.rows = append(g.rows, name)
		g.cells[name] = map[string]string{}
	}
	g.cells[name][client] = cell
}

func (g *goRelease) command(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	command.Stderr = os.Stderr
	command.Env = append(os.Environ(), "GOTOOLCHAIN="+g.name)
	return command
}

func (g *goRelease) measure(ctx context.Context, o options) error {
	version, err := g.command(ctx, "go", "env", "GOVERSION").Output()
	if err != nil {
		return err
	}
	g.version = strings.TrimSpace(string(version))
	if err := g.builds(ctx, o.cold); err != nil {
		return err
	}
	return g.calls(ctx, o.count)
}

// builds builds each program, with an empty cache if cold is set.
func (g *goRelease) builds(ctx context.Context, cold bool) error {
	const format = `{{if not .Standard}}{{if not .Module.Main}}{{.Module.Path}}{{end}}{{end}}`
	programs := []string{bench.Baseline, bench.Ours, bench.V7, bench.V0}
	if cold {
		programs = append(programs, v7Root)
	}
	var baselineCPU, baselineSize float64
	for _, program := range programs {
		log.Printf("%s: building %s", g.version, program)
		path, binary := "./"+folder+"/testdata/programs/"+program, filepath.Join(g.work, program)
		command := g.command(ctx, "go", "build", "-ldflags=-s -w", "-o", binary, path)
		if cold {
			cache := filepath.Join(g.work, "cache-"+g.version+"-"+program)
			command.Env = append(command.Env, "GOCACHE="+cache)
		}
		if err := command.Run(); err != nil {
			return err
		}
		used := command.ProcessState // includes all child processes
		cpu := (used.UserTime() + used.SystemTime()).Seconds()
		info, err := os.Stat(binary)
		if err != nil {
			return err
		}
		modules, err := g.command(ctx, "go", "list", "-deps", "-f", format, path).Output()
		if err != nil {
			return err
		}
		list := strings.Fields(string(modules))
		slices.Sort(list)
		if program == bench.Baseline {
			baselineCPU, baselineSize = cpu, float64(info.Size())
		}
		if cold {
			g.set("cold build: CPU time", program, fmt.Sprintf("%.2f", cpu/baselineCPU))
		}
		g.set("stripped binary", program, fmt.Sprintf("%.3f", float64(info.Size())/baselineSize))
		g.set("modules (count)", program, fmt.Sprint(len(slices.Compact(list))))
	}
	return nil
}

var benchmarkLine = regexp.MustCompile(`(?m)^BenchmarkCalls/(\w+)/(\w+)\S*\s+\d+\s+(.*)$`)

// calls measures the clients in turn, so that other load on the machine affects all of them.
func (g *goRelease) calls(ctx context.Context, count int) error {
	binary := filepath.Join(g.work, "bench.test")
	if err := g.command(ctx, "go", "test", "-c", "-o", binary, "./"+folder).Run(); err != nil {
		return err
	}
	values := map[row]map[string][]float64{}
	for round := range count {
		log.Printf("%s: measuring calls, %d of %d", g.version, round+1, count)
		for i := range bench.Clients {
			client := bench.Clients[(round+i)%len(bench.Clients)].Name
			pattern := "/./^" + client + "$"
			out, err := g.command(ctx, binary,
				"-test.run", "^$", "-test.bench", pattern, "-test.benchtime", "500ms").Output()
			if err != nil {
				return err
			}
			for _, line := range benchmarkLine.FindAllStringSubmatch(string(out), -1) {
				fields := strings.Fields(line[3])
				for i := 0; i+1 < len(fields); i += 2 {
					value, err := strconv.ParseFloat(fields[i], 64)
					if err != nil {
						return err
					}
					name := row(line[1] + ": " + fields[i+1])
					if values[name] == nil {
						values[name] = map[string][]float64{}
					}
					values[name][client] = append(values[name][client], value)
				}
			}
		}
	}
	for _, r := range []struct{ title, name row }{
		{"Get: time", "Get: ns/op"},
		{"Get: allocations", "Get: allocs/op"},
		{"Create: time", "Create: ns/op"},
		{"1,000 tunnels: time", "Page: ns/op"},
		{"1,000 tunnels: allocations", "Page: allocs/op"},
		{"100,000 tunnels: time", "All: ns/op"},
		{"1,000 routes: time", "Routes: ns/op"},
		{"DNS record: time", "Record: ns/op"},
	} {
		for client, list := range values[r.name] {
			g.set(r.title, client, interval(list, values[r.name][bench.Baseline]))
		}
	}
	for client, list := range values["All: requests/op"] {
		g.set("100,000 tunnels: requests (count)", client, fmt.Sprintf("%.0f", list[0]))
	}
	return nil
}

// interval returns the median of the ratios to the baseline in each round, and the 95% confidence
// interval of the median.
func interval(values, baseline []float64) string {
	var ratios []float64
	for i := range values {
		ratios = append(ratios, values[i]/baseline[i])
	}
	slices.Sort(ratios)
	n := len(ratios)
	median := (ratios[(n-1)/2] + ratios[n/2]) / 2
	low := lowRank(n)
	if low < 0 || ratios[low] == ratios[n-1-low] {
		return fmt.Sprintf("%.2f", median)
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", median, ratios[low], ratios[n-1-low])
}

// lowRank returns the index of the lower end of the interval among n sorted values, or -1 if there
// are too few values. The probability that at most k of n values are below the median is that of at
// most k heads in n throws of a coin.
func lowRank(n int) int {
	low, tail, p := -1, 0.0, 1.0
	for range n {
		p /= 2
	}
	for k := 0; k < n/2; k++ {
		if tail += p; 2*tail > 0.05 {
			break
		}
		low = k
		p = p * float64(n-k) / float64(k+1)
	}
	return low
}

func (g *goRelease) print(out *bytes.Buffer) {
	columns := []struct{ client, title string }{
		{bench.Baseline, "baseline"},
		{bench.Ours, "cftunnel"},
		{bench.V7, "v7, `zero_trust`"},
		{v7Root, "v7, root"},
		{bench.V0, "v0"},
	}
	fmt.Fprintf(out, "\n### %s\n\n|", g.version)
	for _, c := range columns {
		fmt.Fprintf(out, " | %s", c.title)
	}
	fmt.Fprintf(out, " |\n|---|%s\n", strings.Repeat("---:|", len(columns)))
	for _, name := range g.rows {
		fmt.Fprintf(out, "| %s", name)
		for _, c := range columns {
			fmt.Fprintf(out, " | %s", g.cells[name][c.client])
		}
		fmt.Fprint(out, " |\n")
	}
}
