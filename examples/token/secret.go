package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// writeSecret writes a secret to a file of mode 0600 or, if path is empty, to stdout.
func writeSecret(secret cftunnel.Secret, path string, stdout io.Writer) error {
	if path == "" {
		_, err := fmt.Fprintln(stdout, secret.Reveal())
		return err
	}
	return secret.WriteFile(path)
}

// checkWritable returns an error if a secret could not be written to path.
func checkWritable(path string) error {
	if path == "" {
		return nil
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	probe, err := os.CreateTemp(filepath.Dir(path), ".token-*")
	if err != nil {
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}
