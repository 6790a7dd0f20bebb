package netlab

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// ownThread calls f, in a goroutine, on an operating system thread that ends
// with it: whatever f changed about the thread ends too, and the kernel sends
// its death signal to the processes that f started. The first thread of a
// process cannot end before the process does, so it is kept busy if chance
// chose it.
func ownThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f()
			return // locked, hence the thread ends
		}
		defer runtime.UnlockOSThread()
		done := make(chan struct{})
		ownThread(func() {
			defer close(done)
			f()
		})
		<-done
	}()
}

// onThread calls f on a thread of its own and waits.
func onThread(f func() error) error {
	done := make(chan error, 1)
	ownThread(func() { done <- f() })
	return <-done
}

// newNamespace makes a network namespace that lives as long as its handle.
func newNamespace() (netns.NsHandle, error) {
	ns := netns.None()
	err := onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		ns, err = netns.Get()
		return err
	})
	return ns, err
}

func doIn(ns netns.NsHandle, f func() error) error {
	return onThread(func() error {
		if err := netns.Set(ns); err != nil {
			return fmt.Errorf("enter the network namespace: %w", err)
		}
		return f()
	})
}

// runner is a thread in a namespace, without capabilities, that starts
// processes. It lives as long as the pod because the kernel sends a process
// its death signal when the thread that started it ends.
type runner struct {
	work chan func()
	gone chan struct{} // closed to end the thread
	over chan struct{} // closed when it ended
	once sync.Once
}

// errStopped is the answer to work for a pod that was closed.
var errStopped = errors.New("the pod is closed")

func startRunner(ns netns.NsHandle) (*runner, error) {
	r := &runner{work: make(chan func()), gone: make(chan struct{}), over: make(chan struct{})}
	ready := make(chan error, 1)
	ownThread(func() {
		defer close(r.over)
		if err := errors.Join(netns.Set(ns), dropCapabilities()); err != nil {
			ready <- err
			return
		}
		ready <- nil
		for {
			select {
			case f := <-r.work:
				f()
			case <-r.gone:
				return
			}
		}
	})
	return r, <-ready
}

// do calls f on the runner's thread.
func (r *runner) do(f func() error) error {
	done := make(chan error, 1)
	select {
	case r.work <- func() { done <- f() }:
		return <-done
	case <-r.gone:
		return errStopped
	}
}

// stop ends the thread and with it the processes it started; it reports
// whether this call did it.
func (r *runner) stop() bool {
	first := false
	r.once.Do(func() {
		close(r.gone)
		<-r.over
		first = true
	})
	return first
}

// dropCapabilities takes every capability from the calling thread and from all
// programs it will execute, although their user is the namespace's root.
func dropCapabilities() error {
	const noRoot = 1<<0 | 1<<1 // SECBIT_NOROOT and its lock, see capabilities(7)
	if err := unix.Prctl(unix.PR_SET_SECUREBITS, noRoot, 0, 0, 0); err != nil {
		return fmt.Errorf("set securebits: %w", err)
	}
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		// EINVAL: a capability that is newer than the kernel.
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("clear capabilities: %w", err)
	}
	return nil
}
