package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// maxFindings bounds what is kept of a soak in which everything is wrong.
const maxFindings = 1000

// tally counts what happens, and keeps what must not.
type tally struct {
	mu         sync.Mutex
	operations map[string]*count
	faults     map[string]int
	attempts   int
	retries    int
	late       int // writes that were carried out after they had been given up, and repeated
	findings   []string
	found      int // findings, those that were not kept too
}

// count is of one method of the client.
type count struct {
	calls, failed int
	unknown, done int // outcomes that were not known, and those of them that turned out to be carried out
}

func newTally() *tally { return &tally{operations: map[string]*count{}, faults: map[string]int{}} }

// of returns the count of a method. The caller holds t.mu.
func (t *tally) of(name string) *count {
	c := t.operations[name]
	if c == nil {
		c = &count{}
		t.operations[name] = c
	}
	return c
}

func (t *tally) call(name string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.of(name)
	c.calls++
	if err != nil {
		c.failed++
	}
	if errors.Is(err, cftunnel.ErrOutcomeUnknown) {
		c.unknown++
	}
}

func (t *tally) wasDone(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of(name).done++
}

func (t *tally) cameLate() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.late++
}

func (t *tally) fault(name string, times int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults[name] += times
}

func (t *tally) find(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.found++; t.found <= maxFindings {
		t.findings = append(t.findings, fmt.Sprintf(format, args...))
	}
}

// sum adds the counts of all methods up. The caller holds t.mu.
func (t *tally) sum() (sum count) {
	for _, c := range t.operations {
		sum.calls, sum.failed = sum.calls+c.calls, sum.failed+c.failed
		sum.unknown, sum.done = sum.unknown+c.unknown, sum.done+c.done
	}
	return sum
}

// progress is everything so far in one line.
func (t *tally) progress() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	sum := t.sum()
	kinds := map[string]int{} // with the work done or not
	for name, n := range t.faults {
		kinds[strings.TrimSuffix(name, withWork)] += n
	}
	faults := make([]string, 0, len(kinds))
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		faults = append(faults, fmt.Sprintf("%s %d", name, kinds[name]))
	}
	return fmt.Sprintf("calls %d, failed %d, attempts %d, retries %d, unknown outcomes %d (%d were done), disagreements %d; faults: %s",
		sum.calls, sum.failed, t.attempts, t.retries, sum.unknown, sum.done, t.found, strings.Join(faults, ", "))
}

// summary writes the tables of the end, and every finding.
func (t *tally) summary(out io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name string, c count) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t\n", name, c.calls, c.failed, c.unknown, c.done)
	}
	fmt.Fprintln(w, "method\tcalls\tfailed\tunknown\twere done\t")
	for _, name := range slices.Sorted(maps.Keys(t.operations)) {
		row(name, *t.operations[name])
	}
	row("all", t.sum())
	fmt.Fprintln(w, "\t\t\t\t\t\nfault\tinjected\t\t\t\t")
	all := 0
	for _, name := range slices.Sorted(maps.Keys(t.faults)) {
		fmt.Fprintf(w, "%s\t%d\t\t\t\t\n", name, t.faults[name])
		all += t.faults[name]
	}
	fmt.Fprintf(w, "all\t%d\t\t\t\t\n", all)
	_ = w.Flush()
	fmt.Fprintf(out, "\n%d attempts, %d of them retries; %d writes came late, after another look\n", t.attempts, t.retries, t.late)
	for _, finding := range t.findings {
		fmt.Fprintln(out, "DISAGREEMENT:", finding)
	}
	if more := t.found - len(t.findings); more > 0 {
		fmt.Fprintf(out, "DISAGREEMENT: and %d more\n", more)
	}
}

// attemptCounter counts what the client logs, which is one record an attempt.
type attemptCounter struct{ tally *tally }

func (a attemptCounter) Enabled(context.Context, slog.Level) bool { return true }
func (a attemptCounter) WithAttrs([]slog.Attr) slog.Handler       { return a }
func (a attemptCounter) WithGroup(string) slog.Handler            { return a }

func (a attemptCounter) Handle(_ context.Context, record slog.Record) error {
	a.tally.mu.Lock()
	defer a.tally.mu.Unlock()
	a.tally.attempts++
	record.Attrs(func(attr slog.Attr) bool {
		if attr.Key == "attempt" && attr.Value.Int64() > 1 {
			a.tally.retries++
		}
		return attr.Key != "attempt"
	})
	return nil
}
