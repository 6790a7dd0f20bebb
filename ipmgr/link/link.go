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

// Addresses lists the addresses of all links but loopback and the excluded
// ones, in the kernel's order.
//
// Left out is what no other host can reach or what is not meant to last:
// link-local and host addresses, addresses that lost duplicate address detection, and privacy
// addresses. Tentative addresses count, because EC2 can be called while the
// kernel still probes. Deprecated ones count too: keepalived marks its IPv6
// addresses so, to keep them from being chosen as a source.
func (l *Links) Addresses(context.Context) ([]plan.Address, error) {
	list, err := links()
	if err != nil {
		return nil, err
	}
	addrs, err := netlinksafe.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("listing the pod's addresses: %w", err)
	}
	links, isLate := newTree(list), late(addrs, born())
	var found []plan.Address
	for _, a := range addrs {
		link, ok := links.links[a.LinkIndex]
		if !ok || !l.managed(link.Attrs()) || !usable(a) {
			continue
		}
		addr, _ := netip.AddrFromSlice(a.IP)
		by := links.carrier(link, 0)
		found = append(found, plan.Address{Addr: addr, Interface: link.Attrs().Name, MAC: by.mac, Bound: by.bound, Late: isLate(a)})
	}
	return found, nil
}

func (l *Links) managed(attrs *netlink.LinkAttrs) bool {
	return attrs.Flags&net.FlagLoopback == 0 && !slices.Contains(l.exclude, attrs.Name)
}

// Interfaces names all links of the namespace.
func (l *Links) Interfaces(context.Context) ([]string, error) {
	list, err := links()
	names := make([]string, len(list))
	for i, link := range list {
		names[i] = link.Attrs().Name
	}
	return names, err
}

func links() ([]netlink.Link, error) {
	list, err := netlinksafe.LinkList()
	if err != nil {
		return nil, fmt.Errorf("listing the pod's links: %w", err)
	}
	return list, nil
}

func usable(a netlink.Addr) bool {
	const unwanted = unix.IFA_F_DADFAILED | unix.IFA_F_TEMPORARY
	if len(a.IP) == net.IPv6len && a.IP.To4() != nil {
		return false // ::ffff:10.10.1.90 is not the IPv4 address in it, and no subnet's
	}
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
// ends by itself keeps its socket until end is called, so relay calls it then
// too.
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
	if update.NewAddr || !ok || addr.Is4In6() { // ::ffff:192.0.2.1 is an IPv6 address, and never managed
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left[addr] = true
}

// Left returns the addresses that were removed since the last call, as far as
// the kernel reported them, from any link.
func (l *Links) Left() []netip.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := slices.Collect(maps.Keys(l.left))
	clear(l.left)
	return left
}
