package inject

import (
	"net/netip"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// location says where in the VPC the addresses of a pod's networks are.
type location struct {
	// pools are the reservations that cover the networks. Empty: they are not
	// covered, or it is not known.
	pools []netip.Prefix
	// zones are the availability zones that have all networks. Empty: any zone
	// may have them.
	zones []string
	// apart reports whether no zone has all networks.
	apart bool
}

// locate finds the reservations of the networks' addresses and of those that the
// pod asks for. If a network is not covered completely, the pools stay empty:
// an address that is missing from the pools would not be assigned.
func locate(used []use, reservations []nad.Reservation) location {
	if len(reservations) == 0 {
		return location{}
	}
	l := location{}
	everything := true
	for _, u := range used {
		covering, all := u.covering(reservations)
		everything = everything && all
		for _, r := range covering {
			l.pools = append(l.pools, r.CIDR)
		}
		if zones, known := zonesOf(covering, reservations); all && known {
			l = l.narrow(zones)
		}
	}
	slices.SortFunc(l.pools, netip.Prefix.Compare)
	l.pools = slices.Compact(l.pools)
	if !everything {
		l.pools = nil
	}
	return l
}

// narrow keeps the zones that have another network too.
func (l location) narrow(zones []string) location {
	if len(l.zones) == 0 && !l.apart {
		l.zones = zones
		return l
	}
	l.zones = slices.DeleteFunc(l.zones, func(zone string) bool {
		_, there := slices.BinarySearch(zones, zone) // which is sorted
		return !there
	})
	l.apart = len(l.zones) == 0
	return l
}

// zonesOf returns the zones of the covering reservations, if all are known.
func zonesOf(covering, all []nad.Reservation) (zones []string, known bool) {
	for _, r := range covering {
		zone := r.Zone
		if zone == "" {
			zone = zoneBeside(r, all)
		}
		if zone == "" {
			return nil, false
		}
		zones = append(zones, zone)
	}
	slices.Sort(zones)
	return slices.Compact(zones), len(zones) > 0
}

// zoneBeside is the zone that another reservation of the same subnet names:
// one that a user wrote without a zone must not hide the controller's.
func zoneBeside(r nad.Reservation, all []nad.Reservation) string {
	same := func(o nad.Reservation) bool {
		return o.Zone != "" && (r.SubnetID != "" && r.SubnetID == o.SubnetID ||
			r.SubnetCIDR.IsValid() && r.SubnetCIDR == o.SubnetCIDR ||
			o.SubnetCIDR.IsValid() && o.SubnetCIDR.Contains(r.CIDR.Addr()) ||
			o.CIDR.IsValid() && r.CIDR.Overlaps(o.CIDR))
	}
	if i := slices.IndexFunc(all, same); i >= 0 {
		return all[i].Zone
	}
	return ""
}

// use is a managed network that a pod selects.
type use struct {
	selection nad.Selection
	network   nad.Network
}

// covering returns the reservations of the addresses, and whether they are all
// that the interface may get.
func (u use) covering(reservations []nad.Reservation) ([]nad.Reservation, bool) {
	ranges, all := u.network.Addresses(u.selection)
	if len(ranges) == 0 || !all {
		return nil, false
	}
	return nad.Covering(nad.Union(ranges), reservations)
}

// settings completes the installation's settings, whose pools take precedence
// over those that are found.
func (l location) settings(policy Policy) Policy {
	if len(policy.Settings.Pools) == 0 {
		policy.Settings.Pools = l.pools
	}
	return policy
}
