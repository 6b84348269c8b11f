//go:build unix

package securefile

import (
	"io/fs"
	"os"
	"syscall"
)

// setOwner sets the owner and the group of a file to those of another file.
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
		return nil // only the group differs, which is no reason to fail
	}
	return err
}
