package cftunnel_test

import (
	"go/ast"
	"go/doc"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	codeBlock    = regexp.MustCompile("(?s)```.*?```")
	heading      = regexp.MustCompile(`(?m)^#+ +(.+)$`)
)

// documents returns every Markdown file by its path from the root, without its code blocks.
func documents(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	require.NoError(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".md" {
			found[path] = codeBlock.ReplaceAllString(read(t, path), "")
		}
		return err
	}))
	return found
}

// anchors returns the fragments that GitHub makes of a document's headings.
func anchors(document string) map[string]bool {
	found := map[string]bool{}
	for _, match := range heading.FindAllStringSubmatch(document, -1) {
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, markdownLink.ReplaceAllString(match[1], "]"))
		found[slug] = true
	}
	return found
}

func TestDocs_Links(t *testing.T) {
	t.Parallel()
	all := documents(t)
	require.Contains(t, all, "README.md")
	for path, text := range all {
		for _, match := range markdownLink.FindAllStringSubmatch(text, -1) {
			target, err := url.Parse(match[1])
			if !assert.NoError(t, err, path) || target.IsAbs() {
				continue
			}
			file := path
			if target.Path != "" {
				file = filepath.Join(filepath.Dir(path), target.Path)
			}
			_, err = os.Stat(file)
			if !assert.NoError(t, err, "%s links to %s", path, match[1]) {
				continue
			}
			if target.Fragment != "" {
				found := anchors(all[file])[target.Fragment]
				assert.True(t, found, "%s links to %s", path, match[1])
			}
		}
	}
}

// apiPage matches the URLs of Cloudflare's pages about an operation.
var apiPage = regexp.MustCompile(`^https://developers\.cloudflare\.com/api/resources/[a-z_]+/` +
	`(subresources/[a-z_]+/)*methods/(create|list|get|edit|update|delete|verify)/$`)

// brackets matches the form of a link to a name in a doc comment.
var brackets = regexp.MustCompile(`\[[A-Za-z]\w*(\.[A-Z]\w*)*\]`)

func TestComments_Links(t *testing.T) {
	t.Parallel()
	for _, p := range []*pkg{symbols(t, ".", "cftunnel"), symbols(t, "tunneltest", "tunneltest")} {
		for of, text := range p.comments {
			for _, block := range p.parser.Parse(text).Content {
				paragraph, _ := block.(*comment.Paragraph)
				if paragraph == nil {
					continue
				}
				for _, text := range paragraph.Text {
					switch text := text.(type) {
					case comment.Plain: // a link to a name that does not exist is left as text
						for _, name := range brackets.FindAllString(string(text), -1) {
							assert.Equal(t, "[REDACTED]", name, "%s of %s", name, of)
						}
					case *comment.Link:
						if strings.Contains(text.URL, "/api/") {
							assert.Regexp(t, apiPage, text.URL, of)
						}
					}
				}
			}
		}
	}
}

// pkg has the comments of what a package exports, by name, and their parser.
type pkg struct {
	parser   *comment.Parser
	comments map[string]string
}

// symbols reads the comments of the package in a directory.
func symbols(t *testing.T, dir, name string) *pkg {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	files := token.NewFileSet()
	var parsed []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, path, nil, parser.ParseComments)
		require.NoError(t, err)
		parsed = append(parsed, file)
	}
	documented, err := doc.NewFromFiles(files, parsed, "example.com/"+name)
	require.NoError(t, err)
	p := &pkg{documented.Parser(), map[string]string{"the package": documented.Doc}}
	values := func(list []*doc.Value) {
		for _, value := range list {
			for _, name := range value.Names {
				p.comments[name] = value.Doc
			}
		}
	}
	functions := func(receiver string, list []*doc.Func) {
		for _, function := range list {
			p.comments[receiver+function.Name] = function.Doc
		}
	}
	values(documented.Consts)
	values(documented.Vars)
	functions("", documented.Funcs)
	for _, typed := range documented.Types {
		p.comments[typed.Name] = typed.Doc
		values(typed.Consts)
		values(typed.Vars)
		functions("", typed.Funcs)
		functions(typed.Name+".", typed.Methods)
		structure, ok := typed.Decl.Specs[0].(*ast.TypeSpec).Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, field := range structure.Fields.List {
			for _, name := range field.Names {
				p.comments[typed.Name+"."+name.Name] = field.Doc.Text() + field.Comment.Text()
			}
		}
	}
	return p
}

// TestComments_EveryName checks that every exported name has a comment. A field can also be named
// in another comment of its type.
func TestComments_EveryName(t *testing.T) {
	t.Parallel()
	for _, p := range []*pkg{symbols(t, ".", "cftunnel"), symbols(t, "tunneltest", "tunneltest")} {
		for name, comment := range p.comments {
			if outer, field, ok := strings.Cut(name, "."); comment == "" && ok {
				word := regexp.MustCompile(`\b` + field + `\b`)
				for other, text := range p.comments {
					sameType := other == outer || strings.HasPrefix(other, outer+".")
					if sameType && word.MatchString(text) {
						comment = text
					}
				}
			}
			assert.NotEmpty(t, comment, name)
		}
	}
}
