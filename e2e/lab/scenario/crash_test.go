//go:build lab

package scenario_test

import (
	"context"
	"testing"
	"time"
)

// crashTimeout is for a busy machine: the control plane misses a worker after
// 12 s, and the worker comes back in 8.
const crashTimeout = 3 * time.Minute

func TestAWorkerThatCrashesIsMissedAndComesBackUnderItsName(t *testing.T) {
	const worker = "worker-2"
	ctx, cancel := context.WithTimeout(t.Context(), crashTimeout)
	defer cancel()
	if err := bed.Crash(ctx, worker); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := bed.AwaitNode(ctx, worker, false); err != nil {
		t.Fatal(err)
	}
	t.Logf("missed after %s", time.Since(began).Round(time.Second))
	began = time.Now()
	if err := bed.Boot(worker); err != nil {
		t.Fatal(err)
	}
	if err := bed.AwaitNode(ctx, worker, true); err != nil {
		t.Fatal(err)
	}
	t.Logf("back after %s", time.Since(began).Round(time.Second))
}
