// Package vpc asks EC2: how each call is made, bounded and tried again, what a
// failure means, and the lists that more than one program reads.
//
// A Client owns all that concerns a call: endpoint and credentials, the offset
// of the worker's clock, limits of time, rate and size, and the one reading of
// AWS's answers into a *fault.Error. It knows nothing of those who use it.
//
// A list is complete or an error: half a list looks like things that were
// deleted. Pages are not of one moment, though.
package vpc

import (
	"net/netip"
	"slices"
)

// Selection is the choice of subnets: by id, or by a tag.
type Selection struct {
	IDs      []string
	TagKey   string
	TagValue string
}

// Subnet is a subnet with the ranges of its addresses.
type Subnet struct {
	ID   string
	VPC  string
	Zone string
	Tags map[string]string
	// CIDRs are the IPv4 block and the associated IPv6 blocks.
	CIDRs []netip.Prefix
}

// Around returns the block of the subnet that holds all of cidr, and whether
// there is one.
func (s Subnet) Around(cidr netip.Prefix) (netip.Prefix, bool) {
	i := slices.IndexFunc(s.CIDRs, func(block netip.Prefix) bool {
		return block.Bits() <= cidr.Bits() && block.Contains(cidr.Addr())
	})
	if i < 0 {
		return netip.Prefix{}, false
	}
	return s.CIDRs[i], true
}

// Reservation is a subnet CIDR reservation.
type Reservation struct {
	ID       string
	SubnetID string
	CIDR     netip.Prefix
	// Type is EC2's word: explicit or prefix.
	Type string
	Tags map[string]string
}

// ENI is a network interface and what it holds in its subnet.
type ENI struct {
	ID string
	// Instance is the one it is attached to; empty if none.
	Instance string
	// Addresses are single addresses, primary and secondary, of both families.
	Addresses []netip.Prefix
	// Prefixes are those delegated to it.
	Prefixes []netip.Prefix
}

// Request asks for a reservation of type explicit.
type Request struct {
	SubnetID    string
	CIDR        netip.Prefix
	Description string
	Tags        map[string]string
}
