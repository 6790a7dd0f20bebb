package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/ledger"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/story"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
)

// floating is the address that the pods of session.yaml hold between them.
const floating = "10.10.1.100"

const (
	// noticed is how long a keepalived waits for its dead peer: three
	// advertisements of half a second.
	noticed = 1500 * time.Millisecond
	// arriving bounds how long an address may take to arrive at its ENI.
	arriving = time.Minute
)

// failOver lets the worker die that has a floating address, and measures from
// another host of the VPC for how long the address was away.
func (d *demo) failOver(ctx context.Context) error {
	peers, err := d.startPeers(ctx)
	if err != nil {
		return err
	}
	addr := netip.MustParseAddr(floating)
	if err := d.worker1.float(peers[0], secondary, addr); err != nil {
		return err
	}
	asking, err := ask(d.host.net, d.host.eni.Primary, addr)
	if err != nil {
		return err
	}
	defer asking.stop()
	if err := asking.steady(ctx, arriving); err != nil {
		return fmt.Errorf("%w; log of the sidecar:\n%s", err, peers[0].manager.Log())
	}
	_, before := ledger.Rows(d.vpc.sim.ENIs(), nil)
	if before[addr] != d.worker1.eni.ID {
		return fmt.Errorf("%s is held by %q, want %s", addr, before[addr], d.worker1.eni.ID)
	}
	d.tell.Say("%s has %s, by %s; another host of the VPC pings it every %s, and %s loses its power:",
		peers[0].Name, floating, before[addr], story.Round(every), d.worker1.name)
	died := time.Now()
	if err := d.worker1.crash(); err != nil {
		return err
	}
	if err := wait(ctx, noticed); err != nil {
		return err
	}
	added := time.Now()
	if err := d.worker2.float(peers[1], secondary, addr); err != nil {
		return err
	}
	if err := asking.steady(ctx, arriving); err != nil {
		return fmt.Errorf("%w; log of the sidecar:\n%s", err, peers[1].manager.Log())
	}
	if err := d.showLoss(asking.stop(), died, added, addr); err != nil {
		return err
	}
	if held := d.showENIs(before); held[addr] != d.worker2.eni.ID {
		return fmt.Errorf("%s is held by %q, want %s", addr, held[addr], d.worker2.eni.ID)
	}
	d.tell.Holds("%s on %s answers at %s; it added the address to its interface, and multus-ipmgr did the rest", peers[1].Name, d.worker2.name, floating)
	return nil
}

// startPeers creates the two pods and starts their sidecars, one on each worker.
func (d *demo) startPeers(ctx context.Context) ([]*pod, error) {
	d.tell.Say("$ kubectl apply -f e2e/demo/session.yaml")
	session, err := load(sessionYAML)
	if err != nil {
		return nil, err
	}
	if err := d.cluster.CreateNAD(ctx, session.nads[0]); err != nil {
		return nil, err
	}
	var peers []*pod
	for i, object := range session.pods {
		created, err := d.cluster.CreatePod(ctx, object)
		if err != nil {
			return nil, err
		}
		p, err := d.place(created, []*host{d.worker1, d.worker2}[i])
		if err != nil {
			return nil, err
		}
		peers = append(peers, p)
	}
	var group errgroup.Group
	for _, p := range peers {
		group.Go(func() error { return d.manage(ctx, p) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, p := range peers {
		if p.manager == nil {
			return nil, fmt.Errorf("pod %s: the webhook added no container %s", p.Name, inject.ContainerName)
		}
	}
	d.tell.Say("%s and %s, one on each worker, got a sidecar by the annotation %s", peers[0].Name, peers[1].Name, inject.ModeAnnotation)
	return peers, nil
}

// showLoss says what was lost, and where the time went.
func (d *demo) showLoss(l loss, died, added time.Time, addr netip.Addr) error {
	asked, err := d.assigned(addr, d.worker2.eni.ID, died)
	if err != nil {
		return err
	}
	if l.pings == 0 {
		return errors.New("no ping was lost while the worker was dead")
	}
	settings := d.vpc.sim.Settings()
	ec2 := time.Duration(settings.Latency) + time.Duration(settings.DataPathLag)
	d.tell.Table([]string{"PINGS LOST", "IN", "keepalived NOTICES", "ipmgr CALLS EC2", "EC2 ACTS", "REST"}, [][]string{{
		strconv.Itoa(l.pings), story.Round(l.until.Sub(l.from)), story.Round(added.Sub(l.from)), story.Round(asked.Sub(added)), story.Round(ec2),
		story.Round(max(0, l.until.Sub(asked)-ec2)),
	}})
	return nil
}

// assigned returns when EC2 was asked to assign an address to an ENI.
func (d *demo) assigned(addr netip.Addr, eni string, since time.Time) (time.Time, error) {
	for _, c := range d.vpc.sim.Calls(false) {
		if c.Action == ledger.Assign && c.At.After(since) && c.Params["NetworkInterfaceId"] == eni &&
			slices.Contains(slices.Collect(maps.Values(c.Params)), addr.String()) {
			return c.At, nil
		}
	}
	return time.Time{}, fmt.Errorf("EC2 was not asked to assign %s to %s", addr, eni)
}

// wait waits for a time, unless ctx ends before.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
