package ipmgr

import (
	"context"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

const (
	verifyFirst = 20 * time.Millisecond
	verifyMax   = 2 * time.Second
	// reclaimAfter is how long an accepted assignment may stay invisible
	// before it is made again. IMDS has been seen to lag by a second and
	// more; its bound is not documented.
	reclaimAfter = 30 * time.Second
)

// seen: the worker was looked at.
func (l *loop) seen() bool { return !l.viewedAt.IsZero() }

// nextLook says when the cloud has to be looked at, and whether at all.
func (l *loop) nextLook() (time.Time, bool) {
	if len(l.book) == 0 {
		return time.Time{}, false
	}
	var at time.Time
	var want bool
	now := time.Now()
	consider := func(t time.Time) {
		if !want || t.Before(at) {
			at, want = t, true
		}
	}
	if !l.seen() {
		consider(l.lookDue)
	}
	if l.seen() && l.mode == spec.Sidecar {
		consider(l.resyncAt)
	}
	for _, e := range l.book {
		if e.phase == claimed || e.phase == held && e.shared {
			consider(e.due)
		}
		if l.sought(e) {
			consider(later(e.due, now.Add(wait(l.pace.seeks, now))))
		}
	}
	if at.Before(l.lookDue) {
		at = l.lookDue
	}
	return at, want
}

// placeable: the view at hand suffices to place the address. A refusal from a
// view that is older than the address does not count: its ENI may be new. Nor
// does an ENI that merely has the right subnet, as long as nobody asked for the
// MAC: there may be another ENI in that subnet, and the view need not show it.
func (l *loop) placeable(e *entry) bool {
	if !l.seen() {
		return false
	}
	if e.sought {
		return true
	}
	if !l.viewedOf[e.address.MAC] {
		return false
	}
	p := l.placed[e.address.Addr]
	return e.tries == 0 && !p.Foreign && p.Refused == nil
}

// sought: the address waits for a look at the worker's ENIs.
func (l *loop) sought(e *entry) bool { return e.phase == wanted && !l.placeable(e) }

// look reads the worker's ENIs when that is due. A pass that is due for a
// claimed address, for drift, or for an address whose ENI is not known, serves
// all three.
func (l *loop) look(ctx context.Context) {
	at, want := l.nextLook()
	now := time.Now()
	if !want || l.looking || now.Before(at) {
		return
	}
	l.looking = true
	for _, e := range l.book {
		if l.sought(e) {
			l.pace.seeks.AllowN(now, 1)
			break
		}
	}
	addrs := l.addresses()
	entries := l.entries(addrs)
	l.start(ctx, func(ctx context.Context) func() {
		enis, err := l.ENIs.Attached(ctx, addrs)
		return func() {
			l.looking = false
			if err != nil {
				l.lookFailed(err)
				return
			}
			l.looked(enis, entries, now)
		}
	})
}

func (l *loop) lookFailed(err error) {
	if l.lookErr == nil || fault.CodeOf(l.lookErr) != fault.CodeOf(err) {
		l.Log.Warn("the worker's ENIs could not be read, will be retried", "code", fault.CodeOf(err), "error", err)
	}
	l.lookErr = err
	l.lookFail++
	now := time.Now()
	l.lookDue = now.Add(l.retryDelay(l.lookFail))
	// While only drift is at stake, EC2's budget is left to others. An address
	// that needs a look meanwhile does not wait for that.
	l.resyncAt = now.Add(l.pause(l.Settings.Resync, l.lookFail))
}

// looked compares each address with a fresh view.
func (l *loop) looked(enis []plan.ENI, entries []*entry, started time.Time) {
	l.view, l.viewedAt, l.lookErr, l.lookFail = enis, started, nil, 0
	l.resyncAt = time.Now().Add(l.jitter(l.Settings.Resync * 4 / 3)) // mean: the interval
	l.viewedOf = map[string]bool{}
	for _, e := range entries {
		e.sought = true
		l.viewedOf[e.address.MAC] = true
	}
	l.settleNames(enis)
	for _, p := range plan.Diff(l.addresses(), enis, l.policy) {
		e := l.book[p.Address.Addr]
		if p.ENI.ID != "" && p.ENI.MAC == e.address.MAC {
			l.eniOf[p.ENI.MAC] = p.ENI.ID
			e.address.Bound = true
		}
		if e.sought {
			l.compare(e, p, started)
		}
	}
}

// compare draws the conclusions for one address. Only a look that started
// after the phase did can tell anything about it.
func (l *loop) compare(e *entry, p plan.Placement, started time.Time) {
	fresh := !started.Before(e.since)
	if e.phase == held && !started.Before(e.due) {
		e.shared = false
	}
	switch {
	case p.Foreign:
		l.leaveAlone(e)
	case p.Fixed:
		e.eni, e.fixed = p.ENI, true
		l.hold(e)
	case e.phase == refused && fault.CodeOf(e.err) == fault.CodeNoENI && p.Refused == nil:
		e.enter(wanted) // its ENI has come, or has come back
		e.due = e.since
	case e.phase == foreign, p.Refused != nil && (e.phase == held || e.phase == claimed):
		e.enter(wanted) // the worker's ENIs have changed
	case fresh && p.ENI.ID != e.eni.ID && (e.phase == held || e.phase == claimed):
		e.enter(wanted) // its ENI was detached, and another one takes its place
	case e.phase == claimed && fresh && p.Shown:
		l.hold(e)
	case e.phase == claimed && time.Since(e.since) > reclaimAfter:
		e.enter(wanted)
	case e.phase == claimed && fresh:
		e.tries++
		e.due = time.Now().Add(min(verifyFirst<<min(e.tries, 10), verifyMax))
	case e.phase == held && fresh && !p.Shown && !l.Settings.DryRun:
		e.enter(suspect)
	}
}

func (l *loop) leaveAlone(e *entry) {
	if e.phase != foreign {
		l.Log.Info("address belongs to no ENI, left alone", "address", e.address.Addr, "interface", e.address.Interface)
		e.enter(foreign)
	}
}

func (l *loop) entries(addrs []plan.Address) []*entry {
	entries := make([]*entry, 0, len(addrs))
	for _, a := range addrs {
		if e := l.book[a.Addr]; e != nil {
			entries = append(entries, e)
		}
	}
	return entries
}
