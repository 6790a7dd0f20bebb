package eni

import (
	"context"
	"maps"
	"net/netip"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

// Assign makes the addresses of step, all of one family, secondary addresses
// of its ENI, and returns a *fault.Error for each address that is not.
//
// One call does it when nothing is wrong. When EC2 refuses the batch, which it
// does as a whole, one Describe call tells who holds the addresses; those that
// can never be had are told so, the others are assigned, in halves down to
// single addresses if EC2 still refuses.
func (c *Cloud) Assign(ctx context.Context, step plan.Step) (failed map[netip.Addr]error, from map[netip.Addr]plan.Holder) {
	if len(step.Addrs) == 0 {
		return nil, nil
	}
	a := &assignment{
		cloud: c, step: step, failed: map[netip.Addr]error{}, holders: map[netip.Addr]plan.Holder{},
		refusals: map[netip.Addr]error{}, taken: map[netip.Addr]bool{},
	}
	a.run(ctx)
	for addr := range a.failed {
		delete(a.holders, addr)
	}
	return a.failed, a.holders
}

func (a *assignment) run(ctx context.Context) {
	addrs, move := a.step.Addrs, a.step.TakeOver
	addrs, settled := a.probe(ctx, addrs)
	if settled {
		a.conclude(ctx)
		return
	}
	err := a.assign(ctx, addrs, move)
	switch m := fault.MeaningOf(err); {
	case m == fault.Done:
		return
	case m == fault.Full:
		a.split(ctx, addrs, move, err)
	case m.AboutParts(), m == fault.Denied && move && addrs[0].Is4() && len(addrs) > 1: // IAM may deny the ENI that is to lose one
		a.sortOut(ctx, addrs, err)
	default:
		a.fail(ctx, addrs, err)
	}
	a.conclude(ctx)
}

// sortOut assigns what can be had of addrs, which EC2 refused as a whole.
func (a *assignment) sortOut(ctx context.Context, addrs []netip.Addr, refusal error) {
	owners, err := a.lookUp(ctx, addrs)
	if err != nil { // not allowed to look, or not now
		a.blind = true
		a.split(ctx, addrs, a.step.TakeOver, refusal)
		return
	}
	groups := map[tenure][]netip.Addr{}
	for _, addr := range addrs {
		had, err := judge(addr, owners, a.step)
		groups[had] = append(groups[had], addr)
		if err != nil {
			a.failed[addr] = because(err, refusal)
		}
	}
	if a.step.TakeOver && addrs[0].Is4() {
		a.takeAny(ctx, groups[free], groups[movable], owners, refusal)
		return
	}
	a.try(ctx, groups[free], false)
	a.takeOver(ctx, groups[movable], owners)
}

// takeAny assigns IPv4 addresses that may be taken from any owner. If
// none was left out since EC2 refused them, its answer is known.
func (a *assignment) takeAny(ctx context.Context, available, held []netip.Addr, owners map[netip.Addr]nic, err error) {
	addrs := sortedAddrs(available, held)
	if len(addrs) == 0 {
		return
	}
	if len(addrs) < len(a.step.Addrs) {
		err = a.assign(ctx, addrs, true)
	}
	switch m := fault.MeaningOf(err); {
	case m == fault.Done:
	case m.AboutParts():
		a.split(ctx, addrs, true, err)
	case m == fault.Denied && len(held) > 0 && len(addrs) > 1: // IAM may protect an owner
		a.try(ctx, available, false)
		a.takeOver(ctx, held, owners)
	default:
		a.fail(ctx, addrs, err)
	}
}

// takeOver takes addresses from their owners, one owner at a time: IAM may let
// us change some ENIs and not others, and IPv6 addresses are unassigned first.
func (a *assignment) takeOver(ctx context.Context, addrs []netip.Addr, owners map[netip.Addr]nic) {
	byOwner := map[string][]netip.Addr{}
	for _, addr := range addrs {
		byOwner[owners[addr].ID] = append(byOwner[owners[addr].ID], addr)
	}
	for _, owner := range slices.Sorted(maps.Keys(byOwner)) {
		if addrs[0].Is4() {
			a.try(ctx, byOwner[owner], true)
		} else {
			a.move(ctx, owner, byOwner[owner])
		}
	}
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
	owners, err := a.lookUp(ctx, sortedAddrs(addrs))
	for addr, refusal := range a.refusals {
		if err != nil {
			a.failed[addr] = a.unexplained(addr, refusal, err)
			continue
		}
		switch had, err := judge(addr, owners, a.step); had {
		case ours: // by a call whose answer was lost
		case kept:
			a.failed[addr] = because(err, refusal)
		case free:
			a.failed[addr] = failed(refusal, addr, a.step.ENI.ID)
		case movable:
			a.failed[addr] = a.unmoved(addr, refusal, owners[addr])
		}
	}
}

// unmoved is the fault of an address that another ENI holds and might lose. It
// was taken between two of our calls, or EC2 will not move it at all.
func (a *assignment) unmoved(addr netip.Addr, refusal error, owner nic) error {
	if !a.taken[addr] {
		return a.transient(addr, refusal)
	}
	told := failureOf(refusal, addr, a.step.ENI.ID).With(describe(owner) + " holds it")
	told.Advice = "choose another address, or release it there"
	return told
}

// unexplained is the fault of a refused address whose owner could not be
// looked up. If that may work later, so may the address.
func (a *assignment) unexplained(addr netip.Addr, refusal, err error) error {
	if fault.MeaningOf(err).Permanent() {
		return failed(refusal, addr, a.step.ENI.ID)
	}
	return a.transient(addr, refusal)
}
