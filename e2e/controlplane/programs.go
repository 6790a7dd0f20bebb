package controlplane

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

// The programs' names in e2e/tools.
const (
	etcd              = "etcd"
	apiServer         = "kube-apiserver"
	controllerManager = "kube-controller-manager"
)

// Prepare builds the programs that Start with the same options will run, where
// the cache has none. A test that enters a network namespace calls it before:
// inside there is no way to the Go module proxy.
func Prepare(ctx context.Context, o Options) error {
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	_, err := programs(ctx, o)
	return err
}

// programs returns the path of each program by its name.
func programs(ctx context.Context, o Options) (map[string]string, error) {
	names := []string{etcd, apiServer}
	if o.ControllerManager {
		names = append(names, controllerManager)
	}
	dir, err := toolsDir()
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
	cmd.Stdout, cmd.Stderr = &out, io.MultiWriter(o.Progress, &complaint)
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

// toolsDir finds e2e/tools from the working directory: a test runs in the
// directory of its package, the demo at the root of the repository.
func toolsDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		tools := filepath.Join(dir, "e2e", "tools")
		if _, err := os.Stat(filepath.Join(tools, "go.mod")); err == nil {
			return tools, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("find e2e/tools: the working directory is outside the repository")
		}
		dir = filepath.Dir(dir)
	}
}
