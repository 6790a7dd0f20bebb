package topology

import (
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"strings"
)

// checker collects mistakes while it turns text into values.
type checker struct{ mistakes Mistakes }

func (c *checker) wrong(path, format string, args ...any) {
	c.mistakes = append(c.mistakes, path+": "+fmt.Sprintf(format, args...))
}

func (c *checker) convert(f *file) Topology {
	t := Topology{
		Region:  f.Region,
		Account: or(f.Account, DefaultAccount),
		VPC: VPC{
			ID:       f.VPC.ID,
			CIDR:     c.prefix("vpc.cidr", f.VPC.CIDR, false),
			IPv6CIDR: c.prefix("vpc.ipv6Cidr", f.VPC.IPv6CIDR, true),
		},
		Settings: c.settingsJSON(f.Settings),
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
	return t
}

func (c *checker) subnet(path string, s fileSubnet) Subnet {
	return Subnet{
		ID: s.ID, Zone: s.Zone, Tags: s.Tags,
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
// the first ENI's subnet tells it.
func (c *checker) instance(path string, in fileInstance, subnets []Subnet) Instance {
	out := Instance{
		ID: in.ID, Type: in.Type, Zone: in.Zone, HopLimit: DefaultHopLimit,
		Role: or(in.Role, DefaultRole), Tags: in.Tags, ENIs: c.enis(path+".enis", in.ENIs),
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
	if e.Primary == "" {
		c.wrong(path+".primary", "is missing")
	}
	out := ENI{
		ID: e.ID, Subnet: e.Subnet, DeviceIndex: e.DeviceIndex, NetworkCard: e.NetworkCard,
		MAC: c.mac(path+".mac", e), Primary: c.addr(path+".primary", e.Primary, false),
		Tags: e.Tags, Description: e.Description, Groups: e.Groups, Owner: e.Owner,
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
		c.wrong(path, "%q is no MAC address", e.MAC)
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
