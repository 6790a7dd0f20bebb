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
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

const (
	// pageSize is asked for only where EC2 insists on pages: a page may come
	// short or empty, so without need they cost calls.
	pageSize = 1000
	// maxPages bounds the pages of one answer. The filters leave some ENIs of
	// an account; empty pages come before them where it has a hundred thousand.
	maxPages = 100
)

// maxFilterValues is how many values a filter may have: EC2 takes 200 in all
// filters of a call together.
const maxFilterValues = 190

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
			return &fault.Error{Action: action, ENI: eni, Code: fault.CodeUnknown, Text: "the answer is of another assignment: it names " + addr.String()}
		}
	}
	if i := slices.IndexFunc(asked, func(addr netip.Addr) bool { return addr.Is4() && !slices.Contains(got, addr) }); i >= 0 {
		return &fault.Error{Action: action, ENI: eni, Code: fault.CodeUnknown, Text: "the answer does not name " + asked[i].String()}
	}
	if aws.ToString(answered) != eni {
		return &fault.Error{Action: action, ENI: eni, Code: fault.CodeUnknown, Text: fmt.Sprintf("the answer is not of this ENI but of %q", aws.ToString(answered))}
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

// describe reads all pages. Accounts with many ENIs must say how long they are.
func (a api) describe(ctx context.Context, in *ec2.DescribeNetworkInterfacesInput) ([]nic, error) {
	nics, err := a.pagesOf(ctx, in)
	if fault.CodeOf(err) == "OperationNotPermitted" && len(in.NetworkInterfaceIds) == 0 {
		in.MaxResults = aws.Int32(pageSize)
		return a.pagesOf(ctx, in)
	}
	return nics, err
}

func (a api) pagesOf(ctx context.Context, in *ec2.DescribeNetworkInterfacesInput) ([]nic, error) {
	const action = "DescribeNetworkInterfaces"
	var nics []nic
	err := vpc.Pages(action, maxPages, &in.NextToken, func() (*string, error) {
		out, err := invoke(ctx, a, action, "", in, (*ec2.Client).DescribeNetworkInterfaces)
		if err != nil {
			return nil, err
		}
		for _, described := range out.NetworkInterfaces {
			nics = append(nics, newNIC(described))
		}
		return out.NextToken, nil
	})
	if err != nil {
		return nil, err
	}
	return nics, nil
}

// where describes the ENIs that pass all filters, each once.
func (a api) where(ctx context.Context, filters ...types.Filter) ([]nic, error) {
	var nics []nic
	seen := map[string]bool{}
	for _, some := range vpc.Chunks(filters...) { // a pod can have more links and addresses than one call takes
		part, err := a.describe(ctx, &ec2.DescribeNetworkInterfacesInput{Filters: some})
		if err != nil {
			return nil, err
		}
		for _, n := range part {
			if !seen[n.ID] {
				nics = append(nics, n)
			}
			seen[n.ID] = true
		}
	}
	return nics, nil
}

// cidrs returns the IPv4 CIDR and the associated IPv6 CIDRs of each subnet.
func (a api) cidrs(ctx context.Context, ids []string) (map[string][]netip.Prefix, error) {
	const action = "DescribeSubnets"
	found := map[string][]netip.Prefix{}
	in := &ec2.DescribeSubnetsInput{SubnetIds: ids}
	err := vpc.Pages(action, maxPages, &in.NextToken, func() (*string, error) {
		out, err := invoke(ctx, a, action, "", in, (*ec2.Client).DescribeSubnets)
		if err != nil {
			return nil, err
		}
		for i := range out.Subnets {
			subnet := vpc.NewSubnet(&out.Subnets[i])
			found[subnet.ID] = subnet.CIDRs
		}
		return out.NextToken, nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// holding filters for ENIs that hold one of addrs, as primary or secondary.
func holding(addrs []netip.Addr) types.Filter {
	if addrs[0].Is4() {
		return vpc.Filter("addresses.private-ip-address", texts(addrs)...)
	}
	return vpc.Filter("ipv6-addresses.ipv6-address", texts(addrs)...)
}

func texts(addrs []netip.Addr) []string {
	list := make([]string, len(addrs))
	for i, addr := range addrs {
		list[i] = addr.String()
	}
	return list
}
