package main

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/ledger"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/story"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/podbox/probe"
)

// Who holds the floating address, and where. They are those of session.yaml.
const (
	floating = "10.10.1.100"
	active   = "session-1"
	standby  = "session-2"
	dying    = "worker-1"
	taking   = "worker-2"
)

const (
	// settleTimeout is for a busy machine: two pods are up after 20 s on an idle
	// one, and keepalived decides in 2.
	settleTimeout = 5 * time.Minute
	glance        = 100 * time.Millisecond
	// steady is how many answers in a row show that an address has arrived.
	steady = 50
)

// failOver lets the worker die that has a floating address, and measures from
// another host of the VPC for how long the address was away.
func (d *demo) failOver(ctx context.Context) error {
	if _, err := d.user(ctx, "-n "+namespace+" apply -f "+session); err != nil {
		return err
	}
	for _, pod := range []string{active, standby} {
		if _, err := d.bed.AwaitPod(ctx, namespace, pod); err != nil {
			return err
		}
	}
	host, err := d.bed.JoinOutside(ctx, "i-worker2", netip.MustParsePrefix("10.10.1.30/24"))
	if err != nil {
		return err
	}
	defer func() { _ = host.Close() }() // the lab ends soon after
	addr := netip.MustParseAddr(floating)
	if err := d.settle(ctx, host.Host, addr); err != nil {
		return err
	}
	_, before := ledger.Rows(d.bed.Sim().ENIs(), nil)
	if before[addr] != eniOf(dying) {
		return fmt.Errorf("%s is held by %q, want %s", addr, before[addr], eniOf(dying))
	}
	asking, err := host.Probe(addr)
	if err != nil {
		return err
	}
	if err := d.answered(ctx, asking, active); err != nil {
		return err
	}
	d.tell.Say("%s has %s, by %s; another host of the VPC asks it every %s, and %s loses its power:",
		active, floating, before[addr], story.Round(probe.Every), dying)
	died := time.Now()
	if err := d.bed.Crash(ctx, dying); err != nil {
		return err
	}
	if err := d.answered(ctx, asking, standby); err != nil {
		return err
	}
	if err := d.showLoss(asking.Stop(), died, addr); err != nil {
		return err
	}
	if held := d.showENIs(before); held[addr] != eniOf(taking) {
		return fmt.Errorf("%s is held by %q, want %s", addr, held[addr], eniOf(taking))
	}
	d.tell.Holds("%s on %s answers at %s, and nobody told EC2 but multus-ipmgr", standby, taking, floating)
	return nil
}

// prober is a host that can ask.
type prober interface {
	Probe(to netip.Addr) (*probe.Probe, error)
}

// settle waits until the active pod has the address: the other one may have
// been faster, and then gives it back.
func (d *demo) settle(ctx context.Context, host prober, addr netip.Addr) error {
	asking, err := host.Probe(addr)
	if err != nil {
		return err
	}
	defer asking.Stop()
	return d.answered(ctx, asking, active)
}

// answered waits until a pod, and no other, answers steadily.
func (d *demo) answered(ctx context.Context, asking *probe.Probe, pod string) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for since, by := 0, ""; ; {
		r := asking.Report()
		last := ""
		if len(r.By) > 0 {
			last = r.By[len(r.By)-1].Pod
		}
		open := len(r.Gaps) > 0 && r.Gaps[len(r.Gaps)-1].Open
		switch {
		case last != pod || last != by || open:
			since, by = r.Answered, last
		case r.Answered-since >= steady:
			return nil
		}
		select {
		case <-time.After(glance):
		case <-ctx.Done():
			return fmt.Errorf("wait until %s answers at %s: %w; last: %+v", pod, r.To, ctx.Err(), r)
		}
	}
}

// showLoss says what was lost, and where the time went.
func (d *demo) showLoss(r probe.Report, died time.Time, addr netip.Addr) error {
	asked, err := d.assigned(addr, eniOf(taking), died)
	if err != nil {
		return err
	}
	if len(r.By) != 2 || len(r.Gaps) == 0 {
		return fmt.Errorf("answers came from %+v with the gaps %+v, want %s, then %s after a gap", r.By, r.Gaps, active, standby)
	}
	from, to, lost := r.Gaps[0].From, r.Gaps[len(r.Gaps)-1].To, 0
	for _, g := range r.Gaps {
		lost += g.Lost
	}
	settings := d.bed.Sim().Settings()
	ec2 := time.Duration(settings.Latency) + time.Duration(settings.DataPathLag)
	d.tell.Table([]string{"QUESTIONS LOST", "IN", "keepalived NOTICES AND ipmgr CALLS", "EC2 ACTS", "REST"}, [][]string{{
		strconv.Itoa(lost), story.Round(to.Sub(from)), story.Round(asked.Sub(from)), story.Round(ec2), story.Round(to.Sub(asked) - ec2),
	}})
	return nil
}

// assigned returns when EC2 was asked to assign an address to an ENI.
func (d *demo) assigned(addr netip.Addr, eni string, since time.Time) (time.Time, error) {
	for _, c := range d.bed.Sim().Calls(false) {
		if c.Action == ledger.Assign && c.At.After(since) && c.Params["NetworkInterfaceId"] == eni &&
			slices.Contains(slices.Collect(maps.Values(c.Params)), addr.String()) {
			return c.At, nil
		}
	}
	return time.Time{}, fmt.Errorf("EC2 was not asked to assign %s to %s", addr, eni)
}
