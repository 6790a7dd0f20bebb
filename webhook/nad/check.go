package nad

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
)

// Checker checks objects against the known state of the VPC and other NADs.
// It may be used by several goroutines.
type Checker struct {
	known  bool // something is known of reservations
	ground func() ground
	others *Index
	abroad bool // pods may ask for addresses of networks of other namespaces
}

// AllowForeign returns a checker that only warns about pods that ask for addresses
// in ranges of networks of other namespaces.
func (c Checker) AllowForeign() Checker {
	c.abroad = true
	return c
}

// NewChecker returns a checker that knows the reservations, and the networks
// that may overlap; no Index is an empty one. The object that is checked may be
// among them. The zero Reservation stands for one that covers nothing. Nobody
// may change the reservations afterwards: checkers with one Index and one slice
// of reservations share what is worked out of them.
func NewChecker(reservations []Reservation, others *Index) Checker {
	return Checker{known: len(reservations) > 0, ground: others.on(reservations), others: others}
}

// NAD checks a NAD. It finds nothing in one whose addresses do not belong to
// ENIs. The error is that of ctx, which ended first.
func (c Checker) NAD(ctx context.Context, d Definition) (Report, error) {
	return c.Network(ctx, Read(d))
}

// Network checks a NAD that has been read. The error is that of ctx, which
// ended first.
func (c Checker) Network(ctx context.Context, network Network) (Report, error) {
	found := findings{list: slices.Clone(network.Findings)}
	var report Report
	left := budget(maxSteps)
	for _, plugin := range network.Plugins {
		found.plugin(plugin)
		for _, pool := range plugin.IPAM.Pools {
			if err := ctx.Err(); err != nil {
				return Report{}, fmt.Errorf("checking %s: %w", network.Object, err)
			}
			for _, r := range pool.Ranges {
				report.Ranges = append(report.Ranges, ObjectRange{network.Object, r.First, r.Last})
			}
			c.pool(&found, plugin.IPAM.Type, pool)
			c.overlap(&found, network, plugin.IPAM, pool, &left)
		}
	}
	c.twoSubnets(&found, network.Pools())
	if len(report.Ranges) > 0 {
		c.nothingKnown(&found, "spec.config")
	}
	report.Findings = found.of(network.Object)
	return report, nil
}

// networksField is the field in which a pod asks for addresses.
const networksField = "metadata.annotations[" + NetworksAnnotation + "]"

// BadAnnotation is the finding that Selections failed with err. field is where
// the pod is within the object, and empty or ends in a dot.
func BadAnnotation(object, field string, err error) Finding {
	return Finding{object, AnnotationMalformed.Severity(), AnnotationMalformed, field + networksField, err.Error()}
}

// Pod checks what a pod, whose "namespace/name" object is, asks of its networks:
// whether their plugins obey, and whether the addresses that it then gets
// route. find looks a NAD up; networks that it does not know count as managed,
// as nothing says otherwise. The error is that of ctx, which ended first.
func (c Checker) Pod(ctx context.Context, object string, selections []Selection, find func(namespace, name string) (Network, bool)) ([]Finding, error) {
	var found findings
	left := budget(maxSteps)
	for i, s := range selections {
		network, known := find(s.Namespace, s.Name)
		if known && !network.Managed {
			continue
		}
		answer := network.answer(fmt.Sprintf("%s[%d]", networksField, i), s)
		found.merge(answer.findings)
		seen := make(map[wish]bool, len(answer.given)) // several plugins may give the same
		for _, w := range answer.given {
			if seen[w] {
				continue
			}
			seen[w] = true
			if err := ctx.Err(); err != nil {
				return nil, fmt.Errorf("checking the addresses of a pod: %w", err)
			}
			c.static(&found, w.field, w.prefix, s, &left)
		}
		if len(answer.given) > 0 {
			c.nothingKnown(&found, fmt.Sprintf("%s[%d].ips", networksField, i))
		}
	}
	return found.of(object), nil
}

// static checks one address of a pod. That its own network hands it out too is
// as it should be.
func (c Checker) static(found *findings, field string, ip netip.Prefix, of Selection, left *budget) {
	one := []Range{{ip.Addr(), ip.Addr()}}
	pool := Pool{Field: field, Network: ip.Masked(), Ranges: one}
	if ip.IsSingleIP() { // no length was given, or it is a floating address
		c.addresses(found, "ips", pool)
	} else {
		c.pool(found, "ips", pool)
	}
	own := of.Namespace + "/" + of.Name
	gives := func(other IPAM) bool { return other.Type != "static" }
	overlaps, complete := c.others.overlaps(own, one, left, gives)
	var home, abroad names
	for _, o := range overlaps {
		home.add(o.home)
		abroad.add(o.abroad)
	}
	if abroad.total == 0 { // the list may be cut short, the answer may not
		if other, found := c.others.abroad(ip.Addr(), own); found {
			abroad.add(names{first: []string{other}, total: 1})
		}
	}
	rule := ForeignRange
	if c.abroad {
		rule = RangeOverlap
	}
	if abroad.total > 0 {
		found.add(rule, field, "%s is in a range of %s, a network of another namespace, which may give it to another pod; ask for an address outside the range", ip.Addr(), &abroad)
	}
	if home.total > 0 {
		found.add(RangeOverlap, field, "%s is in a range of %s, which may give it to another pod; exclude it there, or ask for one outside the range", ip.Addr(), &home)
	}
	if home.total+abroad.total == 0 && !complete {
		found.add(RangeOverlap, field, tooManyOthers, ip.Addr())
	}
}

// pool checks the addresses of one pool. kind is the IPAM's type, or "ips" for an
// address in a pod, and decides which remedy is named.
func (c Checker) pool(found *findings, kind string, p Pool) {
	c.addresses(found, kind, p)
	s, ok := c.subnetOf(p.Ranges)
	if !ok {
		return
	}
	if p.Network.Bits() != s.cidr.Bits() {
		mistake := "treat the rest of the subnet as remote"
		if p.Network.Bits() < s.cidr.Bits() {
			mistake = "treat addresses beyond the subnet as neighbours"
		}
		found.add(PrefixLength, p.Field, "the addresses get prefix length /%d, but subnet %s has /%d, so pods %s; %s", p.Network.Bits(), s, s.cidr.Bits(), mistake, lengthRemedy(kind, p, s))
	}
	if p.Gateway.IsValid() && p.Gateway != s.router() && !p.Gateway.IsLinkLocalUnicast() {
		found.add(Gateway, p.GatewayField, "gateway %s is not the router of subnet %s; the VPC routes at %s only", p.Gateway, s, s.router())
	}
}

// subnetOf finds the known subnet that the addresses begin in.
func (c Checker) subnetOf(ranges []Range) (subnet, bool) {
	if len(ranges) == 0 {
		return subnet{}, false
	}
	return c.ground().home.Lookup(ranges[0].First)
}

// touching returns the values of a table's prefixes that have an address in
// common with the ranges, in the order of the prefixes.
func touching[V any](table *bart.Table[V], ranges []Range) []V {
	var prefixes []netip.Prefix
	for _, r := range ranges {
		for _, cover := range r.cover() {
			for p := range table.Supernets(cover) {
				prefixes = append(prefixes, p)
			}
			for p := range table.Subnets(cover) {
				prefixes = append(prefixes, p)
			}
		}
	}
	slices.SortFunc(prefixes, netip.Prefix.Compare)
	var values []V
	for _, p := range slices.Compact(prefixes) {
		if RangeOf(p).among(ranges) {
			v, _ := table.Get(p)
			values = append(values, v)
		}
	}
	return values
}
