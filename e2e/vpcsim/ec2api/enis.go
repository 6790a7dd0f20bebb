package ec2api

import (
	"slices"
	"strconv"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/lag"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/world"
)

type enisReply struct {
	Head
	ENIs      set[eniShape] `xml:"networkInterfaceSet"`
	NextToken string        `xml:"nextToken,omitempty"`
}

func describeENIs(a *API, p query.Params) (reply, error) {
	filters, err := parseFilters(p, a.eniFields(), func(e *world.ENI) map[string]string { return e.Tags })
	if err != nil {
		return nil, err
	}
	rule := pageRule{min: 5, max: 1000, whole: 1000, ids: "NetworkInterfaceId"}
	enis := a.World.ENIs(lag.Interfaces)
	if err := a.refuseUnpaginated(p, len(enis)); err != nil {
		return nil, err
	}
	enis, err = named(enis, p.List("NetworkInterfaceId"), func(e *world.ENI) string { return e.ID },
		func(id string) error { return a.noENI(id) })
	if err != nil {
		return nil, err
	}
	enis = slices.DeleteFunc(enis, func(e *world.ENI) bool { return !passes(e, filters) })
	enis, next, err := page(a, p, enis, func(e *world.ENI) string { return e.ID }, rule)
	if err != nil {
		return nil, err
	}
	out := &enisReply{NextToken: next}
	for _, e := range enis {
		out.ENIs.Items = append(out.ENIs.Items, a.eniShape(e))
	}
	return out, nil
}

// noENI is the refusal of an id that Describe does not show, also when the ENI
// exists already and only the lag hides it.
func (a *API) noENI(id string) error {
	if _, err := a.World.ENI(id); err != nil {
		return err
	}
	return apierr.New("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '%s' does not exist", id)
}

// refuseUnpaginated refuses to list everything in one page in a big account.
func (a *API) refuseUnpaginated(p query.Params, items int) error {
	limit := a.Settings.Get().UnpaginatedLimit
	if limit == 0 || items <= limit || !unbound(p) {
		return nil
	}
	return apierr.New("OperationNotPermitted", "Unpaginated calls are not permitted for this account. Use MaxResults.")
}

// named keeps the items with the given ids, all of them when there are none,
// and refuses an id that no item has.
func named[T any](items []T, ids []string, id func(T) string, missing func(string) error) ([]T, error) {
	if len(ids) == 0 {
		return items, nil
	}
	wanted, found := map[string]bool{}, map[string]bool{}
	for _, want := range ids {
		wanted[want] = true
	}
	items = slices.DeleteFunc(items, func(t T) bool {
		found[id(t)] = wanted[id(t)]
		return !wanted[id(t)]
	})
	for _, want := range ids {
		if !found[want] {
			return nil, missing(want)
		}
	}
	return items, nil
}

// eniFields are the filters of DescribeNetworkInterfaces.
func (a *API) eniFields() fields[*world.ENI] {
	return fields[*world.ENI]{
		"network-interface-id": func(e *world.ENI) []string { return one(e.ID) },
		"subnet-id":            func(e *world.ENI) []string { return one(e.Subnet) },
		"vpc-id":               func(e *world.ENI) []string { return one(a.eniShape(e).VPC) },
		"availability-zone":    func(e *world.ENI) []string { return one(a.eniShape(e).Zone) },
		"availability-zone-id": func(e *world.ENI) []string { return one(a.eniShape(e).ZoneID) },
		"description":          func(e *world.ENI) []string { return one(e.Description) },
		"owner-id":             func(e *world.ENI) []string { return one(e.Owner) },
		"status":               func(e *world.ENI) []string { return one(e.Status()) },
		"mac-address":          func(e *world.ENI) []string { return one(e.MAC) },
		"source-dest-check":    func(e *world.ENI) []string { return one(strconv.FormatBool(e.SourceDestCheck)) },
		"requester-id":         func(e *world.ENI) []string { return one(a.eniShape(e).Requester) },
		"requester-managed":    func(e *world.ENI) []string { return one(strconv.FormatBool(e.Requester != "")) },
		"interface-type":       func(e *world.ENI) []string { return one(e.Type) },
		"private-dns-name":     func(e *world.ENI) []string { return one(a.eniShape(e).PrivateDNSName) },
		"operator.managed":     func(*world.ENI) []string { return one("false") },
		"operator.principal":   none[*world.ENI],
		"group-id":             func(e *world.ENI) []string { return e.Groups },
		"group-name":           func(e *world.ENI) []string { return a.groupNames(e.Groups) },

		"private-ip-address":           a.privateIPField,
		"addresses.private-ip-address": func(e *world.ENI) []string { return addresses(e.IPv4()) },
		"addresses.primary":            primaries,
		"ipv6-addresses.ipv6-address":  func(e *world.ENI) []string { return addresses(e.IPv6) },

		"addresses.association.public-ip": a.public(func(p association) string { return p.PublicIP }),
		"addresses.association.owner-id":  a.public(func(p association) string { return p.Owner }),
		"association.public-ip":           a.public(func(p association) string { return p.PublicIP }),
		"association.public-dns-name":     a.public(func(p association) string { return p.DNSName }),
		"association.ip-owner-id":         a.public(func(p association) string { return p.Owner }),
		"association.allocation-id":       none[*world.ENI], // that of an Elastic IP address
		"association.association-id":      none[*world.ENI],

		"attachment.attachment-id":         attached(func(at *world.Attachment) string { return at.ID }),
		"attachment.instance-id":           attached(func(at *world.Attachment) string { return at.Instance }),
		"attachment.instance-owner-id":     attached(func(at *world.Attachment) string { return at.Owner }),
		"attachment.attach-time":           attached(func(at *world.Attachment) string { return stamp(at.At) }),
		"attachment.network-card-index":    attached(func(at *world.Attachment) string { return strconv.Itoa(at.NetworkCard) }),
		"attachment.device-index":          attached(func(at *world.Attachment) string { return strconv.Itoa(at.DeviceIndex) }),
		"attachment.status":                attached(func(at *world.Attachment) string { return at.Status }),
		"attachment.delete-on-termination": attached(func(at *world.Attachment) string { return strconv.FormatBool(at.DeleteOnTermination) }),
	}
}

// privateIPField is documented to match any private address and was found to
// match the primary only.
func (a *API) privateIPField(e *world.ENI) []string {
	if a.Settings.Get().PrivateIPFilterMatchesSecondaries || !e.Primary.IsValid() {
		return addresses(e.IPv4())
	}
	return one(e.Primary.String())
}

func primaries(e *world.ENI) []string {
	var out []string
	if e.Primary.IsValid() {
		out = append(out, "true")
	}
	if len(e.Secondaries) > 0 {
		out = append(out, "false")
	}
	return out
}

func attached(value func(*world.Attachment) string) func(*world.ENI) []string {
	return func(e *world.ENI) []string {
		if e.Attachment == nil {
			return nil
		}
		return one(value(e.Attachment))
	}
}

// public reads something of an ENI's public address.
func (a *API) public(value func(association) string) func(*world.ENI) []string {
	return func(e *world.ENI) []string {
		if p := a.association(e); p != nil {
			return one(value(*p))
		}
		return nil
	}
}

func (a *API) groupNames(ids []string) []string {
	var out []string
	for _, id := range ids {
		out = append(out, a.World.GroupName(id))
	}
	return out
}
