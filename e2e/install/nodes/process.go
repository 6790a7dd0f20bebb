package nodes

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Process is a process that does not outlive this one.
type Process struct {
	cmd  *exec.Cmd
	over chan struct{} // closed when it ended
}

// Run starts a program whose output is added to a log file. The environment is
// env and nothing else.
func Run(log, path string, args, env []string) (*Process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	p := &Process{cmd: exec.Command(path, args...), over: make(chan struct{})}
	p.cmd.Env = append([]string{}, env...) // not nil, which would be ours
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		// The kernel sends Pdeathsig when this thread ends, not this process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.over)
		defer out.Close()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // Code says how
		}
	}()
	return p, <-started
}

// Over is closed when the process ended.
func (p *Process) Over() <-chan struct{} { return p.over }

// Signal sends a signal.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// Stop ends the process by SIGTERM and, after the grace period, by SIGKILL.
func (p *Process) Stop(grace time.Duration) {
	_ = p.Signal(syscall.SIGTERM) // it may be gone: then over says so
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.over:
	case <-timer.C:
		_ = p.Signal(syscall.SIGKILL)
		<-p.over
	}
}

// Code is the exit code of a process that is over, or 128 plus the signal that
// killed it.
func (p *Process) Code() int {
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return p.cmd.ProcessState.ExitCode()
}
