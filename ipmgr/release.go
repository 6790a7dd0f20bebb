package ipmgr

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

// releaseTimeout keeps SIGTERM under a second.
const releaseTimeout = 700 * time.Millisecond

// isReleasing reports whether an address is on its way off our ENI, which a new
// claim of it must not overtake.
func (l *loop) isReleasing(addr netip.Addr) bool {
	r := l.departed[addr]
	return r != nil && r.phase == releasing
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
