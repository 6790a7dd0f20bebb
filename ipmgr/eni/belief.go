package eni

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// Which ENIs are believed to be the worker's. An application with CAP_NET_ADMIN
// may play IMDS to us (link.DialWorker makes that hard, and nftables make it
// possible again) and name the ENI of another worker, which we would fill with
// addresses. What IMDS said at the start is believed: then there was no
// application. ENIs that appear later are believed when EC2, which cannot be
// played, says that they are attached to the same instance. The same holds for
// ENIs that EC2 finds by a MAC: the application chooses the MACs of its links.

const (
	// beliefGrace is how long after the first look the start lasts when an
	// address has no ENI: an ENI that was just attached may be missing in IMDS.
	beliefGrace = 5 * time.Second
	// disbelief is how long EC2 is not asked again about an ENI.
	disbelief = time.Minute
)

// believe drops ENIs that may not be the worker's.
func (c *Cloud) believe(ctx context.Context, addrs []plan.Address, enis []plan.ENI) []plan.ENI {
	if c.opts.Alone {
		return enis
	}
	known, fresh := c.facts.doubtful(addrs, enis, c.opts.Now())
	if len(fresh) > 0 {
		c.examine(ctx, known, fresh)
	}
	c.facts.mu.Lock()
	defer c.facts.mu.Unlock()
	return slices.DeleteFunc(enis, func(e plan.ENI) bool { return !c.facts.ours[e.ID] })
}

// doubtful returns the ENIs that are known to be the worker's and those that
// have to be looked at. During the start every ENI is believed.
func (f *facts) doubtful(addrs []plan.Address, enis []plan.ENI, now time.Time) (known, fresh []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first.IsZero() {
		f.first = now
	}
	f.ended = f.ended || now.Sub(f.first) > beliefGrace
	for _, e := range enis {
		switch {
		case !f.ended:
			f.ours[e.ID] = true
		case f.ours[e.ID]:
		case f.besideOurs(e):
			f.ours[e.ID] = true
		case now.After(f.others[e.ID]):
			fresh = append(fresh, e.ID)
		}
	}
	f.ended = f.ended || len(enis) > 0 && !slices.ContainsFunc(addrs, func(a plan.Address) bool { return !placed(a, enis) })
	return slices.Sorted(maps.Keys(f.ours)), fresh
}

// besideOurs reports whether EC2, and not only IMDS, described the ENI and one
// that is known to be the worker's on the same instance.
func (f *facts) besideOurs(e plan.ENI) bool {
	described := func(n nic) bool { return n.instance != "" && n.instance == f.instance }
	beside := false
	for _, n := range f.enis {
		beside = beside || f.ours[n.ID] && described(n)
	}
	n := f.enis[e.MAC]
	return n.ID == e.ID && described(n) && beside
}

// placed reports whether one of the ENIs may be the one of the address.
func placed(a plan.Address, enis []plan.ENI) bool {
	return slices.ContainsFunc(enis, func(e plan.ENI) bool { return a.MAC != "" && e.MAC == a.MAC || contains(e.Subnets, a.Addr) })
}

// examine asks EC2 whether ENIs are attached to the instance of the known ones,
// some of which may be detached or deleted by now.
func (c *Cloud) examine(ctx context.Context, known, fresh []string) {
	nics, err := c.api.where(ctx, vpc.Filter("network-interface-id", slices.Concat(known, fresh)...))
	at, worker := map[string]string{}, ""
	for _, n := range nics {
		at[n.ID] = n.instance
		if slices.Contains(known, n.ID) {
			worker = cmp.Or(worker, n.instance)
		}
	}
	c.facts.mu.Lock()
	defer c.facts.mu.Unlock()
	for _, id := range fresh {
		if err == nil && at[id] != "" && at[id] == worker {
			c.facts.ours[id] = true
			continue
		}
		c.facts.others[id] = c.opts.Now().Add(disbelief)
		c.opts.Logger.Warn("an ENI that instance metadata names since the start is not believed: EC2 does not say that it is this worker's; if it is, allow ec2:DescribeNetworkInterfaces or restart the pod",
			"eni", id, "instance", at[id], "worker", worker, "error", err)
	}
}
