package eni

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
)

const (
	// pageSize is asked for only where EC2 insists on pages: a page may come
	// short or empty, so without need they cost calls.
	pageSize = 1000
	// maxPages bounds the pages of one answer. The filters leave some ENIs of
	// an account; empty pages come before them where it has a hundred thousand.
	maxPages = 100
)

// endOfPages reports whether token says that no page follows, and fails when
// too many did.
func endOfPages(action string, pages int, token *string) (bool, error) {
	if aws.ToString(token) == "" {
		return true, nil
	}
	if pages < maxPages {
		return false, nil
	}
	return false, &failure{action: action, code: fault.CodeUnknown, text: fmt.Sprintf("the answer has more than %d pages", maxPages)}
}

// assign makes addrs, of one family, addresses of the ENI. With move, IPv4
// addresses are taken from the ENIs that have them; IPv6 has no such call.
func (a api) assign(ctx context.Context, eni string, addrs []netip.Addr, move bool) error {
	if addrs[0].Is4() {
		const action = "AssignPrivateIpAddresses"
		out, err := invoke(ctx, a, action, eni, &ec2.AssignPrivateIpAddressesInput{
			NetworkInterfaceId: &eni,
			PrivateIpAddresses: texts(addrs),
			AllowReassignment:  aws.Bool(move),
		}, (*ec2.Client).AssignPrivateIpAddresses)
		if err != nil {
			return err
		}
		var named []string
		for _, assigned := range out.AssignedPrivateIpAddresses {
			named = append(named, aws.ToString(assigned.PrivateIpAddress))
		}
		return names(action, eni, out.NetworkInterfaceId, addrs, named)
	}
	const action = "AssignIpv6Addresses"
	out, err := invoke(ctx, a, action, eni, &ec2.AssignIpv6AddressesInput{
		NetworkInterfaceId: &eni,
		Ipv6Addresses:      texts(addrs),
	}, (*ec2.Client).AssignIpv6Addresses)
	if err != nil {
		return err
	}
	return names(action, eni, out.NetworkInterfaceId, addrs, out.AssignedIpv6Addresses)
}

// names reports whether an answer is of the assignment that was asked for. EC2
// names the ENI and the addresses, IPv4 ones also when the ENI had them before.
// That it does so for IPv6 is not known: there only another's address is wrong.
func names(action, eni string, answered *string, asked []netip.Addr, named []string) error {
	got := parseAddrs(named)
	for _, addr := range got {
		if !slices.Contains(asked, addr) {
			return &failure{action: action, eni: eni, code: fault.CodeUnknown, text: "the answer is of another assignment: it names " + addr.String()}
		}
	}
	if i := slices.IndexFunc(asked, func(addr netip.Addr) bool { return addr.Is4() && !slices.Contains(got, addr) }); i >= 0 {
		return &failure{action: action, eni: eni, code: fault.CodeUnknown, text: "the answer does not name " + asked[i].String()}
	}
	if aws.ToString(answered) != eni {
		return &failure{action: action, eni: eni, code: fault.CodeUnknown, text: fmt.Sprintf("the answer is not of this ENI but of %q", aws.ToString(answered))}
	}
	return nil
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

// describe reads all pages: only a missing token ends them, not a short page.
func (a api) describe(ctx context.Context, in *ec2.DescribeNetworkInterfacesInput) ([]nic, error) {
	var nics []nic
	for pages := 1; ; pages++ {
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
		if end, err := endOfPages("DescribeNetworkInterfaces", pages, out.NextToken); end || err != nil {
			return nics, err
		}
		in.NextToken = out.NextToken
	}
}

// cidrs returns the IPv4 CIDR and the associated IPv6 CIDRs of each subnet.
func (a api) cidrs(ctx context.Context, ids []string) (map[string][]netip.Prefix, error) {
	found := map[string][]netip.Prefix{}
	in := &ec2.DescribeSubnetsInput{SubnetIds: ids}
	for pages := 1; ; pages++ {
		out, err := invoke(ctx, a, "DescribeSubnets", "", in, (*ec2.Client).DescribeSubnets)
		if err != nil {
			return nil, err
		}
		for _, subnet := range out.Subnets {
			found[aws.ToString(subnet.SubnetId)] = prefixes(subnet)
		}
		if end, err := endOfPages("DescribeSubnets", pages, out.NextToken); end || err != nil {
			return found, err
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
