package eni_test

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

const (
	unassignOK = "UnassignPrivateIpAddresses ok"
	unassignNo = "UnassignPrivateIpAddresses InvalidParameterValue"
)

// w2eth1 is worker 2's Multus ENI as worker 2 would know it.
func w2eth1() plan.ENI {
	e := eth1()
	e.ID, e.MAC, e.Primary = "eni-w2-eth1", "02:00:00:00:02:01", addrs("10.10.1.12")[0]
	return e
}

func TestUnassign(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		addrs  []string
		deny   string
		faults []vpcsim.Fault
		want   outcome
		held   []string // of the family, afterwards
		calls  []string
	}{
		"what the ENI holds takes one call": {
			addrs: []string{"10.10.1.101", "10.10.1.102"}, held: []string{w2first, w2other}, calls: []string{unassignOK},
		},
		"IPv6": {
			addrs: []string{w2first, w2other}, held: []string{"10.10.1.101", "10.10.1.102"}, calls: []string{unassign6OK},
		},
		"what it does not hold is not an error": {
			addrs: []string{"10.10.1.70"}, held: []string{"10.10.1.101", "10.10.1.102", w2first, w2other},
			calls: []string{unassignNo, describeOK},
		},
		"what another ENI holds stays there": {
			addrs: []string{"10.10.1.101", "10.10.1.201"}, held: []string{"10.10.1.102", w2first, w2other},
			calls: []string{unassignNo, describeOK, unassignOK},
		},
		"another ENI's IPv6 address stays there": {
			addrs: []string{w2first, cniAddr}, held: []string{"10.10.1.101", "10.10.1.102", w2other},
			calls: []string{"UnassignIpv6Addresses InvalidParameterValue", describeOK, unassign6OK},
		},
		"without the right to describe": {
			addrs: []string{"10.10.1.70", "10.10.1.101", "10.10.1.201"}, deny: "DescribeNetworkInterfaces", held: []string{"10.10.1.102", w2first, w2other},
			calls: []string{unassignNo, "DescribeNetworkInterfaces UnauthorizedOperation", unassignNo, unassignOK, unassignNo},
		},
		"the primary address is never unassigned": {
			addrs: []string{"10.10.1.12", "10.10.1.101"}, want: outcome{fault.CodePrimaryAddress, true},
			held: []string{"10.10.1.101", "10.10.1.102", w2first, w2other},
		},
		"nothing": {held: []string{"10.10.1.101", "10.10.1.102", w2first, w2other}},
		"not authorised": {
			addrs: []string{"10.10.1.101"}, deny: "UnassignPrivateIpAddresses", want: outcome{"UnauthorizedOperation", true},
			held: []string{"10.10.1.101", "10.10.1.102", w2first, w2other}, calls: []string{"UnassignPrivateIpAddresses UnauthorizedOperation"},
		},
		"throttled": {
			addrs: []string{"10.10.1.101"}, faults: []vpcsim.Fault{{Action: "UnassignPrivateIpAddresses", Code: "RequestLimitExceeded", Status: 503}},
			want: outcome{"RequestLimitExceeded", false}, held: []string{"10.10.1.101", "10.10.1.102", w2first, w2other},
			calls: []string{"UnassignPrivateIpAddresses RequestLimitExceeded"},
		},
		"the look is throttled": {
			addrs: []string{"10.10.1.70"}, faults: []vpcsim.Fault{{Action: "DescribeNetworkInterfaces", Code: "RequestLimitExceeded", Status: 503}},
			want: outcome{"RequestLimitExceeded", false}, held: []string{"10.10.1.101", "10.10.1.102", w2first, w2other},
			calls: []string{unassignNo, "DescribeNetworkInterfaces RequestLimitExceeded"},
		},
		"refused although the ENI shows it": {
			addrs: []string{"10.10.1.101"}, faults: []vpcsim.Fault{{Action: "UnassignPrivateIpAddresses", Code: "InvalidParameterValue", Status: 400, Count: 2}},
			want: outcome{"InvalidParameterValue", false}, held: []string{"10.10.1.101", "10.10.1.102", w2first, w2other},
			calls: []string{unassignNo, describeOK, unassignNo},
		},
		"the ENI is gone": {
			addrs: []string{"10.10.1.101"}, faults: []vpcsim.Fault{{Action: "UnassignPrivateIpAddresses", Code: "InvalidNetworkInterfaceID.NotFound", Status: 400}},
			held: []string{"10.10.1.101", "10.10.1.102", w2first, w2other}, calls: []string{"UnassignPrivateIpAddresses InvalidNetworkInterfaceID.NotFound"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inVPC(t, nil, func(r *rig) {
				if test.deny != "" {
					r.set(`{"deny":["` + test.deny + `"]}`)
				}
				r.inject(test.faults...)
				err := r.cloud.Unassign(r.t.Context(), w2eth1(), addrs(test.addrs...))
				if diff := gocmp.Diff(test.want, outcomeOf(r.t, err)); diff != "" {
					r.t.Errorf("outcome (-want +got):\n%s", diff)
				}
				r.wantHoldings("eni-w2-eth1", test.held...)
				r.wantHoldings("eni-cni", "10.10.1.201", cniAddr)
				r.wantCalls(test.calls...)
			})
		})
	}
}

func TestUnassignWhoseAnswerWasLostCanBeRepeated(t *testing.T) {
	t.Parallel()
	inVPC(t, nil, func(r *rig) {
		r.inject(vpcsim.Fault{Action: "UnassignPrivateIpAddresses", Lose: true})
		if err := r.cloud.Unassign(r.t.Context(), w2eth1(), addrs("10.10.1.101")); err == nil || fault.IsPermanent(err) {
			r.t.Errorf("error %v, want a transient one", err)
		}
		if err := r.cloud.Unassign(r.t.Context(), w2eth1(), addrs("10.10.1.101")); err != nil {
			r.t.Errorf("repetition: %v, want success", err)
		}
		r.wantHoldings("eni-w2-eth1", "10.10.1.102", w2first, w2other)
	})
}
