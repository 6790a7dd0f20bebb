package link_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
)

func TestNeighbourIsNotThereOrCannotBeAsked(t *testing.T) {
	lab := newLab(t)
	if err := lab.AddAddr(netip.MustParsePrefix("10.10.12.99/32")); err != nil {
		t.Fatal(err)
	}
	pod := newPod(t, lab, "10.10.1.81/24")
	tests := []struct {
		name, link, addr string
		unknown          bool
	}{
		{name: "nobody answers", link: "net1", addr: "10.10.1.90"},
		{name: "nobody answers off the routes of the link, where the question must not go to a gateway", link: "eth0", addr: "10.10.99.90"},
		{name: "the cloud answers for it, with another MAC", link: "eth0", addr: "10.10.12.99"},
		{name: "an address of the pod itself", link: "net1", addr: "10.10.1.81"},
		{name: "an IPv6 address that the link has no route to", link: "net1", addr: "fd00:10::90", unknown: true},
		{name: "a link that is gone", link: "net7", addr: "10.10.1.90"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			within(t, pod, func() error {
				held, err := standard().HeldByNeighbour(t.Context(), tt.link, netip.MustParseAddr(tt.addr), time.Now())
				if held || (err != nil) != tt.unknown {
					t.Errorf("held %v, error %v, want an error: %v", held, err, tt.unknown)
				}
				return nil
			})
		})
	}
}

// The last address of net1 has left: who is asked would answer to an address
// that net1 does not have.
func TestNeighbourCannotBeAskedFromALinkWithoutAddress(t *testing.T) {
	one, two := twinPods(t, newLab(t))
	vip := netip.MustParsePrefix("10.10.1.90/32")
	if err := errors.Join(two.AddAddr("net1", vip), one.DelAddr("net1", netip.MustParsePrefix("10.10.1.81/24"))); err != nil {
		t.Fatal(err)
	}
	within(t, one, func() error {
		if held, err := standard().HeldByNeighbour(t.Context(), "net1", vip.Addr(), time.Now()); held || err == nil {
			t.Errorf("held %v, error %v, want an error", held, err)
		}
		return nil
	})
}

// A sibling had the address, and the kernel remembers it. By now another
// worker may have it, or nobody.
func TestNeighbourThatIsOnlyRememberedDoesNotCount(t *testing.T) {
	for _, prefix := range []string{"10.10.1.90/32", "2600:1f13:0:1::90/128"} {
		t.Run(prefix, func(t *testing.T) {
			one, two := twinPods(t, newLab(t))
			vip := netip.MustParsePrefix(prefix)
			if err := two.AddAddr("net1", vip); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the neighbour's answer", func() bool { return held(t, one, vip.Addr()) })
			if err := two.DelAddr("net1", vip); err != nil {
				t.Fatal(err)
			}
			left := time.Now()
			within(t, one, func() error {
				if held, err := standard().HeldByNeighbour(t.Context(), "net1", vip.Addr(), left); held || err == nil {
					t.Errorf("held %v, error %v: what the kernel remembers counted", held, err)
				}
				return age(t, "net1", vip.Addr())
			})
			if answer := untilKnown(t, one, vip.Addr(), left); answer {
				t.Error("held by a neighbour that does not have it any more")
			}
		})
	}
}

func TestNeighbourThatHasItStillAnswersAnew(t *testing.T) {
	one, two := twinPods(t, newLab(t))
	vip := netip.MustParsePrefix("10.10.1.90/32")
	if err := two.AddAddr("net1", vip); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the neighbour's answer", func() bool { return held(t, one, vip.Addr()) })
	within(t, one, func() error { return age(t, "net1", vip.Addr()) })
	if answer := untilKnown(t, one, vip.Addr(), time.Now()); !answer {
		t.Error("the neighbour's second answer was not heard")
	}
}

// age makes a neighbour's entry stale, as time does.
func age(t *testing.T, name string, addr netip.Addr) error {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.NeighSet(&netlink.Neigh{LinkIndex: l.Attrs().Index, State: unix.NUD_STALE, IP: addr.AsSlice(), HardwareAddr: l.Attrs().HardwareAddr})
}

// untilKnown asks again until there is an answer.
func untilKnown(t *testing.T, pod *netlab.Pod, addr netip.Addr, since time.Time) (held bool) {
	t.Helper()
	for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(100 * time.Millisecond) {
		var err error
		within(t, pod, func() error {
			held, err = standard().HeldByNeighbour(t.Context(), "net1", addr, since)
			return nil
		})
		if err == nil {
			return held
		}
	}
	t.Fatal("no answer in a minute")
	return false
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
		var err error
		yes, err = standard().HeldByNeighbour(t.Context(), "net1", addr, time.Now().Add(-time.Minute))
		return err
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
