package eni

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// Owner names the ENI that holds addr. It is the zero Holder when none does. It looks in the
// VPC of the worker's ENIs, because addresses repeat across VPCs.
func (c *Cloud) Owner(ctx context.Context, addr netip.Addr) (plan.Holder, error) {
	vpc, err := c.vpcFor(ctx, addr)
	if err != nil {
		return plan.Holder{}, failed(err, addr, "")
	}
	owners, err := c.owners(ctx, vpc, []netip.Addr{addr})
	if err != nil {
		return plan.Holder{}, failed(err, addr, "")
	}
	return owners[addr].holder(), nil
}

// vpcFor finds the VPC to look for addr's owner in: that of the ENI whose
// subnet contains it, else of any ENI. "" means that no ENI is known.
func (c *Cloud) vpcFor(ctx context.Context, addr netip.Addr) (string, error) {
	c.facts.mu.Lock()
	reported := c.facts.reported
	c.facts.mu.Unlock()
	if len(reported) == 0 {
		return "", nil
	}
	fits := func(e plan.ENI) bool { return contains(e.Subnets, addr) }
	return c.vpcOf(ctx, reported[max(slices.IndexFunc(reported, fits), 0)])
}

// vpcOf asks IMDS, which costs no EC2 call, and then EC2.
func (c *Cloud) vpcOf(ctx context.Context, eni plan.ENI) (string, error) {
	if n, ok := c.facts.known(eni.MAC); ok && n.ID == eni.ID && n.vpc != "" {
		return n.vpc, nil
	}
	vpc := ""
	if c.opts.Discovery != spec.DiscoverEC2 {
		vpc, _ = c.imds.get(ctx, macsPath+eni.MAC+"/vpc-id") // EC2 knows it, too
	}
	if vpc == "" {
		nics, err := c.api.byID(ctx, eni.ID)
		if err != nil || len(nics) == 0 {
			return "", err
		}
		vpc = nics[0].vpc
	}
	c.facts.change(eni, func(n *nic) { n.vpc = vpc })
	return vpc, nil
}

// owners finds the ENIs that hold addrs, all of one family, in one call for
// every maxFilterValues of them. An address that nobody holds is missing. An
// empty vpcID looks in all VPCs.
func (c *Cloud) owners(ctx context.Context, vpcID string, addrs []netip.Addr) (map[netip.Addr]nic, error) {
	owners := map[netip.Addr]nic{}
	for some := range slices.Chunk(addrs, maxFilterValues) {
		found, err := c.ownersOfSome(ctx, vpcID, some)
		if err != nil {
			return nil, err
		}
		maps.Copy(owners, found)
	}
	return owners, nil
}

func (c *Cloud) ownersOfSome(ctx context.Context, vpcID string, addrs []netip.Addr) (map[netip.Addr]nic, error) {
	filters := []types.Filter{holding(addrs)}
	if vpcID != "" {
		filters = append(filters, vpc.Filter("vpc-id", vpcID))
	}
	nics, err := c.api.where(ctx, filters...)
	if err != nil {
		return nil, err
	}
	owners := map[netip.Addr]nic{}
	for _, n := range nics {
		for _, addr := range addrs {
			if n.holds(addr) {
				owners[addr] = n
			}
		}
	}
	return owners, nil
}

// tenure is who holds an address, and whether it may be had.
type tenure int

const (
	free    tenure = iota // nobody holds it
	ours                  // our ENI holds it
	movable               // another ENI holds it and may lose it
	kept                  // another ENI holds it and keeps it
)

// judge decides over one address:
//
//	held by                                | with the pools | without
//	nobody                                 | free           | free
//	our ENI                                | ours           | ours
//	another ENI, as a primary address      | kept           | kept
//	another ENI, tagged no_manage=true     | movable        | movable
//	another ENI, of an AWS service         | movable        | kept
//	any other ENI (the VPC CNI's, ...)     | movable        | kept
//
// The error of a kept address is a permanent *fault.Error.
func judge(addr netip.Addr, owners map[netip.Addr]nic, step plan.Step) (tenure, error) {
	owner, held := owners[addr]
	switch {
	case !held:
		return free, nil
	case owner.ID == step.ENI.ID:
		return ours, nil
	case owner.isPrimary(addr):
		return kept, &fault.Error{
			Addr: addr, ENI: step.ENI.ID, Code: fault.CodePrimaryAddress, Meaning: fault.Refused,
			Err:    fmt.Errorf("it is the primary address of %s", describe(owner)),
			Advice: "exclude the address from the pods' range, or give the worker another address: reserve the range as explicit before workers join the subnet",
		}
	case step.TakeOver, owner.noManage && !owner.foreign:
		return movable, nil
	}
	return kept, &fault.Error{
		Addr: addr, ENI: step.ENI.ID, Code: fault.CodeForeignOwner, Meaning: fault.Refused,
		Err:    fmt.Errorf("%s holds it", describe(owner)),
		Advice: "choose another address, or allow the take-over: reserve the range as explicit and name it in IPMGR_POOLS, or tag that ENI " + noManageTag + "=true",
	}
}

// because adds to the fault of a kept address what EC2 said, so that the user
// finds AWS's own code in it.
func because(kept, refusal error) error {
	told, judged := errors.AsType[*fault.Error](kept)
	said, refused := errors.AsType[*fault.Error](refusal)
	if judged && refused {
		told.Text = fmt.Sprintf("%s (%s)", told.Said(), said.Cause())
	}
	return kept
}
