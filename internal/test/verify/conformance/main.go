// Conformance checks this client and its fake against the API's published schema. It calls every
// method of the client against the fake (scenario.go) and checks each request and each response.
//
//	go -C internal/test/verify run ./conformance
//
// The known behavior of the API takes precedence if the schema differs from it (differences.go).
// Every part of the schema must be used, or be an exception with a reason (exceptions.go).
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/cftunnel/cftunnel-go/internal/test/verify/openapi"
)

func main() {
	verbose := flag.Bool("v", false,
		"also print each part of the schema, the differences and the exceptions")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	findings, err := run(ctx, os.Stdout, *verbose)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(2)
	}
	if len(findings) > 0 {
		fmt.Printf("\n%d problems:\n- %s\n", len(findings), strings.Join(findings, "\n- "))
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, verbose bool) (findings []string, err error) {
	d, err := openapi.Load(openapi.Covered...)
	if err != nil {
		return nil, err
	}
	r, err := newReport(ctx, d)
	if err != nil {
		return nil, err
	}
	exchanges, err := runScenarios(ctx, r.checker.operations())
	if err != nil {
		return nil, err
	}
	for _, e := range exchanges {
		r.add(ctx, e)
	}
	r.print(w, verbose)
	return r.findings(ctx)
}
