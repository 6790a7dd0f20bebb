package reservation

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/controller/capacity"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// snapshot is a subnet as EC2 shows it.
type snapshot struct {
	subnet       vpc.Subnet
	reservations []vpc.Reservation
	enis         []vpc.ENI
	enisErr      error // why they are not known
	at           time.Time

	found *lookup       // of reservations; nil after a change of them
	held  capacity.Held // what the ENIs hold; nil until it is counted
}

// lookup finds reservations: with hundreds of them and as many objects, looking
// through all for each would be quadratic.
type lookup struct {
	ids  map[string]bool
	made map[madeFor]vpc.Reservation
}

// madeFor identifies a reservation that the controller made.
type madeFor struct{ uid, cidr string }

func (s *snapshot) lookup() *lookup {
	if s.found != nil {
		return s.found
	}
	s.found = &lookup{ids: make(map[string]bool, len(s.reservations)), made: map[madeFor]vpc.Reservation{}}
	for _, r := range s.reservations {
		s.found.ids[r.ID] = true
		if uid := r.Tags[TagUID]; uid != "" {
			s.found.made[madeFor{uid, r.CIDR.String()}] = r
		}
	}
	return s.found
}

// madeFor returns the reservation that the controller made for o, if there is
// one.
func (s *snapshot) madeFor(o *v1alpha1.ReservedCIDR) (vpc.Reservation, bool) {
	made, found := s.lookup().made[madeFor{string(o.UID), o.Spec.CIDR}]
	return made, found
}

// lacks reports whether the reservation that o shows, or holds by its
// finalizer, is not listed.
func (s *snapshot) lacks(o *v1alpha1.ReservedCIDR) bool {
	if controllerutil.ContainsFinalizer(o, Finalizer) {
		_, found := s.madeFor(o)
		return !found
	}
	return isMirror(o) && !s.lookup().ids[o.Name]
}

// count counts the addresses of a range, or returns nil if it is unknown
// which ENIs hold them.
func (s *snapshot) count(cidr netip.Prefix) *capacity.Count {
	if s.enisErr != nil {
		return nil
	}
	if s.held == nil {
		held := []netip.Prefix{}
		for i := range s.enis {
			held = append(append(held, s.enis[i].Addresses...), s.enis[i].Prefixes...)
		}
		s.held = capacity.NewHeld(held)
	}
	block, _ := s.subnet.Around(cidr)
	return new(s.held.Of(cidr, block))
}

// add adds those of another list that are not in the view: what either list has
// exists.
func (s *snapshot) add(listed []vpc.Reservation) {
	known := s.lookup().ids
	s.found = nil
	for _, reservation := range listed {
		if !known[reservation.ID] {
			s.reservations = append(s.reservations, reservation)
		}
	}
}

// forget drops a reservation that was deleted.
func (s *snapshot) forget(id string) {
	s.found = nil
	s.reservations = slices.DeleteFunc(s.reservations, func(r vpc.Reservation) bool { return r.ID == id })
}

// refuse returns the range that o wants, and why EC2 would not reserve it, as
// far as that is known in advance: EC2 has one error code for all causes.
func (s *snapshot) refuse(o *v1alpha1.ReservedCIDR) (netip.Prefix, refusal) {
	cidr, err := netip.ParsePrefix(o.Spec.CIDR)
	if err != nil { // the CRD's schema does not let this pass
		return cidr, refusal{ReasonRefused, err.Error()}
	}
	if _, inside := s.subnet.Around(cidr); !inside {
		return cidr, refusal{ReasonOutside, fmt.Sprintf("%s is not within subnet %s %v: delete this object and create one with a range of the subnet", cidr, s.subnet.ID, s.subnet.CIDRs)}
	}
	i := slices.IndexFunc(s.reservations, func(r vpc.Reservation) bool { return r.CIDR.Overlaps(cidr) })
	if i < 0 {
		return cidr, refusal{}
	}
	other := s.reservations[i]
	text := fmt.Sprintf("%s overlaps the reservation %s (%s, %s)", cidr, other.ID, other.CIDR, other.Type)
	switch {
	case other.Tags[TagName] == o.Name && other.CIDR == cidr:
		// Such as an object that was restored from a backup.
		text += fmt.Sprintf(", made for an earlier object of this name: hand it over with aws ec2 create-tags --resources %s --tags Key=%s,Value=%s", other.ID, TagUID, o.UID)
	case other.CIDR == cidr:
		text += fmt.Sprintf(", which ReservedCIDR %s shows: this object is not needed", other.ID)
	default:
		text += fmt.Sprintf(": choose another range, or first aws ec2 delete-subnet-cidr-reservation --subnet-cidr-reservation-id %s", other.ID)
	}
	return cidr, refusal{ReasonOverlap, text}
}
