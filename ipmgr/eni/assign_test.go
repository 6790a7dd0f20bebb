package eni_test

import (
	"fmt"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/fault"
)

const (
	assignOK   = "AssignPrivateIpAddresses ok"
	assignNo   = "AssignPrivateIpAddresses InvalidParameterValue"
	assignFull = "AssignPrivateIpAddresses PrivateIpAddressLimitExceeded"
)

func TestAssign(t *testing.T) {
	t.Parallel()
	permanent := func(code string) outcome { return outcome{Code: code, Permanent: true} }
	tests := map[string]struct {
		takeOver bool
		addrs    []string
		failed   map[string]outcome
		held     []string // by our ENI afterwards
		calls    []string
	}{
		"free addresses take one call": {
			addrs: []string{"10.10.1.70", "10.10.1.71", "10.10.1.72"},
			held:  []string{"10.10.1.70", "10.10.1.71", "10.10.1.72"},
			calls: []string{assignOK},
		},
		"inside the pools, another worker's addresses take one call": {
			takeOver: true, addrs: []string{"10.10.1.70", "10.10.1.101", "10.10.1.201"},
			held:  []string{"10.10.1.70", "10.10.1.101", "10.10.1.201"},
			calls: []string{assignOK},
		},
		"without pools, an address of an ENI tagged no_manage is taken": {
			addrs: []string{"10.10.1.101"}, held: []string{"10.10.1.101"},
			calls: []string{assignNo, describeOK, assignOK},
		},
		"without pools, an address of the VPC CNI is not taken": {
			addrs: []string{"10.10.1.201"}, failed: map[string]outcome{"10.10.1.201": permanent(fault.CodeForeignOwner)},
			calls: []string{assignNo, describeOK},
		},
		"a free, a tagged ENI's and the VPC CNI's address in one step": {
			addrs:  []string{"10.10.1.70", "10.10.1.71", "10.10.1.101", "10.10.1.102", "10.10.1.201"},
			failed: map[string]outcome{"10.10.1.201": permanent(fault.CodeForeignOwner)},
			held:   []string{"10.10.1.70", "10.10.1.71", "10.10.1.101", "10.10.1.102"},
			calls:  []string{assignNo, describeOK, assignOK, assignOK},
		},
		"the primary address of another worker fails alone": {
			takeOver: true, addrs: []string{"10.10.1.12", "10.10.1.70", "10.10.1.71", "10.10.1.101"},
			failed: map[string]outcome{"10.10.1.12": permanent(fault.CodePrimaryAddress)},
			held:   []string{"10.10.1.70", "10.10.1.71", "10.10.1.101"},
			calls:  []string{assignNo, describeOK, assignOK},
		},
		"the primary address of a detached ENI": {
			addrs: []string{"10.10.1.19"}, failed: map[string]outcome{"10.10.1.19": permanent(fault.CodePrimaryAddress)},
			calls: []string{assignNo, describeOK},
		},
		"an address that AWS reserves, alone inside the pools": {
			takeOver: true, addrs: []string{"10.10.1.2"}, failed: map[string]outcome{"10.10.1.2": permanent("InvalidParameterValue")},
			calls: []string{assignNo, describeOK, describeOK},
		},
		"an address that AWS reserves fails alone": {
			addrs: []string{"10.10.1.2", "10.10.1.70"}, failed: map[string]outcome{"10.10.1.2": permanent("InvalidParameterValue")},
			held:  []string{"10.10.1.70"},
			calls: []string{assignNo, describeOK, assignNo, assignNo, assignOK, describeOK},
		},
		"an address of another subnet fails alone": {
			takeOver: true, addrs: []string{"10.10.1.70", "10.10.12.70"}, failed: map[string]outcome{"10.10.12.70": permanent("InvalidParameterValue")},
			held:  []string{"10.10.1.70"},
			calls: []string{assignNo, describeOK, assignOK, assignNo, describeOK},
		},
		"everything is bad in its own way": {
			addrs: []string{"10.10.1.2", "10.10.1.12", "10.10.1.201"},
			failed: map[string]outcome{
				"10.10.1.2": permanent("InvalidParameterValue"), "10.10.1.12": permanent(fault.CodePrimaryAddress), "10.10.1.201": permanent(fault.CodeForeignOwner),
			},
			calls: []string{assignNo, describeOK, assignNo, describeOK},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inVPC(t, nil, func(r *rig) {
				r.assign(test.takeOver, test.addrs, test.failed)
				r.wantHoldings("eni-w1-eth1", test.held...)
				r.wantCalls(test.calls...)
			})
		})
	}
}

func TestAssignTellsWhoHoldsAnAddress(t *testing.T) {
	t.Parallel()
	inVPC(t, nil, func(r *rig) {
		for addr, wants := range map[string][]string{
			"10.10.1.12":  {"10.10.1.12", "eni-w1-eth1", "primary address", "eni-w2-eth1", "i-worker2"},
			"10.10.1.201": {"10.10.1.201", "eni-w1-eth1", "eni-cni", "i-worker2", "IPMGR_POOLS", "no_manage=true"},
			"10.10.1.2":   {"10.10.1.2", "eni-w1-eth1", "InvalidParameterValue", "reserved range", "first four"},
		} {
			err := assignOf(r, step(addr))[addrs(addr)[0]]
			if err == nil {
				r.t.Errorf("%s was assigned", addr)
				continue
			}
			for _, want := range wants {
				if !strings.Contains(err.Error(), want) {
					r.t.Errorf("fault %q does not speak of %s", err, want)
				}
			}
		}
	})
}

func TestAssignOnAFullENI(t *testing.T) {
	t.Parallel()
	full := outcome{Code: "PrivateIpAddressLimitExceeded", Permanent: true}
	inVPC(t, nil, func(r *rig) { // m5.xlarge: 15 addresses an ENI, one is the primary
		var first []string
		for i := range 10 {
			first = append(first, fmt.Sprintf("10.10.1.%d", 30+i))
		}
		r.assign(true, first, nil)
		r.calls()

		// 4 slots are left. Two of the addresses are on the ENI already, which
		// the caller did not know.
		second := []string{"10.10.1.30", "10.10.1.31", "10.10.1.50", "10.10.1.51", "10.10.1.52", "10.10.1.53", "10.10.1.54", "10.10.1.55"}
		failed := r.assign(true, second, map[string]outcome{"10.10.1.54": full, "10.10.1.55": full})
		r.wantHoldings("eni-w1-eth1", append(first, "10.10.1.50", "10.10.1.51", "10.10.1.52", "10.10.1.53")...)
		r.wantCalls(assignFull, assignOK, assignOK, assignFull, describeOK)
		if err := failed[addrs("10.10.1.55")[0]]; err != nil && !strings.Contains(err.Error(), "fewer pods") {
			r.t.Errorf("fault %q does not say what to do", err)
		}

		r.assign(true, []string{"10.10.1.30", "10.10.1.50"}, nil)
		r.assign(true, []string{"10.10.1.60", "10.10.1.30"}, map[string]outcome{"10.10.1.60": full})
	})
}

// TestAssignWhereIAMProtectsAnOwner: whether IAM judges the ENI that loses an
// address is not known, so one that is protected must not fail the others.
func TestAssignWhereIAMProtectsAnOwner(t *testing.T) {
	t.Parallel()
	const no = "AssignPrivateIpAddresses UnauthorizedOperation"
	refused := outcome{Code: "UnauthorizedOperation", Permanent: true}
	protect := `{"requireTag":"node.k8s.amazonaws.com/no_manage=true","requireTagOnSource":true}`
	list := []string{"10.10.1.12", "10.10.1.70", "10.10.1.101", "10.10.1.201"}
	inVPC(t, nil, func(r *rig) {
		r.set(protect)
		r.assign(true, list, map[string]outcome{"10.10.1.12": {fault.CodePrimaryAddress, true}, "10.10.1.201": refused})
		r.wantHoldings("eni-w1-eth1", "10.10.1.70", "10.10.1.101")
		r.wantCalls(assignNo, describeOK, no, assignOK, no, describeOK, assignOK) // the third looks for the tag
	})
	inVPC(t, nil, func(r *rig) {
		r.set(strings.Replace(protect, "}", `,"deny":["DescribeNetworkInterfaces"]}`, 1))
		r.assign(true, list, map[string]outcome{"10.10.1.12": {"InvalidParameterValue", true}, "10.10.1.201": refused})
		r.wantHoldings("eni-w1-eth1", "10.10.1.70", "10.10.1.101")
	})
	inVPC(t, nil, func(r *rig) { // nothing of another ENI is wanted: our own is what we may not change
		r.set(`{"requireTag":"no-such-tag"}`)
		r.assign(true, []string{"10.10.1.70", "10.10.1.71"}, map[string]outcome{"10.10.1.70": refused, "10.10.1.71": refused})
		r.wantCalls(no, describeOK, describeOK) // for the owners, and for the tag
		r.assign(false, []string{"10.10.1.70", "10.10.1.71"}, map[string]outcome{"10.10.1.70": refused, "10.10.1.71": refused})
		r.assign(true, []string{free70, w2first}, map[string]outcome{free70: refused, w2first: refused})
		r.wantCalls(no, "AssignIpv6Addresses UnauthorizedOperation")
	})
}

func TestAssignOfAnAddressThatEC2WillNotMove(t *testing.T) {
	t.Parallel()
	elsewhere := func(s *setup) {
		s.topology = strings.Replace(s.topology, "primary: 10.10.1.19}", `primary: 10.10.1.19, secondaries: [10.10.1.119], owner: "999999999999"}`, 1)
	}
	for _, code := range []string{"InvalidIPAddress.InUse", "InvalidParameterValue"} {
		inVPC(t, elsewhere, func(r *rig) {
			r.set(`{"crossAccountMoveCode":"` + code + `"}`)
			failed := r.assign(true, []string{"10.10.1.70", "10.10.1.119"}, map[string]outcome{"10.10.1.119": {code, true}})
			if err := failed[addrs("10.10.1.119")[0]]; err != nil && !strings.Contains(err.Error(), "ENI eni-spare holds it") {
				r.t.Errorf("fault %q does not name the owner", err)
			}
			r.wantHoldings("eni-w1-eth1", "10.10.1.70")
		})
	}
}

func TestAssignWithoutTheRightToDescribe(t *testing.T) {
	t.Parallel()
	refused := outcome{Code: "InvalidParameterValue", Permanent: true}
	inVPC(t, nil, func(r *rig) {
		r.set(`{"deny":["DescribeNetworkInterfaces"]}`)
		r.assign(true, []string{"10.10.1.12", "10.10.1.70", "10.10.1.71", "10.10.1.101"}, map[string]outcome{"10.10.1.12": refused})
		r.wantHoldings("eni-w1-eth1", "10.10.1.70", "10.10.1.71", "10.10.1.101")
		failed := r.assign(false, []string{"10.10.1.102", "10.10.1.72", "10.10.1.201"}, map[string]outcome{"10.10.1.102": refused, "10.10.1.201": refused})
		r.wantHoldings("eni-w1-eth1", "10.10.1.70", "10.10.1.71", "10.10.1.72", "10.10.1.101")
		r.wantHoldings("eni-cni", "10.10.1.201", "2600:1f13:0:1::201")
		if err := failed[addrs("10.10.1.201")[0]]; err != nil && !strings.Contains(err.Error(), "move is not allowed") {
			r.t.Errorf("fault %q does not carry AWS's own words", err)
		}
	})
}

func TestAssignWhileDescribeFails(t *testing.T) {
	t.Parallel()
	inVPC(t, nil, func(r *rig) {
		r.inject(vpcsim.Fault{Action: "DescribeNetworkInterfaces", Code: "RequestLimitExceeded", Status: 503, Count: 2})
		r.assign(false, []string{"10.10.1.70", "10.10.1.101"}, map[string]outcome{"10.10.1.101": {Code: "InvalidParameterValue"}})
		r.wantHoldings("eni-w1-eth1", "10.10.1.70")
	})
}

func TestAssignFailures(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault  vpcsim.Fault
		want   outcome
		speaks string
	}{
		"throttled":                      {vpcsim.Fault{Code: "RequestLimitExceeded", Status: 503}, outcome{"RequestLimitExceeded", false}, "wait"},
		"throttled, the newer code":      {vpcsim.Fault{Code: "EC2ThrottledException", Status: 400}, outcome{"EC2ThrottledException", false}, "wait"},
		"EC2 fails":                      {vpcsim.Fault{Code: "InternalError", Status: 500}, outcome{"InternalError", false}, "internal error"},
		"EC2 is out of service":          {vpcsim.Fault{Code: "Unavailable", Status: 503}, outcome{"Unavailable", false}, ""},
		"a failure without a known code": {vpcsim.Fault{Code: "Surprise", Status: 502}, outcome{"Surprise", false}, ""},
		"a refusal without a known code": {vpcsim.Fault{Code: "Surprise", Status: 400, Count: -1}, outcome{"Surprise", false}, ""},
		"not authorised":                 {vpcsim.Fault{Code: "UnauthorizedOperation", Status: 403}, outcome{"UnauthorizedOperation", true}, "allow ec2:AssignPrivateIpAddresses on network-interface/eni-w1-eth1"},
		"bad credentials":                {vpcsim.Fault{Code: "AuthFailure", Status: 401}, outcome{"AuthFailure", true}, "service account"},
		"bad signature":                  {vpcsim.Fault{Code: "SignatureDoesNotMatch", Status: 403}, outcome{"SignatureDoesNotMatch", true}, "clock"},
		"expired credentials":            {vpcsim.Fault{Code: "ExpiredToken", Status: 400}, outcome{"ExpiredToken", false}, "credentials"},
		"the clock is wrong":             {vpcsim.Fault{Code: "RequestExpired", Status: 400}, outcome{"RequestExpired", false}, "clock"},
		"the ENI is gone":                {vpcsim.Fault{Code: "InvalidNetworkInterfaceID.NotFound", Status: 400}, outcome{"InvalidNetworkInterfaceID.NotFound", false}, "attach the ENI"},
		"the answer is lost":             {vpcsim.Fault{Lose: true}, outcome{fault.CodeUnreachable, false}, "endpoint"},
		"EC2 does not answer":            {vpcsim.Fault{Delay: 60e9}, outcome{fault.CodeUnreachable, false}, "in time"},
		"unsupported":                    {vpcsim.Fault{Code: "UnsupportedOperation", Status: 400}, outcome{"UnsupportedOperation", true}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inVPC(t, nil, func(r *rig) {
				test.fault.Action = "AssignPrivateIpAddresses"
				r.inject(test.fault)
				failed := r.assign(true, []string{"10.10.1.70", "10.10.1.71"}, map[string]outcome{"10.10.1.70": test.want, "10.10.1.71": test.want})
				for _, err := range failed {
					if !strings.Contains(err.Error(), test.speaks) {
						r.t.Errorf("fault %q does not speak of %q", err, test.speaks)
					}
				}
				r.calls()
				r.assign(true, []string{"10.10.1.70", "10.10.1.71"}, nil) // and the next try succeeds
				r.wantHoldings("eni-w1-eth1", "10.10.1.70", "10.10.1.71")
			})
		})
	}
}

func TestAssignSaysThatTheENIIsStale(t *testing.T) {
	t.Parallel()
	inVPC(t, nil, func(r *rig) {
		s := step("10.10.1.70")
		s.ENI.ID = "eni-deleted"
		if err := assignOf(r, s)[s.Addrs[0]]; !fault.IsStale(err) || fault.IsPermanent(err) {
			r.t.Errorf("fault %v, want one that is stale and transient", err)
		}
	})
}

func TestAssignOfAStepWithoutAddresses(t *testing.T) {
	t.Parallel()
	inVPC(t, nil, func(r *rig) {
		r.assign(true, nil, nil)
		r.wantCalls()
	})
}

// TestAddressesOfOtherVPCsAreNotOwners: without a VPC in the question, an
// account with several VPCs would answer with another VPC's ENI.
func TestOwnersAreLookedForInTheVPC(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*setup){nil, byEC2, hopLimit1} {
		inVPC(t, change, func(r *rig) {
			if _, err := r.cloud.Attached(r.t.Context(), onLink(macEth1, "10.10.1.101")); err != nil {
				r.t.Fatal(err)
			}
			r.calls()
			r.assign(false, []string{"10.10.1.101"}, nil)
			if _, err := r.cloud.Owner(r.t.Context(), addrs("10.10.1.101")[0]); err != nil {
				r.t.Fatal(err)
			}
			for _, call := range r.sim.Calls(false) {
				if call.Action == "DescribeNetworkInterfaces" && (call.Params["Filter.2.Name"] != "vpc-id" || call.Params["Filter.2.Value.1"] != "vpc-1") {
					r.t.Errorf("question without the VPC: %v", call.Params)
				}
			}
		})
	}
}

func TestOwner(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"10.10.1.101":        "eni-w2-eth1",
		"10.10.1.12":         "eni-w2-eth1",
		"10.10.1.19":         "eni-spare",
		"10.10.1.70":         "",
		"2600:1f13:0:1::201": "eni-cni",
		"2600:1f13:0:1::99":  "",
	}
	for addr, want := range tests {
		t.Run(addr, func(t *testing.T) {
			t.Parallel()
			inVPC(t, nil, func(r *rig) {
				got, err := r.cloud.Owner(r.t.Context(), addrs(addr)[0])
				if got.ENI != want || err != nil {
					r.t.Errorf("owner %v and error %v, want %q", got, err, want)
				}
				r.set(`{"deny":["DescribeNetworkInterfaces"]}`)
				_, err = r.cloud.Owner(r.t.Context(), addrs(addr)[0])
				if diff := gocmp.Diff(outcome{"UnauthorizedOperation", true}, outcomeOf(r.t, err)); diff != "" {
					r.t.Errorf("outcome (-want +got):\n%s", diff)
				}
			})
		})
	}
}
