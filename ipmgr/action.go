package ipmgr

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

const (
	// verifyFirst and verifyMax are the pauses between looks at an assignment
	// that EC2 accepted and that the worker does not show yet.
	verifyFirst = 20 * time.Millisecond
	verifyMax   = 2 * time.Second
	// askFirst and askMax are the pauses between questions to a neighbour that
	// got no answer.
	askFirst = time.Second
	askMax   = 8 * time.Second
)

// apply carries out the transition of an address that an event leads to.
func (l *loop) apply(e *entry, ev event, n news) {
	t, ok := l.transitions[pair{e.phase, ev}]
	if !ok {
		l.Log.Error("the address is in a phase that knows no such event, please report this", keyAddress, e.address.Addr, keyPhase, e.phase, keyEvent, ev)
		return
	}
	if t.to != e.phase {
		e.phase, e.since = t.to, time.Now()
		e.tryAt, e.lookAt, e.looks = time.Time{}, time.Time{}, 0
	}
	n.event = ev
	l.perform(t.do, e, n)
	if e.phase == gone {
		l.forgetRelease(e)
	}
}

// perform carries out the action of a transition. The address is in its new
// phase already.
func (l *loop) perform(do action, e *entry, n news) {
	switch do {
	case nothing, askOwner: // the turn asks for all suspect addresses, see askOwners
	case retrySoon:
		l.retrySoon(e, n.err)
	case retryLater:
		l.retryLater(e, n.err)
	case lookFirst:
		e.firstLook = l.looksStarted + 1
	case lookNow:
		e.assigned()
		e.lookAt = e.since
	case lookAgain:
		e.looks++
		e.lookAt = time.Now().Add(min(verifyFirst<<min(e.looks, 10), verifyMax))
	case claimAgain:
		e.claimedBefore = true
	case recordHeld:
		l.recordHeld(e)
	case recordDryRun:
		l.logEntry(e).Info("would assign address", keyAssignedNow, n.placement.Shown)
		e.assigned()
	case recordFixed:
		e.eni = n.placement.ENI
		l.recordHeld(e)
	case noteENI:
		e.eni, e.lookAt = n.placement.ENI, time.Time{}
	case recordLeft:
		l.Log.Info("address belongs to no ENI, left alone", keyAddress, e.address.Addr, keyInterface, e.address.Interface)
	case endWatch:
		if !n.started.Before(e.lookAt) {
			e.lookAt = time.Time{}
		}
	case reclaim:
		l.reclaim(e, n)
	case awaitAnswer, askNeighbours, askAgain, stopAsking, recordRelease:
		l.performRelease(do, e, n)
	}
}

// assigned ends what failures before an assignment left.
func (e *entry) assigned() { e.tries, e.err, e.losses.open = 0, nil, false }

// siblingDelay is how much later a pod on the same worker may still release an
// address that it lost to this one.
const siblingDelay = time.Second

// recordHeld reports that the address is where it belongs. If its ENI held it
// before the claim, it may have been for a pod on the same worker whose sidecar
// releases it yet: one look more shows that.
func (l *loop) recordHeld(e *entry) {
	l.logEntry(e).Info("address assigned", keyTook, time.Since(e.appeared).Round(time.Microsecond).String())
	e.assigned()
	e.heldSince = e.since
	shared := slices.Contains(e.eni.Addresses, e.address.Addr) && !e.eni.Fixes(e.address.Addr)
	if l.mode == spec.Sidecar && shared {
		e.lookAt = e.since.Add(siblingDelay)
	}
}

// retrySoon tries a failed assignment again after a pause.
func (l *loop) retrySoon(e *entry, err error) {
	if known := l.recordFailure(e, err); !known {
		l.logEntry(e).Warn("assignment failed, will be retried", keyCode, fault.CodeOf(err), keyError, err)
	}
	e.tryAt = l.nextTry(e)
	if fault.IsThrottled(err) {
		e.tryAt = l.holdBackClaims()
	}
}

// retryLater tries a refused assignment again after a long pause, in a sidecar.
func (l *loop) retryLater(e *entry, err error) {
	if known := l.recordFailure(e, err); !known {
		l.logEntry(e).Error("address refused", keyCode, fault.CodeOf(err), keyError, err)
	}
	e.tryAt = time.Now().Add(l.longPause(e.tries))
}

// recordFailure counts a failure, and reports whether the last one was of the
// same kind: only a new kind is logged.
func (l *loop) recordFailure(e *entry, err error) (known bool) {
	known = e.err != nil && fault.CodeOf(e.err) == fault.CodeOf(err) && fault.IsPermanent(e.err) == fault.IsPermanent(err)
	e.tries++
	e.err = err
	l.counters.Failures++
	if fault.IsStale(err) {
		e.firstLook = l.looksStarted + 1
	}
	return known
}

// listingGrace is how long an ENI that was just attached may be missing from
// the list of the worker's ENIs: IMDS is eventually consistent.
const listingGrace = 5 * time.Second

// nextTry is when a failed address is due again: not after the end of the time
// that its ENI has to appear, so that a mistake is refused then and not later.
func (l *loop) nextTry(e *entry) time.Time {
	at, end := time.Now().Add(l.retryDelay(e.tries)), e.appeared.Add(listingGrace)
	if fault.CodeOf(e.err) == fault.CodeNoENI && time.Now().Before(end) && at.After(end) {
		return end
	}
	return at
}

// holdBackClaims holds back all claims that are not urgent after EC2 throttled
// a call, once for a call, whichever address it was for. It returns until when.
func (l *loop) holdBackClaims() time.Time {
	if now := time.Now(); !now.Before(l.throttledUntil) {
		l.throttles++
		l.throttledUntil = now.Add(l.retryDelay(l.throttles))
	}
	return l.throttledUntil
}

// forgetLosses is how long an address must have been held, in resync
// intervals, for earlier losses not to count any more.
const forgetLosses = 2 * pauseMax

// reclaim wants a lost address back: at once the first time, which repairs a
// floating address that a standby took for a moment, and then ever more slowly,
// because two pods that both have the address on a link would take it from each
// other for ever. Without an owner nobody took it, or EC2 did not say who.
func (l *loop) reclaim(e *entry, n news) {
	e.countLoss(n, l.Settings.Resync)
	l.counters.Losses++
	e.err = nil
	if n.event == taken {
		e.err = takenOver(e)
	}
	e.claimedBefore = true
	log := l.logEntry(e).With(keyOwner, n.owner.ENI, keyOwnerInstance, n.owner.Instance)
	if e.losses.count > 1 {
		wait := l.longPause(e.losses.count)
		e.tryAt = e.since.Add(wait)
		log = log.With(keyLosses, e.losses.count, keyNextTry, wait.Round(time.Millisecond).String())
		if n.event == taken {
			log.Error("two pods claim this address: remove it from one of them")
			return
		}
	}
	log.Warn("address was lost, claiming it again")
}

func (e *entry) countLoss(n news, resync time.Duration) {
	if time.Since(e.heldSince) > forgetLosses*resync {
		e.losses = losses{}
	}
	e.losses.count++
	if n.event == taken {
		e.losses.taken++
		e.losses.taker, e.losses.open = n.owner, true
	}
}

// takenOver says which ENI has the address now.
func takenOver(e *entry) error {
	return &fault.Error{
		Addr: e.address.Addr, ENI: e.eni.ID, Code: fault.CodeTakenOver, Err: errors.New(describe(e.losses.taker) + " took it"),
		Advice: "find the pod there that has the address too, and remove it from one of the two",
	}
}

func describe(holder plan.Holder) string {
	if holder.Instance == "" {
		return "ENI " + holder.ENI
	}
	return "ENI " + holder.ENI + " of instance " + holder.Instance
}

// performRelease carries out the actions for addresses that left the pod.
func (l *loop) performRelease(do action, e *entry, n news) {
	r := l.departed[e.address.Addr]
	switch do {
	case awaitAnswer, askNeighbours:
		l.departed[e.address.Addr] = &release{entry: e, left: e.since, askAt: e.since}
	case askAgain:
		if r.unanswered == 0 {
			l.logEntry(e).Info("address not released yet, a neighbour may have it", keyError, n.err)
		}
		r.askAt = time.Now().Add(min(askFirst<<min(r.unanswered, 10), askMax))
		r.unanswered++
	case stopAsking:
		if r.stop == nil {
			l.apply(e, reclaimed, news{})
			return
		}
		r.stop() // a call of EC2 under way is not broken off: it might overtake the next claim
	case recordRelease:
		l.logRelease(n.event, e.eni, []netip.Addr{e.address.Addr}, n.err)
		if n.event == unassigned {
			l.counters.Releases++
		}
	default:
	}
}

func (l *loop) forgetRelease(e *entry) {
	if r := l.departed[e.address.Addr]; r != nil && r.entry == e {
		delete(l.departed, e.address.Addr)
	}
}

// logRelease reports how a release ended.
func (l *loop) logRelease(ev event, eni plan.ENI, addrs []netip.Addr, err error) {
	log := l.Log.With(keyAddresses, addrs, keyENI, eni.ID)
	switch ev {
	case neighbour:
		log.Info("address kept, another pod on this worker has it")
	case unassigned:
		log.Info("addresses released")
	case unanswered, unreleased:
		log.Warn("addresses were not released", keyError, err)
	default:
	}
}
