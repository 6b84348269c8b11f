package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/cftunnel/cftunnel-go/internal/test/verify/openapi"
	"github.com/cftunnel/cftunnel-go/internal/test/wirelog"
)

// report collects the results of all exchanges.
type report struct {
	document openapi.Document
	checker  *checker
	original *checker // checks against the schema without the differences

	exchanges, ours int
	items           []item
	uses            map[item]int
	problems        map[problem]int
	// samples has one exchange for each set of problems that original finds.
	samples map[string]*wirelog.Exchange
}

func newReport(ctx context.Context, d openapi.Document) (*report, error) {
	r := &report{
		document: d, uses: map[item]int{}, problems: map[problem]int{},
		samples: map[string]*wirelog.Exchange{},
	}
	var err error
	if r.original, err = newChecker(ctx, d); err != nil {
		return nil, err
	}
	if r.checker, err = newChecker(ctx, amended(d, -1)); err != nil {
		return nil, fmt.Errorf("with the differences applied: %w", err)
	}
	r.items = r.checker.items()
	return r, nil
}

func (r *report) add(ctx context.Context, e *wirelog.Exchange) {
	r.exchanges++
	if isOurs(e) {
		r.ours++
	}
	checked := r.checker.check(ctx, e)
	for _, i := range checked.uses {
		r.uses[i]++
	}
	for _, p := range checked.problems {
		r.problems[p]++
	}
	if problems := r.original.check(ctx, e).problems; len(problems) > 0 {
		r.samples[fmt.Sprint(problems)] = e
	}
}

// firstFit returns the index of the first exception that matches an item, or -1.
func firstFit(i item) int {
	return slices.IndexFunc(unused, func(e exception) bool { return e.fits(i.String()) })
}

// findings returns the problems, the parts of the schema that are not used, and the exceptions and
// differences that are not needed.
func (r *report) findings(ctx context.Context) ([]string, error) {
	var list []string
	for p, n := range r.problems {
		list = append(list, fmt.Sprintf("%s (%d times)", p, n))
	}
	slices.Sort(list)
	excepted := map[exception]bool{}
	for _, i := range r.items {
		switch n := firstFit(i); {
		case n < 0 && r.uses[i] == 0:
			list = append(list, "not used: "+i.String())
		case n >= 0 && r.uses[i] > 0:
			list = append(list, fmt.Sprintf("used, but there is an exception: %s (%s)",
				i, unused[n].pattern))
		case n >= 0:
			excepted[unused[n]] = true
		}
	}
	for _, e := range unused {
		if !excepted[e] {
			list = append(list, "exception is not needed: "+e.pattern)
		}
	}
	for i, d := range differences {
		needed, err := r.needs(ctx, i)
		if err != nil {
			return nil, fmt.Errorf("without the difference %s: %w", d.place, err)
		}
		if !needed {
			list = append(list, "difference is not needed: "+d.place+", "+d.facts)
		}
	}
	return list, nil
}

// needs reports whether the i-th difference is needed: an exchange has a problem without it, and
// none with it.
func (r *report) needs(ctx context.Context, i int) (bool, error) {
	without, err := newChecker(ctx, amended(r.document, i))
	if err != nil {
		return false, err
	}
	for _, e := range r.samples {
		for _, p := range without.check(ctx, e).problems {
			if r.problems[p] == 0 {
				return true, nil
			}
		}
	}
	return false, nil
}

func (r *report) print(w io.Writer, verbose bool) {
	fmt.Fprintf(w, "%d exchanges, %d of them sent by this client.\n\n", r.exchanges, r.ours)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "operation\t200\t4XX\tparts used")
	for _, route := range r.checker.routes {
		operation, all, used := nameOf(route), 0, 0
		for _, i := range r.items {
			if i.operation == operation {
				all++
				used += min(1, r.uses[i])
			}
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d of %d\n", operation,
			r.uses[item{operation, "200", ""}], r.uses[item{operation, "4XX", ""}], used, all)
	}
	_ = table.Flush()
	if !verbose {
		return
	}
	fmt.Fprintln(w)
	for _, i := range r.items {
		fmt.Fprintf(w, "%8d  %s\n", r.uses[i], i)
	}
	fmt.Fprint(w, "\nDifferences between the API and the schema:\n")
	for _, d := range differences {
		fmt.Fprintf(w, "- %s. Schema: %s. API: %s. Reason: %s.\n",
			d.place, d.schema, d.facts, d.reason)
	}
	fmt.Fprint(w, "\nExceptions, for parts of the schema that are not used:\n")
	for _, e := range unused {
		fmt.Fprintf(w, "- %s: %s.\n", e.pattern, e.reason)
	}
}
