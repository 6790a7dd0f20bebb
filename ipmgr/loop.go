package ipmgr

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// callTimeout bounds one look or assignment with all its calls.
const callTimeout = 20 * time.Second

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

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// logEntry is the log with what identifies the address.
func (l *loop) logEntry(e *entry) *slog.Logger {
	return l.Log.With(keyAddress, e.address.Addr, keyInterface, e.address.Interface, keyENI, e.eni.ID)
}

// addresses returns the addresses in the book.
func (l *loop) addresses() []plan.Address {
	addrs := make([]plan.Address, 0, len(l.book))
	for _, e := range l.book {
		addrs = append(addrs, e.address)
	}
	return addrs
}
