// Package sample compares the output of the example programs with examples/README.md.
package sample

import (
	"bytes"
	"context"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Check runs a program without credentials, and compares its output with the first sample in its
// section of the README. Words with digits may differ, such as IDs, times and counts.
func Check(
	t *testing.T, program string,
	start func(ctx context.Context, args []string, stdout, stderr io.Writer) int, args ...string,
) {
	t.Helper()
	t.Setenv("CLOUDFLARE_API_TOKEN", "")
	t.Setenv("CLOUDFLARE_API_KEY", "")
	var output bytes.Buffer
	require.Zero(t, start(t.Context(), args, &output, &output), "%s", &output)

	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	_, section, _ := strings.Cut(string(readme), "\n## "+program+"\n")
	_, text, found := strings.Cut(section, "```\n```\n") // between the command and the sample
	require.True(t, found, "no sample of %s", program)
	text, _, _ = strings.Cut(text, "```\n")
	text, _, shortened := strings.Cut(text, "\n…\n")
	want, got := normalize(text), normalize(output.String())
	if shortened {
		got = got[:min(len(want), len(got))]
	}
	assert.Equal(t, want, got)
}

var wordWithDigit = regexp.MustCompile(`\S*\d\S*`)

// normalize replaces words with digits, and returns the lines with single spaces. The last line is
// empty.
func normalize(text string) []string {
	lines := strings.Split(wordWithDigit.ReplaceAllString(text, "#"), "\n")
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line), " ")
	}
	return lines
}
