package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// A tree like /proc, with real processes: two in containers of one pod, one of
// another pod.
func TestSignalsReachAContainerOrItsPod(t *testing.T) {
	for name, c := range map[string]struct {
		signal func(proc string, number syscall.Signal, container string) error
		want   []bool // whether the first, second and third process ended
	}{
		"the container": {signalContainer, []bool{true, false, false}},
		"its pod":       {signalPod, []bool{true, true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			proc, processes := t.TempDir(), []*exec.Cmd{nil, nil, nil}
			for i, namespace := range []string{"net:[1]", "net:[1]", "net:[2]"} {
				processes[i] = exec.Command("sleep", "60")
				if err := processes[i].Start(); err != nil {
					t.Fatal(err)
				}
				enter(t, proc, processes[i].Process.Pid, "c"+strconv.Itoa(i), namespace)
			}
			err := c.signal(proc, syscall.SIGTERM, "c0")
			for i, p := range processes {
				_ = p.Process.Kill() // those that were spared
				_ = p.Wait()
				status, ok := p.ProcessState.Sys().(syscall.WaitStatus)
				if ended := ok && status.Signal() == syscall.SIGTERM; ended != c.want[i] {
					t.Errorf("process %d: ended by the signal %t, want %t", i, ended, c.want[i])
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func enter(t *testing.T, proc string, process int, container, namespace string) {
	t.Helper()
	dir := filepath.Join(proc, strconv.Itoa(process))
	if err := os.MkdirAll(filepath.Join(dir, "ns"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup"), []byte("0::/k8s.io/"+container+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(namespace, filepath.Join(dir, "ns", "net")); err != nil {
		t.Fatal(err)
	}
}

func TestASignalWithoutReceiverIsAnError(t *testing.T) {
	for _, container := range []string{"", "c0"} {
		if err := signalContainer(t.TempDir(), syscall.SIGTERM, container); !errors.Is(err, errNoProcess) {
			t.Errorf("container %q: %v", container, err)
		}
		if err := signalPod(t.TempDir(), syscall.SIGTERM, container); !errors.Is(err, errNoProcess) {
			t.Errorf("pod of container %q: %v", container, err)
		}
	}
	if _, err := signalNumber("HUP"); err == nil {
		t.Error("a signal that no test sends is known")
	}
}
