package controlplane

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// errPortTaken is the end of a process that lost the race for its port.
var errPortTaken = errors.New("the port was taken")

// process is one program of the control plane.
type process struct {
	name string
	log  string
	cmd  *exec.Cmd
	over chan struct{} // closed when the process ended
}

// launch starts a program whose output goes to a log file. It leads a process
// group, so that a terminal's Ctrl-C does not stop it before its users, and
// the kernel kills it when this process ends.
func (cp *ControlPlane) launch(path string, args ...string) (*process, error) {
	name := filepath.Base(path)
	p := &process{name: name, log: filepath.Join(cp.dir, name+".log"), over: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command(path, args...)
	p.cmd.Dir = cp.dir
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.start(); err != nil {
		return nil, err
	}
	cp.processes = append(cp.processes, p)
	return p, nil
}

// start starts the command from a thread that stays until the process ends:
// the kernel sends Pdeathsig when the thread goes, not the process.
func (p *process) start() error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.over)
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // failure looks at the state
		}
	}()
	return <-started
}

// kill ends the process and all it started.
func (p *process) kill() error {
	select {
	case <-p.over:
		return nil
	default:
	}
	err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.over
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// failure describes a process that ended by itself.
func (p *process) failure() error {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err
	}
	cause := errors.New(p.cmd.ProcessState.String())
	if bytes.Contains(text, []byte("address already in use")) {
		cause = errPortTaken
	}
	return fmt.Errorf("%s ended: %w; the end of its log:\n%s", p.name, cause, tail(string(text), 15))
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
