// Package ipmgr makes the Multus addresses of one pod secondary addresses of
// the right ENI: once (init mode), or as long as the pod lives (sidecar mode).
//
// It owns the loop: what is retried, what is permanent, when success may be
// reported. The kernel and the cloud are behind two interfaces, implemented by
// ipmgr/link and ipmgr/eni. The loop is level-triggered: an event only makes it
// look at the whole state again. The one thing that a state does not show is
// that an address has left and come back since the last look.
package ipmgr

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// Links is the pod's network namespace.
type Links interface {
	// Addresses lists the usable addresses of all links but loopback and the
	// primary one: the complete list, never a delta.
	Addresses(ctx context.Context) ([]plan.Address, error)
	// Interfaces names all links, those without an address included.
	Interfaces(ctx context.Context) ([]string, error)
	// Changes wakes its reader after addresses changed. Wake-ups are
	// coalesced. A closed channel means: subscribe and list again.
	Changes(ctx context.Context) (<-chan struct{}, error)
	// Left returns the addresses that the kernel was seen to remove since the
	// last call. One that is back already is in the list as if it had never
	// left, and may have been claimed elsewhere meanwhile.
	Left() []netip.Addr
	// HeldByNeighbour reports whether another pod on this worker answers for
	// addr on the named link. Only an answer that is younger than since counts.
	// An error means that it is not known: nobody can be asked, or nobody has
	// answered yet. Ask again.
	HeldByNeighbour(ctx context.Context, link string, addr netip.Addr, since time.Time) (bool, error)
}

// ENIs is the cloud. Errors are *fault.Error.
type ENIs interface {
	// Attached reports the worker's ENIs that addrs may belong to, as the
	// cloud shows them now.
	Attached(ctx context.Context, addrs []plan.Address) ([]plan.ENI, error)
	// Assign carries out one step and returns an error for each address that
	// was not assigned. One bad address never fails the others. Of those that
	// were taken over, from has who held them, as far as a call said so.
	Assign(ctx context.Context, step plan.Step) (failed map[netip.Addr]error, from map[netip.Addr]plan.Holder)
	// Unassign takes addresses of one family off the ENI. It is not an
	// error that the ENI does not hold them.
	Unassign(ctx context.Context, eni plan.ENI, addrs []netip.Addr) error
	// Owner names the ENI that holds addr. It is the zero Holder when none does.
	Owner(ctx context.Context, addr netip.Addr) (plan.Holder, error)
}

// Manager manages the addresses of one pod. Its fields are set before Once or
// Follow is called, which may happen one time.
type Manager struct {
	Settings spec.Settings
	Links    Links
	ENIs     ENIs
	Log      *slog.Logger
	Random   func() float64 // in [0,1), for jitter

	status atomic.Pointer[Status]
}

// Status is what ipmgr knows at one moment.
type Status struct {
	// Err is nil when every address is held, and otherwise says what is
	// missing: a fault.List.
	Err       error
	Addresses []AddressStatus // ordered by address
	Claims    int             // assignments that EC2 accepted
	Failures  int             // assignments that failed, each try counted
	Losses    int             // times an address of the pod was found to be gone from its ENI
	TakeOvers int             // addresses that were taken from another ENI, as far as that is known
	Releases  int             // addresses given back
}

// AddressStatus is what ipmgr knows of one address.
type AddressStatus struct {
	Addr      netip.Addr
	Interface string
	ENI       string      // empty until it is known
	State     string      // wanted, claiming, claimed, held, suspect, refused or foreign
	Contests  int         // times another ENI was found to hold it
	Taker     plan.Holder // the last of these ENIs
}

// Status returns the latest status. Before the first look it is an error.
func (m *Manager) Status() Status {
	if s := m.status.Load(); s != nil {
		return *s
	}
	return Status{Err: &fault.Error{Code: fault.CodePending, Err: errors.New("ipmgr has just started")}}
}
