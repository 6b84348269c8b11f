package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
)

// machine names what it was measured on and with.
func machine(ctx context.Context) ([]string, error) {
	out, err := output(exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Path}} {{.Version}}",
		"github.com/cloudflare/cloudflare-go/v7", "github.com/cloudflare/cloudflare-go"))
	if err != nil {
		return nil, err
	}
	clients := strings.Split(strings.TrimSpace(out), "\n")
	return append([]string{
		fmt.Sprintf("%s, %d cores, %s/%s", processor(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH),
		runtime.Version(),
	}, clients...), nil
}

func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	if model := regexp.MustCompile(`(?m)^model name\s*:\s*(.*)$`).FindSubmatch(info); model != nil {
		return string(model[1])
	}
	return "a processor of unknown name"
}
