package ec2api

import (
	"cmp"
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
	Address     string       `xml:"privateIpAddress"`
	DNSName     string       `xml:"privateDnsName,omitempty"`
	Primary     bool         `xml:"primary"`
	Association *association `xml:"association"`
}

// association is a public address.
type association struct {
	PublicIP string `xml:"publicIp"`
	DNSName  string `xml:"publicDnsName"`
	Owner    string `xml:"ipOwnerId"`
}

type ipv6Address struct {
	Address string `xml:"ipv6Address"`
	Primary bool   `xml:"isPrimaryIpv6"`
}

type attachment struct {
	ID                  string `xml:"attachmentId"`
	Instance            string `xml:"instanceId,omitempty"`
	InstanceOwner       string `xml:"instanceOwnerId,omitempty"`
	DeviceIndex         int    `xml:"deviceIndex"`
	Status              string `xml:"status"`
	At                  string `xml:"attachTime"`
	DeleteOnTermination bool   `xml:"deleteOnTermination"`
	NetworkCard         int    `xml:"networkCardIndex"`
}

type operator struct {
	Managed bool `xml:"managed"`
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
	Requester        string              `xml:"requesterId"`
	RequesterManaged bool                `xml:"requesterManaged"`
	Status           string              `xml:"status"`
	MAC              string              `xml:"macAddress"`
	Primary          string              `xml:"privateIpAddress,omitempty"`
	PrivateDNSName   string              `xml:"privateDnsName,omitempty"`
	PublicDNSName    string              `xml:"publicDnsName"`
	SourceDestCheck  bool                `xml:"sourceDestCheck"`
	Groups           set[group]          `xml:"groupSet"`
	Attachment       *attachment         `xml:"attachment"`
	Association      *association        `xml:"association"`
	Tags             set[tag]            `xml:"tagSet"`
	Addresses        set[privateAddress] `xml:"privateIpAddressesSet"`
	IPv6             set[ipv6Address]    `xml:"ipv6AddressesSet"`
	IPv4Prefixes     *set[ipv4Prefix]    `xml:"ipv4PrefixSet"`
	IPv6Prefixes     *set[ipv6Prefix]    `xml:"ipv6PrefixSet"`
	Type             string              `xml:"interfaceType"`
	Operator         operator            `xml:"operator"`
	ZoneID           string              `xml:"availabilityZoneId"`
}

// requester is who made an ENI that no service manages: a user of the account,
// here AWS's example of one.
const requester = "AIDACKCEVSQ6C2EXAMPLE"

func (a *API) eniShape(e *world.ENI) eniShape {
	s, _ := a.World.Subnet(e.Subnet) // an ENI's subnet exists as long as the world
	out := eniShape{
		ID: e.ID, Subnet: e.Subnet, VPC: a.World.VPCOf(s).ID, Zone: s.Zone, Description: e.Description, Owner: e.Owner,
		Requester: cmp.Or(e.Requester, requester), RequesterManaged: e.Requester != "",
		Status: e.Status(), MAC: e.MAC, SourceDestCheck: e.SourceDestCheck, Groups: a.groupShapes(e.Groups),
		Tags: tagShapes(e.Tags), IPv4Prefixes: someOf(ipv4Prefixes(e.IPv4Prefixes)), IPv6Prefixes: someOf(ipv6Prefixes(e.IPv6Prefixes)),
		Type: e.Type, ZoneID: topology.ZoneID(a.World.Region, s.Zone), Association: a.association(e),
	}
	if out.Association != nil {
		out.PublicDNSName = out.Association.DNSName
	}
	if e.Primary.IsValid() {
		out.Primary = e.Primary.String()
		out.PrivateDNSName = topology.PrivateDNSName(a.World.Region, out.Primary)
	}
	for _, addr := range e.IPv4() {
		shape := privateAddress{
			Address: addr.String(), DNSName: topology.PrivateDNSName(a.World.Region, addr.String()), Primary: addr == e.Primary,
		}
		if shape.Primary {
			shape.Association = out.Association
		}
		out.Addresses.Items = append(out.Addresses.Items, shape)
	}
	for i, addr := range e.IPv6 {
		out.IPv6.Items = append(out.IPv6.Items, ipv6Address{addr.String(), i == 0 && e.PrimaryIPv6})
	}
	if at := e.Attachment; at != nil {
		out.Attachment = &attachment{
			ID: at.ID, At: stamp(at.At), DeleteOnTermination: at.DeleteOnTermination, DeviceIndex: at.DeviceIndex,
			Instance: at.Instance, InstanceOwner: at.Owner, NetworkCard: at.NetworkCard, Status: at.Status,
		}
	}
	return out
}

// association returns the public address of an ENI, or nil.
func (a *API) association(e *world.ENI) *association {
	if !e.PublicIP.IsValid() {
		return nil
	}
	public := e.PublicIP.String()
	return &association{PublicIP: public, DNSName: topology.PublicDNSName(a.World.Region, public), Owner: "amazon"}
}

// someOf returns nil for an empty set, which EC2 leaves out.
func someOf[T any](s set[T]) *set[T] {
	if len(s.Items) == 0 {
		return nil
	}
	return &s
}

func tagShapes(tags map[string]string) set[tag] {
	var out set[tag]
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		out.Items = append(out.Items, tag{key, tags[key]})
	}
	return out
}

func (a *API) groupShapes(ids []string) set[group] {
	var out set[group]
	for _, id := range ids {
		out.Items = append(out.Items, group{id, a.World.GroupName(id)})
	}
	return out
}
