package eni_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/fault"
)

// numbered returns n addresses of the Multus subnet from 10.10.1.30 on.
func numbered(n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("10.10.1.%d", 30+i))
	}
	return list
}

// failing is the same outcome for each address.
func failing(o outcome, list []string) map[string]outcome {
	all := map[string]outcome{}
	for _, addr := range list {
		all[addr] = o
	}
	return all
}

func TestAFullENICostsOneCallForEachFurtherTry(t *testing.T) {
	t.Parallel()
	full := outcome{Code: "PrivateIpAddressLimitExceeded", Permanent: true}
	inVPC(t, nil, func(r *rig) { // 14 of 40 fit
		list := numbered(40)
		failed := r.assign(true, list, failing(full, list[14:]))
		if calls := r.calls(); len(calls) > 10 {
			r.t.Errorf("%d calls, want a number that grows with the logarithm: %v", len(calls), calls)
		}
		for _, want := range []string{"15 addresses", "m5.xlarge", "fewer pods"} {
			if text := failed[netip.MustParseAddr(list[20])].Error(); !strings.Contains(text, want) {
				r.t.Errorf("fault %q does not speak of %q", text, want)
			}
		}
		for range 3 {
			again := r.assign(true, list[14:], failing(full, list[14:]))
			if text := again[netip.MustParseAddr(list[20])].Error(); !strings.Contains(text, "15 addresses") {
				r.t.Errorf("fault %q does not give the limit", text)
			}
			r.wantCalls(assignFull)
		}
		if err := r.cloud.Unassign(r.t.Context(), eth1(), addrs(list[:3]...)); err != nil {
			r.t.Fatal(err)
		}
		r.calls()
		r.assign(true, list[14:], failing(full, list[17:]))
		r.wantHoldings("eni-w1-eth1", list[3:17]...)
		if calls := r.calls(); len(calls) > 10 {
			r.t.Errorf("calls %v", calls)
		}
	})
}

func TestAFullENIIsAskedForAnAddressThatIsNew(t *testing.T) {
	t.Parallel()
	full := outcome{Code: "PrivateIpAddressLimitExceeded", Permanent: true}
	inVPC(t, nil, func(r *rig) {
		list := numbered(15)
		r.assign(true, list, failing(full, list[14:]))
		r.calls()
		// The first is on the ENI all the time, and nobody knew.
		r.assign(true, []string{list[0], list[14]}, failing(full, list[14:]))
		r.wantCalls(assignFull, describeOK)
	})
}

func TestManyAddressesThatEC2RefusesOneByOneCostABoundedNumberOfCalls(t *testing.T) {
	t.Parallel()
	large := func(s *setup) { s.topology = strings.ReplaceAll(s.topology, "m5.xlarge", "c5.18xlarge") }
	inVPC(t, large, func(r *rig) {
		var list []string
		for i := range 45 { // of another subnet, which the plan would have refused
			list = append(list, fmt.Sprintf("10.10.12.%d", 100+i))
		}
		failed := assignOf(r, stepInPools(list...))
		if calls := r.calls(); len(calls) > 40 {
			r.t.Errorf("%d calls", len(calls))
		}
		pending := 0
		for _, err := range failed {
			if fault.CodeOf(err) == fault.CodePending {
				pending++
			}
		}
		if pending == 0 {
			r.t.Error("no address is left for a later try")
		}
	})
}

func TestADenialSaysWhetherTheTagIsMissing(t *testing.T) {
	t.Parallel()
	const demand = `"requireTag":"node.k8s.amazonaws.com/no_manage=true"`
	untagged := func(s *setup) {
		s.topology = strings.Replace(s.topology, `primary: 10.10.1.11, tags: {node.k8s.amazonaws.com/no_manage: "true"}}`, `primary: 10.10.1.11}`, 1)
	}
	tests := map[string]struct {
		change   func(*setup)
		settings string
		speaks   string
	}{
		"the tag is missing":             {untagged, `{` + demand + `}`, "tag ENI eni-w1-eth1 node.k8s.amazonaws.com/no_manage=true"},
		"the right is missing":           {nil, `{"deny":["AssignPrivateIpAddresses"]}`, "that is not what is missing"},
		"the tag may not be looked at":   {untagged, `{` + demand + `,"deny":["DescribeNetworkInterfaces"]}`, "it cannot be looked at"},
		"the right is, and may not look": {nil, `{"deny":["AssignPrivateIpAddresses","DescribeNetworkInterfaces"]}`, "allow ec2:AssignPrivateIpAddresses on network-interface/eni-w1-eth1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inVPC(t, test.change, func(r *rig) {
				r.set(test.settings)
				for range 2 {
					failed := r.assign(true, []string{"10.10.1.70"}, map[string]outcome{"10.10.1.70": {"UnauthorizedOperation", true}})
					if err := failed[addrs("10.10.1.70")[0]]; err == nil || !strings.Contains(err.Error(), test.speaks) {
						r.t.Errorf("fault %v does not speak of %q", err, test.speaks)
					}
				}
				if calls := r.calls(); len(calls) != 3 {
					r.t.Errorf("calls %v, want one look for two denials", calls)
				}
			})
		})
	}
}

func TestManyAddressesAreLookedUpInSeveralCalls(t *testing.T) {
	t.Parallel()
	inVPC(t, nil, func(r *rig) {
		var list []string
		for i := range 250 {
			list = append(list, fmt.Sprintf("2600:1f13:0:1::%x", 0x100+i)) // ::101 is on worker 2, ::201 on the VPC CNI's
		}
		r.inject(vpcsim.Fault{Action: "AssignIpv6Addresses", Code: "InvalidParameterValue", Status: 400, Count: 1})
		_ = assignOf(r, step(list...))
		for _, call := range r.calls() {
			if strings.HasPrefix(call, "DescribeNetworkInterfaces") && call != describeOK {
				r.t.Errorf("call %s", call)
			}
		}
	})
}
