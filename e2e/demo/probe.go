package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
)

const (
	// every is how often a probe asks.
	every = 20 * time.Millisecond
	// enough is how many answers in a row show that an address has arrived.
	enough = 20
	// glance is how often it is looked whether they came.
	glance = 50 * time.Millisecond
)

// probe pings an address all the time.
type probe struct {
	pinger  *pinger
	to      netip.Addr
	ended   chan struct{} // closed to end it
	once    sync.Once
	running sync.WaitGroup

	mu       sync.Mutex
	sent     []time.Time // by the number of the ping
	answered map[int]bool
}

// ask starts a probe in a namespace.
func ask(in *netlab.Pod, from, to netip.Addr) (*probe, error) {
	pinger, err := newPinger(in, from)
	if err != nil {
		return nil, err
	}
	p := &probe{pinger: pinger, to: to, ended: make(chan struct{}), answered: map[int]bool{}}
	p.running.Go(p.send)
	p.running.Go(p.receive)
	return p, nil
}

func (p *probe) send() {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-p.ended:
			return
		case now := <-tick.C:
			p.mu.Lock()
			p.sent = append(p.sent, now)
			seq := len(p.sent) - 1
			p.mu.Unlock()
			_ = p.pinger.send(p.to, seq) // what is not sent is not answered
		}
	}
}

func (p *probe) receive() {
	for {
		_, seq, err := p.pinger.receive(time.Now().Add(time.Second))
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return // closed
		}
		if err == nil {
			p.mu.Lock()
			p.answered[seq] = true
			p.mu.Unlock()
		}
	}
}

// steady waits until the last pings have been answered, and no less of those
// that are sent from now on.
func (p *probe) steady(ctx context.Context, limit time.Duration) error {
	began := p.count()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); {
		if err := wait(ctx, glance); err != nil {
			return err
		}
		if p.inRow(began) >= enough {
			return nil
		}
	}
	return fmt.Errorf("%s has not answered %d pings in a row for %s", p.to, enough, limit)
}

func (p *probe) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sent)
}

// inRow counts the answers in a row up to the latest one, from a ping on.
func (p *probe) inRow(from int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.sent) - 1
	for last >= from && !p.answered[last] {
		last-- // it may be under way
	}
	row := 0
	for last-row >= from && p.answered[last-row] {
		row++
	}
	if len(p.sent)-1-last > enough {
		return 0 // there was an answer once
	}
	return row
}

// loss is the longest run of pings that nobody answered.
type loss struct {
	pings       int
	from, until time.Time // the first of them, and the first that was answered again
}

// stop ends the probe and returns what was lost.
func (p *probe) stop() loss {
	p.once.Do(func() { close(p.ended) })
	_ = p.pinger.conn.Close() // a second Close does nothing
	p.running.Wait()
	return longest(p.sent, p.answered)
}

// longest finds the longest run of lost pings between two that were answered.
func longest(sent []time.Time, answered map[int]bool) loss {
	var worst loss
	last := -1 // the latest one that was answered
	for i, at := range sent {
		if !answered[i] {
			continue
		}
		if lost := i - last - 1; last >= 0 && lost > worst.pings {
			worst = loss{pings: lost, from: sent[last+1], until: at}
		}
		last = i
	}
	return worst
}
