package ec2api

import (
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/lag"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
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
	PrivateDNSName  string              `xml:"privateDnsName,omitempty"`
	SourceDestCheck bool                `xml:"sourceDestCheck"`
	Groups          set[group]          `xml:"groupSet"`
	Attachment      *attachment         `xml:"attachment"`
	Association     *association        `xml:"association"`
	Addresses       set[privateAddress] `xml:"privateIpAddressesSet"`
	IPv6            set[ipv6Address]    `xml:"ipv6AddressesSet"`
	IPv4Prefixes    *set[ipv4Prefix]    `xml:"ipv4PrefixSet"`
	IPv6Prefixes    *set[ipv6Prefix]    `xml:"ipv6PrefixSet"`
	Type            string              `xml:"interfaceType"`
}

// worker is an instance together with the ENIs that Describe shows on it.
type worker struct {
	world.Instance
	enis []*world.ENI
}

func describeInstances(a *API, p query.Params) (reply, error) {
	filters, err := parseFilters(p, a.instanceFields(), func(w worker) map[string]string { return w.Tags })
	if err != nil {
		return nil, err
	}
	all := a.World.Instances(lag.Instances)
	if err := a.refuseUnpaginated(p, len(all)); err != nil {
		return nil, err
	}
	all, err = named(all, p.List("InstanceId"), func(in world.Instance) string { return in.ID },
		func(id string) error { return a.noInstance(id) })
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
		l := launch{ID: launchID(w), Owner: a.World.Account}
		l.Instances.Items = []instanceShape{a.instanceShape(w)}
		out.Reservations.Items = append(out.Reservations.Items, l)
	}
	return out, nil
}

// noInstance is the refusal of an id that Describe does not show, also when only
// the lag hides it.
func (a *API) noInstance(id string) error {
	if _, err := a.World.Instance(id); err != nil {
		return err
	}
	return apierr.New("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
}

// workers joins instances with their ENIs in one pass over the ENIs.
func (a *API) workers(instances []world.Instance) []worker {
	on := map[string][]*world.ENI{}
	for _, e := range a.World.ENIs(lag.Instances) {
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
