package burst

import (
	"fmt"
	"net/netip"
	"strings"
)

const ec2Host = "10.254.0.1"

func imdsHost(worker int) string { return fmt.Sprintf("10.253.0.%d", worker+1) }

func instanceID(worker int) string { return fmt.Sprintf("i-worker%d", worker) }

func eniID(worker int) string { return fmt.Sprintf("eni-w%d-eth1", worker) }

func mac(worker int) string { return fmt.Sprintf("02:00:00:01:%02x:%02x", worker>>8, worker&0xff) }

// workers is how many workers hold that many pods.
func workers(pods int) int { return (pods + podsPerWorker - 1) / podsPerWorker }

// podAddr is in the reserved upper half of the Multus subnet 10.20.0.0/19.
func podAddr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 20, 16 + byte(i>>8), byte(i)})
}

// describe is the topology of as many workers as the pods need.
func describe(pods int) string {
	var b strings.Builder
	b.WriteString(`region: us-west-2
vpc: {id: vpc-1, cidr: 10.20.0.0/16}
subnets:
- {id: subnet-mgmt, cidr: 10.20.64.0/20, zone: us-west-2a}
- {id: subnet-multus, cidr: 10.20.0.0/19, zone: us-west-2a}
reservations:
- {subnet: subnet-multus, cidr: 10.20.16.0/20, type: explicit}
instances:
`)
	for w := range workers(pods) {
		fmt.Fprintf(&b, `- id: %s
  type: m6i.32xlarge
  zone: us-west-2a
  enis:
  - {id: eni-w%d-eth0, subnet: subnet-mgmt, deviceIndex: 0, mac: "02:00:00:00:%02x:%02x", primary: 10.20.64.%d}
  - {id: %s, subnet: subnet-multus, deviceIndex: 1, mac: %q, primary: 10.20.1.%d, tags: {node.k8s.amazonaws.com/no_manage: "true"}}
`, instanceID(w), w, w>>8, w&0xff, w+10, eniID(w), mac(w), w+10)
	}
	return b.String()
}
