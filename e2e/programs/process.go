package programs

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Start starts a command that does not outlive this process: the kernel kills
// it then. It leads a process group, so that a terminal's Ctrl-C does not stop
// it before its users.
func Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGKILL
	started := make(chan error, 1)
	go func() {
		// The kernel sends Pdeathsig when this thread ends, not this process: the
		// thread stays until the command has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		pid := cmd.Process.Pid
		started <- nil
		awaitEnd(pid)
	}()
	return <-started
}

// awaitEnd waits until a child has ended, and leaves its exit status to who
// waits for the command.
func awaitEnd(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// Process is a process that was started beside this one.
type Process struct {
	cmd  *exec.Cmd
	over chan struct{} // closed when it ended
}

// Watch waits for a command that was started.
func Watch(cmd *exec.Cmd) *Process {
	p := &Process{cmd: cmd, over: make(chan struct{})}
	go func() {
		defer close(p.over)
		_ = cmd.Wait() // the state says more
	}()
	return p
}

// Over is closed when the process has ended.
func (p *Process) Over() <-chan struct{} { return p.over }

// Signal sends a signal.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Stop ends the process by SIGTERM and, after the grace period, by SIGKILL.
func (p *Process) Stop(grace time.Duration) {
	_ = p.Signal(syscall.SIGTERM) // it may have ended: then over says so
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.over:
	case <-timer.C:
		_ = p.Signal(syscall.SIGKILL)
		<-p.over
	}
}

// Code returns the exit code of a process that has ended.
func (p *Process) Code() int { return ExitCode(p.cmd.ProcessState) }

// ExitCode follows the shell: 128 plus the signal that killed the process.
func ExitCode(s *os.ProcessState) int {
	if status, ok := s.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return s.ExitCode()
}
