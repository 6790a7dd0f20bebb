package nad

import "net/netip"

// Fixed returns the addresses that every pod with this selection gets: those
// that it asks for, and those that a network of IPAM static gives to all.
func (n Network) Fixed(s Selection) []netip.Addr {
	var addrs []netip.Addr
	a := n.answer("", s)
	for _, w := range a.given {
		addrs = append(addrs, w.prefix.Addr())
	}
	if len(addrs) > 0 {
		return addrs
	}
	for _, p := range n.Plugins {
		if p.IPAM.Type != "static" {
			continue
		}
		for _, pool := range p.IPAM.Pools { // one for each address
			addrs = append(addrs, pool.Ranges[0].First)
		}
	}
	return addrs
}
