package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/perf/benchmath"

	"github.com/cftunnel/cftunnel-go/internal/test/verify/bench"
)

// Between these the README belongs to this program.
const (
	startMark = "<!-- measured: written by ./report -->"
	endMark   = "<!-- /measured -->"
)

// readme is what stands around the place for the table.
type readme struct {
	path          string
	before, after []byte
}

func openREADME(path string) (*readme, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	before, rest, hasStart := bytes.Cut(text, []byte(startMark))
	_, after, hasEnd := bytes.Cut(rest, []byte(endMark))
	if !hasStart || !hasEnd {
		return nil, errors.New(path + " has no place for the table")
	}
	return &readme{path, before, after}, nil
}

func (f *readme) write(o options, r *results) error {
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s%s\n\nMeasured on %s on %s.", f.before, startMark, r.began.Format("2 January 2006"), strings.Join(r.machine, "; "))
	if o.quick {
		fmt.Fprint(&text, " **A short pass: the figures are rough.**")
	}
	fmt.Fprintf(&text, "\n\n%s\n![What a build costs](build.svg)\n\n![What a call takes](call.svg)\n\n%s%s", r.table(), endMark, f.after)
	return os.WriteFile(f.path, text.Bytes(), 0o644)
}

// columns of the table. v7 has two programs to build, and one way to call.
var columns = []struct{ program, title string }{
	{bench.Floor, "floor"}, {bench.Ours, "cftunnel"}, {bench.V7, "v7, `zero_trust`"}, {v7Root, "v7, root"}, {bench.V0, "v0"},
}

// table has ratios to the floor, but for counts.
func (r *results) table() string {
	var t strings.Builder
	fmt.Fprint(&t, "| |")
	for _, c := range columns {
		fmt.Fprintf(&t, " %s |", c.title)
	}
	fmt.Fprintf(&t, " goal |\n|---|%s\n", strings.Repeat("---:|", len(columns)+1))
	row := func(name, goal string, cell func(client string) string) {
		fmt.Fprintf(&t, "| %s |", name)
		for _, c := range columns {
			fmt.Fprintf(&t, " %s |", cell(c.program))
		}
		fmt.Fprintf(&t, " %s |\n", goal)
	}
	section := func(name string) {
		fmt.Fprintf(&t, "| **%s** |%s\n", name, strings.Repeat(" |", len(columns)+1))
	}

	section("A program with one Get")
	row("CPU time of a cold build", "1.15", r.built(func(b *build) float64 { return median(b.cpu) }))
	row("memory of the largest compiler", "", r.built(func(b *build) float64 { return median(b.memory) }))
	row("binary", "", r.built(func(b *build) float64 { return b.size }))
	row("binary, stripped", "1.06", r.built(func(b *build) float64 { return b.stripped }))
	row("modules beside the standard library (count)", "", r.counted(func(b *build) int { return b.modules }))
	row("packages (count)", "", r.counted(func(b *build) int { return b.packages }))

	section("One call")
	for _, c := range []struct{ name, benchmark string }{{"Get", "Call/Get"}, {"Create", "Call/Create"}, {"error 404", "Call/NotFound"}} {
		row(c.name+": time", "1.05", r.compared(c.benchmark, "sec/op"))
		row(c.name+": allocations", "1.20", r.compared(c.benchmark, "allocs/op"))
		row(c.name+": bytes", "", r.compared(c.benchmark, "B/op"))
	}
	section("A list")
	for _, c := range []struct{ name, benchmark string }{{"1,000 tunnels", "List/Tunnels"}, {"50 connectors", "List/Connectors"}} {
		row(c.name+": time", "0.35", r.compared(c.benchmark, "sec/op"))
		row(c.name+": allocations", "", r.compared(c.benchmark, "allocs/op"))
		row(c.name+": bytes", "", r.compared(c.benchmark, "B/op"))
		row(c.name+": peak memory", "", r.compared(c.benchmark, peakMemory))
	}
	section("100,000 tunnels")
	row("requests (count)", "100", r.number("All/100000", "requests/op"))
	row("time", "", r.compared("All/100000", "sec/op"))
	row("peak memory", "", r.compared("All/100000", peakMemory))
	row("peak memory, beside that for 10,000", "1", r.growth)

	section("64 goroutines share a client")
	row("calls a second, each on its own connections", "1", r.compared("Shared/own", "calls/s"))
	row("connections opened (count)", "64", r.number("Shared/own", "connections"))
	row("calls a second, all on one pool of 64", "1", r.compared("Shared/pool", "calls/s"))
	row("goroutines' time in waiting for locks (%)", "", r.percent("Shared/pool", "waiting-%"))
	row("of that, for the client's own (%)", "0", r.percent("Shared/pool", "own-%"))

	section("5,000 calls under a quota of 1,200 in 5 minutes")
	row("time (minutes)", "", r.quotaTime)
	row("requests refused (count)", "0", r.quotaCount("refused"))
	row("calls failed (count)", "0", r.quotaCount("failed"))
	return t.String()
}

func (r *results) built(figure func(*build) float64) func(string) string {
	return func(program string) string {
		if b := r.builds[program]; b != nil {
			return ratio(figure(b), figure(r.builds[bench.Floor]))
		}
		return "–"
	}
}

func (r *results) counted(figure func(*build) int) func(string) string {
	return func(program string) string {
		if b := r.builds[program]; b != nil {
			return strconv.Itoa(figure(b))
		}
		return "–"
	}
}

// compared is the ratio of medians, with a sign where the difference may be chance.
func (r *results) compared(benchmark, unit string) func(string) string {
	return func(client string) string {
		values, floor := r.values[key{benchmark, client, unit}], r.values[key{benchmark, bench.Floor, unit}]
		if len(values) == 0 {
			return ""
		}
		text := ratio(median(values), median(floor))
		if client != bench.Floor && len(values) > 1 && benchmath.AssumeNothing.Compare(sample(values), sample(floor)).P > 0.05 {
			return "≈ " + text
		}
		return text
	}
}

func (r *results) number(benchmark, unit string) func(string) string {
	return func(client string) string {
		values := r.values[key{benchmark, client, unit}]
		if len(values) == 0 {
			return ""
		}
		return fmt.Sprintf("%.0f", median(values))
	}
}

// growth is how much more memory a list of ten times the length needs.
func (r *results) growth(client string) string {
	values := r.values[key{"All/100000", client, peakMemory}]
	if len(values) == 0 {
		return ""
	}
	return ratio(median(values), median(r.values[key{"All/10000", client, peakMemory}]))
}

func (r *results) percent(benchmark, unit string) func(string) string {
	return func(client string) string {
		values := r.values[key{benchmark, client, unit}]
		if len(values) == 0 {
			return ""
		}
		return fmt.Sprintf("%.2f", median(values))
	}
}

func (r *results) quotaTime(client string) string {
	seconds, err := strconv.Atoi(r.quota[client]["seconds"])
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%.1f", (time.Duration(seconds) * time.Second).Minutes())
}

func (r *results) quotaCount(name string) func(string) string {
	return func(client string) string { return r.quota[client][name] }
}

// ratio has three digits at most, and as many of them as tell something.
func ratio(value, floor float64) string {
	if floor == 0 {
		return "–"
	}
	switch ratio := value / floor; {
	case value == floor:
		return "1"
	case ratio < 10:
		return fmt.Sprintf("%.2f", ratio)
	default:
		return fmt.Sprintf("%.1f", ratio)
	}
}
