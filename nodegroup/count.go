package nodegroup

import (
	"context"
	"sync/atomic"
)

// counterKey finds the counter of a context.
type counterKey struct{}

// counting returns a context in which Count counts.
func counting(ctx context.Context) (context.Context, *atomic.Int64) {
	counter := new(atomic.Int64)
	return context.WithValue(ctx, counterKey{}, counter), counter
}

// Count takes note of a call to AWS that is made for an instance. Those who make
// calls do it with the context that they were given.
func Count(ctx context.Context) {
	if counter, ok := ctx.Value(counterKey{}).(*atomic.Int64); ok {
		counter.Add(1)
	}
}
