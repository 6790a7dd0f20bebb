package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
)

const (
	moves = 40
	// floats is how many addresses move: what was assigned stays on the ENI,
	// which has room for 30.
	floats   = 20
	moveGap  = 150 * time.Millisecond
	restTime = 20 * time.Second
	// settleTime lets connections that fall idle be closed before it is at rest.
	settleTime = 10 * time.Second
)

// sidecar starts "ipmgr sidecar" in a new pod and waits until it is ready.
func (b *bench) sidecar(ctx context.Context, w *world, settings ...string) (*netlab.Pod, *exec.Cmd, error) {
	pod, err := w.pod(1)
	if err != nil {
		return nil, nil, err
	}
	cmd := b.command(ctx, w, "sidecar", settings...)
	if err := pod.Start(cmd); err != nil {
		return nil, nil, err
	}
	for range 100 {
		probe := b.command(ctx, w, "ready")
		if err := pod.Start(probe); err != nil {
			return nil, nil, err
		}
		if probe.Wait() == nil {
			return pod, cmd, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, nil, fmt.Errorf("%w: %s", errNoSidecar, cmd.Stderr)
}

// floating measures the time from the kernel's event to EC2.
func floating(ctx context.Context, b *bench) error {
	w, err := b.newWorld(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	pod, cmd, err := b.sidecar(ctx, w)
	if err != nil {
		return err
	}
	defer stop(cmd)
	var delays []time.Duration
	for i := range moves {
		vip := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 10, 1, byte(100 + i%floats)}), 32)
		added := time.Now()
		if err := pod.AddAddr("net1", vip); err != nil {
			return err
		}
		time.Sleep(moveGap)
		at, ok := arrival(w, vip.Addr())
		if !ok {
			return fmt.Errorf("no Assign for %s within %v", vip.Addr(), moveGap)
		}
		delays = append(delays, at.Sub(added))
		if err := pod.DelAddr("net1", vip); err != nil {
			return err
		}
		w.sim.Reset() // forget the calls
	}
	b.figure(fmt.Sprintf("address added to Assign received, median of %d", moves), milliseconds(percentile(delays, 50)), "2 ms (original: 252)")
	b.figure("the same, 90th percentile", milliseconds(percentile(delays, 90)), "10 ms (original: 428)")
	return nil
}

// arrival is when EC2 was asked to assign addr, and did.
func arrival(w *world, addr netip.Addr) (time.Time, bool) {
	for _, call := range w.sim.Calls(true) {
		for _, value := range call.Params {
			if call.Action == "AssignPrivateIpAddresses" && value == addr.String() && call.Result == "ok" {
				return call.At, true
			}
		}
	}
	return time.Time{}, false
}

// rest measures what a sidecar costs while nothing happens.
func rest(ctx context.Context, b *bench) error {
	w, err := b.newWorld(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	_, cmd, err := b.sidecar(ctx, w, "IPMGR_RESYNC=1h")
	if err != nil {
		return err
	}
	defer stop(cmd)
	time.Sleep(settleTime)
	before, err := cpuTime(cmd.Process.Pid)
	if err != nil {
		return err
	}
	time.Sleep(restTime)
	after, err := cpuTime(cmd.Process.Pid)
	if err != nil {
		return err
	}
	pss, err := proportional(cmd.Process.Pid)
	if err != nil {
		return err
	}
	b.figure(fmt.Sprintf("CPU charged in %v between resyncs", restTime), milliseconds(after-before), "none (original: 370 ms)")
	b.figure("memory, PSS", fmt.Sprintf("%.1f MiB", pss), "12 MiB or less (original: 57)")
	return nil
}

func stop(cmd *exec.Cmd) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait()
}

// cpuTime sums what the scheduler charged to each thread (schedstat(5): its
// first field is nanoseconds on a CPU).
func cpuTime(pid int) (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("the kernel offers no schedstat for process %d", pid)
	}
	var sum time.Duration
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return 0, err
		}
		ns, err := strconv.ParseInt(string(bytes.Fields(text)[0]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// proportional is the process's proportional set size in MiB.
func proportional(pid int) (float64, error) {
	return memory(pid, "smaps_rollup", "Pss:")
}

// memory reads one line, given in kB, of a file of the process in MiB.
func memory(pid int, file, label string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, label); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024, err
		}
	}
	return 0, fmt.Errorf("process %d: no %s in %s", pid, label, file)
}
