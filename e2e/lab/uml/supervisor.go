package uml

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// supervisorName is the first argument of a supervisor.
const supervisorName = "uml-supervisor"

// killAfter follows SIGTERM, upon which a kernel ends in an orderly way.
const killAfter = 500 * time.Millisecond

// Exit codes of the supervisor beside the kernel's own.
const (
	exitNoStart  = 125
	exitSignaled = 128 // plus the signal
)

// Main does the supervisor's work, and does not return, in a process that
// [Spawn] started. In all others it does nothing.
func Main() {
	if len(os.Args) > 2 && os.Args[0] == supervisorName {
		turn, err := strconv.Atoi(os.Args[1])
		if err == nil {
			err = stay(turn)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "the kernel's processes run on any processor, which makes them slow:", err)
		}
		os.Exit(supervise(os.Stdin, os.Args[2:])) //nolint:revive // it is what main would do
	}
}

// stay keeps this thread, and what it starts, on one processor. The kernel and
// the process that it traces take turns at each system call and page fault; a
// turn on the same processor takes a quarter of the time of one on another.
func stay(turn int) error {
	runtime.LockOSThread()
	var may, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		return err
	}
	turn %= may.Count()
	processor := 0
	for ; turn > 0 || !may.IsSet(processor); processor++ {
		if may.IsSet(processor) {
			turn--
		}
	}
	one.Set(processor)
	return unix.SchedSetaffinity(0, &one)
}

// supervise runs a command in a process group of its own until it ends or hold
// does, clears the group and returns the command's exit code.
func supervise(hold io.Reader, command []string) int {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP) // who ends before its group leaves the group
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})  // a panic is an abort; its core is of no use
	cmd := exec.Command(command[0], command[1:]...)                //nolint:gosec // what its parent wants
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		return exitNoStart
	}
	group := -cmd.Process.Pid
	go func() {
		_, _ = io.Copy(io.Discard, hold)
		_ = syscall.Kill(cmd.Process.Pid, syscall.SIGTERM)
		time.Sleep(killAfter)
		_ = syscall.Kill(group, syscall.SIGKILL)
	}()
	err := cmd.Wait()
	_ = syscall.Kill(group, syscall.SIGKILL)
	return exitCode(err)
}

func exitCode(err error) int {
	exit := (*exec.ExitError)(nil)
	if err == nil || !errors.As(err, &exit) {
		return 0
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitSignaled + int(status.Signal())
	}
	return exit.ExitCode()
}
