//go:build unix

package securefile_test

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/securefile"
)

func TestWrite_RejectsSpecialFiles(t *testing.T) {
	t.Parallel()
	// The path of a socket can have about 100 bytes, which that of t.TempDir uses up on macOS.
	folder, err := os.MkdirTemp("", "")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(folder)) })
	at := func(name string) string { return filepath.Join(folder, name) }
	require.NoError(t, syscall.Mkfifo(at("pipe"), 0o600))
	require.NoError(t, os.Mkdir(at("folder"), 0o700))
	socket, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", at("socket"))
	require.NoError(t, err)
	defer socket.Close()
	for name, target := range map[string]string{
		"link to a pipe":   at("pipe"),
		"link to a folder": at("folder"),
		"link to a device": os.DevNull,
	} {
		require.NoError(t, os.Symlink(target, at(name)))
	}
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, files, 6)
	for _, file := range files {
		before, err := os.Lstat(at(file.Name()))
		require.NoError(t, err)
		err = securefile.Write(at(file.Name()), []byte("content"))
		require.ErrorContains(t, err, "regular file", file.Name())
		after, err := os.Lstat(at(file.Name()))
		require.NoError(t, err)
		assert.True(t, os.SameFile(before, after), file.Name())
	}
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Len(t, left, 6, "no temporary file is left")
}

func TestWrite_KeepsTheOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root may give a file to another user")
	}
	folder := t.TempDir()
	path, link := filepath.Join(folder, "file"), filepath.Join(folder, "link")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o644))
	require.NoError(t, os.Chown(path, 1234, 5678))
	require.NoError(t, os.Symlink(path, link))
	for _, name := range []string{path, link} {
		require.NoError(t, securefile.Write(name, []byte("new")))
		info, err := os.Lstat(name)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode())
		assert.Equal(t, uint32(1234), info.Sys().(*syscall.Stat_t).Uid)
		assert.Equal(t, uint32(5678), info.Sys().(*syscall.Stat_t).Gid)
	}
}
