package eni

import (
	"context"
	"net/netip"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

// Assign makes the addresses of step, all of one family, secondary addresses
// of its ENI, and returns a *fault.Error for each address that is not.
//
// One call does it when nothing is wrong. When EC2 refuses the batch, which it
// does as a whole, one Describe call tells who holds the addresses; those that
// can never be had are told so, the others are assigned, in halves down to
// single addresses if EC2 still refuses.
func (c *Cloud) Assign(ctx context.Context, step plan.Step) map[netip.Addr]error {
	if len(step.Addrs) == 0 {
		return nil
	}
	a := &assignment{cloud: c, step: step, failed: map[netip.Addr]error{}}
	a.run(ctx)
	return a.failed
}

// assignment is one step under way.
type assignment struct {
	cloud  *Cloud
	step   plan.Step
	failed map[netip.Addr]error
	// judged: the owners of the addresses are known, so that a single address
	// that is refused all the same is refused for another reason.
	judged bool
	// refusals are what EC2 said to addresses that it refused one by one.
	refusals map[netip.Addr]error
	// noRoom is what EC2 said when the ENI was full; untried are the addresses
	// that were not tried after that.
	noRoom  error
	untried []netip.Addr
}

func (a *assignment) run(ctx context.Context) {
	addrs, move := a.step.Addrs, a.step.TakeOver
	err := a.cloud.api.assign(ctx, a.step.ENI.ID, addrs, move)
	switch m := meaningIn(err); {
	case m == done:
		return
	case m == full:
		a.split(ctx, addrs, move, err)
	case m.aboutAddresses():
		a.sortOut(ctx, addrs, err)
	default:
		a.fail(addrs, err)
	}
	a.conclude(ctx)
}

// sortOut assigns what can be had of addrs, which EC2 refused as a whole.
func (a *assignment) sortOut(ctx context.Context, addrs []netip.Addr, refusal error) {
	owners, err := a.ownersOf(ctx, addrs)
	if err != nil { // not allowed to look, or not now
		a.split(ctx, addrs, a.step.TakeOver, refusal)
		return
	}
	a.judged = true
	groups := map[verdict][]netip.Addr{}
	for _, addr := range addrs {
		v, err := judge(addr, owners, a.step)
		groups[v] = append(groups[v], addr)
		if err != nil {
			a.failed[addr] = err
		}
	}
	switch {
	case addrs[0].Is6():
		a.try(ctx, groups[free], false)
		a.move(ctx, groups[movable], owners)
	case a.step.TakeOver:
		a.retry(ctx, sortedAddrs(groups[free], groups[movable]), refusal)
	default:
		a.try(ctx, groups[free], false)
		a.try(ctx, groups[movable], true)
	}
}

// retry tries what is left of a batch that was refused although it may be
// taken from any ENI. If nothing was left out, the answer is known.
func (a *assignment) retry(ctx context.Context, addrs []netip.Addr, refusal error) {
	if len(addrs) == len(a.step.Addrs) {
		a.split(ctx, addrs, true, refusal)
		return
	}
	a.try(ctx, addrs, true)
}

// try assigns addrs, or as many of them as EC2 lets, and reports whether that
// was all of them in one call.
func (a *assignment) try(ctx context.Context, addrs []netip.Addr, move bool) bool {
	if len(addrs) == 0 {
		return true
	}
	if a.noRoom != nil {
		a.untried = append(a.untried, addrs...)
		return false
	}
	err := a.cloud.api.assign(ctx, a.step.ENI.ID, addrs, move)
	switch m := meaningIn(err); {
	case m == done:
		return true
	case m.aboutAddresses():
		a.split(ctx, addrs, move, err)
	default:
		a.fail(addrs, err)
	}
	return false
}

// split tries the halves of addrs, which EC2 refused as a whole.
func (a *assignment) split(ctx context.Context, addrs []netip.Addr, move bool, refusal error) {
	if len(addrs) > 1 {
		half := len(addrs) / 2
		fits := a.try(ctx, addrs[:half], move)
		if fits && meaningIn(refusal) == full {
			a.split(ctx, addrs[half:], move, refusal) // both have no room, so the second half has none now
			return
		}
		a.try(ctx, addrs[half:], move)
		return
	}
	if meaningIn(refusal) == full {
		a.noRoom = refusal
		a.untried = append(a.untried, addrs...)
		return
	}
	if a.refusals == nil {
		a.refusals = map[netip.Addr]error{}
	}
	a.refusals[addrs[0]] = refusal
}

// conclude tells why single addresses were refused.
func (a *assignment) conclude(ctx context.Context) {
	if len(a.untried) > 0 {
		a.concludeFull(ctx)
	}
	if len(a.refusals) == 0 {
		return
	}
	var addrs []netip.Addr
	for addr := range a.refusals {
		addrs = append(addrs, addr)
	}
	owners, err := a.ownersOf(ctx, sortedAddrs(addrs))
	for addr, refusal := range a.refusals {
		if err != nil {
			a.failed[addr] = a.unexplained(addr, refusal, err)
			continue
		}
		switch v, err := judge(addr, owners, a.step); v {
		case ours: // by a call whose answer was lost
		case kept:
			a.failed[addr] = err
		case movable: // taken by somebody between two of our calls
			a.failed[addr] = a.transient(addr, refusal)
		case free:
			a.failed[addr] = toFault(refusal, addr, a.step.ENI.ID)
		}
	}
}

// unexplained is the fault of a refused address whose owner could not be
// looked up. If that may work later, so may the address.
func (a *assignment) unexplained(addr netip.Addr, refusal, err error) error {
	if meaningIn(err).permanent() {
		return toFault(refusal, addr, a.step.ENI.ID)
	}
	return a.transient(addr, refusal)
}

func (a *assignment) transient(addr netip.Addr, refusal error) error {
	told := faultOf(refusal, addr, a.step.ENI.ID)
	told.Permanent, told.Advice = false, ""
	return told
}

// concludeFull settles the addresses that were not tried because the ENI is
// full: some may have been on it all the time.
func (a *assignment) concludeFull(ctx context.Context) {
	var holder nic
	if nics, err := a.cloud.api.byID(ctx, a.step.ENI.ID); err == nil && len(nics) == 1 {
		holder = nics[0]
	} else {
		holder.ENI = a.step.ENI
	}
	for _, addr := range a.untried {
		if !holder.holds(addr) {
			a.failed[addr] = toFault(a.noRoom, addr, a.step.ENI.ID)
		}
	}
}

func (a *assignment) ownersOf(ctx context.Context, addrs []netip.Addr) (map[netip.Addr]nic, error) {
	vpc, err := a.cloud.vpcOf(ctx, a.step.ENI)
	if err != nil {
		return nil, err
	}
	return a.cloud.owners(ctx, vpc, addrs)
}

func (a *assignment) fail(addrs []netip.Addr, err error) {
	for _, addr := range addrs {
		a.failed[addr] = toFault(err, addr, a.step.ENI.ID)
	}
}

func sortedAddrs(groups ...[]netip.Addr) []netip.Addr {
	addrs := slices.Concat(groups...)
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
}
