package netlab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// frameBytes holds the largest frame that a veth pair carries.
const frameBytes = 1 << 16

// Cable plugs an interface of the pod into a unix socket of type SOCK_SEQPACKET
// on which one message is one Ethernet frame, as "vpcsim --wire" has one for
// each ENI. The interface has to lead to the cloud. unplug takes the plug out
// and waits until no frame is under way.
func (p *Pod) Cable(link, socket string) (unplug func() error, err error) {
	wire, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: socket, Net: "unixpacket"})
	if err != nil {
		return nil, fmt.Errorf("plug %s of pod %s in: %w", link, p.Name, err)
	}
	frames, err := p.lab.frames(p.cloudEnd(link))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("plug %s of pod %s in: %w", link, p.Name, err), wire.Close())
	}
	var running sync.WaitGroup
	running.Go(func() { relay(wire, frames) })
	running.Go(func() { relay(frames, wire) })
	return func() error {
		err := errors.Join(wire.Close(), frames.Close())
		running.Wait()
		return err
	}, nil
}

// frames opens a link of the cloud for raw frames: for those that arrive, not
// for those that leave.
func (l *Lab) frames(name string) (*os.File, error) {
	link, err := l.handle.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("find the cloud's link %s: %w", name, err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	const everything = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8 // in network byte order
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: link.Attrs().Index}),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bind a packet socket to %s: %w", name, err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), name), nil
}

// readWriter passes one frame with each call.
type readWriter interface {
	Read(frame []byte) (int, error)
	Write(frame []byte) (int, error)
}

// relay passes frames on until either end is closed. A frame that the other
// end does not take now is lost, as on any wire.
func relay(from, to readWriter) {
	frame := make([]byte, frameBytes)
	for {
		n, err := from.Read(frame)
		if err != nil {
			return
		}
		if _, err := to.Write(frame[:n]); err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.ENETDOWN) {
			return
		}
	}
}

// Join gives the pod an interface, up, whose other end is in the namespace of
// another pod, up too, and returns that end's name there. Addresses of n are
// the pod's end's.
func (p *Pod) Join(other *Pod, n Net) (name string, err error) {
	veth, err := p.vethPair(n, nil)
	if err != nil {
		return "", err
	}
	veth.Name = fmt.Sprintf("pod%d-%s", p.index, n.Name)
	if err := other.handle.LinkAdd(veth); err != nil {
		return "", fmt.Errorf("join pods %s and %s: %w", p.Name, other.Name, err)
	}
	for _, a := range n.Addrs {
		if err := p.AddAddr(n.Name, a); err != nil {
			return "", err
		}
	}
	return veth.Name, errors.Join(other.SetLink(veth.Name, true), p.SetLink(n.Name, true))
}

// Route leads packets for an address to an interface.
func (p *Pod) Route(to netip.Addr, link string) error {
	l, err := p.link(link)
	if err != nil {
		return err
	}
	route := &netlink.Route{LinkIndex: l.Attrs().Index, Scope: netlink.SCOPE_LINK, Dst: ipNet(netip.PrefixFrom(to, to.BitLen()))}
	if err := p.handle.RouteReplace(route); err != nil {
		return fmt.Errorf("route %s to %s in pod %s: %w", to, link, p.Name, err)
	}
	return nil
}

// Forward makes the kernel of the namespace pass on packets that arrive on an
// interface, and answer ARP there for what it would pass on to others.
func (p *Pod) Forward(link string) error {
	// A proxy waits up to 0.8 s with its answers unless it is told not to.
	return p.Do(func() error {
		for file, value := range map[string]string{
			"conf/" + link + "/forwarding": "1", "conf/" + link + "/proxy_arp": "1", "neigh/" + link + "/proxy_delay": "0",
		} {
			if err := os.WriteFile("/proc/sys/net/ipv4/"+file, []byte(value), 0); err != nil {
				return fmt.Errorf("forward packets in pod %s: %w", p.Name, err)
			}
		}
		return nil
	})
}
