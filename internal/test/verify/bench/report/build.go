package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cftunnel/cftunnel-go/internal/test/verify/bench"
)

// v7Root is v7 through its root package. It is measured by its build alone: a call is that of v7.
const v7Root = "v7root"

// programs are in testdata/programs, each with one Get.
var programs = []string{bench.Floor, bench.Ours, bench.V7, v7Root, bench.V0}

// build is what one program costs.
type build struct {
	cpu, memory       []float64 // seconds, and bytes of the largest process
	size, stripped    float64
	modules, packages int
}

func measureBuilds(ctx context.Context, o options, work string) (map[string]*build, error) {
	builds := map[string]*build{}
	for round := range o.builds {
		for _, name := range programs {
			if name == v7Root && (o.quick || round > 0) {
				continue
			}
			progress("building %s, %d of %d", name, round+1, o.builds)
			if builds[name] == nil {
				builds[name] = &build{}
			}
			if err := builds[name].add(ctx, name, work); err != nil {
				return nil, err
			}
		}
	}
	return builds, nil
}

// add builds a program from nothing but the sources.
func (b *build) add(ctx context.Context, name, work string) error {
	cache := filepath.Join(work, "cache")
	defer os.RemoveAll(cache)
	binary := filepath.Join(work, name)
	environment := append(os.Environ(), "GOCACHE="+cache)

	command := exec.CommandContext(ctx, "go", "build", "-o", binary, "./testdata/programs/"+name)
	command.Env = environment
	if _, err := output(command); err != nil {
		return err
	}
	cpu, memory := usage(command)
	b.cpu, b.memory = append(b.cpu, cpu.Seconds()), append(b.memory, memory)
	if b.packages > 0 {
		return nil
	}
	var err error
	if b.size, err = sizeOf(binary); err != nil {
		return err
	}
	command = exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", binary, "./testdata/programs/"+name)
	command.Env = environment
	if _, err := output(command); err != nil {
		return err
	}
	if b.stripped, err = sizeOf(binary); err != nil {
		return err
	}
	b.modules, b.packages, err = dependencies(ctx, name)
	return err
}

// usage is that of a process and of those that it waited for: the compilers and the linker of a go command. The memory is that of the largest
// one of them.
func usage(command *exec.Cmd) (cpu time.Duration, memory float64) {
	state := command.ProcessState
	used := state.SysUsage().(*syscall.Rusage)
	return state.UserTime() + state.SystemTime(), float64(used.Maxrss) * kilobyte
}

// kilobyte is the unit of Maxrss on Linux.
const kilobyte = 1024

func sizeOf(path string) (float64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return float64(info.Size()), nil
}

// dependencies counts the modules, beside the standard library, and the packages that are built into a program.
func dependencies(ctx context.Context, name string) (modules, packages int, err error) {
	const format = `{{.ImportPath}}{{if not .Standard}}{{if not .Module.Main}} {{.Module.Path}}{{end}}{{end}}`
	out, err := output(exec.CommandContext(ctx, "go", "list", "-deps", "-f", format, "./testdata/programs/"+name))
	if err != nil {
		return 0, 0, err
	}
	seen := map[string]bool{}
	for line := range strings.Lines(out) {
		packages++
		if _, module, found := strings.Cut(strings.TrimSpace(line), " "); found {
			seen[module] = true
		}
	}
	return len(seen), packages, nil
}
