package eni

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

// noManageTag marks the ENIs that the VPC CNI leaves alone, hence ours.
const noManageTag = "node.k8s.amazonaws.com/no_manage"

// nic is an ENI as EC2 describes it: what the plan needs, and what decides
// whether its addresses may be moved. Of one that only IMDS has shown, the
// first is all there is.
type nic struct {
	plan.ENI

	shown    bool   // by IMDS
	instance string // empty when it is not attached
	subnet   string
	vpc      string
	foreign  bool         // an AWS service made it (load balancer, NAT gateway, ...)
	noManage bool         // tagged node.k8s.amazonaws.com/no_manage=true
	primary6 []netip.Addr // IPv6 addresses that cannot be unassigned
}

func newNIC(d types.NetworkInterface) nic {
	n := nic{
		subnet:  aws.ToString(d.SubnetId),
		vpc:     aws.ToString(d.VpcId),
		foreign: aws.ToBool(d.RequesterManaged),
	}
	n.ID = aws.ToString(d.NetworkInterfaceId)
	n.MAC = strings.ToLower(aws.ToString(d.MacAddress))
	if a := d.Attachment; a != nil && a.Status != types.AttachmentStatusDetaching && a.Status != types.AttachmentStatusDetached {
		n.instance, n.DeviceIndex = aws.ToString(a.InstanceId), int(aws.ToInt32(a.DeviceIndex))
	}
	n.noManage = slices.ContainsFunc(d.TagSet, func(t types.Tag) bool {
		return aws.ToString(t.Key) == noManageTag && aws.ToString(t.Value) == "true"
	})
	addAddresses(&n, d)
	return n
}

func addAddresses(n *nic, d types.NetworkInterface) {
	for _, a := range d.PrivateIpAddresses {
		for _, addr := range parseAddrs([]string{aws.ToString(a.PrivateIpAddress)}) {
			if aws.ToBool(a.Primary) {
				n.Primary = addr
			} else {
				n.Addresses = append(n.Addresses, addr)
			}
		}
	}
	for _, a := range d.Ipv6Addresses {
		for _, addr := range parseAddrs([]string{aws.ToString(a.Ipv6Address)}) {
			n.Addresses = append(n.Addresses, addr)
			if aws.ToBool(a.IsPrimaryIpv6) {
				n.primary6 = append(n.primary6, addr)
			}
		}
	}
	for _, p := range d.Ipv4Prefixes {
		n.Prefixes = append(n.Prefixes, parsePrefixes([]string{aws.ToString(p.Ipv4Prefix)})...)
	}
	for _, p := range d.Ipv6Prefixes {
		n.Prefixes = append(n.Prefixes, parsePrefixes([]string{aws.ToString(p.Ipv6Prefix)})...)
	}
}

// holds reports whether addr is on the ENI, as primary or not.
func (n nic) holds(addr netip.Addr) bool {
	return n.isPrimary(addr) || slices.Contains(n.Addresses, addr)
}

// isPrimary reports whether addr can neither be moved nor unassigned.
func (n nic) isPrimary(addr netip.Addr) bool {
	return n.Primary == addr || slices.Contains(n.primary6, addr)
}

// holder is what the loop learns about an owner.
func (n nic) holder() plan.Holder { return plan.Holder{ENI: n.ID, Instance: n.instance} }

func describe(owner nic) string {
	text := "ENI " + owner.ID
	if owner.instance != "" {
		text += " of " + owner.instance
	}
	if owner.foreign {
		text += " (managed by an AWS service)"
	}
	return text
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// parsePrefixes parses the CIDRs that can be parsed: AWS leaves some empty.
func parsePrefixes(cidrs []string) []netip.Prefix {
	var list []netip.Prefix
	for _, cidr := range cidrs {
		if prefix, err := netip.ParsePrefix(cidr); err == nil && !slices.Contains(list, prefix) {
			list = append(list, prefix)
		}
	}
	return list
}

// parseAddrs parses the addresses that can be parsed.
func parseAddrs(list []string) []netip.Addr {
	var addrs []netip.Addr
	for _, text := range list {
		if addr, err := netip.ParseAddr(text); err == nil {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}
