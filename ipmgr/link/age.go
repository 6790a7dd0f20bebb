package link

import (
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ipamWindow is how long after a link's first address another one counts as
// given by IPAM too. A CNI plugin adds all its addresses one after the other,
// before any container of the pod runs.
const ipamWindow = 50 * time.Millisecond

// stamp is one address of one link.
type stamp struct {
	link int
	addr netip.Addr
}

// born reads when the kernel was given each address, in its own time. It is
// empty when the kernel does not say: then no address counts as added later.
func born() map[stamp]time.Duration {
	request := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
	request.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	messages, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWADDR)
	if err != nil {
		return nil
	}
	times := make(map[stamp]time.Duration, len(messages))
	for _, m := range messages {
		if s, at, ok := readStamp(m); ok {
			times[s] = at
		}
	}
	return times
}

// readStamp reads one RTM_NEWADDR. The kernel counts hundredths of a second.
func readStamp(message []byte) (s stamp, at time.Duration, ok bool) {
	if len(message) < unix.SizeofIfAddrmsg {
		return s, 0, false
	}
	header := nl.DeserializeIfAddrmsg(message)
	attrs, err := nl.ParseRouteAttr(message[header.Len():])
	if err != nil {
		return s, 0, false
	}
	s.link = int(header.Index)
	for _, a := range attrs {
		switch a.Attr.Type {
		case unix.IFA_LOCAL:
			s.addr, _ = netip.AddrFromSlice(a.Value)
		case unix.IFA_ADDRESS: // with IPv4, the peer's where there is one
			if !s.addr.IsValid() {
				s.addr, _ = netip.AddrFromSlice(a.Value)
			}
		case unix.IFA_CACHEINFO:
			if len(a.Value) >= unix.SizeofIfaCacheinfo {
				ok = true
				at = time.Duration(nl.DeserializeIfaCacheInfo(a.Value).Cstamp) * 10 * time.Millisecond
			}
		}
	}
	return s, at, ok && s.addr.IsValid()
}

// late reports which addresses were added to their link after those that IPAM
// gave it.
func late(addrs []netlink.Addr, times map[stamp]time.Duration) func(netlink.Addr) bool {
	at := func(a netlink.Addr) (time.Duration, bool) {
		addr, _ := netip.AddrFromSlice(a.IP)
		t, ok := times[stamp{a.LinkIndex, addr}]
		return t, ok
	}
	first := map[int]time.Duration{}
	for _, a := range addrs {
		if t, ok := at(a); ok && usable(a) {
			if earlier, seen := first[a.LinkIndex]; !seen || t < earlier {
				first[a.LinkIndex] = t
			}
		}
	}
	return func(a netlink.Addr) bool {
		t, ok := at(a)
		return ok && t-first[a.LinkIndex] > ipamWindow
	}
}
