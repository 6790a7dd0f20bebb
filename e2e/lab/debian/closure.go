package debian

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// closure lists the program, its loader and all of its libraries, as paths
// below root. A loader finds them there without any cache or setting.
func closure(root, program string) ([]string, error) {
	paths := []string{program}
	for i := 0; i < len(paths); i++ { // paths grows
		loader, libraries, err := needs(filepath.Join(root, paths[i]))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", paths[i], err)
		}
		for _, name := range libraries {
			path, err := find(root, name)
			if err != nil {
				return nil, fmt.Errorf("%s needs %s: %w", paths[i], name, err)
			}
			if !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
		if loader != "" && !slices.Contains(paths, loader) {
			paths = append(paths, loader)
		}
	}
	return paths, nil
}

// needs reads what an executable or a library is linked to.
func needs(path string) (loader string, libraries []string, err error) {
	f, err := elf.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP || f.Type != elf.ET_DYN || filepath.Ext(path) != "" {
			continue // a library's own loader is its program's
		}
		text := make([]byte, p.Filesz)
		if _, err := p.ReadAt(text, 0); err != nil {
			return "", nil, err
		}
		loader = strings.Trim(string(text), "/\x00")
	}
	libraries, err = f.ImportedLibraries()
	return loader, libraries, err
}

// find finds a library where a loader looks by default.
func find(root, name string) (string, error) {
	for _, dir := range []string{"lib/*-linux-gnu", "usr/lib/*-linux-gnu", "lib64", "lib", "usr/lib"} {
		found, err := filepath.Glob(filepath.Join(root, dir, name))
		if err != nil {
			return "", err
		}
		for _, path := range found {
			if _, err := os.Stat(path); err == nil {
				return filepath.Rel(root, path)
			}
		}
	}
	return "", errors.New("no package has it")
}
