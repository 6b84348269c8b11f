// Package securefile writes files with secrets.
package securefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Write creates the file at path, or replaces it, with mode 0600. Readers see the old content or
// the new, never a part of it. If anything fails, the old file is unchanged and nothing else is
// left.
//
// The new file has the owner of the old one. If the process may not set it, Write fails. The group
// is kept if the process may set it; it has no access in any case. A symbolic link is replaced, not
// followed. Anything else that is not a regular file is refused.
func Write(path string, content []byte) (err error) {
	old, err := existing(path)
	if err != nil {
		return err
	}
	// In the same folder, it can replace the file in one step. CreateTemp uses mode 0600.
	temporary, err := os.CreateTemp(filepath.Dir(path), ".cftunnel-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temporary.Name()))
		}
	}()
	_, err = temporary.Write(content)
	if err == nil && old != nil {
		err = setOwner(temporary, old)
	}
	if err == nil {
		err = temporary.Sync()
	}
	if closeErr := temporary.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}

// existing returns the file to replace, or nil if there is none. The file behind a symbolic link
// counts: a link to a device is refused like the device, and the file gets the owner of the one
// that was read through the link.
func existing(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "replace", Path: path, Err: errNotRegular}
	}
	return info, nil
}

var errNotRegular = errors.New("not a regular file")
