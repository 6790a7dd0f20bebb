package cloud

import (
	"context"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/plan"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// Create makes an ENI, tagged from its first moment.
func (c *Cloud) Create(ctx context.Context, r nodegroup.Request) (plan.ENI, error) {
	var tags []types.Tag
	for _, key := range slices.Sorted(maps.Keys(r.Tags)) {
		tags = append(tags, types.Tag{Key: aws.String(key), Value: aws.String(r.Tags[key])})
	}
	in := &ec2.CreateNetworkInterfaceInput{
		SubnetId: &r.Subnet, Groups: r.SecurityGroups, ClientToken: &r.Token, Description: &r.Description,
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeNetworkInterface, Tags: tags}},
	}
	if r.Address.IsValid() {
		in.PrivateIpAddress = aws.String(r.Address.String())
	}
	if r.IPv6 {
		in.Ipv6AddressCount = aws.Int32(1)
	}
	out, err := vpc.Call(ctx, c.Client, "CreateNetworkInterface", in, (*ec2.Client).CreateNetworkInterface)
	if err != nil {
		return plan.ENI{}, err
	}
	return c.newENI(out.NetworkInterface), nil
}

// Attach names the card always: instances with several refuse a call without.
func (c *Cloud) Attach(ctx context.Context, eni, instance string, device, card int) (string, error) {
	out, err := vpc.Call(ctx, c.Client, "AttachNetworkInterface", &ec2.AttachNetworkInterfaceInput{
		NetworkInterfaceId: &eni, InstanceId: &instance,
		DeviceIndex: aws.Int32(int32(device)), NetworkCardIndex: aws.Int32(int32(card)),
	}, (*ec2.Client).AttachNetworkInterface)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.AttachmentId), nil
}

// Protect has EC2 delete the ENI with its instance. EC2 attaches to a running
// instance without that.
func (c *Cloud) Protect(ctx context.Context, eni, attachment string) error {
	return c.modify(ctx, &ec2.ModifyNetworkInterfaceAttributeInput{
		NetworkInterfaceId: &eni,
		Attachment:         &types.NetworkInterfaceAttachmentChanges{AttachmentId: &attachment, DeleteOnTermination: aws.Bool(true)},
	})
}

// Uncheck turns the source/destination check off.
func (c *Cloud) Uncheck(ctx context.Context, eni string) error {
	return c.modify(ctx, &ec2.ModifyNetworkInterfaceAttributeInput{
		NetworkInterfaceId: &eni,
		SourceDestCheck:    &types.AttributeBooleanValue{Value: aws.Bool(false)},
	})
}

func (c *Cloud) modify(ctx context.Context, in *ec2.ModifyNetworkInterfaceAttributeInput) error {
	_, err := vpc.Call(ctx, c.Client, "ModifyNetworkInterfaceAttribute", in, (*ec2.Client).ModifyNetworkInterfaceAttribute)
	return err
}

// Detach begins to take an ENI off its instance. It never forces.
func (c *Cloud) Detach(ctx context.Context, attachment string) error {
	_, err := vpc.Call(ctx, c.Client, "DetachNetworkInterface", &ec2.DetachNetworkInterfaceInput{AttachmentId: &attachment}, (*ec2.Client).DetachNetworkInterface)
	return err
}

// Delete deletes an ENI. That it is gone already is success.
func (c *Cloud) Delete(ctx context.Context, eni string) error {
	_, err := vpc.Call(ctx, c.Client, "DeleteNetworkInterface", &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: &eni}, (*ec2.Client).DeleteNetworkInterface)
	if fault.MeaningOf(err) == fault.Missing {
		return nil
	}
	return err
}
