package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strings"
)

// file is what one Go file looks like.
type file struct {
	path      string
	lines     int
	test      bool
	packaged  bool // has a package comment
	functions []function
	exported  int      // exported names
	bare      []string // exported names without a doc comment, with their line
}

// function is one function of a file, from `func` to the closing brace.
type function struct {
	name  string
	line  int
	lines int
}

// measure reads every Go file below root that people write.
func measure(root fs.FS) ([]file, error) {
	var files []file
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "testdata" || len(entry.Name()) > 1 && entry.Name()[0] == '.'):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		source, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		f, generated, err := parse(name, source)
		if err == nil && !generated {
			files = append(files, f)
		}
		return err
	})
	return files, err
}

func parse(name string, source []byte) (f file, generated bool, err error) {
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return file{}, false, err
	}
	f = file{
		path:     name,
		lines:    bytes.Count(source, []byte("\n")),
		test:     strings.HasSuffix(name, "_test.go"),
		packaged: tree.Doc != nil,
	}
	line := func(p token.Pos) int { return set.Position(p).Line }
	for _, decl := range tree.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			f.addFunction(d, line(d.Pos()), line(d.End()))
		case *ast.GenDecl:
			f.addNames(d, line)
		}
	}
	return f, ast.IsGenerated(tree), nil
}

func (f *file) addFunction(d *ast.FuncDecl, first, last int) {
	name := d.Name.Name
	receiver, public := receiverOf(d)
	if receiver != "" {
		name = receiver + "." + name
	}
	f.functions = append(f.functions, function{name: name, line: first, lines: last - first + 1})
	if public && d.Name.IsExported() {
		f.addExported(name, first, d.Doc != nil)
	}
}

// receiverOf returns the receiver's type, and whether others can name it.
func receiverOf(d *ast.FuncDecl) (name string, public bool) {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return "", true
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name, x.IsExported()
		default:
			return "", false
		}
	}
}

// addNames counts types, constants and variables; the comment of a group
// serves all its names.
func (f *file) addNames(d *ast.GenDecl, line func(token.Pos) int) {
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() {
				f.addExported(s.Name.Name, line(s.Pos()), d.Doc != nil || s.Doc != nil)
			}
		case *ast.ValueSpec:
			documented := d.Doc != nil || s.Doc != nil || s.Comment != nil
			for _, name := range s.Names {
				if name.IsExported() {
					f.addExported(name.Name, line(name.Pos()), documented)
				}
			}
		}
	}
}

func (f *file) addExported(name string, line int, documented bool) {
	f.exported++
	if !documented {
		f.bare = append(f.bare, fmt.Sprintf("%s:%d: %s", f.path, line, name))
	}
}
