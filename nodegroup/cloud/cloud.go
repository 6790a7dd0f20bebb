// Package cloud is EC2 for a node group: it reads instances, ENIs and subnets
// into the words of nodegroup, and carries out its steps.
package cloud

import (
	"context"
	"net/netip"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/plan"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// Cloud is a nodegroup.Cloud over EC2.
type Cloud struct {
	Client *vpc.Client
	// Cluster and NodeGroup are the values of the tags by which an ENI is ours.
	Cluster, NodeGroup string
}

// maxPages bounds the list of one instance.
const maxPages = 10

// Instance describes a worker. A filter, unlike an id, does not fail for one
// that EC2 does not know.
func (c *Cloud) Instance(ctx context.Context, id string) (nodegroup.Instance, error) {
	const action = "DescribeInstances"
	instance := nodegroup.Instance{Instance: plan.Instance{ID: id}}
	in := &ec2.DescribeInstancesInput{Filters: []types.Filter{vpc.Filter("instance-id", id)}}
	err := vpc.Pages(action, maxPages, &in.NextToken, func() (*string, error) {
		out, err := vpc.Call(ctx, c.Client, action, in, (*ec2.Client).DescribeInstances)
		if err != nil {
			return nil, err
		}
		for _, reservation := range out.Reservations {
			for i := range reservation.Instances {
				instance = newInstance(&reservation.Instances[i])
			}
		}
		return out.NextToken, nil
	})
	return instance, err
}

func newInstance(i *types.Instance) nodegroup.Instance {
	instance := nodegroup.Instance{
		Instance: plan.Instance{ID: aws.ToString(i.InstanceId), Type: string(i.InstanceType)},
		Tags:     tagsOf(i.Tags),
	}
	if i.Placement != nil {
		instance.Zone = aws.ToString(i.Placement.AvailabilityZone)
	}
	if i.State != nil {
		instance.State = plan.State(i.State.Name)
	}
	for j := range i.NetworkInterfaces {
		e := &i.NetworkInterfaces[j]
		eni := plan.ENI{
			ID: aws.ToString(e.NetworkInterfaceId), Subnet: aws.ToString(e.SubnetId), MAC: aws.ToString(e.MacAddress),
			Primary: address(e.PrivateIpAddress), Checked: aws.ToBool(e.SourceDestCheck),
		}
		if at := e.Attachment; at != nil {
			eni.Attachment = newAttachment(instance.ID, at.AttachmentId, at.DeviceIndex, at.NetworkCardIndex, at.Status, at.DeleteOnTermination)
		}
		instance.ENIs = append(instance.ENIs, eni)
	}
	return instance
}

func newAttachment(instance string, id *string, device, card *int32, status types.AttachmentStatus, protected *bool) *plan.Attachment {
	return &plan.Attachment{
		ID: aws.ToString(id), Instance: instance, Device: int(aws.ToInt32(device)), Card: int(aws.ToInt32(card)),
		Settled: status == types.AttachmentStatusAttached, Leaving: status == types.AttachmentStatusDetaching || status == types.AttachmentStatusDetached,
		Protected: aws.ToBool(protected),
	}
}

// Tagged lists the ENIs of an instance by our tags.
func (c *Cloud) Tagged(ctx context.Context, instance string) ([]plan.ENI, error) {
	return c.enis(ctx,
		vpc.Filter("tag:"+nodegroup.TagInstance, instance),
		vpc.Filter("tag:"+nodegroup.TagCluster, c.Cluster),
		vpc.Filter("tag:"+nodegroup.TagNodeGroup, c.NodeGroup))
}

// Unattached lists the ENIs of the node group that are attached to nothing.
func (c *Cloud) Unattached(ctx context.Context) ([]plan.ENI, error) {
	return c.enis(ctx,
		vpc.Filter("tag:"+nodegroup.TagCluster, c.Cluster),
		vpc.Filter("tag:"+nodegroup.TagNodeGroup, c.NodeGroup),
		vpc.Filter("status", string(types.NetworkInterfaceStatusAvailable)))
}

// ENIs describes those of the ids that exist.
func (c *Cloud) ENIs(ctx context.Context, ids []string) ([]plan.ENI, error) {
	return c.enis(ctx, vpc.Filter("network-interface-id", ids...))
}

func (c *Cloud) enis(ctx context.Context, filters ...types.Filter) ([]plan.ENI, error) {
	described, err := c.Client.Interfaces(ctx, filters...)
	if err != nil {
		return nil, err
	}
	enis := make([]plan.ENI, len(described))
	for i := range described {
		enis[i] = c.newENI(&described[i])
	}
	return enis, nil
}

// newENI reads an ENI. Only one with all our tags has a network and an
// instance.
func (c *Cloud) newENI(e *types.NetworkInterface) plan.ENI {
	eni := plan.ENI{
		ID: aws.ToString(e.NetworkInterfaceId), Subnet: aws.ToString(e.SubnetId), MAC: aws.ToString(e.MacAddress),
		Primary: address(e.PrivateIpAddress), Checked: aws.ToBool(e.SourceDestCheck),
	}
	if len(e.Ipv6Addresses) > 0 {
		eni.IPv6 = address(e.Ipv6Addresses[0].Ipv6Address)
	}
	if at := e.Attachment; at != nil {
		eni.Attachment = newAttachment(aws.ToString(at.InstanceId), at.AttachmentId, at.DeviceIndex, at.NetworkCardIndex, at.Status, at.DeleteOnTermination)
	}
	tags := tagsOf(e.TagSet)
	if tags[nodegroup.TagCluster] == c.Cluster && tags[nodegroup.TagNodeGroup] == c.NodeGroup {
		eni.Network, eni.Instance = tags[nodegroup.TagNetwork], tags[nodegroup.TagInstance]
		eni.Created, _ = time.Parse(time.RFC3339, tags[nodegroup.TagCreated])
	}
	return eni
}

// Subnets describes those of the ids that exist.
func (c *Cloud) Subnets(ctx context.Context, ids []string) (map[string]plan.Subnet, error) {
	found, err := c.Client.Subnets(ctx, vpc.Selection{IDs: ids})
	if err != nil {
		return nil, err
	}
	subnets := make(map[string]plan.Subnet, len(found))
	for id, s := range found {
		subnet := plan.Subnet{ID: id, VPC: s.VPC, Zone: s.Zone, LeftByCNI: s.Tags[nodegroup.TagCNI] == "0"}
		for _, cidr := range s.CIDRs {
			switch {
			case !cidr.Addr().Is4():
				subnet.HasIPv6 = true
			case !subnet.CIDR.IsValid():
				subnet.CIDR = cidr
			}
		}
		subnets[id] = subnet
	}
	return subnets, nil
}

// Contents says what is reserved and held in a subnet.
func (c *Cloud) Contents(ctx context.Context, subnet string) (nodegroup.Contents, error) {
	reservations, err := c.Client.Reservations(ctx, subnet)
	if err != nil {
		return nodegroup.Contents{}, err
	}
	described, err := c.Client.Interfaces(ctx, vpc.Filter("subnet-id", subnet))
	if err != nil {
		return nodegroup.Contents{}, err
	}
	contents := nodegroup.Contents{Served: map[string]bool{}}
	for _, r := range reservations {
		contents.Reserved = append(contents.Reserved, r.CIDR)
		contents.ReservedForPods = contents.ReservedForPods || r.Type == string(types.SubnetCidrReservationTypeExplicit)
	}
	for i := range described {
		held := vpc.NewENI(&described[i])
		contents.Held = append(append(contents.Held, held.Addresses...), held.Prefixes...)
		if eni := c.newENI(&described[i]); eni.Network != "" {
			contents.Ours = append(contents.Ours, eni)
		} else if tags := tagsOf(described[i].TagSet); tags[nodegroup.TagCluster] == c.Cluster {
			contents.Served[tags[nodegroup.TagInstance]] = true
		}
	}
	return contents, nil
}

// Limits asks EC2 and no table of our own: types appear, and limits change.
func (c *Cloud) Limits(ctx context.Context, instanceType string) (plan.Limits, error) {
	const action = "DescribeInstanceTypes"
	limits := plan.Limits{Cards: map[int]int{}}
	in := &ec2.DescribeInstanceTypesInput{Filters: []types.Filter{vpc.Filter("instance-type", instanceType)}}
	err := vpc.Pages(action, maxPages, &in.NextToken, func() (*string, error) {
		out, err := vpc.Call(ctx, c.Client, action, in, (*ec2.Client).DescribeInstanceTypes)
		if err != nil {
			return nil, err
		}
		for _, t := range out.InstanceTypes {
			if t.NetworkInfo == nil {
				continue
			}
			limits.ENIs = int(aws.ToInt32(t.NetworkInfo.MaximumNetworkInterfaces))
			for _, card := range t.NetworkInfo.NetworkCards {
				flexible := int(aws.ToInt32(card.AdditionalFlexibleNetworkInterfaces))
				limits.ENIs += flexible
				limits.Cards[int(aws.ToInt32(card.NetworkCardIndex))] = int(aws.ToInt32(card.MaximumNetworkInterfaces)) + flexible
			}
		}
		return out.NextToken, nil
	})
	return limits, err
}

func address(text *string) netip.Addr {
	addr, _ := netip.ParseAddr(aws.ToString(text))
	return addr
}

func tagsOf(list []types.Tag) map[string]string {
	tags := make(map[string]string, len(list))
	for _, tag := range list {
		tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return tags
}
