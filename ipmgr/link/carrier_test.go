package link_test

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

// worker is a namespace with a device that has an ENI's MAC.
func worker(t *testing.T, lab *netlab.Lab) (namespace *netlab.Pod, device int) {
	t.Helper()
	namespace, err := lab.Pod(netlab.PodSpec{Name: "worker", Eth0: netip.MustParsePrefix("10.10.12.31/24")})
	if err != nil {
		t.Fatal(err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "ens6"
	attrs.HardwareAddr, _ = net.ParseMAC(mac)
	add(t, namespace, &netlink.Dummy{LinkAttrs: attrs})
	within(t, namespace, func() error {
		link, err := netlink.LinkByName("ens6")
		if err != nil {
			return err
		}
		device = link.Attrs().Index
		return netlink.LinkSetUp(link)
	})
	return namespace, device
}

// add makes a link, or skips the test where the kernel does not have its kind.
func add(t *testing.T, pod *netlab.Pod, link netlink.Link) {
	t.Helper()
	err := pod.Do(func() error { return netlink.LinkAdd(link) })
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skipf("this kernel has no %s", link.Type())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// From a kernel that has ipvlan: what Addresses says of links that a CNI plugin
// makes on the worker's device and moves into the pod.
func TestAddressesTellWhichLinksHaveAnENIsMAC(t *testing.T) {
	tests := []struct {
		name string
		make func(netlink.LinkAttrs) netlink.Link
		own  bool
	}{
		{"ipvlan", func(a netlink.LinkAttrs) netlink.Link {
			return &netlink.IPVlan{LinkAttrs: a, Mode: netlink.IPVLAN_MODE_L2}
		}, false},
		{"macvlan", func(a netlink.LinkAttrs) netlink.Link {
			return &netlink.Macvlan{LinkAttrs: a, Mode: netlink.MACVLAN_MODE_BRIDGE}
		}, true},
		{"macvlan passthru", func(a netlink.LinkAttrs) netlink.Link {
			return &netlink.Macvlan{LinkAttrs: a, Mode: netlink.MACVLAN_MODE_PASSTHRU}
		}, false},
		{"VLAN", func(a netlink.LinkAttrs) netlink.Link {
			return &netlink.Vlan{LinkAttrs: a, VlanId: 5, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q}
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lab := newLab(t)
			host, device := worker(t, lab)
			pod := podLike(t, lab, netlab.PodSpec{})
			var target netns.NsHandle
			within(t, pod, func() (err error) {
				target, err = netns.Get()
				return err
			})
			defer func() { _ = target.Close() }()
			attrs := netlink.NewLinkAttrs()
			attrs.Name, attrs.ParentIndex, attrs.Namespace = "net1", device, netlink.NsFd(target)
			add(t, host, tt.make(attrs))
			addFlagged(t, pod, "net1", "10.10.1.81/24", func(*netlink.Addr) {})
			got := addresses(t, pod)
			if len(got) != 1 || got[0].Bound == tt.own || (got[0].MAC == mac) == tt.own {
				t.Errorf("addresses %+v, want one that says a MAC of its own: %v", got, tt.own)
			}
		})
	}
}

func addresses(t *testing.T, pod *netlab.Pod) (list []plan.Address) {
	t.Helper()
	within(t, pod, func() (err error) {
		list, err = standard().Addresses(t.Context())
		return err
	})
	return list
}

func TestAddressesTellWhichCameLater(t *testing.T) {
	pod := newPod(t, newLab(t), "10.10.1.81/24", "2600:1f13:0:1::81/64", "10.10.1.82/24")
	time.Sleep(200 * time.Millisecond) // the kernel's clock of addresses counts hundredths of a second
	addFlagged(t, pod, "net1", "192.168.9.9/32", func(*netlink.Addr) {})
	addFlagged(t, pod, "net1", "fd00::9/128", func(*netlink.Addr) {})
	var late []string
	for _, a := range addresses(t, pod) {
		if a.Late {
			late = append(late, a.String())
		}
	}
	slices.Sort(late)
	if diff := cmp.Diff([]string{"192.168.9.9", "fd00::9"}, late); diff != "" {
		t.Errorf("late addresses (-want +got):\n%s", diff)
	}
}

func TestAnIPv4AddressInAnIPv6OneIsNotManaged(t *testing.T) {
	pod := newPod(t, newLab(t), "10.10.1.81/24")
	within(t, pod, func() error { // the library takes it for the IPv4 address
		to, err := netlink.LinkByName("net1")
		if err != nil {
			return err
		}
		request := nl.NewNetlinkRequest(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_ACK)
		header := nl.NewIfAddrmsg(unix.AF_INET6)
		header.Index, header.Prefixlen = uint32(to.Attrs().Index), 128
		request.AddData(header)
		request.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, net.ParseIP("::ffff:10.10.1.90").To16()))
		_, err = request.Execute(unix.NETLINK_ROUTE, 0)
		return err
	})
	wantAddresses(t, pod, "net1 10.10.1.81")
}

func TestInterfacesNameLinksWithoutAnAddressToo(t *testing.T) {
	pod := newPod(t, newLab(t))
	within(t, pod, func() error {
		names, err := standard().Interfaces(t.Context())
		slices.Sort(names)
		if diff := cmp.Diff([]string{"eth0", "lo", "net1"}, names); diff != "" {
			t.Errorf("interfaces (-want +got):\n%s", diff)
		}
		return err
	})
}
