package ipmgr

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

const (
	// releaseTimeout keeps SIGTERM under a second.
	releaseTimeout = 700 * time.Millisecond
	// askFirst and askMax are the pauses between questions to a neighbour that
	// got no answer.
	askFirst = time.Second
	askMax   = 8 * time.Second
)

// release is an address that left the pod and that our ENI may still have. A
// late release harms nobody; one that takes a neighbour's address away cuts
// that pod off. So it is kept until it is known that no neighbour has it.
type release struct {
	*entry

	left       time.Time // only answers of neighbours that are younger count
	askAt      time.Time // the next question
	unanswered int       // questions
	stop       func()    // breaks off the question under way; nil when none is
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

// isReleasing reports whether an address is on its way off our ENI, which a new
// claim of it must not overtake.
func (l *loop) isReleasing(addr netip.Addr) bool {
	r := l.departed[addr]
	return r != nil && r.phase == releasing
}

func (l *loop) forgetRelease(e *entry) {
	if r := l.departed[e.address.Addr]; r != nil && r.entry == e {
		delete(l.departed, e.address.Addr)
	}
}

// releaseDeparted asks for the neighbours of addresses that left, and unassigns
// those that none has.
func (l *loop) releaseDeparted(ctx context.Context) {
	now := time.Now()
	for _, r := range l.departed {
		if r.phase != releasing || r.stop != nil || now.Before(r.askAt) {
			continue
		}
		asking, stop := context.WithCancel(ctx)
		r.stop = stop
		l.inBackground(ctx, func(call context.Context) func() {
			defer stop()
			ev, err := l.releaseUnlessHeld(call, asking, r)
			return func() {
				r.stop = nil
				if _, back := l.book[r.address.Addr]; back && ev == unanswered {
					ev = reclaimed
				}
				l.apply(r.entry, ev, news{err: err})
			}
		})
	}
}

// releaseUnlessHeld unassigns an address that left the pod, unless a pod on the
// same worker has it, or that cannot be found out before asking ends.
func (l *loop) releaseUnlessHeld(ctx, asking context.Context, r *release) (event, error) {
	addrs := []netip.Addr{r.address.Addr}
	held, err := l.Links.HeldByNeighbour(asking, r.address.Interface, r.address.Addr, r.left)
	switch {
	case asking.Err() != nil:
		return unanswered, asking.Err()
	case err != nil && l.Settings.DryRun:
		l.Log.Info("would release addresses", keyAddresses, addrs, keyENI, r.eni.ID, keyUnless, err.Error())
		return simulated, nil
	case err != nil:
		return unanswered, err
	case held:
		return neighbour, nil
	}
	return l.unassign(ctx, r.eni, addrs)
}

// unassign takes addresses off an ENI and returns how that ended.
func (l *loop) unassign(ctx context.Context, eni plan.ENI, addrs []netip.Addr) (event, error) {
	if l.Settings.DryRun {
		l.Log.Info("would release addresses", keyAddresses, addrs, keyENI, eni.ID)
		return simulated, nil
	}
	if err := l.ENIs.Unassign(ctx, eni, addrs); err != nil {
		return unreleased, err
	}
	return unassigned, nil
}

// releaseAll unassigns at the end all that the pod still has, one call per ENI
// and family, and once more what was being released when the end came: that was
// broken off.
func (l *loop) releaseAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	for _, r := range l.departed {
		l.work.Go(func() {
			ev, err := l.releaseUnlessHeld(ctx, ctx, r)
			l.logRelease(ev, r.eni, []netip.Addr{r.address.Addr}, err)
		})
	}
	var ours []plan.Placement
	for _, addr := range slices.SortedFunc(maps.Keys(l.book), netip.Addr.Compare) {
		if e := l.book[addr]; e.assignedByUs() {
			ours = append(ours, plan.Placement{Address: e.address, ENI: e.eni})
		}
	}
	for _, step := range plan.Steps(ours) {
		l.work.Go(func() {
			ev, err := l.unassign(ctx, step.ENI, step.Addrs)
			l.logRelease(ev, step.ENI, step.Addrs, err)
		})
	}
	l.work.Wait()
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
