package eni

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// probe asks an ENI that was full whether it has room for one of the addresses
// that had none. If not, the step is settled by that one call as long as it has
// no other addresses. It returns the addresses that are left to be assigned.
func (a *assignment) probe(ctx context.Context, addrs []netip.Addr) (left []netip.Addr, settled bool) {
	had := a.cloud.room.without(a.step)
	i := slices.IndexFunc(addrs, func(addr netip.Addr) bool { return slices.Contains(had, addr) })
	if i < 0 {
		return addrs, false
	}
	err := a.assign(ctx, addrs[i:i+1], a.step.TakeOver)
	switch fault.MeaningOf(err) {
	case fault.Done:
		a.cloud.room.note(a.step, nil)
		left = slices.Delete(slices.Clone(addrs), i, i+1)
		return left, len(left) == 0
	case fault.Full:
		a.noRoom, a.untried = err, addrs
		return nil, true
	}
	a.cloud.room.note(a.step, nil)
	return addrs, false
}

// concludeFull settles the addresses that were not tried because the ENI is
// full: some may have been on it all the time.
func (a *assignment) concludeFull(ctx context.Context) {
	known := a.cloud.room.without(a.step)
	holder := nic{ENI: a.step.ENI}
	counted := false
	if slices.ContainsFunc(a.untried, func(addr netip.Addr) bool { return !slices.Contains(known, addr) }) {
		if nics, err := a.cloud.api.byID(ctx, a.step.ENI.ID); err == nil && len(nics) == 1 {
			holder, counted = nics[0], true
		}
	}
	limit := a.cloud.limitText(ctx, holder, counted, a.step.Addrs[0].Is6())
	var without []netip.Addr
	for _, addr := range a.untried {
		if holder.holds(addr) {
			continue
		}
		a.failed[addr] = failureOf(a.noRoom, addr, a.step.ENI.ID).With(limit)
		without = append(without, addr)
	}
	a.cloud.room.note(a.step, without)
}

// limitText says how many addresses a full ENI has, as far as that was counted.
func (c *Cloud) limitText(ctx context.Context, holder nic, counted, v6 bool) string {
	key := roomKey{eni: holder.ID, v6: v6}
	if text := c.room.limit(key); text != "" && !counted {
		return text
	}
	kind := cmp.Or(c.instanceType(ctx), "the worker's instance type")
	text := kind + " allows no more for each interface"
	if counted {
		text = fmt.Sprintf("it has %d addresses, and %s", slots(holder, v6), text)
	}
	c.room.setLimit(key, text)
	return text
}

// slots counts what takes one of the places that an instance type allows: the
// addresses of the family, the primary included, and delegated prefixes.
func slots(holder nic, v6 bool) int {
	count := 0
	if !v6 && holder.Primary.IsValid() {
		count++
	}
	for _, addr := range holder.Addresses {
		if addr.Is6() == v6 {
			count++
		}
	}
	for _, prefix := range holder.Prefixes {
		if prefix.Addr().Is6() == v6 {
			count++
		}
	}
	return count
}

// instanceType is the worker's, or "" when IMDS does not tell.
func (c *Cloud) instanceType(ctx context.Context) string {
	if c.opts.Discovery == spec.DiscoverEC2 {
		return ""
	}
	kind, err := c.imds.get(ctx, "instance-type")
	if err != nil || len(kind) > 40 {
		return ""
	}
	return kind
}
