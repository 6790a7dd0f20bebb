package link

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// neighbourWait bounds one question: the answer comes from the same
	// kernel, so it is there at once or not at all.
	neighbourWait = 100 * time.Millisecond
	neighbourPoll = 10 * time.Millisecond
	// discardPort is where the packet goes that makes the kernel ask for the
	// neighbour (RFC 863). Nobody needs to listen.
	discardPort = 9
)

// HeldByNeighbour reports whether another pod on this worker has addr: its
// ipvlan link then answers for it with the MAC that all ipvlan links of the
// ENI share. It is false when the link has no route to addr or no such answer
// comes, as for an address on another worker, for which the VPC answers.
func (l *Links) HeldByNeighbour(ctx context.Context, name string, addr netip.Addr) bool {
	link, err := netlinksafe.LinkByName(name)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, neighbourWait)
	defer cancel()
	if err := solicit(ctx, name, addr); err != nil {
		return false
	}
	tick := time.NewTicker(neighbourPoll)
	defer tick.Stop()
	for {
		if answered(link, addr) {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

// solicit sends one empty datagram out of the link, which makes the kernel
// look for the neighbour.
func solicit(ctx context.Context, name string, addr netip.Addr) error {
	dialer := net.Dialer{Control: func(_, _ string, conn syscall.RawConn) error { return bind(conn, name) }}
	conn, err := dialer.DialContext(ctx, "udp", netip.AddrPortFrom(addr, discardPort).String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = conn.Write(nil)
	return err
}

func answered(link netlink.Link, addr netip.Addr) bool {
	family := netlink.FAMILY_V4
	if addr.Is6() {
		family = netlink.FAMILY_V6
	}
	neighbours, err := netlink.NeighList(link.Attrs().Index, family)
	if err != nil {
		return false
	}
	const resolved = unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE
	for _, n := range neighbours {
		ip, _ := netip.AddrFromSlice(n.IP)
		if ip.Unmap() == addr && n.State&resolved != 0 {
			return bytes.Equal(n.HardwareAddr, link.Attrs().HardwareAddr)
		}
	}
	return false
}
