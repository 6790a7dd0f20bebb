package world

import (
	"net/netip"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
)

// UnassignIPv4 takes secondary addresses and prefixes off an ENI. It is not
// idempotent: an address that is not on the ENI fails the whole request.
func (w *World) UnassignIPv4(r Unassign) (Assigned, error) {
	return w.unassign(r, false, "One of privateIpAddresses or ipv4Prefixes must be specified.")
}

// UnassignIPv6 takes IPv6 addresses and prefixes off an ENI. AWS's answer to an
// address that is not on the ENI is unknown and taken to be that of IPv4.
func (w *World) UnassignIPv6(r Unassign) (Assigned, error) {
	return w.unassign(r, true, "One of ipv6Addresses or ipv6Prefixes must be specified.")
}

func (w *World) unassign(r Unassign, v6 bool, none string) (Assigned, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, err := w.begin(r.ENI)
	if err != nil {
		return Assigned{}, err
	}
	if len(r.Addresses)+len(r.Prefixes) == 0 {
		return Assigned{}, apierr.New("MissingParameter", "%s", none)
	}
	addrs, err := removable(e, r.Addresses, v6)
	if err != nil {
		return Assigned{}, err
	}
	prefixes, err := parsePrefixes(r.Prefixes, v6)
	if err != nil {
		return Assigned{}, err
	}
	held := slices.Concat(e.IPv4Prefixes, e.IPv6Prefixes)
	for _, p := range prefixes {
		if !slices.Contains(held, p) {
			return Assigned{}, errNotOnENI(e.ID)
		}
	}
	next := e.clone()
	next.drop(addrs...)
	gone := func(p netip.Prefix) bool { return slices.Contains(prefixes, p) }
	next.IPv4Prefixes = slices.DeleteFunc(next.IPv4Prefixes, gone)
	next.IPv6Prefixes = slices.DeleteFunc(next.IPv6Prefixes, gone)
	w.put(next)
	return Assigned{Addresses: addrs, Prefixes: prefixes}, nil
}

// removable parses addresses that are to leave e. A primary address is refused
// before an address that is not there.
func removable(e *ENI, texts []string, v6 bool) ([]netip.Addr, error) {
	var addrs []netip.Addr
	for _, text := range texts {
		a, err := parseAddr(text, v6)
		if err != nil {
			return nil, err
		}
		switch {
		case a == e.Primary:
			return nil, errPrimaryStays(a)
		case e.PrimaryIPv6 && len(e.IPv6) > 0 && a == e.IPv6[0]:
			return nil, errPrimaryIPv6Stays(a)
		}
		if !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	for _, a := range addrs {
		if !e.Has(a) {
			return nil, errNotOnENI(e.ID)
		}
	}
	return addrs, nil
}
