package vpcsim_test

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// TestCodesThatNoSourceSettles turns each knob for an error code and looks
// whether EC2 answers with it.
func TestCodesThatNoSourceSettles(t *testing.T) {
	for _, tc := range []struct {
		name, set string
		call      call
		want      refusal
	}{
		{"no free block for a prefix, as VPC CNI saw it", `{"unattachedLimit":64}`,
			assignInput(ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: aws.String("eni-spare"), Ipv4PrefixCount: aws.Int32(20)}),
			refusal{400, "InsufficientCidrBlocks", "The specified subnet does not have enough free cidr blocks to satisfy the request."}},
		{"no free block for a prefix, as Cilium saw it", `{"noFreePrefixCode":"InvalidParameterValue"}`,
			assignInput(ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: aws.String("eni-spare"), Ipv4PrefixCount: aws.Int32(20)}),
			value("There aren't sufficient free Ipv4 addresses or prefixes")},
		{"too many IPv6 addresses", `{"ipv6LimitCode":"Ipv6AddressLimitExceeded"}`,
			func(ctx context.Context, c *ec2.Client) error {
				_, err := c.AssignIpv6Addresses(ctx, &ec2.AssignIpv6AddressesInput{NetworkInterfaceId: aws.String(one), Ipv6AddressCount: aws.Int32(16)})
				return err
			}, refusal{400, "Ipv6AddressLimitExceeded", "Number of private addresses will exceed limit."}},
		{"a reservation of a wrong type", `{"reservationErrorCode":"InvalidRequest"}`,
			func(ctx context.Context, c *ec2.Client) error {
				_, err := c.CreateSubnetCidrReservation(ctx, &ec2.CreateSubnetCidrReservationInput{
					SubnetId: aws.String("subnet-multus-a"), Cidr: aws.String("10.10.1.32/28"), ReservationType: types.SubnetCidrReservationType("pods"),
				})
				return err
			}, refusal{400, "InvalidRequest", "Value (pods) for parameter reservationType is invalid."}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := startWith(t, load(t, twoWorkersText(t)+extra), withDefaults())
			set(tc.set)(r)
			if got := refusalOf(tc.call(t.Context(), r.ec2)); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}
