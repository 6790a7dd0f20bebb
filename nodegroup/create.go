package nodegroup

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/address"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/plan"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
)

// maxTries bounds the requests for one ENI between two looks at the instance.
const maxTries = 20

// createOne makes the ENI of a network, or finds the one that an earlier
// request made: EC2 decides which, by the token and the address.
func (r *run) createOne(ctx context.Context, n *spec.Network, s plan.Subnet, device int) (plan.ENI, error) {
	contents := r.contents[s.ID]
	var excluded []netip.Addr
	for range maxTries {
		chosen, ok := r.choose(n, s, contents, excluded)
		if !ok {
			return plan.ENI{}, full(s)
		}
		eni, err := r.Cloud.Create(ctx, r.request(n, s, device, chosen))
		switch creationOf(err) {
		case made:
			r.memory.create(eni)
			r.log.Info("ENI is created", keyNetwork, n.Name, keyENI, eni.ID, keyAddress, eni.Primary)
			return eni, nil
		case addressUsed:
			if err := r.shortPause(ctx); err != nil {
				return plan.ENI{}, err
			}
			if contents, err = r.Cloud.Contents(ctx, s.ID); err != nil {
				return plan.ENI{}, err
			}
			if eni, ok := r.ours(contents, n.Name); ok {
				r.memory.create(eni)
				return eni, nil
			}
			excluded = append(excluded, chosen)
		case tokenBound:
			eni, err := r.awaitOurs(ctx, n.Name)
			if err != nil || eni.ID != "" {
				return eni, err
			}
			r.nextToken(n.Name)
		case tokenStale:
			r.nextToken(n.Name)
		default:
			return plan.ENI{}, err
		}
	}
	return plan.ENI{}, fmt.Errorf("no ENI came of %d requests", maxTries)
}

// full says that a fresh view of a subnet has no candidate.
func full(s plan.Subnet) error {
	return &fault.Error{
		Code: "InsufficientFreeAddressesInSubnet", Meaning: fault.Full, Text: fmt.Sprintf("no address of subnet %s is left for a worker", s.ID),
		Advice: "widen workers, or end what holds addresses there", Err: errors.New("no candidate"),
	}
}

// choose returns the address to ask for, or the zero Addr where EC2 chooses. It
// is false when there is none.
func (r *run) choose(n *spec.Network, s plan.Subnet, contents Contents, excluded []netip.Addr) (netip.Addr, bool) {
	if n.Addressing == spec.Automatic {
		return netip.Addr{}, true
	}
	s = contents.of(s)
	s.Excluded = excluded
	workers, limited := n.Workers.In(s.ID)
	own := address.Claimant{Instance: r.instance, Network: n.Name}
	return address.Free(s.Subnet, workers, limited).At(address.Rank(own, r.claimants(s, contents)))
}

// claimants are those who look for an address of the subnet now: the instances
// that are being launched, once for each network of the node group that has the
// subnet and no ENI there, and once for each instance of another node group
// without one, whose networks are not known here.
func (r *run) claimants(s plan.Subnet, contents Contents) []address.Claimant {
	var claimants []address.Claimant
	for _, launch := range r.launches {
		if launch.NodeGroup != r.Settings.Name {
			if !contents.Served[launch.Instance] {
				claimants = append(claimants, address.Claimant{Instance: launch.Instance})
			}
			continue
		}
		for _, n := range r.Settings.Networks {
			served := func(e plan.ENI) bool { return e.Instance == launch.Instance && e.Network == n.Name }
			if n.Addressing == spec.FirstFree && slices.Contains(n.Subnets, s.ID) && !slices.ContainsFunc(contents.Ours, served) {
				claimants = append(claimants, address.Claimant{Instance: launch.Instance, Network: n.Name})
			}
		}
	}
	return claimants
}

func (r *run) request(n *spec.Network, s plan.Subnet, device int, chosen netip.Addr) Request {
	return Request{
		Token:  token(r.Settings.Cluster, r.Settings.Name, r.instance, n.Name, r.tokenNumber(n.Name)),
		Subnet: s.ID, SecurityGroups: n.SecurityGroups, Address: chosen, IPv6: s.HasIPv6 && n.IPv6 != spec.IPv6None,
		Description: fmt.Sprintf("Multus network %s of %s", n.Name, r.instance),
		Tags:        tagsOf(&r.Settings, n, r.instance, device, time.Now()),
	}
}

func (r *run) tokenNumber(network string) int {
	r.memory.mu.Lock()
	defer r.memory.mu.Unlock()
	return r.memory.numbers[network]
}

func (r *run) nextToken(network string) {
	r.memory.mu.Lock()
	defer r.memory.mu.Unlock()
	r.memory.numbers[network]++
}

// ours finds the instance's ENI of a network in what a subnet holds.
func (r *run) ours(contents Contents, network string) (plan.ENI, bool) {
	i := slices.IndexFunc(contents.Ours, func(e plan.ENI) bool { return e.Instance == r.instance && e.Network == network })
	if i < 0 {
		return plan.ENI{}, false
	}
	return contents.Ours[i], true
}

// awaitOurs waits until the ENI is seen that the token made. If it is not, for
// as long as a write is trusted, it was somebody's who deleted it meanwhile.
func (r *run) awaitOurs(ctx context.Context, network string) (plan.ENI, error) {
	for began := time.Now(); time.Since(began) < trust; {
		tagged, err := r.Cloud.Tagged(ctx, r.instance)
		if err != nil {
			return plan.ENI{}, err
		}
		if i := slices.IndexFunc(tagged, func(e plan.ENI) bool { return e.Network == network }); i >= 0 {
			r.memory.create(tagged[i])
			return tagged[i], nil
		}
		if err := r.shortPause(ctx); err != nil {
			return plan.ENI{}, err
		}
	}
	return plan.ENI{}, nil
}

// shortPause is the jittered pause before a fresh look at addresses.
func (r *run) shortPause(ctx context.Context) error {
	return sleep(ctx, r.jittered(firstPause))
}
