package world

import (
	"net/netip"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

// AssignIPv4 adds secondary addresses or prefixes to an ENI. It answers with
// all addresses of the request, also those that the ENI held before.
//
// Checks run in the order in which EC2 was seen to make them: the ENI exists,
// one way of asking, positive count; then for each address its form, range and
// reservation, and whether it is a primary elsewhere; then all refused moves
// together; the limit of the instance type last.
func (w *World) AssignIPv4(r Assign) (Assigned, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, err := w.begin(r.ENI)
	if err != nil {
		return Assigned{}, err
	}
	if err := r.shape(false); err != nil {
		return Assigned{}, err
	}
	switch {
	case r.Count != nil:
		return w.autoIPv4(e, *r.Count)
	case r.PrefixCount != nil:
		return w.autoPrefixes(e, *r.PrefixCount, false)
	case len(r.Prefixes) > 0:
		return w.givenPrefixes(e, r.Prefixes, false)
	default:
		return w.givenIPv4(e, r)
	}
}

func (w *World) givenIPv4(e *ENI, r Assign) (Assigned, error) {
	addrs, err := w.usableIPv4(e, r.Addresses)
	if err != nil {
		return Assigned{}, err
	}
	var added, moved []netip.Addr
	for _, a := range addrs {
		switch holder := w.holders[a]; {
		case holder == e.ID:
			continue
		case holder != "":
			moved = append(moved, a)
		}
		added = append(added, a)
	}
	if len(moved) > 0 && !r.AllowReassignment {
		return Assigned{}, errMoveDenied(moved)
	}
	if err := w.mayTake(e, moved); err != nil {
		return Assigned{}, err
	}
	if err := w.fits(e, len(added), false); err != nil {
		return Assigned{}, err
	}
	w.take(moved)
	if len(added) > 0 {
		next := e.clone()
		next.Secondaries = append(next.Secondaries, added...)
		w.put(next)
	}
	return Assigned{Addresses: addrs}, nil
}

// usableIPv4 parses addresses and makes the checks that concern one address
// each. Repeated addresses count once.
func (w *World) usableIPv4(e *ENI, texts []string) ([]netip.Addr, error) {
	var addrs []netip.Addr
	for _, text := range texts {
		a, err := parseAddr(text, false)
		if err != nil {
			return nil, err
		}
		if err := w.inSubnet(a, e.Subnet); err != nil {
			return nil, err
		}
		if holder := w.holders[a]; holder != "" && w.enis.value[holder].Latest().Primary == a {
			return nil, errPrimaryOfOther()
		}
		if w.inBlock(a) { // an address inside a delegated prefix is never assigned singly
			return nil, errMoveDenied([]netip.Addr{a})
		}
		if !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	return addrs, nil
}

// inSubnet refuses an address outside the subnet, or in a part of it that is
// not for explicit use.
func (w *World) inSubnet(a netip.Addr, subnet string) error {
	s := w.subnets.value[subnet]
	cidr := s.CIDR
	if a.Is6() {
		cidr = s.IPv6CIDR
	}
	switch {
	case !cidr.IsValid() || !cidr.Contains(a):
		return errOutsideSubnet()
	case topology.Reserved(a, cidr):
		return errReserved(a)
	case w.settings.Get().PrefixReservationRefusesExplicit && w.inReservation(a, topology.Prefix):
		return errReserved(a)
	}
	return nil
}

// mayTake checks the owners of addresses that are about to move to e.
func (w *World) mayTake(e *ENI, moved []netip.Addr) error {
	s := w.settings.Get()
	for _, a := range moved {
		from := w.enis.value[w.holders[a]].Latest()
		if from.Owner != e.Owner || from.Requester != "" {
			return errInUse(s.CrossAccountMoveCode)
		}
		if s.RequireTagOnSource && !w.tagged(from) {
			return errDenied()
		}
	}
	return nil
}

// take removes addresses from whatever ENIs hold them.
func (w *World) take(addrs []netip.Addr) {
	for _, a := range addrs {
		from := w.enis.value[w.holders[a]].Latest().clone()
		from.drop(a)
		w.put(from)
	}
}

func (w *World) autoIPv4(e *ENI, count int) (Assigned, error) {
	if err := w.fits(e, count, false); err != nil {
		return Assigned{}, err
	}
	addrs, err := w.pickIPv4(e.Subnet, count, nil)
	if err != nil {
		return Assigned{}, err
	}
	next := e.clone()
	next.Secondaries = append(next.Secondaries, addrs...)
	w.put(next)
	return Assigned{Addresses: addrs}, nil
}
