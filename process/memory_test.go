package process

import (
	"errors"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

func TestGarbageIsCollectedLazilyOnlyWithinALimit(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name      string
		container memlimit.Provider
		environ   string // GOMEMLIMIT, which Go reads before main
		limit     int64
		percent   int
	}{
		{name: "a container of 128 MiB", container: memlimit.Limit(128 * mib), limit: 128 * mib * 75 / 100, percent: lazyGC},
		{name: "a container without limit", container: func() (uint64, error) { return 0, memlimit.ErrNoLimit }, limit: math.MaxInt64, percent: 100},
		{name: "no container", container: func() (uint64, error) { return 0, errors.New("no cgroup") }, limit: math.MaxInt64, percent: 100},
		{name: "a limit of the user's", container: memlimit.Limit(128 * mib), environ: "64MiB", limit: 64 * mib, percent: lazyGC},
	} {
		t.Run(c.name, func(t *testing.T) {
			limit, percent := debug.SetMemoryLimit(math.MaxInt64), debug.SetGCPercent(100)
			defer func() {
				debug.SetMemoryLimit(limit)
				debug.SetGCPercent(percent)
			}()
			t.Setenv("GOMEMLIMIT", c.environ)
			if c.environ == "" {
				if err := os.Unsetenv("GOMEMLIMIT"); err != nil { // Setenv restores it
					t.Fatal(err)
				}
			} else {
				debug.SetMemoryLimit(64 * mib)
			}
			limitMemory(t.Context(), c.container, slog.New(slog.DiscardHandler))
			if got := debug.SetMemoryLimit(-1); got != c.limit {
				t.Errorf("limit %d, want %d", got, c.limit)
			}
			if got := debug.SetGCPercent(100); got != c.percent {
				t.Errorf("GC percent %d, want %d", got, c.percent)
			}
		})
	}
}
