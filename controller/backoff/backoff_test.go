package backoff_test

import (
	"math"
	"testing"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/controller/backoff"
)

func TestDelay(t *testing.T) {
	for _, c := range []struct {
		name     string
		failures int
		random   float64
		want     time.Duration
	}{
		{"the first wait is at least half of the base", 1, 0, 500 * time.Millisecond},
		{"the first wait is at most the base", 1, 1, time.Second},
		{"no failure waits like the first", 0, 1, time.Second},
		{"each failure doubles it", 4, 1, 8 * time.Second},
		{"chance halves it", 4, 0, 4 * time.Second},
		{"it ends at the maximum", 7, 1, time.Minute},
		{"it stays there", 1000, 1, time.Minute},
		{"it does not overflow", math.MaxInt32, 0.5, 45 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := backoff.Backoff{Base: time.Second, Max: time.Minute, Rand: func() float64 { return c.random }}
			if got := b.Delay(c.failures); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
