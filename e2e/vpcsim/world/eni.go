package world

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

// ENI is one version of an elastic network interface. Versions are shared
// between readers: nobody may change one.
type ENI struct {
	ID, Subnet, MAC, Description string
	// Owner is the account that owns the ENI.
	Owner   string
	Primary netip.Addr
	// Secondaries are in the order of their assignment, as EC2 and IMDS show
	// them.
	Secondaries []netip.Addr
	IPv6        []netip.Addr
	// PrimaryIPv6 marks the first of IPv6 as primary: it cannot be unassigned.
	PrimaryIPv6                bool
	IPv4Prefixes, IPv6Prefixes []netip.Prefix
	Tags                       map[string]string
	Groups                     []string
	SourceDestCheck            bool
	// PublicIP is the public address of the primary one; invalid without.
	PublicIP netip.Addr
	// Requester is the AWS service that made and manages the ENI, or "".
	Requester string
	// Type is EC2's interface type.
	Type string
	// Attachment is nil while the ENI is attached to no instance.
	Attachment *Attachment
}

// Attachment is the place of an ENI on an instance. That of an AWS service has
// no instance that the account sees.
type Attachment struct {
	ID, Instance string
	// Owner is the account, or the service, that owns the instance.
	Owner                    string
	DeviceIndex, NetworkCard int
	At                       time.Time
	DeleteOnTermination      bool
	// Status is EC2's word for how far it is.
	Status string
}

// The states of an attachment.
const (
	AttachmentBegun  = "attaching"
	AttachmentDone   = "attached"
	AttachmentEnding = "detaching"
)

// Status is EC2's word for whether the ENI is attached.
func (e *ENI) Status() string {
	if e.Attachment == nil {
		return "available"
	}
	return "in-use"
}

// On reports whether the ENI is attached to an instance.
func (e *ENI) On(instance string) bool {
	return e.Attachment != nil && e.Attachment.Instance == instance
}

// IPv4 lists the primary and then the secondary addresses.
func (e *ENI) IPv4() []netip.Addr {
	if !e.Primary.IsValid() {
		return e.Secondaries
	}
	return slices.Concat([]netip.Addr{e.Primary}, e.Secondaries)
}

// Has reports whether addr is one of the ENI's addresses. Addresses inside a
// delegated prefix do not count.
func (e *ENI) Has(addr netip.Addr) bool {
	return addr == e.Primary || slices.Contains(e.Secondaries, addr) || slices.Contains(e.IPv6, addr)
}

// overlaps reports whether p contains an address of the ENI or is one of its
// prefixes.
func (e *ENI) overlaps(p netip.Prefix) bool {
	return slices.ContainsFunc(e.routes(), p.Overlaps)
}

// slots counts what the ENI uses of its type's limit in one family.
func (e *ENI) slots(v6 bool) int {
	if v6 {
		return len(e.IPv6) + len(e.IPv6Prefixes)
	}
	return len(e.IPv4()) + len(e.IPv4Prefixes)
}

// routes lists what the data path delivers to the ENI.
func (e *ENI) routes() []netip.Prefix {
	var out []netip.Prefix
	for _, a := range slices.Concat(e.IPv4(), e.IPv6) {
		out = append(out, netip.PrefixFrom(a, a.BitLen()))
	}
	return append(append(out, e.IPv4Prefixes...), e.IPv6Prefixes...)
}

// clone returns a copy that may be changed and then stored.
func (e *ENI) clone() *ENI {
	c := *e
	c.Secondaries = slices.Clone(e.Secondaries)
	c.IPv6 = slices.Clone(e.IPv6)
	c.IPv4Prefixes = slices.Clone(e.IPv4Prefixes)
	c.IPv6Prefixes = slices.Clone(e.IPv6Prefixes)
	c.Tags = maps.Clone(e.Tags)
	c.Groups = slices.Clone(e.Groups)
	if e.Attachment != nil {
		a := *e.Attachment
		c.Attachment = &a
	}
	return &c
}

// drop removes addresses of either family.
func (e *ENI) drop(addrs ...netip.Addr) {
	gone := func(a netip.Addr) bool { return slices.Contains(addrs, a) }
	e.Secondaries = slices.DeleteFunc(e.Secondaries, gone)
	e.IPv6 = slices.DeleteFunc(e.IPv6, gone)
}

// fromTopology builds the first version of an ENI.
func fromTopology(t topology.ENI, account string) *ENI {
	e := &ENI{
		ID: t.ID, Subnet: t.Subnet, MAC: t.MAC, Description: t.Description, Owner: account, Primary: t.Primary,
		Secondaries: t.Secondaries, IPv6: t.IPv6, IPv4Prefixes: t.IPv4Prefixes, IPv6Prefixes: t.IPv6Prefixes,
		Tags: t.Tags, Groups: t.Groups, SourceDestCheck: true, PublicIP: t.PublicIP, Requester: t.Requester,
		Type: cmp.Or(t.Type, "interface"),
	}
	if t.Owner != "" {
		e.Owner = t.Owner
	}
	return e.clone()
}
