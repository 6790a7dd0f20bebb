package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// unpackDebian fetches Debian packages, without installing them, and unpacks
// them below root.
func unpackDebian(ctx context.Context, root string, packages ...string) error {
	dir := root + ".packages"
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	// apt's own user must not read the directory, and need not.
	fetch := append([]string{"-o", "APT::Sandbox::User=root", "download", "-qq"}, packages...)
	if _, err := command(ctx, dir, "apt-get", fetch...); err != nil {
		return fmt.Errorf("fetch %q: %w\nApt's lists must be there: sudo apt-get update", packages, err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if _, err := command(ctx, dir, "dpkg-deb", "--extract", file, root); err != nil {
			return err
		}
	}
	return nil
}

// furnish adds what the packages make when they are installed: the commands of
// the Dockerfile, as links to busybox, and the bundle of authorities.
func furnish(root string) error {
	for _, name := range []string{"sh", "mkdir", "cp", "chmod", "find", "touch"} {
		if err := os.Symlink("busybox", filepath.Join(root, "bin", name)); err != nil {
			return err
		}
	}
	for _, dir := range []string{"tmp", "root", "etc/ssl/certs"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil { //nolint:gosec // it is a root file system
			return err
		}
	}
	bundle, err := mozillas(root)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, builderBundle), bundle, 0o644) //nolint:gosec // every program reads it
}

// builderBundle is where Debian and the Dockerfile look for authorities.
const builderBundle = "etc/ssl/certs/ca-certificates.crt"

// mozillas joins Mozilla's, in the order of their files' names, as
// update-ca-certificates does.
func mozillas(root string) ([]byte, error) {
	files, err := filepath.Glob(filepath.Join(root, "usr/share/ca-certificates/mozilla/*.crt"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("the package ca-certificates holds none of Mozilla's")
	}
	slices.Sort(files)
	var joined [][]byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		joined = append(joined, bytes.TrimSpace(data))
	}
	return append(bytes.Join(joined, []byte("\n")), '\n'), nil
}
