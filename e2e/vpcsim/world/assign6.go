package world

import (
	"net/netip"
	"slices"
)

// AssignIPv6 adds IPv6 addresses or prefixes to an ENI. It answers with the
// new addresses only. There is no takeover: an address of another ENI is
// refused, and must be unassigned there first.
func (w *World) AssignIPv6(r Assign) (Assigned, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, err := w.begin(r.ENI)
	if err != nil {
		return Assigned{}, err
	}
	if err := r.shape(true); err != nil {
		return Assigned{}, err
	}
	switch {
	case r.Count != nil:
		return w.autoIPv6(e, *r.Count)
	case r.PrefixCount != nil:
		return w.autoPrefixes(e, *r.PrefixCount, true)
	case len(r.Prefixes) > 0:
		return w.givenPrefixes(e, r.Prefixes, true)
	default:
		return w.givenIPv6(e, r.Addresses)
	}
}

func (w *World) givenIPv6(e *ENI, texts []string) (Assigned, error) {
	var added []netip.Addr
	for _, text := range texts {
		a, err := w.usableIPv6(e, text)
		if err != nil {
			return Assigned{}, err
		}
		if w.holders[a] == "" && !slices.Contains(added, a) {
			added = append(added, a)
		}
	}
	return w.addIPv6(e, added)
}

// usableIPv6 makes the checks that concern one address.
func (w *World) usableIPv6(e *ENI, text string) (netip.Addr, error) {
	a, err := parseAddr(text, true)
	if err != nil {
		return a, err
	}
	if err := w.inSubnet(a, e.Subnet); err != nil {
		return a, err
	}
	s, holder := w.settings.Get(), w.holders[a]
	switch {
	case holder == e.ID && !s.IPv6RepeatError:
		return a, nil
	case holder != "" || w.inBlock(a):
		return a, errIPv6InUse(s.IPv6InUseCode, s.IPv6InUseMessage, a, holder)
	}
	return a, nil
}

func (w *World) autoIPv6(e *ENI, count int) (Assigned, error) {
	if err := w.fits(e, count, true); err != nil {
		return Assigned{}, err
	}
	addrs, err := w.pickIPv6(e.Subnet, count, nil)
	if err != nil {
		return Assigned{}, err
	}
	return w.addIPv6(e, addrs)
}

func (w *World) addIPv6(e *ENI, added []netip.Addr) (Assigned, error) {
	if err := w.fits(e, len(added), true); err != nil {
		return Assigned{}, err
	}
	if len(added) > 0 {
		next := e.clone()
		next.IPv6 = append(next.IPv6, added...)
		w.put(next)
	}
	return Assigned{Addresses: added}, nil
}
