package ec2api

import (
	"errors"
	"net/netip"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/world"
)

type address struct {
	Address string `xml:"privateIpAddress"`
}

type ipv4Prefix struct {
	Prefix string `xml:"ipv4Prefix"`
}

type ipv6Prefix struct {
	Prefix string `xml:"ipv6Prefix"`
}

type assignedIPv4 struct {
	Head
	ENI       string          `xml:"networkInterfaceId"`
	Addresses set[address]    `xml:"assignedPrivateIpAddressesSet"`
	Prefixes  set[ipv4Prefix] `xml:"assignedIpv4PrefixSet"`
	Return    bool            `xml:"return"`
}

type assignedIPv6 struct {
	Head
	ENI       string      `xml:"networkInterfaceId"`
	Addresses set[string] `xml:"assignedIpv6Addresses"`
	Prefixes  set[string] `xml:"assignedIpv6PrefixSet"`
}

type unassignedIPv6 struct {
	Head
	ENI       string      `xml:"networkInterfaceId"`
	Addresses set[string] `xml:"unassignedIpv6Addresses"`
	Prefixes  set[string] `xml:"unassignedIpv6PrefixSet"`
}

func assignIPv4(a *API, p query.Params) (reply, error) {
	count, err := p.Int("SecondaryPrivateIpAddressCount")
	prefixes, err2 := p.Int("Ipv4PrefixCount")
	allow, err3 := p.Is("AllowReassignment")
	if err := errors.Join(err, err2, err3); err != nil {
		return nil, err
	}
	got, err := a.World.AssignIPv4(world.Assign{
		ENI: p["NetworkInterfaceId"], Addresses: p.List("PrivateIpAddress"), Count: count,
		Prefixes: p.List("Ipv4Prefix"), PrefixCount: prefixes, AllowReassignment: allow,
	})
	if err != nil {
		return nil, err
	}
	out := &assignedIPv4{ENI: p["NetworkInterfaceId"], Return: true, Prefixes: ipv4Prefixes(got.Prefixes)}
	for _, addr := range got.Addresses {
		out.Addresses.Items = append(out.Addresses.Items, address{addr.String()})
	}
	return out, nil
}

func unassignIPv4(a *API, p query.Params) (reply, error) {
	_, err := a.World.UnassignIPv4(world.Unassign{
		ENI: p["NetworkInterfaceId"], Addresses: p.List("PrivateIpAddress"), Prefixes: p.List("Ipv4Prefix"),
	})
	return &done{Return: true}, err
}

func assignIPv6(a *API, p query.Params) (reply, error) {
	count, err := p.Int("Ipv6AddressCount")
	prefixes, err2 := p.Int("Ipv6PrefixCount")
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	got, err := a.World.AssignIPv6(world.Assign{
		ENI: p["NetworkInterfaceId"], Addresses: p.List("Ipv6Addresses"), Count: count,
		Prefixes: p.List("Ipv6Prefix"), PrefixCount: prefixes,
	})
	return &assignedIPv6{ENI: p["NetworkInterfaceId"], Addresses: texts(got.Addresses), Prefixes: texts(got.Prefixes)}, err
}

func unassignIPv6(a *API, p query.Params) (reply, error) {
	got, err := a.World.UnassignIPv6(world.Unassign{
		ENI: p["NetworkInterfaceId"], Addresses: p.List("Ipv6Addresses"), Prefixes: p.List("Ipv6Prefix"),
	})
	return &unassignedIPv6{ENI: p["NetworkInterfaceId"], Addresses: texts(got.Addresses), Prefixes: texts(got.Prefixes)}, err
}

// texts renders addresses or prefixes as items without inner element.
func texts[T interface{ String() string }](list []T) set[string] {
	var out set[string]
	for _, v := range list {
		out.Items = append(out.Items, v.String())
	}
	return out
}

func ipv4Prefixes(list []netip.Prefix) set[ipv4Prefix] {
	var out set[ipv4Prefix]
	for _, p := range list {
		out.Items = append(out.Items, ipv4Prefix{p.String()})
	}
	return out
}

func ipv6Prefixes(list []netip.Prefix) set[ipv6Prefix] {
	var out set[ipv6Prefix]
	for _, p := range list {
		out.Items = append(out.Items, ipv6Prefix{p.String()})
	}
	return out
}
