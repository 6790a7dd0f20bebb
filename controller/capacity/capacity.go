// Package capacity counts the addresses of a range: which ENIs hold, and which
// can still be had. It is pure.
package capacity

import (
	"math"
	"math/bits"
	"net/netip"
)

// Count is how many addresses of a range are used and free. Either ends at
// math.MaxInt64, which an IPv6 /65 exceeds.
type Count struct{ Used, Free int64 }

// Of counts the addresses of cidr. held are the addresses and delegated
// prefixes that ENIs hold, without overlaps; what lies outside cidr does not
// count. subnet is the block of the subnet that cidr lies in, and may be the
// zero Prefix: of it AWS keeps the first four and the last address.
func Of(cidr, subnet netip.Prefix, held []netip.Prefix) Count {
	var used uint128
	for _, h := range held {
		used = used.plus(overlap(cidr, h))
	}
	free := size(cidr).minus(used).minus(kept(cidr, subnet))
	return Count{Used: used.capped(), Free: free.capped()}
}

// kept counts the addresses of cidr that AWS keeps for itself.
// Source: Amazon VPC User Guide, "Subnet CIDR blocks".
func kept(cidr, subnet netip.Prefix) uint128 {
	var n uint128
	if !subnet.IsValid() {
		return n
	}
	address := subnet.Masked().Addr()
	for range 4 {
		if cidr.Contains(address) {
			n = n.plus(uint128{lo: 1})
		}
		address = address.Next()
	}
	if cidr.Contains(last(subnet)) {
		n = n.plus(uint128{lo: 1})
	}
	return n
}

// last returns the highest address of a prefix.
func last(p netip.Prefix) netip.Addr {
	bytes := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	address, _ := netip.AddrFromSlice(bytes) // as long as it was
	return address
}

// overlap counts the addresses that two prefixes have in common: one of them
// holds the other, or they have none.
func overlap(a, b netip.Prefix) uint128 {
	switch {
	case !a.Overlaps(b):
		return uint128{}
	case a.Bits() > b.Bits():
		return size(a)
	default:
		return size(b)
	}
}

// size counts the addresses of a prefix. All of IPv6 counts as one less.
func size(p netip.Prefix) uint128 {
	switch free := p.Addr().BitLen() - p.Bits(); {
	case free < 64:
		return uint128{lo: 1 << free}
	case free < 128:
		return uint128{hi: 1 << (free - 64)}
	default:
		return uint128{hi: math.MaxUint64, lo: math.MaxUint64}
	}
}

// uint128 is a number of addresses.
type uint128 struct{ hi, lo uint64 }

func (a uint128) plus(b uint128) uint128 {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, _ := bits.Add64(a.hi, b.hi, carry)
	return uint128{hi: hi, lo: lo}
}

// minus returns zero where b is more than a.
func (a uint128) minus(b uint128) uint128 {
	lo, borrow := bits.Sub64(a.lo, b.lo, 0)
	hi, below := bits.Sub64(a.hi, b.hi, borrow)
	if below != 0 {
		return uint128{}
	}
	return uint128{hi: hi, lo: lo}
}

func (a uint128) capped() int64 {
	if a.hi != 0 || a.lo > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(a.lo)
}
