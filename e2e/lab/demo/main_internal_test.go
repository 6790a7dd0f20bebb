package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestNothingButTheLogsOfAFailureIsLeft(t *testing.T) {
	for name, c := range map[string]struct {
		keep, logs bool
		want       []string
	}{
		"a failure with logs":    {keep: true, logs: true, want: []string{"lab-logs-1"}},
		"a failure without logs": {keep: true},
		"logs of no failure":     {logs: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "demo")
			made := []string{"vpc", "controlplane"}
			if c.logs {
				made = append(made, "lab-logs-1")
			}
			for _, d := range made {
				if err := os.MkdirAll(filepath.Join(dir, d, "files"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := sweep(dir, c.keep); err != nil {
				t.Fatal(err)
			}
			left, err := filepath.Glob(filepath.Join(dir, "*"))
			if err != nil {
				t.Fatal(err)
			}
			for i := range left {
				left[i] = filepath.Base(left[i])
			}
			if _, err := os.Stat(dir); !slices.Equal(left, c.want) || (err == nil) != (len(c.want) > 0) {
				t.Errorf("left: %q, want %q; the directory: %v", left, c.want, err)
			}
		})
	}
}

func TestProcessesOfADirectoryAreFound(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "wait")
	if err := os.Symlink("/bin/sleep", program); err != nil {
		t.Fatal(err)
	}
	if left := processesOf(dir); len(left) > 0 {
		t.Fatalf("before: %q", left)
	}
	cmd := exec.CommandContext(t.Context(), program, "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	if left := processesOf(dir); len(left) != 1 || !strings.HasPrefix(left[0], "wait ") {
		t.Errorf("while it runs: %q", left)
	}
}
