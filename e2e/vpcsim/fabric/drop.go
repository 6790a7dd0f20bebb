package fabric

// Reason is why a frame was dropped, one of a closed set.
type Reason string

// The reasons of [Forward]. Each says what the detail of its drops is.
const (
	// Malformed frames end too early or contradict themselves; what is wrong.
	Malformed Reason = "malformed"
	// Oversize packets are larger than MTU; their size.
	Oversize Reason = "oversize"
	// EtherType is neither ARP nor IP; the type.
	EtherType Reason = "ether-type"
	// Unattached ENIs neither send nor receive; the ENI.
	Unattached Reason = "unattached"
	// SourceMAC frames do not come from the ENI's own MAC, as those of macvlan;
	// the MAC.
	SourceMAC Reason = "source-mac"
	// SourceAddress fails the source/destination check: the sending ENI does
	// not own the source; the source.
	SourceAddress Reason = "source-address"
	// NoOwner packets go to an address that no ENI owns; the destination.
	NoOwner Reason = "no-owner"
	// ToRouter packets are for the subnet's router, which answers nothing; the
	// destination.
	ToRouter Reason = "to-router"
	// Multicast and broadcast packets end here, DHCP and VRRP without unicast
	// among them; the destination.
	Multicast Reason = "multicast"
	// LinkLocal destinations are not on this side of the VPC: IMDS, DNS and time
	// are served elsewhere; the destination.
	LinkLocal Reason = "link-local"
	// Gratuitous ARP changes nothing in a VPC; the address.
	Gratuitous Reason = "gratuitous-arp"
	// Probe is duplicate address detection, which a VPC leaves unanswered; the
	// address.
	Probe Reason = "duplicate-address-probe"
	// OffSubnet resolution asks for an address outside the subnet; the address.
	OffSubnet Reason = "off-subnet"
	// NotARequest is an ARP packet that asks nothing; its operation.
	NotARequest Reason = "not-a-request"
)

// Drop is why one frame was dropped. The zero value means it was not.
type Drop struct {
	Reason Reason
	// Detail is the address or thing that the reason is about.
	Detail string
}

// String is "" for a frame that was not dropped.
func (d Drop) String() string {
	if d.Detail == "" {
		return string(d.Reason)
	}
	return string(d.Reason) + " " + d.Detail
}

func dropped(r Reason, detail string) Verdict { return Verdict{Drop: Drop{Reason: r, Detail: detail}} }
