package cftunnel_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// linked returns the modules that a program which imports a package links.
func linked(t *testing.T, pkg string) []string {
	t.Helper()
	list := exec.CommandContext(
		t.Context(),
		"go",
		"list",
		"-deps",
		"-f",
		"{{with .Module}}{{.Path}}{{end}}",
		pkg,
	)
	var stderr strings.Builder
	list.Stderr = &stderr
	out, err := list.Output()
	require.NoError(t, err, stderr.String())
	modules := slices.Compact(slices.Sorted(strings.FieldsSeq(string(out))))
	return slices.DeleteFunc(
		modules,
		func(m string) bool { return m == "github.com/cftunnel/cftunnel-go" },
	)
}

// Every importer of the client builds these modules.
func TestModules_LinkedByImporter(t *testing.T) {
	t.Parallel()
	root := []string{
		"github.com/go-faster/errors", // of jx
		"github.com/go-faster/jx",
		"github.com/google/go-querystring",
		"github.com/segmentio/asm", // of jx
		"golang.org/x/sys",         // of jx
		"golang.org/x/time",
	}
	assert.Equal(t, root, linked(t, "."))
	logs := slices.Sorted(slices.Values(append(root, "github.com/coder/websocket")))
	assert.Equal(t, logs, linked(t, "./tunnellogs"))
	assert.Equal(t, logs, linked(t, "./tunneltest"))
}
