package kubectl

import (
	"path/filepath"
	"strings"
)

// definitions are what documents say that objects are. The files of several
// clusters may define one name in several ways. They are kept by name, and for
// each name by the file and by all directories that it is in.
type definitions[T any] map[string]map[string][]T

func (d definitions[T]) add(name, file string, value T) {
	if d[name] == nil {
		d[name] = map[string][]T{}
	}
	for _, place := range places(file) {
		d[name][place] = append(d[name][place], value)
	}
}

// nearest returns the definitions that hold for what is in a file: those in the
// same file, else those whose directories have most in common with it. More
// than one is left where files do not say which cluster they are of.
func (d definitions[T]) nearest(name, file string) []T {
	defined := d[name]
	if len(defined) == 0 {
		return nil
	}
	for _, place := range places(file) {
		if all := defined[place]; len(all) > 0 {
			return all
		}
	}
	return nil
}

// places returns a file, the directories that it is in, the innermost first,
// and what all files are in.
func places(file string) []string {
	path := filepath.ToSlash(filepath.Clean(file)) + "/"
	all := []string{path}
	for {
		above := strings.LastIndexByte(strings.TrimSuffix(path, "/"), '/') + 1
		path = path[:above]
		all = append(all, path)
		if path == "" {
			return all
		}
	}
}
