// Package uml runs User-Mode Linux kernels: Linux as an ordinary process, here
// one per worker. A kernel is a group of processes (it traces helpers of its
// own), and a killed parent leaves the helpers behind; so a supervisor, which is
// this very program run again, owns the group and clears it, whatever ends
// first: the kernel, the supervisor's parent, or the wish of its parent.
//
// A program that spawns kernels calls [Main] before all else.
package uml

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Spec describes one kernel.
type Spec struct {
	// Name is its host name, and names its files in Dir.
	Name string
	// Dir keeps sockets and the console log. It must exist, and be short: a
	// path in it names a unix socket.
	Dir string
	// Kernel is the path of the UML binary.
	Kernel string
	// Preload is the library of [Preload], or "".
	Preload string
	// Memory is what the guest sees, such as 768M. The host pays for what is
	// used only.
	Memory string
	// Init is the first program, as a path on the host. It sees the host's
	// file system, read-only.
	Init string
	// Args are added to the kernel's command line, where Init finds them.
	Args []string
	// Links are the network interfaces vec0, vec1, ...
	Links []Link
	// Turn picks the one processor of this machine on which the kernel and all
	// its processes run: kernels of different turns run side by side.
	Turn int
}

// Link is one network interface, a cable as of package wire.
type Link struct {
	Socket string
	MAC    string
	// MTU is the largest that the interface may be set to; 1500 by default.
	MTU int
}

// transport is the kernel's name for a cable.
func (l Link) transport() string {
	text := fmt.Sprintf("transport=bess,dst=%s,depth=128,mac=%s", l.Socket, l.MAC)
	if l.MTU > 0 {
		text += fmt.Sprintf(",mtu=%d", l.MTU)
	}
	return text
}

// Kernel is a running kernel.
type Kernel struct {
	spec Spec
	cmd  *exec.Cmd
	hold io.Closer // what the supervisor waits on
	over chan struct{}
	err  error // valid once over is closed
	end  sync.Once
}

// haltTimeout is how long a kernel may take to end. It takes 0.1 to 0.5 s; the
// supervisor kills it after killAfter.
const haltTimeout = 10 * time.Second

// Spawn starts a kernel. It runs until it halts, panics, or [Kernel.Stop].
func Spawn(s Spec) (*Kernel, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	console, err := os.OpenFile(s.Console(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer console.Close()
	k := &Kernel{spec: s, cmd: exec.Command(self, append([]string{strconv.Itoa(s.Turn)}, s.commandLine()...)...), over: make(chan struct{})}
	k.cmd.Args[0] = supervisorName
	k.cmd.Env = append(os.Environ(), "TMPDIR="+memoryDir())
	if s.Preload != "" {
		k.cmd.Env = append(k.cmd.Env, "LD_PRELOAD="+s.Preload)
	}
	k.cmd.Stdout, k.cmd.Stderr = console, console
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for our user, who then stops it
	if k.hold, err = k.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := k.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	go k.wait()
	return k, nil
}

func (k *Kernel) wait() {
	k.err = k.cmd.Wait()
	close(k.over)
}

// commandLine is the kernel's path and its arguments.
func (s Spec) commandLine() []string {
	args := []string{
		s.Kernel, "mem=" + s.Memory, "umid=" + s.Name, "uml_dir=" + s.Dir,
		"root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet",
		"panic=-1", "noreboot", // a panic ends the process at once
		"init=" + s.Init, "con=null", "con0=null,fd:1", "ssl=null",
	}
	for i, l := range s.Links {
		args = append(args, fmt.Sprintf("vec%d:%s", i, l.transport()))
	}
	return append(args, s.Args...)
}

// Console returns the path of the console log.
func (s Spec) Console() string { return filepath.Join(s.Dir, s.Name+".console") }

// memoryDir is where the guest's memory is a file. It must be a file system
// that allows to run programs, and in memory.
func memoryDir() string {
	if dir := os.Getenv("TMPDIR"); dir != "" && strings.HasPrefix(dir, "/dev/shm") {
		return dir
	}
	return "/dev/shm"
}

// Over is closed when the kernel has ended.
func (k *Kernel) Over() <-chan struct{} { return k.over }

// errHalted is the end of a kernel that its first program halted.
var errHalted = errors.New("it has halted")

// Err says how a kernel ended; nil as long as it runs.
func (k *Kernel) Err() error {
	select {
	case <-k.over:
	default:
		return nil
	}
	how := k.err
	if how == nil {
		how = errHalted
	}
	text, _ := os.ReadFile(k.spec.Console()) // best effort: the state is the message
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return fmt.Errorf("kernel of %s ended: %w; the end of its console:\n%s",
		k.spec.Name, how, strings.Join(lines[max(0, len(lines)-15):], "\n"))
}

// Stop ends the kernel as a power cut does and waits until nothing of it is
// left. It may be called more than once.
func (k *Kernel) Stop(ctx context.Context) error {
	k.end.Do(func() { _ = k.hold.Close() })
	timer := time.NewTimer(haltTimeout)
	defer timer.Stop()
	select {
	case <-k.over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return errors.New("the kernel of " + k.spec.Name + " does not end")
	}
}
