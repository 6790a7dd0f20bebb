package link

import (
	"slices"

	"github.com/vishvananda/netlink"
)

// carrier is what carries a link's packets out of the pod.
type carrier struct {
	mac string
	// bound reports whether the MAC is that of a device outside the pod, an
	// ENI. The link cannot have one of its own.
	bound bool
}

// maxDepth bounds how many links of the pod may lie on top of each other. The
// kernel allows 8 (MAX_NEST_DEV).
const maxDepth = 8

// tree is the links of the namespace, with what lies below what.
type tree struct {
	links map[int]netlink.Link
	ports map[int][]int // links by their master, lowest index first
}

func newTree(list []netlink.Link) tree {
	t := tree{links: map[int]netlink.Link{}, ports: map[int][]int{}}
	for _, l := range list {
		attrs := l.Attrs()
		t.links[attrs.Index] = l
		if attrs.MasterIndex != 0 {
			t.ports[attrs.MasterIndex] = append(t.ports[attrs.MasterIndex], attrs.Index)
		}
	}
	for _, ports := range t.ports {
		slices.Sort(ports)
	}
	return t
}

// carrier finds what carries a link: the link itself, or the link of the pod
// that it lies on.
//
//	kind                              | MAC
//	ipvlan, a device (host-device)    | the ENI's
//	macvlan in passthru mode          | the ENI's
//	macvlan in another mode           | its own
//	VLAN on a link outside the pod    | the ENI's
//	any of these on a link of the pod | that of the link below
//	bridge, bond, team                | that of its first port that has an ENI's, else its own
//	veth, dummy, tunnels, others      | its own
func (t tree) carrier(link netlink.Link, depth int) carrier {
	if below := t.links[t.below(link)]; below != nil && depth < maxDepth {
		return t.carrier(below, depth+1)
	}
	if bundles(link) && depth < maxDepth {
		for _, port := range t.ports[link.Attrs().Index] {
			if c := t.carrier(t.links[port], depth+1); c.bound {
				return c
			}
		}
	}
	return carrier{mac: link.Attrs().HardwareAddr.String(), bound: bound(link)}
}

// below is the index of the link of this namespace that a link was made on, or
// 0. The parent's index of a veth is its peer, which it does not lie on.
func (t tree) below(link netlink.Link) int {
	attrs := link.Attrs()
	switch link.Type() {
	case "vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "macsec":
		if attrs.NetNsID < 0 && attrs.ParentIndex != attrs.Index {
			return attrs.ParentIndex
		}
	}
	return 0
}

func bundles(link netlink.Link) bool {
	return slices.Contains([]string{"bridge", "bond", "team"}, link.Type())
}

func bound(link netlink.Link) bool {
	switch l := link.(type) {
	case *netlink.Macvlan:
		return l.Mode == netlink.MACVLAN_MODE_PASSTHRU
	case *netlink.Macvtap:
		return l.Mode == netlink.MACVLAN_MODE_PASSTHRU
	}
	return slices.Contains([]string{"ipvlan", "ipvtap", "device", "vlan", "macsec"}, link.Type())
}
