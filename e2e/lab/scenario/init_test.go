//go:build lab

package scenario_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/testbed"
)

// What scenario 1 does by hand happens by itself in a namespace that opted in.
func TestPodsMeetWithoutHelp(t *testing.T) {
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
	t.Run("however their addresses were chosen", func(t *testing.T) {
		for ipam := range networks {
			first, second := ready(t, namespace, ipam+"-1"), ready(t, namespace, ipam+"-2")
			meet(t, first, second)
			meet(t, second, first)
		}
	})
	client := ready(t, namespace, "static-2")
	t.Run("from the first moment of their applications", func(t *testing.T) { speakAtOnce(t, namespace, client) })
	t.Run("when one has come back on another worker", func(t *testing.T) {
		comeBack(t, box{namespace: namespace, name: "static-1", networks: networks["static"][0]}, client)
	})
}

// speakAtOnce starts applications that ask a peer before all else, and would
// give up at once, with and without the IP manager.
func speakAtOnce(t *testing.T, namespace string, peer testbed.Pod) {
	t.Helper()
	optedOut(t, "bare")
	apply(t, "bare", "static.yaml", "MASTER", "eth1")
	addr := peer.Networks["net1"][0]
	start(t,
		box{namespace: "bare", name: "without-1", networks: static("static", dual(75)...), ask: addr},
		box{namespace: namespace, name: "with-1", networks: static("static", dual(76)...), ask: addr})
	if b := began(t, ready(t, "bare", "without-1")); b.Answered {
		t.Error("a pod whose addresses are on no ENI reached another worker")
	}
	if b := began(t, ready(t, namespace, "with-1")); !b.Answered {
		t.Errorf("the application started before its addresses were routed: %s", b.Error)
	}
}

// comeBack moves a pod from worker-1 to worker-2, where its client is: the ENI
// that held its addresses must not keep them.
func comeBack(t *testing.T, upf box, client testbed.Pod) {
	t.Helper()
	before := ready(t, upf.namespace, upf.name)
	meet(t, client, before)
	heldOnly(t, before, "eni-w1-eth1")

	remove(t, upf.namespace, upf.name)
	for _, addr := range before.Networks["net1"] {
		if ping(t, client.Address, addr) {
			t.Errorf("%s answers without a pod", addr)
		}
	}
	upf.name += "-on-2"
	start(t, upf)
	after := ready(t, upf.namespace, upf.name)
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
