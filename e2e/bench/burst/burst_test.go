package burst_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/bench/burst"
)

// In virtual time no machine can be too slow for it, and the pods of the design
// are enough that the last one's pause of up to 20 s cannot decide.
func TestManyPodsStartAsFastAsTheTokenBucketsAllow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := burst.Run(t.Context(), 1000, 10*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d pods in %v, the buckets allow %v; %d EC2 calls", r.Pods, r.Took, r.Allowed, r.Calls)
		if r.Failed != 0 || r.Routed != r.Pods {
			t.Errorf("%d pods failed, %d of %d addresses are routed: %v", r.Failed, r.Routed, r.Pods, r.Errors)
		}
		if ratio := r.Took.Seconds() / r.Allowed.Seconds(); ratio > 1.15 {
			t.Errorf("took %.2f times what the buckets allow, want 1.15 or less", ratio)
		}
	})
}

// The kubelet ends a sidecar whose startup probe failed for five minutes. More
// of them than the buckets serve in that time lose their back-off then. This is
// the same at half the size, which does not keep a loaded machine for minutes:
// of 2,000 sidecars and 300 s the ratio is no worse.
func TestMoreSidecarsThanStartWithinTheirProbeAreReadyInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := burst.Sidecars(t.Context(), 1000, 150*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d sidecars in %v, the buckets allow %v; %d EC2 calls, %d restarts", r.Pods, r.Took, r.Allowed, r.Calls, r.Restarts)
		if r.Failed != 0 || r.Routed != r.Pods {
			t.Errorf("%d sidecars failed, %d of %d addresses are routed: %v", r.Failed, r.Routed, r.Pods, r.Errors)
		}
		if r.Restarts == 0 {
			t.Error("no sidecar started afresh: the test shows nothing")
		}
		if ratio := r.Took.Seconds() / r.Allowed.Seconds(); ratio > 1.25 {
			t.Errorf("took %.2f times what the buckets allow, want 1.25 or less", ratio)
		}
	})
}
