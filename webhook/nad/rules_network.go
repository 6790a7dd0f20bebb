package nad

import "slices"

// plugin checks what does not depend on the VPC's present state.
func (l *findings) plugin(p PluginConfig) {
	if p.Type == "macvlan" && p.Mode != "passthru" {
		l.add(Macvlan, p.Field+".type", "macvlan gives each pod a MAC of its own, and EC2 drops frames of every MAC but the ENI's; use \"type\": \"ipvlan\"")
	}
	if p.IPAM.Type == "host-local" && len(p.IPAM.Pools) > 0 {
		l.add(HostLocalShared, p.IPAM.Field+".type", "host-local remembers its allocations on each worker by itself, so two workers hand out the same address of %s; use whereabouts, or let pods of one worker only use this NAD", joined(p.IPAM.ranges()))
	}
}

// ranges returns all addresses that the IPAM hands out.
func (i IPAM) ranges() []Range {
	var all []Range
	for _, p := range i.Pools {
		all = append(all, p.Ranges...)
	}
	return Union(all)
}

// object is the "namespace/name" of a NAD.
type object string

func (o object) String() string { return string(o) }

// overlap finds addresses that other NADs hand out too: one finding for all
// with the same remedy, as a NAD may have a copy in each namespace.
func (c Checker) overlap(found *findings, network Network, ipam IPAM, p Pool) {
	type group struct {
		remedy string
		shared []Range
		others []object
	}
	var groups []group
	for _, other := range c.others {
		if other.Object == network.Object || !other.Managed {
			continue
		}
		for _, plugin := range other.Plugins {
			shared := Intersect(p.Ranges, plugin.IPAM.ranges())
			if len(shared) == 0 || together(ipam, plugin.IPAM) {
				continue
			}
			remedy := overlapRemedy(ipam, plugin.IPAM)
			i := slices.IndexFunc(groups, func(g group) bool { return g.remedy == remedy })
			if i < 0 {
				i, groups = len(groups), append(groups, group{remedy: remedy})
			}
			groups[i].shared = Union(append(groups[i].shared, shared...))
			groups[i].others = append(groups[i].others, object(other.Object))
		}
	}
	for _, g := range groups {
		found.add(RangeOverlap, p.Field, "%s is handed out by %s too; %s", joined(g.shared), joined(g.others), g.remedy)
	}
}

// together reports whether two IPAMs share their allocations, and say so.
func together(a, b IPAM) bool {
	return a.Type == "whereabouts" && b.Type == "whereabouts" && a.NetworkName != "" && a.NetworkName == b.NetworkName && a.Apart && b.Apart
}

func overlapRemedy(a, b IPAM) string {
	switch {
	case a.Type != "whereabouts" || b.Type != "whereabouts":
		return "each allocates for itself, so two pods may get the same address; give each NAD a range of its own"
	case !a.Apart || !b.Apart:
		return "where enable_overlapping_ranges is false, whereabouts gives two pods the same address; remove that setting, or give each NAD a range of its own"
	case a.NetworkName != b.NetworkName:
		return "their network_name differs, so whereabouts gives two pods the same address; use the same network_name, or give each NAD a range of its own"
	default:
		return "whereabouts keeps them apart by itself; if the NADs are meant to share addresses say so by the same network_name in both, before pods use them, because it begins a new list of allocations"
	}
}

// twoSubnets finds networks with addresses in several subnets. An ENI is in
// one, and EC2 assigns it no address of another.
func (c Checker) twoSubnets(found *findings, pools []Pool) {
	home := map[int]subnet{} // by the bits of an address
	for _, p := range pools {
		for _, s := range c.subnets {
			if len(Intersect(p.Ranges, []Range{RangeOf(s.cidr)})) == 0 {
				continue
			}
			bits := s.cidr.Addr().BitLen()
			if first, ok := home[bits]; ok && first != s {
				found.add(TwoSubnets, p.Field, "the addresses are in two subnets, %s and %s, and an ENI is in one: half of them will not route; write one NAD for each subnet", first, s)
			} else if !ok {
				home[bits] = s
			}
		}
	}
}
