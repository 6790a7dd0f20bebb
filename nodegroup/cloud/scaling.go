package cloud

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// Scaling is a nodegroup.Scaling and a nodegroup.Peers over Auto Scaling.
type Scaling struct {
	service *vpc.Service[autoscaling.Client]
	// Values of the two tags by which a group is ours.
	cluster, nodeGroup string
}

// NewScaling returns Auto Scaling for a node group. It makes no connection.
func NewScaling(client *vpc.Client, cluster, nodeGroup string) *Scaling {
	connect := func(config aws.Config) *autoscaling.Client { return autoscaling.NewFromConfig(config) }
	return &Scaling{service: vpc.NewService(client, connect), cluster: cluster, nodeGroup: nodeGroup}
}

// Bounds of Auto Scaling's lists.
const (
	groupsPerPage    = 100
	instancesPerPage = 50
	maxScalingPages  = 200
)

// Groups lists the groups with both tags.
func (s *Scaling) Groups(ctx context.Context) ([]nodegroup.ScalingGroup, error) {
	var groups []nodegroup.ScalingGroup
	err := s.eachGroup(ctx, func(g *types.AutoScalingGroup) { groups = append(groups, newGroup(g)) },
		tagged(nodegroup.TagCluster, s.cluster), tagged(nodegroup.TagNodeGroup, s.nodeGroup))
	return groups, err
}

// Launching lists the instances of a zone that groups of the cluster are
// launching.
func (s *Scaling) Launching(ctx context.Context, zone string) ([]nodegroup.Launch, error) {
	var launches []nodegroup.Launch
	err := s.eachGroup(ctx, func(g *types.AutoScalingGroup) {
		var nodeGroup string
		for _, tag := range g.Tags {
			if aws.ToString(tag.Key) == nodegroup.TagNodeGroup {
				nodeGroup = aws.ToString(tag.Value)
			}
		}
		for _, i := range g.Instances {
			if aws.ToString(i.AvailabilityZone) == zone && nodegroup.Lifecycle(i.LifecycleState).Starting() {
				launches = append(launches, nodegroup.Launch{Instance: aws.ToString(i.InstanceId), NodeGroup: nodeGroup})
			}
		}
	}, tagged(nodegroup.TagCluster, s.cluster))
	return launches, err
}

func tagged(key, value string) types.Filter {
	return types.Filter{Name: aws.String("tag:" + key), Values: []string{value}}
}

func (s *Scaling) eachGroup(ctx context.Context, do func(*types.AutoScalingGroup), filters ...types.Filter) error {
	const action = "DescribeAutoScalingGroups"
	in := &autoscaling.DescribeAutoScalingGroupsInput{Filters: filters, MaxRecords: aws.Int32(groupsPerPage)}
	return vpc.Pages(action, maxScalingPages, &in.NextToken, func() (*string, error) {
		out, err := vpc.Ask(ctx, s.service, action, in, (*autoscaling.Client).DescribeAutoScalingGroups)
		if err != nil {
			return nil, err
		}
		for i := range out.AutoScalingGroups {
			do(&out.AutoScalingGroups[i])
		}
		return out.NextToken, nil
	})
}

func newGroup(g *types.AutoScalingGroup) nodegroup.ScalingGroup {
	group := nodegroup.ScalingGroup{
		Name: aws.ToString(g.AutoScalingGroupName), Zones: g.AvailabilityZones,
		HasWarmPool: g.WarmPoolConfiguration != nil, Members: members(g.Instances), Propagates: true,
	}
	if policy := g.MixedInstancesPolicy; policy != nil && policy.LaunchTemplate != nil {
		for _, override := range policy.LaunchTemplate.Overrides {
			group.Types = append(group.Types, aws.ToString(override.InstanceType))
		}
	}
	for _, m := range group.Members {
		group.Types = append(group.Types, m.Type)
	}
	slices.Sort(group.Types)
	group.Types = slices.DeleteFunc(slices.Compact(group.Types), func(t string) bool { return t == "" })
	for _, tag := range g.Tags {
		ours := aws.ToString(tag.Key) == nodegroup.TagCluster || aws.ToString(tag.Key) == nodegroup.TagNodeGroup
		group.Propagates = group.Propagates && (!ours || aws.ToBool(tag.PropagateAtLaunch))
	}
	return group
}

func members(instances []types.Instance) []nodegroup.Member {
	list := make([]nodegroup.Member, len(instances))
	for i := range instances {
		list[i] = nodegroup.Member{
			ID: aws.ToString(instances[i].InstanceId), Type: aws.ToString(instances[i].InstanceType),
			Zone: aws.ToString(instances[i].AvailabilityZone), State: nodegroup.Lifecycle(instances[i].LifecycleState),
		}
	}
	return list
}

// WarmPool lists the warm pool of a group.
func (s *Scaling) WarmPool(ctx context.Context, group string) ([]nodegroup.Member, error) {
	const action = "DescribeWarmPool"
	var list []nodegroup.Member
	in := &autoscaling.DescribeWarmPoolInput{AutoScalingGroupName: &group, MaxRecords: aws.Int32(instancesPerPage)}
	err := vpc.Pages(action, maxScalingPages, &in.NextToken, func() (*string, error) {
		out, err := vpc.Ask(ctx, s.service, action, in, (*autoscaling.Client).DescribeWarmPool)
		if err != nil {
			return nil, err
		}
		list = append(list, members(out.Instances)...)
		return out.NextToken, nil
	})
	return list, err
}

// States says in which state instances are.
func (s *Scaling) States(ctx context.Context, instances []string) (map[string]nodegroup.Lifecycle, error) {
	const action = "DescribeAutoScalingInstances"
	states := map[string]nodegroup.Lifecycle{}
	for some := range slices.Chunk(instances, instancesPerPage) {
		in := &autoscaling.DescribeAutoScalingInstancesInput{InstanceIds: some}
		err := vpc.Pages(action, maxScalingPages, &in.NextToken, func() (*string, error) {
			out, err := vpc.Ask(ctx, s.service, action, in, (*autoscaling.Client).DescribeAutoScalingInstances)
			if err != nil {
				return nil, err
			}
			for _, i := range out.AutoScalingInstances {
				states[aws.ToString(i.InstanceId)] = nodegroup.Lifecycle(aws.ToString(i.LifecycleState))
			}
			return out.NextToken, nil
		})
		if err != nil {
			return nil, err
		}
	}
	return states, nil
}

// Answer ends an action.
func (s *Scaling) Answer(ctx context.Context, a nodegroup.Action, r nodegroup.Result) error {
	in := &autoscaling.CompleteLifecycleActionInput{
		AutoScalingGroupName: &a.Group, LifecycleHookName: &a.Hook, LifecycleActionResult: aws.String(string(r)),
	}
	in.LifecycleActionToken, in.InstanceId = named(a)
	_, err := vpc.Ask(ctx, s.service, "CompleteLifecycleAction", in, (*autoscaling.Client).CompleteLifecycleAction)
	return notWaiting(err)
}

// Heartbeat postpones the time-out of an action.
func (s *Scaling) Heartbeat(ctx context.Context, a nodegroup.Action) error {
	in := &autoscaling.RecordLifecycleActionHeartbeatInput{AutoScalingGroupName: &a.Group, LifecycleHookName: &a.Hook}
	in.LifecycleActionToken, in.InstanceId = named(a)
	_, err := vpc.Ask(ctx, s.service, "RecordLifecycleActionHeartbeat", in, (*autoscaling.Client).RecordLifecycleActionHeartbeat)
	return notWaiting(err)
}

// named names an action by its token, or by its instance where there is none.
func named(a nodegroup.Action) (token, instance *string) {
	if a.Token != "" {
		return &a.Token, nil
	}
	return nil, &a.Instance
}

// notWaiting recognises the refusal of an answer that nobody waits for. The code
// says nothing: Auto Scaling has one for all mistakes.
func notWaiting(err error) error {
	if fault.CodeOf(err) != "ValidationError" {
		return err
	}
	said := strings.ToLower(vpc.Message(err))
	if strings.HasPrefix(said, "no active lifecycle action found") {
		return fmt.Errorf("%w: %w", nodegroup.ErrNotWaiting, err)
	}
	return err
}
