// Package topology is the description of the simulated VPC: what exists when
// the simulator starts. It knows the file format and every consistency rule;
// a [Topology] that [Load] returned can be built without further checks.
package topology

import (
	"net/netip"

	"github.com/aws/amazon-vpc-resource-controller-k8s/pkg/aws/vpc"
)

// Topology is one VPC with everything in it.
type Topology struct {
	// Region is the AWS Region. Requests must be signed for it.
	Region string
	// Account is the number of the account that owns everything.
	Account string
	// VPC is the one that holds what names no other.
	VPC VPC
	// VPCs are further ones. The addresses of all differ, since there is one
	// data plane.
	VPCs    []VPC
	Subnets []Subnet
	// SecurityGroups are those that exist. Without any, every id is taken for
	// one of the VPC where it is named.
	SecurityGroups []SecurityGroup
	// InstanceTypes are types that are newer than the built-in table, or differ
	// from it.
	InstanceTypes map[string]*vpc.VPCLimits
	// Reservations are the subnet CIDR reservations.
	Reservations []Reservation
	Instances    []Instance
	// ENIs are the ENIs that are attached to no instance.
	ENIs []ENI
	// Groups are the Auto Scaling groups.
	Groups []Group
	// Settings is a JSON object of settings to start with, or nil.
	Settings []byte
}

// VPC is the virtual network.
type VPC struct {
	ID   string
	CIDR netip.Prefix
	// IPv6CIDR is invalid in a VPC without IPv6.
	IPv6CIDR netip.Prefix
	// MoreCIDRs are further blocks of both families.
	MoreCIDRs []netip.Prefix
}

// CIDRs lists the blocks of one family, the first one first.
func (v VPC) CIDRs(v6 bool) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range append([]netip.Prefix{v.CIDR, v.IPv6CIDR}, v.MoreCIDRs...) {
		if p.IsValid() && p.Addr().Is6() == v6 {
			out = append(out, p)
		}
	}
	return out
}

// SecurityGroup is a security group. Its rules are not simulated.
type SecurityGroup struct{ ID, Name, VPC string }

// Subnet is one subnet, and so one availability zone.
type Subnet struct {
	ID string
	// VPC is the id of its VPC, "" for the topology's first.
	VPC string
	// CIDR is invalid in a subnet that has IPv6 only.
	CIDR netip.Prefix
	// IPv6CIDR is invalid in a subnet without IPv6.
	IPv6CIDR netip.Prefix
	Zone     string
	Tags     map[string]string
}

// ReservationType says who takes addresses from a subnet CIDR reservation.
type ReservationType string

// The two types of subnet CIDR reservations.
const (
	// Explicit ranges are assigned by hand, never automatically.
	Explicit ReservationType = "explicit"
	// Prefix ranges are where EC2 takes delegated prefixes from.
	Prefix ReservationType = "prefix"
)

// Reservation is a subnet CIDR reservation.
type Reservation struct {
	// ID is "" when the simulator may choose one.
	ID          string
	Subnet      string
	CIDR        netip.Prefix
	Type        ReservationType
	Description string
	Tags        map[string]string
}

// Instance is one worker.
type Instance struct {
	ID   string
	Type string
	Zone string
	// HopLimit is how many hops a metadata token may travel: 1 reaches the
	// worker itself, 2 also pods with a network namespace of their own.
	HopLimit int
	// TokensOptional also answers metadata requests without token (IMDSv1).
	TokensOptional bool
	// State is EC2's word, "" for running.
	State string
	// Role is the name of the instance's IAM role.
	Role string
	Tags map[string]string
	ENIs []ENI
}

// ENI is one elastic network interface.
type ENI struct {
	ID     string
	Subnet string
	// DeviceIndex is the position on the instance; it means nothing for an
	// unattached ENI.
	DeviceIndex int
	// NetworkCard is the network card of the instance, 0 on most types.
	NetworkCard int
	MAC         string
	Primary     netip.Addr
	Secondaries []netip.Addr
	IPv6        []netip.Addr
	// IPv4Prefixes and IPv6Prefixes are delegated prefixes.
	IPv4Prefixes, IPv6Prefixes []netip.Prefix
	Tags                       map[string]string
	Description                string
	Groups                     []string
	// Owner is the account that owns the ENI, "" for the topology's account.
	Owner string
	// PublicIP is the public address of the primary one; invalid without.
	PublicIP netip.Addr
	// Requester is the AWS service that made and manages the ENI, such as
	// amazon-elb, "" for ENIs that people make. It is attached to none of the
	// account's instances.
	Requester string
	// Type is EC2's interface type, "" for interface.
	Type string
}

// The states of an instance, in EC2's words.
const (
	Pending      = "pending"
	Running      = "running"
	ShuttingDown = "shutting-down"
	Terminated   = "terminated"
	Stopping     = "stopping"
	Stopped      = "stopped"
)

// InstanceStates are the states of an instance, with EC2's numbers.
func InstanceStates() map[string]int {
	return map[string]int{Pending: 0, Running: 16, ShuttingDown: 32, Terminated: 48, Stopping: 64, Stopped: 80}
}

// Defaults of a topology file.
const (
	DefaultAccount  = "123456789012"
	DefaultRole     = "worker"
	DefaultGroup    = "sg-default"
	DefaultHopLimit = 2
)

// VPCOf returns the VPC of a subnet.
func (t Topology) VPCOf(s Subnet) VPC {
	for _, v := range t.VPCs {
		if v.ID == s.VPC {
			return v
		}
	}
	return t.VPC
}

// NetworkCard is one network card of an instance type.
type NetworkCard = vpc.NetworkCard

// Limits returns the network limits of an instance type, of the topology's own
// or of the built-in table.
func (t Topology) Limits(instanceType string) (*vpc.VPCLimits, bool) {
	if l, ok := t.InstanceTypes[instanceType]; ok {
		return l, true
	}
	return Limits(instanceType)
}

// Limits returns the network limits that the built-in table has of an instance
// type.
func Limits(instanceType string) (*vpc.VPCLimits, bool) {
	l, ok := vpc.Limits[instanceType]
	return l, ok
}

// LargestLimit returns the most addresses that an ENI of any type takes.
func LargestLimit() int {
	largest := 0
	for _, l := range vpc.Limits {
		largest = max(largest, l.IPv4PerInterface)
	}
	return largest
}

// Addresses counts the address slots of one family that e uses: addresses and
// prefixes cost one slot each.
func (e ENI) Addresses(v6 bool) int {
	if v6 {
		return len(e.IPv6) + len(e.IPv6Prefixes)
	}
	n := len(e.Secondaries) + len(e.IPv4Prefixes)
	if e.Primary.IsValid() {
		n++
	}
	return n
}
