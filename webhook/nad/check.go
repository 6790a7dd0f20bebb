package nad

import (
	"fmt"
	"net/netip"
	"slices"
)

// Checker checks objects against what is known of the VPC and of other NADs.
// It may be used by several goroutines.
type Checker struct {
	known            bool // something is known of reservations
	reservations     []Reservation
	subnets          []subnet
	explicit, prefix []Range // addresses of the reservations of each type
	others           []Network
}

// NewChecker returns a checker that knows the reservations, and the
// networks that may overlap. The object that is checked may be among them. The
// zero Reservation stands for one that covers nothing.
func NewChecker(reservations []Reservation, others []Network) Checker {
	known := len(reservations) > 0
	void := func(r Reservation) bool { return !r.CIDR.IsValid() }
	if slices.ContainsFunc(reservations, void) { // which are the caller's
		reservations = slices.DeleteFunc(slices.Clone(reservations), void)
	}
	return Checker{
		known:        known,
		reservations: reservations,
		subnets:      subnets(reservations),
		explicit:     ofType(reservations, Explicit),
		prefix:       ofType(reservations, Prefix),
		others:       others,
	}
}

// NAD checks a NAD. Nothing is found in one whose addresses do not belong to
// ENIs.
func (c Checker) NAD(d Definition) Report { return c.Network(Read(d)) }

// Network checks a NAD that has been read.
func (c Checker) Network(network Network) Report {
	found := append(findings(nil), network.Findings...)
	var report Report
	for _, plugin := range network.Plugins {
		found.plugin(plugin)
		for _, pool := range plugin.IPAM.Pools {
			for _, r := range pool.Ranges {
				report.Ranges = append(report.Ranges, ObjectRange{network.Object, r.First, r.Last})
			}
			c.pool(&found, plugin.IPAM.Type, pool)
			c.overlap(&found, network, plugin.IPAM, pool)
		}
	}
	c.twoSubnets(&found, network.Pools())
	if len(report.Ranges) > 0 {
		c.nothingKnown(&found, "spec.config")
	}
	report.Findings = found.of(network.Object)
	return report
}

// networksField is where a pod says which addresses it wants.
const networksField = "metadata.annotations[" + NetworksAnnotation + "]"

// BadAnnotation is the finding that Selections failed with err. field is where
// the pod is within the object, and empty or ends in a dot.
func BadAnnotation(object, field string, err error) Finding {
	return Finding{object, AnnotationMalformed.Severity(), AnnotationMalformed, field + networksField, err.Error()}
}

// Pod checks what a pod, whose "namespace/name" object is, asks of its networks:
// whether their plugins obey, and whether the addresses that it then gets route. find looks a NAD up; networks that it does not know count as
// managed, as nothing says otherwise.
func (c Checker) Pod(object string, selections []Selection, find func(namespace, name string) (Network, bool)) []Finding {
	var found findings
	for i, s := range selections {
		network, known := find(s.Namespace, s.Name)
		if known && !network.Managed {
			continue
		}
		answer := network.answer(fmt.Sprintf("%s[%d]", networksField, i), s)
		found = append(found, answer.findings...)
		for _, w := range answer.given {
			c.static(&found, w.field, w.prefix, s)
		}
		if len(answer.given) > 0 {
			c.nothingKnown(&found, fmt.Sprintf("%s[%d].ips", networksField, i))
		}
	}
	return found.of(object)
}

// static checks one address of a pod. That its own network hands it out too is
// as it should be.
func (c Checker) static(found *findings, field string, ip netip.Prefix, of Selection) {
	one := []Range{{ip.Addr(), ip.Addr()}}
	pool := Pool{Field: field, Network: ip.Masked(), Ranges: one}
	if ip.IsSingleIP() { // no length was given, or it is a floating address
		c.addresses(found, "ips", pool)
	} else {
		c.pool(found, "ips", pool)
	}
	var givers []object
	for _, other := range c.others {
		gives := func(p PluginConfig) bool { return p.IPAM.Type != "static" && len(Intersect(one, p.IPAM.ranges())) > 0 }
		if other.Object != of.Namespace+"/"+of.Name && slices.ContainsFunc(other.Plugins, gives) {
			givers = append(givers, object(other.Object))
		}
	}
	if len(givers) > 0 {
		found.add(RangeOverlap, field, "%s is in a range of %s, which may give it to another pod; exclude it there, or ask for one outside of the range", ip.Addr(), joined(givers))
	}
}

// pool checks all that one pool hands out. kind is the IPAM's type, or "ips"
// for an address in a pod, and decides what remedy is named.
func (c Checker) pool(found *findings, kind string, p Pool) {
	c.addresses(found, kind, p)
	s, ok := c.subnetOf(p.Ranges)
	if !ok {
		return
	}
	if p.Network.Bits() != s.cidr.Bits() {
		mistake := "take the rest of the subnet for remote"
		if p.Network.Bits() < s.cidr.Bits() {
			mistake = "take addresses beyond the subnet for neighbours"
		}
		found.add(PrefixLength, p.Field, "the addresses get prefix length /%d and subnet %s has /%d, so pods %s; %s", p.Network.Bits(), s, s.cidr.Bits(), mistake, lengthRemedy(kind, p, s))
	}
	if p.Gateway.IsValid() && p.Gateway != s.router() && !p.Gateway.IsLinkLocalUnicast() {
		found.add(Gateway, p.GatewayField, "gateway %s is not the router of subnet %s; the VPC routes at %s only", p.Gateway, s, s.router())
	}
}

// subnetOf finds the known subnet that the addresses begin in.
func (c Checker) subnetOf(ranges []Range) (subnet, bool) {
	for _, s := range c.subnets {
		if len(ranges) > 0 && s.cidr.Contains(ranges[0].First) {
			return s, true
		}
	}
	return subnet{}, false
}
