// Package chaos is the queue of faults that a test has asked for.
package chaos

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
)

// Any is the action of a fault that hits every EC2 action, and IMDS the action
// of a fault that hits requests to the metadata service.
const (
	Any  = "*"
	IMDS = "IMDS"
)

// Forever as a count keeps a fault until the next reset.
const Forever = -1

// Fault is what happens to the next calls of one action.
type Fault struct {
	// Action is an EC2 action, [Any] or [IMDS].
	Action string `json:"action"`
	// Code and Status make the call fail; either may be left out. Message
	// replaces the usual sentence.
	Code    string `json:"code,omitempty"`
	Status  int    `json:"status,omitempty"`
	Message string `json:"message,omitempty"`
	// Count is how many calls are hit: 1 when it is 0 or left out, or [Forever].
	Count int `json:"count,omitempty"`
	// Delay is spent before the call fails or takes effect.
	Delay settings.Duration `json:"delay,omitempty"`
	// Lose lets the call take effect and cuts the connection before the answer.
	Lose bool `json:"lose,omitempty"`
}

// Refusal returns the error that f answers with, or nil when f lets the call
// through.
func (f Fault) Refusal() *apierr.Error {
	if f.Code == "" && f.Status == 0 {
		return nil
	}
	e := apierr.New(f.Code, "%s", f.Message)
	if f.Code == "" {
		e.Code = "InternalError"
	}
	if f.Status != 0 {
		e.Status = f.Status
	}
	if e.Message == "" {
		e.Message = sentence(e.Code)
	}
	return e
}

// Wait returns how long the call is held up.
func (f Fault) Wait() time.Duration { return time.Duration(f.Delay) }

func sentence(code string) string {
	switch code {
	case "RequestLimitExceeded":
		return "Request limit exceeded."
	case "UnauthorizedOperation":
		return "You are not authorized to perform this operation."
	case "AuthFailure":
		return "AWS was not able to validate the provided access credentials"
	case "InternalError", "InternalFailure":
		return "An internal error has occurred"
	case "ServiceUnavailable", "Unavailable":
		return "Service is unavailable. Please try again shortly."
	default:
		return "The simulator is configured to fail this call."
	}
}

// Queue holds faults in the order in which they were asked for.
type Queue struct {
	mu      sync.Mutex
	actions []string
	faults  []Fault
}

// NewQueue returns an empty queue for faults of the given actions.
func NewQueue(actions []string) *Queue { return &Queue{actions: actions} }

// Add checks and appends faults: all of them or, with an error that lists every
// mistake, none.
func (q *Queue) Add(faults ...Fault) error {
	var errs []error
	faults = slices.Clone(faults)
	for i := range faults {
		faults[i].Count = defaultCount(faults[i].Count)
		if err := q.check(faults[i]); err != nil {
			errs = append(errs, fmt.Errorf("fault for %q: %w", faults[i].Action, err))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.faults = append(q.faults, faults...)
	return nil
}

func defaultCount(n int) int {
	if n == 0 {
		return 1
	}
	return n
}

func (q *Queue) check(f Fault) error {
	switch {
	case f.Action != Any && f.Action != IMDS && !slices.Contains(q.actions, f.Action):
		return fmt.Errorf("unknown action, want %q, %q or one of %q", Any, IMDS, q.actions)
	case f.Count < Forever:
		return fmt.Errorf("count is %d, want a positive number or %d for ever", f.Count, Forever)
	case f.Delay < 0:
		return errors.New("delay is negative")
	case f.Status != 0 && (f.Status < 400 || f.Status > 599):
		return fmt.Errorf("status is %d, want 400 to 599", f.Status)
	case f.Lose && f.Refusal() != nil:
		return errors.New("lose and code or status exclude each other: a lost call takes effect")
	case !f.Lose && f.Refusal() == nil && f.Delay == 0:
		return errors.New("nothing to do, want code, status, delay or lose")
	default:
		return nil
	}
}

// Take returns the first fault that hits a call of action and counts it down.
func (q *Queue) Take(action string) (Fault, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.IndexFunc(q.faults, func(f Fault) bool {
		return f.Action == action || f.Action == Any && action != IMDS
	})
	if i < 0 {
		return Fault{}, false
	}
	f := q.faults[i]
	switch f.Count {
	case Forever:
	case 1:
		q.faults = slices.Delete(q.faults, i, i+1)
	default:
		q.faults[i].Count--
	}
	return f, true
}

// Pending returns the faults that have not been used up.
func (q *Queue) Pending() []Fault {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]Fault{}, q.faults...)
}

// Reset forgets all faults.
func (q *Queue) Reset() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.faults = nil
}
