//go:build lab

package scenario_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/testbed"
)

// outside joins a host of the VPC that is not a worker: a third place to measure
// from. It leaves at the test's end.
func outside(t *testing.T) *testbed.Outside {
	t.Helper()
	host, err := bed.JoinOutside(t.Context(), "i-worker1",
		netip.MustParsePrefix("10.10.1.30/24"), netip.MustParsePrefix("2600:1f13:0:1::30/64"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Leave(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return host
}
