package ipmgr

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// listAddresses brings the book up to date with the kernel.
func (l *loop) listAddresses(ctx context.Context) {
	l.left = append(l.left, l.Links.Left()...)
	addresses, err := l.Links.Addresses(ctx)
	if err != nil {
		if l.listErr == nil {
			l.Log.Error("the kernel does not list the pod's addresses, will be retried", keyError, err)
		}
		l.listErr = &fault.Error{Code: fault.CodeKernel, Err: err, Advice: "check the security profile of the container: it must allow netlink sockets"}
		return
	}
	l.listErr = nil
	l.doubtNames(ctx)
	listed := l.admitAddresses(addresses)
	l.left, l.listed = nil, true
	for addr, e := range l.book {
		if !listed[addr] {
			delete(l.book, addr)
			l.Log.Log(ctx, e.departureLevel(), "address left the pod", keyAddress, addr, keyInterface, e.address.Interface, keyENI, e.eni.ID)
			l.apply(e, e.departure(l.Settings.Release), news{})
		}
	}
	l.noteMissingInterfaces(ctx)
}

// admitAddresses adds new addresses to the book, and returns all that are
// listed. An address that comes back, or moves to another link, starts afresh:
// whatever was known of it is outdated. So does one that has left and come back
// since the last time.
func (l *loop) admitAddresses(addresses []plan.Address) map[netip.Addr]bool {
	left := map[netip.Addr]bool{}
	for _, addr := range l.left {
		left[addr] = true
	}
	listed := map[netip.Addr]bool{}
	for _, a := range addresses {
		if listed[a.Addr] || l.isExcluded(a) {
			continue
		}
		listed[a.Addr] = true
		a.Bound = a.Bound || l.eniOf[a.MAC] != ""
		if old := l.book[a.Addr]; old != nil && old.isOn(a) && !left[a.Addr] {
			old.address.Late = a.Late
			continue
		}
		l.admitAddress(a)
	}
	return listed
}

func (l *loop) admitAddress(a plan.Address) {
	if old := l.book[a.Addr]; old != nil {
		l.apply(old, returned, news{})
	}
	if r := l.departed[a.Addr]; r != nil {
		l.apply(r.entry, returned, news{})
	}
	e := &entry{
		address: a, appeared: time.Now(), phase: absent, firstLook: l.looksStarted + 1,
		floating: l.listed && l.mode == spec.Sidecar, claimedBefore: l.pace.claimedLately(a.Addr),
	}
	l.book[a.Addr] = e
	l.apply(e, appeared, news{})
	l.Log.Debug("address appeared", keyAddress, a.Addr, keyInterface, a.Interface)
}

// departureLevel is the level at which it is logged that the address left: one
// that comes and goes would fill the log.
func (e *entry) departureLevel() slog.Level {
	if e.claimedBefore {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// isOn reports whether the address is where it was.
func (e *entry) isOn(a plan.Address) bool {
	return e.address.Interface == a.Interface && e.address.MAC == a.MAC
}
