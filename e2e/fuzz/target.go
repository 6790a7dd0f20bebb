package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// target is one fuzz test.
type target struct {
	module string // its directory
	dir    string // of the package, from the module's
	name   string
}

// String names the target as a reader looks for it.
func (t target) String() string { return filepath.Join(t.module, t.dir) + " " + t.name }

// unread are directories without packages of the repository.
var unread = map[string]bool{".git": true, "bin": true, "dist": true, "testdata": true, "vendor": true, "node_modules": true}

// find lists the fuzz targets of all modules below a directory, whatever build
// tags their files need.
func find(root string) ([]target, error) {
	var targets []target
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && unread[d.Name()]:
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		names, err := namesIn(path)
		if err != nil || len(names) == 0 {
			return err
		}
		module, err := moduleOf(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(module, filepath.Dir(path))
		for _, name := range names {
			targets = append(targets, target{module: module, dir: dir, name: name})
		}
		return err
	})
	return targets, err
}

// fuzzName is what go test takes for a fuzz test.
var fuzzName = regexp.MustCompile(`^Fuzz($|[^\p{Ll}])`)

// namesIn lists the fuzz tests of a file: functions with one parameter, as
// go vet demands.
func namesIn(path string) (names []string, err error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	for _, declared := range file.Decls {
		f, ok := declared.(*ast.FuncDecl)
		if ok && f.Recv == nil && fuzzName.MatchString(f.Name.Name) && f.Type.Params.NumFields() == 1 {
			names = append(names, f.Name.Name)
		}
	}
	return names, nil
}

// moduleOf returns the nearest directory at or above dir that has a go.mod.
func moduleOf(root, dir string) (string, error) {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); !errors.Is(err, fs.ErrNotExist) {
			return at, err
		}
		if at == filepath.Clean(root) || at == filepath.Dir(at) {
			return "", fmt.Errorf("%s belongs to no module: no go.mod up to %s", dir, root)
		}
	}
}

// selected keeps the targets that have one of the words in their name or
// package; without words, all.
func selected(targets []target, words []string) []target {
	return slices.DeleteFunc(targets, func(t target) bool {
		wanted := func(word string) bool { return strings.Contains(t.String(), word) }
		return len(words) > 0 && !slices.ContainsFunc(words, wanted)
	})
}
