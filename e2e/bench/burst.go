package main

import (
	"context"
	"fmt"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/bench/burst"
)

// thousandPods measures whether a herd of pods wastes EC2's budget.
func thousandPods(ctx context.Context, b *bench) error {
	r, err := burst.Run(ctx, 1000, 10*time.Minute)
	if err != nil {
		return err
	}
	b.figure("time over what the buckets allow", fmt.Sprintf("%.2f", r.Took.Seconds()/r.Allowed.Seconds()), "1.15 or less")
	b.figure("pods that failed", fmt.Sprint(r.Failed), "none")
	b.figure("EC2 calls a pod, throttled ones included", fmt.Sprintf("%.1f", float64(r.Calls)/float64(r.Pods)), "")
	return nil
}
