package plan

import (
	"fmt"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/address"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
)

func (d *diff) refuse(n *spec.Network, reason spec.Reason, format string, args ...any) {
	d.plan.Refusals = append(d.plan.Refusals, Refusal{Network: n.Name, Reason: reason, Message: fmt.Sprintf(format, args...)})
}

// refuseAll refuses for a reason that is no single network's.
func (d *diff) refuseAll(reason spec.Reason, format string, args ...any) {
	d.plan.Refusals = append(d.plan.Refusals, Refusal{Reason: reason, Message: fmt.Sprintf(format, args...)})
}

// subnetOf finds the network's subnet in the instance's zone.
func (d *diff) subnetOf(n *spec.Network) (Subnet, bool) {
	var found []Subnet
	var unknown []string
	for _, id := range n.Subnets {
		switch subnet, ok := d.view.Subnets[id]; {
		case !ok:
			unknown = append(unknown, id)
		case subnet.Zone == d.view.Instance.Zone:
			found = append(found, subnet)
		}
	}
	switch len(found) {
	case 1:
		return found[0], true
	case 0:
		d.refuse(n, spec.SubnetMissing, "no subnet of the network is in zone %s of instance %s%s; add one to subnets, or keep the group out of the zone",
			d.view.Instance.Zone, d.view.Instance.ID, doesNotExist(unknown))
	default:
		d.refuse(n, spec.SettingsReason, "subnets %s and %s are both in zone %s; name one subnet for each zone", found[0].ID, found[1].ID, found[0].Zone)
	}
	return Subnet{}, false
}

func doesNotExist(subnets []string) string {
	if len(subnets) == 0 {
		return ""
	}
	return " (EC2 does not know " + strings.Join(subnets, ", ") + ")"
}

// accepts reports whether a new ENI may come into the subnet.
func (d *diff) accepts(n *spec.Network, s Subnet) bool {
	workers, limited := n.Workers.In(s.ID)
	switch {
	case n.IPv6 == spec.IPv6Required && !s.HasIPv6:
		d.refuse(n, spec.IPv6Missing, "subnet %s has no IPv6 range, and the network requires one; associate a range, or set ipv6 to auto", s.ID)
	case n.Reservation == spec.Required && !s.ReservedForPods:
		d.refuse(n, spec.NoReservation, "subnet %s has no CIDR reservation of type explicit, so workers and pods may get the same address; reserve the pods' range, or set reservation to warn", s.ID)
	case n.Addressing == spec.FirstFree && !s.CIDR.Addr().Is4():
		d.refuse(n, spec.SettingsReason, "subnet %s has no IPv4 range to choose an address from; set addressing to automatic", s.ID)
	case n.Addressing == spec.FirstFree && limited && address.Free(address.Subnet{CIDR: s.CIDR}, workers, true).Len() == 0:
		d.refuse(n, spec.SettingsReason, "workers %v leaves no address of subnet %s (%v) to choose from; name a range within it", workers, s.ID, s.CIDR)
	case n.Addressing == spec.FirstFree && address.Free(s.Subnet, workers, limited).Len() == 0:
		d.refuse(n, spec.SubnetFull, "no address of subnet %s (%v) is left for a worker%s; widen workers, or end what holds addresses there", s.ID, s.CIDR, within(workers, limited))
	default:
		if n.Reservation == spec.Warn && !s.ReservedForPods {
			d.plan.Warnings = append(d.plan.Warnings, fmt.Sprintf("network %s: subnet %s has no CIDR reservation of type explicit: EC2 may give addresses of pods to others", n.Name, s.ID))
		}
		return true
	}
	return false
}

func within(workers spec.Range, limited bool) string {
	if !limited {
		return " outside the reservations"
	}
	return " in " + workers.String()
}
