package cloud

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// Surveyor is a nodegroup.Surveyor over both services.
type Surveyor struct {
	Cloud   *Cloud
	Scaling *Scaling
}

// SecurityGroups returns the VPC of each of the ids that exists.
func (s Surveyor) SecurityGroups(ctx context.Context, ids []string) (map[string]string, error) {
	const action = "DescribeSecurityGroups"
	found := map[string]string{}
	for _, filters := range vpc.Chunks(vpc.Filter("group-id", ids...)) {
		in := &ec2.DescribeSecurityGroupsInput{Filters: filters}
		err := vpc.Pages(action, maxPages, &in.NextToken, func() (*string, error) {
			out, err := vpc.Call(ctx, s.Cloud.Client, action, in, (*ec2.Client).DescribeSecurityGroups)
			if err != nil {
				return nil, err
			}
			for _, g := range out.SecurityGroups {
				found[aws.ToString(g.GroupId)] = aws.ToString(g.VpcId)
			}
			return out.NextToken, nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// Hooks lists the hooks of an Auto Scaling group.
func (s Surveyor) Hooks(ctx context.Context, group string) ([]nodegroup.Hook, error) {
	in := &autoscaling.DescribeLifecycleHooksInput{AutoScalingGroupName: &group}
	out, err := vpc.Ask(ctx, s.Scaling.service, "DescribeLifecycleHooks", in, (*autoscaling.Client).DescribeLifecycleHooks)
	if err != nil {
		return nil, err
	}
	var hooks []nodegroup.Hook
	for _, h := range out.LifecycleHooks {
		hooks = append(hooks, nodegroup.Hook{
			Name: aws.ToString(h.LifecycleHookName), Launching: aws.ToString(h.LifecycleTransition) == "autoscaling:EC2_INSTANCE_LAUNCHING",
			Abandons: aws.ToString(h.DefaultResult) == string(nodegroup.Abandon), Timeout: time.Duration(aws.ToInt32(h.HeartbeatTimeout)) * time.Second,
		})
	}
	return hooks, nil
}
