package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
)

// icmpProtocol is ICMP's number among the protocols of IP.
const icmpProtocol = 1

// pinger is a socket of a namespace that pings.
type pinger struct {
	conn *icmp.PacketConn
	id   int
}

// newPinger opens a socket in a namespace.
func newPinger(in *netlab.Pod, from netip.Addr) (p *pinger, err error) {
	p = &pinger{id: os.Getpid() & 0xffff}
	err = in.Do(func() (err error) {
		p.conn, err = icmp.ListenPacket("ip4:icmp", from.String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ping from %s: %w", from, err)
	}
	return p, nil
}

// send asks an address once.
func (p *pinger) send(to netip.Addr, seq int) error {
	question, err := (&icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: p.id, Seq: seq}}).Marshal(nil)
	if err != nil {
		return err
	}
	_, err = p.conn.WriteTo(question, &net.IPAddr{IP: to.AsSlice()})
	return err
}

// receive waits for the next reply until a deadline.
func (p *pinger) receive(deadline time.Time) (from netip.Addr, seq int, err error) {
	if err := p.conn.SetReadDeadline(deadline); err != nil {
		return from, 0, err
	}
	buffer := make([]byte, 1500)
	for {
		n, peer, err := p.conn.ReadFrom(buffer)
		if err != nil {
			return from, 0, err
		}
		m, err := icmp.ParseMessage(icmpProtocol, buffer[:n])
		if err != nil {
			continue // not ours
		}
		echo, ok := m.Body.(*icmp.Echo)
		if addr, isIP := peer.(*net.IPAddr); ok && isIP && m.Type == ipv4.ICMPTypeEchoReply && echo.ID == p.id {
			from, _ = netip.AddrFromSlice(addr.IP.To4())
			return from, echo.Seq, nil
		}
	}
}

// answers pings addresses again and again, until each has answered or the limit
// is over, and returns those that have, in order.
func answers(ctx context.Context, in *netlab.Pod, from netip.Addr, to []netip.Addr, limit time.Duration) ([]netip.Addr, error) {
	const again = 200 * time.Millisecond
	p, err := newPinger(in, from)
	if err != nil {
		return nil, err
	}
	defer func() { _ = p.conn.Close() }() // nothing is lost with it
	heard := map[netip.Addr]bool{}
	for end := time.Now().Add(limit); len(heard) < len(to) && time.Now().Before(end) && ctx.Err() == nil; {
		for _, addr := range to {
			if heard[addr] {
				continue
			}
			if err := p.send(addr, 1); err != nil {
				return nil, fmt.Errorf("ping %s: %w", addr, err)
			}
		}
		for round := time.Now().Add(again); len(heard) < len(to); {
			addr, _, err := p.receive(round)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return nil, err
			}
			if slices.Contains(to, addr) {
				heard[addr] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(to), func(addr netip.Addr) bool { return !heard[addr] }), ctx.Err()
}
