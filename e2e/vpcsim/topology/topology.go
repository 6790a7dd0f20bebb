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
	VPC     VPC
	Subnets []Subnet
	// Reservations are the subnet CIDR reservations.
	Reservations []Reservation
	Instances    []Instance
	// ENIs are the ENIs that are attached to no instance.
	ENIs []ENI
	// Settings is a JSON object of settings to start with, or nil.
	Settings []byte
}

// VPC is the virtual network.
type VPC struct {
	ID   string
	CIDR netip.Prefix
	// IPv6CIDR is invalid in a VPC without IPv6.
	IPv6CIDR netip.Prefix
}

// Subnet is one subnet, and so one availability zone.
type Subnet struct {
	ID   string
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
}

// Defaults of a topology file.
const (
	DefaultAccount  = "123456789012"
	DefaultRole     = "worker"
	DefaultGroup    = "sg-default"
	DefaultHopLimit = 2
)

// Limits returns the network limits of an instance type.
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
	return 1 + len(e.Secondaries) + len(e.IPv4Prefixes)
}
