// Package mgmt is the workers' first network, eth0, by which they reach the API
// server, EC2, the instance metadata service and name service, and the API
// server reaches kubelets and webhooks. It is a hub between the workers and one
// userspace network stack, which has all of those addresses. Nothing leaves the
// process: what has no listener here does not exist for a worker.
//
// Pods have routed addresses of their worker's range: there is no translation,
// and the source address of a connection shows which worker, or which worker's
// pod, has made it.
package mgmt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// Config describes the network.
type Config struct {
	// Gateway is the stack's first address, with the subnet.
	Gateway netip.Prefix
	// Addresses are further ones, inside or outside of the subnet.
	Addresses []netip.Addr
	Workers   []Worker
}

// Worker is one worker on the network.
type Worker struct {
	Name    string
	MAC     net.HardwareAddr
	Address netip.Addr
	// Pods is the range of its pods' addresses.
	Pods netip.Prefix
	// Socket is where its kernel connects.
	Socket string
}

const (
	nic       = 1
	queue     = 1024
	frameSize = 1514
)

// gatewayMAC is the stack's.
var gatewayMAC = net.HardwareAddr{2, 0, 0, 0, 0, 0xfe}

// Network is a running network. It is safe for concurrent use.
type Network struct {
	config  Config
	stack   *stack.Stack
	link    *channel.Endpoint
	hub     *hub
	stop    context.CancelFunc
	running sync.WaitGroup
}

// New starts a network and opens the workers' sockets. The network lives until
// Close.
func New(ctx context.Context, c Config) (*Network, error) {
	n := &Network{config: c, link: channel.New(queue, frameSize, tcpip.LinkAddress(gatewayMAC))}
	n.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
		HandleLocal:        true,
	})
	if err := n.address(); err != nil {
		return nil, err
	}
	ctx, n.stop = context.WithCancel(context.WithoutCancel(ctx))
	var err error
	if n.hub, err = newHub(c.Workers, n.link); err != nil {
		n.stop()
		return nil, err
	}
	n.running.Go(func() { n.hub.carry(ctx) })
	return n, nil
}

// address gives the stack its addresses and routes.
func (n *Network) address() error {
	if err := n.stack.CreateNIC(nic, ethernet.New(n.link)); err != nil {
		return errors.New(err.String())
	}
	for _, a := range append([]netip.Addr{n.config.Gateway.Addr()}, n.config.Addresses...) {
		p := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: addressOf(a).WithPrefix()}
		if err := n.stack.AddProtocolAddress(nic, p, stack.AddressProperties{}); err != nil {
			return fmt.Errorf("address %s: %s", a, err)
		}
	}
	routes := []tcpip.Route{{Destination: subnetOf(n.config.Gateway), NIC: nic}}
	for _, w := range n.config.Workers {
		routes = append(routes, tcpip.Route{Destination: subnetOf(w.Pods), Gateway: addressOf(w.Address), NIC: nic})
	}
	n.stack.SetRouteTable(routes)
	if err := n.stack.SetForwardingDefaultAndAllNICs(ipv4.ProtocolNumber, true); err != nil { // from pod to pod
		return errors.New(err.String())
	}
	return nil
}

func addressOf(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }

func subnetOf(p netip.Prefix) tcpip.Subnet {
	return tcpip.AddressWithPrefix{Address: addressOf(p.Masked().Addr()), PrefixLen: p.Bits()}.Subnet()
}

func endpoint(a netip.AddrPort) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: nic, Addr: addressOf(a.Addr()), Port: a.Port()}
}

// Listen listens for TCP on one of the stack's addresses.
func (n *Network) Listen(at netip.AddrPort) (net.Listener, error) {
	l, err := gonet.ListenTCP(n.stack, endpoint(at), ipv4.ProtocolNumber)
	if err != nil {
		return nil, fmt.Errorf("listen on %s of the workers' network: %w", at, err)
	}
	return l, nil
}

// ListenPacket listens for UDP on one of the stack's addresses.
func (n *Network) ListenPacket(at netip.AddrPort) (net.PacketConn, error) {
	local := endpoint(at)
	conn, err := gonet.DialUDP(n.stack, &local, nil, ipv4.ProtocolNumber)
	if err != nil {
		return nil, fmt.Errorf("listen on %s of the workers' network: %w", at, err)
	}
	return conn, nil
}

// Dial connects to a worker or a pod by TCP.
func (n *Network) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	from := tcpip.FullAddress{NIC: nic, Addr: addressOf(n.config.Gateway.Addr())}
	conn, err := gonet.DialTCPWithBind(ctx, n.stack, from, endpoint(to), ipv4.ProtocolNumber)
	if err != nil {
		return nil, fmt.Errorf("dial %s in the workers' network: %w", to, err)
	}
	return conn, nil
}

// Source is who has a source address.
type Source struct {
	Worker string
	// Pod is whether it is a pod with a network namespace of its own.
	Pod bool
}

// Source says who has an address.
func (n *Network) Source(a netip.Addr) (Source, bool) {
	for _, w := range n.config.Workers {
		if w.Address == a {
			return Source{Worker: w.Name}, true
		}
		if w.Pods.Contains(a) {
			return Source{Worker: w.Name, Pod: true}, true
		}
	}
	return Source{}, false
}

// Close ends all connections and removes the sockets.
func (n *Network) Close() error {
	n.stop()
	n.running.Wait()
	err := n.hub.close()
	n.stack.Destroy()
	return err
}
