package fabric

import (
	"encoding/binary"
	"net/netip"
)

const (
	ipv4Bytes = 20
	ipv6Bytes = 40

	protocolICMPv6 = 58
)

func (in ingress) ipv4(p []byte) Verdict {
	if len(p) < ipv4Bytes || p[0]>>4 != 4 {
		return dropped(Malformed, "IPv4 header")
	}
	head, total := int(p[0]&0x0f)*4, int(binary.BigEndian.Uint16(p[2:]))
	if head < ipv4Bytes || total < head || total > len(p) { // Ethernet may pad
		return dropped(Malformed, "IPv4 length")
	}
	src, dst := netip.AddrFrom4([4]byte(p[12:])), netip.AddrFrom4([4]byte(p[16:]))
	switch {
	case in.toGroup() || dst.IsMulticast() || dst == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return dropped(Multicast, dst.String())
	case dst.IsLinkLocalUnicast():
		return dropped(LinkLocal, dst.String())
	}
	return in.route(src, dst)
}

func (in ingress) ipv6(p []byte) Verdict {
	if len(p) < ipv6Bytes || p[0]>>4 != 6 {
		return dropped(Malformed, "IPv6 header")
	}
	length := int(binary.BigEndian.Uint16(p[4:]))
	if ipv6Bytes+length > len(p) {
		return dropped(Malformed, "IPv6 length")
	}
	src, dst := netip.AddrFrom16([16]byte(p[8:])), netip.AddrFrom16([16]byte(p[24:]))
	if body := p[ipv6Bytes:][:length]; p[6] == protocolICMPv6 && len(body) > 0 && body[0] == neighbourSolicitation {
		return in.neighbour(src, p[7], body)
	}
	switch {
	case in.toGroup() || dst.IsMulticast():
		return dropped(Multicast, dst.String())
	case dst.IsLinkLocalUnicast():
		return dropped(LinkLocal, dst.String())
	}
	return in.route(src, dst)
}

// toGroup reports whether the frame is for more than one receiver. To which
// single MAC it goes does not matter to a VPC.
func (in ingress) toGroup() bool { return in.frame[0]&1 != 0 }
