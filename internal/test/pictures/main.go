// Pictures draws docs/images from facts of the code. Run it in the root of the repository, with go
// generate.
//
// The terminal shows session.txt, which is what two examples printed. IDs, times and durations
// differ in each run, so the recording is replaced only if something else differs.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

func main() {
	check := flag.Bool("check", false, "write nothing, and fail if a file is stale")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		os.Exit(1)
	}
}

// run writes the stale files, or returns an error if check is set and a file is stale.
func run(check bool) error {
	recorded, err := os.ReadFile(sessionFile)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	session, err := record()
	if err != nil {
		return err
	}
	if substitute(session) == substitute(string(recorded)) {
		session = string(recorded)
	}
	files, err := draw(".", session)
	if err != nil {
		return err
	}
	files[sessionFile] = []byte(session)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		old, err := os.ReadFile(name)
		switch {
		case err == nil && bytes.Equal(old, files[name]):
			continue
		case check:
			return fmt.Errorf("%s is stale: run go generate", name)
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, files[name], 0o644); err != nil {
			return err
		}
	}
	return nil
}

// draw returns the pictures by their paths in the repository.
func draw(root, session string) (map[string][]byte, error) {
	call, err := drawCall(root)
	if err != nil {
		return nil, fmt.Errorf("the path of a call: %w", err)
	}
	objects, err := drawObjects()
	if err != nil {
		return nil, fmt.Errorf("the objects: %w", err)
	}
	files := map[string][]byte{}
	for name, p := range map[string]*picture{
		"call": call, "objects": objects, "terminal": drawTerminal(session),
	} {
		if p.err != nil {
			return nil, fmt.Errorf("%s: %w", name, p.err)
		}
		files["docs/images/"+name+".svg"] = p.svg()
	}
	return files, nil
}
