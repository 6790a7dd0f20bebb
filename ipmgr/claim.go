package ipmgr

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// startClaims starts the assignments that are due. An address that just
// appeared is always assigned, even if the cloud's view shows it: that view may
// be older than a move of the address to another worker and back.
func (l *loop) startClaims(ctx context.Context) {
	now := time.Now()
	l.retryRefused(now)
	var toAssign []plan.Placement
	for _, e := range l.dueClaims(now) {
		if p := l.placed[e.address.Addr]; l.needsAssignment(e, p) {
			toAssign = append(toAssign, p)
		}
	}
	for _, step := range plan.Steps(toAssign) {
		if !l.pace.budget(routeOfStep(step)).busy {
			l.startAssignment(ctx, step)
		}
	}
}

// placeAddresses finds out where each address belongs by the view at hand.
func (l *loop) placeAddresses() {
	l.placed = make(map[netip.Addr]plan.Placement, len(l.book))
	for _, p := range plan.Place(l.addresses(), l.view, l.policy) {
		l.placed[p.Address.Addr] = p
	}
}

// claimableAt returns when the claim of an address may start, as far as that is
// known now. It is not while an assignment of its ENI and family is under way:
// the addresses that come meanwhile go with the next one.
func (l *loop) claimableAt(e *entry, now time.Time) (at time.Time, ok bool) {
	if l.namesDoubted || e.phase != wanted || l.isReleasing(e.address.Addr) || !l.isPlaceable(e) {
		return at, false
	}
	p := l.placed[e.address.Addr]
	if p.Refused != nil || p.Foreign || p.Fixed || l.Settings.DryRun {
		return e.tryAt, true // costs no call
	}
	if l.pace.budget(routeOf(p)).busy {
		return at, false
	}
	at = laterOf(e.tryAt, now.Add(l.pace.claimDelay(e, routeOf(p), now)))
	if !e.isUrgent() {
		at = laterOf(at, l.throttledUntil)
	}
	return at, true
}

// dueClaims lists the addresses whose claim is due, and those that may go with
// them: a failed one need not wait for the end of its own pause when a call for
// its ENI and family is made anyway.
func (l *loop) dueClaims(now time.Time) []*entry {
	var due, joining []*entry
	routes := map[route]bool{}
	for _, e := range l.book {
		at, ok := l.claimableAt(e, now)
		switch {
		case ok && !at.After(now):
			due = append(due, e)
			routes[routeOf(l.placed[e.address.Addr])] = true
		case ok && e.tries > 0:
			joining = append(joining, e)
		case ok:
			l.warnOfDelay(e, now)
		}
	}
	for _, e := range joining {
		if routes[routeOf(l.placed[e.address.Addr])] {
			due = append(due, e)
		}
	}
	return due
}

// isUrgent reports whether the address appeared while the application runs,
// which waits for it.
func (e *entry) isUrgent() bool { return e.floating && !e.claimedBefore && e.tries == 0 }

// retryRefused wants refused addresses again. Those of one ENI, family and code
// go together when the first of them is due: what made EC2 refuse them is one
// thing, and one call shows whether it is over.
func (l *loop) retryRefused(now time.Time) {
	if l.mode != spec.Sidecar {
		return
	}
	type cause struct {
		route
		code string
	}
	causeOf := func(e *entry) cause {
		return cause{route{e.eni.ID, e.address.Is4()}, fault.CodeOf(e.err)}
	}
	due := map[cause]bool{}
	for _, e := range l.book {
		if e.phase == refused && !now.Before(e.tryAt) {
			due[causeOf(e)] = true
		}
	}
	if len(due) == 0 {
		return
	}
	for _, e := range l.book {
		if e.phase == refused && due[causeOf(e)] {
			l.apply(e, retried, news{})
		}
	}
}

// warnOfDelay says once that an address is claimed too often.
func (l *loop) warnOfDelay(e *entry, now time.Time) {
	delay := l.pace.addressDelay(e, now)
	if own := l.pace.addresses[e.address.Addr]; delay > 0 && !own.logged {
		own.logged = true
		l.Log.Warn("address comes and goes, its claims are delayed", keyAddress, e.address.Addr, keyInterface, e.address.Interface, keyNextClaim, delay.Round(time.Millisecond).String())
	}
}

// needsAssignment reports whether the address must be assigned, and concludes
// what there is to conclude where it need not be.
func (l *loop) needsAssignment(e *entry, p plan.Placement) bool {
	e.eni = p.ENI
	switch {
	case p.Refused != nil:
		err := transientWhileNew(e, l.withFormerENI(e, p.Refused))
		l.apply(e, failure(err), news{err: err})
	case p.Foreign:
		l.apply(e, unrelated, news{})
	case p.Fixed:
		l.apply(e, fixed, news{placement: p})
	case l.Settings.DryRun:
		l.apply(e, simulated, news{placement: p})
	default:
		return true
	}
	return false
}

// withFormerENI adds to the refusal of an address whose ENI is gone which one
// that was.
func (l *loop) withFormerENI(e *entry, refusal error) error {
	missing, ok := errors.AsType[*fault.Error](refusal)
	if !ok || missing.Code != fault.CodeNoENI || missing.ENI != "" {
		return refusal
	}
	named := *missing
	named.ENI = l.eniOf[e.address.MAC]
	return &named
}

// transientWhileNew makes the refusal of a new address without an ENI one that
// a later look may lift.
func transientWhileNew(e *entry, refusal error) error {
	missing, ok := errors.AsType[*fault.Error](refusal)
	if !ok || missing.Code != fault.CodeNoENI || time.Since(e.appeared) >= listingGrace {
		return refusal
	}
	transient := *missing
	transient.Meaning = fault.Missing
	return &transient
}

// startAssignment makes the one call of a step.
func (l *loop) startAssignment(ctx context.Context, step plan.Step) {
	entries := make([]*entry, 0, len(step.Addrs))
	for _, addr := range step.Addrs {
		e := l.book[addr]
		l.apply(e, started, news{})
		entries = append(entries, e)
	}
	budget := l.pace.budget(routeOfStep(step))
	l.pace.spendTokens(routeOfStep(step), entries, time.Now())
	budget.busy = true
	l.inBackground(ctx, func(call context.Context) func() {
		errs, from := l.ENIs.Assign(call, step)
		return func() {
			budget.busy = false
			for _, e := range entries {
				err := errs[e.address.Addr]
				if err == nil {
					l.reportTakeOver(e, from[e.address.Addr])
				}
				l.takeAnswer(e, err)
			}
		}
	})
}

// takeAnswer takes EC2's answer. Nobody waits for it when the address has left
// and is not given back, or has come back: that is another entry's life.
func (l *loop) takeAnswer(e *entry, err error) {
	switch {
	case e.phase != claiming && e.phase != abandoned:
	case err != nil:
		l.apply(e, failure(err), news{err: err})
	default:
		l.counters.Claims++
		l.throttles, l.throttledUntil = 0, time.Time{}
		l.apply(e, acceptance(l.Settings.Verify), news{})
	}
}

// reportTakeOver says from which ENI an address was taken. Where the call did
// not have to find out, and EC2 does not say it by itself, it is the ENI that
// had the address when it was lost to it.
func (l *loop) reportTakeOver(e *entry, former plan.Holder) {
	if former.ENI == "" && e.losses.open {
		former = e.losses.taker
	}
	if former.ENI == "" {
		return
	}
	l.counters.TakeOvers++
	l.logEntry(e).Warn("address was taken over", keyFormerENI, former.ENI, keyFormerInstance, former.Instance)
}
