package ipmgr

import (
	"context"
	"errors"
	"fmt"
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
	// got no answer. They are shorter than callTimeout, which bounds both.
	askFirst = time.Second
	askMax   = 8 * time.Second
)

// ours: EC2 was told of the address by us and nothing says that it was taken
// away since.
func (e *entry) ours() bool {
	return !e.fixed && e.eni.ID != "" && (e.phase == claiming || e.phase == claimed || e.phase == held)
}

// release is an address that left the pod, on its way off our ENI.
type release struct {
	*entry

	asked time.Time // the first question: only answers that are younger count
	tries int       // questions without an answer
	keep  func()    // ends the questions, because the address is back
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
		r := &release{entry: e, asked: time.Now()}
		l.releasing[e.address.Addr] = r
		l.ask(ctx, r)
	}
}

// errNoAnswer means that the address is kept for now: whether a neighbour has
// it could not be found out.
var errNoAnswer = errors.New("whether another pod on this worker has the address cannot be found out")

// ask gives an address back as soon as it is known that no neighbour has it.
// Where nobody can be asked, it asks again: a late release harms nobody, and
// one that takes a neighbour's address away cuts that pod off.
func (l *loop) ask(ctx context.Context, r *release) {
	asking, keep := context.WithCancel(ctx)
	r.keep = keep
	pause := r.pause()
	l.start(ctx, func(call context.Context) func() {
		defer keep()
		taken, err := l.giveBack(call, asking, r, pause)
		return func() {
			_, back := l.book[r.address.Addr]
			if errors.Is(err, errNoAnswer) && !back {
				l.unanswered(r, err)
				l.ask(ctx, r)
				return
			}
			delete(l.releasing, r.address.Addr)
			if !back && l.gaveBack(r.entry, taken, err) {
				l.counters.Releases++
			}
		}
	})
}

func (l *loop) unanswered(r *release, err error) {
	r.tries++
	if r.tries == 1 {
		l.Log.Info("address not released yet, a neighbour may have it", "address", r.address.Addr, "interface", r.address.Interface, "eni", r.eni.ID, "error", err)
	}
}

// comeBack ends the questions about an address that is in the pod again. A
// call of EC2 under way is not broken off: it might overtake the next claim.
func (l *loop) comeBack(addr netip.Addr) {
	if r := l.releasing[addr]; r != nil {
		r.keep()
	}
}

// giveBack unassigns an address that left the pod. It is not when a pod on the
// same worker has taken it, nor when that cannot be found out. Asking ends when
// the address is back.
func (l *loop) giveBack(ctx, asking context.Context, r *release, pause time.Duration) (taken bool, err error) {
	if !await(asking, pause) {
		return false, errNoAnswer
	}
	if l.Settings.DryRun {
		return false, l.unassign(ctx, r.eni, []netip.Addr{r.address.Addr})
	}
	taken, err = l.Links.HeldByNeighbour(asking, r.address.Interface, r.address.Addr, r.asked)
	switch {
	case asking.Err() != nil:
		return false, errNoAnswer
	case err != nil && l.Settings.DryRun: // once that is known
		l.Log.Info("would release addresses", "addresses", []netip.Addr{r.address.Addr}, "eni", r.eni.ID, "unless", err.Error())
		return false, nil
	case err != nil:
		return false, fmt.Errorf("%w: %w", errNoAnswer, err)
	case taken:
		return true, nil
	}
	return false, l.unassign(ctx, r.eni, []netip.Addr{r.address.Addr})
}

// pause is the time between the last question without an answer and the next.
func (r *release) pause() time.Duration {
	if r.tries == 0 {
		return 0
	}
	return min(askFirst<<min(r.tries-1, 10), askMax)
}

// await is false when ctx ended before the pause did.
func await(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
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
	for _, r := range l.releasing {
		l.work.Go(func() {
			taken, err := l.giveBack(ctx, ctx, r, 0)
			l.gaveBack(r.entry, taken, err)
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
