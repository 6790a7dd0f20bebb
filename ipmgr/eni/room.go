package eni

import (
	"net/netip"
	"sync"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

// room remembers which ENIs were full, so that the next step asks with one
// address instead of finding out anew how many fit.
type room struct {
	mu   sync.Mutex
	full map[roomKey][]netip.Addr // the addresses that had no room
	text map[roomKey]string       // what was said about the ENI's limit
}

type roomKey struct {
	eni string
	v6  bool
}

func newRoom() *room { return &room{full: map[roomKey][]netip.Addr{}, text: map[roomKey]string{}} }

func keyOf(step plan.Step) roomKey { return roomKey{eni: step.ENI.ID, v6: step.Addrs[0].Is6()} }

// without returns the addresses that had no room on the step's ENI.
func (r *room) without(step plan.Step) []netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.full[keyOf(step)]
}

// note replaces them.
func (r *room) note(step plan.Step, addrs []netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(addrs) == 0 {
		delete(r.full, keyOf(step))
		return
	}
	r.full[keyOf(step)] = addrs
}

func (r *room) limit(key roomKey) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text[key]
}

func (r *room) setLimit(key roomKey, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text[key] = text
}
