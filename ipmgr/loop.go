package ipmgr

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

const (
	// callTimeout bounds one look or assignment with all its calls.
	callTimeout = 20 * time.Second
	// kernelDelay is the pause between tries while the kernel drops events or
	// refuses to list.
	kernelDelay = 100 * time.Millisecond
)

// loop is one run of the manager. All its state belongs to the goroutine of
// run; work in the background hands its outcome back as a function for that
// goroutine.
type loop struct {
	*Manager
	mode        spec.Mode
	policy      plan.Policy
	transitions map[pair]transition

	// The pod.
	book         map[netip.Addr]*entry
	listed       bool         // the addresses were listed once
	listErr      error        // why the kernel did not list the addresses
	left         []netip.Addr // removed since the addresses were listed last
	unsubscribed bool         // the kernel refused to report changes
	subscribedAt time.Time    // when it was asked to
	// names are the interfaces that are meant. They are doubted while they may
	// lie and the worker was not looked at; nothing is claimed until then.
	names        plan.Names
	namesDoubted bool
	present      []string // all interfaces, as far as they had to be asked for

	// The worker.
	view         []plan.ENI
	viewOf       int             // number of the look that view comes from; zero before the first
	viewMACs     map[string]bool // the MACs whose ENIs that look asked for
	looksStarted int
	looking      bool      // a look is under way
	resyncAt     time.Time // sidecar: next look for drift
	noLookBefore time.Time
	lookErr      error // why the last look failed
	lookFailures int   // in a row
	// eniOf names the ENIs that were seen under the pod's links, by MAC. Once
	// it was, the link's MAC is known to be an ENI's.
	eniOf map[string]string
	// placed is where each address of the book belongs by the view.
	placed map[netip.Addr]plan.Placement

	// Calls.
	pace *pace
	// throttledUntil holds back what is not urgent after EC2 throttled a call,
	// whichever address that was for.
	throttledUntil time.Time
	throttles      int                     // throttled calls in a row
	asking         map[*entry]bool         // EC2 is being asked who owns them
	departed       map[netip.Addr]*release // left, and may have to be unassigned
	work           sync.WaitGroup
	outcomes       chan func()

	// Reports.
	ready    bool      // as published last
	wasReady bool      // published at least once
	counters Status    // only its counters
	remindAt time.Time // init: when it is logged next what is waited for
}

func newLoop(m *Manager, mode spec.Mode) *loop {
	return &loop{
		Manager:     m,
		mode:        mode,
		policy:      plan.Policy{Pools: m.Settings.Pools, Required: m.Settings.Interfaces},
		transitions: transitions(),
		book:        map[netip.Addr]*entry{},
		names:       plan.Names{Required: m.Settings.Interfaces, Excluded: m.Settings.Exclude},
		eniOf:       map[string]string{},
		pace:        newPace(),
		asking:      map[*entry]bool{},
		departed:    map[netip.Addr]*release{},
		outcomes:    make(chan func()),
	}
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

// inBackground does work beside the loop. What work returns is run by the loop.
func (l *loop) inBackground(ctx context.Context, work func(context.Context) func()) {
	l.work.Go(func() {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		conclude := work(call)
		select {
		case l.outcomes <- conclude:
		case <-ctx.Done():
		}
	})
}

const (
	retryFirst = 250 * time.Millisecond
	retryMax   = 20 * time.Second
	pauseMax   = 16 // times the resync interval
)

// retryDelay is the pause before try number tries+1: 250 ms, 1 s, 4 s, 16 s and
// then 20 s, less up to half of it at random. EC2 lets all pods of an account
// share 5 assignments a second, so many pods that start at once must spread;
// and the last of them must not sleep while tokens are there. With 20 s a
// thousand pods need 1.04 times what the tokens allow, and 9 calls each; with
// 10 s 1.03 times and 14 calls, with 30 s 1.08 times and 7 (e2e/bench/burst).
func (l *loop) retryDelay(tries int) time.Duration {
	delay := retryMax
	if shift := 2 * (tries - 1); shift < 6 {
		delay = retryFirst << shift
	}
	return l.jitter(delay)
}

// longPause is what lies between tries that follow each other slowly: the resync
// interval, twice that, up to sixteen times, less up to half of it at random.
func (l *loop) longPause(tries int) time.Duration {
	factor := time.Duration(1)
	for i := 1; i < tries && factor < pauseMax; i++ {
		factor *= 2
	}
	return l.jitter(l.Settings.Resync * factor)
}

func (l *loop) jitter(d time.Duration) time.Duration {
	return d/2 + time.Duration(l.Random()*float64(d/2))
}
