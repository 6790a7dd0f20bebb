// Package address chooses the primary addresses of workers: which addresses of
// a subnet a worker may have, in which order, and which of them is one worker's
// where many start at once.
//
// It is pure. The view of a subnet may be old, so that a choice is a proposal:
// EC2 decides who gets an address.
package address

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
)

// Subnet is what is known of a subnet's IPv4 addresses.
type Subnet struct {
	CIDR netip.Prefix
	// Reserved are its subnet CIDR reservations, of either type.
	Reserved []netip.Prefix
	// Held are what its ENIs hold: addresses and delegated prefixes.
	Held []netip.Prefix
	// Excluded are addresses that EC2 refused a moment ago.
	Excluded []netip.Addr
}

// Candidates are the addresses of a subnet that a worker may have, in
// ascending order.
type Candidates struct {
	gaps []span // free, sorted, apart from each other
}

// span is the addresses from first to last as numbers.
type span struct{ first, last uint32 }

func (s span) size() int { return int(s.last-s.first) + 1 }

// Free returns the candidates of a subnet: those of the range for workers, or of
// the whole subnet where there is none, without
//
//   - the first four addresses and the last one, which AWS keeps,
//   - what any ENI holds, and what was excluded,
//   - reservations of either type, unless they lie wholly within the range for
//     workers: such a range was reserved for them.
//
// A subnet without IPv4 has no candidates. It takes n log n for n prefixes.
func Free(s Subnet, workers spec.Range, limited bool) Candidates {
	if !s.CIDR.IsValid() || !s.CIDR.Addr().Is4() || s.CIDR.Bits() > 29 {
		return Candidates{}
	}
	allowed := spanOf(s.CIDR)
	allowed.first, allowed.last = allowed.first+4, allowed.last-1
	if limited {
		if !workers.First.Is4() || !workers.Last.Is4() {
			return Candidates{}
		}
		allowed.first = max(allowed.first, number(workers.First))
		allowed.last = min(allowed.last, number(workers.Last))
	}
	var blocked []span
	for _, prefix := range s.Held {
		blocked = appendIPv4(blocked, prefix)
	}
	for _, prefix := range s.Reserved {
		if !limited || !workers.Contains(prefix) {
			blocked = appendIPv4(blocked, prefix)
		}
	}
	for _, addr := range s.Excluded {
		blocked = appendIPv4(blocked, netip.PrefixFrom(addr, addr.BitLen()))
	}
	return Candidates{gapsBetween(allowed, blocked)}
}

// gapsBetween returns what blocked leaves of allowed.
func gapsBetween(allowed span, blocked []span) []span {
	slices.SortFunc(blocked, func(a, b span) int {
		switch {
		case a.first < b.first:
			return -1
		case a.first > b.first:
			return 1
		}
		return 0
	})
	var gaps []span
	next := uint64(allowed.first) // the first address that is not decided about
	for _, b := range blocked {
		if uint64(b.first) > uint64(allowed.last) {
			break
		}
		if uint64(b.first) > next {
			gaps = append(gaps, span{uint32(next), b.first - 1})
		}
		next = max(next, uint64(b.last)+1)
	}
	if next <= uint64(allowed.last) {
		gaps = append(gaps, span{uint32(next), allowed.last})
	}
	return gaps
}

// Len is the number of candidates.
func (c Candidates) Len() int {
	n := 0
	for _, gap := range c.gaps {
		n += gap.size()
	}
	return n
}

// At returns candidate number i, from 0, or the last one if there are fewer. It
// is false when there is none at all.
func (c Candidates) At(i int) (netip.Addr, bool) {
	if len(c.gaps) == 0 {
		return netip.Addr{}, false
	}
	for _, gap := range c.gaps {
		if i < gap.size() {
			return addr(gap.first + uint32(max(i, 0))), true
		}
		i -= gap.size()
	}
	return addr(c.gaps[len(c.gaps)-1].last), true
}

func appendIPv4(spans []span, prefix netip.Prefix) []span {
	if !prefix.IsValid() || !prefix.Addr().Is4() {
		return spans
	}
	return append(spans, spanOf(prefix))
}

func spanOf(prefix netip.Prefix) span {
	first, last := spec.Ends(prefix)
	return span{number(first), number(last)}
}

func number(a netip.Addr) uint32 {
	bytes := a.As4()
	return binary.BigEndian.Uint32(bytes[:])
}

func addr(n uint32) netip.Addr {
	var bytes [4]byte
	binary.BigEndian.PutUint32(bytes[:], n)
	return netip.AddrFrom4(bytes)
}
