package vpc

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// Bounds of one list.
const (
	// pageSize is the most that the Describe calls return at once. They may
	// return less, even nothing: only a missing token ends a list.
	pageSize = 1000
	// maxPages ends a list that does not end by itself. The largest subnet has
	// 65,536 addresses, and a list that is filtered has empty pages for what the
	// filter leaves out.
	maxPages = 2000
)

// Subnets returns the selected subnets that exist, by their ids.
func (c *Client) Subnets(ctx context.Context, s Selection) (map[string]Subnet, error) {
	filter := Filter("tag:"+s.TagKey, s.TagValue)
	switch {
	case s.TagKey != "":
	case len(s.IDs) == 0:
		return map[string]Subnet{}, nil
	default:
		// A filter, unlike a list of ids, does not fail for one that is gone.
		filter = Filter("subnet-id", s.IDs...)
	}
	subnets := map[string]Subnet{}
	for _, filters := range Chunks(filter) {
		if err := c.subnets(ctx, subnets, filters); err != nil {
			return nil, err
		}
	}
	return subnets, nil
}

// subnets adds those that pass the filters.
func (c *Client) subnets(ctx context.Context, found map[string]Subnet, filters []types.Filter) error {
	const action = "DescribeSubnets"
	in := &ec2.DescribeSubnetsInput{Filters: filters, MaxResults: aws.Int32(pageSize)}
	return Pages(action, maxPages, &in.NextToken, func() (*string, error) {
		out, err := Call(ctx, c, action, in, (*ec2.Client).DescribeSubnets)
		if err != nil {
			return nil, err
		}
		for i := range out.Subnets {
			subnet := NewSubnet(&out.Subnets[i])
			found[subnet.ID] = subnet
		}
		return out.NextToken, nil
	})
}

// NewSubnet reads what EC2 describes.
func NewSubnet(s *types.Subnet) Subnet {
	cidrs := []*string{s.CidrBlock}
	for _, block := range s.Ipv6CidrBlockAssociationSet {
		if block.Ipv6CidrBlockState != nil && block.Ipv6CidrBlockState.State == types.SubnetCidrBlockStateCodeAssociated {
			cidrs = append(cidrs, block.Ipv6CidrBlock)
		}
	}
	return Subnet{
		ID: aws.ToString(s.SubnetId), VPC: aws.ToString(s.VpcId), Zone: aws.ToString(s.AvailabilityZone),
		Tags: tagsOf(s.Tags), CIDRs: prefixes(cidrs...),
	}
}

// Reservations returns all CIDR reservations of a subnet, of both families.
func (c *Client) Reservations(ctx context.Context, subnetID string) ([]Reservation, error) {
	// The SDK has no paginator for this call, and EC2 ends a page at 255.
	in := &ec2.GetSubnetCidrReservationsInput{SubnetId: &subnetID}
	var reservations []Reservation
	err := Pages("GetSubnetCidrReservations", maxPages, &in.NextToken, func() (*string, error) {
		out, err := Call(ctx, c, "GetSubnetCidrReservations", in, (*ec2.Client).GetSubnetCidrReservations)
		if err != nil {
			return nil, err
		}
		for _, item := range slices.Concat(out.SubnetIpv4CidrReservations, out.SubnetIpv6CidrReservations) {
			reservation, err := newReservation(item)
			if err != nil {
				return nil, err
			}
			reservations = append(reservations, reservation)
		}
		return out.NextToken, nil
	})
	if err != nil {
		return nil, err
	}
	return reservations, nil
}

func newReservation(r types.SubnetCidrReservation) (Reservation, error) {
	cidr, err := netip.ParsePrefix(aws.ToString(r.Cidr))
	if err != nil {
		return Reservation{}, fmt.Errorf("the CIDR of reservation %s cannot be read: %w", aws.ToString(r.SubnetCidrReservationId), err)
	}
	return Reservation{
		ID: aws.ToString(r.SubnetCidrReservationId), SubnetID: aws.ToString(r.SubnetId),
		CIDR: cidr.Masked(), Type: string(r.ReservationType), Tags: tagsOf(r.Tags),
	}, nil
}

func tagsOf(list []types.Tag) map[string]string {
	tags := make(map[string]string, len(list))
	for _, tag := range list {
		tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return tags
}

// ENIs returns the network interfaces of a subnet with what they hold.
func (c *Client) ENIs(ctx context.Context, subnetID string) ([]ENI, error) {
	described, err := c.Interfaces(ctx, Filter("subnet-id", subnetID))
	if err != nil {
		return nil, err
	}
	enis := make([]ENI, len(described))
	for i := range described {
		enis[i] = NewENI(&described[i])
	}
	return enis, nil
}

// Interfaces returns the network interfaces that pass all filters, as EC2
// describes them.
func (c *Client) Interfaces(ctx context.Context, filters ...types.Filter) ([]types.NetworkInterface, error) {
	const action = "DescribeNetworkInterfaces"
	var all []types.NetworkInterface
	for _, some := range Chunks(filters...) {
		in := &ec2.DescribeNetworkInterfacesInput{Filters: some, MaxResults: aws.Int32(pageSize)}
		err := Pages(action, maxPages, &in.NextToken, func() (*string, error) {
			out, err := Call(ctx, c, action, in, (*ec2.Client).DescribeNetworkInterfaces)
			if err != nil {
				return nil, err
			}
			all = append(all, out.NetworkInterfaces...)
			return out.NextToken, nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// NewENI reads what EC2 describes.
func NewENI(described *types.NetworkInterface) ENI {
	eni := ENI{ID: aws.ToString(described.NetworkInterfaceId)}
	if described.Attachment != nil {
		eni.Instance = aws.ToString(described.Attachment.InstanceId)
	}
	single := func(text *string) {
		if addr, err := netip.ParseAddr(aws.ToString(text)); err == nil {
			eni.Addresses = append(eni.Addresses, netip.PrefixFrom(addr, addr.BitLen()))
		}
	}
	for _, address := range described.PrivateIpAddresses {
		single(address.PrivateIpAddress)
	}
	for _, address := range described.Ipv6Addresses {
		single(address.Ipv6Address)
	}
	for _, prefix := range described.Ipv4Prefixes {
		eni.Prefixes = append(eni.Prefixes, prefixes(prefix.Ipv4Prefix)...)
	}
	for _, prefix := range described.Ipv6Prefixes {
		eni.Prefixes = append(eni.Prefixes, prefixes(prefix.Ipv6Prefix)...)
	}
	return eni
}

// prefixes parses the ranges that can be parsed: AWS leaves some empty.
func prefixes(cidrs ...*string) []netip.Prefix {
	var list []netip.Prefix
	for _, cidr := range cidrs {
		if prefix, err := netip.ParsePrefix(aws.ToString(cidr)); err == nil {
			list = append(list, prefix)
		}
	}
	return list
}
