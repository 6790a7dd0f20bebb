package eni

import (
	"cmp"
	"context"
	"net/netip"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

// assignment is one step under way.
type assignment struct {
	cloud  *Cloud
	step   plan.Step
	failed map[netip.Addr]error
	// holders are the other ENIs that were seen to hold addresses.
	holders map[netip.Addr]plan.Holder
	// blind: the owners of the addresses cannot be looked up.
	blind bool
	// refusals are what EC2 said to addresses that it refused one by one; taken
	// are those of them that were to be taken from any owner.
	refusals map[netip.Addr]error
	taken    map[netip.Addr]bool
	// noRoom is what EC2 said when the ENI was full; untried are the addresses
	// that were not tried after that.
	noRoom  error
	untried []netip.Addr
	// tries are the assignments of this step so far.
	tries int
}

// maxTries bounds the assignments of one step. Every address that EC2 refuses
// by itself costs some; what is left then is for a later step.
const maxTries = 32

// assign makes one of the step's assignments.
func (a *assignment) assign(ctx context.Context, addrs []netip.Addr, move bool) error {
	a.tries++
	if a.tries > maxTries {
		return &fault.Error{
			Code: fault.CodePending, Text: "EC2 refuses many of the pod's addresses one by one",
			Advice: "remove the addresses that EC2 refuses from the pod",
		}
	}
	return a.cloud.api.assign(ctx, a.step.ENI.ID, addrs, move)
}

// lookUp finds the owners of addrs, and notes those that they are taken from if
// they are.
func (a *assignment) lookUp(ctx context.Context, addrs []netip.Addr) (map[netip.Addr]nic, error) {
	vpc, err := a.cloud.vpcOf(ctx, a.step.ENI)
	if err != nil {
		return nil, err
	}
	owners, err := a.cloud.owners(ctx, vpc, addrs)
	for addr, owner := range owners {
		if owner.ID != a.step.ENI.ID {
			a.holders[addr] = owner.holder()
		}
	}
	return owners, err
}

// fail is the failure of a call for addrs, or of one that a later step makes.
func (a *assignment) fail(ctx context.Context, addrs []netip.Addr, err error) {
	advice := a.cloud.adviceFor(ctx, err)
	for _, addr := range addrs {
		told := failureOf(err, addr, a.step.ENI.ID)
		told.Advice = cmp.Or(advice, told.Advice)
		a.failed[addr] = told
	}
}

func (a *assignment) transient(addr netip.Addr, refusal error) error {
	told := failureOf(refusal, addr, a.step.ENI.ID)
	told.Meaning, told.Advice = fault.Transient, ""
	return told
}

func sortedAddrs(groups ...[]netip.Addr) []netip.Addr {
	addrs := slices.Concat(groups...)
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
}
