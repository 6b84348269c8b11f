package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPictures checks that the committed pictures are those of the current code.
func TestPictures(t *testing.T) {
	t.Parallel()
	const root = "../../.."
	session, err := os.ReadFile(filepath.Join(root, sessionFile))
	require.NoError(t, err)
	files, err := draw(root, string(session))
	require.NoError(t, err)
	for path, want := range files {
		got, err := os.ReadFile(filepath.Join(root, path))
		require.NoError(t, err)
		assert.True(t, string(want) == string(got), "%s is stale: run go generate", path)
		assert.Less(t, len(got), 20_000, path)
	}
}
