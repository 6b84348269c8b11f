package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/cftunnel/cftunnel-go/internal/test/wirelog"
)

// report is what a run comes to.
type report struct {
	document document
	judge    *judge // by the schema as the facts have it
	bare     *judge // by the schema as it is

	exchanges, ours, answers int
	all                      []item // that the schema has
	exercised                map[item]int
	findings                 map[finding]*example
	excused                  map[exception]int
	// samples has one exchange for each set of findings that the schema as it is leads to.
	samples map[string]*wirelog.Exchange
}

// example is how often something is wrong, and where first.
type example struct {
	times int
	first string
}

func newReport(ctx context.Context, d document) (*report, error) {
	r := &report{
		document: d, exercised: map[item]int{}, findings: map[finding]*example{}, excused: map[exception]int{},
		samples: map[string]*wirelog.Exchange{},
	}
	var err error
	if r.bare, err = newJudge(ctx, d); err != nil {
		return nil, err
	}
	if r.judge, err = newJudge(ctx, d.amended(differences, -1)); err != nil {
		return nil, fmt.Errorf("with the differences applied: %w", err)
	}
	r.all = r.judge.universe()
	return r, nil
}

// read judges what was written to a directory.
func (r *report) read(ctx context.Context, dir string) error {
	for e, err := range wirelog.Read(dir) {
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return err
		}
		r.add(ctx, e)
	}
	return nil
}

func (r *report) add(ctx context.Context, e *wirelog.Exchange) {
	r.exchanges++
	if isOurs(e) {
		r.ours++
	}
	if e.Answer != nil {
		r.answers++
	}
	v := r.judge.exchange(ctx, e)
	for _, i := range v.has {
		r.exercised[i]++
	}
	for _, f := range v.findings {
		if i := firstFit(deliberate, f); i >= 0 {
			r.excused[deliberate[i]]++
			continue
		}
		if r.findings[f] == nil {
			r.findings[f] = &example{first: e.Method + " " + e.Path}
		}
		r.findings[f].times++
	}
	if bare := r.bare.exchange(ctx, e).findings; len(bare) > 0 {
		r.samples[fmt.Sprint(bare)] = e
	}
}

// firstFit returns the first exception that something is, or -1.
func firstFit(list []exception, something fmt.Stringer) int {
	text := something.String()
	return slices.IndexFunc(list, func(e exception) bool { return e.fits(text) })
}

// wrong is what the client and the fake must not do.
func (r *report) wrong() []string {
	var list []string
	for f, e := range r.findings {
		list = append(list, fmt.Sprintf("%s (%d times, first in %s)", f, e.times, e.first))
	}
	slices.Sort(list)
	return list
}

// incomplete is what was never exercised without a reason, and the entries of lists that have none.
func (r *report) incomplete(ctx context.Context) ([]string, error) {
	var list []string
	for _, i := range r.all {
		if r.exercised[i] == 0 && firstFit(unexercised, i) < 0 {
			list = append(list, "never exercised: "+i.String())
		}
	}
	for _, e := range unexercised {
		never := 0
		for _, i := range r.all {
			switch {
			case !e.fits(i.String()):
			case r.exercised[i] > 0:
				list = append(list, fmt.Sprintf("exercised after all: %s (%s)", i, e.pattern))
			default:
				never++
			}
		}
		if never == 0 {
			list = append(list, "the schema has nothing of this kind: "+e.pattern)
		}
	}
	for _, e := range deliberate {
		if r.excused[e] == 0 {
			list = append(list, "no test does it: "+e.pattern)
		}
	}
	for i, d := range differences {
		needed, err := r.needs(ctx, i)
		if err != nil {
			return nil, fmt.Errorf("without the difference %s: %w", d.where, err)
		}
		if !needed {
			list = append(list, "nothing needs the difference: "+d.where+", "+d.facts)
		}
	}
	return list, nil
}

// needs reports whether something is wrong without the i-th difference that is right with it.
func (r *report) needs(ctx context.Context, i int) (bool, error) {
	without, err := newJudge(ctx, r.document.amended(differences, i))
	if err != nil {
		return false, err
	}
	for _, e := range r.samples {
		for _, f := range without.exchange(ctx, e).findings {
			if r.findings[f] == nil && firstFit(deliberate, f) < 0 {
				return true, nil
			}
		}
	}
	return false, nil
}

func (r *report) print(w io.Writer, everything bool) {
	fmt.Fprintf(w, "%d exchanges: %d requests of the client, %d of others, %d answers of the fake.\n\n", r.exchanges, r.ours, r.exchanges-r.ours, r.answers)
	r.printOperations(w)
	if everything {
		fmt.Fprintln(w)
		for _, i := range r.all {
			fmt.Fprintf(w, "%8d  %s\n", r.exercised[i], i)
		}
	}
	fmt.Fprintf(w, "\nWhere the facts about the API win over the schema:\n")
	for _, d := range differences {
		fmt.Fprintf(w, "- %s. Schema: %s. Facts: %s. Reason: %s.\n", d.where, d.schema, d.facts, d.reason)
	}
	fmt.Fprintf(w, "\nAgainst the schema, since a test asked for it:\n")
	for _, e := range deliberate {
		fmt.Fprintf(w, "- %s, %d times: %s.\n", e.pattern, r.excused[e], e.reason)
	}
	never, done := map[int]int{}, 0
	for _, i := range r.all {
		if r.exercised[i] > 0 {
			done++
		} else {
			never[firstFit(unexercised, i)]++
		}
	}
	fmt.Fprintf(w, "\nOf %d requests, parameters, properties and statuses of the schema, %d were exercised. Others never, for a reason:\n", len(r.all), done)
	for n, e := range unexercised {
		fmt.Fprintf(w, "- %s, %d: %s.\n", e.pattern, never[n], e.reason)
	}
}

// printOperations prints a line for each operation: how often it was done and refused, and how much of it is exercised.
func (r *report) printOperations(w io.Writer) {
	type column struct{ operation, title string }
	titles := map[string]string{partPath: "parameters", partQuery: "parameters", partBody: "properties sent", "200": "of 200", "4XX": "of 4XX"}
	all, done := map[column]int{}, map[column]int{}
	for _, i := range r.all {
		if i.name == "" {
			continue
		}
		c := column{i.operation, titles[i.part]}
		all[c]++
		if r.exercised[i] > 0 {
			done[c]++
		}
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	columns := []string{"parameters", "properties sent", "of 200", "of 4XX"}
	fmt.Fprintln(table, "operation\tdone\trefused\t"+strings.Join(columns, "\t"))
	for _, route := range r.judge.routes {
		operation := nameOf(route)
		fmt.Fprintf(table, "%s\t%d\t%d", operation, r.exercised[item{operation, "200", ""}], r.exercised[item{operation, "4XX", ""}])
		for _, title := range columns {
			c := column{operation, title}
			cell := "–"
			if all[c] > 0 {
				cell = fmt.Sprintf("%d/%d", done[c], all[c])
			}
			fmt.Fprintf(table, "\t%s", cell)
		}
		fmt.Fprintln(table)
	}
	_ = table.Flush()
}
