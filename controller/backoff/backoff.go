// Package backoff says how long to wait before trying again: longer after each
// failure, and never as long as a neighbour who failed at the same moment.
package backoff

import "time"

// Backoff is a rule for waiting. It holds no state and is safe for concurrent
// use if Rand is.
type Backoff struct {
	// Base is the longest wait after the first failure; each further failure
	// doubles it up to Max.
	Base, Max time.Duration
	// Rand returns a random number in [0,1).
	Rand func() float64
}

// Delay returns the wait after a number of failures: a random time between
// half of the longest wait and all of it.
func (b Backoff) Delay(failures int) time.Duration {
	longest := b.Base
	for range failures - 1 {
		if longest >= b.Max/2 {
			longest = b.Max
			break
		}
		longest *= 2
	}
	return time.Duration(float64(min(longest, b.Max)) * (0.5 + b.Rand()/2))
}
