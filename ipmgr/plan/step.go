package plan

import (
	"cmp"
	"net/netip"
	"slices"
)

// Step is one assignment: addresses of one family for one ENI.
type Step struct {
	ENI      ENI
	Addrs    []netip.Addr
	TakeOver bool // IPMGR_POOLS covers the addresses: they may be taken from any ENI
}

// Steps batches placements into as few assignments as EC2 allows: one per ENI
// and family, however many addresses. Fixed, refused and foreign addresses
// need none. The order does not depend on the order of the placements.
func Steps(placements []Placement) []Step {
	type batch struct {
		eni           string
		takeOver, is4 bool
	}
	byBatch := map[batch]*Step{}
	for _, p := range placements {
		if p.Fixed || p.Foreign || p.Refused != nil {
			continue
		}
		b := batch{p.ENI.ID, p.TakeOver, p.Address.Is4()}
		if byBatch[b] == nil {
			byBatch[b] = &Step{ENI: p.ENI, TakeOver: p.TakeOver}
		}
		byBatch[b].Addrs = append(byBatch[b].Addrs, p.Address.Addr)
	}
	steps := make([]Step, 0, len(byBatch))
	for _, s := range byBatch {
		slices.SortFunc(s.Addrs, netip.Addr.Compare)
		s.Addrs = slices.Compact(s.Addrs)
		steps = append(steps, *s)
	}
	slices.SortFunc(steps, func(a, b Step) int {
		return cmp.Or(cmp.Compare(a.ENI.ID, b.ENI.ID), a.Addrs[0].Compare(b.Addrs[0]))
	})
	return steps
}
