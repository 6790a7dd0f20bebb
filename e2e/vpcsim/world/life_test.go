package world

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/agenda"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/lag"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

// TestInstancesAreBounded launches as many instances as there may be, and one
// more: then ends them all, which leaves nothing.
func TestInstancesAreBounded(t *testing.T) {
	top, err := topology.Load(strings.NewReader(`
region: us-west-2
vpc: {id: vpc-1, cidr: 10.10.0.0/16, ipv6Cidr: "2600:1f13:1:100::/56"}
subnets: [{id: subnet-a, ipv6Cidr: "2600:1f13:1:101::/64", zone: us-west-2a}]
`))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(0, 0)
	clock := func() time.Time { return now }
	a := agenda.New(clock, func(_ time.Duration, until <-chan struct{}) { <-until })
	defer a.Close()
	w := New(top, settings.NewStore(settings.Defaults()), clock, rand.New(rand.NewPCG(1, 2)), a)
	launch := func() error {
		_, err := w.Launch(Launch{Type: "m5.large", Subnet: "subnet-a"})
		return err
	}
	for range MaxInstances {
		if err := launch(); err != nil {
			t.Fatal(err)
		}
	}
	var refused *apierr.Error
	if err := launch(); !errors.As(err, &refused) || refused.Code != "InstanceLimitExceeded" {
		t.Errorf("one more: %v", err)
	}
	a.Run()
	for _, in := range w.Instances(lag.Now)[:100] {
		if err := w.TerminateInstance(in.ID); err != nil {
			t.Fatal(err)
		}
	}
	a.Run()
	now = now.Add(time.Hour)
	a.Run()
	if n, enis := len(w.instances.value), len(w.enis.value); n != MaxInstances-100 || enis != MaxInstances-100 {
		t.Errorf("%d instances and %d ENIs are left, want %d", n, enis, MaxInstances-100)
	}
	if err := launch(); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}
