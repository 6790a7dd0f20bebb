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

// ours: EC2 was told of the address by us and nothing says that it was taken
// away since.
func (e *entry) ours() bool {
	return !e.fixed && e.eni.ID != "" && (e.phase == claiming || e.phase == claimed || e.phase == held)
}

// releaseGone unassigns addresses that left the pod, unless a pod on the same
// worker has them now. A claim of the same address waits until that is done.
func (l *loop) releaseGone(ctx context.Context, gone []*entry) {
	if !l.Settings.Release {
		return
	}
	for _, e := range gone {
		if !e.ours() || e.phase == claiming { // the claim under way would overtake its release: see answered
			continue
		}
		l.releasing[e.address.Addr] = e
		l.start(ctx, func(ctx context.Context) func() {
			taken, err := l.giveBack(ctx, e)
			return func() {
				delete(l.releasing, e.address.Addr)
				if l.gaveBack(e, taken, err) {
					l.counters.Releases++
				}
			}
		})
	}
}

// giveBack unassigns an address that left the pod. It is not when a pod on the
// same worker has taken it.
func (l *loop) giveBack(ctx context.Context, e *entry) (taken bool, err error) {
	if l.Links.HeldByNeighbour(ctx, e.address.Interface, e.address.Addr) {
		return true, nil
	}
	return false, l.unassign(ctx, e.eni, []netip.Addr{e.address.Addr})
}

// gaveBack reports the outcome of giveBack, and whether the address was released.
func (l *loop) gaveBack(e *entry, taken bool, err error) bool {
	if taken {
		l.Log.Info("address kept, another pod on this worker has it", "address", e.address.Addr, "eni", e.eni.ID)
		return false
	}
	return l.released(e.eni, []netip.Addr{e.address.Addr}, err)
}

// releaseAll unassigns everything at the end, one call per ENI and family, and
// once more what was being released when the end came: that was broken off.
func (l *loop) releaseAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	for _, e := range l.releasing {
		l.work.Go(func() {
			taken, err := l.giveBack(ctx, e)
			l.gaveBack(e, taken, err)
		})
	}
	var held []plan.Placement
	for _, addr := range slices.SortedFunc(maps.Keys(l.book), netip.Addr.Compare) {
		if e := l.book[addr]; e.ours() {
			held = append(held, plan.Placement{Address: e.address, ENI: e.eni})
		}
	}
	for _, step := range plan.Steps(held) {
		l.work.Go(func() {
			l.released(step.ENI, step.Addrs, l.unassign(ctx, step.ENI, step.Addrs))
		})
	}
	l.work.Wait()
}

func (l *loop) unassign(ctx context.Context, eni plan.ENI, addrs []netip.Addr) error {
	if l.Settings.DryRun {
		l.Log.Info("would release addresses", "addresses", addrs, "eni", eni.ID)
		return nil
	}
	return l.ENIs.Unassign(ctx, eni, addrs)
}

// released reports the outcome, and whether anything was released.
func (l *loop) released(eni plan.ENI, addrs []netip.Addr, err error) bool {
	switch {
	case err != nil:
		l.Log.Warn("addresses were not released", "addresses", addrs, "eni", eni.ID, "error", err)
	case l.Settings.DryRun:
	default:
		l.Log.Info("addresses released", "addresses", addrs, "eni", eni.ID)
		return true
	}
	return false
}
