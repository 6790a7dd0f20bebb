package fabric_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/fabric"
	ft "github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/internal/frametest"
)

func ip4(src, dst string) []byte { return ft.Ethernet(router, macA, ft.IPv4, ft.Echo(src, dst, 1)) }

func ip6(src, dst string) []byte { return ft.Ethernet(router, macA, ft.IPv6, ft.Echo(src, dst, 1)) }

// with returns a frame with one byte changed.
func with(frame []byte, at int, b byte) []byte {
	frame[at] = b
	return frame
}

func TestWhatAVPCDoesNotCarryIsDroppedForAReason(t *testing.T) {
	for _, tc := range []struct {
		name, from string
		frame      []byte
		want       string
	}{
		{"an address that no ENI owns", "eni-a", ip4("10.10.1.11", "10.10.1.81"), "no-owner 10.10.1.81"},
		{"an IPv6 address that no ENI owns", "eni-a", ip6("2600:1f13:0:1::80", "2600:1f13:0:1::81"), "no-owner 2600:1f13:0:1::81"},
		{"an address outside the VPC", "eni-a", ip4("10.10.1.11", "192.0.2.1"), "no-owner 192.0.2.1"},
		{"a source that the ENI does not own", "eni-a", ip4("10.10.1.81", "10.10.1.12"), "source-address 10.10.1.81"},
		{"a source that another ENI owns", "eni-a", ip4("10.10.1.12", "10.10.1.12"), "source-address 10.10.1.12"},
		{"an IPv6 source that the ENI does not own", "eni-a", ip6("2600:1f13:0:1::81", "2600:1f13:0:1:5::1"), "source-address 2600:1f13:0:1::81"},
		{"a link-local source towards another worker", "eni-a", ip6("fe80::1", "2600:1f13:0:1:5::1"), "source-address fe80::1"},
		{"a MAC that is not the ENI's, as of macvlan", "eni-a", ft.Ethernet(router, macB, ft.IPv4, ft.Echo("10.10.1.11", "10.10.1.12", 1)), "source-mac 02:00:00:00:00:0b"},
		{"ARP with a foreign MAC", "eni-a", ft.WhoHas(macB, "10.10.1.11", "10.10.1.12"), "source-mac 02:00:00:00:00:0b"},
		{"an ENI that is attached nowhere, as receiver", "eni-a", ip4("10.10.1.11", "10.10.1.13"), "unattached eni-loose"},
		{"an ENI that is attached nowhere, as sender", "eni-loose", ft.WhoHas(macIdle, "10.10.1.13", "10.10.1.1"), "unattached eni-loose"},
		{"an ENI that does not exist", "eni-x", ip4("10.10.1.11", "10.10.1.12"), "unattached eni-x"},
		{"ping to the router", "eni-a", ip4("10.10.1.11", "10.10.1.1"), "to-router 10.10.1.1"},
		{"ping to the IPv6 router", "eni-a", ip6("2600:1f13:0:1::80", "2600:1f13:0:1::1"), "to-router 2600:1f13:0:1::1"},
		{"the metadata service", "eni-a", ip4("10.10.1.11", "169.254.169.254"), "link-local 169.254.169.254"},
		{"an IPv6 link-local destination", "eni-a", ip6("2600:1f13:0:1::80", "fe80::1"), "link-local fe80::1"},
		{"multicast VRRP", "eni-a", ft.Ethernet("01:00:5e:00:00:12", macA, ft.IPv4, ft.IP("10.10.1.11", "224.0.0.18", 112, 255, nil)), "multicast 224.0.0.18"},
		{"DHCP", "eni-a", ft.Ethernet(ft.Broadcast, macA, ft.IPv4, ft.IP("0.0.0.0", "255.255.255.255", 17, 64, nil)), "multicast 255.255.255.255"},
		{"a unicast packet in a broadcast frame", "eni-a", ft.Ethernet(ft.Broadcast, macA, ft.IPv4, ft.Echo("10.10.1.11", "10.10.1.12", 1)), "multicast 10.10.1.12"},
		{"a router solicitation", "eni-a", ft.Ethernet("33:33:00:00:00:02", macA, ft.IPv6, ft.IP("fe80::1", "ff02::2", 58, 255, []byte{133, 0, 0, 0, 0, 0, 0, 0})), "multicast ff02::2"},
		{"gratuitous ARP as a request", "eni-a", ft.WhoHas(macA, "10.10.1.80", "10.10.1.80"), "gratuitous-arp 10.10.1.80"},
		{"gratuitous ARP as a reply", "eni-a", ft.Ethernet(ft.Broadcast, macA, ft.ARP, ft.ARPPacket(2, macA, "10.10.1.80", ft.Broadcast, "10.10.1.80")), "gratuitous-arp 10.10.1.80"},
		{"an ARP reply", "eni-a", ft.Ethernet(router, macA, ft.ARP, ft.ARPPacket(2, macA, "10.10.1.80", router, "10.10.1.1")), "not-a-request 2"},
		{"ARP conflict detection", "eni-a", ft.WhoHas(macA, "0.0.0.0", "10.10.1.12"), "duplicate-address-probe 10.10.1.12"},
		{"ARP for another subnet", "eni-a", ft.WhoHas(macA, "10.10.1.11", "10.10.2.11"), "off-subnet 10.10.2.11"},
		{"duplicate address detection", "eni-a", ft.Solicit(macA, "::", "2600:1f13:0:1:5::1"), "duplicate-address-probe 2600:1f13:0:1:5::1"},
		{"a solicitation for another subnet", "eni-a", ft.Solicit(macA, "2600:1f13:0:1::80", "2600:1f13:0:2::1"), "off-subnet 2600:1f13:0:2::1"},
		{"a solicitation in a subnet without IPv6", "eni-c", ft.Solicit(macC, "fe80::1", "2600:1f13:0:1::80"), "off-subnet 2600:1f13:0:1::80"},
		{"a solicitation that was forwarded", "eni-a", with(ft.Solicit(macA, "2600:1f13:0:1::80", "2600:1f13:0:1::81"), 14+7, 254), "malformed neighbour solicitation"},
		{"a solicitation that is cut short", "eni-a", ft.Ethernet(router, macA, ft.IPv6, ft.IP("fe80::1", "ff02::1", 58, 255, []byte{135, 0})), "malformed neighbour solicitation"},
		{"another protocol than IP", "eni-a", ft.Ethernet(router, macA, 0x88cc, []byte("LLDP")), "ether-type 0x88cc"},
		{"a VLAN tag", "eni-a", ft.Ethernet(router, macA, 0x8100, make([]byte, 64)), "ether-type 0x8100"},
		{"a frame without header", "eni-a", []byte{1, 2, 3}, "malformed frame without Ethernet header"},
		{"nothing", "eni-a", nil, "malformed frame without Ethernet header"},
		{"a packet above the MTU of a VPC", "eni-a", ft.Ethernet(router, macA, ft.IPv4, make([]byte, 9002)), "oversize 9002 bytes"},
		{"ARP that is cut short", "eni-a", ft.WhoHas(macA, "10.10.1.11", "10.10.1.12")[:41], "malformed ARP that is not of IPv4 on Ethernet"},
		{"ARP of another hardware", "eni-a", with(ft.WhoHas(macA, "10.10.1.11", "10.10.1.12"), 15, 6), "malformed ARP that is not of IPv4 on Ethernet"},
		{"IPv4 that is cut short", "eni-a", ip4("10.10.1.11", "10.10.1.12")[:33], "malformed IPv4 header"},
		{"IPv4 of version 5", "eni-a", with(ip4("10.10.1.11", "10.10.1.12"), 14, 0x55), "malformed IPv4 header"},
		{"an IPv4 header of 16 bytes", "eni-a", with(ip4("10.10.1.11", "10.10.1.12"), 14, 0x44), "malformed IPv4 length"},
		{"IPv4 that claims to be longer than its frame", "eni-a", with(ip4("10.10.1.11", "10.10.1.12"), 16, 0x10), "malformed IPv4 length"},
		{"IPv6 that is cut short", "eni-a", ip6("2600:1f13:0:1::80", "2600:1f13:0:1:5::1")[:53], "malformed IPv6 header"},
		{"IPv6 that claims to be longer than its frame", "eni-a", with(ip6("2600:1f13:0:1::80", "2600:1f13:0:1:5::1"), 18, 0x10), "malformed IPv6 length"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := fabric.Forward(vpc(), tc.from, tc.frame)
			if diff := cmp.Diff(tc.want, v.Drop.String()); diff != "" {
				t.Errorf("drop (-want +got):\n%s", diff)
			}
			if v.To != "" || v.Frame != nil {
				t.Errorf("a dropped frame went to %q", v.To)
			}
		})
	}
}

func TestAnEthernetFrameMayBePadded(t *testing.T) {
	frame := append(ft.Ethernet(router, macA, ft.IPv4, ft.IP("10.10.1.11", "10.10.1.12", 17, 64, nil)), make([]byte, 26)...)
	if v := fabric.Forward(vpc(), "eni-a", frame); v.To != "eni-b" || len(v.Frame) != len(frame) {
		t.Errorf("a padded frame of %d bytes became %d bytes to %q: %s", len(frame), len(v.Frame), v.To, v.Drop)
	}
}

func TestALargestFramePasses(t *testing.T) {
	body := make([]byte, fabric.MTU-20)
	frame := ft.Ethernet(router, macA, ft.IPv4, ft.IP("10.10.1.11", "10.10.1.12", 17, 64, body))
	if v := fabric.Forward(vpc(), "eni-a", frame); v.To != "eni-b" {
		t.Errorf("a packet of %d bytes was dropped: %s", fabric.MTU, v.Drop)
	}
}
