package topology

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// index is what the checks of ENIs look up and mark as taken.
type index struct {
	subnets   map[string]Subnet
	ids       map[string]string // id or MAC -> path of its first use
	addresses map[netip.Addr]string
	prefixes  map[netip.Prefix]string
}

// Check reports every inconsistency of a topology that was built by hand; one
// that [Load] returned has none. The error is [Mistakes].
func Check(t Topology) error {
	c := &checker{}
	c.check(t)
	if len(c.mistakes) > 0 {
		return c.mistakes
	}
	return nil
}

// check appends every inconsistency of t.
func (c *checker) check(t Topology) {
	x := &index{
		subnets: map[string]Subnet{}, ids: map[string]string{},
		addresses: map[netip.Addr]string{}, prefixes: map[netip.Prefix]string{},
	}
	if t.Region == "" {
		c.wrong("region", "is missing")
	}
	c.checkVPC("vpc", t.VPC)
	for i, v := range t.VPCs {
		c.checkVPC(fmt.Sprintf("vpcs[%d]", i), v)
		for _, o := range append([]VPC{t.VPC}, t.VPCs[:i]...) {
			c.checkApart(fmt.Sprintf("vpcs[%d]", i), v, o)
		}
	}
	for i, g := range t.SecurityGroups {
		c.checkGroup(fmt.Sprintf("securityGroups[%d]", i), g, t, x)
	}
	for i, s := range t.Subnets {
		c.checkSubnet(fmt.Sprintf("subnets[%d]", i), s, t, x)
	}
	for i := range t.Reservations {
		c.checkReservation(i, t, x)
	}
	for i, in := range t.Instances {
		c.checkInstance(fmt.Sprintf("instances[%d]", i), in, t, x)
	}
	for i, e := range t.ENIs {
		c.checkENI(fmt.Sprintf("enis[%d]", i), e, x)
	}
	c.checkPrefixes(x)
	c.checkGroups(t, x)
}

// once marks an id or a MAC address as used.
func (c *checker) once(path, id string, x *index) {
	if id == "" {
		c.wrong(path, "is missing")
		return
	}
	if first, dup := x.ids[id]; dup {
		c.wrong(path, "%s is used by %s already", id, first)
		return
	}
	x.ids[id] = path
}

func (c *checker) checkVPC(path string, v VPC) {
	if v.ID == "" {
		c.wrong(path+".id", "is missing")
	}
	if !v.CIDR.IsValid() {
		c.wrong(path+".cidr", "is missing or wrong")
	}
}

// checkApart reports blocks that two VPCs have in common. AWS allows that; here
// all VPCs share one data plane.
func (c *checker) checkApart(path string, v, other VPC) {
	if v.ID == other.ID {
		c.wrong(path+".id", "%s is used twice", v.ID)
	}
	for _, v6 := range []bool{false, true} {
		for _, a := range v.CIDRs(v6) {
			for _, b := range other.CIDRs(v6) {
				if a.Overlaps(b) {
					c.wrong(path, "%s overlaps %s of %s: the VPCs share one data plane here", a, b, other.ID)
				}
			}
		}
	}
}

func (c *checker) checkGroup(path string, g SecurityGroup, t Topology, x *index) {
	c.once(path+".id", g.ID, x)
	if !t.hasVPC(g.VPC) {
		c.wrong(path+".vpc", "%q is not a VPC of this topology", g.VPC)
	}
}

func (t Topology) hasVPC(id string) bool {
	return id == "" || id == t.VPC.ID || slices.ContainsFunc(t.VPCs, func(v VPC) bool { return v.ID == id })
}

func (c *checker) checkSubnet(path string, s Subnet, t Topology, x *index) {
	c.once(path+".id", s.ID, x)
	if t.Region != "" && (!strings.HasPrefix(s.Zone, t.Region) || s.Zone == t.Region) {
		c.wrong(path+".zone", "%q is not a zone of region %s", s.Zone, t.Region)
	}
	if !t.hasVPC(s.VPC) {
		c.wrong(path+".vpc", "%q is not a VPC of this topology", s.VPC)
	}
	v := t.VPCOf(s)
	switch {
	case !s.CIDR.IsValid() && s.IPv6CIDR.IsValid(): // IPv6 only
	case !s.CIDR.IsValid():
		c.wrong(path+".cidr", "is missing or wrong")
	case s.CIDR.Bits() < 16 || s.CIDR.Bits() > 28:
		c.wrong(path+".cidr", "%s: AWS takes /16 to /28", s.CIDR)
	case v.CIDR.IsValid() && !withinAny(s.CIDR, v.CIDRs(false)):
		c.wrong(path+".cidr", "%s is outside the VPC's %s", s.CIDR, list(v.CIDRs(false)))
	}
	if v6 := s.IPv6CIDR; v6.IsValid() {
		if v6.Bits() < 44 || v6.Bits() > 64 || v6.Bits()%4 != 0 {
			c.wrong(path+".ipv6Cidr", "%s: AWS takes /44 to /64 in steps of 4", v6)
		}
		if blocks := v.CIDRs(true); len(blocks) > 0 && !withinAny(v6, blocks) {
			c.wrong(path+".ipv6Cidr", "%s is outside the VPC's %s", v6, list(blocks))
		}
	}
	for _, o := range t.Subnets {
		if o.ID == s.ID {
			break // those after s find the overlap themselves
		}
		if overlap(s.CIDR, o.CIDR) || overlap(s.IPv6CIDR, o.IPv6CIDR) {
			c.wrong(path, "%s overlaps subnet %s", s.ID, o.ID)
		}
	}
	x.subnets[s.ID] = s
}

func (c *checker) checkReservation(i int, t Topology, x *index) {
	path, r := fmt.Sprintf("reservations[%d]", i), t.Reservations[i]
	if r.ID != "" {
		c.once(path+".id", r.ID, x)
	}
	if r.Type != Explicit && r.Type != Prefix {
		c.wrong(path+".type", "%q is neither explicit nor prefix", r.Type)
	}
	s, known := x.subnets[r.Subnet]
	switch {
	case !known:
		c.wrong(path+".subnet", "%q is not a subnet of this topology", r.Subnet)
	case r.CIDR.IsValid() && !within(r.CIDR, s.CIDR) && !within(r.CIDR, s.IPv6CIDR):
		c.wrong(path+".cidr", "%s is outside subnet %s", r.CIDR, s.ID)
	}
	for j, o := range t.Reservations[:i] {
		if overlap(r.CIDR, o.CIDR) {
			c.wrong(path+".cidr", "%s overlaps reservations[%d] (%s)", r.CIDR, j, o.CIDR)
		}
	}
}

func (c *checker) checkInstance(path string, in Instance, t Topology, x *index) {
	c.once(path+".id", in.ID, x)
	if in.HopLimit < 1 || in.HopLimit > 64 {
		c.wrong(path+".hopLimit", "%d is not in 1 to 64", in.HopLimit)
	}
	if t.Region != "" && in.Zone != "" && !strings.HasPrefix(in.Zone, t.Region) {
		c.wrong(path+".zone", "%q is not a zone of region %s", in.Zone, t.Region)
	}
	if _, known := InstanceStates()[in.State]; in.State != "" && !known {
		c.wrong(path+".state", "%q is not a state of an instance", in.State)
	}
	limits, known := t.Limits(in.Type)
	switch {
	case !known:
		c.wrong(path+".type", "%q is not a known instance type", in.Type)
	case len(in.ENIs) > limits.Interface:
		c.wrong(path+".enis", "%d ENIs, but %s takes %d", len(in.ENIs), in.Type, limits.Interface)
	}
	used := map[[2]int]bool{}
	for i, e := range in.ENIs {
		p := fmt.Sprintf("%s.enis[%d]", path, i)
		c.checkENI(p, e, x)
		if s, ok := x.subnets[e.Subnet]; ok && in.Zone != "" && s.Zone != in.Zone {
			c.wrong(p+".subnet", "%s is in zone %s, instance %s in %s", s.ID, s.Zone, in.ID, in.Zone)
		}
		if known {
			c.checkLimits(p, e, in.Type, limits.IPv4PerInterface, len(limits.NetworkCards))
		}
		slot := [2]int{e.NetworkCard, e.DeviceIndex}
		if e.DeviceIndex < 0 || used[slot] {
			c.wrong(p+".deviceIndex", "%d is negative or used twice on %s", e.DeviceIndex, in.ID)
		}
		used[slot] = true
	}
}

func (c *checker) checkLimits(path string, e ENI, instanceType string, slots, cards int) {
	for _, v6 := range []bool{false, true} {
		if n := e.Addresses(v6); n > slots {
			c.wrong(path, "%d %s addresses and prefixes, but an ENI of %s takes %d", n, family(v6), instanceType, slots)
		}
	}
	if e.NetworkCard < 0 || e.NetworkCard >= max(cards, 1) {
		c.wrong(path+".networkCard", "%s has no network card %d", instanceType, e.NetworkCard)
	}
}

func (c *checker) checkENI(path string, e ENI, x *index) {
	if e.ID != "" && !strings.HasPrefix(e.ID, "eni-") {
		c.wrong(path+".id", "%q does not start with eni-", e.ID)
	}
	c.once(path+".id", e.ID, x)
	if e.MAC != "" {
		c.once(path+".mac", e.MAC, x)
	}
	s, known := x.subnets[e.Subnet]
	if !known {
		c.wrong(path+".subnet", "%q is not a subnet of this topology", e.Subnet)
	}
	if !e.Primary.IsValid() && (s.CIDR.IsValid() || len(e.IPv6) == 0) && !c.said(path+".primary") {
		c.wrong(path+".primary", "is missing")
	}
	if e.Requester != "" && strings.HasPrefix(path, "instances") {
		c.wrong(path+".requester", "an ENI of an AWS service is attached to none of the account's instances: list it in enis")
	}
	for _, a := range slices.Concat([]netip.Addr{e.Primary}, e.Secondaries, e.IPv6) {
		if !a.IsValid() {
			continue // reported when it was parsed
		}
		if known {
			c.checkAddress(path, a, s)
		}
		if first, dup := x.addresses[a]; dup {
			c.wrong(path, "address %s is used by %s already", a, first)
		}
		x.addresses[a] = path
	}
	for _, p := range slices.Concat(e.IPv4Prefixes, e.IPv6Prefixes) {
		if p.IsValid() && known {
			c.checkDelegated(path, p, s, x)
		}
	}
}

func (c *checker) checkAddress(path string, a netip.Addr, s Subnet) {
	cidr := s.CIDR
	if a.Is6() {
		cidr = s.IPv6CIDR
	}
	switch {
	case !cidr.IsValid():
		c.wrong(path, "address %s is outside subnet %s, which has no %s CIDR", a, s.ID, family(a.Is6()))
	case !cidr.Contains(a):
		c.wrong(path, "address %s is outside subnet %s (%s)", a, s.ID, cidr)
	case Reserved(a, cidr):
		c.wrong(path, "address %s is one of those that AWS reserves in %s", a, cidr)
	}
}
