//go:build unix

package securefile

import (
	"io/fs"
	"os"
	"syscall"
)

// setOwner gives a file the owner and the group of another one.
func setOwner(file *os.File, other fs.FileInfo) error {
	own, err := file.Stat()
	if err != nil {
		return err
	}
	is, isKnown := own.Sys().(*syscall.Stat_t)
	want, wantKnown := other.Sys().(*syscall.Stat_t)
	if !isKnown || !wantKnown || is.Uid == want.Uid && is.Gid == want.Gid {
		return nil
	}
	err = file.Chown(int(want.Uid), int(want.Gid))
	if is.Uid == want.Uid {
		return nil // only the group differs
	}
	return err
}
