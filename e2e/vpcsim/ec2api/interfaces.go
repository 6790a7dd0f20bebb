package ec2api

import (
	"errors"
	"slices"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/world"
)

type createdENI struct {
	Head
	ENI eniShape `xml:"networkInterface"`
}

type attachedENI struct {
	Head
	Attachment  string `xml:"attachmentId"`
	NetworkCard int    `xml:"networkCardIndex"`
}

func createENI(a *API, p query.Params) (reply, error) {
	r := world.CreateENI{
		Subnet: p["SubnetId"], Description: p["Description"], Groups: p.List("SecurityGroupId"), Token: p.Optional("ClientToken"),
	}
	if kind := p["InterfaceType"]; kind != "" && kind != "interface" {
		return nil, apierr.Value("Value (%s) for parameter interfaceType is not simulated.", kind)
	}
	var err error
	if r.Tags, err = specifiedTags(p, "network-interface"); err != nil {
		return nil, err
	}
	if err := createIPv4(p, &r); err != nil {
		return nil, err
	}
	if err := createIPv6(p, &r); err != nil {
		return nil, err
	}
	e, err := a.World.CreateENI(r)
	if err != nil {
		return nil, err
	}
	shape := a.eniShape(e)
	shape.Status = "pending" // and available in the next Describe
	return &createdENI{ENI: shape}, nil
}

func createIPv4(p query.Params, r *world.CreateENI) (err error) {
	r.Primary = p["PrivateIpAddress"]
	for _, member := range p.Each("PrivateIpAddresses") {
		primary, err := member.Is("Primary")
		switch {
		case err != nil:
			return err
		case primary && r.Primary != "":
			return apierr.Value("Only one primary private IP address can be specified.")
		case primary:
			r.Primary = member["PrivateIpAddress"]
		default:
			r.IPv4.Addresses = append(r.IPv4.Addresses, member["PrivateIpAddress"])
		}
	}
	for _, member := range p.Each("Ipv4Prefix") {
		r.IPv4.Prefixes = append(r.IPv4.Prefixes, member["Ipv4Prefix"])
	}
	count, err1 := p.Int("SecondaryPrivateIpAddressCount")
	prefixes, err2 := p.Int("Ipv4PrefixCount")
	r.IPv4.Count, r.IPv4.PrefixCount = count, prefixes
	return errors.Join(err1, err2)
}

func createIPv6(p query.Params, r *world.CreateENI) error {
	var err1 error
	r.PrimaryIPv6, err1 = p.Is("EnablePrimaryIpv6")
	for _, member := range p.Each("Ipv6Addresses") {
		primary, err := member.Is("IsPrimaryIpv6")
		if err != nil {
			return err
		}
		at := len(r.IPv6.Addresses)
		if primary { // the first address is the primary one
			r.PrimaryIPv6, at = true, 0
		}
		r.IPv6.Addresses = slices.Insert(r.IPv6.Addresses, at, member["Ipv6Address"])
	}
	for _, member := range p.Each("Ipv6Prefix") {
		r.IPv6.Prefixes = append(r.IPv6.Prefixes, member["Ipv6Prefix"])
	}
	count, err2 := p.Int("Ipv6AddressCount")
	prefixes, err3 := p.Int("Ipv6PrefixCount")
	r.IPv6.Count, r.IPv6.PrefixCount = count, prefixes
	return errors.Join(err1, err2, err3)
}

func deleteENI(a *API, p query.Params) (reply, error) {
	return &done{Return: true}, a.World.DeleteENI(p["NetworkInterfaceId"])
}

func attachENI(a *API, p query.Params) (reply, error) {
	device, err1 := p.Int("DeviceIndex")
	card, err2 := p.Int("NetworkCardIndex")
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if device == nil {
		return nil, apierr.Missing("deviceIndex")
	}
	if card == nil {
		card = new(int)
	}
	at, err := a.World.AttachENI(p["NetworkInterfaceId"], p["InstanceId"], *device, *card)
	return &attachedENI{Attachment: at.ID, NetworkCard: at.NetworkCard}, err
}

func detachENI(a *API, p query.Params) (reply, error) {
	force, err := p.Is("Force")
	if err != nil {
		return nil, err
	}
	return &done{Return: true}, a.World.DetachENI(p["AttachmentId"], force)
}

// modifyENI changes one attribute: EC2 refuses requests that name several.
func modifyENI(a *API, p query.Params) (reply, error) {
	check, err1 := p.Bool("SourceDestCheck.Value")
	remove, err2 := p.Bool("Attachment.DeleteOnTermination")
	primary, err3 := p.Bool("EnablePrimaryIpv6")
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	r := world.ModifyENI{
		ENI: p["NetworkInterfaceId"], Description: p.Optional("Description.Value"), SourceDestCheck: check,
		Groups: p.List("SecurityGroupId"), PrimaryIPv6: primary, Attachment: p.Optional("Attachment.AttachmentId"),
		DeleteOnTermination: remove,
	}
	var given []string
	for _, attribute := range []struct {
		name  string
		given bool
	}{
		{"sourceDestCheck", check != nil}, {"description", r.Description != nil}, {"groupSet", len(r.Groups) > 0},
		{"attachment", r.Attachment != nil}, {"enablePrimaryIpv6", primary != nil},
	} {
		if attribute.given {
			given = append(given, attribute.name)
		}
	}
	switch {
	case len(given) == 0:
		return nil, apierr.New("InvalidParameterCombination", "No attributes specified.")
	case len(given) > 1:
		return nil, apierr.New("InvalidParameterCombination", "Fields for multiple attribute types specified: %s",
			strings.Join(given, ", "))
	}
	return &done{Return: true}, a.World.ModifyENI(r)
}
