// Package fabric decides what a VPC does with one Ethernet frame of an ENI: it
// answers it, delivers it to the ENI that owns the destination, or drops it for
// a reason that can be counted. It is a function of the frame and of what EC2
// says at that moment; it knows no sockets, no clocks and no counters.
//
// A VPC is not an Ethernet: it answers address resolution itself, for every address
// of the subnet, and forwards by IP address alone. Nothing is flooded, no
// learning takes place, and no frame reaches a worker that is not addressed to
// one of its ENI's IP addresses.
package fabric

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
)

// MTU is the size of the largest IP packet in a VPC, in bytes.
const MTU = 9001

// MAC is an Ethernet address.
type MAC [6]byte

// String writes the address with colons.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// Router returns the MAC under which workers see the VPC: it answers address
// resolution with it and is the source of everything delivered.
func Router() MAC { return MAC{0x06, 'v', 'p', 'c', 0x00, 0x01} }

// ENI is what the data path knows of one ENI.
type ENI struct {
	MAC MAC
	// IPv4 and IPv6 are the CIDRs of the ENI's subnet. IPv6 is invalid in a
	// subnet without.
	IPv4, IPv6 netip.Prefix
	// Attached is false while no instance has the ENI.
	Attached bool
	// SourceCheck is EC2's source/destination check.
	SourceCheck bool
}

// VPC answers from EC2's state, as the data path sees it at this moment.
type VPC interface {
	// ENI returns an ENI; ok is false when there is none of that id.
	ENI(id string) (e ENI, ok bool)
	// RoutedTo names the ENI that owns addr; ok is false when none does.
	RoutedTo(addr netip.Addr) (eni string, ok bool)
}

// Verdict is what becomes of a frame.
type Verdict struct {
	// To is the ENI that Frame goes to, "" when the frame was dropped.
	To string
	// Frame is a copy; the frame that came in is never changed.
	Frame []byte
	// Answer is true when the VPC itself answers the sender.
	Answer bool
	// Drop says why nothing is delivered.
	Drop Drop
}

const (
	headerBytes = 14

	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeIPv6 = 0x86dd
)

// Forward decides about one frame that arrived from an ENI. It never panics,
// whatever the frame holds.
func Forward(vpc VPC, from string, frame []byte) Verdict {
	sender, ok := vpc.ENI(from)
	switch {
	case !ok || !sender.Attached:
		return dropped(Unattached, from)
	case len(frame) < headerBytes:
		return dropped(Malformed, "frame without Ethernet header")
	case len(frame) > headerBytes+MTU:
		return dropped(Oversize, fmt.Sprintf("%d bytes", len(frame)-headerBytes))
	}
	if mac := MAC(frame[6:12]); mac != sender.MAC {
		return dropped(SourceMAC, mac.String())
	}
	in := ingress{vpc: vpc, id: from, eni: sender, frame: frame}
	switch kind, payload := binary.BigEndian.Uint16(frame[12:]), frame[headerBytes:]; kind {
	case typeARP:
		return in.arp(payload)
	case typeIPv4:
		return in.ipv4(payload)
	case typeIPv6:
		return in.ipv6(payload)
	default:
		return dropped(EtherType, fmt.Sprintf("0x%04x", kind))
	}
}

// ingress is a frame on its way in, whose Ethernet header is in order.
type ingress struct {
	vpc   VPC
	id    string
	eni   ENI
	frame []byte
}

// route sends a unicast packet to the owner of its destination. A VPC leaves
// the packet as it is, the TTL included.
func (in ingress) route(src, dst netip.Addr) Verdict {
	if in.eni.SourceCheck {
		if owner, ok := in.vpc.RoutedTo(src); !ok || owner != in.id {
			return dropped(SourceAddress, src.String())
		}
	}
	if in.isRouter(dst) {
		return dropped(ToRouter, dst.String())
	}
	owner, ok := in.vpc.RoutedTo(dst)
	if !ok {
		return dropped(NoOwner, dst.String())
	}
	receiver, ok := in.vpc.ENI(owner)
	if !ok || !receiver.Attached {
		return dropped(Unattached, owner)
	}
	return Verdict{To: owner, Frame: header(receiver.MAC, in.frame[12:14], in.frame[headerBytes:])}
}

// isRouter reports whether addr is the router of the sender's subnet, which is
// the first host of each family.
func (in ingress) isRouter(addr netip.Addr) bool {
	for _, cidr := range []netip.Prefix{in.eni.IPv4, in.eni.IPv6} {
		if cidr.IsValid() && cidr.Masked().Addr().Next() == addr {
			return true
		}
	}
	return false
}

// answer sends something of the VPC's own back to where the frame came from.
func (in ingress) answer(payload []byte) Verdict {
	return Verdict{To: in.id, Frame: header(in.eni.MAC, in.frame[12:14], payload), Answer: true}
}

// header builds a frame from the router to an ENI.
func header(to MAC, kind, payload []byte) []byte {
	router := Router()
	frame := make([]byte, 0, headerBytes+len(payload))
	frame = append(frame, to[:]...)
	frame = append(frame, router[:]...)
	frame = append(frame, kind...)
	return append(frame, payload...)
}
