package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/guest"
)

// loadModules loads kernel modules, each after those that it needs.
func loadModules(c guest.Config) error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	dir := filepath.Join(c.Modules, unix.ByteSliceToString(u.Release[:]))
	text, err := os.ReadFile(filepath.Join(dir, "modules.dep"))
	if err != nil {
		return fmt.Errorf("modules of this kernel: %w", err)
	}
	deps := parseDependencies(string(text))
	for _, name := range c.Load {
		files, ok := deps[name]
		if !ok {
			return fmt.Errorf("%s has no module %s", dir, name)
		}
		for _, file := range slices.Backward(files) { // the module itself is the first
			if err := loadModule(filepath.Join(dir, file)); err != nil {
				return err
			}
		}
	}
	return nil
}

// parseDependencies reads modules.dep: by a module's name its file and those
// that must be loaded before, the last one first.
func parseDependencies(text string) map[string][]string {
	deps := map[string][]string{}
	for line := range strings.Lines(text) {
		file, needs, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		name := strings.ReplaceAll(strings.TrimSuffix(path.Base(file), ".ko"), "-", "_")
		deps[name] = append([]string{file}, strings.Fields(needs)...)
	}
	return deps
}

func loadModule(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}
