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
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// maxFilterValues is how many values a filter may have: EC2 takes 200 in all
// filters of a call together.
const maxFilterValues = 190

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

// holder is what the loop learns about an owner.
func (n nic) holder() plan.Holder { return plan.Holder{ENI: n.ID, Instance: n.instance} }

func describe(owner nic) string {
	text := "ENI " + owner.ID
	if owner.instance != "" {
		text += " of " + owner.instance
	}
	if owner.foreign {
		text += " (managed by an AWS service)"
	}
	return text
}
