package topology

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// The sizes of delegated prefixes.
const (
	IPv4PrefixBits = 28
	IPv6PrefixBits = 80
)

func (c *checker) checkDelegated(path string, p netip.Prefix, s Subnet, x *index) {
	bits, cidr := IPv4PrefixBits, s.CIDR
	if p.Addr().Is6() {
		bits, cidr = IPv6PrefixBits, s.IPv6CIDR
	}
	switch {
	case p.Bits() != bits:
		c.wrong(path, "prefix %s: AWS delegates /%d", p, bits)
	case !within(p, cidr):
		c.wrong(path, "prefix %s is outside subnet %s", p, s.ID)
	}
	if first, dup := x.prefixes[p]; dup {
		c.wrong(path, "prefix %s is used by %s already", p, first)
	}
	x.prefixes[p] = path
}

// checkPrefixes finds addresses that lie in a delegated prefix.
func (c *checker) checkPrefixes(x *index) {
	var found []string
	for p, path := range x.prefixes {
		for a, holder := range x.addresses {
			if p.Contains(a) {
				found = append(found, fmt.Sprintf("%s: prefix %s contains address %s of %s", path, p, a, holder))
			}
		}
	}
	slices.Sort(found)
	c.mistakes = append(c.mistakes, found...)
}

// Reserved reports whether AWS keeps addr for itself in a subnet: the first
// four addresses and the last one.
func Reserved(addr netip.Addr, subnet netip.Prefix) bool {
	first := subnet.Masked().Addr()
	for range 4 {
		if addr == first {
			return true
		}
		first = first.Next()
	}
	return addr == Last(subnet)
}

// Last returns the last address of p.
func Last(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As16()
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	for i := range b {
		switch done := bits - 8*i; {
		case done <= 0:
			b[i] = 0xff
		case done < 8:
			b[i] |= 0xff >> done
		}
	}
	a := netip.AddrFrom16(b)
	if p.Addr().Is4() {
		return a.Unmap()
	}
	return a
}

// Number returns an IPv4 address as a number.
func Number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// Numbered returns the IPv4 address of a number.
func Numbered(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n)))
}

// within reports whether p lies inside outer; false when either is invalid.
func within(p, outer netip.Prefix) bool {
	return p.IsValid() && outer.IsValid() && p.Bits() >= outer.Bits() && outer.Contains(p.Addr())
}

func overlap(a, b netip.Prefix) bool {
	return a.IsValid() && b.IsValid() && a.Overlaps(b)
}

func withinAny(p netip.Prefix, outer []netip.Prefix) bool {
	return slices.ContainsFunc(outer, func(o netip.Prefix) bool { return within(p, o) })
}

// list renders one block as itself.
func list(blocks []netip.Prefix) string {
	texts := make([]string, len(blocks))
	for i, p := range blocks {
		texts[i] = p.String()
	}
	return strings.Join(texts, ", ")
}
