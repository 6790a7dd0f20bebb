package kubectl

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/manifest"
)

// files are the manifests that a command is given.
type files struct {
	paths     []string
	recursive bool
	namespace string // of objects that do not say theirs
}

func (f *files) declare(flags *flag.FlagSet) {
	read := func(path string) error {
		f.paths = append(f.paths, path)
		return nil
	}
	flags.Func("f", "`file` or directory of manifests, - for standard input; may be repeated", read)
	flags.Func("filename", "the same as -f", read)
	flags.BoolVar(&f.recursive, "R", false, "read directories within directories too")
	flags.StringVar(&f.namespace, "n", "default", "`namespace` of objects that do not say theirs")
	flags.StringVar(&f.namespace, "namespace", "default", "the same as -n")
}

// read returns all documents in the order of the flags; those of a directory
// in the order of their names.
func (f *files) read(in io.Reader) ([]manifest.Document, error) {
	if len(f.paths) == 0 {
		return nil, errors.New("no manifests: name a file or directory by -f, or - for standard input")
	}
	var all []manifest.Document
	for _, path := range f.paths {
		documents, err := f.readPath(path, in)
		if err != nil {
			return nil, err
		}
		all = append(all, documents...)
	}
	return all, nil
}

func (f *files) readPath(path string, in io.Reader) ([]manifest.Document, error) {
	if path == "-" {
		text, err := io.ReadAll(in)
		if err != nil {
			return nil, fmt.Errorf("reading standard input: %w", err)
		}
		return manifest.Read("standard input", text)
	}
	names, err := f.list(path)
	if err != nil {
		return nil, fmt.Errorf("reading manifests: %w", err)
	}
	var all []manifest.Document
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading manifests: %w", err)
		}
		documents, err := manifest.Read(name, text)
		if err != nil {
			return nil, err
		}
		all = append(all, documents...)
	}
	return all, nil
}

// list returns a file, or the manifests of a directory.
func (f *files) list(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return []string{path}, err
	}
	var names []string
	err = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != path && !f.recursive:
			return filepath.SkipDir
		case !entry.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name)):
			names = append(names, name)
		}
		return nil
	})
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("%s: no file ends in .yaml, .yml or .json", path)
	}
	return names, err
}
