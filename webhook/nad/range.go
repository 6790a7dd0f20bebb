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

// Union returns the addresses of all ranges: sorted, and with a gap between
// one and the next.
func Union(ranges []Range) []Range {
	sorted := slices.SortedFunc(slices.Values(ranges), func(a, b Range) int { return a.First.Compare(b.First) })
	var union []Range
	for _, r := range sorted {
		last := len(union) - 1
		if last >= 0 && (union[last].Overlaps(r) || union[last].Last.Next() == r.First) {
			union[last].Last = maxAddr(union[last].Last, r.Last)
			continue
		}
		union = append(union, r)
	}
	return union
}

// Subtract returns the addresses of from that are not in without.
func Subtract(from, without []Range) []Range {
	rest := Union(from)
	for _, w := range Union(without) {
		var next []Range
		for _, r := range rest {
			next = append(next, r.cut(w)...)
		}
		rest = next
	}
	return rest
}

// Intersect returns the addresses that are in both.
func Intersect(a, b []Range) []Range {
	var common []Range
	for _, x := range Union(a) {
		for _, y := range Union(b) {
			if x.Overlaps(y) {
				common = append(common, Range{maxAddr(x.First, y.First), minAddr(x.Last, y.Last)})
			}
		}
	}
	return common
}

// cut returns what is left of the range, in up to two pieces.
func (r Range) cut(w Range) []Range {
	if !r.Overlaps(w) {
		return []Range{r}
	}
	var pieces []Range
	if r.First.Less(w.First) {
		pieces = append(pieces, Range{r.First, w.First.Prev()})
	}
	if w.Last.Less(r.Last) {
		pieces = append(pieces, Range{w.Last.Next(), r.Last})
	}
	return pieces
}

// Prefixes returns the fewest prefixes that hold exactly the range.
func (r Range) Prefixes() []netip.Prefix {
	var prefixes []netip.Prefix
	for first := r.First; first.IsValid() && first.Compare(r.Last) <= 0; {
		p := largestPrefix(first, r.Last)
		prefixes = append(prefixes, p)
		first = lastAddr(p).Next() // invalid after the last address there is
	}
	return prefixes
}

// largestPrefix begins at first and does not reach beyond last.
func largestPrefix(first, last netip.Addr) netip.Prefix {
	for bits := range first.BitLen() {
		p := netip.PrefixFrom(first, bits)
		if p.Masked().Addr() == first && lastAddr(p).Compare(last) <= 0 {
			return p
		}
	}
	return netip.PrefixFrom(first, first.BitLen())
}

// lastAddr returns the prefix's last address, the broadcast address of IPv4.
func lastAddr(p netip.Prefix) netip.Addr {
	bytes := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last
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
