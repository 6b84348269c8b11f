// Command api compares the exported API of the packages with its record in api/*.txt. The record
// has one line for each exported name.
//
//	go -C internal/test/verify run ./api            # fails if the record is out of date
//	go -C internal/test/verify run ./api -record    # writes the record
//
// A removed or changed line is a breaking change: programs may no longer compile. The command
// accepts it only if the section of CHANGELOG.md for the next release has the name in backticks.
package main

import (
	"flag"
	"fmt"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// root is the root of the repository, relative to this module.
const root = "../../.."

// recorded has the file of the record for the package in each directory. Some of the directories
// are modules.
var recorded = map[string]string{
	".":            "api/cftunnel.txt",
	"tunneltest":   "api/tunneltest.txt",
	"tunnellogs":   "api/tunnellogs.txt",
	"redislimit":   "api/redislimit.txt",
	"otelcftunnel": "api/otelcftunnel.txt",
}

func main() {
	record := flag.Bool("record", false,
		"write the record; fails if a breaking change is not in CHANGELOG.md")
	flag.Parse()
	problems, err := run(*record)
	if err != nil {
		fmt.Fprintln(os.Stderr, "api:", err)
		os.Exit(2)
	}
	for _, problem := range problems {
		fmt.Fprintln(os.Stderr, problem)
	}
	if len(problems) > 0 {
		os.Exit(1)
	}
}

func run(record bool) (problems []string, err error) {
	changelog, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		return nil, err
	}
	for directory, file := range recorded {
		const mode = packages.NeedName | packages.NeedTypes | packages.NeedDeps |
			packages.NeedImports
		config := &packages.Config{Mode: mode, Dir: filepath.Join(root, directory)}
		loaded, err := packages.Load(config, ".")
		if err != nil {
			return nil, err
		}
		if len(loaded[0].Errors) > 0 {
			return nil, loaded[0].Errors[0]
		}
		now := lines(loaded[0].Types)
		file = filepath.Join(root, file)
		raw, err := os.ReadFile(file)
		if err != nil && !(record && os.IsNotExist(err)) {
			return nil, err
		}
		before := strings.FieldsFunc(string(raw), func(r rune) bool { return r == '\n' })
		found := compare(before, now, unreleased(string(changelog)), record)
		problems = append(problems, found...)
		if record && len(found) == 0 {
			text := strings.Join(now, "\n") + "\n"
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				return nil, err
			}
		}
	}
	return problems, nil
}

// compare returns the breaking changes that the changelog does not name. Unless record is set, it
// also returns the additions.
func compare(before, now []string, changelog string, record bool) (problems []string) {
	for _, line := range before {
		if !slices.Contains(now, line) && !strings.Contains(changelog, "`"+name(line)+"`") {
			problems = append(problems,
				"breaking change without `"+name(line)+"` in the changelog: "+line)
		}
	}
	if record {
		return problems
	}
	if len(problems) == 0 && !slices.Equal(before, now) {
		for _, line := range now {
			if !slices.Contains(before, line) {
				problems = append(problems, "not recorded: "+line)
			}
		}
		problems = append(problems, "the record is out of date: run ./api -record")
	}
	return problems
}

// releaseDate matches the date in the title of a release.
var releaseDate = regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)

// unreleased returns the section of the changelog for the next release. It is the first section,
// unless its title has a date.
func unreleased(changelog string) string {
	_, rest, _ := strings.Cut(changelog, "\n## [")
	section, _, _ := strings.Cut(rest, "\n## [")
	title, section, _ := strings.Cut(section, "\n")
	if _, date, _ := strings.Cut(title, " - "); releaseDate.MatchString(date) {
		return ""
	}
	return section
}

// name returns the name in a line, such as "Client.Do" for "method Client.Do func(…)".
func name(line string) string {
	_, rest, _ := strings.Cut(line, " ")
	name, _, _ := strings.Cut(rest, " ")
	return name
}

// lines returns the exported API of a package, sorted.
func lines(p *types.Package) []string {
	var list []string
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	qualifier := types.RelativeTo(p)
	text := func(t types.Type) string { return types.TypeString(t, qualifier) }
	for _, name := range p.Scope().Names() {
		object := p.Scope().Lookup(name)
		if !object.Exported() {
			continue
		}
		switch object := object.(type) {
		case *types.Const:
			value := object.Val().String()
			if name == "Version" {
				value = "…" // changes with every release
			}
			add("const %s %s = %s", name, text(object.Type()), value)
		case *types.Var:
			add("var %s %s", name, text(object.Type()))
		case *types.Func:
			add("func %s %s", name, text(object.Signature()))
		case *types.TypeName:
			switch under := object.Type().Underlying().(type) {
			case *types.Struct:
				add("type %s struct", name)
				for field := range under.Fields() {
					if field.Exported() {
						add("field %s.%s %s", name, field.Name(), text(field.Type()))
					}
				}
			default:
				add("type %s %s", name, text(under))
			}
			if _, ok := object.Type().Underlying().(*types.Interface); ok {
				continue
			}
			methods := types.NewMethodSet(types.NewPointer(object.Type()))
			for method := range methods.Methods() {
				if f := method.Obj(); f.Exported() {
					add("method %s.%s %s", name, f.Name(), text(f.Type()))
				}
			}
		}
	}
	slices.Sort(list)
	return list
}
