package v1alpha1_test

import (
	"net/netip"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

func TestAReservedCIDRIsReadOnce(t *testing.T) {
	said := func(kind string, status metav1.ConditionStatus) v1alpha1.ReservedCIDRStatus {
		return v1alpha1.ReservedCIDRStatus{Conditions: []metav1.Condition{{Type: kind, Status: status}}}
	}
	plain := nad.Reservation{CIDR: netip.MustParsePrefix("10.0.1.64/26"), Type: nad.Explicit}
	for _, c := range []struct {
		name   string
		spec   v1alpha1.ReservedCIDRSpec
		status v1alpha1.ReservedCIDRStatus
		want   nad.Reservation
		wrong  bool
	}{
		{name: "a range is all that is needed", spec: v1alpha1.ReservedCIDRSpec{CIDR: "10.0.1.64/26"}, want: plain},
		{
			name: "all that is known of the range is kept",
			spec: v1alpha1.ReservedCIDRSpec{CIDR: "10.0.1.64/26", Type: v1alpha1.Prefix, SubnetID: "subnet-a", SubnetCIDR: "10.0.1.0/24", AvailabilityZone: "us-west-2a", Source: v1alpha1.AWS},
			want: nad.Reservation{CIDR: plain.CIDR, Type: nad.Prefix, SubnetID: "subnet-a", SubnetCIDR: netip.MustParsePrefix("10.0.1.0/24"), Zone: "us-west-2a"},
		},
		{name: "one that was asked for counts until the controller has looked", spec: v1alpha1.ReservedCIDRSpec{CIDR: "10.0.1.64/26", Create: true}, want: plain},
		{name: "one that was asked for and made counts", spec: v1alpha1.ReservedCIDRSpec{CIDR: "10.0.1.64/26", Create: true}, status: said(v1alpha1.ConditionReserved, metav1.ConditionTrue), want: plain},
		{name: "one of which EC2 is asked still counts", spec: v1alpha1.ReservedCIDRSpec{CIDR: "10.0.1.64/26", Create: true}, status: said(v1alpha1.ConditionReserved, metav1.ConditionUnknown), want: plain},
		{name: "one that was asked for and refused covers nothing", spec: v1alpha1.ReservedCIDRSpec{CIDR: "10.0.1.64/26", Create: true}, status: said(v1alpha1.ConditionReserved, metav1.ConditionFalse)},
		{name: "one whose figures are old counts", spec: v1alpha1.ReservedCIDRSpec{CIDR: "10.0.1.64/26", Create: true}, status: said(v1alpha1.ConditionSynced, metav1.ConditionFalse), want: plain},
		{name: "one that nobody asked for counts whatever its status says", spec: v1alpha1.ReservedCIDRSpec{CIDR: "10.0.1.64/26"}, status: said(v1alpha1.ConditionReserved, metav1.ConditionFalse), want: plain},
		{name: "a range that cannot be read covers nothing", spec: v1alpha1.ReservedCIDRSpec{CIDR: "x"}, wrong: true},
		{name: "a subnet that cannot be read makes it unusable", spec: v1alpha1.ReservedCIDRSpec{CIDR: "10.0.1.64/26", SubnetCIDR: "10.0.1.1/24"}, wrong: true},
		{name: "a type that EC2 does not have makes it unusable", spec: v1alpha1.ReservedCIDRSpec{CIDR: "10.0.1.64/26", Type: "implicit"}, wrong: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := v1alpha1.ReservedCIDR{Spec: c.spec, Status: c.status}
			got, err := o.Reservation()
			if (err != nil) != c.wrong {
				t.Errorf("error %v, want one: %t", err, c.wrong)
			}
			if diff := gocmp.Diff(c.want, got, gocmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
				t.Errorf("reservation (-want +got):\n%s", diff)
			}
		})
	}
}
