//go:build lab

package scenario_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/testbed"
)

// What scenario 1 does by hand happens by itself in a namespace that opted in,
// whoever chose the addresses.
func TestPodsOfAllIPAMsMeetWithoutHelp(t *testing.T) {
	t.Parallel()
	const namespace = "init"
	optedIn(t, namespace)
	apply(t, namespace, "init-networks.yaml")
	apply(t, namespace, "static.yaml", "MASTER", "eth1")
	networks := map[string][]string{
		"whereabouts": {"whereabouts", "whereabouts"},
		"host-local":  {"host-local-1", "host-local-2"},
		"static":      {static("static", dual(72)...), static("static", dual(73)...)},
	}
	for ipam, each := range networks {
		for i, network := range each {
			start(t, box{namespace: namespace, name: fmt.Sprintf("%s-%d", ipam, i+1), networks: network})
		}
	}
	for ipam := range networks {
		first, second := ready(t, namespace, ipam+"-1"), ready(t, namespace, ipam+"-2")
		meet(t, first, second)
		meet(t, second, first)
	}
}

// An application that speaks at once, and would give up at once, is heard.
func TestAnApplicationStartsWhenItsAddressesAreRouted(t *testing.T) {
	t.Parallel()
	optedIn(t, "early")
	optedOut(t, "early-bare")
	for _, namespace := range []string{"early", "early-bare"} {
		apply(t, namespace, "static.yaml", "MASTER", "eth1")
	}
	start(t, box{namespace: "early", name: "peer-2", networks: static("static", dual(74)...)})
	peer := ready(t, "early", "peer-2").Networks["net1"][0]
	start(t,
		box{namespace: "early-bare", name: "without-1", networks: static("static", dual(75)...), ask: peer},
		box{namespace: "early", name: "with-1", networks: static("static", dual(76)...), ask: peer})
	if b := began(t, ready(t, "early-bare", "without-1")); b.Answered {
		t.Error("a pod whose addresses are on no ENI reached another worker")
	}
	if b := began(t, ready(t, "early", "with-1")); !b.Answered {
		t.Errorf("the application started before its addresses were routed: %s", b.Error)
	}
}

// A pod may come back anywhere, whoever held its addresses last.
func TestAnAddressFollowsItsPodToAnotherWorker(t *testing.T) {
	t.Parallel()
	follow(t, "return", "init", 77, 78)
}

// follow moves a pod from worker-1 to worker-2, where its client is.
func follow(t *testing.T, namespace, mode string, last, clientLast int) {
	t.Helper()
	optedIn(t, namespace)
	apply(t, namespace, "static.yaml", "MASTER", "eth1")
	upf := box{namespace: namespace, name: "upf-1", networks: static("static", dual(last)...), mode: mode}
	start(t, upf, box{namespace: namespace, name: "client-2", networks: static("static", dual(clientLast)...), mode: mode})
	before, client := ready(t, namespace, "upf-1"), ready(t, namespace, "client-2")
	meet(t, client, before)
	heldOnly(t, before, "eni-w1-eth1")

	remove(t, namespace, "upf-1")
	for _, addr := range before.Networks["net1"] {
		if ping(t, client.Address, addr) {
			t.Errorf("%s answers without a pod", addr)
		}
	}
	upf.name = "upf-2"
	start(t, upf)
	after := ready(t, namespace, "upf-2")
	meet(t, client, after)
	heldOnly(t, after, "eni-w2-eth1")
}

// heldOnly holds that EC2 has a pod's addresses on one ENI and on no other one.
func heldOnly(t *testing.T, pod testbed.Pod, want string) {
	t.Helper()
	for _, addr := range pod.Networks["net1"] {
		if got := holders(addr); !slices.Equal(got, []string{want}) {
			t.Errorf("%s of %s is on %v, want %s", addr, pod.Name, got, want)
		}
	}
}
