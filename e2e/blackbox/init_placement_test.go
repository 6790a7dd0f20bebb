package blackbox_test

import (
	"net/netip"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

// EC2 actions.
const (
	assign4   = "AssignPrivateIpAddresses"
	assign6   = "AssignIpv6Addresses"
	unassign4 = "UnassignPrivateIpAddresses"
	describe  = "DescribeNetworkInterfaces"
	subnets   = "DescribeSubnets"
)

// oneSubnet moves the second Multus ENI of worker 1 to the subnet of the first.
var oneSubnet = change(w1eth2, func(e *topology.ENI) {
	e.Subnet, e.Primary = "subnet-multus1", netip.MustParseAddr("10.10.1.13")
})

func TestInitFindsTheENIOfEachAddress(t *testing.T) {
	runInit(t, []initCase{
		{
			name:  "by the MAC that ipvlan and host-device share with the ENI",
			holds: holdings{w1eth1: "10.10.1.81"}, calls: []string{assign4},
			logs: []string{"address assigned", "all addresses are assigned"},
		}, {
			name: "two interfaces on two ENIs, one call each",
			nets: []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24"), like(w1eth2, "net2", "10.10.2.81/24")},
			env:  []string{"IPMGR_INTERFACES=net1,net2"}, holds: holdings{w1eth1: "10.10.1.81", w1eth2: "10.10.2.81"},
			calls: []string{assign4, assign4},
		}, {
			name: "several interfaces on one ENI, one call together",
			nets: []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24", "10.10.1.82/24"), like(w1eth1, "net2", "10.10.1.83/24")},
			env:  []string{"IPMGR_INTERFACES=net1,net2"}, holds: holdings{w1eth1: sequence("10.10.1.81", 3)}, calls: []string{assign4},
		}, {
			name: "two ENIs in one subnet by their MACs", cloud: oneSubnet,
			nets:  []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24"), like(w1eth2, "net2", "10.10.1.82/24")},
			holds: holdings{w1eth1: "10.10.1.81", w1eth2: "10.10.1.82"}, calls: []string{assign4, assign4},
		}, {
			name: "IPv4 and IPv6, one call per family", nets: []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24", "2600:1f13:0:1::81/64")},
			holds: holdings{w1eth1: "10.10.1.81 2600:1f13:0:1::81"}, calls: []string{assign6, assign4},
		}, {
			name:  "a floating /32 and /128 beside the subnet's mask",
			nets:  []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24", "10.10.1.90/32", "2600:1f13:0:1::90/128")},
			holds: holdings{w1eth1: "10.10.1.81 10.10.1.90 2600:1f13:0:1::90"}, calls: []string{assign6, assign4},
		}, {
			name: "macvlan: a MAC of its own, by the subnet that contains the address", nets: []netlab.Net{own("net1", "10.10.1.81/24", "2600:1f13:0:1::81/64")},
			holds: holdings{w1eth1: "10.10.1.81 2600:1f13:0:1::81"}, calls: []string{assign6, assign4},
		}, {
			name: "host-device: the ENI's primary address is there and costs no call", nets: []netlab.Net{like(w1eth1, "net1", "10.10.1.11/24")},
			calls: []string{}, logs: []string{"address assigned"},
		}, {
			name:  "an address inside a delegated prefix costs no call",
			cloud: change(w1eth1, func(e *topology.ENI) { e.IPv4Prefixes = []netip.Prefix{netip.MustParsePrefix("10.10.1.128/28")} }),
			nets:  []netlab.Net{like(w1eth1, "net1", "10.10.1.130/24")}, calls: []string{}, logs: []string{"address assigned"},
		}, {
			name: "an address that was assigned before is confirmed by one call", cloud: holding(w1eth1, "10.10.1.81"),
			holds: holdings{w1eth1: "10.10.1.81"}, calls: []string{assign4},
		},
	})
}

func TestInitLeavesAlone(t *testing.T) {
	runInit(t, []initCase{
		{
			name:  "an excluded interface",
			nets:  []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24"), like(w1eth2, "net2", "10.10.2.81/24")},
			env:   []string{"IPMGR_EXCLUDE_INTERFACES=lo,eth0,net2"},
			holds: holdings{w1eth1: "10.10.1.81"}, calls: []string{assign4},
		}, {
			name:  "an interface of no ENI that is not required",
			nets:  []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24"), own("br0", "192.168.7.1/24")},
			env:   []string{"IPMGR_INTERFACES=net1"},
			holds: holdings{w1eth1: "10.10.1.81"}, calls: []string{assign4}, logs: []string{"address belongs to no ENI, left alone"},
		}, {
			name: "everything in a dry run", nets: []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24", "2600:1f13:0:1::81/64")},
			cloud: holding(w2eth1, "10.10.1.81"), env: []string{"IPMGR_DRY_RUN=true"},
			holds: holdings{w2eth1: "10.10.1.81"}, calls: []string{}, logs: []string{"would assign address"},
			never: []string{"address assigned", "all addresses are assigned"},
		},
	})
}

func TestInitManagesAnInterfaceThatIsNotRequired(t *testing.T) {
	runInit(t, []initCase{{
		name:  "when it is an ENI's",
		nets:  []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24"), like(w1eth2, "net2", "10.10.2.81/24")},
		env:   []string{"IPMGR_INTERFACES=net1"},
		holds: holdings{w1eth1: "10.10.1.81", w1eth2: "10.10.2.81"},
	}})
}

func TestInitWaitsForWhatIsMissing(t *testing.T) {
	runInit(t, []initCase{
		{
			name: "an interface that is plugged late", env: []string{"IPMGR_INTERFACES=net1,net2"},
			meanwhile: func(s *scene, p *process) {
				p.awaitLog("address assigned", 1)
				s.do(p.pod.AddLink(like(w1eth2, "net2", "10.10.2.81/24")))
			},
			holds: holdings{w1eth1: "10.10.1.81", w1eth2: "10.10.2.81"},
		}, {
			name: "an address that comes late", nets: []netlab.Net{like(w1eth1, "net1")}, env: []string{"IPMGR_INTERFACES=net1"},
			meanwhile: func(s *scene, p *process) { s.add(p.pod, "net1", "10.10.1.81/24") },
			holds:     holdings{w1eth1: "10.10.1.81"},
		}, {
			name: "an ENI that is attached late", cloud: func(vpc *vpcsim.Topology) {
				eth2 := vpc.Instances[0].ENIs[2]
				vpc.Instances[0].ENIs = vpc.Instances[0].ENIs[:2]
				vpc.ENIs = append(vpc.ENIs, eth2)
			},
			nets: []netlab.Net{like(w1eth2, "net1", "10.10.2.81/24")}, env: []string{"IPMGR_DISCOVERY=ec2"},
			meanwhile: func(s *scene, p *process) {
				p.awaitLog("the worker's ENIs could not be read, will be retried", 1)
				s.attach(w1eth2, worker1, 2)
			},
			holds: holdings{w1eth2: "10.10.2.81"},
		},
	})
}

func TestInitVerifies(t *testing.T) {
	runInit(t, []initCase{
		{
			name: "that the cloud shows the address, however late", settings: `{"imdsLag": "400ms"}`,
			holds: holdings{w1eth1: "10.10.1.81"}, calls: []string{assign4}, logs: []string{"address assigned"},
		}, {
			name: "and fails when the cloud never shows it", settings: `{"imdsLag": "1h"}`, env: []string{"IPMGR_TIMEOUT=1s"},
			code: 1, holds: holdings{w1eth1: "10.10.1.81"}, message: []string{"10.10.1.81", w1eth1, "NotVisible", "IPMGR_TIMEOUT"},
		}, {
			name: "by EC2 where IMDS is out of reach", settings: `{"describeLag": "400ms"}`, cloud: hopLimit(1),
			holds: holdings{w1eth1: "10.10.1.81"},
		}, {
			name: "nothing when configured so", settings: `{"imdsLag": "1h"}`, env: []string{"IPMGR_VERIFY=false"},
			holds: holdings{w1eth1: "10.10.1.81"}, calls: []string{assign4},
		},
	})
}
