//go:build lab

package scenario_test

import (
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/testbed"
)

// What scenario 1 does by hand happens by itself in a namespace that opted in,
// whoever chose the addresses.
func TestPodsOfAllIPAMsMeetWithoutHelp(t *testing.T) {
	const namespace = "init"
	optedIn(t, namespace)
	apply(t, namespace, "init-networks.yaml")
	startPods(t, namespace, "init", map[string]string{
		"whereabouts-1": "whereabouts", "whereabouts-2": "whereabouts",
		"host-local-1": "host-local-1", "host-local-2": "host-local-2",
		"static-1": `[{"name":"static","ips":["10.10.1.72/24","2600:1f13:0:1::88/64"]}]`,
		"static-2": `[{"name":"static","ips":["10.10.1.73/24","2600:1f13:0:1::89/64"]}]`,
	})
	for _, ipam := range []string{"whereabouts", "host-local", "static"} {
		first, second := ready(t, namespace, ipam+"-1"), ready(t, namespace, ipam+"-2")
		meet(t, first, second)
		meet(t, second, first)
	}
}

// startPods starts pods by name. A name ends in the number of its worker.
func startPods(t *testing.T, namespace, mode string, networks map[string]string) {
	t.Helper()
	for name, network := range networks {
		apply(t, namespace, "pod.yaml",
			"NAME", name, "NETWORKS", network, "MODE", mode, "WORKER", "worker-"+name[len(name)-1:])
	}
}

// meet holds that a pod reaches the other one by all its Multus addresses, of
// both families.
func meet(t *testing.T, from, to testbed.Pod) {
	t.Helper()
	if len(to.Networks["net1"]) != 2 {
		t.Errorf("%s has %v, want an address of each family", to.Name, to.Networks)
	}
	for _, addr := range to.Networks["net1"] {
		if !ping(t, from.Address, addr) {
			t.Errorf("%s gets no echo from %s of %s, which the VPC delivers to %q; drops: %+v",
				from.Name, addr, to.Name, owner(addr), bed.Sim().DataPlane().Status().Drops)
		}
	}
}
