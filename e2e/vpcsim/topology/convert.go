package topology

import (
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/aws/amazon-vpc-resource-controller-k8s/pkg/aws/vpc"
)

// checker collects mistakes while it turns text into values.
type checker struct{ mistakes Mistakes }

func (c *checker) wrong(path, format string, args ...any) {
	c.mistakes = append(c.mistakes, path+": "+fmt.Sprintf(format, args...))
}

// said reports whether there is a mistake at a path.
func (c *checker) said(path string) bool {
	return slices.ContainsFunc(c.mistakes, func(m string) bool { return strings.HasPrefix(m, path+": ") })
}

func (c *checker) convert(f *file) Topology {
	t := Topology{
		Region:   f.Region,
		Account:  or(f.Account, DefaultAccount),
		VPC:      c.vpc("vpc", f.VPC),
		Settings: c.settingsJSON(f.Settings),
	}
	for i, v := range f.VPCs {
		t.VPCs = append(t.VPCs, c.vpc(fmt.Sprintf("vpcs[%d]", i), v))
	}
	for _, g := range f.Groups {
		t.SecurityGroups = append(t.SecurityGroups, SecurityGroup{ID: g.ID, Name: or(g.Name, g.ID), VPC: or(g.VPC, f.VPC.ID)})
	}
	for i, kind := range f.Types {
		c.instanceType(fmt.Sprintf("instanceTypes[%d]", i), kind, &t)
	}
	for i, s := range f.Subnets {
		t.Subnets = append(t.Subnets, c.subnet(fmt.Sprintf("subnets[%d]", i), s))
	}
	for i, r := range f.Reservations {
		t.Reservations = append(t.Reservations, c.reservation(fmt.Sprintf("reservations[%d]", i), r))
	}
	for i, in := range f.Instances {
		t.Instances = append(t.Instances, c.instance(fmt.Sprintf("instances[%d]", i), in, t.Subnets))
	}
	t.ENIs = c.enis("enis", f.ENIs)
	for i, g := range f.Scaling {
		t.Groups = append(t.Groups, c.group(fmt.Sprintf("groups[%d]", i), g, t.Subnets))
	}
	return t
}

func (c *checker) vpc(path string, v fileVPC) VPC {
	out := VPC{
		ID: v.ID, CIDR: c.prefix(path+".cidr", v.CIDR, false), IPv6CIDR: c.prefix(path+".ipv6Cidr", v.IPv6CIDR, true),
	}
	for i, text := range v.More {
		out.MoreCIDRs = append(out.MoreCIDRs, c.prefix(fmt.Sprintf("%s.moreCidrs[%d]", path, i), text, strings.Contains(text, ":")))
	}
	return out
}

// instanceType adds a type. Its ENIs are spread over its cards.
func (c *checker) instanceType(path string, f fileType, t *Topology) {
	if f.Name == "" || f.Interfaces < 1 || f.Addresses < 1 || f.Cards < 0 {
		c.wrong(path, "needs a name, and interfaces and addresses (of each family on one ENI) of 1 or more")
		return
	}
	if t.InstanceTypes == nil {
		t.InstanceTypes = map[string]*vpc.VPCLimits{}
	}
	l := &vpc.VPCLimits{Interface: f.Interfaces, IPv4PerInterface: f.Addresses, Hypervisor: "nitro", IsBareMetal: f.BareMetal}
	cards := max(f.Cards, 1)
	for i := range cards {
		n := f.Interfaces / cards
		if i < f.Interfaces%cards {
			n++
		}
		l.NetworkCards = append(l.NetworkCards, vpc.NetworkCard{
			NetworkCardIndex: int64(i), MaximumNetworkInterfaces: int64(n), NetworkPerformance: "Up to 5 Gigabit"})
	}
	t.InstanceTypes[f.Name] = l
}

func (c *checker) subnet(path string, s fileSubnet) Subnet {
	return Subnet{
		ID: s.ID, VPC: s.VPC, Zone: s.Zone, Tags: s.Tags,
		CIDR:     c.prefix(path+".cidr", s.CIDR, false),
		IPv6CIDR: c.prefix(path+".ipv6Cidr", s.IPv6CIDR, true),
	}
}

func (c *checker) reservation(path string, r fileReservation) Reservation {
	if r.CIDR == "" {
		c.wrong(path+".cidr", "is missing")
	}
	return Reservation{
		ID: r.ID, Subnet: r.Subnet, Type: ReservationType(r.Type), Description: r.Description, Tags: r.Tags,
		CIDR: c.prefix(path+".cidr", r.CIDR, strings.Contains(r.CIDR, ":")),
	}
}

// instance fills what a file may leave out: the hop limit, and the zone when
// it follows from the first ENI's subnet.
func (c *checker) instance(path string, in fileInstance, subnets []Subnet) Instance {
	out := Instance{
		ID: in.ID, Type: in.Type, Zone: in.Zone, HopLimit: DefaultHopLimit,
		State: in.State, Role: or(in.Role, DefaultRole), Tags: in.Tags, ENIs: c.enis(path+".enis", in.ENIs),
	}
	if in.HopLimit != nil {
		out.HopLimit = *in.HopLimit
	}
	switch in.HTTPTokens {
	case "", "required":
	case "optional":
		out.TokensOptional = true
	default:
		c.wrong(path+".httpTokens", "%q is neither required nor optional", in.HTTPTokens)
	}
	for _, s := range subnets {
		if out.Zone == "" && len(in.ENIs) > 0 && s.ID == in.ENIs[0].Subnet {
			out.Zone = s.Zone
		}
	}
	return out
}

func (c *checker) enis(path string, list []fileENI) []ENI {
	var out []ENI
	for i, e := range list {
		out = append(out, c.eni(fmt.Sprintf("%s[%d]", path, i), e))
	}
	return out
}

func (c *checker) eni(path string, e fileENI) ENI {
	out := ENI{
		ID: e.ID, Subnet: e.Subnet, DeviceIndex: e.DeviceIndex, NetworkCard: e.NetworkCard,
		MAC: c.mac(path+".mac", e), Primary: c.addr(path+".primary", e.Primary, false),
		Tags: e.Tags, Description: e.Description, Groups: e.Groups, Owner: e.Owner,
		PublicIP: c.addr(path+".publicIp", e.PublicIP, false), Requester: e.Requester, Type: e.Type,
	}
	if len(out.Groups) == 0 {
		out.Groups = []string{DefaultGroup}
	}
	for i, s := range e.Secondaries {
		out.Secondaries = append(out.Secondaries, c.addr(fmt.Sprintf("%s.secondaries[%d]", path, i), s, false))
	}
	for i, s := range e.IPv6 {
		out.IPv6 = append(out.IPv6, c.addr(fmt.Sprintf("%s.ipv6[%d]", path, i), s, true))
	}
	for i, s := range e.IPv4Prefixes {
		out.IPv4Prefixes = append(out.IPv4Prefixes, c.prefix(fmt.Sprintf("%s.ipv4Prefixes[%d]", path, i), s, false))
	}
	for i, s := range e.IPv6Prefixes {
		out.IPv6Prefixes = append(out.IPv6Prefixes, c.prefix(fmt.Sprintf("%s.ipv6Prefixes[%d]", path, i), s, true))
	}
	return out
}

// mac reads a MAC address; an ENI without one gets a locally administered
// address that follows from its id.
func (c *checker) mac(path string, e fileENI) string {
	if e.MAC == "" {
		return MACFor(e.ID)
	}
	hw, err := net.ParseMAC(e.MAC)
	if err != nil || len(hw) != 6 {
		c.wrong(path, "%q is not a MAC address", e.MAC)
		return ""
	}
	return hw.String()
}

// MACFor derives a locally administered MAC address from an ENI's id.
func MACFor(eni string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(eni)) // fnv never fails
	sum := h.Sum64()
	return net.HardwareAddr{0x02, byte(sum >> 32), byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}.String()
}

func (c *checker) addr(path, text string, v6 bool) netip.Addr {
	if text == "" {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" || a.Is4() == v6 || a.Is4In6() {
		c.wrong(path, "%q is no %s address", text, family(v6))
		return netip.Addr{}
	}
	return a
}

func (c *checker) prefix(path, text string, v6 bool) netip.Prefix {
	if text == "" {
		return netip.Prefix{}
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil || p.Addr().Is4() == v6 || p.Addr().Is4In6():
		c.wrong(path, "%q is no %s CIDR", text, family(v6))
		return netip.Prefix{}
	case p != p.Masked():
		c.wrong(path, "%q has host bits set, did you mean %s?", text, p.Masked())
		return netip.Prefix{}
	}
	return p
}

func family(v6 bool) string {
	if v6 {
		return "IPv6"
	}
	return "IPv4"
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
