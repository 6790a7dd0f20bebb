package eni

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
)

const (
	// moveAttempts is how often each half of an IPv6 move is tried while EC2
	// is throttled or out of reach: between them nobody has the address.
	moveAttempts = 4
	movePause    = 200 * time.Millisecond // before the second attempt; doubles
	// restoreTimeout bounds putting addresses back, which goes on when ipmgr
	// is told to end.
	restoreTimeout = 5 * time.Second
)

// move takes IPv6 addresses from the ENI that has them. EC2 has no call for
// that: they are unassigned there and assigned here at once, and put back when
// that fails. A process that dies in between leaves them with nobody, and then
// the next claim finds them free.
func (a *assignment) move(ctx context.Context, owner string, addrs []netip.Addr) {
	if a.noRoom != nil {
		a.untried = append(a.untried, addrs...)
		return
	}
	err := a.cloud.api.unassign(ctx, owner, addrs)
	switch m := fault.MeaningOf(err); m {
	case fault.Done, fault.Transient: // without an answer it may have taken effect, and then nobody has them
	case fault.Refused, fault.Missing:
		// The owner has lost some of them meanwhile. What is free now can be
		// had, the rest is for the next try.
		a.rejudge(ctx, addrs, err)
		return
	default:
		a.failFrom(ctx, addrs, owner, err)
		return
	}
	errs := a.take(ctx, addrs)
	if len(errs) == 0 {
		a.cloud.opts.Logger.Info("addresses taken over", "addresses", addrs, "from", owner, "eni", a.step.ENI.ID)
		return
	}
	if err != nil { // then it is no news that they are still there
		for addr := range errs {
			errs[addr] = err
		}
	}
	a.restore(ctx, owner, errs)
}

// rejudge assigns those of addrs that have become free.
func (a *assignment) rejudge(ctx context.Context, addrs []netip.Addr, refusal error) {
	owners, err := a.lookUp(ctx, addrs)
	if err != nil {
		a.fail(ctx, addrs, err)
		return
	}
	var available []netip.Addr
	for _, addr := range addrs {
		switch had, err := judge(addr, owners, a.step); had {
		case ours:
		case free:
			available = append(available, addr)
		case kept:
			a.failed[addr] = because(err, refusal)
		case movable:
			a.failed[addr] = a.transient(addr, refusal)
		}
	}
	a.try(ctx, available, false)
}

// take assigns addrs, which nobody has, and returns the errors of those that
// it could not, each as EC2 gave it.
func (a *assignment) take(ctx context.Context, addrs []netip.Addr) map[netip.Addr]error {
	err := a.cloud.persist(ctx, func() error { return a.cloud.api.assign(ctx, a.step.ENI.ID, addrs, false) })
	errs := map[netip.Addr]error{}
	switch m := fault.MeaningOf(err); {
	case m == fault.Done:
	case m.AboutParts() && len(addrs) > 1:
		for _, part := range [][]netip.Addr{addrs[:len(addrs)/2], addrs[len(addrs)/2:]} {
			maps.Copy(errs, a.take(ctx, part))
		}
	default:
		for _, addr := range addrs {
			errs[addr] = err
		}
	}
	return errs
}

// restore gives addresses that could not be taken back to their owner.
func (a *assignment) restore(ctx context.Context, owner string, errs map[netip.Addr]error) {
	var addrs []netip.Addr
	for addr := range errs {
		addrs = append(addrs, addr)
	}
	addrs = sortedAddrs(addrs)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreTimeout)
	defer cancel()
	back := a.cloud.persist(ctx, func() error { return a.cloud.api.assign(ctx, owner, addrs, false) })
	if back == nil {
		a.cloud.opts.Logger.Warn("addresses could not be taken over and were put back", "addresses", addrs, "owner", owner, "eni", a.step.ENI.ID)
	}
	for addr, err := range errs {
		a.failed[addr] = a.lost(addr, owner, err, back)
	}
}

// lost is the fault of an address that could not be taken. If it could not be
// put back either, nobody may have it, and it is tried again whatever EC2 said.
func (a *assignment) lost(addr netip.Addr, owner string, err, back error) error {
	told := failureOf(err, addr, a.step.ENI.ID)
	if back == nil {
		return told.With("it was put back on ENI " + owner)
	}
	told.Meaning = fault.Transient
	return told.With(fmt.Sprintf("it could not be put back on ENI %s: %v", owner, back))
}

// failFrom is fail for a call about the owner's ENI, which the failure names.
func (a *assignment) failFrom(ctx context.Context, addrs []netip.Addr, owner string, err error) {
	advice := a.cloud.adviceFor(ctx, err)
	for _, addr := range addrs {
		told := failureOf(err, addr, a.step.ENI.ID)
		told.Advice = cmp.Or(advice, told.Advice)
		told.Text = fmt.Sprintf("taking it from ENI %s: %s", owner, told.Said())
		a.failed[addr] = told
	}
}

// persist makes a call up to moveAttempts times while trying again may help.
func (c *Cloud) persist(ctx context.Context, call func() error) error {
	pause := movePause
	for attempt := 1; ; attempt++ {
		err := call()
		if !fault.MeaningOf(err).Passes() || attempt == moveAttempts {
			return err
		}
		timer := time.NewTimer(pause/2 + c.opts.Jitter(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
		pause *= 2
	}
}
