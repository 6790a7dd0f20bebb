// Package ipmgr makes the Multus addresses of one pod secondary addresses of
// the right ENI: once (init mode), or as long as the pod lives (sidecar mode).
//
// It owns the loop: what is retried, what is permanent, when success may be
// reported. The kernel and the cloud are behind two interfaces that are
// implemented by ipmgr/link and ipmgr/eni.
package ipmgr

import (
	"context"
	"net/netip"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

// Links is the pod's network namespace.
type Links interface {
	// Addresses lists the usable addresses of all links but the excluded
	// ones: the complete list, never a delta.
	Addresses(ctx context.Context) ([]plan.Address, error)
	// Changes wakes its reader after addresses or links changed. Wake-ups are
	// coalesced. A closed channel means: subscribe and list again.
	Changes(ctx context.Context) (<-chan struct{}, error)
	// HeldByNeighbour reports whether another pod on this worker answers for
	// addr on the named link. It is false when that cannot be found out.
	HeldByNeighbour(ctx context.Context, link string, addr netip.Addr) bool
}

// ENIs is the cloud.
type ENIs interface {
	// Attached reports the worker's ENIs that addrs may belong to, as the
	// cloud shows them now. Errors are *fault.Error.
	Attached(ctx context.Context, addrs []plan.Address) ([]plan.ENI, error)
	// Assign carries out one step and returns a *fault.Error for each address
	// that was not assigned. One bad address never fails the others.
	Assign(ctx context.Context, step plan.Step) map[netip.Addr]error
	// Unassign takes addresses of one family off the ENI. Addresses that the
	// ENI does not hold are no error.
	Unassign(ctx context.Context, eni plan.ENI, addrs []netip.Addr) error
	// Owner names the ENI that holds addr, or "" when none does.
	Owner(ctx context.Context, addr netip.Addr) (string, error)
}
