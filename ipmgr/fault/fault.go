// Package fault is the failure that every part of ipmgr reports: it names the
// address, the ENI and the AWS error code, says what the user can do, and
// tells whether trying again can help.
//
// It knows nothing of the cloud or the kernel: ipmgr/eni translates AWS codes
// into faults, ipmgr/plan refuses addresses with them, and the loop in ipmgr
// retries what is not permanent.
package fault

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Codes of refusals that ipmgr finds without asking EC2. They stand where an
// AWS error code would.
const (
	CodeOutsideSubnet  = "OutsideSubnet"  // no subnet of the ENI contains the address
	CodeOutsidePools   = "OutsidePools"   // IPMGR_POOLS does not contain the address
	CodePrimaryENI     = "PrimaryENI"     // the ENI is the worker's first, which the VPC CNI manages
	CodePrimaryAddress = "PrimaryAddress" // the address is the primary of another ENI
	CodeForeignOwner   = "ForeignOwner"   // another ENI holds the address and may not lose it
	CodeNotVisible     = "NotVisible"     // assigned, and the cloud does not show it yet
	CodeNoAddress      = "NoAddress"      // a required interface carries no address, or does not exist
	CodeTakenOver      = "TakenOver"      // another ENI took the address from the one it belongs to
	CodeNoENI          = "NoENI"          // no ENI of the worker was found
	CodePending        = "Pending"        // not tried yet, or under way
	CodeKernel         = "Kernel"         // the kernel did not list the pod's addresses
)

// Error is one failure. It is one sentence when printed.
type Error struct {
	Addr      netip.Addr // the zero Addr when the failure is not of one address
	ENI       string     // empty when no ENI is concerned
	Code      string     // AWS error code, or one of the Code constants
	Advice    string     // what the user can do, as an imperative clause
	Permanent bool       // trying again cannot mend it
	Throttled bool       // the cloud asks for fewer calls, of everybody
	Stale     bool       // the ENI is not what it was: look at the worker again before the next try
	Err       error      // the cause
}

// Error names the address, the ENI, the code, the cause and the advice.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Addr.IsValid() {
		b.WriteString("address " + e.Addr.String())
	}
	if e.ENI != "" {
		if b.Len() > 0 {
			b.WriteString(" on ")
		}
		b.WriteString("ENI " + e.ENI)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(e.Code)
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if e.Advice != "" {
		b.WriteString("; " + e.Advice)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// IsPermanent reports whether err is a fault that trying again cannot mend. Of
// a List the first fault decides.
func IsPermanent(err error) bool {
	fault, ok := errors.AsType[*Error](err)
	return ok && fault.Permanent
}

// IsStale reports whether err tells that the ENI is not what it was.
func IsStale(err error) bool {
	fault, ok := errors.AsType[*Error](err)
	return ok && fault.Stale
}

// IsThrottled reports whether err says that the cloud asks for fewer calls. It
// then asks that of all of them, not only of this address's.
func IsThrottled(err error) bool {
	fault, ok := errors.AsType[*Error](err)
	return ok && fault.Throttled
}

// CodeOf returns err's code, or "" when err is no fault.
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
