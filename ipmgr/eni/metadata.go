package eni

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/eni/imds"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

const (
	macsPath = "network/interfaces/macs/"
	// metadataReads is how many values are read at a time: IMDS limits the
	// connections and packets of an instance, which all its pods share.
	metadataReads = 2
)

// metadata is the worker's ENIs as IMDS shows them. What stays true while an
// ENI is attached is read once; addresses are read each time.
type metadata struct {
	client *imds.Client

	mu    sync.Mutex
	facts map[string]plan.ENI // by MAC, without addresses
}

func newMetadata(client *imds.Client) *metadata {
	return &metadata{client: client, facts: map[string]plan.ENI{}}
}

// attached returns the ENIs that addrs may belong to: those with their MACs,
// or all of the worker when a MAC is not an ENI's.
func (m *metadata) attached(ctx context.Context, addrs []plan.Address) ([]plan.ENI, error) {
	macs, complete := macsOf(addrs)
	found, err := m.read(ctx, macs)
	if err != nil {
		return nil, err
	}
	if !complete || len(found) < len(macs) {
		if macs, err = m.client.List(ctx, macsPath); err != nil {
			return nil, err
		}
		if found, err = m.read(ctx, macs); err != nil {
			return nil, err
		}
	}
	m.doubt(addrs, found)
	return sorted(found), nil
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

// doubt forgets the facts of an ENI whose subnet does not contain an address
// of its MAC, so that the next look sees a CIDR that was added meanwhile.
func (m *metadata) doubt(addrs []plan.Address, found map[string]plan.ENI) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range addrs {
		eni, ok := found[a.MAC]
		if ok && !contains(eni.Subnets, a.Addr) {
			delete(m.facts, a.MAC)
		}
	}
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

// read returns the ENIs with macs; a MAC that is no ENI's is missing.
func (m *metadata) read(ctx context.Context, macs []string) (map[string]plan.ENI, error) {
	m.mu.Lock()
	known := maps.Clone(m.facts)
	m.mu.Unlock()
	var paths []string
	for _, mac := range macs {
		leaves := []string{leafAddresses, leafAddress6}
		if _, ok := known[mac]; !ok {
			leaves = append(leaves, leafID, leafIndex, leafSubnet, leafSubnets6, leafPrefix4, leafPrefix6)
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
			m.learn(facts)
			found[mac] = withAddresses(facts, at)
		}
	}
	return found, nil
}

func newFacts(mac string, at func(leaf string) string) plan.ENI {
	index, err := strconv.Atoi(at(leafIndex))
	if err != nil {
		return plan.ENI{} // being attached or detached
	}
	cidrs := slices.Concat(imds.Lines(at(leafSubnet)), imds.Lines(at(leafSubnets6)))
	delegated := slices.Concat(imds.Lines(at(leafPrefix4)), imds.Lines(at(leafPrefix6)))
	return plan.ENI{ID: at(leafID), MAC: mac, DeviceIndex: index, Subnets: parsePrefixes(cidrs), Prefixes: parsePrefixes(delegated)}
}

func withAddresses(facts plan.ENI, at func(leaf string) string) plan.ENI {
	if addrs := parseAddrs(imds.Lines(at(leafAddresses))); len(addrs) > 0 {
		facts.Primary, facts.Addresses = addrs[0], addrs[1:]
	}
	facts.Addresses = append(slices.Clip(facts.Addresses), parseAddrs(imds.Lines(at(leafAddress6)))...)
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
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(metadataReads)
	for i, path := range paths {
		group.Go(func() error {
			value, err := m.client.Get(ctx, path)
			if err != nil && !errors.Is(err, imds.ErrNotFound) {
				return err
			}
			read[i] = value
			return nil
		})
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
	vpc, err := m.client.Get(ctx, macsPath+mac+"/vpc-id")
	if err != nil {
		return ""
	}
	return vpc
}
