package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// command returns a go command for the module in dir. The programs are static,
// so that they run in any root file system.
func command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// goCommand runs a short go command and returns its output.
func goCommand(ctx context.Context, dir string, args ...string) (string, error) {
	out, err := command(ctx, dir, args...).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return "", fmt.Errorf("go %s: %w: %s", args[0], err, bytes.TrimSpace(exit.Stderr))
	}
	return string(out), err
}

// reporter reports the progress of a long build.
type reporter struct {
	out   io.Writer
	name  string
	now   func() time.Time
	begun time.Time

	mu    sync.Mutex
	step  string
	unit  string
	count int
}

func (r *reporter) say(format string, args ...any) {
	fmt.Fprintf(r.out, "tools: %s: %s\n", r.name, fmt.Sprintf(format, args...))
}

// start begins a step whose lines of output are counted in unit.
func (r *reporter) start(step, unit string) {
	if r.begun.IsZero() {
		r.begun = r.now()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.step, r.unit, r.count = step, unit, 0
}

func (r *reporter) elapsed() time.Duration {
	return r.now().Sub(r.begun).Round(time.Second)
}

// follow runs a go command, counts the lines it prints to standard error and
// reports them every ten seconds. An error holds the last of those lines.
func (r *reporter) follow(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := command(ctx, dir, args...)
	var out bytes.Buffer
	cmd.Stdout = &out
	lines, err := cmd.StderrPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("run go, which must be on the PATH: %w", err)
	}
	stop := r.repeat(10 * time.Second)
	last := r.tally(lines)
	err = cmd.Wait()
	stop()
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, strings.Join(last, "\n"))
	}
	return out.String(), nil
}

// tally counts lines until they end and returns the last ones.
func (r *reporter) tally(lines io.Reader) (last []string) {
	const keep = 12
	for s := bufio.NewScanner(lines); s.Scan(); {
		r.mu.Lock()
		r.count++
		r.mu.Unlock()
		last = append(last, s.Text())
		last = last[max(0, len(last)-keep):]
	}
	_, _ = io.Copy(io.Discard, lines) // a line too long for the scanner must not block go
	return last
}

// repeat reports at an interval until stop is called.
func (r *reporter) repeat(every time.Duration) (stop func()) {
	done, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				r.mu.Lock()
				r.say("%s, %s: %d %s", r.elapsed(), r.step, r.count, r.unit)
				r.mu.Unlock()
			}
		}
	}()
	return func() {
		close(done)
		<-over
	}
}
