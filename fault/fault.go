// Package fault is the one failure that all parts report: it names the address,
// the ENI and the AWS error code, says what it means for trying again and what
// the user can do.
//
// It knows nothing of AWS's SDK, Kubernetes or the kernel: package vpc reads
// failures of calls from AWS's answers, ipmgr/plan refuses addresses, and those
// who made the call decide by the meaning what to do next.
package fault

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Error is one failure. It is one sentence when printed.
type Error struct {
	Addr    netip.Addr // the zero Addr when the failure is not of one address
	ENI     string     // empty when no ENI is concerned
	Code    string     // AWS error code, or one of the Code constants
	Meaning Meaning    // what it says about trying again
	Action  string     // the call that failed, such as AssignPrivateIpAddresses; empty when there was none
	Text    string     // what AWS or the network said, in one line; empty: what Err says
	Request string     // AWS's id of the request, which its support asks for
	// Skew is how far the worker's clock is ahead of AWS's, negative when it is
	// behind, where that may be why AWS refused. Else it is zero.
	Skew   time.Duration
	Advice string // what the user can do, as an imperative clause
	Err    error  // the cause
}

// Error names the address, the ENI, the code, the cause and the advice.
func (e *Error) Error() string {
	text := e.Cause()
	if subject := e.subject(); subject != "" {
		text = subject + ": " + text
	}
	if e.Advice != "" {
		text += "; " + e.Advice
	}
	return text
}

// Cause is the part of the sentence about the call: its code, its action and
// what was said.
func (e *Error) Cause() string {
	parts := slices.DeleteFunc([]string{e.Code, e.Action, e.Said()}, func(part string) bool { return part == "" })
	text := strings.Join(parts, ": ")
	if e.Request != "" {
		text += " (request " + e.Request + ")"
	}
	return text
}

func (e *Error) subject() string {
	var parts []string
	if e.Addr.IsValid() {
		parts = append(parts, "address "+e.Addr.String())
	}
	if e.ENI != "" {
		parts = append(parts, "ENI "+e.ENI)
	}
	return strings.Join(parts, " on ")
}

// Said is what AWS, the network or the cause says.
func (e *Error) Said() string {
	if e.Text != "" || e.Err == nil {
		return e.Text
	}
	return e.Err.Error()
}

// With returns the failure with more to be said about it.
func (e *Error) With(more string) *Error {
	told := *e
	told.Text = told.Said() + "; " + more
	return &told
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// MeaningOf returns what err means: Done for nil, Unknown when err is not a
// fault. Of a List the first fault decides.
func MeaningOf(err error) Meaning {
	if err == nil {
		return Done
	}
	if fault, ok := errors.AsType[*Error](err); ok {
		return fault.Meaning
	}
	return Unknown
}

// IsPermanent reports whether err is a fault that trying again cannot fix. Of
// a List the first fault decides.
func IsPermanent(err error) bool { return MeaningOf(err).Permanent() }

// IsStale reports whether err says that the ENI is not what it was.
func IsStale(err error) bool { return MeaningOf(err) == Missing }

// IsThrottled reports whether err says that the cloud asks for fewer calls. It
// then asks that of all of them, not only of this address's.
func IsThrottled(err error) bool { return MeaningOf(err) == Throttled }

// CodeOf returns err's code, or "" when err is not a fault.
func CodeOf(err error) string {
	if fault, ok := errors.AsType[*Error](err); ok {
		return fault.Code
	}
	return ""
}

// List is several failures, the most telling first.
type List []error

// NewList returns errs with permanent faults before others, or nil when there
// are none.
func NewList(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	list := slices.Clone(errs)
	slices.SortStableFunc(list, func(a, b error) int {
		switch pa, pb := IsPermanent(a), IsPermanent(b); {
		case pa && !pb:
			return -1
		case pb && !pa:
			return 1
		}
		return 0
	})
	return List(list)
}

// Error is the first failure, and how many there are besides.
func (l List) Error() string {
	if len(l) == 1 {
		return l[0].Error()
	}
	return fmt.Sprintf("%v (%d more failed)", l[0], len(l)-1)
}

// Unwrap returns the failures.
func (l List) Unwrap() []error { return l }
