// Package securefile writes files with secrets.
package securefile

import (
	"errors"
	"os"
	"path/filepath"
)

// Write replaces the file at path, or makes it, with mode 0600. Readers see the old content or the new, never a part; where anything fails,
// the old file is as it was and nothing is left beside it. A symbolic link is replaced, not followed.
func Write(path string, content []byte) (err error) {
	// Made in the same folder, it can take the other's place in one step. CreateTemp's mode is 0600.
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
