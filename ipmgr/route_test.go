package ipmgr_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// twin is another ENI of the worker, in the subnet of the first.
func twin() plan.ENI {
	return plan.ENI{
		ID: "eni-2", MAC: "02:00:00:00:00:02", DeviceIndex: 2,
		Primary: netip.MustParseAddr("10.10.1.12"), Subnets: []netip.Prefix{netip.MustParsePrefix("10.10.1.0/24")},
	}
}

func on(ip, link, mac string) plan.Address {
	return plan.Address{Addr: netip.MustParseAddr(ip), Interface: link, MAC: mac}
}

func bound(ip, link, mac string) plan.Address {
	a := on(ip, link, mac)
	a.Bound = true
	return a
}

func late(ip, link, mac string) plan.Address {
	a := bound(ip, link, mac)
	a.Late = true
	return a
}

const (
	mac1 = "02:00:00:00:00:01"
	gone = "02:00:00:00:00:99"
)

func TestOnceRefusesAnAddressWhoseENIIsGoneThoughAnotherHasItsSubnet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod()
		p.put(bound("10.10.1.81", "net1", gone))
		err := manager(p, c, nil).Once(t.Context())
		if fault.CodeOf(err) != fault.CodeNoENI || !fault.IsPermanent(err) || !strings.Contains(err.Error(), gone) {
			t.Errorf("error %v, want a permanent %s that names %s", err, fault.CodeNoENI, gone)
		}
		wantOwner(t, v, "10.10.1.81", "")
	})
}

func TestOnceWaitsForTheENIOfAnIpvlanLinkThatIsNotListedYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod()
		p.put(bound("10.10.1.81", "net1", twin().MAC))
		time.AfterFunc(2*time.Second, func() { c.change(func() { c.enis = append(c.enis, twin()) }) })
		if err := manager(p, c, nil).Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantOwner(t, v, "10.10.1.81", "eni-2")
	})
}

// Whatever the kernel says of the link: once an ENI had its MAC, the link has
// none of its own.
func TestFollowDoesNotMoveAnAddressToAnotherENIWhenItsOwnIsDetached(t *testing.T) {
	for name, address := range map[string]plan.Address{"on an ipvlan link": bound("10.10.1.81", "net1", mac1), "on a link of another kind": on("10.10.1.81", "net1", mac1)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVPC()
				c, p := newCloud(v, "eni-1"), newPod()
				c.enis = append(c.enis, twin())
				p.put(address)
				m := manager(p, c, nil)
				stop := follow(t, m)
				time.Sleep(time.Second)
				c.change(func() { c.enis = c.enis[1:] })
				v.set("10.10.1.81", "")
				time.Sleep(5 * time.Minute)
				err := m.Status().Err
				if fault.CodeOf(err) != fault.CodeNoENI || !strings.Contains(err.Error(), "eni-1") || !strings.Contains(err.Error(), mac1) {
					t.Errorf("status %v, want %s that names eni-1 and its MAC", err, fault.CodeNoENI)
				}
				if slices.Contains(v.changes(), "10.10.1.81 eni-2") {
					t.Errorf("the address was on the other ENI: %q", v.changes())
				}
				_ = stop()
			})
		})
	}
}

// What the application adds and EC2 can never route must not end a pod whose
// sidecar restarts. What IPAM gave must route.
func TestFollowIsReadyInSpiteOf(t *testing.T) {
	tests := []struct {
		name  string
		first string // address of net1, empty for none
		other plan.Address
		code  string // of the status; empty for ready
	}{
		{name: "an address outside the subnet that the application added", first: "10.10.1.81", other: late("192.168.9.9", "net1", mac1)},
		{name: "an IPv6 address that the application added", first: "10.10.1.81", other: late("fd00::9", "net1", mac1)},
		{name: "an address that EC2 refuses and the application added", first: "10.10.1.81", other: late("10.10.1.99", "net1", mac1)},
		{name: "an address of a VLAN on the interface", first: "10.10.1.81", other: bound("192.168.9.9", "net1.5", mac1)},
		{name: "an address of the subnet that EC2 refuses on an interface that is not required", first: "10.10.1.81", other: bound("10.10.1.99", "net1.5", mac1)},
		{name: "no address outside the subnet that IPAM gave", first: "10.10.1.81", other: bound("192.168.9.9", "net1", mac1), code: fault.CodeOutsideSubnet},
		{name: "no address outside the subnet that is the only one", other: bound("192.168.9.9", "net1", mac1), code: fault.CodeOutsideSubnet},
		{name: "no address that EC2 refuses and IPAM gave", first: "10.10.1.81", other: bound("10.10.1.99", "net1", mac1), code: "PrivateIpAddressLimitExceeded"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := newCloud(newVPC(), "eni-1"), newPod()
				c.refuse["10.10.1.99"] = permanent("10.10.1.99")
				if tt.first != "" {
					p.put(bound(tt.first, "net1", mac1))
				}
				before := manager(p, c, nil)
				stop := follow(t, before)
				time.Sleep(time.Second)
				p.put(tt.other)
				time.Sleep(time.Minute)
				_ = stop()
				after := manager(p, c, nil)
				stop = follow(t, after)
				time.Sleep(time.Minute)
				for when, m := range map[string]*ipmgr.Manager{"before": before, "after": after} {
					if err := m.Status().Err; fault.CodeOf(err) != tt.code {
						t.Errorf("%s a restart the status is %v, want code %q", when, err, tt.code)
					}
				}
				_ = stop()
			})
		})
	}
}

func TestOnceDoesNotForgiveALateAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod("10.10.1.81")
		p.put(late("192.168.9.9", "net1", mac1))
		err := manager(p, newCloud(newVPC(), "eni-1"), func(s *spec.Settings) { s.Interfaces = nil }).Once(t.Context())
		if fault.CodeOf(err) != fault.CodeOutsideSubnet {
			t.Errorf("error %v, want %s", err, fault.CodeOutsideSubnet)
		}
	})
}

func TestExcludedInterfacesAreNotTouched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		p := newPod("10.10.1.81")
		p.put(on("10.10.1.82", "eth0", "0a:00:00:00:00:07"))
		p.put(bound("10.10.1.83", "net2", mac1))
		m := manager(p, newCloud(v, "eni-1"), func(s *spec.Settings) { s.Exclude = []string{"lo", "eth0", "net2"} })
		if err := m.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantOwner(t, v, "10.10.1.81", "eni-1")
		wantOwner(t, v, "10.10.1.82", "")
		wantOwner(t, v, "10.10.1.83", "")
	})
}
