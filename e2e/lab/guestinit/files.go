package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/guest"
)

// writeFiles leaves files and links, and hides files by others.
func writeFiles(c guest.Config) error {
	for path, content := range c.Files {
		if err := os.MkdirAll(filepath.Dir(path), worldReadable); err != nil {
			return err
		}
		_ = os.Remove(path)                                                // a link of the host, such as resolv.conf, is not followed
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil { //nolint:gosec // one user's machine
			return err
		}
	}
	for path, target := range c.Links {
		if err := os.MkdirAll(filepath.Dir(path), worldReadable); err != nil {
			return err
		}
		_ = os.Remove(path)
		if err := os.Symlink(target, path); err != nil {
			return err
		}
	}
	for _, path := range slices.Sorted(maps.Keys(c.Covers)) {
		if err := cover(c.Covers[path], path); err != nil {
			return err
		}
	}
	return nil
}
