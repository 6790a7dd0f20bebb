package ipmgr_test

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// The view of a pod that has addresses on one ENI holds that ENI only. It must
// not place an address of another ENI in the same subnet.
func TestFollowLooksForTheENIOfAnInterfaceThatHadNoAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81")
		c.byMAC = true
		c.enis = append(c.enis, plan.ENI{
			ID: "eni-2", MAC: "02:00:00:00:00:02", DeviceIndex: 2,
			Primary: netip.MustParseAddr("10.10.1.12"), Subnets: []netip.Prefix{netip.MustParsePrefix("10.10.1.0/24")},
		})
		stop := follow(t, manager(p, c, nil))
		time.Sleep(time.Second)
		p.add(vip, "net2", "02:00:00:00:00:02")
		time.Sleep(time.Second)
		wantOwner(t, v, vip, "eni-2")
		if slices.Contains(v.changes(), vip+" eni-1") {
			t.Errorf("the address was on the wrong ENI: %q", v.changes())
		}
		_ = stop()
	})
}

func TestFollowVerifiesANewAddressSoonAfterALongOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81")
		m := manager(p, c, nil)
		stop := follow(t, m)
		time.Sleep(time.Second)
		c.change(func() { c.attached = &fault.Error{Code: "Unreachable"} })
		time.Sleep(time.Hour + 10*time.Second)
		c.change(func() { c.attached = nil })
		time.Sleep(time.Second)
		p.add(vip, "net1", "02:00:00:00:00:01")
		time.Sleep(20 * time.Second)
		if err := m.Status().Err; err != nil {
			t.Errorf("20 s after the address appeared: %v", err)
		}
		_ = stop()
	})
}

func TestFollowClaimsAgainOnceADetachedENIIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81")
		m := manager(p, c, nil)
		stop := follow(t, m)
		time.Sleep(time.Second)
		var detached []plan.ENI
		c.change(func() { detached, c.enis = c.enis, nil })
		v.set("10.10.1.81", "")
		time.Sleep(time.Hour + 10*time.Second)
		if err := m.Status().Err; fault.CodeOf(err) != fault.CodeNoENI {
			t.Errorf("status %v without an ENI, want %s", err, fault.CodeNoENI)
		}
		c.change(func() { c.enis = detached })
		time.Sleep(2 * spec.Default().Resync)
		wantOwner(t, v, "10.10.1.81", "eni-1")
		_ = stop()
	})
}

// A delegated prefix may be gone since the worker was looked at.
func TestFollowDoesNotTrustAPrefixOfAViewThatIsOlderThanTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81")
		c.enis[0].Prefixes = []netip.Prefix{netip.MustParsePrefix("10.10.1.192/28")}
		stop := follow(t, manager(p, c, nil))
		time.Sleep(time.Second)
		c.change(func() { c.enis[0].Prefixes = nil })
		p.add(vip, "net1", mac1)
		time.Sleep(time.Second)
		wantOwner(t, v, vip, "eni-1")
		_ = stop()
	})
}
