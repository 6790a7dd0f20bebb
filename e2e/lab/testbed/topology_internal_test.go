package testbed

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

var addresses = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})

func TestWorkersAreAsTheTopologySays(t *testing.T) {
	topology, err := vpcsim.Load(bytes.NewReader(topologyYAML))
	if err != nil {
		t.Fatal(err)
	}
	workers, err := workersOf(topology, 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(workers) != 2 {
		t.Fatalf("%d workers, want 2", len(workers))
	}
	for i, want := range []worker{
		{name: "worker-1", instance: "i-worker1", region: "us-west-2", zone: "us-west-2a", kind: "m5.4xlarge", pods: netip.MustParsePrefix("10.244.1.0/24"), address: netip.MustParsePrefix("10.10.12.11/24")},
		{turn: 1, name: "worker-2", instance: "i-worker2", region: "us-west-2", zone: "us-west-2a", kind: "m5.4xlarge", pods: netip.MustParsePrefix("10.244.2.0/24"), address: netip.MustParsePrefix("10.10.12.12/24")},
	} {
		got := workers[i]
		got.mac, got.links = nil, nil
		if diff := cmp.Diff(want, got, addresses, cmp.AllowUnexported(worker{})); diff != "" {
			t.Errorf("worker (-want +got):\n%s", diff)
		}
	}
	if len(workers[1].links) != 4 {
		t.Fatalf("%d links, want 4", len(workers[1].links))
	}
	want := link{eni: "eni-w2-eth3", mac: "02:00:00:00:02:03", name: "eth3", addresses: []netip.Prefix{
		netip.MustParsePrefix("10.10.1.22/24"), netip.MustParsePrefix("2600:1f13:0:1::22/64"),
	}}
	if diff := cmp.Diff(want, workers[1].links[2], addresses, cmp.AllowUnexported(link{})); diff != "" {
		t.Errorf("link (-want +got):\n%s", diff)
	}
	if _, err := workersOf(topology, 4); err == nil || !strings.Contains(err.Error(), "the topology has 3") {
		t.Errorf("four workers: %v", err)
	}
}

func TestAPodsNetworksAreAsMultusSays(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "upf", Annotations: map[string]string{networkStatus: `[
			{"name":"default","interface":"eth0","ips":["10.244.1.2"],"default":true,"dns":{},"gateway":["<nil>"]},
			{"name":"default/net","interface":"net1","ips":["10.10.1.81","2600:1f13:0:1::81"],"dns":{}}]`}},
		Spec:   corev1.PodSpec{NodeName: "worker-1"},
		Status: corev1.PodStatus{PodIP: "10.244.1.2"},
	}
	got, err := podOf(pod)
	if err != nil {
		t.Fatal(err)
	}
	want := Pod{
		Name: "upf", Worker: "worker-1", Address: netip.MustParseAddr("10.244.1.2"),
		Networks: map[string][]netip.Addr{"net1": {netip.MustParseAddr("10.10.1.81"), netip.MustParseAddr("2600:1f13:0:1::81")}},
	}
	if diff := cmp.Diff(want, got, addresses); diff != "" {
		t.Errorf("pod (-want +got):\n%s", diff)
	}
	pod.Annotations[networkStatus] = "["
	if _, err := podOf(pod); err == nil || !strings.Contains(err.Error(), "upf") {
		t.Errorf("a broken status: %v", err)
	}
}
