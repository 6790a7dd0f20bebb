package main

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/cloud"
)

func addrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, text := range texts {
		out = append(out, netip.MustParseAddr(text))
	}
	return out
}

func TestNewAddressesOfENIsAreMarked(t *testing.T) {
	enis := []cloud.ENI{
		{ID: "eni-0", Instance: "i-worker1", Primary: netip.MustParseAddr("10.10.12.11")},
		{
			ID: "eni-1", Instance: "i-worker1", DeviceIndex: 1, Primary: netip.MustParseAddr("10.10.1.11"),
			Secondaries: addrs("10.10.1.80", "10.10.1.81", "10.10.1.82"), IPv6: addrs("fd00::80"),
		},
		{ID: "eni-2", Instance: "i-worker2", DeviceIndex: 1, Primary: netip.MustParseAddr("10.10.1.12")},
	}
	before := map[netip.Addr]string{netip.MustParseAddr("10.10.1.80"): "eni-1", netip.MustParseAddr("10.10.1.81"): "eni-2"}
	want := [][]string{
		{"eni-1", "worker1", "10.10.1.11", "10.10.1.80  +10.10.1.81  +10.10.1.82  +fd00::80"},
		{"eni-2", "worker2", "10.10.1.12", "none"},
	}
	if diff := cmp.Diff(want, eniRows(enis, before)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if held := holders(enis); len(held) != 4 || held[netip.MustParseAddr("fd00::80")] != "eni-1" {
		t.Errorf("holders: %v", held)
	}
}

func TestCallsAreComparedWithWhatIsExpected(t *testing.T) {
	assign, describe := cloud.Call{Action: "Assign", Result: "ok"}, cloud.Call{Action: "Describe", Result: "ok"}
	for name, test := range map[string]struct {
		calls []cloud.Call
		want  string
	}{
		"the expected calls pass":      {[]cloud.Call{assign, assign}, ""},
		"one too few is named":         {[]cloud.Call{assign}, "EC2 calls: 1 Assign; want 2 Assign"},
		"another action is named":      {[]cloud.Call{assign, assign, describe}, "EC2 calls: 2 Assign, 1 Describe; want 2 Assign"},
		"a refused call is no success": {[]cloud.Call{assign, {Action: "Assign", Result: "Throttled"}}, "EC2 answered Assign with Throttled"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := onlyThese(test.calls, map[string]int{"Assign": 2}); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("onlyThese (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMovesAreSummedUpByTheirMedian(t *testing.T) {
	var moves []move
	for _, ms := range []time.Duration{9, 1, 4, 2} {
		moves = append(moves, move{from: "a →", to: "b", called: ms * time.Millisecond, routed: 100 * time.Millisecond, ready: time.Second})
	}
	want := [][]string{
		{"a →", "b", "9.0 ms", "100 ms", "1.0 s"},
		{"a →", "b", "1.0 ms", "100 ms", "1.0 s"},
		{"a →", "b", "4.0 ms", "100 ms", "1.0 s"},
		{"median of", "4", "2.0 ms", "100 ms", "1.0 s"},
	}
	if diff := cmp.Diff(want, moveRows(moves)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestManifestsOfTheDemoAreWhatItExpects(t *testing.T) {
	topology, err := cloud.ParseTopology(topologyYAML)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range topology.Instances {
		id, mac := i.Multus()
		got = append(got, i.Name()+" "+i.Eth0().String()+" "+id+" "+mac)
	}
	want := []string{"worker1 10.10.12.11 eni-w1-eth1 02:00:00:00:01:01", "worker2 10.10.12.12 eni-w2-eth1 02:00:00:00:02:01"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("workers (-want +got):\n%s", diff)
	}
	if got := from(sessionYAML, "      annotations:"); len(got) < 100 {
		t.Errorf("the session's annotations are %q", got)
	}
}
