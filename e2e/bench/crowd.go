package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/bench/cluster"
)

// crowdLimit is the heap limit that the webhook takes in a container of 128 MiB,
// the chart's limit: 75 % of it (process.LimitMemory).
const crowdLimit = "GOMEMLIMIT=96MiB"

// crowd starts the webhook in a cluster with far more objects than telcos have,
// and some that are made to be too large.
func crowd(ctx context.Context, b *bench) error {
	dir := filepath.Join(b.dir, "crowd")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	c, err := cluster.Start(ctx, dir, os.Stderr, map[string]string{"feature-gates": "WatchList=false"})
	if err != nil {
		return err
	}
	defer func() { _ = c.Stop() }()
	if err := c.Gather(ctx, cluster.Crowd{Namespaces: 10_000, LargeNADs: 5}); err != nil {
		return err
	}
	if err := c.Install(ctx, b.bin("webhook"), []string{crowdLimit}, "--image", "example.invalid/ipmgr:bench"); err != nil {
		return err
	}
	pid, err := running(b.bin("webhook"))
	if err != nil {
		return err
	}
	peak, err := memory(pid, "status", "VmHWM:")
	if err != nil {
		return err
	}
	b.figure("most resident memory until ready", fmt.Sprintf("%.1f MiB", peak), "less than 128 MiB")
	b.figure("from start to ready", c.StartTime().Round(10*time.Millisecond).String(), "")
	return nil
}
