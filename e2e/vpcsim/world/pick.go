package world

import (
	"net/netip"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

// tries bounds the search for a random free IPv6 address or prefix. A subnet
// is so large that a miss means a reservation covers it.
const tries = 1000

// free reports whether nothing holds an address, singly or by prefix.
func (w *World) free(a netip.Addr) bool {
	_, held := w.holders[a]
	return !held && !w.inBlock(a)
}

// inBlock reports whether an address lies in a delegated prefix.
func (w *World) inBlock(a netip.Addr) bool {
	bits := topology.IPv4PrefixBits
	if a.Is6() {
		bits = topology.IPv6PrefixBits
	}
	_, held := w.blocks[netip.PrefixFrom(a, bits).Masked()]
	return held
}

// inReservation reports whether an address lies in a reservation of one of the
// given types.
func (w *World) inReservation(a netip.Addr, types ...topology.ReservationType) bool {
	for _, r := range w.reservations.value {
		if slices.Contains(types, r.Type) && r.CIDR.Contains(a) {
			return true
		}
	}
	return false
}

// automatic reports whether EC2 may choose an address by itself: it avoids all
// reservations.
func (w *World) automatic(a netip.Addr, cidr netip.Prefix, except []netip.Addr) bool {
	return w.free(a) && !topology.Reserved(a, cidr) && !slices.Contains(except, a) &&
		!w.inReservation(a, topology.Explicit, topology.Prefix)
}

// pickIPv4 chooses free addresses of a subnet at random.
func (w *World) pickIPv4(subnet string, n int, except []netip.Addr) ([]netip.Addr, error) {
	cidr := w.subnets.value[subnet].CIDR
	var free []netip.Addr
	for a := cidr.Addr(); cidr.Contains(a); a = a.Next() {
		if w.automatic(a, cidr, except) {
			free = append(free, a)
		}
	}
	if len(free) < n {
		return nil, errSubnetFull()
	}
	w.rand.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
	return free[:n], nil
}

// pickIPv6 chooses free addresses of a subnet at random.
func (w *World) pickIPv6(subnet string, n int, except []netip.Addr) ([]netip.Addr, error) {
	cidr := w.subnets.value[subnet].IPv6CIDR
	if !cidr.IsValid() {
		return nil, errSubnetFull()
	}
	var out []netip.Addr
	for range tries {
		if len(out) == n {
			break
		}
		a := w.randomIn(cidr, 128)
		if w.automatic(a, cidr, except) && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	if len(out) < n {
		return nil, errSubnetFull()
	}
	return out, nil
}

// randomIn chooses an IPv6 address in cidr of which only the first bits may
// differ from zero.
func (w *World) randomIn(cidr netip.Prefix, bits int) netip.Addr {
	base := cidr.Masked().Addr().As16()
	for i := cidr.Bits(); i < bits; i++ {
		if w.rand.Uint64()&1 == 1 {
			base[i/8] |= 0x80 >> (i % 8)
		}
	}
	return netip.AddrFrom16(base)
}
