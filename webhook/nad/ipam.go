package nad

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	netutils "k8s.io/utils/net"
)

// Pool is one range of an IPAM as it is written, and what it hands out.
type Pool struct {
	Field   string       // "spec.config.ipam.range"
	Network netip.Prefix // its length becomes the addresses' prefix length
	Ranges  []Range      // what pods get: sorted, disjoint, one at least
	Gateway netip.Addr   // the zero Addr when none is written
	// GatewayField is where Gateway is written.
	GatewayField string
	sliced       bool // nodes take slices of Network: exclusions and bounds mean nothing
	set          int  // of host-local's sets, from each of which a pod gets one address
}

// IPAM is what gives addresses to the interface of one plugin.
type IPAM struct {
	Type  string // "whereabouts"
	Field string // "spec.config.ipam"
	Pools []Pool
	// NetworkName is whereabouts's network_name: ranges of the same name share
	// their allocations.
	NetworkName string
	// Apart is whereabouts's enable_overlapping_ranges: no address is handed
	// out by two ranges of the same NetworkName.
	Apart bool

	unread        bool   // it has more than is read, so Pools are not all or none
	version       string // of the CNI specification
	fixed         bool   // static takes its addresses from runtimeConfig, before cni-args
	args, runtime []wish // what host-local is asked for by the NAD itself
}

// reader reads one plugin's IPAM section, by the rules of the IPAM plugin
// itself, and collects what it says.
type reader struct {
	plugin  string          // "spec.config" or "spec.config.plugins[0]"
	raw     json.RawMessage // the plugin's whole section: IPAM plugins see all of it
	ipam    IPAM
	section object // ipam
	sums    *tally // of all plugins of the NAD
	findings
}

// decode decodes the plugin's whole section. It reports false, and why, if
// the IPAM plugin could not.
func (r *reader) decode(into any) bool {
	err := decode(r.raw, into)
	if err != nil {
		r.refused(IPAMMalformed, r.ipam.Type, r.plugin, err)
	}
	return err == nil
}

// read reads the IPAM section of a plugin. Without one, there are no pools.
func (r *reader) read() {
	r.ipamSection(r.ipam.Type, r.ipam.Field, r.section)
	switch r.ipam.Type {
	case "":
	case "whereabouts":
		r.whereabouts()
	case "host-local":
		r.hostLocal()
	case "static":
		r.static()
	case "dhcp":
		r.add(IPAMUnknown, r.ipam.Field+".type", "EC2's DHCP knows the ENI's primary address only, which is the worker's; use whereabouts, host-local or static")
	default:
		r.add(IPAMUnknown, r.ipam.Field+".type", "the ranges of IPAM type %q cannot be read, so they are not checked; label the NAD %s=false if its addresses do not belong to ENIs%s", r.ipam.Type, ManagedLabel, meant(r.ipam.Type, knownIPAMs()))
	}
}

// give adds a pool, unless nothing is left in it to hand out.
func (r *reader) give(p Pool) {
	if len(p.Ranges) == 0 {
		r.add(RangeEmpty, p.Field, "no address is left to hand out: everything is excluded or taken by the gateway")
		return
	}
	r.ipam.Pools = append(r.ipam.Pools, p)
}

// single checks that no family has more than one address where the version of
// the CNI specification allows one only.
func (l *findings) single(version, field string, addresses []netip.Addr) {
	if !slices.Contains([]string{"", "0.1.0", "0.2.0"}, version) { // empty is 0.1.0
		return
	}
	families := map[int]int{}
	for _, a := range addresses {
		families[a.BitLen()]++
		if families[a.BitLen()] == 2 {
			l.add(IPAMMalformed, field, "cniVersion %q allows only one address of each family; write \"cniVersion\": \"0.3.1\" or later", version)
		}
	}
}

// parseAddr takes what the IPAM plugins take. Addresses that are IPv4 written
// as IPv6 are IPv4.
func parseAddr(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%q is not an address", text)
	}
	return a.Unmap(), nil
}

// parseCIDR keeps the host bits, because its callers treat them differently.
func parseCIDR(text string) (netip.Prefix, error) {
	ip, network, err := net.ParseCIDR(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not a CIDR; want one such as 10.10.1.64/26", text)
	}
	return prefixOf(ip, network, text)
}

// prefixOf refuses IPv4 that is written as IPv6, as plugins do sooner or later.
func prefixOf(ip net.IP, network *net.IPNet, text string) (netip.Prefix, error) {
	bits, size := network.Mask.Size()
	addr, ok := netip.AddrFromSlice(ip)
	if addr = addr.Unmap(); !ok || addr.BitLen() != size {
		return netip.Prefix{}, fmt.Errorf("%q mixes IPv4 and IPv6; want a CIDR such as 10.10.1.64/26", text)
	}
	return netip.PrefixFrom(addr, bits), nil
}

// parseSloppyCIDR is parseCIDR for whereabouts, which lets numbers begin with
// zeros: 010.010.001.064/26.
func parseSloppyCIDR(text string) (netip.Prefix, error) {
	ip, network, err := netutils.ParseCIDRSloppy(text)
	if err != nil {
		return parseCIDR(text)
	}
	return prefixOf(ip, network, text)
}

func parseSloppyAddr(text string) (netip.Addr, error) {
	if ip := netutils.ParseIPSloppy(text); ip != nil {
		return parseAddr(ip.String())
	}
	return parseAddr(text)
}

// hasUsable reports whether a prefix has an address between its first and its
// last one.
func hasUsable(p netip.Prefix) bool { return p.Addr().BitLen()-p.Bits() > 1 }

var errTooSmall = errors.New("has no address between its first and its last one")
