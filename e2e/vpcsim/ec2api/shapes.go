package ec2api

import (
	"maps"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/world"
)

type tag struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

type group struct {
	ID   string `xml:"groupId"`
	Name string `xml:"groupName"`
}

type privateAddress struct {
	Address string `xml:"privateIpAddress"`
	Primary bool   `xml:"primary"`
}

type ipv6Address struct {
	Address string `xml:"ipv6Address"`
	Primary bool   `xml:"isPrimaryIpv6"`
}

type attachment struct {
	ID                  string `xml:"attachmentId"`
	At                  string `xml:"attachTime"`
	DeleteOnTermination bool   `xml:"deleteOnTermination"`
	DeviceIndex         int    `xml:"deviceIndex"`
	Instance            string `xml:"instanceId,omitempty"`
	InstanceOwner       string `xml:"instanceOwnerId,omitempty"`
	NetworkCard         int    `xml:"networkCardIndex"`
	Status              string `xml:"status"`
}

type operator struct {
	Managed         bool `xml:"managed"`
	HiddenByDefault bool `xml:"hiddenByDefault"`
}

// eniShape is an ENI as DescribeNetworkInterfaces shows it, in the element
// order that EC2 was seen to use.
type eniShape struct {
	ID               string              `xml:"networkInterfaceId"`
	Subnet           string              `xml:"subnetId"`
	VPC              string              `xml:"vpcId"`
	Zone             string              `xml:"availabilityZone"`
	Description      string              `xml:"description"`
	Owner            string              `xml:"ownerId"`
	RequesterManaged bool                `xml:"requesterManaged"`
	Status           string              `xml:"status"`
	MAC              string              `xml:"macAddress"`
	Primary          string              `xml:"privateIpAddress,omitempty"`
	SourceDestCheck  bool                `xml:"sourceDestCheck"`
	Groups           set[group]          `xml:"groupSet"`
	Attachment       *attachment         `xml:"attachment"`
	Tags             set[tag]            `xml:"tagSet"`
	Addresses        set[privateAddress] `xml:"privateIpAddressesSet"`
	IPv6             set[ipv6Address]    `xml:"ipv6AddressesSet"`
	IPv4Prefixes     set[ipv4Prefix]     `xml:"ipv4PrefixSet"`
	IPv6Prefixes     set[ipv6Prefix]     `xml:"ipv6PrefixSet"`
	Type             string              `xml:"interfaceType"`
	Operator         operator            `xml:"operator"`
	ZoneID           string              `xml:"availabilityZoneId"`
}

func (a *API) eniShape(e *world.ENI) eniShape {
	s, _ := a.World.Subnet(e.Subnet) // an ENI's subnet exists as long as the world
	out := eniShape{
		ID: e.ID, Subnet: e.Subnet, VPC: a.World.VPC.ID, Zone: s.Zone, Description: e.Description, Owner: e.Owner,
		Status: e.Status(), MAC: e.MAC, SourceDestCheck: e.SourceDestCheck, Groups: groupShapes(e.Groups),
		Tags: tagShapes(e.Tags), IPv4Prefixes: ipv4Prefixes(e.IPv4Prefixes), IPv6Prefixes: ipv6Prefixes(e.IPv6Prefixes),
		Type: "interface", ZoneID: topology.ZoneID(a.World.Region, s.Zone),
	}
	if e.Primary.IsValid() {
		out.Primary = e.Primary.String()
	}
	for i, addr := range e.IPv4() {
		out.Addresses.Items = append(out.Addresses.Items, privateAddress{addr.String(), i == 0 && out.Primary != ""})
	}
	for i, addr := range e.IPv6 {
		out.IPv6.Items = append(out.IPv6.Items, ipv6Address{addr.String(), i == 0 && e.PrimaryIPv6})
	}
	if at := e.Attachment; at != nil {
		out.Attachment = &attachment{
			ID: at.ID, At: stamp(at.At), DeleteOnTermination: at.DeleteOnTermination, DeviceIndex: at.DeviceIndex,
			Instance: at.Instance, InstanceOwner: a.World.Account, NetworkCard: at.NetworkCard, Status: "attached",
		}
	}
	return out
}

func tagShapes(tags map[string]string) set[tag] {
	var out set[tag]
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		out.Items = append(out.Items, tag{key, tags[key]})
	}
	return out
}

func groupShapes(ids []string) set[group] {
	var out set[group]
	for _, id := range ids {
		out.Items = append(out.Items, group{id, groupName(id)})
	}
	return out
}

// groupName names security groups after their id: the simulator has no more of
// them.
func groupName(id string) string {
	if id == topology.DefaultGroup {
		return "default"
	}
	return id
}
