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
	"net/netip"
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
	CodeNoAddress      = "NoAddress"      // a required interface carries no address
	CodeNoENI          = "NoENI"          // no ENI of the worker was found
)

// Error is one failure. It is one sentence when printed.
type Error struct {
	Addr      netip.Addr // the zero Addr when the failure is not of one address
	ENI       string     // empty when no ENI is concerned
	Code      string     // AWS error code, or one of the Code constants
	Advice    string     // what the user can do, as an imperative clause
	Permanent bool       // trying again cannot mend it
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

// IsPermanent reports whether any fault in err's tree is permanent.
func IsPermanent(err error) bool {
	var fault *Error
	return errors.As(err, &fault) && fault.Permanent
}
