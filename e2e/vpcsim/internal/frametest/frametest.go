// Package frametest builds Ethernet frames as workers send them, for tests of
// the data plane. It shares nothing with the code that it helps to test: ICMP
// comes from golang.org/x/net.
package frametest

import (
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// The types of Ethernet frames.
const (
	IPv4 = 0x0800
	ARP  = 0x0806
	IPv6 = 0x86dd
)

// Broadcast is the MAC of everyone.
const Broadcast = "ff:ff:ff:ff:ff:ff"

// TTL is that of the packets built here.
const TTL = 64

// Ethernet builds a frame. Malformed MACs panic: they are constants of tests.
func Ethernet(dst, src string, kind uint16, payload []byte) []byte {
	frame := append(mac(dst), mac(src)...)
	frame = binary.BigEndian.AppendUint16(frame, kind)
	return append(frame, payload...)
}

func mac(text string) []byte {
	m, err := net.ParseMAC(text)
	if err != nil {
		panic(err)
	}
	return append([]byte(nil), m...)
}

// ARPPacket builds an ARP packet of the given operation, 1 for a request.
func ARPPacket(operation uint16, senderMAC, sender, targetMAC, target string) []byte {
	p := []byte{0, 1, 0x08, 0x00, 6, 4}
	p = binary.BigEndian.AppendUint16(p, operation)
	p = append(p, mac(senderMAC)...)
	p = append(p, netip.MustParseAddr(sender).AsSlice()...)
	p = append(p, mac(targetMAC)...)
	return append(p, netip.MustParseAddr(target).AsSlice()...)
}

// WhoHas builds an ARP request as a worker broadcasts it.
func WhoHas(src, sender, target string) []byte {
	return Ethernet(Broadcast, src, ARP, ARPPacket(1, src, sender, "00:00:00:00:00:00", target))
}

// IP builds an IP packet of the family that its addresses have.
func IP(src, dst string, protocol, hops byte, body []byte) []byte {
	s, d := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	if s.Is6() {
		p := []byte{0x60, 0, 0, 0}
		p = binary.BigEndian.AppendUint16(p, uint16(len(body)))
		p = append(p, protocol, hops)
		p = append(append(p, s.AsSlice()...), d.AsSlice()...)
		return append(p, body...)
	}
	p := []byte{0x45, 0}
	p = binary.BigEndian.AppendUint16(p, uint16(20+len(body)))
	p = append(p, 0, 0, 0x40, 0, hops, protocol, 0, 0)
	p = append(append(p, s.AsSlice()...), d.AsSlice()...)
	binary.BigEndian.PutUint16(p[10:], headerChecksum(p))
	return append(p, body...)
}

func headerChecksum(p []byte) uint16 {
	var sum uint32
	for i := 0; i < len(p); i += 2 {
		sum += uint32(p[i])<<8 | uint32(p[i+1])
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// Echo builds an ICMP echo request of either family.
func Echo(src, dst string, seq int) []byte { return echo(src, dst, seq, false) }

// EchoReply builds the answer to an echo request, from src back to dst.
func EchoReply(src, dst string, seq int) []byte { return echo(src, dst, seq, true) }

func echo(src, dst string, seq int, reply bool) []byte {
	var kind icmp.Type = ipv4.ICMPTypeEcho
	protocol := byte(1)
	switch six := netip.MustParseAddr(src).Is6(); {
	case six && reply:
		kind, protocol = ipv6.ICMPTypeEchoReply, 58
	case six:
		kind, protocol = ipv6.ICMPTypeEchoRequest, 58
	case reply:
		kind = ipv4.ICMPTypeEchoReply
	}
	m := icmp.Message{Type: kind, Body: &icmp.Echo{ID: 1, Seq: seq, Data: []byte("multus-ipmgr")}}
	return IP(src, dst, protocol, TTL, message(m, src, dst))
}

func message(m icmp.Message, src, dst string) []byte {
	var pseudo []byte
	if s := netip.MustParseAddr(src); s.Is6() {
		pseudo = icmp.IPv6PseudoHeader(s.AsSlice(), netip.MustParseAddr(dst).AsSlice())
	}
	b, err := m.Marshal(pseudo)
	if err != nil {
		panic(err)
	}
	return b
}

// Solicit builds a neighbour solicitation as a worker multicasts it.
func Solicit(src, sender, target string) []byte {
	t := netip.MustParseAddr(target).As16()
	group := netip.AddrFrom16([16]byte{0: 0xff, 1: 2, 11: 1, 12: 0xff, 13: t[13], 14: t[14], 15: t[15]}).String()
	body := append(make([]byte, 4), t[:]...)
	if !netip.MustParseAddr(sender).IsUnspecified() {
		body = append(append(body, 1, 1), mac(src)...)
	}
	m := icmp.Message{Type: ipv6.ICMPTypeNeighborSolicitation, Body: &icmp.RawBody{Data: body}}
	to := net.HardwareAddr{0x33, 0x33, 0xff, t[13], t[14], t[15]}.String()
	return Ethernet(to, src, IPv6, IP(sender, group, 58, 255, message(m, sender, group)))
}
