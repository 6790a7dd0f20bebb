package netlab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

// insideKey is the environment variable that marks the second run of a program
// that it is inside. Its value is the reason why not when the first run found
// that it cannot enter.
const insideKey = "MULTUS_IPMGR_NETLAB"

const inside = "inside"

// Run calls inner inside the lab and returns its exit code. The first call in
// a chain of programs starts the program again, with the same arguments and
// standard streams, in a user and network namespace of its own, hands signals
// on to it and waits; the program inside comes here again and calls inner.
//
// Where namespaces are refused, inner runs outside and [New] says why there.
func Run(inner func() int) int {
	if os.Getenv(insideKey) != "" {
		return inner()
	}
	code, err := reenter()
	if err == nil {
		return code
	}
	// The environment carries the reason to New, here and in child processes.
	if err := os.Setenv(insideKey, err.Error()); err != nil {
		fmt.Fprintln(os.Stderr, "netlab:", err)
	}
	return inner()
}

// entered returns nil inside the lab, else why this process is not there.
func entered() error {
	switch reason := os.Getenv(insideKey); reason {
	case inside:
		return nil
	case "":
		return fmt.Errorf("%w: the program did not start itself by netlab.Run", ErrUnavailable)
	default:
		return fmt.Errorf("%w: %s", ErrUnavailable, reason)
	}
}

// reenter runs this program inside and returns its exit code, or an error if
// it could not be started there.
func reenter() (int, error) {
	// The kernel ties Pdeathsig to the thread that forks, so keep it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// From now on, because the program inside may run before Start returns here.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	defer func() {
		signal.Stop(signals)
		close(signals)
	}()
	cmd, err := startInside(true)
	if err != nil && isRefusal(err) && os.Geteuid() == 0 {
		// Root needs no user namespace, and this machine gives none.
		cmd, err = startInside(false)
	}
	if err != nil {
		return 0, explain(err)
	}
	go forward(signals, cmd.Process)
	if err := cmd.Wait(); err != nil && cmd.ProcessState == nil {
		return 0, err
	}
	return programs.ExitCode(cmd.ProcessState), nil
}

func startInside(userNamespace bool) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	attr := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
		// A terminal's Ctrl-C then reaches the child once, through us.
		Setpgid: true,
	}
	if userNamespace {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	cmd := &exec.Cmd{
		Path: self, Args: os.Args,
		Env:   append(os.Environ(), insideKey+"="+inside),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		SysProcAttr: attr,
	}
	return cmd, cmd.Start()
}

// forward hands signals on to p.
func forward(signals <-chan os.Signal, p *os.Process) {
	for s := range signals {
		_ = p.Signal(s) // the process may be gone: then Wait says so
	}
}

// explain adds to a refusal of the kernel what the user can do about it.
func explain(err error) error {
	if errors.Is(err, ErrUnavailable) || !isRefusal(err) {
		return err
	}
	return fmt.Errorf("%w: %w; %s", ErrUnavailable, err, advice())
}

func isRefusal(err error) bool {
	for _, errno := range []error{syscall.EPERM, syscall.EACCES, syscall.ENOSPC, syscall.EUSERS, syscall.EINVAL, syscall.EOPNOTSUPP} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// advice names the switch that is off on this machine.
func advice() string {
	switches := []struct{ path, off, cure string }{
		{"/proc/sys/kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
		{"/proc/sys/user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=1000"},
		{"/proc/sys/user/max_net_namespaces", "0", "sudo sysctl -w user.max_net_namespaces=1000"},
	}
	for _, s := range switches {
		if firstLine(s.path) == s.off {
			return "allow them with: " + s.cure
		}
	}
	return "run as root, or where user namespaces, veth and bridge are allowed (a container needs --privileged)"
}

func firstLine(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	var line string
	if _, err := fmt.Fscanln(io.LimitReader(f, 64), &line); err != nil {
		return ""
	}
	return line
}
