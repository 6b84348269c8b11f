// Package filemode checks the modes of files that contain secrets.
package filemode

import (
	"io/fs"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
)

// AssertPrivate checks that only the owner of a file may read and write it. On Windows it checks
// only that there is a file, because Go has no modes of files there.
func AssertPrivate(t testing.TB, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if assert.NoError(t, err) && runtime.GOOS != "windows" {
		assert.Equal(t, fs.FileMode(0o600), info.Mode(), path)
	}
}
