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
	// kernelDelay keeps a kernel that drops events or refuses to list from
	// spinning us.
	kernelDelay = 100 * time.Millisecond
)

// loop is one run of the manager. All its state belongs to the goroutine of
// run; work in flight hands its outcome back as a function for that goroutine.
type loop struct {
	*Manager
	mode     spec.Mode
	policy   plan.Policy
	book     map[netip.Addr]*entry
	view     []plan.ENI
	viewedAt time.Time    // start of the look that view comes from; zero before the first
	resyncAt time.Time    // sidecar: next look for drift
	looking  bool         // a look is in flight
	lookDue  time.Time    // no look before this
	lookErr  error        // why the last look failed
	lookFail int          // failed looks in a row
	listErr  error        // why the kernel did not list the addresses
	left     []netip.Addr // removed since the addresses were listed last
	deaf     bool         // the kernel refused to tell of changes
	askedAt  time.Time    // when it was asked to
	ready    bool         // as published last
	wasReady bool         // published at least once
	counters Status       // only its counters
	// viewedOf holds the MACs whose ENIs the view was asked for.
	viewedOf map[string]bool
	// eniOf names the ENIs that were seen under the pod's links, by MAC. Once
	// it was, the link's MAC is known to be an ENI's.
	eniOf map[string]string
	// names are the interfaces that are meant. They are unsettled while they may
	// lie and the worker was not looked at; nothing is claimed until then.
	names     plan.Names
	unsettled bool
	present   []string // all interfaces, as far as they had to be asked for
	// placed is where each address of the book belongs by the view.
	placed map[netip.Addr]plan.Placement
	pace   *pace
	// quietUntil holds back what is not urgent after EC2 throttled a call,
	// whichever address that was for.
	quietUntil time.Time
	throttles  int       // throttled calls in a row
	questions  int       // for owners, under way
	remindAt   time.Time // init: when it is logged next what is waited for
	listed     bool      // the addresses were listed once
	// releasing holds the addresses that are being unassigned.
	releasing map[netip.Addr]*release

	work    sync.WaitGroup
	settled chan func()
}

func newLoop(m *Manager, mode spec.Mode) *loop {
	return &loop{
		Manager: m,
		mode:    mode,
		policy:  plan.Policy{Pools: m.Settings.Pools, Required: m.Settings.Interfaces},
		names:   plan.Names{Required: m.Settings.Interfaces, Excluded: m.Settings.Exclude},
		book:    map[netip.Addr]*entry{},
		settled: make(chan func()),

		eniOf:     map[string]string{},
		pace:      newPace(),
		releasing: map[netip.Addr]*release{},
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
		if changes, alive = l.wait(ctx, changes); !alive {
			break
		}
	}
	return fault.NewList(l.missing())
}

// turn compares the pod with the cloud as far as both are known, and starts
// what is due.
func (l *loop) turn(ctx context.Context) {
	l.list(ctx)
	l.replan()
	l.claim(ctx)
	l.look(ctx)
	l.publish()
	l.remind()
}

// subscribe keeps the subscription that there is, or makes a new one. Without
// one the loop still turns, by its timer.
func (l *loop) subscribe(ctx context.Context, changes <-chan struct{}) <-chan struct{} {
	if changes != nil || time.Since(l.askedAt) < kernelDelay {
		return changes
	}
	l.askedAt = time.Now()
	changes, err := l.Links.Changes(ctx)
	if err != nil && !l.deaf {
		l.Log.Warn("the kernel does not tell of changes, addresses are listed all the time", "error", err)
	}
	if l.deaf = err != nil; l.deaf {
		return nil
	}
	return changes
}

// wait blocks until something happened. It is false when ctx ended.
func (l *loop) wait(ctx context.Context, changes <-chan struct{}) (<-chan struct{}, bool) {
	timer := time.NewTimer(l.untilNext(changes == nil))
	defer timer.Stop()
	select {
	case settle := <-l.settled:
		settle()
	case _, open := <-changes:
		if !open && ctx.Err() == nil {
			return nil, true
		}
	case <-timer.C:
	case <-ctx.Done():
	}
	return changes, ctx.Err() == nil
}

// untilNext is the time until the first thing is due.
func (l *loop) untilNext(unsubscribed bool) time.Duration {
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
			sooner(e.due)
		}
		if at, ok := l.startable(e, now); ok {
			sooner(at)
		}
	}
	if at, wanted := l.nextLook(); wanted && !l.looking {
		sooner(at)
	}
	if l.mode == spec.Init {
		sooner(l.remindAt)
	}
	return max(time.Until(next), 0)
}

// start does work beside the loop. What work returns is run by the loop.
func (l *loop) start(ctx context.Context, work func(context.Context) func()) {
	l.work.Go(func() {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		settle := work(call)
		select {
		case l.settled <- settle:
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
// 10 s 1.03 times and 14 calls, with 30 s 1.08 times and 7 (e2e/burst).
func (l *loop) retryDelay(tries int) time.Duration {
	delay := retryMax
	if shift := 2 * (tries - 1); shift < 6 {
		delay = retryFirst << shift
	}
	return l.jitter(delay)
}

// pause is what lies between tries that follow each other slowly: base, twice
// base, up to sixteen times base, less up to half of it at random.
func (l *loop) pause(base time.Duration, tries int) time.Duration {
	factor := time.Duration(1)
	for i := 1; i < tries && factor < pauseMax; i++ {
		factor *= 2
	}
	return l.jitter(base * factor)
}

func (l *loop) jitter(d time.Duration) time.Duration {
	return d/2 + time.Duration(l.Random()*float64(d/2))
}
