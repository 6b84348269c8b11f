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

// documents returns every Markdown file, by its path from the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	require.NoError(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == ".git" {
			return fs.SkipDir
		}
		if filepath.Ext(path) == ".md" {
			raw, err := os.ReadFile(path)
			found[path] = string(raw)
			return err
		}
		return nil
	}))
	return found
}

// anchors are what links can name in a document, as GitHub makes them of headings.
func anchors(document string) map[string]bool {
	found := map[string]bool{}
	for _, match := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(document, ""), -1) {
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

func TestLinksOfDocumentsLeadSomewhere(t *testing.T) {
	t.Parallel()
	all := documents(t)
	require.Contains(t, all, "README.md")
	for path, text := range all {
		for _, match := range markdownLink.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
			target, err := url.Parse(match[1])
			if !assert.NoError(t, err, path) || target.IsAbs() {
				continue
			}
			file := path
			if target.Path != "" {
				file = filepath.Join(filepath.Dir(path), target.Path)
			}
			if _, err := os.Stat(file); !assert.NoError(t, err, "%s links to %s", path, match[1]) {
				continue
			}
			if target.Fragment != "" {
				assert.True(t, anchors(all[file])[target.Fragment], "%s links to %s", path, match[1])
			}
		}
	}
}

// apiPage is where Cloudflare documents an operation of tunnels or of token verification.
var apiPage = regexp.MustCompile(`^https://developers\.cloudflare\.com/api/resources/(` +
	`zero_trust/subresources/tunnels/(methods/list|subresources/(cloudflared|warp_connector)/(` +
	`methods/(create|list|get|edit|delete)|` +
	`subresources/((connections|connectors|token)/methods/(get|delete)|management/methods/create|configurations/methods/(get|update)|failover/methods/update)))|` +
	`(user|accounts)/subresources/tokens/methods/verify)/$`)

// bracketed is what reads as a link to a name in a doc comment.
var bracketed = regexp.MustCompile(`\[(\*?[A-Za-z]\w*(?:\.[A-Z]\w*)*)\]`)

func TestLinksOfDocCommentsLeadSomewhere(t *testing.T) {
	t.Parallel()
	root := symbols(t, ".", "cftunnel")
	fake := symbols(t, "tunneltest", "tunneltest")
	for _, p := range []*pkg{root, fake} {
		for of, text := range p.comments {
			for _, match := range bracketed.FindAllStringSubmatch(text, -1) {
				name := strings.TrimPrefix(match[1], "*")
				qualified, isOther := strings.CutPrefix(name, "cftunnel.")
				switch {
				case name == "REDACTED" || strings.HasPrefix(name, "context."):
				case isOther:
					assert.True(t, root.names[qualified], "%s of %s", match[0], of)
				default:
					assert.True(t, p.names[name], "%s of %s", match[0], of)
				}
			}
			var parser comment.Parser
			for _, link := range links(parser.Parse(text)) {
				if strings.Contains(link, "/api/") {
					assert.Regexp(t, apiPage, link, of)
				}
			}
		}
	}
}

// pkg is what a package documents.
type pkg struct {
	names    map[string]bool
	comments map[string]string
}

func symbols(t *testing.T, dir, name string) *pkg {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	files := token.NewFileSet()
	var parsed []*ast.File
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, filepath.Join(dir, entry.Name()), nil, parser.ParseComments)
		require.NoError(t, err)
		parsed = append(parsed, file)
	}
	documented, err := doc.NewFromFiles(files, parsed, "example.com/"+name)
	require.NoError(t, err)
	p := &pkg{names: map[string]bool{}, comments: map[string]string{"the package": documented.Doc}}
	values := func(list []*doc.Value) {
		for _, value := range list {
			for _, name := range value.Names {
				p.names[name], p.comments[name] = true, value.Doc
			}
		}
	}
	functions := func(receiver string, list []*doc.Func) {
		for _, function := range list {
			p.names[receiver+function.Name], p.comments[receiver+function.Name] = true, function.Doc
		}
	}
	values(documented.Consts)
	values(documented.Vars)
	functions("", documented.Funcs)
	for _, typed := range documented.Types {
		p.names[typed.Name], p.comments[typed.Name] = true, typed.Doc
		values(typed.Consts)
		values(typed.Vars)
		functions("", typed.Funcs)
		functions(typed.Name+".", typed.Methods)
		specification, ok := typed.Decl.Specs[0].(*ast.TypeSpec).Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, field := range specification.Fields.List {
			for _, name := range field.Names {
				p.names[typed.Name+"."+name.Name], p.comments[typed.Name+"."+name.Name] = true, field.Doc.Text()+field.Comment.Text()
			}
		}
	}
	return p
}

func links(document *comment.Doc) (found []string) {
	for _, block := range document.Content {
		paragraph, ok := block.(*comment.Paragraph)
		if !ok {
			continue
		}
		for _, text := range paragraph.Text {
			if link, ok := text.(*comment.Link); ok {
				found = append(found, link.URL)
			}
		}
	}
	return found
}

// TestEveryExportedNameIsDocumented: by a comment of its own, or for a field by one of the same type that names it.
func TestEveryExportedNameIsDocumented(t *testing.T) {
	t.Parallel()
	for _, p := range []*pkg{symbols(t, ".", "cftunnel"), symbols(t, "tunneltest", "tunneltest")} {
		for name := range p.names {
			comment := p.comments[name]
			if outer, field, ok := strings.Cut(name, "."); comment == "" && ok {
				for other, text := range p.comments {
					if (other == outer || strings.HasPrefix(other, outer+".")) && regexp.MustCompile(`\b`+field+`\b`).MatchString(text) {
						comment = text
					}
				}
			}
			assert.NotEmpty(t, comment, name)
		}
	}
}
