package ipmgr

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// phase is where an address stands.
type phase string

const (
	wanted   phase = "wanted"   // to be assigned when it is due
	claiming phase = "claiming" // the assignment is in flight
	claimed  phase = "claimed"  // EC2 accepted it; the cloud was not yet seen to show it
	held     phase = "held"     // the cloud showed it on the right ENI
	suspect  phase = "suspect"  // gone from the cloud's view; its owner is being asked for
	refused  phase = "refused"  // refused for good
	foreign  phase = "foreign"  // of no ENI, on an interface that need not have one
)

// entry is one address of the pod, from its appearance to its departure.
type entry struct {
	address plan.Address
	eni     plan.ENI
	phase   phase
	since   time.Time // start of the phase
	first   time.Time // when the address appeared
	due     time.Time // wanted and refused: next try; claimed: next look
	heldAt  time.Time // when it was last seen to be held
	sought  bool      // the worker was looked at since the address appeared
	// floating: it appeared while the application may run.
	floating bool
	// shared: its ENI held it before the claim, for a pod on the same worker
	// maybe, whose sidecar may still release it. One look more shows that.
	shared  bool
	again   bool        // it was claimed before
	delayed bool        // it is claimed too often
	asked   bool        // suspect: the question for the owner is in flight
	fixed   bool        // there without an assignment of ours: never released
	tries   int         // failures in a row
	losses  int         // times it was lost, forgotten after a long hold
	taker   plan.Holder // who had it when it was lost last
	taken   int         // of the losses, those to another ENI
	err     error       // the last failure
}

// enter moves the address to another phase.
func (e *entry) enter(p phase) { e.phase, e.since = p, time.Now() }

// list brings the book up to date with the kernel. An address that comes back,
// or moves to another link, starts afresh: whatever was known of it is stale.
// So does one that has left and come back since the last time.
func (l *loop) list(ctx context.Context) {
	l.left = append(l.left, l.Links.Left()...)
	present, err := l.Links.Addresses(ctx)
	if err != nil {
		if l.listErr == nil {
			l.Log.Error("the kernel does not list the pod's addresses, will be retried", "error", err)
		}
		l.listErr = &fault.Error{Code: fault.CodeKernel, Err: err, Advice: "check the security profile of the container: it must allow netlink sockets"}
		return
	}
	l.listErr = nil
	l.doubtNames(ctx)
	now := map[netip.Addr]bool{}
	left := map[netip.Addr]bool{}
	for _, addr := range l.left {
		left[addr] = true
	}
	for _, a := range present {
		if now[a.Addr] || l.excluded(a) {
			continue
		}
		now[a.Addr] = true
		a.Bound = a.Bound || l.eniOf[a.MAC] != ""
		if old := l.book[a.Addr]; old != nil && old.at(a) && !left[a.Addr] {
			old.address.Late = a.Late
			continue
		}
		l.comeBack(a.Addr)
		l.book[a.Addr] = &entry{
			address: a, phase: wanted, since: time.Now(), first: time.Now(),
			floating: l.listed && l.mode == spec.Sidecar, again: l.pace.claimed(a.Addr),
		}
		l.Log.Debug("address appeared", "address", a.Addr, "interface", a.Interface)
	}
	l.left, l.listed = nil, true
	var gone []*entry
	for addr, e := range l.book {
		if !now[addr] {
			delete(l.book, addr)
			gone = append(gone, e)
			l.Log.Log(ctx, e.departure(), "address left the pod", "address", addr, "interface", e.address.Interface, "eni", e.eni.ID)
		}
	}
	l.releaseGone(ctx, gone)
	l.missInterfaces(ctx)
}

// departure is the level at which it is logged that the address left: one that
// comes and goes would fill the log.
func (e *entry) departure() slog.Level {
	if e.again {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// at reports whether the address is still where it was.
func (e *entry) at(a plan.Address) bool {
	return e.address.Interface == a.Interface && e.address.MAC == a.MAC
}

// excluded: the settings say that the address is not ours to touch.
func (l *loop) excluded(a plan.Address) bool {
	return slices.Contains(l.names.Excluded, a.Interface) ||
		slices.ContainsFunc(l.Settings.ExcludeAddresses, func(p netip.Prefix) bool { return p.Contains(a.Addr) })
}

// addresses returns the addresses in the book.
func (l *loop) addresses() []plan.Address {
	addrs := make([]plan.Address, 0, len(l.book))
	for _, e := range l.book {
		addrs = append(addrs, e.address)
	}
	return addrs
}

// siblingDelay is how much later a pod on the same worker may still release an
// address that it lost to this one.
const siblingDelay = time.Second

// hold records that the cloud shows the address where it belongs.
func (l *loop) hold(e *entry) {
	if e.phase == held {
		return
	}
	l.Log.Info("address assigned", "address", e.address.Addr, "interface", e.address.Interface, "eni", e.eni.ID, "took", time.Since(e.first).Round(time.Microsecond).String())
	e.enter(held)
	e.tries, e.err, e.heldAt, e.due = 0, nil, e.since, e.since.Add(siblingDelay)
}

// fail records a failed assignment: permanent ones are refused, others are
// tried again after a pause. Only a failure of a new kind is logged.
func (l *loop) fail(e *entry, err error) {
	known := e.err != nil && fault.CodeOf(e.err) == fault.CodeOf(err) && fault.IsPermanent(e.err) == fault.IsPermanent(err)
	e.tries++
	e.err = err
	l.counters.Failures++
	if fault.IsStale(err) {
		e.sought = false
	}
	if fault.IsPermanent(err) {
		e.enter(refused)
		e.due = time.Now().Add(l.pause(l.Settings.Resync, e.tries))
		if !known {
			l.Log.Error("address refused", "address", e.address.Addr, "interface", e.address.Interface, "eni", e.eni.ID, "code", fault.CodeOf(err), "error", err)
		}
		return
	}
	e.enter(wanted)
	e.due = l.nextTry(e)
	if fault.IsThrottled(err) {
		e.due = l.throttled()
	}
	if !known {
		l.Log.Warn("assignment failed, will be retried", "address", e.address.Addr, "interface", e.address.Interface, "eni", e.eni.ID, "code", fault.CodeOf(err), "error", err)
	}
}

// throttled holds back all claims that are not urgent, once for a call,
// whichever address it was for, and tells until when.
func (l *loop) throttled() time.Time {
	if now := time.Now(); now.After(l.quietUntil) || now.Equal(l.quietUntil) {
		l.throttles++
		l.quietUntil = now.Add(l.retryDelay(l.throttles))
	}
	return l.quietUntil
}
