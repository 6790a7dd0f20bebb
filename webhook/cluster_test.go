package webhook

import (
	"net/netip"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
)

func TestReservationsCountUnlessEC2DoesNotHoldThem(t *testing.T) {
	reserved := func(status metav1.ConditionStatus) []metav1.Condition {
		return []metav1.Condition{{Type: v1alpha1.ConditionReserved, Status: status}}
	}
	for _, c := range []struct {
		name       string
		spec       v1alpha1.ReservedCIDRSpec
		conditions []metav1.Condition
		want       bool
	}{
		{"a reservation of EC2", v1alpha1.ReservedCIDRSpec{CIDR: "10.10.1.64/26", Source: v1alpha1.AWS}, nil, true},
		{"one that was asked for a moment ago", v1alpha1.ReservedCIDRSpec{CIDR: "10.10.1.64/26", Create: true}, nil, true},
		{"one that was asked for and made", v1alpha1.ReservedCIDRSpec{CIDR: "10.10.1.64/26", Create: true}, reserved(metav1.ConditionTrue), true},
		{"one that was asked for and refused", v1alpha1.ReservedCIDRSpec{CIDR: "10.10.1.64/26", Create: true}, reserved(metav1.ConditionFalse), false},
		{"one that was written by hand, with a status of someone else", v1alpha1.ReservedCIDRSpec{CIDR: "10.10.1.64/26"}, reserved(metav1.ConditionFalse), true},
		{"one that cannot be read", v1alpha1.ReservedCIDRSpec{CIDR: "x"}, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := &v1alpha1.ReservedCIDR{Spec: c.spec, Status: v1alpha1.ReservedCIDRStatus{Conditions: c.conditions}}
			if _, err := reduceReservation(o); err != nil {
				t.Fatal(err)
			}
			got := reservationsOf([]v1alpha1.ReservedCIDR{*o})[0]
			if counts := got.CIDR == netip.MustParsePrefix("10.10.1.64/26"); counts != c.want {
				t.Errorf("reservation %+v, want it to count: %t", got, c.want)
			}
		})
	}
}
