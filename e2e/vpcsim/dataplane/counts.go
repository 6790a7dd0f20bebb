package dataplane

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/fabric"
)

// mostDetails bounds how many different drops are counted separately; after that, new
// ones are counted without their detail.
const mostDetails = 10_000

// Status is what happened since the start or the last reset.
type Status struct {
	// ENIs are those with a cable or with traffic.
	ENIs map[string]ENIStatus `json:"enis"`
	// Drops are sorted by reason, detail and sender.
	Drops []Dropped `json:"drops"`
	// Unwatched is how many frames captures lost because nobody read them fast
	// enough.
	Unwatched uint64 `json:"unwatched"`
}

// ENIStatus is one ENI's cable and traffic.
type ENIStatus struct {
	// Connected says that a worker is connected now.
	Connected bool `json:"connected"`
	// Sent is what the worker sent, Received what was delivered to it.
	Sent     Traffic `json:"sent"`
	Received Traffic `json:"received"`
	// Answers is how many of Received are the VPC's own: ARP replies and
	// neighbour advertisements.
	Answers uint64 `json:"answers"`
}

// Traffic counts Ethernet frames and their bytes.
type Traffic struct {
	Frames uint64 `json:"frames"`
	Bytes  uint64 `json:"bytes"`
}

// Dropped counts one kind of drop.
type Dropped struct {
	Reason fabric.Reason `json:"reason"`
	// Detail depends on the reason; mostly an address.
	Detail string `json:"detail"`
	// From is the ENI whose worker sent the frames.
	From  string `json:"from"`
	Count uint64 `json:"count"`
}

type dropKey struct {
	fabric.Drop
	from string
}

// counts is safe for concurrent use; its zero value is ready.
type counts struct {
	mu    sync.Mutex
	enis  map[string]ENIStatus
	drops map[dropKey]uint64
	lost  uint64
}

func (c *counts) change(eni string, by func(*ENIStatus)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.enis == nil {
		c.enis = map[string]ENIStatus{}
	}
	s := c.enis[eni]
	by(&s)
	c.enis[eni] = s
}

func (t *Traffic) add(size int) {
	t.Frames++
	t.Bytes += uint64(size)
}

func (c *counts) sent(eni string, size int) {
	c.change(eni, func(s *ENIStatus) { s.Sent.add(size) })
}

func (c *counts) delivered(eni string, size int, answer bool) {
	c.change(eni, func(s *ENIStatus) {
		s.Received.add(size)
		if answer {
			s.Answers++
		}
	})
}

func (c *counts) dropped(from string, d fabric.Drop) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drops == nil {
		c.drops = map[dropKey]uint64{}
	}
	key := dropKey{d, from}
	if _, known := c.drops[key]; !known && len(c.drops) >= mostDetails {
		key.Detail = ""
	}
	c.drops[key]++
}

func (c *counts) unwatched() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost++
}

// Reset sets all counters to zero. Frames that pass meanwhile count before it.
func (p *Plane) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &p.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enis, c.drops, c.lost = nil, nil, 0
}

// Status returns the counters. Whatever a worker has received is among them.
func (p *Plane) Status() Status {
	p.mu.Lock() // lets frames that are handed over just now be counted
	defer p.mu.Unlock()
	s := p.counts.status()
	for id, port := range p.ports {
		e := s.ENIs[id]
		e.Connected = port.Connected()
		s.ENIs[id] = e
	}
	return s
}

func (c *counts) status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Status{ENIs: map[string]ENIStatus{}, Drops: []Dropped{}, Unwatched: c.lost}
	maps.Copy(s.ENIs, c.enis)
	for k, n := range c.drops {
		s.Drops = append(s.Drops, Dropped{Reason: k.Reason, Detail: k.Detail, From: k.from, Count: n})
	}
	slices.SortFunc(s.Drops, func(a, b Dropped) int {
		return cmp.Or(cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Detail, b.Detail), cmp.Compare(a.From, b.From))
	})
	return s
}
