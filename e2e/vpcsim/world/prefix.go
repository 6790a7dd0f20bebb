package world

import (
	"net/netip"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

// givenPrefixes delegates prefixes that the caller names.
func (w *World) givenPrefixes(e *ENI, texts []string, v6 bool) (Assigned, error) {
	prefixes, err := w.usablePrefixes(e, texts, v6)
	if err != nil {
		return Assigned{}, err
	}
	return w.delegate(e, prefixes, v6)
}

// autoPrefixes delegates prefixes that EC2 chooses.
func (w *World) autoPrefixes(e *ENI, count int, v6 bool) (Assigned, error) {
	if err := w.fits(e, count, v6); err != nil {
		return Assigned{}, err
	}
	prefixes, err := w.pickPrefixes(e, count, v6)
	if err != nil {
		return Assigned{}, err
	}
	return w.delegate(e, prefixes, v6)
}

func (w *World) delegate(e *ENI, prefixes []netip.Prefix, v6 bool) (Assigned, error) {
	var added []netip.Prefix
	for _, p := range prefixes {
		if w.blocks[p] != e.ID {
			added = append(added, p)
		}
	}
	if err := w.fits(e, len(added), v6); err != nil {
		return Assigned{}, err
	}
	if len(added) > 0 {
		next := e.clone()
		next.addPrefixes(added, v6)
		w.put(next)
	}
	return Assigned{Prefixes: prefixes}, nil
}

func (e *ENI) addPrefixes(prefixes []netip.Prefix, v6 bool) {
	if v6 {
		e.IPv6Prefixes = append(e.IPv6Prefixes, prefixes...)
		return
	}
	e.IPv4Prefixes = append(e.IPv4Prefixes, prefixes...)
}

// usablePrefixes parses prefixes and checks that each lies in the ENI's subnet
// and overlaps nothing that another ENI uses, nor an address of this one.
func (w *World) usablePrefixes(e *ENI, texts []string, v6 bool) ([]netip.Prefix, error) {
	prefixes, err := parsePrefixes(texts, v6)
	if err != nil {
		return nil, err
	}
	cidr := w.cidr(e.Subnet, v6)
	for _, p := range prefixes {
		switch {
		case !cidr.IsValid() || !cidr.Overlaps(p) || cidr.Bits() > p.Bits():
			return nil, errOutsideSubnet()
		case w.blocks[p] == e.ID:
		case !w.freeBlock(p): // AWS's text for this case is unknown
			return nil, apierr.Value("[%s] assigned, but move is not allowed.", p)
		}
	}
	return prefixes, nil
}

func (w *World) cidr(subnet string, v6 bool) netip.Prefix {
	if v6 {
		return w.subnets.value[subnet].IPv6CIDR
	}
	return w.subnets.value[subnet].CIDR
}

// freeBlock reports whether no address and no prefix in use overlaps p.
func (w *World) freeBlock(p netip.Prefix) bool {
	if _, held := w.blocks[p]; held {
		return false
	}
	for a := range w.holders {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// pickPrefixes chooses free blocks, in the subnet's prefix reservations as long
// as those have any, then in what is not reserved.
func (w *World) pickPrefixes(e *ENI, n int, v6 bool) ([]netip.Prefix, error) {
	var out []netip.Prefix
	usable := func(p netip.Prefix) bool { // e may be a draft that the indexes do not know
		return w.freeBlock(p) && !w.hasReserved(p, e.Subnet, v6) && !e.overlaps(p)
	}
	for _, r := range w.shuffledReservations(e.Subnet, v6) {
		out = append(out, w.blocksIn(r, n-len(out), v6, usable)...)
	}
	out = append(out, w.blocksIn(w.cidr(e.Subnet, v6), n-len(out), v6, func(p netip.Prefix) bool {
		return usable(p) && !w.overlapsReservation(p)
	})...)
	if len(out) < n {
		return nil, errNoPrefix(w.settings.Get().NoFreePrefixCode)
	}
	return out, nil
}

// shuffledReservations lists the prefix reservations of a subnet at random, as
// EC2 uses them.
func (w *World) shuffledReservations(subnet string, v6 bool) []netip.Prefix {
	var out []netip.Prefix
	for _, r := range w.reservations.list() {
		if r.Subnet == subnet && r.Type == topology.Prefix && r.CIDR.Addr().Is6() == v6 {
			out = append(out, r.CIDR)
		}
	}
	w.rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func (w *World) overlapsReservation(p netip.Prefix) bool {
	return slices.ContainsFunc(w.reservations.list(), func(r topology.Reservation) bool { return r.CIDR.Overlaps(p) })
}

// blocksIn finds up to n usable blocks inside a range.
func (w *World) blocksIn(within netip.Prefix, n int, v6 bool, usable func(netip.Prefix) bool) []netip.Prefix {
	var out []netip.Prefix
	for p := range w.candidates(within, v6) {
		if len(out) >= n {
			break
		}
		if usable(p) && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// hasReserved reports whether a block contains an address that AWS keeps.
func (w *World) hasReserved(p netip.Prefix, subnet string, v6 bool) bool {
	cidr := w.cidr(subnet, v6)
	return p.Contains(cidr.Addr()) || p.Contains(topology.Last(cidr))
}

// candidates yields the blocks of a range: all of them for IPv4, random ones
// for IPv6.
func (w *World) candidates(within netip.Prefix, v6 bool) func(yield func(netip.Prefix) bool) {
	return func(yield func(netip.Prefix) bool) {
		switch {
		case !within.IsValid():
		case v6 && within.Bits() <= topology.IPv6PrefixBits:
			for range tries {
				a := w.randomIn(within, topology.IPv6PrefixBits)
				if !yield(netip.PrefixFrom(a, topology.IPv6PrefixBits)) {
					return
				}
			}
		case !v6 && within.Bits() <= topology.IPv4PrefixBits:
			first, n := topology.Number(within.Addr()), uint32(1)<<(topology.IPv4PrefixBits-within.Bits())
			for i := range n {
				a := topology.Numbered(first + i<<(32-topology.IPv4PrefixBits))
				if !yield(netip.PrefixFrom(a, topology.IPv4PrefixBits)) {
					return
				}
			}
		}
	}
}
