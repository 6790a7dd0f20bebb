package blackbox_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

const pools = "IPMGR_POOLS=10.10.1.64/26,2600:1f13:0:1::/96"

func TestInitTakesAnAddressOver(t *testing.T) {
	runInit(t, []initCase{
		{
			name: "in the pools, from an ENI that has no tag", env: []string{pools}, cloud: both(untagged(w2eth1), holding(w2eth1, "10.10.1.81", "10.10.1.99")),
			holds: holdings{w1eth1: "10.10.1.81", w2eth1: "10.10.1.99"}, calls: []string{assign4},
		}, {
			name: "without pools, from an ENI that is tagged as Multus', one of several addresses", cloud: holding(w2eth1, "10.10.1.82", "10.10.1.99"),
			nets:  []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24", "10.10.1.82/24", "10.10.1.83/24")},
			holds: holdings{w1eth1: sequence("10.10.1.81", 3), w2eth1: "10.10.1.99"},
		}, {
			name: "IPv6, from an ENI that is tagged as Multus'", cloud: holding(w2eth1, "2600:1f13:0:1::81", "2600:1f13:0:1::99"),
			nets:  []netlab.Net{like(w1eth1, "net1", "2600:1f13:0:1::81/64")},
			holds: holdings{w1eth1: "2600:1f13:0:1::81", w2eth1: "2600:1f13:0:1::99"}, logs: []string{"addresses taken over"},
		},
	})
}

func TestInitRefuses(t *testing.T) {
	runInit(t, []initCase{
		{
			name: "an address outside the pools", env: []string{pools}, nets: []netlab.Net{like(w1eth1, "net1", "10.10.1.20/24")},
			code: 3, calls: []string{}, message: []string{"10.10.1.20", w1eth1, "OutsidePools", "IPMGR_POOLS"},
		}, {
			name: "without pools, to take from an ENI that has no tag", cloud: both(untagged(w2eth1), holding(w2eth1, "10.10.1.81")),
			code: 3, holds: holdings{w2eth1: "10.10.1.81"}, message: []string{"10.10.1.81", w1eth1, "ForeignOwner", w2eth1, worker2, "no_manage"},
		}, {
			name: "the primary address of another ENI, even in the pools", env: []string{"IPMGR_POOLS=10.10.1.0/24"}, nets: []netlab.Net{like(w1eth1, "net1", "10.10.1.12/24")},
			code: 3, message: []string{"10.10.1.12", w1eth1, "PrimaryAddress", w2eth1},
		}, {
			name: "an address outside the ENI's subnet", nets: []netlab.Net{like(w1eth1, "net1", "10.10.2.81/24")},
			code: 3, calls: []string{}, message: []string{"10.10.2.81", w1eth1, "OutsideSubnet", "10.10.1.0/24"},
		}, {
			name: "an address outside the ENI's subnet, without IMDS", nets: []netlab.Net{like(w1eth1, "net1", "10.10.2.81/24")}, cloud: hopLimit(1),
			code: 3, message: []string{"10.10.2.81", w1eth1},
		}, {
			name: "an address of no ENI's subnet", nets: []netlab.Net{own("net1", "192.168.7.5/24")},
			code: 3, calls: []string{}, message: []string{"192.168.7.5", "NoENI", "IPMGR_EXCLUDE_INTERFACES"},
		}, {
			name: "an address on the worker's first ENI, which is the VPC CNI's", nets: []netlab.Net{like(w1eth0, "net1", "10.10.12.81/24")},
			code: 3, calls: []string{}, message: []string{"10.10.12.81", w1eth0, "PrimaryENI"},
		},
	})
}

// crowded leaves room for count more IPv4 addresses on an ENI of an m5.xlarge,
// which takes 15.
func crowded(eni string, count int) func(*vpcsim.Topology) {
	return holding(eni, strings.Fields(sequence("10.10.1.200", 14-count))...)
}

func TestInitAssignsWhatItCanBesideARefusal(t *testing.T) {
	four := []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24", "10.10.1.82/24", "10.10.1.83/24", "10.10.1.84/24")}
	runInit(t, []initCase{
		{
			name:  "of a reserved address",
			nets:  []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24", "10.10.1.3/24", "10.10.1.82/24", "10.10.1.83/24")},
			code:  3,
			holds: holdings{w1eth1: sequence("10.10.1.81", 3)}, message: []string{"10.10.1.3", w1eth1, "InvalidParameterValue", "reserved"},
		}, {
			name: "of an address outside the pools", env: []string{pools}, nets: []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24", "10.10.1.20/24")},
			code: 3, holds: holdings{w1eth1: "10.10.1.81"}, calls: []string{assign4}, message: []string{"10.10.1.20", "OutsidePools"},
		}, {
			name: "of one family", cloud: both(untagged(w2eth1), holding(w2eth1, "10.10.1.81")), nets: []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24", "2600:1f13:0:1::81/64")},
			code: 3, holds: holdings{w1eth1: "2600:1f13:0:1::81", w2eth1: "10.10.1.81"}, message: []string{"10.10.1.81", "ForeignOwner"},
		}, {
			name: "of one ENI", nets: []netlab.Net{like(w1eth1, "net1", "10.10.1.2/24"), like(w1eth2, "net2", "10.10.2.81/24")},
			code: 3, holds: holdings{w1eth2: "10.10.2.81"}, message: []string{"10.10.1.2"},
		}, {
			name: "of an ENI that has room for two of four", cloud: crowded(w1eth1, 2), nets: four,
			code: 3, holds: holdings{w1eth1: sequence("10.10.1.200", 12) + " 10.10.1.81 10.10.1.82"},
			message: []string{"10.10.1.8", w1eth1, "PrivateIpAddressLimitExceeded", "1 more failed"},
		},
	})
}

func TestInitPutsIPv6AddressesBackThatItCannotTake(t *testing.T) {
	const first = "2600:1f13:0:1::81"
	nets := []netlab.Net{like(w1eth1, "net1", first+"/64")}
	pass := vpcsim.Fault{Action: assign6, Delay: 1} // lets one call through
	runInit(t, []initCase{
		{
			name: "because EC2 refuses", nets: nets, cloud: holding(w2eth1, first), code: 3,
			faults: []vpcsim.Fault{pass, {Action: assign6, Code: "UnauthorizedOperation", Status: 403}},
			holds:  holdings{w2eth1: first}, message: []string{first, w1eth1, "UnauthorizedOperation", "put back on ENI " + w2eth1},
			logs: []string{"addresses could not be taken over and were put back"},
		}, {
			name: "because they may not be taken from the other ENI", nets: nets, cloud: holding(w2eth1, first), code: 3,
			settings: `{"deny": ["UnassignIpv6Addresses"]}`,
			holds:    holdings{w2eth1: first}, message: []string{first, w1eth1, w2eth1, "UnauthorizedOperation", "ec2:UnassignIpv6Addresses"},
		},
	})
}

func TestSequenceIsOrderedAsHoldingsAre(t *testing.T) {
	if got := strings.Fields(sequence("10.10.1.98", 4)); !slices.IsSorted(got) {
		t.Errorf("%q is not sorted", got)
	}
}
