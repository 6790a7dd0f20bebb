package nad

import (
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
)

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
	a, b := numberOf(first), numberOf(last)
	free := min(a.trailingZeros(), b.minus(a).powerOfTwo())
	return netip.PrefixFrom(first, a.length-free)
}

// cover returns one or two prefixes that hold the range and, of each, at most
// as much again. They are for finding ranges, which must then be compared.
func (r Range) cover() []netip.Prefix {
	a, b := numberOf(r.First), numberOf(r.Last)
	free := a.xor(b).bitLen() // bits in which the range differs
	if free == 0 {
		return []netip.Prefix{netip.PrefixFrom(r.First, a.length)}
	}
	middle := netip.PrefixFrom(r.Last, a.length-free+1).Masked().Addr() // both halves of the common prefix have a part
	end := numberOf(middle.Prev())
	left, _ := r.First.Prefix(a.length - a.xor(end).bitLen())
	right, _ := r.Last.Prefix(a.length - b.xor(numberOf(middle)).bitLen())
	return []netip.Prefix{left, right}
}

// number is an address as a number.
type number struct {
	hi, lo uint64
	length int // in bits: 32 or 128
}

func numberOf(a netip.Addr) number {
	if a.Is4() {
		four := a.As4()
		return number{lo: uint64(binary.BigEndian.Uint32(four[:])), length: 32}
	}
	sixteen := a.As16()
	return number{binary.BigEndian.Uint64(sixteen[:8]), binary.BigEndian.Uint64(sixteen[8:]), 128}
}

func (n number) addr() netip.Addr {
	if n.length == 32 {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(n.lo))))
	}
	return netip.AddrFrom16([16]byte(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, n.hi), n.lo)))
}

// ones is the number with so many ones at its end.
func ones(count int) number {
	switch {
	case count >= 128:
		return number{hi: math.MaxUint64, lo: math.MaxUint64}
	case count >= 64:
		return number{hi: 1<<(count-64) - 1, lo: math.MaxUint64}
	default:
		return number{lo: 1<<count - 1}
	}
}

func (n number) or(m number) number { return number{n.hi | m.hi, n.lo | m.lo, n.length} }

func (n number) xor(m number) number { return number{n.hi ^ m.hi, n.lo ^ m.lo, n.length} }

// minus takes a smaller number away.
func (n number) minus(m number) number {
	lo, borrow := bits.Sub64(n.lo, m.lo, 0)
	hi, _ := bits.Sub64(n.hi, m.hi, borrow)
	return number{hi, lo, n.length}
}

func (n number) bitLen() int {
	if n.hi != 0 {
		return 64 + bits.Len64(n.hi)
	}
	return bits.Len64(n.lo)
}

// trailingZeros of an address that is all zeros is its length.
func (n number) trailingZeros() int {
	if n.lo != 0 {
		return bits.TrailingZeros64(n.lo)
	}
	return min(64+bits.TrailingZeros64(n.hi), n.length)
}

// powerOfTwo returns the largest k for which 2^k is not more than n+1.
func (n number) powerOfTwo() int {
	k := n.bitLen()
	if all := ones(k); all.hi == n.hi && all.lo == n.lo {
		return k
	}
	return k - 1
}
