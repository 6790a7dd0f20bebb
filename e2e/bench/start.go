package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const starts = 20

// initCPU measures what one pod start costs its worker and EC2.
func initCPU(ctx context.Context, b *bench) error {
	w, err := b.newWorld(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	cpu, _, err := b.starts(ctx, w, 1)
	if err != nil {
		return err
	}
	calls := callsPer(w, starts)
	whole, _, err := b.starts(ctx, w, 1, trusting(w.bundles.whole))
	if err != nil {
		return err
	}
	b.figure(fmt.Sprintf("CPU from start to exit, median of %d", starts), milliseconds(percentile(cpu, 50)), "25 ms or less (Python original: 650)")
	b.figure(fmt.Sprintf("the same with the system's %d roots", w.bundles.roots), milliseconds(percentile(whole, 50)), "")
	b.figure("EC2 calls of a pod start, with IMDS", calls, "1 Assign per ENI and family, no Describe")
	return nil
}

// initLatency measures how many EC2 calls init makes one after the other.
func initLatency(ctx context.Context, b *bench) error {
	w, err := b.newWorld(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	const latency = 100 * time.Millisecond
	if err := w.sim.Set(`{"latency": "100ms"}`); err != nil {
		return err
	}
	_, wall, err := b.starts(ctx, w, 2)
	if err != nil {
		return err
	}
	ratio := percentile(wall, 50).Seconds() / latency.Seconds()
	b.figure(fmt.Sprintf("start to exit, median of %d", starts), fmt.Sprintf("%.2f round trips", ratio), "1.4 round trips or less (original: 10)")
	return nil
}

// starts runs ipmgr init again and again in a new pod.
func (b *bench) starts(ctx context.Context, w *world, nets int, settings ...string) (cpu, wall []time.Duration, err error) {
	pod, err := w.pod(nets)
	if err != nil {
		return nil, nil, err
	}
	for i := range starts + 1 {
		cmd := b.command(ctx, w, "init", settings...)
		began := time.Now()
		if err := pod.Start(cmd); err != nil {
			return nil, nil, err
		}
		if err := finish(cmd); err != nil {
			return nil, nil, err
		}
		if i == 0 {
			w.sim.Reset() // the first run warms the page cache
			continue
		}
		wall = append(wall, time.Since(began))
		cpu = append(cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	}
	return cpu, wall, nil
}

// callsPer renders the EC2 calls of one start by action.
func callsPer(w *world, runs int) string {
	counts := map[string]int{}
	for _, call := range w.sim.Calls(false) {
		counts[strings.TrimSuffix(call.Action, "PrivateIpAddresses")]++
	}
	var parts []string
	for action, n := range counts {
		parts = append(parts, fmt.Sprintf("%.3g %s", float64(n)/float64(runs), action))
	}
	return strings.Join(parts, ", ")
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}
