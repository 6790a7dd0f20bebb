package eni

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// registry is what was learnt about the worker and stays true while its ENIs
// stay attached.
type registry struct {
	mu        sync.Mutex
	instance  string
	nics      map[string]nic            // described ENIs of the worker, by MAC
	subnets   map[string][]netip.Prefix // CIDRs by subnet id
	subnetsAt time.Time                 // when they were read
	vpcs      map[string]string         // VPC by ENI id
	reported  []plan.ENI                // of the last successful Attached
	fellBack  bool
	tags      map[string]tagLook // by ENI id

	belief
}

func newRegistry() *registry {
	return &registry{nics: map[string]nic{}, subnets: map[string][]netip.Prefix{}, vpcs: map[string]string{}, belief: newBelief(), tags: map[string]tagLook{}}
}

// firstFallback is true once.
func (r *registry) firstFallback() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := !r.fellBack
	r.fellBack = true
	return first
}

// learn replaces the worker's ENIs with nics, all of one instance.
func (r *registry) learn(instance string, nics []nic) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.instance = instance
	clear(r.nics)
	for _, n := range nics {
		r.nics[n.MAC] = n
		r.vpcs[n.ID] = n.vpc
	}
}

// forget drops what an ENI that was detached makes doubtful.
func (r *registry) forget() { r.learn("", nil) }

func (r *registry) report(enis []plan.ENI) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reported = enis
}

// doubt forgets the subnets when an address is in none of them,
// so that the next look sees a CIDR that was added meanwhile.
func (r *registry) doubt(addrs []plan.Address, enis []plan.ENI) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range addrs {
		if !slices.ContainsFunc(enis, func(e plan.ENI) bool { return len(e.Subnets) == 0 && e.MAC == a.MAC || contains(e.Subnets, a.Addr) }) {
			clear(r.subnets)
			return
		}
	}
}

// subnetsToRead returns the subnets of nics to read; known is true when all of
// them were read before.
func (r *registry) subnetsToRead(nics []nic, now time.Time) (wanted []string, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fresh := now.Sub(r.subnetsAt) < subnetAge
	known = true
	for _, n := range nics {
		_, ok := r.subnets[n.subnet]
		known = known && ok
		if (!ok || !fresh) && !slices.Contains(wanted, n.subnet) {
			wanted = append(wanted, n.subnet)
		}
	}
	return wanted, known
}

// worker returns the instance, "" when it is not known, and the known ENIs
// with macs; all is false when one has none.
func (r *registry) worker(macs []string) (instance string, ids []string, all bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, mac := range macs {
		if n, ok := r.nics[mac]; ok {
			ids = append(ids, n.ID)
		}
	}
	return r.instance, ids, len(ids) == len(macs)
}

// vpcFor finds the VPC to look for addr's owner in: that of the ENI whose
// subnet contains it, else of any ENI. "" means that no ENI is known.
func (c *Cloud) vpcFor(ctx context.Context, addr netip.Addr) (string, error) {
	c.registry.mu.Lock()
	reported := c.registry.reported
	c.registry.mu.Unlock()
	if len(reported) == 0 {
		return "", nil
	}
	fits := func(e plan.ENI) bool { return contains(e.Subnets, addr) }
	return c.vpcOf(ctx, reported[max(slices.IndexFunc(reported, fits), 0)])
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// vpcOf asks IMDS, which costs no EC2 call, and then EC2.
func (c *Cloud) vpcOf(ctx context.Context, eni plan.ENI) (string, error) {
	c.registry.mu.Lock()
	vpc := c.registry.vpcs[eni.ID]
	c.registry.mu.Unlock()
	if vpc != "" {
		return vpc, nil
	}
	if c.opts.Discovery != spec.DiscoverEC2 {
		vpc = c.metadata.vpc(ctx, eni.MAC)
	}
	if vpc == "" {
		nics, err := c.api.byID(ctx, eni.ID)
		if err != nil || len(nics) == 0 {
			return "", err
		}
		vpc = nics[0].vpc
	}
	c.registry.mu.Lock()
	defer c.registry.mu.Unlock()
	c.registry.vpcs[eni.ID] = vpc
	return vpc, nil
}
