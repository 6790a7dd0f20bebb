package link

import (
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
	dialTimeout   = 5 * time.Second
	dialKeepAlive = 30 * time.Second
)

// Dial connects like net.Dialer, but by the pod's primary interface: the first
// excluded link that is not the loopback, usually eth0. The host in address is an IP
// address: a name would have to be looked up by the primary interface, too.
//
// A pod may have its default route on the Multus interface. EC2 must then be
// called before that address can carry the call, so the socket is
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

// errOwn means that a service of the worker would be the pod itself.
var errOwn = errors.New("it is an address of this pod, so that the answer would be an application's and not the worker's: remove it from the pod")

// DialWorker connects to a service of the worker at its link-local address, as
// IMDS is, always by the primary interface.
//
// An application with CAP_NET_ADMIN may play the service to us, by an address on
// a link of the pod. A bound socket does not reach one on another link, but the
// kernel then drops the worker's answers as if they came from itself; it reaches
// one on the primary interface. So no address of the pod is dialled: this is
// looked at before and, should the address be added meanwhile, after. What is
// left to such an application is to rewrite packets.
func (l *Links) DialWorker(ctx context.Context, network, address string) (net.Conn, error) {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("dialling %s, which is not an IP address: %w", address, err)
	}
	primary := l.primary()
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: dialKeepAlive, Control: func(_, _ string, conn syscall.RawConn) error {
		if primary == "" {
			return nil
		}
		return bind(conn, primary)
	}}
	if err := refuseOwn(target.Addr()); err != nil {
		return nil, err
	}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if err := refuseOwn(target.Addr()); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// refuseOwn fails when addr is an address of this pod, on whatever link.
func refuseOwn(addr netip.Addr) error {
	if isLocal(addr) {
		return fmt.Errorf("dialling %s: %w", addr, errOwn)
	}
	return nil
}

// isLocal reports whether the kernel delivers addr here. Without any route it
// does not, and the link itself may reach it.
func isLocal(addr netip.Addr) bool {
	routes, err := netlink.RouteGet(addr.WithZone("").Unmap().AsSlice())
	return err == nil && slices.ContainsFunc(routes, func(r netlink.Route) bool { return r.Type == unix.RTN_LOCAL })
}

func (l *Links) control(_, address string, conn syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("dialling %s, which is not an IP address: %w", address, err)
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
