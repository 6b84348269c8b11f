package securefile_test

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/cftunnel/cftunnel-go/internal/securefile"
)

const stranger = 65534 // the ID of a user without privileges

// asStranger runs work as a user without privileges. Only one thread changes its user, and that
// thread ends with the goroutine that is locked to it.
func asStranger(work func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		syscall.RawSyscall(syscall.SYS_SETFSGID, stranger, 0, 0)
		syscall.RawSyscall(syscall.SYS_SETFSUID, stranger, 0, 0)
		work()
	}()
	<-done
}

func TestWrite_FailsIfItCannotKeepTheOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root may become another user")
	}
	// Other users have no access to the parent of t.TempDir.
	folder, err := os.MkdirTemp("/tmp", "securefile-*")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(folder)) })
	require.NoError(t, os.Chmod(folder, 0o777))
	path := filepath.Join(folder, "file")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o644)) // of root

	var refused error
	asStranger(func() { refused = securefile.Write(path, []byte("new")) })
	require.ErrorIs(t, refused, os.ErrPermission)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "old", string(content))
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Len(t, left, 1, "no temporary file is left")

	// A group that cannot be kept is not an error.
	require.NoError(t, os.Chown(path, stranger, 0))
	asStranger(func() { refused = securefile.Write(path, []byte("new")) })
	require.NoError(t, refused)
	content, err = os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "new", string(content))
}
