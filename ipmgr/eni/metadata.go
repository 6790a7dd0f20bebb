package eni

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

const (
	macsPath = "network/interfaces/macs/"
	// metadataReads is how many values are read at a time: IMDS limits the
	// connections and packets of an instance, which all its pods share.
	metadataReads = 2
	// directReads is how many MACs are read without a look at the list of the
	// worker's ENIs: more of them can only be of links of the pod's own.
	directReads = 4
	// maxENIs bounds that list. No instance type has half as many.
	maxENIs = 128
)

// metadata is the worker's ENIs as IMDS shows them. What stays true while an
// ENI is attached is read once (see fixedLeaves), the rest each time.
type metadata struct {
	client *metadataService

	mu    sync.Mutex
	facts map[string]plan.ENI // by MAC; of what changes, what was read last
}

func newMetadata(client *metadataService) *metadata {
	return &metadata{client: client, facts: map[string]plan.ENI{}}
}

// attached returns the ENIs that addrs may belong to: those with their MACs,
// or all of the worker when a MAC is not an ENI's.
func (m *metadata) attached(ctx context.Context, addrs []plan.Address) ([]plan.ENI, error) {
	macs, complete := macsOf(addrs)
	if len(macs) <= directReads {
		found, err := m.read(ctx, macs)
		if err != nil || complete && len(found) == len(macs) {
			return sorted(found), err
		}
	}
	listed, err := m.client.list(ctx, macsPath)
	if err != nil {
		return nil, err
	}
	if len(listed) > maxENIs {
		return nil, fmt.Errorf("instance metadata lists %d interfaces, more than any instance has", len(listed))
	}
	found, err := m.read(ctx, listed)
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

// read returns the ENIs with macs; a MAC that is no ENI's is missing.
func (m *metadata) read(ctx context.Context, macs []string) (map[string]plan.ENI, error) {
	m.mu.Lock()
	known := maps.Clone(m.facts)
	m.mu.Unlock()
	var paths []string
	for _, mac := range macs {
		leaves := changingLeaves[:]
		if _, ok := known[mac]; !ok {
			leaves = slices.Concat(leaves, fixedLeaves[:])
		}
		for _, leaf := range leaves {
			paths = append(paths, macsPath+mac+"/"+leaf)
		}
	}
	values, err := m.values(ctx, paths)
	if err != nil {
		return nil, err
	}
	found := map[string]plan.ENI{}
	for _, mac := range macs {
		at := func(leaf string) string { return values[macsPath+mac+"/"+leaf] }
		facts, ok := known[mac]
		if !ok {
			facts = newFacts(mac, at)
		}
		switch {
		case facts.ID == "":
		case ok && at(leafAddresses) == "" && at(leafAddress6) == "":
			m.forget(mac) // detached
		default:
			found[mac] = withChanging(facts, at)
			m.learn(found[mac])
		}
	}
	return found, nil
}

func newFacts(mac string, at func(leaf string) string) plan.ENI {
	index, err := strconv.Atoi(at(leafIndex))
	if err != nil {
		return plan.ENI{} // being attached or detached
	}
	return plan.ENI{ID: at(leafID), MAC: mac, DeviceIndex: index}
}

// withChanging is what is known of an ENI with what was read now. An ENI is
// always in a subnet: no CIDR means that IMDS does not tell at this moment.
func withChanging(facts plan.ENI, at func(leaf string) string) plan.ENI {
	cidrs := slices.Concat(lines(at(leafSubnet)), lines(at(leafSubnets6)))
	if subnets := parsePrefixes(cidrs); len(subnets) > 0 {
		facts.Subnets = subnets
	}
	facts.Prefixes = parsePrefixes(slices.Concat(lines(at(leafPrefix4)), lines(at(leafPrefix6))))
	facts.Primary, facts.Addresses = netip.Addr{}, nil
	if addrs := parseAddrs(lines(at(leafAddresses))); len(addrs) > 0 {
		facts.Primary, facts.Addresses = addrs[0], addrs[1:]
	}
	facts.Addresses = append(slices.Clip(facts.Addresses), parseAddrs(lines(at(leafAddress6)))...)
	return facts
}

func (m *metadata) learn(facts plan.ENI) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.facts[facts.MAC] = facts
}

func (m *metadata) forget(mac string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.facts, mac)
}

// values reads paths; those that IMDS does not have are missing.
func (m *metadata) values(ctx context.Context, paths []string) (map[string]string, error) {
	read := make([]string, len(paths))
	readOne := func(ctx context.Context, i int) error {
		value, err := m.client.get(ctx, paths[i])
		if err != nil && !errors.Is(err, errNotFound) {
			return err
		}
		read[i] = value
		return nil
	}
	if len(paths) > 0 { // the first gets the token for all
		if err := readOne(ctx, 0); err != nil {
			return nil, err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(metadataReads)
	for i := 1; i < len(paths); i++ {
		group.Go(func() error { return readOne(ctx, i) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	values := make(map[string]string, len(paths))
	for i, path := range paths {
		values[path] = read[i]
	}
	return values, nil
}

// vpc returns the VPC of the ENI with mac, or "" when IMDS does not tell.
func (m *metadata) vpc(ctx context.Context, mac string) string {
	vpc, err := m.client.get(ctx, macsPath+mac+"/vpc-id")
	if err != nil {
		return ""
	}
	return vpc
}
