package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/controlplane"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
)

// dirKey is the environment variable that tells the demo inside the lab where
// its files are.
const dirKey = "MULTUS_IPMGR_DEMO"

// interruptedFile tells the demo inside of a signal that came before it could
// listen.
const interruptedFile = "interrupted"

const module = "github.com/multus-ipmgr/multus-ipmgr"

// outside does what needs the world outside the lab, which is to build programs
// that may need modules, enters the lab, and cleans up behind it.
func outside(o options) int {
	began := time.Now()
	dieWithParent()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	dir, err := os.MkdirTemp("", "multus-ipmgr-demo-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return exitFailed
	}
	defer func() { _ = os.RemoveAll(dir) }() // the demo inside has verified that it is empty
	switch err := prepare(ctx, o, dir); {
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "demo: interrupted")
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		return exitFailed
	}
	defer func() { fmt.Fprintf(os.Stdout, "\n     %s in all\n", round(time.Since(began))) }()
	context.AfterFunc(ctx, func() { _ = os.WriteFile(filepath.Join(dir, interruptedFile), nil, 0o600) })
	return netlab.Run(func() int { return inside(o, dir) })
}

// dieWithParent makes the end of "go run" or make a SIGTERM to the demo: they
// do not pass it on.
func dieWithParent() {
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0, 0, 0) // without it, Ctrl-C still works
}

// prepare leaves the product's programs in dir/bin and the tool programs in
// their cache.
func prepare(ctx context.Context, o options, dir string) error {
	programs := []string{"webhook", "ipmgr", "vpcsim"}
	bin := filepath.Join(dir, "bin")
	var err error
	if o.bin == "" {
		err = build(ctx, bin, programs)
	} else {
		err = use(o.bin, bin, programs)
	}
	if err != nil {
		return err
	}
	// All that the tools leave when they are interrupted goes with dir.
	if err := os.Setenv("TMPDIR", dir); err != nil {
		return err
	}
	if err := controlplane.Prepare(ctx, controlplane.Options{Progress: os.Stderr}); err != nil {
		return err
	}
	return os.Setenv(dirKey, dir)
}

// use takes programs that were built before.
func use(from, bin string, names []string) error {
	from, err := filepath.Abs(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(from, name)); err != nil {
			return fmt.Errorf("%w: make build leaves it there", err)
		}
	}
	return os.Symlink(from, bin)
}

// build builds the project's programs.
func build(ctx context.Context, bin string, names []string) error {
	stop := tell("building "+strings.Join(names, ", "), 5*time.Second)
	defer stop()
	args := []string{"build", "-trimpath", "-ldflags=-s -w", "-o", bin + "/"}
	for _, name := range names {
		args = append(args, module+"/cmd/"+name)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stderr = os.Stderr // the compiler's complaints
	if err := cmd.Run(); err != nil {
		return errors.Join(fmt.Errorf("build %s: %w", strings.Join(names, ", "), err), ctx.Err())
	}
	return nil
}

// tell says every so often that something still goes on, until stop is called.
func tell(what string, every time.Duration) (stop func()) {
	began, over := time.Now(), make(chan struct{})
	fmt.Fprintln(os.Stderr, what)
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprintf(os.Stderr, "%s: %d s\n", what, int(time.Since(began).Seconds()))
			case <-over:
				return
			}
		}
	}()
	return func() { close(over) }
}
