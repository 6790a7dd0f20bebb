package blackbox_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

// The standard VPC: two workers, each with one ENI for its pods' eth0 and two
// Multus ENIs in two subnets.
const (
	region  = "us-west-2"
	worker1 = "i-0000000000000001"
	worker2 = "i-0000000000000002"

	w1eth0, w1eth1, w1eth2 = "eni-00000000000000100", "eni-00000000000000101", "eni-00000000000000102"
	w2eth0, w2eth1, w2eth2 = "eni-00000000000000200", "eni-00000000000000201", "eni-00000000000000202"

	standardVPC = `
region: us-west-2
vpc: {id: vpc-1, cidr: 10.10.0.0/16, ipv6Cidr: "2600:1f13::/56"}
subnets:
- {id: subnet-mgmt, cidr: 10.10.12.0/24, zone: us-west-2a}
- {id: subnet-multus1, cidr: 10.10.1.0/24, ipv6Cidr: "2600:1f13:0:1::/64", zone: us-west-2a}
- {id: subnet-multus2, cidr: 10.10.2.0/24, ipv6Cidr: "2600:1f13:0:2::/64", zone: us-west-2a}
reservations:
- {subnet: subnet-multus1, cidr: 10.10.1.64/26, type: explicit}
instances:
- id: i-0000000000000001
  type: m5.xlarge
  zone: us-west-2a
  enis:
  - {id: eni-00000000000000100, subnet: subnet-mgmt, deviceIndex: 0, mac: "02:00:00:00:01:00", primary: 10.10.12.11}
  - {id: eni-00000000000000101, subnet: subnet-multus1, deviceIndex: 1, mac: "02:00:00:00:01:01", primary: 10.10.1.11, tags: {node.k8s.amazonaws.com/no_manage: "true"}}
  - {id: eni-00000000000000102, subnet: subnet-multus2, deviceIndex: 2, mac: "02:00:00:00:01:02", primary: 10.10.2.11, tags: {node.k8s.amazonaws.com/no_manage: "true"}}
- id: i-0000000000000002
  type: m5.xlarge
  zone: us-west-2a
  enis:
  - {id: eni-00000000000000200, subnet: subnet-mgmt, deviceIndex: 0, mac: "02:00:00:00:02:00", primary: 10.10.12.12}
  - {id: eni-00000000000000201, subnet: subnet-multus1, deviceIndex: 1, mac: "02:00:00:00:02:01", primary: 10.10.1.12, tags: {node.k8s.amazonaws.com/no_manage: "true"}}
  - {id: eni-00000000000000202, subnet: subnet-multus2, deviceIndex: 2, mac: "02:00:00:00:02:02", primary: 10.10.2.12, tags: {node.k8s.amazonaws.com/no_manage: "true"}}
`
)

func standard(t *testing.T) vpcsim.Topology {
	t.Helper()
	vpc, err := vpcsim.Load(strings.NewReader(standardVPC))
	if err != nil {
		t.Fatal(err)
	}
	return vpc
}

// macs are the MACs of the ENIs.
var macs = map[string]string{
	w1eth0: "02:00:00:00:01:00", w1eth1: "02:00:00:00:01:01", w1eth2: "02:00:00:00:01:02",
	w2eth0: "02:00:00:00:02:00", w2eth1: "02:00:00:00:02:01", w2eth2: "02:00:00:00:02:02",
}

// like returns an interface that shares the MAC of an ENI, as ipvlan and
// host-device do.
func like(eni, name string, addrs ...string) netlab.Net {
	n := own(name, addrs...)
	n.MAC = macs[eni]
	return n
}

// own returns an interface with a MAC of its own, as macvlan has.
func own(name string, addrs ...string) netlab.Net {
	n := netlab.Net{Name: name}
	for _, a := range addrs {
		n.Addrs = append(n.Addrs, netip.MustParsePrefix(a))
	}
	return n
}

// change returns a change of one ENI of the standard VPC.
func change(eni string, f func(*topology.ENI)) func(*vpcsim.Topology) {
	return func(vpc *vpcsim.Topology) {
		for i := range vpc.Instances {
			for j := range vpc.Instances[i].ENIs {
				if e := &vpc.Instances[i].ENIs[j]; e.ID == eni {
					f(e)
				}
			}
		}
	}
}

// holding gives an ENI addresses from the start.
func holding(eni string, addrs ...string) func(*vpcsim.Topology) {
	return change(eni, func(e *topology.ENI) {
		for _, text := range addrs {
			if a := netip.MustParseAddr(text); a.Is4() {
				e.Secondaries = append(e.Secondaries, a)
			} else {
				e.IPv6 = append(e.IPv6, a)
			}
		}
	})
}

// untagged makes an ENI one that the VPC CNI manages.
func untagged(eni string) func(*vpcsim.Topology) {
	return change(eni, func(e *topology.ENI) { e.Tags = nil })
}

// hopLimit lets no pod of worker 1 reach its metadata service.
func hopLimit(limit int) func(*vpcsim.Topology) {
	return func(vpc *vpcsim.Topology) { vpc.Instances[0].HopLimit = limit }
}

// both applies two changes and more.
func both(changes ...func(*vpcsim.Topology)) func(*vpcsim.Topology) {
	return func(vpc *vpcsim.Topology) {
		for _, change := range changes {
			change(vpc)
		}
	}
}

// sequence returns count addresses from first on, separated by blanks as
// holdings are.
func sequence(first string, count int) string {
	var texts []string
	for a := netip.MustParseAddr(first); len(texts) < count; a = a.Next() {
		texts = append(texts, a.String())
	}
	slices.Sort(texts)
	return strings.Join(texts, " ")
}
