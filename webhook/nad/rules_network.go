package nad

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// plugin checks what does not depend on the VPC's current state.
func (l *findings) plugin(p PluginConfig) {
	if p.Type == "macvlan" && p.Mode != "passthru" {
		l.add(Macvlan, p.Field+".type", "macvlan gives each pod a MAC of its own, and EC2 drops frames of every MAC but the ENI's; use \"type\": \"ipvlan\"")
	}
	if p.IPAM.Type == "host-local" && len(p.IPAM.Pools) > 0 {
		l.add(HostLocalShared, p.IPAM.Field+".type", "host-local stores its allocations on each worker separately, so two workers hand out the same address of %s; use whereabouts, or use this NAD on one worker only", joined(p.IPAM.ranges()))
	}
}

// ranges returns all addresses that the IPAM hands out. Nobody may change them.
func (i IPAM) ranges() []Range {
	if len(i.Pools) == 1 {
		return Union(i.Pools[0].Ranges)
	}
	var all []Range
	for _, p := range i.Pools {
		all = append(all, p.Ranges...)
	}
	return Union(all)
}

// tooManyOthers is the message for a pool that was not compared with all others.
const tooManyOthers = "%s was not compared with all other networks, as too many have ranges there; give each network a range of its own"

// names are the NADs that a message lists: the first ones in order, and how
// many there are.
type names struct {
	first []string
	total int
}

// add adds other NADs. One that is among the first of both counts once.
func (n *names) add(other names) {
	first := slices.Sorted(slices.Values(slices.Concat(n.first, other.first)))
	unique := slices.Compact(slices.Clone(first))
	n.total += other.total - (len(first) - len(unique))
	n.first = unique[:min(len(unique), mostItems+1)]
}

// String is "a/net, b/net, 3 more".
func (n *names) String() string {
	if n.total <= mostItems {
		return strings.Join(n.first, ", ")
	}
	return fmt.Sprintf("%s, %d more", strings.Join(n.first[:mostItems], ", "), n.total-mostItems)
}

// overlap finds addresses that other NADs hand out too: one finding for all
// with the same remedy, as a NAD may have a copy in each namespace.
func (c Checker) overlap(found *findings, network Network, ipam IPAM, p Pool, left *budget) {
	type group struct {
		shared []Range
		others names
	}
	apart := func(other IPAM) bool { return !together(ipam, other) }
	overlaps, complete := c.others.overlaps(network.Object, p.Ranges, left, apart)
	groups := map[string]*group{} // by remedy
	for _, o := range overlaps {
		remedy := overlapRemedy(ipam, o.ipam)
		if groups[remedy] == nil {
			groups[remedy] = new(group)
		}
		groups[remedy].shared = append(groups[remedy].shared, o.shared...)
		groups[remedy].others.add(o.home)
		groups[remedy].others.add(o.abroad)
	}
	for _, remedy := range slices.Sorted(maps.Keys(groups)) {
		g := groups[remedy]
		found.add(RangeOverlap, p.Field, "%s is handed out by %s too; %s", joined(Union(g.shared)), &g.others, remedy)
	}
	if !complete {
		found.add(RangeOverlap, p.Field, tooManyOthers, joined(p.Ranges))
	}
}

// together reports whether two IPAMs share their allocations, and say so.
func together(a, b IPAM) bool {
	return a.Type == "whereabouts" && b.Type == "whereabouts" && a.NetworkName != "" && a.NetworkName == b.NetworkName && a.Apart && b.Apart
}

func overlapRemedy(a, b IPAM) string {
	switch {
	case a.Type != "whereabouts" || b.Type != "whereabouts":
		return "each allocates on its own, so two pods may get the same address; give each NAD a range of its own"
	case !a.Apart || !b.Apart:
		return "if enable_overlapping_ranges is false, whereabouts gives two pods the same address; remove that setting, or give each NAD a range of its own"
	case a.NetworkName != b.NetworkName:
		return "their network_name differs, so whereabouts gives two pods the same address; use the same network_name, or give each NAD a range of its own"
	default:
		return "whereabouts keeps them apart by itself; if the NADs are meant to share addresses, give both the same network_name before pods use them, because it starts a new list of allocations"
	}
}

// twoSubnets finds networks with addresses in several subnets. An ENI is in
// one, and EC2 assigns it no address of another.
func (c Checker) twoSubnets(found *findings, pools []Pool) {
	home := map[int]subnet{} // by the bits of an address
	for _, p := range pools {
		for _, s := range touching(c.ground().home, p.Ranges) {
			bits := s.cidr.Addr().BitLen()
			if first, ok := home[bits]; ok && first != s {
				found.add(TwoSubnets, p.Field, "the addresses are in two subnets, %s and %s, and an ENI is in one: half of them will not route; write one NAD for each subnet", first, s)
			} else if !ok {
				home[bits] = s
			}
		}
	}
}
