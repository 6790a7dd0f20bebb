package link_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
)

func TestNeighbourIsFalseWhereItCannotBeFoundOut(t *testing.T) {
	pod := newPod(t, newLab(t), "10.10.1.81/24")
	tests := []struct{ name, link, addr string }{
		{"nobody answers", "net1", "10.10.1.90"},
		{"nobody answers for an IPv6 address", "net1", "fd00:10::90"},
		{"no such link", "net7", "10.10.1.90"},
		{"an address that the cloud's gateway has, with another MAC", "eth0", "10.10.12.1"},
		{"an address of the pod itself", "net1", "10.10.1.81"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			within(t, pod, func() error {
				if standard().HeldByNeighbour(t.Context(), tt.link, netip.MustParseAddr(tt.addr)) {
					t.Errorf("%s is held by a neighbour on %s", tt.addr, tt.link)
				}
				return nil
			})
		})
	}
}

func TestNeighbourOnTheSameENIIsFound(t *testing.T) {
	tests := []struct {
		name string
		pods func(*testing.T, *netlab.Lab) (one, two *netlab.Pod)
	}{
		{"as ipvlan connects them", ipvlanPods},
		{"as any link connects them that shares the MAC", twinPods},
	}
	for _, tt := range tests {
		for _, prefix := range []string{"10.10.1.90/32", "2600:1f13:0:1::90/128"} {
			t.Run(tt.name+", "+prefix, func(t *testing.T) {
				one, two := tt.pods(t, newLab(t))
				addr := netip.MustParsePrefix(prefix)
				if held(t, one, addr.Addr()) {
					t.Error("it is held before anybody has it")
				}
				if err := two.AddAddr("net1", addr); err != nil {
					t.Fatal(err)
				}
				eventually(t, "the neighbour's answer", func() bool { return held(t, one, addr.Addr()) })
			})
		}
	}
}

func held(t *testing.T, pod *netlab.Pod, addr netip.Addr) (yes bool) {
	t.Helper()
	within(t, pod, func() error {
		yes = standard().HeldByNeighbour(t.Context(), "net1", addr)
		return nil
	})
	return yes
}

// twinPods makes two pods whose net1 are the ends of one cable, with the same
// MAC.
func twinPods(t *testing.T, lab *netlab.Lab) (one, two *netlab.Pod) {
	t.Helper()
	one, two = podLike(t, lab, netlab.PodSpec{}), podLike(t, lab, netlab.PodSpec{})
	ns := namespace(t, two)
	defer ns.Close()
	hardware, err := net.ParseMAC(mac)
	if err != nil {
		t.Fatal(err)
	}
	within(t, one, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.HardwareAddr = "net1", hardware
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "net1", PeerNamespace: netlink.NsFd(ns), PeerHardwareAddr: hardware})
	})
	t.Cleanup(func() { within(t, one, func() error { return unplug("net1") }) })
	configure(t, one, "10.10.1.81/24", "2600:1f13:0:1::81/64")
	configure(t, two, "10.10.1.82/24", "2600:1f13:0:1::82/64")
	return one, two
}

// configure sets net1 up and gives it addresses.
func configure(t *testing.T, pod *netlab.Pod, addrs ...string) {
	t.Helper()
	if err := pod.SetLink("net1", true); err != nil {
		t.Fatal(err)
	}
	for _, prefix := range prefixes(addrs) {
		if err := pod.AddAddr("net1", prefix); err != nil {
			t.Fatal(err)
		}
	}
}

func namespace(t *testing.T, pod *netlab.Pod) netns.NsHandle {
	t.Helper()
	ns := netns.None()
	within(t, pod, func() (err error) {
		ns, err = netns.Get()
		return err
	})
	return ns
}

// ipvlanPods makes two pods whose net1 are ipvlan links of one ENI. It skips
// the test where the kernel has no ipvlan.
func ipvlanPods(t *testing.T, lab *netlab.Lab) (one, two *netlab.Pod) {
	t.Helper()
	eni := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: "wire"}
	eni.Name = "eni"
	eni.HardwareAddr, _ = net.ParseMAC(mac)
	if err := errors.Join(netlink.LinkAdd(eni), netlink.LinkSetUp(eni)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = netlink.LinkDel(eni) })
	wire, err := netlink.LinkByName("wire")
	if err == nil {
		err = netlink.LinkSetUp(wire)
	}
	if err != nil {
		t.Fatal(err)
	}
	one = podLike(t, lab, netlab.PodSpec{})
	two = podLike(t, lab, netlab.PodSpec{})
	attachIPVlan(t, eni, one, "10.10.1.81/24", "2600:1f13:0:1::81/64")
	attachIPVlan(t, eni, two, "10.10.1.82/24", "2600:1f13:0:1::82/64")
	return one, two
}

func attachIPVlan(t *testing.T, eni netlink.Link, pod *netlab.Pod, addrs ...string) {
	t.Helper()
	ns := namespace(t, pod)
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex, attrs.Namespace = "net1", eni.Attrs().Index, netlink.NsFd(ns)
	err := netlink.LinkAdd(&netlink.IPVlan{LinkAttrs: attrs, Mode: netlink.IPVLAN_MODE_L2})
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("this kernel has no ipvlan:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	configure(t, pod, addrs...)
}
