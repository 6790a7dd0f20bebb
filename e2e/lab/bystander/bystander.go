// Package bystander is a host of the VPC that is not a worker: a userspace network
// stack in this process, on the cable of an ENI of its own. What happens to
// workers, their kernels and their neighbour tables does not touch it, so what
// it misses is what the VPC did not deliver.
package bystander

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/podbox/probe"
)

const (
	nic       = 1
	queue     = 1024
	frameSize = 1514
)

// Config says where a host is in the VPC.
type Config struct {
	// Socket is the ENI's cable, as of package wire.
	Socket string
	MAC    net.HardwareAddr
	// Addresses are the ENI's, with their subnets' lengths.
	Addresses []netip.Prefix
}

// Host is a running host. It is safe for concurrent use.
type Host struct {
	cable   *net.UnixConn
	link    *channel.Endpoint
	stack   *stack.Stack
	stop    context.CancelFunc
	running sync.WaitGroup
}

// Join connects a host, which stays until Close.
func Join(ctx context.Context, c Config) (*Host, error) {
	cable, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: c.Socket, Net: "unixpacket"})
	if err != nil {
		return nil, fmt.Errorf("cable of the ENI: %w", err)
	}
	h := &Host{cable: cable, link: channel.New(queue, frameSize, tcpip.LinkAddress(c.MAC))}
	h.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
	})
	ctx, h.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := h.address(c.Addresses); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	h.running.Go(h.receive)
	h.running.Go(func() { h.send(ctx) })
	return h, nil
}

// address gives the stack its addresses; their subnets are on the link.
func (h *Host) address(addresses []netip.Prefix) error {
	if err := h.stack.CreateNIC(nic, ethernet.New(h.link)); err != nil {
		return errors.New(err.String())
	}
	var routes []tcpip.Route
	for _, a := range addresses {
		p := tcpip.ProtocolAddress{Protocol: protocol(a.Addr()), AddressWithPrefix: tcpip.AddressWithPrefix{
			Address: tcpip.AddrFromSlice(a.Addr().AsSlice()), PrefixLen: a.Bits(),
		}}
		if err := h.stack.AddProtocolAddress(nic, p, stack.AddressProperties{}); err != nil {
			return fmt.Errorf("address %s: %s", a, err)
		}
		routes = append(routes, tcpip.Route{Destination: p.AddressWithPrefix.Subnet(), NIC: nic})
	}
	h.stack.SetRouteTable(routes)
	return nil
}

func protocol(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

// receive takes frames from the cable until it is closed, or the VPC has gone.
func (h *Host) receive() {
	buf := make([]byte, 1<<16)
	for {
		n, err := h.cable.Read(buf)
		if err != nil || n == 0 {
			return
		}
		packet := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(slices.Clone(buf[:n]))})
		h.link.InjectInbound(0, packet)
		packet.DecRef()
	}
}

// send takes frames from the stack. What the cable does not take is lost, as on
// any network.
func (h *Host) send(ctx context.Context) {
	for {
		packet := h.link.ReadContext(ctx)
		if packet == nil {
			return
		}
		view := packet.ToView()
		_, _ = h.cable.Write(view.AsSlice())
		view.Release()
		packet.DecRef()
	}
}

// Probe begins to ask the podbox that has an address.
func (h *Host) Probe(to netip.Addr) (*probe.Probe, error) {
	conn, err := gonet.DialUDP(h.stack, nil, &tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFromSlice(to.AsSlice()), Port: probe.Port}, protocol(to))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", to, err)
	}
	return probe.Ask(conn, to), nil
}

// Close takes the host away.
func (h *Host) Close() error {
	h.stop()
	err := h.cable.Close()
	h.running.Wait()
	h.stack.Destroy()
	return err
}
