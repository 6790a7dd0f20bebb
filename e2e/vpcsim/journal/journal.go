// Package journal records the calls of EC2 and Auto Scaling that arrived, so that a test can ask
// what a program did.
package journal

import (
	"slices"
	"sync"
	"time"
)

// Results that are not error codes.
const (
	OK      = "ok"
	Pending = "pending"
)

// Call is one request.
type Call struct {
	Action string `json:"action"`
	// Params are the request's parameters without Action and Version.
	Params map[string]string `json:"params"`
	// At is when the request arrived.
	At time.Time `json:"at"`
	// Result is [OK], an error code, or [Pending] while the call is under way.
	Result string `json:"result"`
}

// MaxCalls is how many calls are remembered at most. Of more, the older half is
// forgotten.
const MaxCalls = 100_000

// Journal lists calls in the order of their arrival.
type Journal struct {
	mu     sync.Mutex
	epoch  int
	before int // calls that were forgotten
	calls  []Call
}

// Begin records a request that has just arrived and returns the function that
// records its result.
func (j *Journal) Begin(action string, params map[string]string, at time.Time) (end func(result string)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.calls) == MaxCalls {
		j.before += MaxCalls / 2
		j.calls = slices.Clone(j.calls[MaxCalls/2:])
	}
	epoch, i := j.epoch, j.before+len(j.calls)
	j.calls = append(j.calls, Call{Action: action, Params: params, At: at, Result: Pending})
	return func(result string) {
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.epoch == epoch && i >= j.before { // else the call was forgotten
			j.calls[i-j.before].Result = result
		}
	}
}

// Calls returns the calls that have a result, and with pending also those that
// are under way.
func (j *Journal) Calls(pending bool) []Call {
	j.mu.Lock()
	defer j.mu.Unlock()
	calls := append([]Call{}, j.calls...)
	if pending {
		return calls
	}
	return slices.DeleteFunc(calls, func(c Call) bool { return c.Result == Pending })
}

// Reset forgets all calls.
func (j *Journal) Reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.epoch++
	j.before, j.calls = 0, nil
}
