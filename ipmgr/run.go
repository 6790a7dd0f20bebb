package ipmgr

import (
	"context"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// kernelDelay is the pause between tries while the kernel drops events or
// refuses to list.
const kernelDelay = 100 * time.Millisecond

// Once assigns and verifies the pod's addresses, and returns when every one is
// on its ENI and the cloud was seen to say so. It retries transient failures
// until Settings.Timeout, and returns at once when all that is left to do was
// refused for good. The error is a fault.List, permanent faults first.
func (m *Manager) Once(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, m.Settings.Timeout)
	defer cancel()
	l := newLoop(m, spec.Init)
	return l.run(ctx, func() bool { return l.satisfied() || l.stuck() })
}

// Follow does what Once does and keeps doing it until ctx ends: an address
// that appears is claimed at once, one that the cloud lost is repaired. It
// returns nil when every address was held at least once, or else what failed.
func (m *Manager) Follow(ctx context.Context) error {
	l := newLoop(m, spec.Sidecar)
	err := l.run(ctx, func() bool { return false })
	switch {
	case !m.Settings.Release:
	case !l.wasReady:
		// The kubelet ends a container that does not become ready, and starts it
		// again. The application may run on: it may have been there before us.
		m.Log.Info("addresses are kept, the sidecar was never ready and may be started again")
	default:
		l.listAddresses(ctx) // what left since is given back like any address that leaves
		l.releaseAll(context.WithoutCancel(ctx))
	}
	if l.wasReady {
		return nil
	}
	return err
}

// run turns the loop until finished says so or ctx ends, and returns what is
// missing then.
func (l *loop) run(ctx context.Context, finished func() bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer l.work.Wait()
	defer cancel()
	var changes <-chan struct{}
	for {
		changes = l.subscribe(ctx, changes)
		l.turn(ctx)
		if finished() {
			break
		}
		var alive bool
		if changes, alive = l.awaitNext(ctx, changes); !alive {
			break
		}
	}
	return fault.NewList(l.missing())
}

// turn compares the pod with the cloud as far as both are known, and starts
// what is due.
func (l *loop) turn(ctx context.Context) {
	l.listAddresses(ctx)
	l.placeAddresses()
	l.askOwners(ctx)
	l.startClaims(ctx)
	l.releaseDeparted(ctx)
	l.startLook(ctx)
	l.publishStatus()
	l.remindOfMissing()
}

// subscribe keeps the subscription that there is, or makes a new one. Without
// one the loop still turns, by its timer.
func (l *loop) subscribe(ctx context.Context, changes <-chan struct{}) <-chan struct{} {
	if changes != nil || time.Since(l.subscribedAt) < kernelDelay {
		return changes
	}
	l.subscribedAt = time.Now()
	changes, err := l.Links.Changes(ctx)
	if err != nil && !l.unsubscribed {
		l.Log.Warn("the kernel does not report changes, addresses are listed all the time", keyError, err)
	}
	if l.unsubscribed = err != nil; l.unsubscribed {
		return nil
	}
	return changes
}

// awaitNext blocks until something happened. It is false when ctx ended.
func (l *loop) awaitNext(ctx context.Context, changes <-chan struct{}) (<-chan struct{}, bool) {
	timer := time.NewTimer(l.timeToNext(changes == nil))
	defer timer.Stop()
	select {
	case conclude := <-l.outcomes:
		conclude()
	case _, open := <-changes:
		if !open && ctx.Err() == nil {
			return nil, true
		}
	case <-timer.C:
	case <-ctx.Done():
	}
	return changes, ctx.Err() == nil
}

// timeToNext is the time until the first thing is due.
func (l *loop) timeToNext(unsubscribed bool) time.Duration {
	now := time.Now()
	next := now.Add(time.Hour)
	sooner := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	if unsubscribed || l.listErr != nil {
		sooner(now.Add(kernelDelay))
	}
	for _, e := range l.book {
		if e.phase == refused && l.mode == spec.Sidecar {
			sooner(e.tryAt)
		}
		if at, ok := l.claimableAt(e, now); ok {
			sooner(at)
		}
	}
	for _, r := range l.departed {
		if r.phase == releasing && r.stop == nil {
			sooner(r.askAt)
		}
	}
	if at, due := l.nextLook(); due && !l.looking {
		sooner(at)
	}
	if l.mode == spec.Init {
		sooner(l.remindAt)
	}
	return max(time.Until(next), 0)
}
