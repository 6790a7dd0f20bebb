package eni

import (
	"context"
	"net/netip"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// pageSize is asked for only where EC2 insists on pages: a page may come short
// or empty, so without need they cost calls.
const pageSize = 1000

// assign makes addrs, of one family, addresses of the ENI. With move, IPv4
// addresses are taken from the ENIs that have them; IPv6 has no such call. The
// answer lists only what is new, so it says nothing that success does not.
func (a api) assign(ctx context.Context, eni string, addrs []netip.Addr, move bool) error {
	if addrs[0].Is4() {
		_, err := invoke(ctx, a, "AssignPrivateIpAddresses", eni, &ec2.AssignPrivateIpAddressesInput{
			NetworkInterfaceId: &eni,
			PrivateIpAddresses: texts(addrs),
			AllowReassignment:  aws.Bool(move),
		}, (*ec2.Client).AssignPrivateIpAddresses)
		return err
	}
	_, err := invoke(ctx, a, "AssignIpv6Addresses", eni, &ec2.AssignIpv6AddressesInput{
		NetworkInterfaceId: &eni,
		Ipv6Addresses:      texts(addrs),
	}, (*ec2.Client).AssignIpv6Addresses)
	return err
}

// unassign takes addrs, of one family, off the ENI. EC2 refuses the whole call
// when the ENI does not hold one of them.
func (a api) unassign(ctx context.Context, eni string, addrs []netip.Addr) error {
	if addrs[0].Is4() {
		_, err := invoke(ctx, a, "UnassignPrivateIpAddresses", eni, &ec2.UnassignPrivateIpAddressesInput{
			NetworkInterfaceId: &eni,
			PrivateIpAddresses: texts(addrs),
		}, (*ec2.Client).UnassignPrivateIpAddresses)
		return err
	}
	_, err := invoke(ctx, a, "UnassignIpv6Addresses", eni, &ec2.UnassignIpv6AddressesInput{
		NetworkInterfaceId: &eni,
		Ipv6Addresses:      texts(addrs),
	}, (*ec2.Client).UnassignIpv6Addresses)
	return err
}

// byID describes ENIs. EC2 refuses the call when one of them does not exist.
func (a api) byID(ctx context.Context, ids ...string) ([]nic, error) {
	return a.describe(ctx, &ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: ids})
}

// where describes the ENIs that pass all filters.
func (a api) where(ctx context.Context, filters ...types.Filter) ([]nic, error) {
	return a.describe(ctx, &ec2.DescribeNetworkInterfacesInput{Filters: filters})
}

// describe reads all pages: only a missing token ends them, not a short page.
func (a api) describe(ctx context.Context, in *ec2.DescribeNetworkInterfacesInput) ([]nic, error) {
	var nics []nic
	for {
		out, err := invoke(ctx, a, "DescribeNetworkInterfaces", "", in, (*ec2.Client).DescribeNetworkInterfaces)
		if codeIn(err) == "OperationNotPermitted" && in.MaxResults == nil && len(in.NetworkInterfaceIds) == 0 {
			in.MaxResults = aws.Int32(pageSize) // accounts with many ENIs must read them by pages
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, described := range out.NetworkInterfaces {
			nics = append(nics, newNIC(described))
		}
		if aws.ToString(out.NextToken) == "" {
			return nics, nil
		}
		in.NextToken = out.NextToken
	}
}

// cidrs returns the IPv4 CIDR and the associated IPv6 CIDRs of each subnet.
func (a api) cidrs(ctx context.Context, ids []string) (map[string][]netip.Prefix, error) {
	found := map[string][]netip.Prefix{}
	in := &ec2.DescribeSubnetsInput{SubnetIds: ids}
	for {
		out, err := invoke(ctx, a, "DescribeSubnets", "", in, (*ec2.Client).DescribeSubnets)
		if err != nil {
			return nil, err
		}
		for _, subnet := range out.Subnets {
			found[aws.ToString(subnet.SubnetId)] = prefixes(subnet)
		}
		if aws.ToString(out.NextToken) == "" {
			return found, nil
		}
		in.NextToken = out.NextToken
	}
}

func prefixes(subnet types.Subnet) []netip.Prefix {
	cidrs := []string{aws.ToString(subnet.CidrBlock)}
	for _, block := range subnet.Ipv6CidrBlockAssociationSet {
		if block.Ipv6CidrBlockState != nil && block.Ipv6CidrBlockState.State == types.SubnetCidrBlockStateCodeAssociated {
			cidrs = append(cidrs, aws.ToString(block.Ipv6CidrBlock))
		}
	}
	return parsePrefixes(cidrs)
}

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: &name, Values: values}
}

// holding filters for ENIs that hold one of addrs, as primary or secondary.
func holding(addrs []netip.Addr) types.Filter {
	if addrs[0].Is4() {
		return filter("addresses.private-ip-address", texts(addrs)...)
	}
	return filter("ipv6-addresses.ipv6-address", texts(addrs)...)
}

func texts(addrs []netip.Addr) []string {
	list := make([]string, len(addrs))
	for i, addr := range addrs {
		list[i] = addr.String()
	}
	return list
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
