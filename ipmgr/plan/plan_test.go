package plan_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

const (
	mac0 = "02:00:00:00:00:00"
	mac1 = "02:00:00:00:00:01"
	mac2 = "02:00:00:00:00:02"
)

func addr(ip, link, mac string) plan.Address {
	return plan.Address{Addr: netip.MustParseAddr(ip), Interface: link, MAC: mac}
}

// bound is an address of an ipvlan or host-device link.
func bound(ip, link, mac string) plan.Address {
	a := addr(ip, link, mac)
	a.Bound = true
	return a
}

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

func eni0() plan.ENI {
	return plan.ENI{ID: "eni-0", MAC: mac0, DeviceIndex: 0, Primary: netip.MustParseAddr("10.10.12.11"), Subnets: prefixes("10.10.12.0/24")}
}

func eni1(held ...string) plan.ENI {
	e := plan.ENI{ID: "eni-1", MAC: mac1, DeviceIndex: 1, Primary: netip.MustParseAddr("10.10.1.11"), Subnets: prefixes("10.10.1.0/24", "2600:1f13:0:1::/64")}
	for _, ip := range held {
		e.Addresses = append(e.Addresses, netip.MustParseAddr(ip))
	}
	return e
}

func eni2(held ...string) plan.ENI {
	e := eni1(held...)
	e.ID, e.MAC, e.DeviceIndex, e.Primary = "eni-2", mac2, 2, netip.MustParseAddr("10.10.1.12")
	return e
}

// outcome is a placement in one line's worth of fields.
type outcome struct {
	ENI                             string
	Shown, Fixed, TakeOver, Foreign bool
	Code                            string
}

func TestDiffPlacesAnAddress(t *testing.T) {
	unknown := eni1()
	unknown.Subnets = nil
	delegated := eni1()
	delegated.Prefixes = prefixes("10.10.1.80/28")
	tests := []struct {
		name   string
		addr   plan.Address
		others []plan.Address
		enis   []plan.ENI
		policy plan.Policy
		want   outcome
	}{
		{name: "on the ENI whose MAC its link has", addr: addr("10.10.1.81", "net1", mac2), enis: []plan.ENI{eni0(), eni1(), eni2()}, want: outcome{ENI: "eni-2"}},
		{name: "on the ENI whose subnet contains it when no MAC matches", addr: addr("10.10.1.81", "net1", "aa:00:00:00:00:01"), enis: []plan.ENI{eni0(), eni1()}, want: outcome{ENI: "eni-1"}},
		{name: "as a /32 like any other", addr: addr("10.10.1.200", "net1", mac1), enis: []plan.ENI{eni1()}, want: outcome{ENI: "eni-1"}},
		{name: "as IPv6", addr: addr("2600:1f13:0:1::81", "net1", mac1), enis: []plan.ENI{eni1()}, want: outcome{ENI: "eni-1"}},
		{name: "by MAC when the subnet is not known", addr: addr("10.10.1.81", "net1", mac1), enis: []plan.ENI{unknown}, want: outcome{ENI: "eni-1"}},
		{name: "as shown when the ENI holds it", addr: addr("10.10.1.81", "net1", mac1), enis: []plan.ENI{eni1("10.10.1.81")}, want: outcome{ENI: "eni-1", Shown: true}},
		{name: "as fixed when it is the ENI's primary", addr: addr("10.10.1.11", "net1", mac1), enis: []plan.ENI{eni1()}, want: outcome{ENI: "eni-1", Shown: true, Fixed: true}},
		{name: "as fixed inside a delegated prefix", addr: addr("10.10.1.81", "net1", mac1), enis: []plan.ENI{delegated}, want: outcome{ENI: "eni-1", Shown: true, Fixed: true}},
		{name: "of two ENIs in the subnet on the one that shows it", addr: addr("10.10.1.81", "vip", ""), enis: []plan.ENI{eni1(), eni2("10.10.1.81")}, want: outcome{ENI: "eni-2", Shown: true}},
		{name: "of two ENIs in the subnet on the one the pod uses", addr: addr("10.10.1.81", "vip", ""), others: []plan.Address{addr("10.10.1.90", "net1", mac2)}, enis: []plan.ENI{eni1(), eni2()}, want: outcome{ENI: "eni-2"}},
		{name: "of two unused ENIs in the subnet on the lower device index", addr: addr("10.10.1.81", "vip", ""), enis: []plan.ENI{eni2(), eni1()}, want: outcome{ENI: "eni-1"}},
		{name: "with leave to take it over inside the pools", addr: addr("10.10.1.81", "net1", mac1), enis: []plan.ENI{eni1()}, policy: plan.Policy{Pools: prefixes("10.10.1.64/26")}, want: outcome{ENI: "eni-1", TakeOver: true}},
		{name: "nowhere outside the pools", addr: addr("10.10.1.200", "net1", mac1), enis: []plan.ENI{eni1()}, policy: plan.Policy{Pools: prefixes("10.10.1.64/26")}, want: outcome{ENI: "eni-1", Code: fault.CodeOutsidePools}},
		{name: "nowhere outside the subnet of the ENI with its MAC", addr: addr("10.10.9.9", "net1", mac1), enis: []plan.ENI{eni1()}, want: outcome{ENI: "eni-1", Code: fault.CodeOutsideSubnet}},
		{name: "nowhere when only another ENI's subnet contains it", addr: addr("10.10.12.50", "net1", mac1), enis: []plan.ENI{eni0(), eni1()}, want: outcome{ENI: "eni-1", Code: fault.CodeOutsideSubnet}},
		{name: "nowhere when no ENI has to do with it and all must be placed", addr: addr("192.168.1.1", "net1", ""), enis: []plan.ENI{eni1()}, want: outcome{Code: fault.CodeNoENI}},
		{name: "nowhere when no ENI has to do with it and its interface is required", addr: addr("192.168.1.1", "net1", ""), enis: []plan.ENI{eni1()}, policy: plan.Policy{Required: []string{"net1"}}, want: outcome{Code: fault.CodeNoENI}},
		{name: "of an ipvlan link on the ENI with its MAC", addr: bound("10.10.1.81", "net1", mac2), enis: []plan.ENI{eni1(), eni2()}, want: outcome{ENI: "eni-2"}},
		{name: "of an ipvlan link whose ENI is gone not on another ENI of its subnet", addr: bound("10.10.1.81", "net1", mac2), enis: []plan.ENI{eni0(), eni1()}, want: outcome{Code: fault.CodeNoENI}},
		{name: "of an ipvlan link whose ENI is gone not even on one that shows it", addr: bound("10.10.1.81", "net1", mac2), enis: []plan.ENI{eni1("10.10.1.81")}, policy: plan.Policy{Pools: prefixes("10.10.1.64/26")}, want: outcome{Code: fault.CodeNoENI}},
		{name: "of an ipvlan link whose ENI is gone not as another ENI's primary", addr: bound("10.10.1.11", "net1", mac2), enis: []plan.ENI{eni1()}, want: outcome{Code: fault.CodeNoENI}},
		{name: "of an ipvlan link that is not required and whose ENI is gone as foreign", addr: bound("10.10.1.81", "net2", mac2), enis: []plan.ENI{eni1()}, policy: plan.Policy{Required: []string{"net1"}}, want: outcome{Foreign: true}},
		{name: "of an ENI's VLAN that is not required as foreign outside the subnet", addr: bound("192.168.9.9", "net1.5", mac1), enis: []plan.ENI{eni1()}, policy: plan.Policy{Required: []string{"net1"}}, want: outcome{ENI: "eni-1", Foreign: true}},
		{name: "as foreign on an interface that is not required", addr: addr("192.168.1.1", "net2", ""), enis: []plan.ENI{eni1()}, policy: plan.Policy{Required: []string{"net1"}}, want: outcome{Foreign: true}},
		{name: "on its ENI even on an interface that is not required", addr: addr("10.10.1.81", "net2", mac1), enis: []plan.ENI{eni1()}, policy: plan.Policy{Required: []string{"net1"}}, want: outcome{ENI: "eni-1"}},
		{name: "never on the worker's first ENI", addr: addr("10.10.12.50", "net1", mac0), enis: []plan.ENI{eni0()}, want: outcome{ENI: "eni-0", Code: fault.CodePrimaryENI}},
		{name: "on the worker's first ENI when a pool says so", addr: addr("10.10.12.50", "net1", mac0), enis: []plan.ENI{eni0()}, policy: plan.Policy{Pools: prefixes("10.10.12.48/28")}, want: outcome{ENI: "eni-0", TakeOver: true}},
		{name: "as foreign when only the first ENI's subnet contains it and nobody asks", addr: addr("10.10.12.50", "br0", ""), enis: []plan.ENI{eni0(), eni1()}, policy: plan.Policy{Required: []string{"net1"}}, want: outcome{ENI: "eni-0", Foreign: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := plan.Place(append([]plan.Address{tt.addr}, tt.others...), tt.enis, tt.policy)[0]
			if got.Address != tt.addr {
				t.Errorf("placement of %v, want of %v", got.Address, tt.addr)
			}
			summary := outcome{ENI: got.ENI.ID, Shown: got.Shown, Fixed: got.Fixed, TakeOver: got.TakeOver, Foreign: got.Foreign, Code: fault.CodeOf(got.Refused)}
			if diff := cmp.Diff(tt.want, summary); diff != "" {
				t.Errorf("placement (-want +got):\n%s", diff)
			}
			if got.Refused != nil && !fault.IsPermanent(got.Refused) {
				t.Errorf("refusal %v is not permanent", got.Refused)
			}
		})
	}
}

func TestDiffSaysWhichMACIsGone(t *testing.T) {
	err := plan.Place([]plan.Address{bound("10.10.1.81", "net1", mac2)}, []plan.ENI{eni1()}, plan.Policy{})[0].Refused
	for _, part := range []string{"10.10.1.81", "net1", mac2, "not attached", "delete the pod"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("refusal %v does not say %q", err, part)
		}
	}
}

func TestStepsAreOnePerENIAndFamily(t *testing.T) {
	enis := []plan.ENI{eni1(), eni2()}
	addrs := []plan.Address{
		addr("10.10.1.83", "net2", mac2),
		addr("10.10.1.82", "net1", mac1),
		addr("2600:1f13:0:1::81", "net1", mac1),
		addr("10.10.1.81", "net1", mac1),
		addr("10.10.1.11", "net1", mac1),  // the primary: fixed
		addr("192.168.7.7", "net1", mac1), // refused
	}
	type step struct {
		ENI   string
		Addrs []string
	}
	var got []step
	for _, s := range plan.Steps(plan.Place(addrs, enis, plan.Policy{})) {
		var ips []string
		for _, ip := range s.Addrs {
			ips = append(ips, ip.String())
		}
		got = append(got, step{s.ENI.ID, ips})
	}
	want := []step{
		{"eni-1", []string{"10.10.1.81", "10.10.1.82"}},
		{"eni-1", []string{"2600:1f13:0:1::81"}},
		{"eni-2", []string{"10.10.1.83"}},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestStepsIgnoreTheOrderOfAddresses(t *testing.T) {
	a, b := addr("10.10.1.81", "net1", mac1), addr("10.10.1.82", "net1", mac1)
	enis := []plan.ENI{eni1()}
	one := plan.Steps(plan.Place([]plan.Address{a, b}, enis, plan.Policy{}))
	two := plan.Steps(plan.Place([]plan.Address{b, a}, enis, plan.Policy{}))
	compare := cmp.Comparer(func(x, y netip.Addr) bool { return x == y })
	if diff := cmp.Diff(one, two, compare, cmp.Comparer(func(x, y netip.Prefix) bool { return x == y })); diff != "" {
		t.Errorf("steps differ with the order of addresses:\n%s", diff)
	}
}
