package securefile_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/securefile"
	"github.com/cftunnel/cftunnel-go/internal/test/filemode"
)

func TestWrite_ReplacesTheFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, name := range []string{"new", "old", strings.Repeat("n", 250)} {
		path := filepath.Join(folder, name)
		if name == "old" {
			require.NoError(t, os.WriteFile(path, []byte("longer than the new content"), 0o666))
		}
		require.NoError(t, securefile.Write(path, []byte("content")))
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, "content", string(content))
		filemode.AssertPrivate(t, path)
	}
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Len(t, left, 3)
}

func TestWrite_ReplacesLink(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	target, link := filepath.Join(folder, "target"), filepath.Join(folder, "link")
	require.NoError(t, os.WriteFile(target, []byte("old"), 0o600))
	err := os.Symlink(target, link)
	if runtime.GOOS == "windows" && err != nil {
		t.Skip("without developer mode, only administrators may create symbolic links on Windows")
	}
	require.NoError(t, err)
	require.NoError(t, securefile.Write(link, []byte("new")))
	content, err := os.ReadFile(target)
	require.NoError(t, err)
	assert.Equal(t, "old", string(content))
}

func TestWrite_FailureLeavesNothing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	busy := filepath.Join(folder, "busy")
	require.NoError(t, os.MkdirAll(filepath.Join(busy, "inside"), 0o755))
	require.Error(t, securefile.Write(busy, []byte("content")))
	require.Error(t, securefile.Write(filepath.Join(folder, "missing", "file"), []byte("content")))
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Len(t, left, 1)
}
