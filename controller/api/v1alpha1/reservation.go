package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// Counts reports whether the object counts as a reservation. One that asks for
// a reservation counts until the controller says that EC2 does not hold it:
// networks are often applied together with it.
func (o *ReservedCIDR) Counts() bool {
	return !o.Spec.Create || !meta.IsStatusConditionFalse(o.Status.Conditions, ConditionReserved)
}

// Reservation returns what the object reserves, for the checks of networks. An
// object that does not count is the zero Reservation, which covers nothing: it
// stays in the list, because an empty list means that nothing is known. So is
// one that the schema of the CustomResourceDefinition would have refused, and
// the error says why.
func (o *ReservedCIDR) Reservation() (nad.Reservation, error) {
	s := &o.Spec
	r, err := nad.ParseReservation(s.CIDR, string(s.Type), s.SubnetID, s.SubnetCIDR, s.AvailabilityZone)
	if err != nil || !o.Counts() {
		return nad.Reservation{}, err
	}
	return r, nil
}
