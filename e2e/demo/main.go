// Command demo tells the story of multus-ipmgr on this machine in network
// namespaces: pods whose Multus addresses do not reach each other, the label
// that cures it, a floating address that survives its worker, and a network that
// is refused with the command that fixes it.
//
//	make demo
//
// The webhook's decisions are those of its own handlers, the program ipmgr runs
// as the admitted pods say, and pings are frames that pass the simulated VPC.
// What is played instead of real is said in the first lines; e2e/lab/demo tells
// the story on real kubelets. Each claim is verified before it is printed.
//
// It exits 0 when all claims held, 1 when one did not or something failed, 2
// for bad usage, and 130 when it was interrupted. It leaves nothing behind.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
)

// Exit codes.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

const (
	// dirKey is the environment variable that tells the demo in the namespaces
	// where its files are.
	dirKey = "MULTUS_IPMGR_DEMO"
	// interruptedFile tells it of a signal that came before it could listen.
	interruptedFile = "interrupted"
)

func main() {
	ipmgr := flag.String("ipmgr", beside("ipmgr"), "`file` of the program ipmgr")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(exitUsage)
	}
	if dir := os.Getenv(dirKey); dir != "" {
		os.Exit(netlab.Run(func() int { return inside(*ipmgr, dir) }))
	}
	os.Exit(outside(*ipmgr))
}

// beside is the path of a program in the directory of this one.
func beside(name string) string {
	self, err := os.Executable()
	if err != nil {
		return name
	}
	return filepath.Join(filepath.Dir(self), name)
}

// outside makes a directory for files, enters the namespaces, and cleans up
// behind the demo that ran there.
func outside(ipmgr string) int {
	dieWithParent()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	dir, err := os.MkdirTemp("", "demo-")
	if err == nil {
		err = os.Setenv(dirKey, dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return exitFailed
	}
	context.AfterFunc(ctx, func() { _ = os.WriteFile(filepath.Join(dir, interruptedFile), nil, 0o600) })
	code := netlab.Run(func() int { return inside(ipmgr, dir) })
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return exitFailed
	}
	return code
}

// dieWithParent makes the end of make a SIGTERM to the demo, which make does not
// pass on.
func dieWithParent() {
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0, 0, 0) // without it, Ctrl-C still works
}
