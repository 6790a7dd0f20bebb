package eni

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

const (
	macsPath = "network/interfaces/macs/"
	// directReads is how many MACs are read without a look at the list of the
	// worker's ENIs: more of them can only be of links of the pod's own.
	directReads = 4
)

// attachedByIMDS returns the ENIs that addrs may belong to: those with their
// MACs, or all of the worker when a MAC is not an ENI's. What stays true while
// an ENI is attached is read once (see fixedLeaves), the rest each time.
func (c *Cloud) attachedByIMDS(ctx context.Context, addrs []plan.Address) ([]plan.ENI, error) {
	macs, complete := macsOf(addrs)
	if len(macs) <= directReads {
		found, err := c.readENIs(ctx, macs)
		if err != nil || complete && len(found) == len(macs) {
			return sorted(found), err
		}
	}
	listed, err := c.imds.list(ctx, macsPath)
	if err != nil {
		return nil, err
	}
	if len(listed) > maxENIs {
		return nil, fmt.Errorf("instance metadata lists %d interfaces, more than any instance has", len(listed))
	}
	found, err := c.readENIs(ctx, listed)
	if complete && !slices.ContainsFunc(macs, func(mac string) bool { _, ok := found[mac]; return !ok }) {
		maps.DeleteFunc(found, func(mac string, _ plan.ENI) bool { return !slices.Contains(macs, mac) })
	}
	return sorted(found), err
}

// macsOf returns the MACs of addrs; complete is false when an address has none.
func macsOf(addrs []plan.Address) (macs []string, complete bool) {
	complete = true
	for _, a := range addrs {
		if a.MAC == "" {
			complete = false
		} else if !slices.Contains(macs, a.MAC) {
			macs = append(macs, a.MAC)
		}
	}
	return macs, complete
}

func sorted(enis map[string]plan.ENI) []plan.ENI {
	return slices.SortedFunc(maps.Values(enis), func(a, b plan.ENI) int { return a.DeviceIndex - b.DeviceIndex })
}

// The values under a MAC that facts and addresses are made of.
const (
	leafID        = "interface-id"
	leafIndex     = "device-number"
	leafSubnet    = "subnet-ipv4-cidr-block"
	leafSubnets6  = "subnet-ipv6-cidr-blocks"
	leafPrefix4   = "ipv4-prefix"
	leafPrefix6   = "ipv6-prefix"
	leafAddresses = "local-ipv4s" // the primary first
	leafAddress6  = "ipv6s"
)

// Which facts may change while an ENI is attached. EC2 adds and removes
// delegated prefixes of an ENI and IPv6 CIDRs of a subnet, and addresses; a
// subnet's IPv4 CIDR is read with the IPv6 ones. What is fixed is read once.
var (
	fixedLeaves    = [...]string{leafID, leafIndex}
	changingLeaves = [...]string{leafAddresses, leafAddress6, leafSubnet, leafSubnets6, leafPrefix4, leafPrefix6}
)

// readENIs returns the ENIs with macs; a MAC that belongs to no ENI is missing.
func (c *Cloud) readENIs(ctx context.Context, macs []string) (map[string]plan.ENI, error) {
	known := map[string]plan.ENI{}
	var paths []string
	for _, mac := range macs {
		leaves := changingLeaves[:]
		if n, ok := c.facts.known(mac); ok && n.shown {
			known[mac] = n.ENI
		} else {
			leaves = slices.Concat(leaves, fixedLeaves[:])
		}
		for _, leaf := range leaves {
			paths = append(paths, macsPath+mac+"/"+leaf)
		}
	}
	values, err := c.imds.all(ctx, paths)
	if err != nil {
		return nil, err
	}
	found := map[string]plan.ENI{}
	for _, mac := range macs {
		at := func(leaf string) string { return values[macsPath+mac+"/"+leaf] }
		e, ok := known[mac]
		if !ok {
			e = fixed(mac, at)
		}
		switch {
		case e.ID == "":
		case ok && at(leafAddresses) == "" && at(leafAddress6) == "":
			c.facts.forgetENI(mac) // detached
		default:
			found[mac] = withChanging(e, at)
			c.facts.learnENI(found[mac])
		}
	}
	return found, nil
}

func fixed(mac string, at func(leaf string) string) plan.ENI {
	index, err := strconv.Atoi(at(leafIndex))
	if err != nil {
		return plan.ENI{} // being attached or detached
	}
	return plan.ENI{ID: at(leafID), MAC: mac, DeviceIndex: index}
}

// withChanging is what is known of an ENI with what was read now. An ENI is
// always in a subnet: no CIDR means that IMDS does not tell at this moment.
func withChanging(e plan.ENI, at func(leaf string) string) plan.ENI {
	cidrs := slices.Concat(lines(at(leafSubnet)), lines(at(leafSubnets6)))
	if subnets := parsePrefixes(cidrs); len(subnets) > 0 {
		e.Subnets = subnets
	}
	e.Prefixes = parsePrefixes(slices.Concat(lines(at(leafPrefix4)), lines(at(leafPrefix6))))
	e.Primary, e.Addresses = netip.Addr{}, nil
	if addrs := parseAddrs(lines(at(leafAddresses))); len(addrs) > 0 {
		e.Primary, e.Addresses = addrs[0], addrs[1:]
	}
	e.Addresses = append(slices.Clip(e.Addresses), parseAddrs(lines(at(leafAddress6)))...)
	return e
}
