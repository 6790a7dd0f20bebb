package link

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	dialTimeout   = 5 * time.Second
	dialKeepAlive = 30 * time.Second
)

// Dial connects like net.Dialer, but by the pod's primary interface: the first
// excluded link that is no loopback, usually eth0. The host in address is an IP
// address: a name would have to be looked up by the primary interface, too.
//
// A pod may have its default route on the Multus interface. EC2 is then to be
// told of an address before that address can carry the call, so the socket is
// bound to the primary interface (SO_BINDTODEVICE, which needs no capability).
// Where that interface has no route to the destination, the kernel looks for
// it on the link itself: somebody there must answer, as a host does that
// proxies ARP for its pods.
// Destinations that are local or leave by that link anyway are dialled as they
// are.
func (l *Links) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: dialKeepAlive, Control: l.control}
	return dialer.DialContext(ctx, network, address)
}

func (l *Links) control(_, address string, conn syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("dialling %s, which is no IP address: %w", address, err)
	}
	if name := l.egress(target.Addr().WithZone("").Unmap()); name != "" {
		return bind(conn, name)
	}
	return nil
}

// egress names the link that a connection to addr must be bound to, or "" when
// the routing table's own choice is right.
func (l *Links) egress(addr netip.Addr) string {
	if addr.IsLoopback() {
		return ""
	}
	routes, err := netlink.RouteGet(addr.AsSlice())
	if err != nil || len(routes) == 0 {
		return l.primary() // no route at all: the primary's link may still reach it
	}
	if routes[0].Type == unix.RTN_LOCAL {
		return ""
	}
	out, err := netlink.LinkByIndex(routes[0].LinkIndex)
	primary := l.primary()
	if err == nil && (out.Attrs().Flags&net.FlagLoopback != 0 || out.Attrs().Name == primary) {
		return ""
	}
	return primary
}

// primary names the pod's primary interface, or "" when it has none.
func (l *Links) primary() string {
	for _, name := range l.exclude {
		if link, err := netlinksafe.LinkByName(name); err == nil && link.Attrs().Flags&net.FlagLoopback == 0 {
			return name
		}
	}
	return ""
}

func bind(conn syscall.RawConn, name string) error {
	var err error
	if ctlErr := conn.Control(func(fd uintptr) {
		err = unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, name)
	}); ctlErr != nil {
		return ctlErr
	}
	if err != nil {
		return fmt.Errorf("binding to interface %s: %w", name, err)
	}
	return nil
}
