// Conformance holds the client and its fake against the API's published schema. It runs the whole test suite of the module, has every
// exchange written down (internal/traffic), plays what the tests leave out (scenarios.go), and judges each request that the client sent and
// each answer that the fake gave, failures included.
//
//	CFTUNNEL_OPENAPI=tunnels.json go run .
//
// The file may be Cloudflare's whole schema: only the paths about tunnels are read. Where the schema and what is known of the API differ, the
// latter wins, and the difference stands in differences.go. The report tells what of the schema was exercised, and what never, which
// exceptions.go gives reasons for.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/test/wirelog"
)

// schemaVariable names the file of the schema.
const schemaVariable = "CFTUNNEL_OPENAPI"

const usage = `Usage: go run . [-v] [DIRECTORY ...]

Runs the module's tests, and judges what the client sent and the fake answered by the OpenAPI schema that ` + schemaVariable + ` names. Run it
in its own folder.

With directories it runs nothing, and judges what is in them: what any program, examples/simulator for one, exchanged with the fake while
` + wirelog.Variable + ` named the directory. How much of the schema that exercises does not matter then.

Exits with 0 where everything is as it should be, with 1 where something is not or cannot be told, and with 2 where it is called wrongly.

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, out, progress io.Writer) int {
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.SetOutput(progress)
	everything := flags.Bool("v", false, "print how often each parameter, property and status was exercised")
	flags.Usage = func() {
		fmt.Fprint(progress, usage)
		flags.PrintDefaults()
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	schema := os.Getenv(schemaVariable)
	if schema == "" {
		fmt.Fprintf(progress, "%s is not set: it names the file of the API's schema.\n", schemaVariable)
		return 2
	}
	problems, err := check(ctx, schema, flags.Args(), *everything, out, progress)
	if err != nil {
		fmt.Fprintln(progress, err)
		return 1
	}
	if len(problems) > 0 {
		fmt.Fprintf(out, "\nNot as it should be, %d:\n- %s\n", len(problems), strings.Join(problems, "\n- "))
		return 1
	}
	fmt.Fprintln(out, "\nEverything is as it should be.")
	return 0
}

// check judges the traffic of directories, or where there are none that of the tests and of the scenarios.
func check(ctx context.Context, schema string, dirs []string, everything bool, out, progress io.Writer) (problems []string, err error) {
	d, err := readDocument(schema)
	if err != nil {
		return nil, err
	}
	r, err := newReport(ctx, d)
	if err != nil {
		return nil, err
	}
	whole := len(dirs) == 0
	if whole {
		dir, err := os.MkdirTemp("", "conformance-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		if err := makeTraffic(ctx, dir, schema, progress); err != nil {
			return nil, err
		}
		dirs = []string{dir}
	}
	began := time.Now()
	for _, dir := range dirs {
		if err := r.read(ctx, dir); err != nil {
			return nil, err
		}
	}
	if r.exchanges == 0 {
		return nil, errors.New("no traffic was written to the directories")
	}
	problems = r.wrong()
	if whole {
		more, err := r.incomplete(ctx)
		if err != nil {
			return nil, err
		}
		problems = append(problems, more...)
	}
	fmt.Fprintf(progress, "judged in %s\n", time.Since(began).Round(time.Millisecond))
	r.print(out, everything)
	return problems, nil
}

const (
	module    = "github.com/cftunnel/cftunnel-go"
	maxOutput = 16 << 10 // of tests that fail
)

// makeTraffic runs the tests of the module, where go.mod finds it, and the scenarios.
func makeTraffic(ctx context.Context, dir, schema string, progress io.Writer) error {
	if err := os.Setenv(wirelog.Variable, dir); err != nil {
		return err
	}
	schema, err := filepath.Abs(schema)
	if err != nil {
		return err
	}
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return fmt.Errorf("where %s is: %w", module, err)
	}
	tests := exec.CommandContext(ctx, "go", "test", "-count=1", "./...")
	tests.WaitDelay = 10 * time.Second // after an interrupt, for test programs that go on
	tests.Dir = strings.TrimSpace(string(root))
	tests.Env = append(os.Environ(), schemaVariable+"="+schema)
	fmt.Fprintln(progress, "running the tests of", module)
	began := time.Now()
	if output, err := tests.CombinedOutput(); err != nil {
		return fmt.Errorf("the tests fail: %w\n%s", err, output[:min(len(output), maxOutput)])
	}
	fmt.Fprintf(progress, "they pass, in %s\n", time.Since(began).Round(time.Millisecond))
	if err := scenarios(ctx); err != nil {
		return fmt.Errorf("scenarios: %w", err)
	}
	return nil
}
