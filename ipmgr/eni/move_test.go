package eni_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/fault"
)

const (
	assign6OK   = "AssignIpv6Addresses ok"
	assign6No   = "AssignIpv6Addresses InvalidParameterValue"
	assign6Used = "AssignIpv6Addresses in use" // by whatever code the simulator is told
	unassign6OK = "UnassignIpv6Addresses ok"

	free70  = "2600:1f13:0:1::70"
	free71  = "2600:1f13:0:1::71"
	w2first = "2600:1f13:0:1::101" // of worker 2's tagged ENI
	w2other = "2600:1f13:0:1::102"
	cniAddr = "2600:1f13:0:1::201" // of the VPC CNI's ENI
)

func TestAssignIPv6(t *testing.T) {
	t.Parallel()
	permanent := func(code string) outcome { return outcome{Code: code, Permanent: true} }
	tests := map[string]struct {
		takeOver bool
		addrs    []string
		failed   map[string]outcome
		held     []string
		calls    []string
	}{
		"free addresses take one call": {
			addrs: []string{free70, free71}, held: []string{free70, free71}, calls: []string{assign6OK},
		},
		"two addresses move with two calls more than the look": {
			addrs: []string{w2first, w2other}, held: []string{w2first, w2other},
			calls: []string{assign6Used, describeOK, unassign6OK, assign6OK},
		},
		"free addresses do not wait for those that move": {
			addrs: []string{free70, w2first}, held: []string{free70, w2first},
			calls: []string{assign6Used, describeOK, assign6OK, unassign6OK, assign6OK},
		},
		"without pools, an address of the VPC CNI is not taken": {
			addrs: []string{free70, cniAddr}, failed: map[string]outcome{cniAddr: permanent(fault.CodeForeignOwner)}, held: []string{free70},
			calls: []string{assign6Used, describeOK, assign6OK},
		},
		"inside the pools, each owner is asked for its own addresses only": {
			takeOver: true, addrs: []string{w2first, cniAddr}, held: []string{w2first, cniAddr},
			calls: []string{assign6Used, describeOK, unassign6OK, assign6OK, unassign6OK, assign6OK},
		},
		"an address of another subnet fails alone": {
			addrs: []string{free70, "2600:1f13:0:2::70"}, failed: map[string]outcome{"2600:1f13:0:2::70": permanent("InvalidParameterValue")}, held: []string{free70},
			calls: []string{assign6No, describeOK, assign6No, assign6OK, assign6No, describeOK},
		},
	}
	// What AWS answers to an address in use is not known: it must not matter.
	for _, code := range []string{"InvalidParameterValue", "InvalidIPAddress.InUse", "InvalidIpv6Address.InUse", "Surprise"} {
		for name, test := range tests {
			t.Run(code+"/"+name, func(t *testing.T) {
				t.Parallel()
				inVPC(t, nil, func(r *rig) {
					r.set(`{"ipv6InUseCode":"` + code + `"}`)
					r.assign(test.takeOver, test.addrs, test.failed)
					r.wantHoldings("eni-w1-eth1", test.held...)
					r.wantCalls(strings.Split(strings.ReplaceAll(strings.Join(test.calls, ","), "in use", code), ",")...)
				})
			})
		}
	}
}

func TestAssignIPv6Again(t *testing.T) {
	t.Parallel()
	for _, refuses := range []string{"false", "true"} {
		t.Run("EC2 refuses a repetition: "+refuses, func(t *testing.T) {
			t.Parallel()
			inVPC(t, nil, func(r *rig) {
				r.set(`{"ipv6RepeatError":` + refuses + `}`)
				r.assign(false, []string{free70}, nil)
				r.assign(false, []string{free70}, nil)
				r.assign(false, []string{free70, free71, w2first}, nil)
				r.wantHoldings("eni-w1-eth1", free70, free71, w2first)
			})
		})
	}
}

// TestIPv6IsPutBackWhenItCannotBeTaken covers the moment in which nobody has
// the address.
func TestIPv6IsPutBackWhenItCannotBeTaken(t *testing.T) {
	t.Parallel()
	assign := func(code string, status, count int) vpcsim.Fault {
		return vpcsim.Fault{Action: "AssignIpv6Addresses", Code: code, Status: status, Count: count}
	}
	tests := map[string]struct {
		faults []vpcsim.Fault // after the first refusal
		deny   string
		want   outcome
		owner  string // afterwards
	}{
		"throttled for a moment":                   {[]vpcsim.Fault{assign("RequestLimitExceeded", 503, 2)}, "", outcome{}, "eni-w1-eth1"},
		"throttled for long":                       {[]vpcsim.Fault{assign("RequestLimitExceeded", 503, 4)}, "", outcome{"RequestLimitExceeded", false}, "eni-w2-eth1"},
		"throttled for good":                       {[]vpcsim.Fault{assign("RequestLimitExceeded", 503, 99)}, "", outcome{"RequestLimitExceeded", false}, ""},
		"refused, not authorised for our ENI":      {[]vpcsim.Fault{assign("UnauthorizedOperation", 403, 1)}, "", outcome{"UnauthorizedOperation", true}, "eni-w2-eth1"},
		"refused, the ENI is full":                 {[]vpcsim.Fault{assign("PrivateIpAddressLimitExceeded", 400, 1)}, "", outcome{"PrivateIpAddressLimitExceeded", true}, "eni-w2-eth1"},
		"refused both times":                       {[]vpcsim.Fault{assign("UnauthorizedOperation", 403, 9)}, "", outcome{"UnauthorizedOperation", false}, ""},
		"assigned, and the answer is lost":         {[]vpcsim.Fault{{Action: "AssignIpv6Addresses", Lose: true}}, "", outcome{}, "eni-w1-eth1"},
		"unassigned, and the answer is lost":       {[]vpcsim.Fault{{Action: "UnassignIpv6Addresses", Lose: true}}, "", outcome{}, "eni-w1-eth1"},
		"unassign is throttled":                    {[]vpcsim.Fault{{Action: "UnassignIpv6Addresses", Code: "RequestLimitExceeded", Status: 503}}, "", outcome{"RequestLimitExceeded", false}, "eni-w2-eth1"},
		"unassign is not authorised":               {nil, "UnassignIpv6Addresses", outcome{"UnauthorizedOperation", true}, "eni-w2-eth1"},
		"unassign has no answer and no effect":     {[]vpcsim.Fault{{Action: "UnassignIpv6Addresses", Status: 500, Code: "InternalError", Delay: 60e9}}, "", outcome{fault.CodeUnreachable, false}, "eni-w2-eth1"},
		"unassign fails before it reaches EC2":     {[]vpcsim.Fault{{Action: "UnassignIpv6Addresses", Status: 500, Code: "InternalError"}}, "", outcome{"InternalError", false}, "eni-w2-eth1"},
		"the owner's ENI loses it at that instant": {[]vpcsim.Fault{{Action: "UnassignIpv6Addresses", Code: "InvalidParameterValue", Status: 400}}, "", outcome{"InvalidParameterValue", false}, "eni-w2-eth1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inVPC(t, nil, func(r *rig) {
				if test.deny != "" {
					r.set(`{"deny":["` + test.deny + `"]}`)
				}
				first := vpcsim.Fault{Action: "AssignIpv6Addresses", Code: "InvalidParameterValue", Status: 400}
				r.inject(append([]vpcsim.Fault{first}, test.faults...)...)
				want := map[string]outcome{}
				if test.want.Code != "" {
					want[w2first] = test.want
				}
				r.assign(true, []string{w2first}, want)
				r.wantOwner(w2first, test.owner)

				r.calls()
				r.set(`{"deny":[]}`)
				r.assign(true, []string{w2first}, nil) // and the next try succeeds from whatever is left
				r.wantOwner(w2first, "eni-w1-eth1")
			})
		})
	}
}

// wantOwner checks which ENI holds an address that is no primary.
func (r *rig) wantOwner(addr, want string) {
	r.t.Helper()
	got := ""
	for id, held := range r.holdings() {
		for _, a := range held {
			if a == addr {
				got = id
			}
		}
	}
	if got != want {
		r.t.Errorf("%s is on %q, want %q", addr, got, want)
	}
}

func TestIPv6IsPutBackAlthoughIPMGRIsEnding(t *testing.T) {
	t.Parallel()
	inVPC(t, nil, func(r *rig) {
		r.set(`{"latency":"100ms"}`)
		ctx, cancel := context.WithTimeout(r.t.Context(), 350*time.Millisecond) // within the assignment that follows the unassignment
		defer cancel()
		r.inject(
			vpcsim.Fault{Action: "AssignIpv6Addresses", Code: "InvalidParameterValue", Status: 400},
			vpcsim.Fault{Action: "AssignIpv6Addresses", Code: "RequestLimitExceeded", Status: 503, Delay: 1e9},
		)
		s := step(w2first)
		s.TakeOver = true
		failed, _ := r.cloud.Assign(ctx, s)
		if err := failed[s.Addrs[0]]; err == nil || fault.IsPermanent(err) || !strings.Contains(err.Error(), "put back on ENI eni-w2-eth1") {
			r.t.Errorf("fault %v, want a transient one that says the address was put back", err)
		}
		r.wantOwner(w2first, "eni-w2-eth1")
	})
}

func TestIPv6OfSeveralOwnersFailsApart(t *testing.T) {
	t.Parallel()
	inVPC(t, nil, func(r *rig) {
		r.inject(
			vpcsim.Fault{Action: "UnassignIpv6Addresses", Code: "UnauthorizedOperation", Status: 403},
		)
		failed := assignOf(r, stepInPools(w2first, w2other, cniAddr))
		if len(failed) != 1 && len(failed) != 2 { // whichever owner was first
			r.t.Errorf("failed: %v, want the addresses of one owner", failed)
		}
		for addr, err := range failed {
			if !strings.Contains(err.Error(), "taking it from ENI ") {
				r.t.Errorf("fault of %s is %q, want the owner named", addr, err)
			}
		}
		if held := r.holdings()["eni-w1-eth1"]; len(held)+len(failed) != 3 {
			r.t.Errorf("our ENI holds %v and %v failed", held, failed)
		}
	})
}

func TestIPv6OnAFullENI(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"PrivateIpAddressLimitExceeded", "Ipv6AddressLimitExceeded"} {
		inVPC(t, nil, func(r *rig) { // m5.xlarge: 15 IPv6 addresses an ENI
			r.set(`{"ipv6LimitCode":"` + code + `"}`)
			var first []string
			for _, digit := range "123456789abcd" {
				first = append(first, "2600:1f13:0:1::a"+string(digit))
			}
			r.assign(false, first, nil)
			full := outcome{Code: code, Permanent: true}
			r.assign(true, []string{w2first, free70, free71}, map[string]outcome{w2first: full})
			r.wantOwner(w2first, "eni-w2-eth1")
			r.wantOwner(free71, "eni-w1-eth1")
		})
	}
}

func TestAFaultOfIPv6IsOfThisPackage(t *testing.T) {
	t.Parallel()
	inVPC(t, nil, func(r *rig) {
		r.set(`{"ec2":"refused"}`)
		r.assign(true, []string{free70}, map[string]outcome{free70: {Code: fault.CodeUnreachable}})
	})
}
