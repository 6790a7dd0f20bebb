// Command demo tells the story of multus-ipmgr in the lab, with real kubelets:
// pods whose Multus addresses do not reach each other, the label that cures it,
// and a floating address that follows its application to another worker.
//
//	make demo-lab
//
// The commands that it prints are run, and each claim is verified. It exits 0 when all claims held, 1 when one did not or something
// failed, 2 for bad usage, and 130 when it was interrupted. It leaves nothing
// behind but the cache of programs and, after a failure, the logs.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/uml"
)

// Exit codes.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func main() {
	uml.Main()
	if len(os.Args) > 1 {
		fmt.Fprintln(os.Stderr, "usage: demo")
		os.Exit(exitUsage)
	}
	os.Exit(run())
}

// run plays the demo in a directory of its own and removes it.
func run() int {
	dieWithParent()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	dir, err := os.MkdirTemp("", "demo-")
	if err == nil {
		// What the programs leave when they are interrupted goes with dir.
		err = os.Setenv("TMPDIR", dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return exitFailed
	}
	code := play(ctx, dir)
	if err := sweep(dir, code == exitFailed); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return exitFailed
	}
	return code
}

// dieWithParent makes the end of "go run" or make a SIGTERM to the demo: they
// do not pass it on.
func dieWithParent() {
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0, 0, 0) // without it, Ctrl-C still works
}

// sweep removes a directory, all but its logs if these are to be kept.
func sweep(dir string, keepLogs bool) error {
	logs, err := filepath.Glob(filepath.Join(dir, "lab-logs-*"))
	if err != nil {
		return err
	}
	if !keepLogs || len(logs) == 0 {
		return os.RemoveAll(dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if path := filepath.Join(dir, e.Name()); path != logs[0] {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return nil
}
