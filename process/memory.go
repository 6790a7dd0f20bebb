// Package process is what long-running programs of ours have in common: flags, the
// way to the API server, the server of metrics and probes, and a heap that stays
// within the container's memory. Package door bounds what strangers can hold of
// their ports.
//
// It knows nothing of what is served.
package process

import (
	"context"
	"log/slog"
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	// heapShare of the container's memory is the garbage collector's: the rest
	// is for what Go does not count, the program's own 30 MB above all, and for the
	// moment that it is late.
	heapShare = 0.75
	// lazyGC lets a program that has memory to spare collect four times as
	// rarely as Go's default of 100 would: its live heap is a few MiB, so that
	// the collector would run every few dozen requests.
	lazyGC = 400
)

// LimitMemory has Go's garbage collector keep the heap within the memory that
// the container may use, as its cgroup says. Only where there is such a limit
// is garbage collected lazily: without one, nothing would end the growth.
//
// GOMEMLIMIT in the environment is obeyed instead.
func LimitMemory(ctx context.Context, log *slog.Logger) {
	limitMemory(ctx, memlimit.FromCgroup, log)
}

func limitMemory(ctx context.Context, container memlimit.Provider, log *slog.Logger) {
	limit, err := memlimit.Set(memlimit.WithProvider(container), memlimit.WithRatio(heapShare))
	switch {
	case err != nil:
		log.LogAttrs(ctx, slog.LevelWarn, "memory limit unknown", slog.Any("error", err))
	case limit == math.MaxInt64:
		log.LogAttrs(ctx, slog.LevelInfo, "memory not limited")
	default:
		debug.SetGCPercent(lazyGC)
		log.LogAttrs(ctx, slog.LevelInfo, "memory limited", slog.Int64("heapBytes", limit))
	}
}
