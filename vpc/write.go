package vpc

import (
	"context"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
)

// Reserve makes a reservation of type explicit. EC2 tags it in the same step,
// so that it is recognised even if the answer is lost.
func (c *Client) Reserve(ctx context.Context, r Request) (Reservation, error) {
	var tags []types.Tag
	for _, key := range slices.Sorted(maps.Keys(r.Tags)) {
		tags = append(tags, types.Tag{Key: aws.String(key), Value: aws.String(r.Tags[key])})
	}
	out, err := Call(ctx, c, "CreateSubnetCidrReservation", &ec2.CreateSubnetCidrReservationInput{
		SubnetId:          &r.SubnetID,
		Cidr:              aws.String(r.CIDR.String()),
		ReservationType:   types.SubnetCidrReservationTypeExplicit,
		Description:       &r.Description,
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeSubnetCidrReservation, Tags: tags}},
	}, (*ec2.Client).CreateSubnetCidrReservation)
	if err != nil {
		return Reservation{}, err
	}
	return newReservation(*out.SubnetCidrReservation)
}

// Release deletes a reservation. That it is gone already is success.
func (c *Client) Release(ctx context.Context, id string) error {
	_, err := Call(ctx, c, "DeleteSubnetCidrReservation",
		&ec2.DeleteSubnetCidrReservationInput{SubnetCidrReservationId: &id}, (*ec2.Client).DeleteSubnetCidrReservation)
	if fault.MeaningOf(err) == fault.Missing {
		return nil
	}
	return err
}
