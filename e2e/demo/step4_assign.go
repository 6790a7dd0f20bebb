package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// initTimeout bounds the run of one init container.
const initTimeout = 30 * time.Second

// assign runs the injected init containers and looks at what EC2 has then.
func (d *demo) assign(ctx context.Context) error {
	d.tell.Say("before:")
	before, err := d.showENIs(ctx, nil)
	if err != nil {
		return err
	}
	pods, err := d.spread(ctx, d.pods)
	if err != nil {
		return err
	}
	if err := d.cloud.Forget(ctx); err != nil {
		return err
	}
	for _, p := range pods {
		if err := d.runInit(ctx, p); err != nil {
			return err
		}
	}
	d.tell.Say("after:")
	after, err := d.showENIs(ctx, before)
	if err != nil {
		return err
	}
	if err := d.verifyHeld(ctx, pods, after); err != nil {
		return err
	}
	d.tell.Holds("the VPC routes each pod's addresses to the ENI of the pod's worker")
	calls, err := d.cloud.Calls(ctx)
	if err != nil {
		return err
	}
	want := map[string]int{"AssignPrivateIpAddresses": len(pods), "AssignIpv6Addresses": len(pods)}
	if err := onlyThese(calls, want); err != nil {
		return err
	}
	d.tell.Holds("EC2 got %s: one call per pod and address family, no Describe", inWords(tally(calls)))
	return nil
}

// runInit runs one init container to its end.
func (d *demo) runInit(ctx context.Context, p *placed) error {
	ctx, cancel := context.WithTimeout(ctx, initTimeout)
	defer cancel()
	c, err := d.run(ctx, p)
	if err != nil {
		return err
	}
	exit, err := c.Wait(ctx)
	if err != nil {
		return err
	}
	if exit.Code != 0 {
		return fmt.Errorf("ipmgr init in pod %s exited with %d: %s", p.pod.Name, exit.Code, exit.Message)
	}
	d.tell.Say("%s on %s, where net1 has %s:", p.pod.Name, p.worker.Name(), join(p.addrs))
	d.tell.Show(readable(c.Log(), "mode", "pod"))
	d.tell.Show(fmt.Sprintf("exit code %d after %s, %s of it CPU", exit.Code, round(exit.Took), round(exit.CPU)))
	return nil
}

// verifyHeld verifies that EC2 and the VPC's routes agree with where pods are.
func (d *demo) verifyHeld(ctx context.Context, pods []*placed, held map[netip.Addr]string) error {
	routes, err := d.cloud.Routes(ctx)
	if err != nil {
		return err
	}
	for _, p := range pods {
		eni, _ := p.worker.Multus()
		for _, a := range p.addrs {
			if held[a.Addr()] != eni || routes[a.Addr().String()] != eni {
				return fmt.Errorf("%s of pod %s on %s is held by %q and routed to %q, want %s",
					a.Addr(), p.pod.Name, p.worker.Name(), held[a.Addr()], routes[a.Addr().String()], eni)
			}
		}
	}
	return nil
}
