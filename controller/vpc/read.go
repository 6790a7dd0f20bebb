package vpc

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// pageSize is the most that the Describe calls return at once. They may return
// less: only a missing token ends a list.
const pageSize = 1000

// Subnets returns the selected subnets that exist, by their ids.
func (c *Client) Subnets(ctx context.Context, s Selection) (map[string]Subnet, error) {
	// A filter, unlike a list of ids, does not fail for one that is gone.
	by := types.Filter{Name: aws.String("subnet-id"), Values: s.IDs}
	if s.TagKey != "" {
		by = types.Filter{Name: aws.String("tag:" + s.TagKey), Values: []string{s.TagValue}}
	}
	in := &ec2.DescribeSubnetsInput{Filters: []types.Filter{by}, MaxResults: aws.Int32(pageSize)}
	subnets := map[string]Subnet{}
	for {
		out, err := call(ctx, c, c.reads, "DescribeSubnets", in, (*ec2.Client).DescribeSubnets)
		if err != nil {
			return nil, err
		}
		for _, described := range out.Subnets {
			subnet := newSubnet(described)
			subnets[subnet.ID] = subnet
		}
		if aws.ToString(out.NextToken) == "" {
			return subnets, nil
		}
		in.NextToken = out.NextToken
	}
}

func newSubnet(s types.Subnet) Subnet {
	cidrs := []*string{s.CidrBlock}
	for _, block := range s.Ipv6CidrBlockAssociationSet {
		if block.Ipv6CidrBlockState != nil && block.Ipv6CidrBlockState.State == types.SubnetCidrBlockStateCodeAssociated {
			cidrs = append(cidrs, block.Ipv6CidrBlock)
		}
	}
	return Subnet{ID: aws.ToString(s.SubnetId), Zone: aws.ToString(s.AvailabilityZone), CIDRs: parse(cidrs...)}
}

// Reservations returns all CIDR reservations of a subnet, of both families.
func (c *Client) Reservations(ctx context.Context, subnetID string) ([]Reservation, error) {
	// The SDK has no paginator for this call, and EC2 ends a page at 255.
	in := &ec2.GetSubnetCidrReservationsInput{SubnetId: &subnetID}
	var reservations []Reservation
	for {
		out, err := call(ctx, c, c.reads, "GetSubnetCidrReservations", in, (*ec2.Client).GetSubnetCidrReservations)
		if err != nil {
			return nil, err
		}
		for _, family := range [][]types.SubnetCidrReservation{out.SubnetIpv4CidrReservations, out.SubnetIpv6CidrReservations} {
			for _, item := range family {
				reservation, err := newReservation(item)
				if err != nil {
					return nil, err
				}
				reservations = append(reservations, reservation)
			}
		}
		if aws.ToString(out.NextToken) == "" {
			return reservations, nil
		}
		in.NextToken = out.NextToken
	}
}

func newReservation(r types.SubnetCidrReservation) (Reservation, error) {
	cidr, err := netip.ParsePrefix(aws.ToString(r.Cidr))
	if err != nil {
		return Reservation{}, fmt.Errorf("the CIDR of reservation %s cannot be read: %w", aws.ToString(r.SubnetCidrReservationId), err)
	}
	tags := make(map[string]string, len(r.Tags))
	for _, tag := range r.Tags {
		tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return Reservation{
		ID: aws.ToString(r.SubnetCidrReservationId), SubnetID: aws.ToString(r.SubnetId),
		CIDR: cidr.Masked(), Type: string(r.ReservationType), Tags: tags,
	}, nil
}

// ENIs returns the network interfaces of a subnet with what they hold.
func (c *Client) ENIs(ctx context.Context, subnetID string) ([]ENI, error) {
	in := &ec2.DescribeNetworkInterfacesInput{
		Filters:    []types.Filter{{Name: aws.String("subnet-id"), Values: []string{subnetID}}},
		MaxResults: aws.Int32(pageSize),
	}
	var enis []ENI
	for {
		out, err := call(ctx, c, c.reads, "DescribeNetworkInterfaces", in, (*ec2.Client).DescribeNetworkInterfaces)
		if err != nil {
			return nil, err
		}
		for i := range out.NetworkInterfaces {
			enis = append(enis, newENI(&out.NetworkInterfaces[i]))
		}
		if aws.ToString(out.NextToken) == "" {
			return enis, nil
		}
		in.NextToken = out.NextToken
	}
}

func newENI(described *types.NetworkInterface) ENI {
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
		eni.Prefixes = append(eni.Prefixes, parse(prefix.Ipv4Prefix)...)
	}
	for _, prefix := range described.Ipv6Prefixes {
		eni.Prefixes = append(eni.Prefixes, parse(prefix.Ipv6Prefix)...)
	}
	return eni
}
