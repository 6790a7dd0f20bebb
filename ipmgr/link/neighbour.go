package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// neighbourWait bounds one question. A neighbour is in the same kernel, so
	// its answer is there at once or not at all.
	neighbourWait = 250 * time.Millisecond
	neighbourPoll = 10 * time.Millisecond
	// neighbourTick is the unit in which the kernel reports an entry's age, and
	// neighbourBlur is how wrong that age may be: a tick and two of the kernel's
	// own, which are up to 10 ms.
	neighbourTick = 10 * time.Millisecond
	neighbourBlur = 30 * time.Millisecond
	// discardPort is where the packet goes that makes the kernel ask for the
	// neighbour (RFC 863). Nobody needs to listen.
	discardPort = 9
)

// Why it is not known whether a neighbour has an address.
var (
	errRemembered = errors.New("the kernel remembers an earlier answer and has not asked again yet")
	errNoSource   = errors.New("the interface has no address of that family to ask from")
	errGateway    = errors.New("the interface reaches the address through a gateway only")
)

// HeldByNeighbour reports whether another pod on this worker has addr: its
// ipvlan link then answers for it with the MAC that all ipvlan links of the
// ENI share. It is false when another MAC answers, as the VPC's does for an
// address on another worker, and when nobody answers a question that was put
// to the link.
//
// What the kernel remembers of earlier answers does not count, only what it
// heard after since. It cannot be made to forget without CAP_NET_ADMIN, but a
// packet to an entry that is stale makes it ask anew within some ten seconds.
// Until then, and where nobody can be asked, the answer is an error. Only a link
// that is gone is not an error: there will never be an answer.
func (l *Links) HeldByNeighbour(ctx context.Context, name string, addr netip.Addr, since time.Time) (bool, error) {
	link, err := netlinksafe.LinkByName(name)
	if _, gone := errors.AsType[netlink.LinkNotFoundError](err); gone {
		return false, nil // nor will there ever be somebody to ask
	}
	if err != nil {
		return false, fmt.Errorf("interface %s: %w", name, err)
	}
	source, err := sourceOn(link, addr)
	if err != nil {
		return false, fmt.Errorf("asking for %s on %s: %w", addr, name, err)
	}
	if err := sleep(ctx, neighbourBlur+neighbourTick-time.Since(since)); err != nil { // so that the answer is seen to be younger
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, neighbourWait)
	defer cancel()
	if err := solicit(ctx, name, source, addr); err != nil {
		return false, fmt.Errorf("asking for %s on %s: %w", addr, name, err)
	}
	return l.hear(ctx, link, addr, since)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hear waits for the answer.
func (l *Links) hear(ctx context.Context, link netlink.Link, addr netip.Addr, since time.Time) (bool, error) {
	tick := time.NewTicker(neighbourPoll)
	defer tick.Stop()
	for {
		heard, err := neighbour(link, addr, since)
		switch {
		case err != nil:
			return false, err
		case heard.fresh:
			return heard.sibling, nil
		}
		select {
		case <-tick.C:
			continue
		case <-ctx.Done():
		}
		if heard.remembered || errors.Is(ctx.Err(), context.Canceled) {
			return false, fmt.Errorf("asking for %s on %s: %w", addr, link.Attrs().Name, errRemembered)
		}
		return false, nil // the link was asked, and nobody answers
	}
}

// sourceOn returns the address of link to ask from: who is asked answers to it,
// so it must be the link's own.
func sourceOn(link netlink.Link, addr netip.Addr) (netip.Addr, error) {
	routes, err := netlink.RouteGetWithOptions(addr.AsSlice(), &netlink.RouteGetOptions{OifIndex: link.Attrs().Index})
	if addr.Is6() && err != nil {
		return netip.Addr{}, err
	}
	// IPv4 can be asked for on the link itself, whatever the routes say.
	if addr.Is6() && slices.ContainsFunc(routes, func(r netlink.Route) bool { return len(r.Gw) > 0 && !r.Gw.IsUnspecified() }) {
		return netip.Addr{}, errGateway
	}
	own, err := netlinksafe.AddrList(link, familyOf(addr))
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range own {
		if from, ok := netip.AddrFromSlice(a.IP); ok && mayAsk(a, from) {
			return from, nil
		}
	}
	return netip.Addr{}, errNoSource
}

// mayAsk reports whether others can answer to an address of the link. Link-local
// ones serve too, and tentative ones do not yet.
func mayAsk(a netlink.Addr, from netip.Addr) bool {
	const unready = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED
	return !from.Is4In6() && (from.Is4() || a.Flags&unready == 0)
}

func familyOf(addr netip.Addr) int {
	if addr.Is6() {
		return netlink.FAMILY_V6
	}
	return netlink.FAMILY_V4
}

// solicit sends one empty datagram out of the link, which makes the kernel
// look for the neighbour. It goes to the neighbour itself and to no gateway.
func solicit(ctx context.Context, name string, source, addr netip.Addr) error {
	from := netip.AddrPortFrom(source, 0)
	if source.Is6() && source.IsLinkLocalUnicast() {
		from = netip.AddrPortFrom(source.WithZone(name), 0)
	}
	dialer := net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(from), Control: func(_, _ string, conn syscall.RawConn) error {
		return errors.Join(bind(conn, name), direct(conn))
	}}
	conn, err := dialer.DialContext(ctx, "udp", netip.AddrPortFrom(addr, discardPort).String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = conn.Write(nil)
	return err
}

// direct keeps the socket's packets from going through a gateway.
func direct(conn syscall.RawConn) error {
	var err error
	if ctlErr := conn.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DONTROUTE, 1)
	}); ctlErr != nil {
		return ctlErr
	}
	return err
}

// heard is what the kernel knows of a neighbour.
type heard struct {
	fresh      bool // somebody answered after the question
	sibling    bool // with the MAC of our own link
	remembered bool // an earlier answer keeps the kernel from asking
}

func neighbour(link netlink.Link, addr netip.Addr, since time.Time) (heard, error) {
	age := time.Since(since) // taken before the list, so that an answer counts as older rather than younger
	neighbours, err := netlink.NeighList(link.Attrs().Index, familyOf(addr))
	if err != nil {
		return heard{}, fmt.Errorf("listing the neighbours of %s: %w", link.Attrs().Name, err)
	}
	const resolved = unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE | unix.NUD_PERMANENT
	for _, n := range neighbours {
		ip, _ := netip.AddrFromSlice(n.IP)
		if ip.Unmap() != addr || n.State&(resolved|unix.NUD_NOARP) == 0 {
			continue
		}
		confirmed := time.Duration(n.Confirmed) * neighbourTick
		return heard{
			fresh:      n.State&resolved != 0 && confirmed+neighbourBlur <= age,
			sibling:    bytes.Equal(n.HardwareAddr, link.Attrs().HardwareAddr),
			remembered: true,
		}, nil
	}
	return heard{}, nil
}
