package main

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// source has the functions and types of packages. The keys are names such as "newCall" and
// "call.run", with the package if it is not the root: "limiter.Limiter.Wait".
type source map[string]declaration

type declaration struct {
	name    string // without the package
	file    string // from the root of the repository; the directory, if both have the same name
	comment string // its first sentence, without the name
	body    ast.Node
}

// readSource reads the packages in directories.
func readSource(root string, directories ...string) (source, error) {
	s := source{}
	for _, directory := range directories {
		files, err := filepath.Glob(filepath.Join(root, directory, "*.go"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			mode := parser.ParseComments | parser.SkipObjectResolution
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, mode)
			if err != nil {
				return nil, err
			}
			s.addFile(directory, filepath.Base(file), parsed)
		}
	}
	return s, nil
}

func (s source) addFile(directory, file string, parsed *ast.File) {
	prefix := ""
	if directory != "." {
		prefix = path.Base(directory) + "."
	}
	place := path.Join(directory, file)
	if file == path.Base(directory)+".go" {
		place = directory
	}
	add := func(name string, comment *ast.CommentGroup, body ast.Node) {
		text := new(doc.Package).Synopsis(comment.Text())
		_, text, _ = strings.Cut(text, " ")
		s[prefix+name] = declaration{name, place, strings.TrimSuffix(text, "."), body}
	}
	for _, d := range parsed.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				receiver := d.Recv.List[0].Type
				if pointer, ok := receiver.(*ast.StarExpr); ok {
					receiver = pointer.X
				}
				if named, ok := receiver.(*ast.Ident); ok {
					name = named.Name + "." + name
				}
			}
			add(name, d.Doc, d.Body)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if spec, ok := spec.(*ast.TypeSpec); ok {
					if spec.Doc == nil {
						spec.Doc = d.Doc
					}
					add(spec.Name.Name, spec.Doc, nil)
				}
			}
		}
	}
}

// last returns the last declaration of a chain, in which each function uses the next name.
func (s source) last(chain string) (declaration, error) {
	names := strings.Split(chain, " > ")
	if _, err := s.positions(names); err != nil {
		return declaration{}, err
	}
	d, ok := s[names[len(names)-1]]
	switch {
	case !ok:
		return d, fmt.Errorf("%s is not declared", chain)
	case d.comment == "":
		return d, fmt.Errorf("%s has no comment", chain)
	}
	return d, nil
}

// positions returns where each function of a chain uses the next name.
func (s source) positions(chain []string) ([]token.Pos, error) {
	var positions []token.Pos
	for i, name := range chain[1:] {
		function, ok := s[chain[i]]
		if !ok || function.body == nil {
			return nil, fmt.Errorf("%s is not a function", chain[i])
		}
		position := use(function.body, name)
		if position == token.NoPos {
			return nil, fmt.Errorf("%s does not use %s", chain[i], name)
		}
		positions = append(positions, position)
	}
	return positions, nil
}

// checkOrder returns an error if the first function of the chains uses the others in another order.
func (s source) checkOrder(chains []string) error {
	var earlier []token.Pos
	for _, chain := range chains {
		positions, err := s.positions(strings.Split(chain, " > "))
		if err != nil {
			return err
		}
		if slices.Compare(earlier, positions) > 0 {
			return fmt.Errorf("%s is used earlier", chain)
		}
		earlier = positions
	}
	return nil
}

// use returns the first position at which a function calls another one or creates a value of a
// type. A method is found by its name alone.
func use(body ast.Node, name string) token.Pos {
	parts := strings.Split(name, ".")
	last := parts[len(parts)-1]
	first := token.NoPos
	ast.Inspect(body, func(node ast.Node) bool {
		var used ast.Expr
		switch node := node.(type) {
		case *ast.CallExpr:
			used = node.Fun
		case *ast.CompositeLit:
			used = node.Type
		}
		switch used := used.(type) {
		case *ast.Ident:
			if len(parts) > 1 || used.Name != last {
				return true
			}
		case *ast.SelectorExpr:
			if len(parts) == 1 || used.Sel.Name != last {
				return true
			}
		default:
			return true
		}
		if first == token.NoPos {
			first = used.Pos()
		}
		return true
	})
	return first
}
