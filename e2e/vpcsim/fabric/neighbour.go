package fabric

import (
	"encoding/binary"
	"net/netip"
)

const (
	neighbourSolicitation  = 135
	neighbourAdvertisement = 136

	solicitationBytes  = 24
	advertisementBytes = 32

	// ndHops proves that a packet was not forwarded.
	ndHops = 255

	flagSolicited       = 0x40
	optionTargetAddress = 2
)

// neighbour answers a neighbour solicitation for any address of the subnet with
// the router's MAC.
func (in ingress) neighbour(src netip.Addr, hops byte, body []byte) Verdict {
	if len(body) < solicitationBytes || hops != ndHops {
		return dropped(Malformed, "neighbour solicitation")
	}
	target := netip.AddrFrom16([16]byte(body[8:]))
	switch {
	case src.IsUnspecified():
		return dropped(Probe, target.String())
	case !in.eni.IPv6.Contains(target):
		return dropped(OffSubnet, target.String())
	}
	return in.answer(advertisement(target, src))
}

// advertisement builds the IPv6 packet that says the router's MAC is target's.
// It does not ask to override: what answers for others never does, so that a
// pod of the same worker, who answers too, is believed.
func advertisement(target, to netip.Addr) []byte {
	p := make([]byte, ipv6Bytes+advertisementBytes)
	p[0] = 6 << 4
	binary.BigEndian.PutUint16(p[4:], advertisementBytes)
	p[6], p[7] = protocolICMPv6, ndHops
	copy(p[8:], target.AsSlice())
	copy(p[24:], to.AsSlice())
	body := p[ipv6Bytes:]
	body[0], body[4] = neighbourAdvertisement, flagSolicited
	copy(body[8:], target.AsSlice())
	body[24], body[25] = optionTargetAddress, 1 // in units of 8 bytes
	router := Router()
	copy(body[26:], router[:])
	binary.BigEndian.PutUint16(body[2:], checksum(p[8:], advertisementBytes+protocolICMPv6))
	return p
}

// checksum is the Internet checksum of an even number of bytes and of what else
// the pseudo-header adds.
func checksum(data []byte, sum uint32) uint16 {
	for ; len(data) >= 2; data = data[2:] {
		sum += uint32(binary.BigEndian.Uint16(data))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
