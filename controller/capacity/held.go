package capacity

import (
	"cmp"
	"net/netip"
	"slices"
)

// Held are the addresses and prefixes that ENIs hold, in order, so that those of
// one range are found without looking at the others.
type Held []netip.Prefix

// NewHeld sorts what ENIs hold. What comes twice counts once: an address that
// moves while lists are read may be on two ENIs.
func NewHeld(list []netip.Prefix) Held {
	sorted := slices.Clone(list)
	slices.SortFunc(sorted, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	return slices.Compact(sorted)
}

// Of counts the addresses of cidr, as the function of that name does. It looks
// only at what lies in cidr.
func (h Held) Of(cidr, subnet netip.Prefix) Count {
	first, _ := slices.BinarySearchFunc(h, cidr.Masked().Addr(), func(p netip.Prefix, a netip.Addr) int { return p.Addr().Compare(a) })
	end := first
	for end < len(h) && cidr.Contains(h[end].Addr()) {
		end++
	}
	if first > 0 && h[first-1].Overlaps(cidr) { // a prefix that begins before cidr and holds it
		first--
	}
	return Of(cidr, subnet, h[first:end])
}
