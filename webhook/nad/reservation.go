package nad

import (
	"fmt"
	"net/netip"
	"strings"
)

// ReservationType is the purpose of a subnet CIDR reservation.
type ReservationType string

// The types of reservations, by EC2's names.
const (
	// Explicit means that EC2 assigns the addresses only when they are asked for.
	Explicit ReservationType = "explicit"
	// Prefix means that EC2 delegates prefixes from it.
	Prefix ReservationType = "prefix"
)

// Reservation is a subnet CIDR reservation.
type Reservation struct {
	CIDR netip.Prefix
	Type ReservationType
	// What is known about the subnet. Rules that need more report nothing.
	SubnetID   string
	SubnetCIDR netip.Prefix // of the same family as CIDR
	Zone       string       // availability zone
}

// ParseReservation reads a reservation as a ReservedCIDR object writes it. Of
// the texts only cidr has to be given; without a type it is Explicit.
func ParseReservation(cidr, reservationType, subnetID, subnetCIDR, zone string) (Reservation, error) {
	r := Reservation{Type: ReservationType(reservationType), SubnetID: subnetID, Zone: zone}
	var err error
	if r.CIDR, err = canonical(cidr); err != nil {
		return Reservation{}, err
	}
	if subnetCIDR != "" {
		if r.SubnetCIDR, err = canonical(subnetCIDR); err != nil {
			return Reservation{}, fmt.Errorf("subnet: %w", err)
		}
	}
	switch r.Type {
	case "":
		r.Type = Explicit
	case Explicit, Prefix:
	default:
		return Reservation{}, fmt.Errorf("type %q; want %q or %q", r.Type, Explicit, Prefix)
	}
	return r, nil
}

func canonical(text string) (netip.Prefix, error) {
	p, err := parseCIDR(text)
	if err == nil && p != p.Masked() {
		err = fmt.Errorf("%s has host bits set; write %s", p, p.Masked())
	}
	return p, err
}

// subnet is a subnet that reservations name.
type subnet struct {
	id   string
	cidr netip.Prefix
}

func (s subnet) String() string {
	if s.id == "" {
		return s.cidr.String()
	}
	return s.id + " (" + s.cidr.String() + ")"
}

// router returns the address of the VPC's router, the subnet's second address.
func (s subnet) router() netip.Addr { return s.cidr.Addr().Next() }

// reserved returns the addresses that AWS keeps: the first four and the last.
func (s subnet) reserved() []Range {
	all := RangeOf(s.cidr)
	fourth := all.First
	for range 3 {
		fourth = fourth.Next()
	}
	return []Range{{all.First, fourth}, {all.Last, all.Last}}
}

// subnets returns each known subnet once: by its id, where one is known.
func subnets(reservations []Reservation) []subnet {
	var list []subnet
	places := map[netip.Prefix]int{}
	for _, r := range reservations {
		s := subnet{r.SubnetID, r.SubnetCIDR.Masked()}
		if !r.SubnetCIDR.IsValid() {
			continue
		}
		switch i, known := places[s.cidr]; {
		case !known:
			places[s.cidr] = len(list)
			list = append(list, s)
		case list[i].id == "":
			list[i] = s
		}
	}
	return list
}

// ofType returns the addresses of all reservations of a type.
func ofType(reservations []Reservation, t ReservationType) []Range {
	var ranges []Range
	for _, r := range reservations {
		if r.Type == t {
			ranges = append(ranges, RangeOf(r.CIDR))
		}
	}
	return Union(ranges)
}

// Covering returns the explicit reservations that hold any of the ranges, and
// whether together they hold them all.
func Covering(ranges []Range, reservations []Reservation) (covering []Reservation, all bool) {
	ranges = Union(ranges)
	for _, r := range reservations {
		if r.Type == Explicit && RangeOf(r.CIDR).among(ranges) {
			covering = append(covering, r)
		}
	}
	return covering, len(Subtract(ranges, ofType(covering, Explicit))) == 0
}

// mostItems limits how many items a message lists.
const mostItems = 8

// joined writes ranges, subnets and so on as "a, b, c".
func joined[T interface{ String() string }](items []T) string {
	var texts []string
	for i, item := range items {
		if i == mostItems {
			texts = append(texts, fmt.Sprintf("%d more", len(items)-i))
			break
		}
		texts = append(texts, item.String())
	}
	return strings.Join(texts, ", ")
}
