package cftunnel_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// linked returns the modules that a program for Linux on amd64 links if it imports pkg. On other
// systems, jx needs fewer.
func linked(t *testing.T, pkg string) []string {
	t.Helper()
	const format = "{{with .Module}}{{.Path}}{{end}}"
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", format, pkg)
	list.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64")
	var stderr strings.Builder
	list.Stderr = &stderr
	out, err := list.Output()
	require.NoError(t, err, stderr.String())
	modules := slices.Compact(slices.Sorted(strings.FieldsSeq(string(out))))
	const own = "github.com/cftunnel/cftunnel-go"
	return slices.DeleteFunc(modules, func(module string) bool { return module == own })
}

// Every importer must build these modules, so the list must stay short.
func TestModules_LinkedByImporter(t *testing.T) {
	t.Parallel()
	root := []string{
		"github.com/go-faster/errors", // needed by jx
		"github.com/go-faster/jx",
		"github.com/google/go-querystring",
		"github.com/segmentio/asm", // needed by jx
		"golang.org/x/sys",         // needed by jx
		"golang.org/x/time",
	}
	assert.Equal(t, root, linked(t, "."))
	logs := slices.Sorted(slices.Values(append(root, "github.com/coder/websocket")))
	assert.Equal(t, logs, linked(t, "./tunnellogs"))
	assert.Equal(t, logs, linked(t, "./tunneltest"))
}
