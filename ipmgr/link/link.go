// Package link is the pod's network namespace as the kernel shows it: the
// addresses of its links, a wake-up when they change, whether a neighbour on
// the same worker answers for an address, and a dialer that leaves by the
// pod's primary interface.
//
// It needs no Linux capability: everything is read-only netlink, plus sockets
// that any user may open. It is the only package that speaks netlink, and it
// knows nothing of ENIs.
package link

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

// Links reads this network namespace. Make it with New.
type Links struct {
	exclude []string

	mu   sync.Mutex
	left map[netip.Addr]bool // removed since the last call of Left
}

// New returns the links of this network namespace without those in exclude.
func New(exclude []string) *Links {
	return &Links{exclude: slices.Clone(exclude), left: map[netip.Addr]bool{}}
}

// Addresses lists the addresses of all links but the excluded ones, in the
// kernel's order.
//
// Left out is what no other host can reach or what is not meant to last:
// link-local and host addresses, addresses that lost duplicate address detection, and privacy
// addresses. Tentative addresses count, because EC2 can be told while the
// kernel still probes. Deprecated ones count too: keepalived marks its IPv6
// addresses so, to keep them from being chosen as a source.
func (l *Links) Addresses(context.Context) ([]plan.Address, error) {
	links, err := l.managed()
	if err != nil {
		return nil, err
	}
	addrs, err := netlinksafe.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("listing the pod's addresses: %w", err)
	}
	var found []plan.Address
	for _, a := range addrs {
		attrs, ok := links[a.LinkIndex]
		if !ok || !usable(a) {
			continue
		}
		addr, _ := netip.AddrFromSlice(a.IP)
		found = append(found, plan.Address{Addr: addr.Unmap(), Interface: attrs.Name, MAC: attrs.HardwareAddr.String()})
	}
	return found, nil
}

func (l *Links) managed() (map[int]*netlink.LinkAttrs, error) {
	list, err := netlinksafe.LinkList()
	if err != nil {
		return nil, fmt.Errorf("listing the pod's links: %w", err)
	}
	links := make(map[int]*netlink.LinkAttrs, len(list))
	for _, link := range list {
		attrs := link.Attrs()
		if attrs.Flags&net.FlagLoopback == 0 && !slices.Contains(l.exclude, attrs.Name) {
			links[attrs.Index] = attrs
		}
	}
	return links, nil
}

func usable(a netlink.Addr) bool {
	const unwanted = unix.IFA_F_DADFAILED | unix.IFA_F_TEMPORARY
	// An IPv4 address has no duplicate address detection: there the kernel
	// gives the bit of IFA_F_TEMPORARY another meaning, IFA_F_SECONDARY.
	if a.IP.To4() == nil && a.Flags&unwanted != 0 {
		return false
	}
	return a.Scope == unix.RT_SCOPE_UNIVERSE && a.IP.IsGlobalUnicast()
}

// Changes wakes its reader after addresses changed. Wake-ups are coalesced;
// the channel is closed when ctx ends or when the kernel dropped events.
//
// The subscription does not ask for the existing addresses: that request needs
// CAP_NET_ADMIN. Subscribe first, then list.
func (l *Links) Changes(ctx context.Context) (<-chan struct{}, error) {
	updates := make(chan netlink.AddrUpdate)
	ctx, cancel := context.WithCancel(ctx)
	if err := netlink.AddrSubscribeWithOptions(updates, ctx.Done(), netlink.AddrSubscribeOptions{}); err != nil {
		cancel()
		return nil, fmt.Errorf("subscribing to address changes: %w", err)
	}
	return l.relay(updates, cancel), nil
}

// relay turns updates into wake-ups, and notes what left. A subscription that
// ends by itself keeps its socket until it is told to end, so end is called
// then too.
func (l *Links) relay(updates <-chan netlink.AddrUpdate, end func()) <-chan struct{} {
	wake := make(chan struct{}, 1)
	go func() {
		defer close(wake)
		defer end()
		for update := range updates {
			l.note(update)
			select {
			case wake <- struct{}{}:
			default: // a wake-up is already waiting
			}
		}
	}()
	return wake
}

// note remembers an address that was removed.
func (l *Links) note(update netlink.AddrUpdate) {
	addr, ok := netip.AddrFromSlice(update.LinkAddress.IP)
	if update.NewAddr || !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left[addr.Unmap()] = true
}

// Left returns the addresses that were removed since the last call, as far as
// the kernel told of them, from any link.
func (l *Links) Left() []netip.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := slices.Collect(maps.Keys(l.left))
	clear(l.left)
	return left
}
