// Package plan decides which address belongs on which ENI and what has to be
// assigned. It is pure: addresses and ENIs in, steps and refusals out.
package plan

import (
	"net/netip"
)

// Address is an address of the pod, as the kernel shows it.
type Address struct {
	netip.Addr
	Interface string // name of the link that carries it
	MAC       string // of that link, lower case with colons; empty when it has none
}

// ENI is an elastic network interface of this worker, as the cloud shows it.
type ENI struct {
	ID          string
	MAC         string // lower case with colons
	DeviceIndex int
	Subnets     []netip.Prefix // IPv4 and IPv6 CIDRs of its subnet; empty when not known
	Primary     netip.Addr     // primary private IPv4 address
	Addresses   []netip.Addr   // secondary private IPv4 addresses, and IPv6 addresses
	Prefixes    []netip.Prefix // delegated prefixes
}

// Step is one assignment: addresses of one family for one ENI.
type Step struct {
	ENI      ENI
	Addrs    []netip.Addr
	TakeOver bool // IPMGR_POOLS covers the addresses: they may be taken from any ENI
}
