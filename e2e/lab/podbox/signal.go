package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// errNoProcess is a container that has no process in this worker.
var errNoProcess = errors.New("no process is in such a container")

// signalNumber reads one of the signals that a test sends.
func signalNumber(name string) (syscall.Signal, error) {
	known := map[string]syscall.Signal{"KILL": syscall.SIGKILL, "STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT, "TERM": syscall.SIGTERM}
	if number, ok := known[name]; ok {
		return number, nil
	}
	return 0, fmt.Errorf("signal %q: want KILL, STOP, CONT or TERM", name)
}

// signalContainer signals all processes of a container.
func signalContainer(proc string, number syscall.Signal, container string) error {
	processes, err := processesOf(proc, container)
	if err != nil {
		return err
	}
	return signalAll(processes, number)
}

// signalPod signals all processes that share a container's network namespace:
// those of all containers of its pod, and the one that keeps the namespace.
func signalPod(proc string, number syscall.Signal, container string) error {
	processes, err := processesOf(proc, container)
	if err != nil {
		return err
	}
	namespace, err := os.Readlink(filepath.Join(proc, strconv.Itoa(processes[0]), "ns", "net"))
	if err != nil {
		return err
	}
	return signalAll(matching(proc, func(dir string) bool {
		other, err := os.Readlink(filepath.Join(dir, "ns", "net"))
		return err == nil && other == namespace
	}), number)
}

// processesOf lists the processes of a container: its id is in the name of its
// control group.
func processesOf(proc, container string) ([]int, error) {
	processes := matching(proc, func(dir string) bool {
		group, err := os.ReadFile(filepath.Join(dir, "cgroup"))
		return err == nil && strings.Contains(string(group), container)
	})
	if container == "" || len(processes) == 0 {
		return nil, fmt.Errorf("%q: %w", container, errNoProcess)
	}
	return processes, nil
}

func matching(proc string, match func(dir string) bool) (processes []int) {
	dirs, _ := filepath.Glob(filepath.Join(proc, "[0-9]*")) // the pattern is well-formed
	for _, dir := range dirs {
		if process, err := strconv.Atoi(filepath.Base(dir)); err == nil && match(dir) {
			processes = append(processes, process)
		}
	}
	return processes
}

// signalAll signals processes. One that has ended meanwhile is not an error.
func signalAll(processes []int, number syscall.Signal) error {
	var errs []error
	for _, p := range processes {
		if err := syscall.Kill(p, number); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("process %d: %w", p, err))
		}
	}
	return errors.Join(errs...)
}
