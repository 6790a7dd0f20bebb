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
	var steps []Step
	for _, p := range placements {
		if p.Fixed || p.Foreign || p.Refused != nil {
			continue
		}
		i := slices.IndexFunc(steps, func(s Step) bool {
			return s.ENI.ID == p.ENI.ID && s.TakeOver == p.TakeOver && s.Addrs[0].Is4() == p.Address.Is4()
		})
		if i < 0 {
			steps = append(steps, Step{ENI: p.ENI, TakeOver: p.TakeOver})
			i = len(steps) - 1
		}
		if !slices.Contains(steps[i].Addrs, p.Address.Addr) {
			steps[i].Addrs = append(steps[i].Addrs, p.Address.Addr)
		}
	}
	for _, s := range steps {
		slices.SortFunc(s.Addrs, netip.Addr.Compare)
	}
	slices.SortFunc(steps, func(a, b Step) int {
		return cmp.Or(cmp.Compare(a.ENI.ID, b.ENI.ID), a.Addrs[0].Compare(b.Addrs[0]))
	})
	return steps
}
