package reservation

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// standing is what is known of a subnet.
type standing int

const (
	unknown  standing = iota // nobody could say so far
	selected                 // its reservations are to be mirrored
	missing                  // it should be mirrored and does not exist
	dropped                  // it is none of ours, or not any more
)

// looks is how many lists in a row must lack a subnet before it counts as not
// selected any more. They are an interval apart: one answer of EC2 may lack what
// is there, and all objects of the subnet would go with it.
const looks = 2

// catalog holds the selected subnets as EC2 listed them last.
type catalog struct {
	selection vpc.Selection

	mu      sync.Mutex
	lists   int                   // how many there were
	listed  map[string]int        // which of them had a subnet last
	subnets map[string]vpc.Subnet // as they were listed last, nil until the first list
	err     error                 // of the last attempt
}

// update takes a new list, or the reason why there is none. A tag that no
// subnet has is more likely a mistake than a reason to forget everything. A
// subnet that is lacking for the first time stays as it was.
func (c *catalog) update(subnets map[string]vpc.Subnet, err error) error {
	if err == nil && len(subnets) == 0 && c.selection.TagKey != "" {
		err = fmt.Errorf("no subnet has the tag %s=%s in this Region and account: check --subnet-tag and AWS_REGION", c.selection.TagKey, c.selection.TagValue)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	if err == nil {
		c.take(subnets)
	}
	return err
}

// take merges a list into what is known. The caller holds the lock.
func (c *catalog) take(subnets map[string]vpc.Subnet) {
	c.lists++
	if c.subnets == nil {
		c.listed, c.subnets = map[string]int{}, map[string]vpc.Subnet{}
	}
	for id, subnet := range subnets {
		c.listed[id], c.subnets[id] = c.lists, subnet
	}
	for id, last := range c.listed {
		if c.lists-last >= looks {
			delete(c.listed, id)
			delete(c.subnets, id)
		}
	}
}

// find returns what is known of a subnet, and why if it is unknown or missing.
func (c *catalog) find(id string) (vpc.Subnet, standing, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	subnet, found := c.subnets[id]
	switch {
	case found:
		return subnet, selected, nil
	case c.subnets == nil:
		return vpc.Subnet{ID: id}, unknown, c.err
	case c.selection.TagKey != "" && c.lists < looks: // such as after a restart
		return vpc.Subnet{ID: id}, unknown, c.err
	case slices.Contains(c.selection.IDs, id):
		return vpc.Subnet{ID: id}, missing, fmt.Errorf("subnet %s does not exist in this Region and account: check --subnets and AWS_REGION", id)
	default:
		return vpc.Subnet{ID: id}, dropped, nil
	}
}

// ids lists the subnets that should be mirrored.
func (c *catalog) ids() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.AppendSeq(slices.Clone(c.selection.IDs), maps.Keys(c.subnets))
}
