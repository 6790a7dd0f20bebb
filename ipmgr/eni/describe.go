package eni

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// errStale means that the worker's ENIs are not what was learnt before.
var errStale = errors.New("an ENI that was attached is not any more")

// attachedByEC2 is Attached without IMDS: one Describe call in the usual case,
// the first time by MAC and then by ENI id.
func (c *Cloud) attachedByEC2(ctx context.Context, addrs []plan.Address) ([]plan.ENI, error) {
	macs, complete := macsOf(addrs)
	nics, err := c.again(ctx, macs, complete)
	if errors.Is(err, errStale) || fault.MeaningOf(err) == fault.Missing {
		c.facts.forgetWorker()
		nics, err = c.discover(ctx, macs, complete)
	}
	if errors.Is(err, errStale) {
		err = ambiguous(nil, c.opts.HostIP)
	}
	if err != nil {
		return nil, failed(err, netip.Addr{}, "")
	}
	enis := make([]plan.ENI, len(nics))
	for i, n := range nics {
		enis[i] = n.ENI
	}
	slices.SortFunc(enis, func(a, b plan.ENI) int { return a.DeviceIndex - b.DeviceIndex })
	if enis = c.believe(ctx, addrs, enis); len(enis) == 0 {
		c.facts.forgetWorker() // a MAC of the pod's led to another worker
	}
	c.facts.report(enis)
	c.facts.doubt(addrs, enis)
	return enis, nil
}

// again reads the ENIs of a known worker.
func (c *Cloud) again(ctx context.Context, macs []string, complete bool) ([]nic, error) {
	instance, ids, all := c.facts.worker(macs)
	switch {
	case instance == "":
		return c.discover(ctx, macs, complete)
	case !all || !complete:
		return c.ofInstance(ctx, instance, macs, complete)
	}
	nics, err := c.api.byID(ctx, ids...)
	if err != nil {
		return nil, err
	}
	if len(nics) < len(ids) || slices.ContainsFunc(nics, func(n nic) bool { return n.instance != instance }) {
		return nil, errStale
	}
	return c.withKnownSubnets(nics), nil
}

// discover finds the worker: by the MACs of its ENIs, or by its own address.
func (c *Cloud) discover(ctx context.Context, macs []string, complete bool) ([]nic, error) {
	var found []nic
	if some := macs[:min(len(macs), maxFilterValues)]; len(some) > 0 { // a pod that has more made them itself
		nics, err := c.api.where(ctx, vpc.Filter("mac-address", some...))
		if err != nil {
			return nil, err
		}
		found = slices.DeleteFunc(nics, func(n nic) bool { return n.instance == "" })
	}
	instance, err := c.choose(ctx, found)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(n nic) bool { return n.instance != instance })
	if complete && len(found) == len(macs) {
		c.facts.learnWorker(instance, found)
		return found, nil
	}
	return c.ofInstance(ctx, instance, macs, complete)
}

// choose returns the instance that found is attached to. MACs repeat across
// VPCs, and so do addresses: HostIP must then tell instances apart, and where
// no MAC is an ENI's it must find the worker alone.
func (c *Cloud) choose(ctx context.Context, found []nic) (string, error) {
	instances := instancesOf(found)
	if len(instances) == 1 {
		return instances[0], nil
	}
	host := c.opts.HostIP
	if !host.IsValid() {
		return "", ambiguous(instances, host)
	}
	holders, err := c.api.where(ctx, holding([]netip.Addr{host}))
	if err != nil {
		return "", err
	}
	hosts := instancesOf(slices.DeleteFunc(holders, func(n nic) bool { return n.instance == "" }))
	if len(instances) > 0 {
		hosts = slices.DeleteFunc(hosts, func(id string) bool { return !slices.Contains(instances, id) })
	}
	if len(hosts) != 1 {
		return "", ambiguous(append(instances, hosts...), host)
	}
	return hosts[0], nil
}

// ambiguous is the fault when no instance, or more than one, may be the worker.
func ambiguous(instances []string, host netip.Addr) error {
	slices.Sort(instances)
	instances = slices.Compact(instances)
	switch {
	case len(instances) > 0:
		return &fault.Error{
			Code: fault.CodeAmbiguous, Meaning: fault.Refused,
			Err:    fmt.Errorf("ENIs of %s have the MAC of a pod's interface or the worker's address", strings.Join(instances, " and ")),
			Advice: "set IPMGR_HOST_IP from status.hostIP, or raise the hop limit of the worker's instance metadata options to 2",
		}
	case host.IsValid():
		return &fault.Error{
			Code: fault.CodeNoENI, Err: fmt.Errorf("no attached ENI has the MAC of a pod's interface or the worker's address %s", host),
			Advice: "attach a Multus ENI to the worker, and check that AWS_REGION is the worker's Region",
		}
	}
	return &fault.Error{
		Code: fault.CodeNoENI, Err: errors.New("no attached ENI has the MAC of a pod's interface"),
		Advice: "attach a Multus ENI to the worker, set IPMGR_HOST_IP from status.hostIP, or raise the hop limit of the worker's instance metadata options to 2",
	}
}

func instancesOf(nics []nic) []string {
	var ids []string
	for _, n := range nics {
		if !slices.Contains(ids, n.instance) {
			ids = append(ids, n.instance)
		}
	}
	return ids
}

// ofInstance reads all ENIs of the worker, and their subnets unless MACs tell
// all that is to be known.
func (c *Cloud) ofInstance(ctx context.Context, instance string, macs []string, complete bool) ([]nic, error) {
	nics, err := c.api.where(ctx, vpc.Filter("attachment.instance-id", instance))
	if err != nil {
		return nil, err
	}
	nics = slices.DeleteFunc(nics, func(n nic) bool { return n.instance != instance })
	if len(nics) == 0 {
		return nil, errStale
	}
	c.facts.learnWorker(instance, nics)
	if _, _, all := c.facts.worker(macs); complete && all {
		return slices.DeleteFunc(c.withKnownSubnets(nics), func(n nic) bool { return !slices.Contains(macs, n.MAC) }), nil
	}
	if err := c.learnSubnets(ctx, nics); err != nil {
		return nil, err
	}
	return c.withKnownSubnets(nics), nil
}

// learnSubnets reads the subnets of nics that are not known or known for long.
func (c *Cloud) learnSubnets(ctx context.Context, nics []nic) error {
	wanted, known := c.facts.subnetsToRead(nics, c.opts.Now())
	if len(wanted) == 0 {
		return nil
	}
	cidrs, err := c.api.cidrs(ctx, wanted)
	switch {
	case err != nil && !known:
		return err
	case err != nil:
		c.opts.Logger.Debug("the subnets could not be read again", "error", err)
		return nil // what was read before serves
	}
	c.facts.mu.Lock()
	defer c.facts.mu.Unlock()
	maps.Copy(c.facts.subnets, cidrs)
	c.facts.subnetsAt = c.opts.Now()
	return nil
}

func (c *Cloud) withKnownSubnets(nics []nic) []nic {
	c.facts.mu.Lock()
	defer c.facts.mu.Unlock()
	for i := range nics {
		nics[i].Subnets = c.facts.subnets[nics[i].subnet]
	}
	return nics
}
