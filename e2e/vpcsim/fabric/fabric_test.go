package fabric_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/fabric"
	ft "github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/internal/frametest"
)

// The ENIs: a and b share a subnet, c is in another, loose is attached nowhere,
// open has no source/destination check.
const (
	macA, macB, macC = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"
	macOpen, macIdle = "02:00:00:00:00:0d", "02:00:00:00:00:0e"
	router           = "06:76:70:63:00:01"
)

// table is a VPC that a test wrote down.
type table struct {
	enis   map[string]fabric.ENI
	routes map[netip.Prefix]string
}

func (t table) ENI(id string) (fabric.ENI, bool) {
	e, ok := t.enis[id]
	return e, ok
}

func (t table) RoutedTo(addr netip.Addr) (string, bool) {
	for p, id := range t.routes {
		if p.Contains(addr) {
			return id, true
		}
	}
	return "", false
}

func vpc() table {
	first, firstV6 := netip.MustParsePrefix("10.10.1.0/24"), netip.MustParsePrefix("2600:1f13:0:1::/64")
	second := netip.MustParsePrefix("10.10.2.0/24")
	t := table{
		enis: map[string]fabric.ENI{
			"eni-a":     {MAC: parse(macA), IPv4: first, IPv6: firstV6, Attached: true, SourceCheck: true},
			"eni-b":     {MAC: parse(macB), IPv4: first, IPv6: firstV6, Attached: true, SourceCheck: true},
			"eni-c":     {MAC: parse(macC), IPv4: second, Attached: true, SourceCheck: true},
			"eni-open":  {MAC: parse(macOpen), IPv4: second, Attached: true},
			"eni-loose": {MAC: parse(macIdle), IPv4: first, SourceCheck: true},
		},
		routes: map[netip.Prefix]string{},
	}
	for eni, prefixes := range map[string][]string{
		"eni-a":     {"10.10.1.11/32", "10.10.1.80/32", "2600:1f13:0:1::80/128"},
		"eni-b":     {"10.10.1.12/32", "10.10.1.96/28", "2600:1f13:0:1:5::/80"},
		"eni-c":     {"10.10.2.11/32"},
		"eni-open":  {"10.10.2.12/32"},
		"eni-loose": {"10.10.1.13/32"},
	} {
		for _, p := range prefixes {
			t.routes[netip.MustParsePrefix(p)] = eni
		}
	}
	return t
}

func parse(text string) fabric.MAC {
	m, err := net.ParseMAC(text)
	if err != nil {
		panic(err)
	}
	return fabric.MAC(m)
}

func TestRouterHasTheMACThatTestsExpect(t *testing.T) {
	if diff := cmp.Diff(router, fabric.Router().String()); diff != "" {
		t.Errorf("router's MAC (-want +got):\n%s", diff)
	}
}

func TestPacketsGoToTheENIThatOwnsTheDestination(t *testing.T) {
	for _, tc := range []struct {
		name, from, mac, src, dst, to, toMAC string
	}{
		{"between primaries of a subnet", "eni-a", macA, "10.10.1.11", "10.10.1.12", "eni-b", macB},
		{"from a secondary address", "eni-a", macA, "10.10.1.80", "10.10.1.12", "eni-b", macB},
		{"to a delegated prefix", "eni-a", macA, "10.10.1.80", "10.10.1.97", "eni-b", macB},
		{"from a delegated prefix", "eni-b", macB, "10.10.1.111", "10.10.1.80", "eni-a", macA},
		{"to another subnet of the VPC", "eni-a", macA, "10.10.1.80", "10.10.2.11", "eni-c", macC},
		{"IPv6 to a delegated prefix", "eni-a", macA, "2600:1f13:0:1::80", "2600:1f13:0:1:5::1", "eni-b", macB},
		{"IPv6 from a delegated prefix", "eni-b", macB, "2600:1f13:0:1:5::1", "2600:1f13:0:1::80", "eni-a", macA},
		{"a foreign source where the check is off", "eni-open", macOpen, "192.168.7.7", "10.10.1.12", "eni-b", macB},
		{"back to the sender's own ENI", "eni-a", macA, "10.10.1.11", "10.10.1.80", "eni-a", macA},
	} {
		t.Run(tc.name, func(t *testing.T) {
			packet := ft.Echo(tc.src, tc.dst, 1)
			kind := uint16(ft.IPv4)
			if netip.MustParseAddr(tc.src).Is6() {
				kind = ft.IPv6
			}
			frame := ft.Ethernet(router, tc.mac, kind, packet)
			before := slices.Clone(frame)
			want := fabric.Verdict{To: tc.to, Frame: ft.Ethernet(tc.toMAC, router, kind, packet)}
			if diff := cmp.Diff(want, fabric.Forward(vpc(), tc.from, frame)); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
			if !bytes.Equal(before, frame) {
				t.Error("the frame that came in was changed")
			}
		})
	}
}

func TestARPIsAnsweredByTheRouterForEveryAddressOfTheSubnet(t *testing.T) {
	for _, tc := range []struct{ name, sender, target string }{
		{"of another ENI", "10.10.1.11", "10.10.1.12"},
		{"of no ENI", "10.10.1.11", "10.10.1.200"},
		{"of the router", "10.10.1.11", "10.10.1.1"},
		{"asked by an address that is not assigned", "10.10.1.81", "10.10.1.80"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := fabric.Verdict{
				To: "eni-a", Answer: true,
				Frame: ft.Ethernet(macA, router, ft.ARP, ft.ARPPacket(2, router, tc.target, macA, tc.sender)),
			}
			if diff := cmp.Diff(want, fabric.Forward(vpc(), "eni-a", ft.WhoHas(macA, tc.sender, tc.target))); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
		})
	}
}

// advertisement is a neighbour advertisement as x/net reads it.
type advertisement struct {
	DstMAC, SrcMAC, Src, Dst string
	HopLimit                 byte
	Type                     icmp.Type
	Flags                    byte
	Target, TargetMAC        string
}

// readAdvertisement checks lengths and checksum too.
func readAdvertisement(t *testing.T, frame []byte) advertisement {
	t.Helper()
	const want = 14 + 40 + 32
	if len(frame) != want || binary.BigEndian.Uint16(frame[12:]) != ft.IPv6 {
		t.Fatalf("answer of %d bytes is not a neighbour advertisement: %x", len(frame), frame)
	}
	head, err := ipv6.ParseHeader(frame[14:])
	if err != nil {
		t.Fatal(err)
	}
	body := frame[54:]
	m, err := icmp.ParseMessage(58, body)
	if err != nil {
		t.Fatal(err)
	}
	sum := m.Checksum
	raw := &icmp.Message{Type: m.Type, Code: m.Code, Body: &icmp.RawBody{Data: body[4:]}}
	again, err := raw.Marshal(icmp.IPv6PseudoHeader(head.Src, head.Dst))
	if err != nil {
		t.Fatal(err)
	}
	if got := int(binary.BigEndian.Uint16(again[2:])); got != sum || head.PayloadLen != len(body) {
		t.Errorf("checksum %#x, payload length %d; want %#x, %d", sum, head.PayloadLen, got, len(body))
	}
	target, _ := netip.AddrFromSlice(body[8:24])
	return advertisement{
		DstMAC: net.HardwareAddr(frame[:6]).String(), SrcMAC: net.HardwareAddr(frame[6:12]).String(),
		Src: head.Src.String(), Dst: head.Dst.String(), HopLimit: byte(head.HopLimit), Type: m.Type, Flags: body[4],
		Target: target.String(), TargetMAC: net.HardwareAddr(body[26:32]).String(),
	}
}

func TestNeighboursAreTheRouterForEveryAddressOfTheSubnet(t *testing.T) {
	for _, tc := range []struct{ name, sender, target string }{
		{"of another ENI", "2600:1f13:0:1::80", "2600:1f13:0:1:5::1"},
		{"of no ENI", "2600:1f13:0:1::80", "2600:1f13:0:1::dead"},
		{"asked from a link-local address", "fe80::aa", "2600:1f13:0:1::80"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := fabric.Forward(vpc(), "eni-a", ft.Solicit(macA, tc.sender, tc.target))
			if v.To != "eni-a" || !v.Answer {
				t.Fatalf("verdict %+v, want an answer", v)
			}
			const solicitedWithoutOverride = 0x40
			want := advertisement{
				DstMAC: macA, SrcMAC: router, Src: tc.target, Dst: tc.sender, HopLimit: 255,
				Type: ipv6.ICMPTypeNeighborAdvertisement, Flags: solicitedWithoutOverride,
				Target: tc.target, TargetMAC: router,
			}
			if diff := cmp.Diff(want, readAdvertisement(t, v.Frame)); diff != "" {
				t.Errorf("advertisement (-want +got):\n%s", diff)
			}
		})
	}
}
