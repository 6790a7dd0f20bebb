package eni

import (
	"context"
	"net/netip"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
)

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
	err := a.assign(ctx, addrs, move)
	switch m := fault.MeaningOf(err); {
	case m == fault.Done:
		return true
	case m.AboutParts(), m == fault.Denied && a.blind && len(addrs) > 1:
		a.split(ctx, addrs, move, err)
	default:
		a.fail(ctx, addrs, err)
	}
	return false
}

// split tries the halves of addrs, which EC2 refused as a whole.
func (a *assignment) split(ctx context.Context, addrs []netip.Addr, move bool, err error) {
	if len(addrs) > 1 {
		half := len(addrs) / 2
		fits := a.try(ctx, addrs[:half], move)
		if fits && fault.MeaningOf(err) == fault.Full {
			a.split(ctx, addrs[half:], move, err) // both have no room, so the second half has none now
			return
		}
		a.try(ctx, addrs[half:], move)
		return
	}
	if fault.MeaningOf(err) == fault.Full {
		a.noRoom = err
		a.untried = append(a.untried, addrs...)
		return
	}
	a.refusals[addrs[0]], a.taken[addrs[0]] = err, move && addrs[0].Is4()
}
