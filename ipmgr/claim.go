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

// claim starts the assignments that are due. An address that just appeared is
// always assigned, even if the cloud's view shows it: that view may be older
// than a move of the address to another worker and back.
func (l *loop) claim(ctx context.Context) {
	l.investigate(ctx)
	now := time.Now()
	l.retryRefused(now)
	var placed []plan.Placement
	for _, e := range l.due(now) {
		if p := l.placed[e.address.Addr]; l.place(e, p) {
			placed = append(placed, p)
		}
	}
	for _, step := range plan.Steps(placed) {
		if !l.pace.budget(routeFor(step)).busy {
			l.assign(ctx, step)
		}
	}
}

// replan finds out where each address belongs by the view at hand.
func (l *loop) replan() {
	l.placed = make(map[netip.Addr]plan.Placement, len(l.book))
	for _, p := range plan.Diff(l.addresses(), l.view, l.policy) {
		l.placed[p.Address.Addr] = p
	}
}

// startable tells when the claim of an address may start, as far as that is
// known now. It is not while an assignment of its ENI and family is under way:
// the addresses that come meanwhile go with the next one.
func (l *loop) startable(e *entry, now time.Time) (at time.Time, ok bool) {
	if l.unsettled || e.phase != wanted || l.releasing[e.address.Addr] != nil || !l.placeable(e) {
		return at, false
	}
	p := l.placed[e.address.Addr]
	if p.Refused != nil || p.Foreign || p.Fixed || l.Settings.DryRun {
		return e.due, true // costs no call
	}
	if l.pace.budget(routeOf(p)).busy {
		return at, false
	}
	at = later(e.due, now.Add(l.pace.delay(e, routeOf(p), now)))
	if !e.urgent() {
		at = later(at, l.quietUntil)
	}
	return at, true
}

// due lists the addresses whose claim is due, and those that may go with them:
// a failed one need not wait for the end of its own pause when a call for its
// ENI and family is made anyway.
func (l *loop) due(now time.Time) []*entry {
	var due, joining []*entry
	routes := map[route]bool{}
	for _, e := range l.book {
		at, ok := l.startable(e, now)
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

// urgent: the address appeared while the application runs, which waits for it.
func (e *entry) urgent() bool { return e.floating && !e.again && e.tries == 0 }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

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
		if e.phase == refused && !now.Before(e.due) {
			due[causeOf(e)] = true
		}
	}
	if len(due) == 0 {
		return
	}
	for _, e := range l.book {
		if e.phase == refused && due[causeOf(e)] {
			e.enter(wanted)
			e.sought, e.due = false, now
		}
	}
}

// warnOfDelay says once that an address is claimed too often.
func (l *loop) warnOfDelay(e *entry, now time.Time) {
	delay := l.pace.delayOf(e, now)
	e.delayed = e.delayed || delay > 0
	if own := l.pace.addresses[e.address.Addr]; delay > 0 && !own.told {
		own.told = true
		l.Log.Warn("address comes and goes, its claims are delayed", "address", e.address.Addr, "interface", e.address.Interface, "next_claim", delay.Round(time.Millisecond).String())
	}
}

// place settles what needs no assignment and is true for what does.
func (l *loop) place(e *entry, p plan.Placement) bool {
	e.eni, e.fixed, e.shared = p.ENI, p.Fixed, p.Shown && !p.Fixed && l.mode == spec.Sidecar
	switch {
	case p.Refused != nil:
		l.fail(e, notYet(e, l.naming(e, p.Refused)))
	case p.Foreign:
		l.leaveAlone(e)
	case p.Fixed:
		l.hold(e)
	case l.Settings.DryRun:
		l.Log.Info("would assign address", "address", e.address.Addr, "interface", e.address.Interface, "eni", e.eni.ID, "assigned_now", p.Shown)
		e.enter(held)
	default:
		return true
	}
	return false
}

// naming adds to the refusal of an address whose ENI is gone which one that was.
func (l *loop) naming(e *entry, refusal error) error {
	missing, ok := errors.AsType[*fault.Error](refusal)
	if !ok || missing.Code != fault.CodeNoENI || missing.ENI != "" {
		return refusal
	}
	named := *missing
	named.ENI = l.eniOf[e.address.MAC]
	return &named
}

// listingGrace is how long an ENI that was just attached may be missing from
// the list of the worker's ENIs: IMDS is eventually consistent.
const listingGrace = 5 * time.Second

// notYet makes the refusal of an address without an ENI one that a later look
// may mend, while the address is new.
func notYet(e *entry, refusal error) error {
	missing, ok := errors.AsType[*fault.Error](refusal)
	if !ok || missing.Code != fault.CodeNoENI || time.Since(e.first) >= listingGrace {
		return refusal
	}
	transient := *missing
	transient.Meaning = fault.Missing
	return &transient
}

// nextTry is when a failed address is due again: not after the end of the time
// that its ENI has to appear, so that a mistake is refused then and not later.
func (l *loop) nextTry(e *entry) time.Time {
	at, end := time.Now().Add(l.retryDelay(e.tries)), e.first.Add(listingGrace)
	if fault.CodeOf(e.err) == fault.CodeNoENI && time.Now().Before(end) && at.After(end) {
		return end
	}
	return at
}

func (l *loop) assign(ctx context.Context, step plan.Step) {
	entries := make([]*entry, 0, len(step.Addrs))
	for _, addr := range step.Addrs {
		e := l.book[addr]
		e.enter(claiming)
		entries = append(entries, e)
	}
	budget := l.pace.budget(routeFor(step))
	l.pace.spend(routeFor(step), entries, time.Now())
	budget.busy = true
	l.start(ctx, func(call context.Context) func() {
		errs, from := l.ENIs.Assign(call, step)
		return func() {
			budget.busy = false
			for _, e := range entries {
				if holder, taken := from[e.address.Addr]; taken {
					l.counters.TakeOvers++
					l.Log.Warn("address was taken over", "address", e.address.Addr, "interface", e.address.Interface, "eni", e.eni.ID, "former_eni", holder.ENI, "former_instance", holder.Instance)
				}
				l.answered(ctx, e, errs[e.address.Addr])
			}
		}
	})
}

// answered takes EC2's answer. The address may have left meanwhile, or left and
// come back: then it is no news of the entry that the book has now.
func (l *loop) answered(ctx context.Context, e *entry, err error) {
	switch now := l.book[e.address.Addr]; {
	case now == e:
		l.assigned(e, err)
	case now == nil && !fault.IsPermanent(err): // without an answer it may be there too
		e.enter(claimed)
		l.releaseGone(ctx, []*entry{e})
	}
}

func (l *loop) assigned(e *entry, err error) {
	if err != nil {
		l.fail(e, err)
		return
	}
	l.counters.Claims++
	l.throttles, l.quietUntil = 0, time.Time{}
	if !l.Settings.Verify {
		l.hold(e)
		return
	}
	e.enter(claimed)
	e.tries, e.err, e.due = 0, nil, e.since
}

// forgetLosses is how long an address must have been held, in resync
// intervals, for earlier losses not to count any more.
const forgetLosses = 2 * pauseMax

// investigate asks EC2 who owns the addresses that the cloud's view no longer
// shows. IMDS may lag, so the view alone is no proof.
func (l *loop) investigate(ctx context.Context) {
	for _, e := range l.book {
		if e.phase != suspect || e.asked || l.questions >= maxQuestions {
			continue
		}
		e.asked = true
		l.questions++
		l.start(ctx, func(ctx context.Context) func() {
			owner, err := l.ENIs.Owner(ctx, e.address.Addr)
			return func() {
				e.asked = false
				l.questions--
				if l.book[e.address.Addr] == e && e.phase == suspect {
					l.lost(e, owner, err)
				}
			}
		})
	}
}

// takenOver says which ENI has the address now.
func takenOver(e *entry) error {
	text := "ENI " + e.taker.ENI
	if e.taker.Instance != "" {
		text += " of instance " + e.taker.Instance
	}
	return &fault.Error{
		Addr: e.address.Addr, ENI: e.eni.ID, Code: fault.CodeTakenOver, Err: errors.New(text + " took it"),
		Advice: "find the pod there that has the address too, and remove it from one of the two",
	}
}

// lost wants the address back: at once the first time, which mends a floating
// address that a standby took for a moment, and then ever more slowly, because
// two pods that both have the address on a link would take it from each other
// for ever. Without an owner nobody took it, or EC2 did not tell who.
func (l *loop) lost(e *entry, owner plan.Holder, err error) {
	if err == nil && owner.ENI == e.eni.ID {
		e.enter(held)
		return
	}
	if time.Since(e.heldAt) > forgetLosses*l.Settings.Resync {
		e.losses, e.taken = 0, 0
	}
	e.losses++
	l.counters.Losses++
	e.err = nil
	if owner.ENI != "" {
		e.taken++
		e.taker = owner
		e.err = takenOver(e)
	}
	e.enter(wanted)
	e.due, e.again = e.since, true
	log := l.Log.With("address", e.address.Addr, "interface", e.address.Interface, "eni", e.eni.ID, "owner", owner.ENI, "owner_instance", owner.Instance)
	if e.losses == 1 {
		log.Warn("address was lost, claiming it again")
		return
	}
	wait := l.pause(l.Settings.Resync, e.losses)
	e.due = e.since.Add(wait)
	log = log.With("losses", e.losses, "next_try", wait.Round(time.Millisecond).String())
	if owner.ENI == "" {
		log.Warn("address was lost, claiming it again")
		return
	}
	log.Error("two pods claim this address: remove it from one of them")
}
