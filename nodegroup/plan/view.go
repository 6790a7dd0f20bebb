package plan

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/address"
)

// State is EC2's state of an instance.
type State string

// The states that matter here.
const (
	Pending      State = "pending"
	Running      State = "running"
	Stopping     State = "stopping"
	Stopped      State = "stopped"
	ShuttingDown State = "shutting-down"
	Terminated   State = "terminated"
)

// Gone reports whether an instance in the state will never run again. One that
// nobody knows has no state.
func (s State) Gone() bool { return s == ShuttingDown || s == Terminated || s == "" }

// Instance is a worker.
type Instance struct {
	ID, Type, Zone string
	State          State
}

// Attachment is an ENI's place on an instance.
type Attachment struct {
	ID       string
	Instance string
	Device   int // index on the card
	Card     int
	// Settled is false while it is attaching or detaching.
	Settled bool
	// Leaving is true while it is detaching.
	Leaving bool
	// Protected says that the ENI is deleted with its instance.
	Protected bool
}

// ENI is one that an instance has, or that has our tags for it.
type ENI struct {
	ID     string
	Subnet string
	MAC    string
	// Primary is its primary IPv4 address, IPv6 its first IPv6 address.
	Primary, IPv6 netip.Addr
	// Network and Instance are the values of our tags. Network is empty if the
	// ENI is not ours: it lacks one of the tags, or has those of another node
	// group.
	Network, Instance string
	// Created is the value of our tag, the zero Time if it cannot be read.
	Created time.Time
	// Attachment is nil for an ENI that is not attached.
	Attachment *Attachment
	// Checked says that EC2 drops packets for addresses that are not the ENI's.
	Checked bool
}

// on returns where the ENI is attached to an instance, or nil.
func (e *ENI) on(instance string) *Attachment {
	if e.Attachment == nil || e.Attachment.Instance != instance {
		return nil
	}
	return e.Attachment
}

// Subnet is what is known of a subnet.
type Subnet struct {
	address.Subnet
	ID, VPC, Zone string
	// HasIPv6 says that an IPv6 range is associated.
	HasIPv6 bool
	// ReservedForPods says that a range of it is reserved explicitly.
	ReservedForPods bool
	// LeftByCNI says that its tags keep the VPC CNI out of it.
	LeftByCNI bool
}

// Limits are those of an instance type.
type Limits struct {
	// ENIs is how many an instance has at most, on all cards together.
	ENIs int
	// Cards is how many one card has at most, by its index.
	Cards map[int]int
}

// View is what was seen of an instance and what concerns it.
type View struct {
	Instance Instance
	// ENIs are those with our tags for this instance, and all that are attached
	// to it.
	ENIs    []ENI
	Subnets map[string]Subnet
	Limits  Limits
}

// attached lists the ENIs of the instance by card and index.
func (v *View) attached() []ENI {
	var list []ENI
	for _, e := range v.ENIs {
		if e.on(v.Instance.ID) != nil {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b ENI) int {
		return cmp.Or(cmp.Compare(a.Attachment.Card, b.Attachment.Card), cmp.Compare(a.Attachment.Device, b.Attachment.Device), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// of lists the ENIs of one network, the one to use first: an attached one, else
// the one with the smallest id, on which all agree who see the same.
func (v *View) of(network string) []ENI {
	var list []ENI
	for _, e := range v.ENIs {
		if e.Network == network && e.Instance == v.Instance.ID && (e.Attachment == nil || e.on(v.Instance.ID) != nil) {
			list = append(list, e)
		}
	}
	free := func(e ENI) int {
		if e.Attachment == nil {
			return 1
		}
		return 0
	}
	slices.SortFunc(list, func(a, b ENI) int { return cmp.Or(cmp.Compare(free(a), free(b)), cmp.Compare(a.ID, b.ID)) })
	return list
}
