package ec2api

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

type vpcsReply struct {
	Head
	VPCs      set[vpcShape] `xml:"vpcSet"`
	NextToken string        `xml:"nextToken,omitempty"`
}

type vpcShape struct {
	ID      string        `xml:"vpcId"`
	Owner   string        `xml:"ownerId"`
	State   string        `xml:"state"`
	CIDR    string        `xml:"cidrBlock"`
	IPv4    set[vpcBlock] `xml:"cidrBlockAssociationSet"`
	IPv6    set[vpcIPv6]  `xml:"ipv6CidrBlockAssociationSet"`
	DHCP    string        `xml:"dhcpOptionsId"`
	Tenancy string        `xml:"instanceTenancy"`
	Default bool          `xml:"isDefault"`
}

type vpcBlock struct {
	CIDR  string `xml:"cidrBlock"`
	ID    string `xml:"associationId"`
	State string `xml:"cidrBlockState>state"`
}

type vpcIPv6 struct {
	CIDR  string `xml:"ipv6CidrBlock"`
	ID    string `xml:"associationId"`
	State string `xml:"ipv6CidrBlockState>state"`
	Group string `xml:"networkBorderGroup"`
	Pool  string `xml:"ipv6Pool"`
}

func describeVPCs(a *API, p query.Params) (reply, error) {
	filters, err := parseFilters(p, a.vpcFields(), func(topology.VPC) map[string]string { return nil })
	if err != nil {
		return nil, err
	}
	id := func(v topology.VPC) string { return v.ID }
	vpcs, err := named(a.World.VPCs(), p.List("VpcId"), id, func(id string) error {
		return apierr.New("InvalidVpcID.NotFound", "The vpc ID '%s' does not exist", id)
	})
	if err != nil {
		return nil, err
	}
	vpcs = slices.DeleteFunc(vpcs, func(v topology.VPC) bool { return !passes(v, filters) })
	vpcs, next, err := page(a, p, vpcs, id, pageRule{min: 5, max: 1000, whole: 1000, ids: "VpcId"})
	if err != nil {
		return nil, err
	}
	out := &vpcsReply{NextToken: next}
	for _, v := range vpcs {
		out.VPCs.Items = append(out.VPCs.Items, a.vpcShape(v))
	}
	return out, nil
}

func (a *API) vpcShape(v topology.VPC) vpcShape {
	out := vpcShape{
		ID: v.ID, Owner: a.World.Account, State: "available", CIDR: v.CIDR.String(), DHCP: "dopt-0123456789abcdef0",
		Tenancy: "default",
	}
	association := func(p netip.Prefix) string { return "vpc-cidr-assoc-" + v.ID + "-" + p.String() }
	for _, p := range v.CIDRs(false) {
		out.IPv4.Items = append(out.IPv4.Items, vpcBlock{p.String(), association(p), "associated"})
	}
	for _, p := range v.CIDRs(true) {
		out.IPv6.Items = append(out.IPv6.Items, vpcIPv6{p.String(), association(p), "associated", a.World.Region, "Amazon"})
	}
	return out
}

func (a *API) vpcFields() fields[topology.VPC] {
	text := func(value func(vpcShape) string) func(topology.VPC) []string {
		return func(v topology.VPC) []string { return one(value(a.vpcShape(v))) }
	}
	ipv4 := func(value func(vpcBlock) string) func(topology.VPC) []string {
		return func(v topology.VPC) (all []string) {
			for _, b := range a.vpcShape(v).IPv4.Items {
				all = append(all, value(b))
			}
			return all
		}
	}
	ipv6 := func(value func(vpcIPv6) string) func(topology.VPC) []string {
		return func(v topology.VPC) (all []string) {
			for _, b := range a.vpcShape(v).IPv6.Items {
				all = append(all, value(b))
			}
			return all
		}
	}
	return fields[topology.VPC]{
		"cidr":            text(func(v vpcShape) string { return v.CIDR }),
		"dhcp-options-id": text(func(v vpcShape) string { return v.DHCP }),
		"is-default":      text(func(v vpcShape) string { return strconv.FormatBool(v.Default) }),
		"owner-id":        text(func(v vpcShape) string { return v.Owner }),
		"state":           text(func(v vpcShape) string { return v.State }),
		"vpc-id":          text(func(v vpcShape) string { return v.ID }),

		"cidr-block-association.cidr-block":           ipv4(func(b vpcBlock) string { return b.CIDR }),
		"cidr-block-association.association-id":       ipv4(func(b vpcBlock) string { return b.ID }),
		"cidr-block-association.state":                ipv4(func(b vpcBlock) string { return b.State }),
		"ipv6-cidr-block-association.ipv6-cidr-block": ipv6(func(b vpcIPv6) string { return b.CIDR }),
		"ipv6-cidr-block-association.ipv6-pool":       ipv6(func(b vpcIPv6) string { return b.Pool }),
		"ipv6-cidr-block-association.association-id":  ipv6(func(b vpcIPv6) string { return b.ID }),
		"ipv6-cidr-block-association.state":           ipv6(func(b vpcIPv6) string { return b.State }),
	}
}
