// Package securefile writes files that contain secrets.
package securefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Write creates or replaces the file at path, with mode 0600. Readers see either the old or the new
// content, never a part of it. If Write fails, the old file is unchanged and no temporary file is
// left.
//
// The new file has the owner of the old one. If the process may not set the owner, Write fails. The
// group is kept if the process may set it; the group has no access in any case. A symbolic link is
// replaced, not followed. Write returns an error if path is anything else than a regular file.
//
// On Windows, the file has the permissions of its folder.
func Write(path string, content []byte) (err error) {
	old, err := existing(path)
	if err != nil {
		return err
	}
	// A file in the same folder can replace the old one atomically. CreateTemp uses mode 0600.
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

// existing returns the file to replace, or nil if there is none. It follows a symbolic link: a link
// to a device is refused like the device, and the new file gets the owner of the link's target.
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
