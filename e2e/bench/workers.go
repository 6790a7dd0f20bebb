package main

import (
	"context"
	"fmt"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/bench/fleet"
)

// newWorkers measures what the Multus ENIs of workers cost that are launched.
func newWorkers(ctx context.Context, b *bench) error {
	for _, measure := range []func(context.Context, *bench) error{storms, oneWorker, lostEvent} {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
		err := measure(ctx, b)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// storms launches 50 workers at once, of one group and of two, under EC2's token
// buckets, where Describe calls show what was up to three seconds ago.
func storms(ctx context.Context, b *bench) error {
	const settings = `{throttle: true, pendingTime: 1s, describeLag: 3s, describeJitter: true}`
	for _, groups := range []int{1, 2} {
		const workers = 50
		f, err := fleet.Start(ctx, b.bin("nodegroup"), groups, false, settings)
		if err != nil {
			return err
		}
		r, err := f.Launch(ctx, workers/groups)
		if err == nil {
			// Two Modify calls for each ENI, of which a bucket of 100 gives 5 a second.
			least := time.Duration(workers*fleet.ENIsPerWorker*2-100) * time.Second / 5
			name := fmt.Sprintf("%d workers, %d ENIs each, %d group(s): ", workers, fleet.ENIsPerWorker, groups)
			b.figure(name+"Creates per ENI", fmt.Sprintf("%.2f", float64(r.Creates)/float64(workers*fleet.ENIsPerWorker)), "1.3 or less (floor 1)")
			b.figure("  first event to last CONTINUE, by the arithmetic", fmt.Sprintf("%.2f", r.Took.Seconds()/least.Seconds()), "1.25 or less")
			b.figure("  ENIs that are left over, missing, in reservations", fmt.Sprint(r.Surplus, r.Lacking, r.Reserved), "none")
		}
		if err := f.Close(); err != nil {
			return err
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// oneWorker launches one, with 100 ms for each call.
func oneWorker(ctx context.Context, b *bench) error {
	const latency = 100 * time.Millisecond
	f, err := fleet.Start(ctx, b.bin("nodegroup"), 1, false, `{latency: 100ms}`)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // what it can fail of shows above
	r, err := f.Launch(ctx, 1)
	if err != nil {
		return err
	}
	b.figure("one worker: event to CONTINUE, in round trips", fmt.Sprintf("%.1f", r.Took.Seconds()/latency.Seconds()), "10 or less")
	b.figure("one worker: calls of EC2 and of Auto Scaling", fmt.Sprint(r.EC2, r.Scaling), "18 and 2 or less")
	calls, err := f.IdleSweep(ctx)
	if err != nil {
		return err
	}
	b.figure("calls of an idle sweep", fmt.Sprint(calls), "2 or less")
	sweep := f.Command(ctx, b.bin("nodegroup"), "--sweep")
	if out, err := sweep.CombinedOutput(); err != nil {
		return fmt.Errorf("nodegroup --sweep: %w\n%s", err, out)
	}
	cpu := sweep.ProcessState.UserTime() + sweep.ProcessState.SystemTime()
	b.figure("CPU of nodegroup from its start to the end of that", cpu.Round(time.Millisecond).String(), "100 ms or less")
	return nil
}

// lostEvent launches one whose event is lost: the sweep finds it.
func lostEvent(ctx context.Context, b *bench) error {
	f, err := fleet.Start(ctx, b.bin("nodegroup"), 1, true, `{eventLoss: 1}`)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // what it can fail of shows above
	r, err := f.Launch(ctx, 1)
	if err != nil {
		return err
	}
	b.figure("one worker, its event lost: launch to CONTINUE", fmt.Sprintf("%.0f s", r.Took.Seconds()), "75 s or less")
	return nil
}
