// Package eventually waits, in tests, for what comes about within moments: what
// a cluster takes over, or a process that starts. It knows nothing of either.
package eventually

import (
	"testing"
	"time"
)

// pause is between two tries.
const pause = 50 * time.Millisecond

// Within waits until holds returns nil. It ends the test with the last error if
// that takes longer than limit.
func Within(t testing.TB, limit time.Duration, what string, holds func() error) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(pause) {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}
