// Package program runs one of the project's programs beside the bench: its
// output goes to a file, and it never outlives the bench.
package program

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Program is a program that was started.
type Program struct {
	name string
	log  string
	cmd  *exec.Cmd
	over chan struct{} // closed when it ended
}

// Start starts a program and writes all it says to NAME.log in dir. environ is
// added to the bench's own environment.
func Start(dir, path string, environ []string, args ...string) (*Program, error) {
	name := filepath.Base(path)
	p := &Program{name: name, log: filepath.Join(dir, name+".log"), cmd: exec.Command(path, args...), over: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Env = append(os.Environ(), environ...)
	// A group of its own: a terminal's Ctrl-C must not stop it before its users.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.start(log); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// start starts the command from a thread that stays until the process ends:
// the kernel sends Pdeathsig when the thread goes, not the process.
func (p *Program) start(log *os.File) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.over)
		defer log.Close()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // failure looks at the state
		}
	}()
	return <-started
}

// Until calls check, every 10 ms, until it returns nil. The error says that
// the program ended, or why the check failed when ctx ended.
func (p *Program) Until(ctx context.Context, check func(context.Context) error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.over:
			return p.failure()
		case <-ctx.Done():
			return fmt.Errorf("%s: %w; last: %w; its log ends:\n%s", p.name, ctx.Err(), err, p.Tail())
		}
	}
}

// Stop ends the program by SIGTERM and, after the grace period, by SIGKILL.
// It is an error if the program had ended before or did not exit with 0.
func (p *Program) Stop(grace time.Duration) error {
	select {
	case <-p.over:
		return p.failure()
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may be gone: then over says so
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.over:
	case <-timer.C:
		_ = p.cmd.Process.Kill()
		<-p.over
	}
	if p.cmd.ProcessState.ExitCode() != 0 {
		return p.failure()
	}
	return nil
}

func (p *Program) failure() error {
	return fmt.Errorf("%s ended (%s); its log ends:\n%s", p.name, p.cmd.ProcessState, p.Tail())
}

// Tail returns the last lines of the program's log.
func (p *Program) Tail() string {
	text, err := os.ReadFile(p.log)
	switch {
	case err != nil:
		return err.Error()
	case len(text) == 0:
		return "(it is empty)"
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}
