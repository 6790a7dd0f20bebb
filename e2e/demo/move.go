package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// move is what one move of an address took, counted from the moment before the
// kernel was asked to add it.
type move struct {
	from, to string
	called   time.Duration // until the Assign arrived at EC2
	routed   time.Duration // until the VPC delivered packets to the new worker
	ready    time.Duration // until the sidecar said that it holds the address
}

const (
	moveTimeout = 20 * time.Second
	// glance is how often the VPC is looked at, and so the error of what is
	// measured by looking.
	glance = 2 * time.Millisecond
)

// move takes the address from one pod and adds it to another, as two
// keepaliveds do. The first time there is no one to take it from.
func (d *demo) move(ctx context.Context, address netip.Prefix, from, to peer, first bool) (move, error) {
	ctx, cancel := context.WithTimeout(ctx, moveTimeout)
	defer cancel()
	m := move{from: from.worker.Name() + " →", to: to.worker.Name()}
	if err := d.cloud.Forget(ctx); err != nil {
		return m, err
	}
	if first {
		m.from = "new on"
	} else if err := from.net.DelAddr(multusInterface, address); err != nil {
		return m, err
	}
	began := time.Now()
	if err := to.net.AddAddr(multusInterface, address); err != nil {
		return m, err
	}
	if err := d.awaitRoute(ctx, address.Addr(), to); err != nil {
		return m, err
	}
	m.routed = time.Since(began)
	if err := d.awaitHeld(ctx, to); err != nil {
		return m, err
	}
	m.ready = time.Since(began)
	calls, err := d.cloud.Calls(ctx)
	if err != nil {
		return m, err
	}
	if err := onlyThese(calls, map[string]int{"AssignPrivateIpAddresses": 1}); err != nil {
		return m, err
	}
	m.called = calls[0].At.Sub(began)
	return m, d.verifyFloating(ctx, address.Addr(), to)
}

// awaitRoute looks at the VPC until it delivers the address to the pod's
// worker.
func (d *demo) awaitRoute(ctx context.Context, addr netip.Addr, to peer) error {
	eni, _ := to.worker.Multus()
	var routes map[string]string
	err := every(ctx, glance, func() (done bool, err error) {
		routes, err = d.cloud.Routes(ctx)
		return routes[addr.String()] == eni, err
	})
	if err != nil {
		return fmt.Errorf("%s is routed to %q, want %s: %w; log of the sidecar:\n%s", addr, routes[addr.String()], eni, err, to.sidecar.Log())
	}
	return nil
}

// awaitHeld asks the sidecar, by the command of its probe, until it is ready.
func (d *demo) awaitHeld(ctx context.Context, p peer) error {
	probe := p.pod.Spec.InitContainers[0].StartupProbe
	var last error
	err := every(ctx, glance, func() (bool, error) {
		last = p.sidecar.Probe(ctx, probe)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("sidecar of pod %s: %w: %w", p.pod.Name, err, last)
	}
	return nil
}

// every calls look until it is done or fails, or ctx ends.
func every(ctx context.Context, pause time.Duration, look func() (done bool, err error)) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		done, err := look()
		if done || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// verifyFloating verifies that one ENI holds the address, the worker's.
func (d *demo) verifyFloating(ctx context.Context, addr netip.Addr, on peer) error {
	enis, err := d.cloud.ENIs(ctx)
	if err != nil {
		return err
	}
	want, _ := on.worker.Multus()
	for _, e := range enis {
		if slices.Contains(e.Secondaries, addr) != (e.ID == want) {
			return fmt.Errorf("%s shows %s: want it on %s only", e.ID, addr, want)
		}
	}
	return nil
}

// median returns the middle value of what pick picks, the lower one of two.
func median(moves []move, pick func(move) time.Duration) time.Duration {
	var all []time.Duration
	for _, m := range moves {
		all = append(all, pick(m))
	}
	slices.Sort(all)
	return all[(len(all)-1)/2]
}
