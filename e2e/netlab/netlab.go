// Package netlab gives tests and the demo network namespaces that play pods,
// with no root where the kernel lets users have namespaces of their own.
//
// A program enters the lab once, at its start: [Run] starts it a second time
// inside a fresh user and network namespace and waits for it. That namespace
// is the cloud: the simulator listens there, on the address of the management
// subnet, and no packet of it reaches the host. Pods are further namespaces,
// joined to the cloud by veth pairs:
//
//	    cloud (this process)                    pod
//	┌──────────────────────────────┐      ┌──────────────────┐
//	│ bridge 10.10.12.1/24 ─ veth ─┼──────┼─ eth0            │
//	│            veth, up, no more ┼──────┼─ net1 (ENI MAC)  │
//	└──────────────────────────────┘      └──────────────────┘
//
// A test package enters the lab in its TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(netlab.Run(m.Run)) }
//
// and asks for a [Lab] with [New], which answers an error that wraps
// [ErrUnavailable] on machines that refuse namespaces.
package netlab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink"
)

// Gateway is the cloud's address in the management subnet unless [Options]
// names another: where the simulator listens and where the pods' default
// route leads.
const Gateway = "10.10.12.1/24"

// ErrUnavailable is wrapped by every error that means this machine, not the
// lab, stands in the way. The error's text says what to do about it.
var ErrUnavailable = errors.New("network namespaces are not available")

// Options shape a lab. The zero value is a lab as the package comment draws it.
type Options struct {
	// Gateway is the cloud's address with the length of the management
	// subnet. Default: the constant Gateway. Labs that live at the same time
	// need different subnets.
	Gateway netip.Prefix
}

// Lab is the cloud's end of the pods. It is safe for concurrent use.
type Lab struct {
	gateway netip.Prefix
	handle  *netlink.Handle
	bridge  *netlink.Bridge

	mu   sync.Mutex
	pods []*Pod
	made int
}

// New sets up the cloud in the namespace of this process, which must have
// entered the lab by [Run]; otherwise the error wraps [ErrUnavailable].
func New(o Options) (*Lab, error) {
	if err := entered(); err != nil {
		return nil, err
	}
	if !o.Gateway.IsValid() {
		o.Gateway = netip.MustParsePrefix(Gateway)
	}
	handle, err := netlink.NewHandle(syscall.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	l := &Lab{gateway: o.Gateway, handle: handle}
	if err := l.setUp(); err != nil {
		return nil, errors.Join(explain(err), l.Close())
	}
	return l, nil
}

// setUp brings up loopback and the bridge with the gateway's address.
func (l *Lab) setUp() error {
	lo, err := l.handle.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := l.handle.LinkSetUp(lo); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	if l.bridge, err = addBridge(l.handle); err != nil {
		return err
	}
	if err := l.AddAddr(l.gateway); err != nil {
		return err
	}
	return l.handle.LinkSetUp(l.bridge)
}

// addBridge makes a bridge under the first free name, so that two labs can
// live in one process. A MAC of its own keeps the bridge from taking the lowest
// of its ports', which changes as pods come and go, and leaves the other pods
// with a gateway that does not answer.
func addBridge(h *netlink.Handle) (*netlink.Bridge, error) {
	const most = 100
	for i := range most {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{
			Name: fmt.Sprintf("mgmt%d", i), HardwareAddr: net.HardwareAddr{0x02, 0, 0, 0xff, 0, byte(i)},
		}}
		err := h.LinkAdd(bridge)
		if err == nil {
			return bridge, nil
		}
		if !errors.Is(err, syscall.EEXIST) {
			return nil, fmt.Errorf("add bridge %s: %w", bridge.Name, err)
		}
	}
	return nil, fmt.Errorf("add bridge: %d labs are open already", most)
}

// Gateway returns the cloud's address in the management subnet.
func (l *Lab) Gateway() netip.Addr { return l.gateway.Addr() }

// AddAddr gives the cloud another address that every pod reaches through its
// eth0, such as 169.254.169.254/32.
func (l *Lab) AddAddr(prefix netip.Prefix) error {
	return addAddr(l.handle, l.bridge, prefix)
}

// Close removes the pods, their processes and the cloud's bridge.
func (l *Lab) Close() error {
	l.mu.Lock()
	pods := l.pods
	l.pods = nil
	l.mu.Unlock()
	var errs []error
	for _, p := range pods {
		errs = append(errs, p.Close())
	}
	if l.bridge != nil {
		errs = append(errs, l.handle.LinkDel(l.bridge))
	}
	l.handle.Close()
	return errors.Join(errs...)
}
