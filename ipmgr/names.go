package ipmgr

import (
	"context"
	"net/netip"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

// doubtNames finds out, once at the start, whether the settings may name other
// interfaces than they mean (see plan.Names). Then all of them are looked at
// before any address is claimed.
func (l *loop) doubtNames(ctx context.Context) {
	if l.listed {
		return
	}
	present, err := l.Links.Interfaces(ctx)
	if err != nil || !l.names.MayLie(present) {
		return
	}
	l.present, l.namesDoubted = present, true
	l.names.Excluded = l.names.Certain()
}

// resolveNames decides which interfaces are meant, with a fresh view of the
// worker's ENIs, and drops the addresses of the excluded ones. None of them was
// claimed.
func (l *loop) resolveNames(enis []plan.ENI) {
	if !l.namesDoubted {
		return
	}
	named := plan.Names{Required: l.Settings.Interfaces, Excluded: l.Settings.Exclude}
	l.names = named.Resolve(l.present, plan.Place(l.addresses(), enis, plan.Policy{}))
	l.policy.Required, l.namesDoubted = l.names.Required, false
	if !slices.Equal(named.Required, l.names.Required) || !slices.Equal(named.Excluded, l.names.Excluded) {
		l.Log.Warn("default networks of Multus come first, the names of the pod's interfaces are moved", keyRequired, l.names.Required, keyExcluded, l.names.Excluded)
	}
	for addr, e := range l.book {
		if l.isExcluded(e.address) {
			delete(l.book, addr)
			l.apply(e, left, news{})
		}
	}
}

// noteMissingInterfaces asks for the pod's interfaces when a required one carries no
// address: whether it is there at all makes a difference to the user.
func (l *loop) noteMissingInterfaces(ctx context.Context) {
	carried := map[string]bool{}
	for _, e := range l.book {
		carried[e.address.Interface] = true
	}
	for _, name := range l.policy.Required {
		if !carried[name] {
			if present, err := l.Links.Interfaces(ctx); err == nil {
				l.present = present
			}
			return
		}
	}
}

// isMissing reports whether an interface is known not to be there.
func (l *loop) isMissing(name string) bool {
	return l.present != nil && !slices.Contains(l.present, name)
}

// isExcluded reports whether the settings say that the address is not ours to touch.
func (l *loop) isExcluded(a plan.Address) bool {
	return slices.Contains(l.names.Excluded, a.Interface) ||
		slices.ContainsFunc(l.Settings.ExcludeAddresses, func(p netip.Prefix) bool { return p.Contains(a.Addr) })
}
