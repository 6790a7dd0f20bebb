package eni

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

// Unassign takes addresses of one family off the ENI. Addresses that the ENI
// does not hold, and an ENI that is gone, are no error. A primary address is
// never unassigned.
//
// EC2 itself refuses to unassign what another ENI holds by now, so the call is
// made without a look before; only its refusal costs one.
func (c *Cloud) Unassign(ctx context.Context, eni plan.ENI, addrs []netip.Addr) error {
	if slices.Contains(addrs, eni.Primary) {
		return &fault.Error{
			Addr: eni.Primary, ENI: eni.ID, Code: fault.CodePrimaryAddress, Meaning: fault.Refused,
			Err: errors.New("a primary address cannot be unassigned"),
		}
	}
	if len(addrs) == 0 {
		return nil
	}
	err := c.api.unassign(ctx, eni.ID, addrs)
	if fault.MeaningOf(err) == fault.Refused {
		err = c.unassignHeld(ctx, eni.ID, addrs)
	}
	if fault.MeaningOf(err) == fault.Missing {
		return nil
	}
	return failed(err, onlyOf(addrs), eni.ID)
}

// unassignHeld unassigns those of addrs that EC2 shows on the ENI.
func (c *Cloud) unassignHeld(ctx context.Context, eni string, addrs []netip.Addr) error {
	nics, err := c.api.byID(ctx, eni)
	if fault.MeaningOf(err) == fault.Denied {
		return c.unassignEach(ctx, eni, addrs)
	}
	if err != nil || len(nics) == 0 {
		return err
	}
	held := slices.DeleteFunc(slices.Clone(addrs), func(addr netip.Addr) bool {
		return !nics[0].holds(addr) || nics[0].isPrimary(addr)
	})
	if len(held) == 0 {
		return nil
	}
	err = c.api.unassign(ctx, eni, held)
	if fault.MeaningOf(err) != fault.Refused {
		return err
	}
	return &fault.Error{Addr: onlyOf(held), ENI: eni, Code: fault.CodeOf(err), Err: err} // it changed under us: try again
}

// unassignEach is for roles that may not describe ENIs: a single address that
// is refused is not on the ENI.
func (c *Cloud) unassignEach(ctx context.Context, eni string, addrs []netip.Addr) error {
	if len(addrs) == 1 {
		return nil
	}
	for _, addr := range addrs {
		if err := c.api.unassign(ctx, eni, []netip.Addr{addr}); err != nil && fault.MeaningOf(err) != fault.Refused {
			return err
		}
	}
	return nil
}

// onlyOf returns the address that a fault can name: the only one.
func onlyOf(addrs []netip.Addr) netip.Addr {
	if len(addrs) == 1 {
		return addrs[0]
	}
	return netip.Addr{}
}
