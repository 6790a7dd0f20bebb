package ec2api

import (
	"maps"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/world"
)

// reservationsPerPage is how many reservations EC2 returns when MaxResults is
// absent. The Go SDK has no paginator for this call.
const reservationsPerPage = 255

type reservationShape struct {
	ID          string   `xml:"subnetCidrReservationId"`
	Subnet      string   `xml:"subnetId"`
	CIDR        string   `xml:"cidr"`
	Type        string   `xml:"reservationType"`
	Owner       string   `xml:"ownerId"`
	Description string   `xml:"description,omitempty"`
	Tags        set[tag] `xml:"tagSet"`
}

type reservationsReply struct {
	Head
	IPv4      set[reservationShape] `xml:"subnetIpv4CidrReservationSet"`
	IPv6      set[reservationShape] `xml:"subnetIpv6CidrReservationSet"`
	NextToken string                `xml:"nextToken,omitempty"`
}

type createdReservation struct {
	Head
	Reservation reservationShape `xml:"subnetCidrReservation"`
}

type deletedReservation struct {
	Head
	Reservation reservationShape `xml:"deletedSubnetCidrReservation"`
}

func getReservations(a *API, p query.Params) (reply, error) {
	known := fields[topology.Reservation]{
		"reservationType": func(r topology.Reservation) []string { return one(string(r.Type)) },
		"subnet-id":       func(r topology.Reservation) []string { return one(r.Subnet) },
	}
	filters, err := parseFilters(p, known, func(r topology.Reservation) map[string]string { return r.Tags })
	if err != nil {
		return nil, err
	}
	list, err := a.World.Reservations(p["SubnetId"])
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(r topology.Reservation) bool { return !passes(r, filters) })
	list, next, err := page(a, p, list, func(r topology.Reservation) string { return r.ID }, pageRule{min: 5, max: 1000, whole: reservationsPerPage})
	if err != nil {
		return nil, err
	}
	out := &reservationsReply{NextToken: next}
	for _, r := range list {
		family := &out.IPv4
		if r.CIDR.Addr().Is6() {
			family = &out.IPv6
		}
		family.Items = append(family.Items, a.reservationShape(r))
	}
	return out, nil
}

func createReservation(a *API, p query.Params) (reply, error) {
	tags, err := specifiedTags(p, "subnet-cidr-reservation")
	if err != nil {
		return nil, err
	}
	r, err := a.World.Reserve(world.Reserve{
		Subnet: p["SubnetId"], CIDR: p["Cidr"], Type: p["ReservationType"], Description: p["Description"], Tags: tags,
	})
	return &createdReservation{Reservation: a.reservationShape(r)}, err
}

func deleteReservation(a *API, p query.Params) (reply, error) {
	r, err := a.World.Unreserve(p["SubnetCidrReservationId"])
	return &deletedReservation{Reservation: a.reservationShape(r)}, err
}

func (a *API) reservationShape(r topology.Reservation) reservationShape {
	return reservationShape{
		ID: r.ID, Subnet: r.Subnet, CIDR: r.CIDR.String(), Type: string(r.Type), Owner: a.World.Account,
		Description: r.Description, Tags: tagShapes(r.Tags),
	}
}

// specifiedTags reads TagSpecification.N, which may name the created kind only.
func specifiedTags(p query.Params, kind string) (map[string]string, error) {
	tags := map[string]string{}
	for _, spec := range p.Each("TagSpecification") {
		if spec["ResourceType"] != kind {
			return nil, apierr.Value("'%s' is not a valid taggable resource type for this operation.", spec["ResourceType"])
		}
		maps.Copy(tags, spec.Tags("Tag"))
	}
	return tags, nil
}
