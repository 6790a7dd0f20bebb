package eni

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

// subnetAge is how long the CIDRs of subnets are believed: IPv6 CIDRs come and
// go. It is less than the time between two looks for drift and more than that
// between those that wait for an assignment to show.
const subnetAge = 15 * time.Second

// maxENIs bounds the ENIs of a worker. No instance type has half as many.
const maxENIs = 128

// facts is what was learnt of the worker and its ENIs, from IMDS or EC2, and
// stays true while they stay attached.
type facts struct {
	mu        sync.Mutex
	instance  string                    // the worker; empty until EC2 described its ENIs
	enis      map[string]nic            // by MAC; what only IMDS has shown has no instance
	subnets   map[string][]netip.Prefix // CIDRs by subnet id, of EC2
	subnetsAt time.Time                 // when they were read
	reported  []plan.ENI                // of the last successful Attached
	fellBack  bool
	tags      map[string]tagLook // by ENI id

	belief
}

// belief is which ENIs are the worker's. The lock of facts guards it.
type belief struct {
	ours   map[string]bool      // by ENI id
	others map[string]time.Time // until when an ENI is not asked for again
	first  time.Time            // the first look
	ended  bool                 // the start is over
}

// tagged is whether an ENI has the tag that IAM policies demand.
type tagged int

const (
	tagUnknown tagged = iota // the role may not look, or not now
	tagMissing
	tagThere
)

type tagLook struct {
	found tagged
	until time.Time
}

func newFacts() *facts {
	return &facts{enis: map[string]nic{}, subnets: map[string][]netip.Prefix{}, belief: newBelief(), tags: map[string]tagLook{}}
}

func newBelief() belief { return belief{ours: map[string]bool{}, others: map[string]time.Time{}} }

// firstFallback is true once.
func (f *facts) firstFallback() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := !f.fellBack
	f.fellBack = true
	return first
}

// learnWorker replaces the worker's ENIs with nics, all of one instance.
func (f *facts) learnWorker(instance string, nics []nic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instance = instance
	clear(f.enis)
	for _, n := range nics {
		f.enis[n.MAC] = n
	}
}

// forgetWorker drops what an ENI that was detached makes doubtful.
func (f *facts) forgetWorker() { f.learnWorker("", nil) }

// learnENI keeps what IMDS shows of an ENI, beside what EC2 described.
func (f *facts) learnENI(e plan.ENI) { f.change(e, func(n *nic) { n.ENI, n.shown = e, true }) }

// change makes a change to what is known of an ENI.
func (f *facts) change(e plan.ENI, change func(*nic)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, ok := f.enis[e.MAC]
	if n.ID != e.ID {
		n = nic{ENI: e}
	}
	if !ok && len(f.enis) >= maxENIs { // IMDS is played
		clear(f.enis)
	}
	change(&n)
	f.enis[e.MAC] = n
}

// forgetENI drops an ENI that IMDS does not show any more.
func (f *facts) forgetENI(mac string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.enis, mac)
}

// known returns the ENI with mac, if there is one that was looked at before.
func (f *facts) known(mac string) (nic, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, ok := f.enis[mac]
	return n, ok
}

func (f *facts) report(enis []plan.ENI) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reported = enis
}

// doubt forgets the subnets when an address is in none of them,
// so that the next look sees a CIDR that was added meanwhile.
func (f *facts) doubt(addrs []plan.Address, enis []plan.ENI) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range addrs {
		if !slices.ContainsFunc(enis, func(e plan.ENI) bool { return len(e.Subnets) == 0 && e.MAC == a.MAC || contains(e.Subnets, a.Addr) }) {
			clear(f.subnets)
			return
		}
	}
}

// subnetsToRead returns the subnets of nics to read; known is true when all of
// them were read before.
func (f *facts) subnetsToRead(nics []nic, now time.Time) (wanted []string, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fresh := now.Sub(f.subnetsAt) < subnetAge
	known = true
	for _, n := range nics {
		_, ok := f.subnets[n.subnet]
		known = known && ok
		if (!ok || !fresh) && !slices.Contains(wanted, n.subnet) {
			wanted = append(wanted, n.subnet)
		}
	}
	return wanted, known
}

// worker returns the instance, "" when it is not known, and those of its ENIs
// with macs; all is false when one has none.
func (f *facts) worker(macs []string) (instance string, ids []string, all bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, mac := range macs {
		if n := f.enis[mac]; n.instance != "" {
			ids = append(ids, n.ID)
		}
	}
	return f.instance, ids, len(ids) == len(macs)
}
