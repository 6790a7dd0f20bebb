package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// ranges plays whereabouts: it hands out the addresses of a network in order,
// one of each range, and beside them the pods' addresses on eth0.
type ranges struct {
	eth0  netip.Addr
	parts []addressRange
}

// addressRange is a range of whereabouts's configuration.
type addressRange struct {
	next, last netip.Addr
	bits       int // of the subnet
}

// eth0Bits is the length of the management subnet.
const eth0Bits = 24

// newRanges reads the ranges of a CNI configuration. Pods get eth0 as their
// first address on eth0.
func newRanges(config string, eth0 netip.Addr) (*ranges, error) {
	var c struct {
		IPAM struct {
			Type     string
			IPRanges []struct{ Range string }
		}
	}
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return nil, fmt.Errorf("CNI configuration: %w", err)
	}
	if c.IPAM.Type != "whereabouts" || len(c.IPAM.IPRanges) == 0 {
		return nil, errors.New("CNI configuration: want ipRanges of whereabouts")
	}
	r := &ranges{eth0: eth0}
	for _, text := range c.IPAM.IPRanges {
		part, err := parseRange(text.Range)
		if err != nil {
			return nil, err
		}
		r.parts = append(r.parts, part)
	}
	return r, nil
}

// parseRange reads a range of the form FIRST-LAST/BITS.
func parseRange(text string) (addressRange, error) {
	first, rest, _ := strings.Cut(text, "-")
	from, err := netip.ParseAddr(first)
	if err != nil {
		return addressRange{}, fmt.Errorf("range %q: %w", text, err)
	}
	to, err := netip.ParsePrefix(rest)
	if err != nil {
		return addressRange{}, fmt.Errorf("range %q: %w", text, err)
	}
	if from.BitLen() != to.Addr().BitLen() || to.Addr().Less(from) {
		return addressRange{}, fmt.Errorf("range %q: the last address does not follow the first", text)
	}
	return addressRange{next: from, last: to.Addr(), bits: to.Bits()}, nil
}

// next returns the addresses of one more pod: those of net1, and that of eth0.
func (r *ranges) next() (net1 []netip.Prefix, eth0 netip.Prefix, err error) {
	for i := range r.parts {
		part := &r.parts[i]
		if part.last.Less(part.next) {
			return nil, netip.Prefix{}, fmt.Errorf("the range that ends with %s is used up", part.last)
		}
		net1 = append(net1, netip.PrefixFrom(part.next, part.bits))
		part.next = part.next.Next()
	}
	eth0 = netip.PrefixFrom(r.eth0, eth0Bits)
	r.eth0 = r.eth0.Next()
	return net1, eth0, nil
}
