package ec2api

import (
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/world"
)

type placement struct {
	Zone    string `xml:"availabilityZone"`
	Group   string `xml:"groupName"`
	Tenancy string `xml:"tenancy"`
	ZoneID  string `xml:"availabilityZoneId"`
}

type metadataShape struct {
	State    string `xml:"state"`
	Tokens   string `xml:"httpTokens"`
	HopLimit int    `xml:"httpPutResponseHopLimit"`
	Endpoint string `xml:"httpEndpoint"`
	IPv6     string `xml:"httpProtocolIpv6"`
	Tags     string `xml:"instanceMetadataTags"`
}

// profile is an instance profile; here each role has one of its name.
type profile struct {
	ARN string `xml:"arn"`
	ID  string `xml:"id"`
}

// instanceShape is an instance as DescribeInstances shows it, in EC2's order of
// elements. What no test asks for has the value that a plain Linux worker has.
type instanceShape struct {
	ID                 string           `xml:"instanceId"`
	Image              string           `xml:"imageId"`
	State              state            `xml:"instanceState"`
	PrivateDNSName     string           `xml:"privateDnsName"`
	DNSName            string           `xml:"dnsName"`
	Reason             string           `xml:"reason"`
	LaunchIndex        int              `xml:"amiLaunchIndex"`
	ProductCodes       set[string]      `xml:"productCodes"`
	Type               string           `xml:"instanceType"`
	Launched           string           `xml:"launchTime"`
	Placement          placement        `xml:"placement"`
	Monitoring         string           `xml:"monitoring>state"`
	Subnet             string           `xml:"subnetId,omitempty"`
	VPC                string           `xml:"vpcId,omitempty"`
	PrivateAddress     string           `xml:"privateIpAddress,omitempty"`
	PublicAddress      string           `xml:"ipAddress,omitempty"`
	IPv6Address        string           `xml:"ipv6Address,omitempty"`
	SourceDestCheck    bool             `xml:"sourceDestCheck"`
	Groups             set[group]       `xml:"groupSet"`
	Architecture       string           `xml:"architecture"`
	RootDeviceType     string           `xml:"rootDeviceType"`
	RootDevice         string           `xml:"rootDeviceName"`
	BlockDevices       set[string]      `xml:"blockDeviceMapping"`
	Virtualization     string           `xml:"virtualizationType"`
	ClientToken        string           `xml:"clientToken"`
	Tags               set[tag]         `xml:"tagSet"`
	Hypervisor         string           `xml:"hypervisor"`
	ENIs               set[instanceENI] `xml:"networkInterfaceSet"`
	Profile            profile          `xml:"iamInstanceProfile"`
	EBSOptimized       bool             `xml:"ebsOptimized"`
	ENA                bool             `xml:"enaSupport"`
	CapacityPreference string           `xml:"capacityReservationSpecification>capacityReservationPreference"`
	Hibernation        bool             `xml:"hibernationOptions>configured"`
	Enclave            bool             `xml:"enclaveOptions>enabled"`
	Metadata           metadataShape    `xml:"metadataOptions"`
	AutoRecovery       string           `xml:"maintenanceOptions>autoRecovery"`
	BootMode           string           `xml:"currentInstanceBootMode"`
	Platform           string           `xml:"platformDetails"`
	Usage              string           `xml:"usageOperation"`
	UsageSince         string           `xml:"usageOperationUpdateTime"`
	DNSNames           launchNames      `xml:"privateDnsNameOptions"`
	Operator           operator         `xml:"operator"`
}

// launchID is the id of the launch that an instance was alone in.
func launchID(w worker) string { return "r-" + strings.TrimPrefix(w.ID, "i-") }

func (a *API) instanceShape(w worker) instanceShape {
	out := instanceShape{
		ID: w.ID, Image: "ami-0123456789abcdef0", State: state{topology.InstanceStates()[w.State], w.State}, Type: w.Type,
		Launched: stamp(w.Launched), Placement: placement{w.Zone, "", "default", topology.ZoneID(a.World.Region, w.Zone)},
		Monitoring: "disabled", Tags: tagShapes(w.Tags), Architecture: "x86_64", RootDeviceType: "ebs",
		RootDevice: "/dev/xvda", Virtualization: "hvm", Hypervisor: "xen", ENA: true, CapacityPreference: "open",
		Profile:  profile{"arn:aws:iam::" + a.World.Account + ":instance-profile/" + w.Role, "AIPAEXAMPLEEXAMPLE"},
		Metadata: metadataOptions(w.Metadata), AutoRecovery: "default", BootMode: "legacy-bios", Platform: "Linux/UNIX",
		Usage: "RunInstances", UsageSince: stamp(w.Launched), DNSNames: launchNames{Type: "ip-name"},
	}
	if main := w.main(); main != nil {
		a.showMain(&out, main)
	}
	for _, e := range w.enis {
		s := a.eniShape(e)
		s.Attachment.Instance, s.Attachment.InstanceOwner = "", ""
		out.ENIs.Items = append(out.ENIs.Items, instanceENI{
			ID: s.ID, Subnet: s.Subnet, VPC: s.VPC, Description: s.Description, Owner: s.Owner, Status: s.Status,
			MAC: s.MAC, Primary: s.Primary, PrivateDNSName: s.PrivateDNSName, SourceDestCheck: s.SourceDestCheck,
			Groups: s.Groups, Attachment: s.Attachment, Association: s.Association, Addresses: s.Addresses, IPv6: s.IPv6,
			IPv4Prefixes: s.IPv4Prefixes, IPv6Prefixes: s.IPv6Prefixes, Type: s.Type,
		})
	}
	return out
}

// showMain fills in what an instance has from its main ENI.
func (a *API) showMain(out *instanceShape, main *world.ENI) {
	s := a.eniShape(main)
	out.Subnet, out.VPC, out.SourceDestCheck, out.Groups = s.Subnet, s.VPC, s.SourceDestCheck, s.Groups
	out.PrivateAddress, out.PrivateDNSName, out.DNSName = s.Primary, s.PrivateDNSName, s.PublicDNSName
	if s.Association != nil {
		out.PublicAddress = s.Association.PublicIP
	}
	if len(main.IPv6) > 0 {
		out.IPv6Address = main.IPv6[0].String()
	}
	if !main.Primary.IsValid() {
		out.PrivateDNSName = out.ID + "." + topology.PrivateDomain(a.World.Region)
		out.DNSNames = launchNames{Type: "resource-name", IPv6: true}
	}
}

func metadataOptions(m world.Metadata) metadataShape {
	out := metadataShape{
		State: "applied", Tokens: "required", HopLimit: m.HopLimit, Endpoint: "enabled", IPv6: "disabled", Tags: "disabled",
	}
	if m.TokensOptional {
		out.Tokens = "optional"
	}
	if m.Disabled {
		out.Endpoint = "disabled"
	}
	return out
}
