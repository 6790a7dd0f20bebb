package ipmgr

import (
	"context"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// hasView reports whether the worker was looked at.
func (l *loop) hasView() bool { return l.viewOf > 0 }

// nextLook returns when the cloud has to be looked at, and whether at all.
func (l *loop) nextLook() (at time.Time, due bool) {
	now := time.Now()
	consider := func(t time.Time) {
		if !due || t.Before(at) {
			at, due = t, true
		}
	}
	switch {
	case len(l.book) == 0:
		return at, false
	case !l.hasView():
		consider(l.noLookBefore)
	case l.mode == spec.Sidecar:
		consider(l.resyncAt)
	}
	for _, e := range l.book {
		if !e.lookAt.IsZero() {
			consider(e.lookAt)
		}
		if l.waitsForLook(e) {
			consider(laterOf(e.tryAt, now.Add(timeToToken(l.pace.looks, now))))
		}
	}
	return laterOf(at, l.noLookBefore), due
}

// isPlaceable reports whether the view at hand suffices to place the address. A
// refusal from a view that is older than the address does not count: its ENI
// may be new. Nor does a delegated prefix, which may be gone by now, nor an ENI that merely has the right subnet, as long as
// nobody asked for the MAC: there may be another ENI in that subnet, and the
// view need not show it.
func (l *loop) isPlaceable(e *entry) bool {
	if !l.hasView() {
		return false
	}
	if l.isViewed(e) {
		return true
	}
	if !l.viewMACs[e.address.MAC] {
		return false
	}
	p := l.placed[e.address.Addr]
	return e.tries == 0 && !p.Foreign && !p.Fixed && p.Refused == nil
}

// isViewed reports whether the view at hand counts for the address in full.
func (l *loop) isViewed(e *entry) bool { return l.viewOf >= e.firstLook }

// waitsForLook reports whether the address can be placed after a look only.
func (l *loop) waitsForLook(e *entry) bool { return e.phase == wanted && !l.isPlaceable(e) }

// startLook reads the worker's ENIs when that is due. A pass that is due for a
// claimed address, for drift, or for an address whose ENI is not known, serves
// all three.
func (l *loop) startLook(ctx context.Context) {
	at, due := l.nextLook()
	now := time.Now()
	if !due || l.looking || now.Before(at) {
		return
	}
	l.looking = true
	l.looksStarted++
	for _, e := range l.book {
		if l.waitsForLook(e) {
			l.pace.looks.AllowN(now, 1)
			break
		}
	}
	addrs, number := l.addresses(), l.looksStarted
	l.inBackground(ctx, func(ctx context.Context) func() {
		enis, err := l.ENIs.Attached(ctx, addrs)
		return func() {
			l.looking = false
			if err != nil {
				l.takeLookFailure(err)
				return
			}
			l.takeView(sighting{enis, addrs, number, now})
		}
	})
}

func (l *loop) takeLookFailure(err error) {
	if l.lookErr == nil || fault.CodeOf(l.lookErr) != fault.CodeOf(err) {
		l.Log.Warn("the worker's ENIs could not be read, will be retried", keyCode, fault.CodeOf(err), keyError, err)
	}
	l.lookErr = err
	l.lookFailures++
	now := time.Now()
	l.noLookBefore = now.Add(l.retryDelay(l.lookFailures))
	// While only drift is at stake, EC2's budget is left to others. An address
	// that needs a look meanwhile does not wait for that.
	l.resyncAt = now.Add(l.longPause(l.lookFailures))
}

// sighting is what a look found.
type sighting struct {
	enis    []plan.ENI
	asked   []plan.Address // the addresses whose ENIs were asked for
	number  int            // of the look
	started time.Time
}

// takeView compares each address with a fresh view.
func (l *loop) takeView(v sighting) {
	l.view, l.viewOf, l.lookErr, l.lookFailures = v.enis, v.number, nil, 0
	l.resyncAt = time.Now().Add(l.jitter(l.Settings.Resync * 4 / 3)) // mean: the interval
	l.viewMACs = map[string]bool{}
	for _, a := range v.asked {
		l.viewMACs[a.MAC] = true
	}
	l.resolveNames(v.enis)
	for _, p := range plan.Place(l.addresses(), v.enis, l.policy) {
		e := l.book[p.Address.Addr]
		if p.ENI.ID != "" && p.ENI.MAC == e.address.MAC {
			l.eniOf[p.ENI.MAC] = p.ENI.ID
			e.address.Bound = true
		}
		if ev, ok := e.conclude(p, v.started, l.Settings.DryRun); ok && l.isViewed(e) {
			l.apply(e, ev, news{placement: p, started: v.started})
		}
	}
}

// askOwners asks EC2 who owns the addresses that the cloud's view no longer
// shows. IMDS may lag, so the view alone does not prove it.
func (l *loop) askOwners(ctx context.Context) {
	for _, e := range l.book {
		if e.phase != suspect || l.asking[e] || len(l.asking) >= maxQuestions {
			continue
		}
		l.asking[e] = true
		addr, since := e.address.Addr, e.since
		l.inBackground(ctx, func(ctx context.Context) func() {
			owner, err := l.ENIs.Owner(ctx, addr)
			return func() {
				delete(l.asking, e)
				if e.phase == suspect && e.since.Equal(since) {
					l.apply(e, e.ownership(owner, err), news{owner: owner})
				}
			}
		})
	}
}
