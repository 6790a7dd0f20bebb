// Package debian turns a program of a Debian package into the root of an image:
// the program, its libraries and its loader, from the packages of the release
// that runs here. Nothing is installed and root is not needed.
package debian

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Cache returns the directory below which what was once fetched is kept.
func Cache() (string, error) {
	if dir := os.Getenv("MULTUS_IPMGR_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "multus-ipmgr"), err
}

// Program returns a directory below cache that holds a package's program, such
// as usr/sbin/keepalived, and all that it needs to run. It is made once and
// stays until somebody removes it.
func Program(ctx context.Context, progress io.Writer, cache, pkg, program string) (string, error) {
	dir := filepath.Join(cache, "debian", pkg)
	if _, err := os.Stat(filepath.Join(dir, program)); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil { //nolint:gosec // programs are no secret
		return "", err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), pkg+"-")
	if err != nil {
		return "", err
	}
	fmt.Fprintf(progress, "lab: fetching Debian's package %s with its libraries, once, into %s\n", pkg, dir)
	err = build(ctx, progress, work, pkg, program, dir)
	return dir, errors.Join(err, os.RemoveAll(work))
}

// build makes dir by way of work.
func build(ctx context.Context, progress io.Writer, work, pkg, program, dir string) error {
	packages, err := packagesOf(ctx, progress, pkg)
	if err != nil {
		return err
	}
	all, made := filepath.Join(work, "all"), filepath.Join(work, "made")
	// apt's own user must not read the directory, and need not.
	fetch := append([]string{"-o", "APT::Sandbox::User=root", "-qq", "download"}, packages...)
	if _, err := run(ctx, work, "apt-get", fetch...); err != nil {
		return fmt.Errorf("fetch %s: %w\nApt's lists may be old: sudo apt-get update", pkg, err)
	}
	files, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if _, err := run(ctx, work, "dpkg-deb", "--extract", file, all); err != nil {
			return err
		}
	}
	needed, err := closure(all, program)
	if err != nil {
		return err
	}
	for _, path := range needed {
		if err := copyFile(filepath.Join(all, path), filepath.Join(made, path)); err != nil {
			return err
		}
	}
	err = os.Rename(made, dir)
	if errors.Is(err, fs.ErrExist) {
		return nil // another lab was faster
	}
	return err
}

// packagesOf lists the package and the libraries that it depends on, however
// indirectly.
func packagesOf(ctx context.Context, progress io.Writer, pkg string) ([]string, error) {
	list := func() ([]string, error) {
		out, err := run(ctx, "", "apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts",
			"--no-breaks", "--no-replaces", "--no-enhances", pkg)
		return librariesIn(out, pkg), err
	}
	packages, err := list()
	if len(packages) > 1 && err == nil {
		return packages, nil
	}
	const command = "apt-get update"
	if os.Geteuid() != 0 {
		return nil, errors.Join(fmt.Errorf("apt knows no package %s\nGet its lists with: sudo %s", pkg, command), err)
	}
	fmt.Fprintln(progress, "lab:", command)
	if _, err := run(ctx, "", "apt-get", "-qq", "update"); err != nil {
		return nil, err
	}
	if packages, err = list(); err == nil && len(packages) < 2 {
		err = errors.New("apt knows no package " + pkg)
	}
	return packages, err
}

// librariesIn reads apt-cache's answer: packages begin a line, and what they
// depend on is indented. Only libraries are needed beside the package itself.
func librariesIn(answer, pkg string) (packages []string) {
	for line := range strings.Lines(answer) {
		name := strings.TrimSpace(line)
		library := strings.HasPrefix(line, "lib") || strings.HasPrefix(line, "zlib")
		if (name == pkg || library) && !strings.Contains(name, ":") {
			packages = append(packages, name)
		}
	}
	slices.Sort(packages)
	return slices.Compact(packages)
}

func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, args[0], err, complaint.String())
	}
	return string(out), nil
}

// copyFile copies what a path leads to, with its mode.
func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil { //nolint:gosec // programs are no secret
		return err
	}
	return os.WriteFile(to, content, info.Mode().Perm())
}
