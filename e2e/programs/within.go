package programs

import "time"

// pause is between two tries.
const pause = 50 * time.Millisecond

// T is what Within needs of a test: programs that are no tests stay without
// package testing.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Within waits, in a test, until holds returns nil: for what a program or a
// cluster brings about within moments. It ends the test with the last error if
// that takes longer than limit.
func Within(t T, limit time.Duration, what string, holds func() error) {
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
