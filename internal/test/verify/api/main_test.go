package main

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"slices"
	"testing"
)

func api(t *testing.T, source string) []string {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "p.go", "package p\n"+source, 0)
	if err != nil {
		t.Fatal(err)
	}
	p, err := (&types.Config{Importer: importer.Default()}).Check("p", files, []*ast.File{file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return lines(p)
}

const before = "type T struct{ A int; b int }\nfunc (*T) M() {}\nfunc (T) n() {}\n" +
	"func F(a ...int) error { return nil }\nconst C = 1\nvar V T\ntype I interface{ M() }"

func TestLines_EveryKind(t *testing.T) {
	t.Parallel()
	want := []string{
		"const C untyped int = 1", "field T.A int", "func F func(a ...int) error", "method T.M func()", "type I interface{M()}", "type T struct", "var V T",
	}
	if got := api(t, before); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestCompare_Changes(t *testing.T) {
	t.Parallel()
	for change, test := range map[string]struct {
		source, changelog string
		record            bool
		problems          int
	}{
		"none":                       {source: before},
		"addition":                   {source: before + "\nvar W T", problems: 2},
		"addition, recorded":         {source: before + "\nvar W T", record: true},
		"removed method":             {source: "type T struct{ A int }\nfunc F(a ...int) error { return nil }\nconst C = 1\nvar V T\ntype I interface{ M() }", problems: 1},
		"method added to interface":  {source: before[:len(before)-len("M() }")] + "M(); N() }", problems: 1},
		"break in the changelog":     {source: before[:len(before)-len("M() }")] + "M(); N() }", changelog: "- `I` asks for N", record: true},
		"break not in the changelog": {source: before[:len(before)-len("M() }")] + "M(); N() }", changelog: "- `It`", record: true, problems: 1},
	} {
		t.Run(change, func(t *testing.T) {
			t.Parallel()
			got := compare(api(t, before), api(t, test.source), test.changelog, test.record)
			if len(got) != test.problems {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestUnreleased_Section(t *testing.T) {
	t.Parallel()
	const released = "\n## [1.0.0] - 2026-01-02\n- b\n"
	for changelog, want := range map[string]string{
		"# Changelog\n" + released:                             "",
		"# Changelog\n\n## [Unreleased]\n- a\n" + released:     "- a\n",
		"# Changelog\n\n## [1.1.0]\n### Added\n- a" + released: "### Added\n- a",
	} {
		if got := unreleased(changelog); got != want {
			t.Errorf("%q: got %q", changelog, got)
		}
	}
}
