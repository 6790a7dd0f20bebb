package ec2api

import (
	"slices"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/world"
)

type instancesReply struct {
	Head
	Reservations set[launch] `xml:"reservationSet"`
	NextToken    string      `xml:"nextToken,omitempty"`
}

// launch is what EC2 calls a reservation of instances: those of one RunInstances
// call. Here each instance has its own.
type launch struct {
	ID        string             `xml:"reservationId"`
	Owner     string             `xml:"ownerId"`
	Groups    set[group]         `xml:"groupSet"`
	Instances set[instanceShape] `xml:"instancesSet"`
}

type state struct {
	Code int    `xml:"code"`
	Name string `xml:"name"`
}

type placement struct {
	Zone    string `xml:"availabilityZone"`
	Tenancy string `xml:"tenancy"`
}

type metadataShape struct {
	State    string `xml:"state"`
	Tokens   string `xml:"httpTokens"`
	HopLimit int    `xml:"httpPutResponseHopLimit"`
	Endpoint string `xml:"httpEndpoint"`
}

type instanceShape struct {
	ID              string           `xml:"instanceId"`
	Image           string           `xml:"imageId"`
	State           state            `xml:"instanceState"`
	PrivateDNSName  string           `xml:"privateDnsName"`
	DNSName         string           `xml:"dnsName"`
	Type            string           `xml:"instanceType"`
	Launched        string           `xml:"launchTime"`
	Placement       placement        `xml:"placement"`
	Subnet          string           `xml:"subnetId,omitempty"`
	VPC             string           `xml:"vpcId"`
	PrivateAddress  string           `xml:"privateIpAddress,omitempty"`
	SourceDestCheck bool             `xml:"sourceDestCheck"`
	Groups          set[group]       `xml:"groupSet"`
	Tags            set[tag]         `xml:"tagSet"`
	ENIs            set[instanceENI] `xml:"networkInterfaceSet"`
	Metadata        metadataShape    `xml:"metadataOptions"`
}

// instanceENI is an ENI as DescribeInstances nests it: with the attachment's
// instance left out.
type instanceENI struct {
	ID              string              `xml:"networkInterfaceId"`
	Subnet          string              `xml:"subnetId"`
	VPC             string              `xml:"vpcId"`
	Description     string              `xml:"description"`
	Owner           string              `xml:"ownerId"`
	Status          string              `xml:"status"`
	MAC             string              `xml:"macAddress"`
	Primary         string              `xml:"privateIpAddress,omitempty"`
	SourceDestCheck bool                `xml:"sourceDestCheck"`
	Groups          set[group]          `xml:"groupSet"`
	Attachment      *attachment         `xml:"attachment"`
	Addresses       set[privateAddress] `xml:"privateIpAddressesSet"`
	IPv6            set[ipv6Address]    `xml:"ipv6AddressesSet"`
	IPv4Prefixes    set[ipv4Prefix]     `xml:"ipv4PrefixSet"`
	IPv6Prefixes    set[ipv6Prefix]     `xml:"ipv6PrefixSet"`
	Type            string              `xml:"interfaceType"`
}

// worker is an instance together with the ENIs that Describe shows on it.
type worker struct {
	world.Instance
	enis []*world.ENI
}

func describeInstances(a *API, p Params) (reply, error) {
	filters, err := parseFilters(p, a.instanceFields(), func(w worker) map[string]string { return w.Tags })
	if err != nil {
		return nil, err
	}
	all := a.World.Instances()
	if err := a.refuseUnpaginated(p, len(all)); err != nil {
		return nil, err
	}
	all, err = named(all, p.List("InstanceId"), func(in world.Instance) string { return in.ID },
		func(id string) error { _, err := a.World.Instance(id); return err })
	if err != nil {
		return nil, err
	}
	workers := slices.DeleteFunc(a.workers(all), func(w worker) bool { return !passes(w, filters) })
	workers, next, err := page(a, p, workers, func(w worker) string { return w.ID }, pageRule{min: 5, max: 1000, whole: 1000, ids: "InstanceId"})
	if err != nil {
		return nil, err
	}
	out := &instancesReply{NextToken: next}
	for _, w := range workers {
		l := launch{ID: "r-" + strings.TrimPrefix(w.ID, "i-"), Owner: a.World.Account}
		l.Instances.Items = []instanceShape{a.instanceShape(w)}
		out.Reservations.Items = append(out.Reservations.Items, l)
	}
	return out, nil
}

// workers joins instances with their ENIs in one pass over the ENIs.
func (a *API) workers(instances []world.Instance) []worker {
	on := map[string][]*world.ENI{}
	for _, e := range a.World.ENIs(world.Describe) {
		if e.Attachment != nil {
			on[e.Attachment.Instance] = append(on[e.Attachment.Instance], e)
		}
	}
	out := make([]worker, len(instances))
	for i, in := range instances {
		out[i] = worker{in, on[in.ID]}
	}
	return out
}

// main returns the ENI at device index 0, or nil.
func (w worker) main() *world.ENI {
	i := slices.IndexFunc(w.enis, func(e *world.ENI) bool {
		return e.Attachment.DeviceIndex == 0 && e.Attachment.NetworkCard == 0
	})
	if i < 0 {
		return nil
	}
	return w.enis[i]
}

func (a *API) instanceShape(w worker) instanceShape {
	out := instanceShape{
		ID: w.ID, Image: "ami-0123456789abcdef0", State: state{16, "running"}, Type: w.Type, Launched: stamp(w.Launched),
		Placement: placement{w.Zone, "default"}, VPC: a.World.VPC.ID, Tags: tagShapes(w.Tags),
		Metadata: metadataOptions(w.Metadata),
	}
	if main := w.main(); main != nil {
		out.Subnet, out.SourceDestCheck, out.Groups = main.Subnet, main.SourceDestCheck, groupShapes(main.Groups)
		out.PrivateAddress = main.Primary.String()
		out.PrivateDNSName = topology.PrivateDNSName(a.World.Region, out.PrivateAddress)
	}
	for _, e := range w.enis {
		s := a.eniShape(e)
		s.Attachment.Instance, s.Attachment.InstanceOwner = "", ""
		out.ENIs.Items = append(out.ENIs.Items, instanceENI{
			ID: s.ID, Subnet: s.Subnet, VPC: s.VPC, Description: s.Description, Owner: s.Owner, Status: s.Status,
			MAC: s.MAC, Primary: s.Primary, SourceDestCheck: s.SourceDestCheck, Groups: s.Groups,
			Attachment: s.Attachment, Addresses: s.Addresses, IPv6: s.IPv6, IPv4Prefixes: s.IPv4Prefixes,
			IPv6Prefixes: s.IPv6Prefixes, Type: s.Type,
		})
	}
	return out
}

func metadataOptions(m world.Metadata) metadataShape {
	out := metadataShape{State: "applied", Tokens: "required", HopLimit: m.HopLimit, Endpoint: "enabled"}
	if m.TokensOptional {
		out.Tokens = "optional"
	}
	if m.Disabled {
		out.Endpoint = "disabled"
	}
	return out
}

// instanceFields are the filters of DescribeInstances; those of ENIs appear as
// network-interface.NAME.
func (a *API) instanceFields() fields[worker] {
	out := fields[worker]{
		"instance-id":         func(w worker) []string { return one(w.ID) },
		"instance-type":       func(w worker) []string { return one(w.Type) },
		"instance-state-name": func(worker) []string { return one("running") },
		"instance-state-code": func(worker) []string { return one("16") },
		"availability-zone":   func(w worker) []string { return one(w.Zone) },
		"vpc-id":              func(worker) []string { return one(a.World.VPC.ID) },
		"owner-id":            func(worker) []string { return one(a.World.Account) },
		"subnet-id":           func(w worker) []string { return one(a.instanceShape(w).Subnet) },
		"private-ip-address":  func(w worker) []string { return one(a.instanceShape(w).PrivateAddress) },
		"private-dns-name":    func(w worker) []string { return one(a.instanceShape(w).PrivateDNSName) },
	}
	for name, values := range a.eniFields() {
		out["network-interface."+name] = func(w worker) []string {
			var all []string
			for _, e := range w.enis {
				all = append(all, values(e)...)
			}
			return all
		}
	}
	return out
}
