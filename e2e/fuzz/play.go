package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	// attempts is how often a target is played that Go failed for no fault of
	// its own.
	attempts = 3
	// shownInput is how many bytes of a failing input are printed; the file has all.
	shownInput = 4 << 10
	// patience is how long a target may take to end after an interrupt.
	patience = 10 * time.Second
)

// play fuzzes a target. Its error says what to look at and how to play the
// input again.
func (t target) play(ctx context.Context, long string, output io.Writer) error {
	known := t.inputs()
	for attempt := 1; ; attempt++ {
		text, err := t.once(ctx, long, output)
		if err == nil {
			return nil
		}
		for name := range t.inputs() {
			if !known[name] {
				return t.failure(name)
			}
		}
		if attempt == attempts || !isDeadline(text) {
			return fmt.Errorf("%s: %w, without a new input: see its output above", t, err)
		}
		_, _ = fmt.Fprintf(output, "fuzz: %s again: Go mistook the end of its time for a failure\n", t)
	}
}

// once runs go test, and returns what it printed.
func (t target) once(ctx context.Context, long string, output io.Writer) (string, error) {
	var text bytes.Buffer
	// Files of the lab's scenarios need its tag; to all others it means nothing.
	cmd := exec.CommandContext(ctx, "go", "-C", t.module, "test", "-vet=off", "-tags", "lab",
		"-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", long, "./"+filepath.ToSlash(t.dir))
	cmd.Stdout = io.MultiWriter(output, &text)
	cmd.Stderr = cmd.Stdout
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = patience
	err := cmd.Run()
	return text.String(), err
}

// isDeadline reports whether a target failed by a race in Go before 1.27
// (golang/go 75804): on a busy machine the end of -fuzztime itself may count as
// a failure, which has no other words than these.
func isDeadline(text string) bool {
	_, after, found := strings.Cut(text, "--- FAIL: ")
	_, after, _ = strings.Cut(after, "\n")
	words, _, _ := strings.Cut(after, "\nFAIL\n")
	return found && strings.TrimSpace(words) == context.DeadlineExceeded.Error()
}

// inputsDir is where Go leaves inputs that failed.
func (t target) inputsDir() string {
	return filepath.Join(t.module, t.dir, "testdata", "fuzz", t.name)
}

// inputs lists the target's inputs that are files; there may be none.
func (t target) inputs() map[string]bool {
	names := map[string]bool{}
	entries, err := os.ReadDir(t.inputsDir())
	if err != nil {
		return names
	}
	for _, entry := range entries {
		names[entry.Name()] = entry.Type()&fs.ModeType == 0
	}
	return names
}

// failure shows an input that failed.
func (t target) failure(name string) error {
	path := filepath.Join(t.inputsDir(), name)
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%s: its failing input cannot be read: %w", t, err)
	}
	if len(content) > shownInput {
		content = append(content[:shownInput:shownInput], "\n..."...)
	}
	return fmt.Errorf("%s fails with the input %s:\n%s\nplay it again: go -C %s test -run '^%s$/^%s$' ./%s",
		t, path, bytes.TrimSpace(content), t.module, t.name, name, filepath.ToSlash(t.dir))
}
