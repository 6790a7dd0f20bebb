package ec2api

import (
	"slices"
	"strconv"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

type subnetsReply struct {
	Head
	Subnets   set[subnetShape] `xml:"subnetSet"`
	NextToken string           `xml:"nextToken,omitempty"`
}

type subnetShape struct {
	ID        string          `xml:"subnetId"`
	ARN       string          `xml:"subnetArn"`
	State     string          `xml:"state"`
	Owner     string          `xml:"ownerId"`
	VPC       string          `xml:"vpcId"`
	CIDR      string          `xml:"cidrBlock"`
	IPv6      set[subnetIPv6] `xml:"ipv6CidrBlockAssociationSet"`
	Available int             `xml:"availableIpAddressCount"`
	Zone      string          `xml:"availabilityZone"`
	ZoneID    string          `xml:"availabilityZoneId"`
	Default   bool            `xml:"defaultForAz"`
	Public    bool            `xml:"mapPublicIpOnLaunch"`
	AutoIPv6  bool            `xml:"assignIpv6AddressOnCreation"`
	Tags      set[tag]        `xml:"tagSet"`
}

type subnetIPv6 struct {
	CIDR  string `xml:"ipv6CidrBlock"`
	ID    string `xml:"associationId"`
	State string `xml:"ipv6CidrBlockState>state"`
}

func describeSubnets(a *API, p Params) (reply, error) {
	filters, err := parseFilters(p, a.subnetFields(), func(s topology.Subnet) map[string]string { return s.Tags })
	if err != nil {
		return nil, err
	}
	subnets, err := named(a.World.Subnets(), p.List("SubnetId"), func(s topology.Subnet) string { return s.ID },
		func(id string) error { _, err := a.World.Subnet(id); return err })
	if err != nil {
		return nil, err
	}
	subnets = slices.DeleteFunc(subnets, func(s topology.Subnet) bool { return !passes(s, filters) })
	subnets, next, err := page(a, p, subnets, func(s topology.Subnet) string { return s.ID }, pageRule{min: 5, max: 1000, whole: 1000})
	if err != nil {
		return nil, err
	}
	out := &subnetsReply{NextToken: next}
	for _, s := range subnets {
		out.Subnets.Items = append(out.Subnets.Items, a.subnetShape(s))
	}
	return out, nil
}

func (a *API) subnetShape(s topology.Subnet) subnetShape {
	out := subnetShape{
		ID: s.ID, State: "available", Owner: a.World.Account, VPC: a.World.VPC.ID, CIDR: s.CIDR.String(),
		ARN:       "arn:aws:ec2:" + a.World.Region + ":" + a.World.Account + ":subnet/" + s.ID,
		Available: a.World.Available(s.ID), Zone: s.Zone, ZoneID: topology.ZoneID(a.World.Region, s.Zone),
		Tags: tagShapes(s.Tags),
	}
	if s.IPv6CIDR.IsValid() {
		out.IPv6.Items = []subnetIPv6{{CIDR: s.IPv6CIDR.String(), ID: "subnet-cidr-assoc-" + s.ID, State: "associated"}}
	}
	return out
}

func (a *API) subnetFields() fields[topology.Subnet] {
	cidr := func(s topology.Subnet) []string { return one(s.CIDR.String()) }
	ipv6 := func(s topology.Subnet) []string {
		if !s.IPv6CIDR.IsValid() {
			return nil
		}
		return one(s.IPv6CIDR.String())
	}
	return fields[topology.Subnet]{
		"subnet-id":                  func(s topology.Subnet) []string { return one(s.ID) },
		"vpc-id":                     func(topology.Subnet) []string { return one(a.World.VPC.ID) },
		"state":                      func(topology.Subnet) []string { return one("available") },
		"owner-id":                   func(topology.Subnet) []string { return one(a.World.Account) },
		"availability-zone":          func(s topology.Subnet) []string { return one(s.Zone) },
		"availability-zone-id":       func(s topology.Subnet) []string { return one(topology.ZoneID(a.World.Region, s.Zone)) },
		"available-ip-address-count": func(s topology.Subnet) []string { return one(strconv.Itoa(a.World.Available(s.ID))) },
		"cidr-block":                 cidr,
		"cidrBlock":                  cidr,
		"cidr":                       cidr,
		"ipv6-cidr-block-association.ipv6-cidr-block": ipv6,
	}
}
