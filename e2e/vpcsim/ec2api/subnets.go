package ec2api

import (
	"slices"
	"strconv"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
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
	CIDR      string          `xml:"cidrBlock,omitempty"`
	IPv6      set[subnetIPv6] `xml:"ipv6CidrBlockAssociationSet"`
	Available int             `xml:"availableIpAddressCount"`
	Zone      string          `xml:"availabilityZone"`
	ZoneID    string          `xml:"availabilityZoneId"`
	Default   bool            `xml:"defaultForAz"`
	Public    bool            `xml:"mapPublicIpOnLaunch"`
	Outpost   bool            `xml:"mapCustomerOwnedIpOnLaunch"`
	Tags      set[tag]        `xml:"tagSet"`
	AutoIPv6  bool            `xml:"assignIpv6AddressOnCreation"`
	DNS64     bool            `xml:"enableDns64"`
	Native    bool            `xml:"ipv6Native"`
	DNSNames  launchNames     `xml:"privateDnsNameOptionsOnLaunch"`
	Blocked   string          `xml:"blockPublicAccessStates>internetGatewayBlockMode"`
}

// launchNames is how instances of a subnet are named.
type launchNames struct {
	Type string `xml:"hostnameType"`
	IPv4 bool   `xml:"enableResourceNameDnsARecord"`
	IPv6 bool   `xml:"enableResourceNameDnsAAAARecord"`
}

type subnetIPv6 struct {
	CIDR  string `xml:"ipv6CidrBlock"`
	ID    string `xml:"associationId"`
	State string `xml:"ipv6CidrBlockState>state"`
}

func describeSubnets(a *API, p query.Params) (reply, error) {
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
		ID: s.ID, State: "available", Owner: a.World.Account, VPC: a.World.VPCOf(s).ID,
		ARN:       "arn:aws:ec2:" + a.World.Region + ":" + a.World.Account + ":subnet/" + s.ID,
		Available: a.World.Available(s.ID), Zone: s.Zone, ZoneID: topology.ZoneID(a.World.Region, s.Zone),
		Tags: tagShapes(s.Tags), Native: !s.CIDR.IsValid(), AutoIPv6: !s.CIDR.IsValid(),
		DNSNames: launchNames{Type: "ip-name"}, Blocked: "off",
	}
	if out.Native {
		out.DNSNames = launchNames{Type: "resource-name", IPv6: true}
	} else {
		out.CIDR = s.CIDR.String()
	}
	if s.IPv6CIDR.IsValid() {
		out.IPv6.Items = []subnetIPv6{{CIDR: s.IPv6CIDR.String(), ID: "subnet-cidr-assoc-" + s.ID, State: "associated"}}
	}
	return out
}

// subnetFields are the filters of DescribeSubnets, with the names that they had
// before.
func (a *API) subnetFields() fields[topology.Subnet] {
	text := func(value func(subnetShape) string) func(topology.Subnet) []string {
		return func(s topology.Subnet) []string { return one(value(a.subnetShape(s))) }
	}
	truth := func(value func(subnetShape) bool) func(topology.Subnet) []string {
		return func(s topology.Subnet) []string { return one(strconv.FormatBool(value(a.subnetShape(s)))) }
	}
	ipv6 := func(value func(subnetIPv6) string) func(topology.Subnet) []string {
		return func(s topology.Subnet) []string {
			var out []string
			for _, block := range a.subnetShape(s).IPv6.Items {
				out = append(out, value(block))
			}
			return out
		}
	}
	out := fields[topology.Subnet]{
		"subnet-id":                  text(func(s subnetShape) string { return s.ID }),
		"subnet-arn":                 text(func(s subnetShape) string { return s.ARN }),
		"vpc-id":                     text(func(s subnetShape) string { return s.VPC }),
		"state":                      text(func(s subnetShape) string { return s.State }),
		"owner-id":                   text(func(s subnetShape) string { return s.Owner }),
		"availability-zone":          text(func(s subnetShape) string { return s.Zone }),
		"availability-zone-id":       text(func(s subnetShape) string { return s.ZoneID }),
		"available-ip-address-count": text(func(s subnetShape) string { return strconv.Itoa(s.Available) }),
		"cidr-block":                 text(func(s subnetShape) string { return s.CIDR }),
		"default-for-az":             truth(func(s subnetShape) bool { return s.Default }),
		"enable-dns64":               truth(func(s subnetShape) bool { return s.DNS64 }),
		"ipv6-native":                truth(func(s subnetShape) bool { return s.Native }),
		"map-public-ip-on-launch":    truth(func(s subnetShape) bool { return s.Public }),

		"map-customer-owned-ip-on-launch": truth(func(s subnetShape) bool { return s.Outpost }),
		"customer-owned-ipv4-pool":        none[topology.Subnet],
		"enable-lni-at-device-index":      none[topology.Subnet],
		"outpost-arn":                     none[topology.Subnet],

		"ipv6-cidr-block-association.ipv6-cidr-block": ipv6(func(b subnetIPv6) string { return b.CIDR }),
		"ipv6-cidr-block-association.association-id":  ipv6(func(b subnetIPv6) string { return b.ID }),
		"ipv6-cidr-block-association.state":           ipv6(func(b subnetIPv6) string { return b.State }),

		"private-dns-name-options-on-launch.hostname-type": text(func(s subnetShape) string { return s.DNSNames.Type }),
		"private-dns-name-options-on-launch.enable-resource-name-dns-a-record": truth(func(s subnetShape) bool {
			return s.DNSNames.IPv4
		}),
		"private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record": truth(func(s subnetShape) bool {
			return s.DNSNames.IPv6
		}),
	}
	for old, name := range map[string]string{
		"cidrBlock": "cidr-block", "cidr": "cidr-block", "availabilityZone": "availability-zone",
		"availabilityZoneId": "availability-zone-id", "defaultForAz": "default-for-az",
	} {
		out[old] = out[name]
	}
	return out
}
