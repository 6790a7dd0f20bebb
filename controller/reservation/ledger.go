package reservation

import (
	"sync"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/controller/capacity"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// ledger remembers how the subnets fare, for conditions and metrics.
type ledger struct {
	now     func() time.Time
	started time.Time

	mu      sync.Mutex
	entries map[string]*entry
}

// entry is one subnet.
type entry struct {
	read    time.Time // zero if it was never read
	trouble string    // of the last pass, empty if it succeeded
	ranges  []extent
	enis    []load
}

// extent is a reservation as metrics show it.
type extent struct {
	cidr, kind string
	count      *capacity.Count // nil if it is not known
}

// load is an ENI as metrics show it.
type load struct {
	id, instance string
	ipv4, ipv6   int // addresses
}

func newLedger(now func() time.Time) *ledger {
	return &ledger{now: now, started: now(), entries: map[string]*entry{}}
}

// expect opens an entry for a subnet that is looked after.
func (l *ledger) expect(subnetID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(subnetID)
}

// of returns the entry of a subnet. The caller holds the lock.
func (l *ledger) of(subnetID string) *entry {
	e := l.entries[subnetID]
	if e == nil {
		e = &entry{}
		l.entries[subnetID] = e
	}
	return e
}

// synced notes that a subnet was read.
func (l *ledger) synced(view *snapshot) {
	ranges := make([]extent, len(view.reservations))
	for i, reservation := range view.reservations {
		ranges[i] = extent{cidr: reservation.CIDR.String(), kind: reservation.Type, count: view.count(reservation.CIDR)}
	}
	enis := make([]load, len(view.enis))
	for i := range view.enis {
		enis[i] = loadOf(&view.enis[i])
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.of(view.subnet.ID)
	e.read, e.ranges, e.enis = view.at, ranges, enis
}

func loadOf(eni *vpc.ENI) load {
	l := load{id: eni.ID, instance: eni.Instance}
	for _, a := range eni.Addresses {
		if a.Addr().Is4() {
			l.ipv4++
		} else {
			l.ipv6++
		}
	}
	return l
}

// outcome notes how a pass ended, and reports whether that is news.
func (l *ledger) outcome(subnetID, trouble string) (changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if trouble == "" && l.entries[subnetID] == nil {
		return false
	}
	e := l.of(subnetID)
	changed = e.trouble != trouble
	e.trouble = trouble
	return changed
}

// since returns when a subnet was read last, or since when it should have been.
func (l *ledger) since(subnetID string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[subnetID]; e != nil && !e.read.IsZero() {
		return e.read
	}
	return l.started
}

// forget drops what is known of a subnet that is not looked after any more.
func (l *ledger) forget(subnetID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.entries, subnetID)
}
