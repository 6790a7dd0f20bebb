package ledger_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/ledger"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

func TestNewAddressesOfENIsAreMarked(t *testing.T) {
	enis := []vpcsim.ENI{
		{ID: "eni-w1-eth0", Primary: netip.MustParseAddr("10.10.12.11")},
		{
			ID: "eni-w1-eth1", DeviceIndex: ledger.Device, Primary: netip.MustParseAddr("10.10.1.11"),
			Secondaries: addrs("10.10.1.80", "10.10.1.81", "10.10.1.82"),
		},
		{ID: "eni-w1-eth2", DeviceIndex: 2, Primary: netip.MustParseAddr("10.10.2.11")},
		{ID: "eni-w2-eth1", DeviceIndex: ledger.Device, Primary: netip.MustParseAddr("10.10.1.12")},
	}
	before := ledger.Holders{netip.MustParseAddr("10.10.1.80"): "eni-w1-eth1", netip.MustParseAddr("10.10.1.81"): "eni-w2-eth1"}
	want := [][]string{
		{"eni-w1-eth1", "10.10.1.11", "10.10.1.80  +10.10.1.81  +10.10.1.82"},
		{"eni-w2-eth1", "10.10.1.12", "none"},
	}
	rows, held := ledger.Rows(enis, before)
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if len(held) != 3 || held[netip.MustParseAddr("10.10.1.81")] != "eni-w1-eth1" {
		t.Errorf("holders: %v", held)
	}
}

func TestOnlyCallsThatChangeAddressesCountAndRefusedOnesAreNamed(t *testing.T) {
	const assign, unassign = ledger.Assign, "UnassignPrivateIpAddresses"
	got := ledger.Changes([]vpcsim.Call{
		{Action: assign, Result: "ok"},
		{Action: "DescribeSubnets", Result: "ok"},
		{Action: assign, Result: "RequestLimitExceeded"},
		{Action: unassign, Result: "ok"},
	})
	want := map[string]int{assign: 2, assign + ": RequestLimitExceeded": 1, unassign: 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func TestAssignmentsAloneAreTheStory(t *testing.T) {
	assign := vpcsim.Call{Action: ledger.Assign, Result: "ok"}
	for name, c := range map[string]struct {
		calls []vpcsim.Call
		count int
		want  string
	}{
		"one for each pod":     {[]vpcsim.Call{assign, assign}, 2, ""},
		"a repeated one":       {[]vpcsim.Call{assign, assign, assign}, 3, ""},
		"too few":              {[]vpcsim.Call{assign}, 0, "want at least 2"},
		"one that took back":   {[]vpcsim.Call{assign, assign, {Action: "UnassignPrivateIpAddresses", Result: "ok"}}, 0, "and nothing else"},
		"one that EC2 refused": {[]vpcsim.Call{assign, assign, {Action: assign.Action, Result: "UnauthorizedOperation"}}, 0, "UnauthorizedOperation"},
	} {
		t.Run(name, func(t *testing.T) {
			count, err := ledger.OnlyAssigned(c.calls, 2)
			judge(t, err, c.want)
			if count != c.count {
				t.Errorf("%d calls, want %d", count, c.count)
			}
		})
	}
}
