package fabric

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
)

const (
	arpBytes   = 28
	arpRequest = 1

	// arpReplyHead is an ARP reply for IPv4 on Ethernet, up to the addresses.
	arpReplyHead = "\x00\x01\x08\x00\x06\x04\x00\x02"
)

// arp answers a request for any address of the subnet, whether or not an ENI
// owns it, with the router's MAC.
func (in ingress) arp(p []byte) Verdict {
	if len(p) < arpBytes || string(p[:6]) != arpReplyHead[:6] {
		return dropped(Malformed, "ARP that is not of IPv4 on Ethernet")
	}
	sender, target := netip.AddrFrom4([4]byte(p[14:])), netip.AddrFrom4([4]byte(p[24:]))
	switch operation := binary.BigEndian.Uint16(p[6:]); {
	case sender == target:
		return dropped(Gratuitous, target.String())
	case operation != arpRequest:
		return dropped(NotARequest, strconv.Itoa(int(operation)))
	case sender.IsUnspecified():
		return dropped(Probe, target.String())
	case !in.eni.IPv4.Contains(target):
		return dropped(OffSubnet, target.String())
	}
	router := Router()
	return in.answer(slices.Concat([]byte(arpReplyHead), router[:], p[24:28], p[8:14], p[14:18]))
}
