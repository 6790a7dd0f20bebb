// Package plan decides which address of a pod belongs on which ENI of its
// worker, and what has to be assigned. It is pure: addresses and ENIs in,
// placements and steps out.
package plan

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
)

// Address is an address of the pod, as the kernel shows it.
type Address struct {
	netip.Addr
	Interface string // name of the link that carries it
	// MAC is that of the link that carries its packets out of the pod: this
	// one, or the one below it. Lower case with colons; empty when it has none.
	MAC string
	// Bound reports whether that link has the MAC of an ENI and none of its own
	// (ipvlan, host-device).
	Bound bool
	// Late reports whether the address was added to its interface after the
	// first one: by the application then, and not by IPAM.
	Late bool
}

// ENI is an elastic network interface of this worker, as the cloud shows it.
type ENI struct {
	ID          string
	MAC         string // lower case with colons
	DeviceIndex int
	Subnets     []netip.Prefix // IPv4 and IPv6 CIDRs of its subnet; empty when not known
	Primary     netip.Addr     // primary private IPv4 address
	Addresses   []netip.Addr   // secondary private IPv4 addresses, and IPv6 addresses
	Prefixes    []netip.Prefix // delegated prefixes
}

// Fixes reports whether the ENI has addr as its primary address or inside a
// delegated prefix, where nobody assigns or unassigns it.
func (e ENI) Fixes(addr netip.Addr) bool {
	return addr == e.Primary || contains(e.Prefixes, addr)
}

// Holder is an ENI that holds an address, wherever it is.
type Holder struct {
	ENI      string // empty: nobody holds the address
	Instance string // empty when the ENI is attached to none, or that is not known
}

// Policy is what the settings allow and demand.
type Policy struct {
	// Pools are the CIDRs in which an address may be assigned and taken over.
	Pools []netip.Prefix
	// Required names the interfaces whose addresses must all find an ENI. When
	// it is empty, every address must.
	Required []string
}

// Placement is what Place found out about one address. At most one of Fixed,
// Refused and Foreign is set.
type Placement struct {
	Address Address
	ENI     ENI
	// Shown reports whether the cloud shows the address on the ENI.
	Shown bool
	// Fixed reports whether it is there as the primary address or inside a
	// delegated prefix, so that there is nothing to assign and to release.
	Fixed bool
	// TakeOver reports whether the pools contain the address, so that it may be
	// taken from any ENI.
	TakeOver bool
	// Refused is a permanent *fault.Error when the address can never be assigned.
	Refused error
	// Foreign reports whether no ENI of the worker has to do with the address,
	// which is on an interface that is not required. It is left alone.
	Foreign bool
}

// Place finds the ENI of each address:
//
//	MAC is an ENI's | link's MAC   | subnet contains it | then
//	yes             | any          | yes, or not known  | that ENI
//	yes             | any          | no                 | outside: it can never route there
//	no              | an ENI's     | any                | gone: its ENI is not attached (any more)
//	no              | its own      | of one ENI         | that ENI
//	no              | its own      | of several ENIs    | the one that shows it, else one whose MAC the pod uses, else the lowest device index
//	no              | its own      | of none            | no ENI
//
// A link whose MAC is an ENI's (Address.Bound: ipvlan, host-device, and VLANs,
// bridges and macvlans on these) delivers what comes to that ENI and nothing
// else: another ENI of the same subnet would swallow its packets. Only links
// with a MAC of their own (macvlan, VRRP, veth, dummy) can be placed by subnet.
//
// What is outside, gone or without ENI is refused on a required interface, and
// foreign on another.
//
// The worker's first ENI (device index 0) belongs to the VPC CNI, which would
// hand a new secondary address to any pod: only a pool opens it.
func Place(addrs []Address, enis []ENI, policy Policy) []Placement {
	macs := map[string]bool{}
	for _, a := range addrs {
		macs[a.MAC] = true
	}
	placements := make([]Placement, 0, len(addrs))
	for _, a := range addrs {
		eni, err := chooseENI(a, enis, macs)
		placements = append(placements, placeOn(a, eni, err, policy))
	}
	return placements
}

var (
	errNoENI   = errors.New("no ENI of this worker has its MAC or a subnet that contains it")
	errGone    = errors.New("the ENI under its interface is not attached to this worker")
	errOutside = errors.New("the ENI's subnet does not contain it")
)

// chooseENI finds the ENI of an address by the table over Place.
func chooseENI(a Address, enis []ENI, macs map[string]bool) (ENI, error) {
	if i := slices.IndexFunc(enis, func(e ENI) bool { return a.MAC != "" && e.MAC == a.MAC }); i >= 0 {
		if len(enis[i].Subnets) > 0 && !contains(enis[i].Subnets, a.Addr) {
			return enis[i], errOutside
		}
		return enis[i], nil
	}
	if a.Bound {
		return ENI{}, errGone
	}
	var candidates []ENI
	for _, e := range enis {
		if contains(e.Subnets, a.Addr) {
			candidates = append(candidates, e)
		}
	}
	if len(candidates) == 0 {
		return ENI{}, errNoENI
	}
	return slices.MinFunc(candidates, func(x, y ENI) int {
		return cmp.Or(
			preferring(shows(x, a.Addr), shows(y, a.Addr)),
			preferring(macs[x.MAC], macs[y.MAC]),
			preferring(x.DeviceIndex > 0, y.DeviceIndex > 0),
			cmp.Compare(x.DeviceIndex, y.DeviceIndex),
			cmp.Compare(x.ID, y.ID),
		)
	}), nil
}

// preferring orders what has a property before what has not.
func preferring(x, y bool) int {
	switch {
	case x && !y:
		return -1
	case y && !x:
		return 1
	}
	return 0
}

// placeOn is the placement of an address on the ENI that was chosen for it. An
// error says why that cannot be its ENI.
func placeOn(a Address, eni ENI, err error, policy Policy) Placement {
	p := Placement{Address: a, ENI: eni}
	fixed := eni.Fixes(a.Addr)
	pooled := contains(policy.Pools, a.Addr)
	switch {
	case !policy.Requires(a.Interface) && (err != nil || eni.DeviceIndex == 0 && a.MAC != eni.MAC):
		p.Foreign = true
	case err != nil:
		p.Refused = unplaced(a, eni, err)
	case fixed:
		p.Shown, p.Fixed = true, true
	case len(policy.Pools) > 0 && !pooled:
		p.Refused = refuse(a, eni, fault.CodeOutsidePools, fmt.Errorf("the pools are %v", policy.Pools), "choose an address inside the pools, or add its range to the subnet's explicit CIDR reservations and IPMGR_POOLS")
	case eni.DeviceIndex == 0 && !pooled:
		p.Refused = refuse(a, eni, fault.CodePrimaryENI, errors.New("it is the worker's first ENI, whose secondary addresses the VPC CNI hands to other pods"), "attach a Multus ENI to the worker, or reserve the range and set IPMGR_POOLS")
	default:
		p.Shown, p.TakeOver = shows(eni, a.Addr), pooled
	}
	return p
}

// Requires reports whether the addresses of an interface must have an ENI.
func (p Policy) Requires(name string) bool {
	return len(p.Required) == 0 || slices.Contains(p.Required, name)
}

// unplaced is the fault of an address that no ENI can have.
func unplaced(a Address, eni ENI, err error) error {
	switch {
	case errors.Is(err, errGone):
		text := fmt.Errorf("%w: interface %s has the MAC %s, which no ENI of the worker has", err, a.Interface, a.MAC)
		return refuse(a, eni, fault.CodeNoENI, text, "attach the ENI with this MAC again, or delete the pod so that it gets an interface on an ENI that the worker has")
	case errors.Is(err, errOutside):
		text := fmt.Errorf("interface %s is on this ENI (device index %d), whose subnet is %v, and EC2 would answer InvalidParameterValue", a.Interface, eni.DeviceIndex, eni.Subnets)
		return refuse(a, eni, fault.CodeOutsideSubnet, text, "check `master` in the NetworkAttachmentDefinition of "+a.Interface+": it names another ENI's interface if this is not the subnet that you meant; or give the pod an address of this subnet, or exclude the address with IPMGR_EXCLUDE_ADDRESSES or the interface with IPMGR_EXCLUDE_INTERFACES")
	}
	return refuse(a, eni, fault.CodeNoENI, err, "give the pod an address of a subnet that the worker has a Multus ENI in, or exclude the address with IPMGR_EXCLUDE_ADDRESSES or the interface with IPMGR_EXCLUDE_INTERFACES")
}

func refuse(a Address, eni ENI, code string, err error, advice string) error {
	return &fault.Error{Addr: a.Addr, ENI: eni.ID, Code: code, Err: err, Advice: advice, Meaning: fault.Refused}
}

func shows(eni ENI, addr netip.Addr) bool {
	return eni.Fixes(addr) || slices.Contains(eni.Addresses, addr)
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}
