// Package programs gets the third-party programs that tests and the lab run, by
// e2e/tools, which builds those that its cache lacks, and runs programs that do
// not outlive the one that runs them.
package programs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Build returns the path of each program by its name in e2e/tools. What takes
// minutes on a clean machine is reported to progress.
func Build(ctx context.Context, progress io.Writer, names ...string) (map[string]string, error) {
	dir, err := Dir("e2e/tools")
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"run", "."}, names...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, io.MultiWriter(progress, &complaint)
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("build %s: %w\n%s", strings.Join(names, " and "), err, complaint.String())
	}
	paths := map[string]string{}
	for path := range strings.Lines(out.String()) {
		path = strings.TrimSpace(path)
		paths[filepath.Base(path)] = path
	}
	return paths, nil
}

// Dir finds the directory of a module of this repository, such as e2e/tools,
// from the working directory: a test runs in the directory of its package, the
// demo at the root of the repository.
func Dir(module string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		found := filepath.Join(dir, filepath.FromSlash(module))
		if _, err := os.Stat(filepath.Join(found, "go.mod")); err == nil {
			return found, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("find " + module + ": the working directory is outside the repository")
		}
		dir = filepath.Dir(dir)
	}
}
