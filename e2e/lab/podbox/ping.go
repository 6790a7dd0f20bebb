package main

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// ping sends one echo request and waits for its reply. It uses the kernel's
// ping sockets, which need no capability. An invalid from leaves the source to
// the kernel.
func ping(from, to netip.Addr, timeout time.Duration) error {
	network, local, request := "udp4", "0.0.0.0", icmp.Type(ipv4.ICMPTypeEcho)
	if to.Is6() {
		network, local, request = "udp6", "::", ipv6.ICMPTypeEchoRequest
	}
	if from.IsValid() {
		local = from.String()
	}
	conn, err := icmp.ListenPacket(network, local)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	message := icmp.Message{Type: request, Body: &icmp.Echo{Seq: 1, Data: []byte("multus-ipmgr lab")}}
	frame, err := message.Marshal(nil)
	if err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := conn.WriteTo(frame, &net.UDPAddr{IP: to.AsSlice()}); err != nil {
		return err
	}
	// The kernel hands a ping socket the replies to its own requests, and
	// errors such as an unreachable host as errors.
	if _, _, err := conn.ReadFrom(make([]byte, 1500)); err != nil {
		return fmt.Errorf("no reply from %s: %w", to, err)
	}
	return nil
}
