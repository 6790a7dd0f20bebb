package nad

import (
	"net/netip"
	"slices"
)

// Range is a run of addresses of one family, from First to Last, both included.
type Range struct {
	First, Last netip.Addr
}

// RangeOf returns all addresses of a prefix.
func RangeOf(p netip.Prefix) Range { return Range{p.Masked().Addr(), lastAddr(p)} }

// String is "10.10.1.70-10.10.1.79", or the address when there is one only.
func (r Range) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	return r.First.String() + "-" + r.Last.String()
}

// Contains reports whether the address is in the range.
func (r Range) Contains(a netip.Addr) bool {
	return r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0
}

// Overlaps reports whether the ranges have an address in common.
func (r Range) Overlaps(other Range) bool {
	return r.First.Compare(other.Last) <= 0 && other.First.Compare(r.Last) <= 0
}

// touches reports whether one range ends where the other begins, or they
// overlap. r begins first.
func (r Range) touches(next Range) bool { return r.Overlaps(next) || r.Last.Next() == next.First }

// Union returns the addresses of all ranges: sorted, and with a gap between
// one and the next.
//
// This and what follows sorts and sweeps, so n ranges cost n log n. What is
// a union already is neither sorted nor copied again.
func Union(ranges []Range) []Range {
	if isUnion(ranges) {
		return slices.Clip(ranges) // appending to it makes a copy
	}
	sorted := slices.SortedFunc(slices.Values(ranges), func(a, b Range) int { return a.First.Compare(b.First) })
	union := sorted[:1]
	for _, r := range sorted[1:] {
		last := &union[len(union)-1]
		if last.touches(r) {
			last.Last = maxAddr(last.Last, r.Last)
			continue
		}
		union = append(union, r)
	}
	return slices.Clip(union)
}

func isUnion(ranges []Range) bool {
	for i := 1; i < len(ranges); i++ {
		if before := ranges[i-1]; ranges[i].First.Less(before.First) || before.touches(ranges[i]) {
			return false
		}
	}
	return true
}

// Subtract returns the addresses of from that are not in without.
func Subtract(from, without []Range) []Range {
	var rest []Range
	holes := Union(without)
	for _, r := range Union(from) {
		first := r.First // of what is left of r; not valid beyond the last address there is
		for len(holes) > 0 && holes[0].First.Compare(r.Last) <= 0 {
			hole := holes[0]
			if hole.Overlaps(r) {
				if first.Less(hole.First) {
					rest = append(rest, Range{first, hole.First.Prev()})
				}
				first = hole.Last.Next()
			}
			if r.Last.Compare(hole.Last) <= 0 {
				break // the next range may begin in the same hole
			}
			holes = holes[1:]
		}
		if first.IsValid() && first.Compare(r.Last) <= 0 {
			rest = append(rest, Range{first, r.Last})
		}
	}
	return rest
}

// Intersect returns the addresses that are in both.
func Intersect(a, b []Range) []Range {
	var common []Range
	a, b = Union(a), Union(b)
	for len(a) > 0 && len(b) > 0 {
		if a[0].Overlaps(b[0]) {
			common = append(common, Range{maxAddr(a[0].First, b[0].First), minAddr(a[0].Last, b[0].Last)})
		}
		if a[0].Last.Less(b[0].Last) {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return common
}

// among reports whether a range has an address in common with a union.
func (r Range) among(union []Range) bool {
	i := r.reaches(union)
	return i < len(union) && union[i].First.Compare(r.Last) <= 0
}

// of returns the addresses of a union that are in the range. It costs no more
// than what it returns and a search.
func (r Range) of(union []Range) []Range {
	var common []Range
	for _, u := range union[r.reaches(union):] {
		if !u.Overlaps(r) {
			break
		}
		common = append(common, Range{maxAddr(u.First, r.First), minAddr(u.Last, r.Last)})
	}
	return common
}

// reaches returns the index of the first range of a union that does not end
// before r.
func (r Range) reaches(union []Range) int {
	i, _ := slices.BinarySearchFunc(union, r.First, func(u Range, first netip.Addr) int { return u.Last.Compare(first) })
	return i
}

// lastAddr returns the prefix's last address, the broadcast address of IPv4.
func lastAddr(p netip.Prefix) netip.Addr {
	if !p.IsValid() {
		return netip.Addr{}
	}
	n := numberOf(p.Addr())
	return n.or(ones(n.length - p.Bits())).addr()
}

func minAddr(a, b netip.Addr) netip.Addr {
	if a.Less(b) {
		return a
	}
	return b
}

func maxAddr(a, b netip.Addr) netip.Addr {
	if a.Less(b) {
		return b
	}
	return a
}
