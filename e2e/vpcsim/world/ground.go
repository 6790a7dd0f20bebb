package world

import (
	"maps"
	"slices"

	"github.com/aws/amazon-vpc-resource-controller-k8s/pkg/aws/vpc"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

// checkGroups refuses security groups that do not exist, or are another VPC's,
// where the topology lists groups at all.
func (w *World) checkGroups(ids []string, subnet string, create bool) error {
	if len(w.start.SecurityGroups) == 0 {
		return nil
	}
	home := w.VPCOf(w.subnets.value[subnet]).ID
	for _, id := range ids {
		g, ok := w.group(id)
		switch {
		case id == topology.DefaultGroup:
		case ok && g.VPC == home:
		case ok && create:
			return apierr.Value("You have specified two resources that belong to different networks.")
		default:
			return errNoGroup(id)
		}
	}
	return nil
}

func (w *World) group(id string) (topology.SecurityGroup, bool) {
	i := slices.IndexFunc(w.start.SecurityGroups, func(g topology.SecurityGroup) bool { return g.ID == id })
	if i < 0 {
		return topology.SecurityGroup{}, false
	}
	return w.start.SecurityGroups[i], true
}

// GroupName returns the name of a security group, its id where the topology has
// none.
func (w *World) GroupName(id string) string {
	if g, ok := w.group(id); ok {
		return g.Name
	}
	if id == topology.DefaultGroup {
		return "default"
	}
	return id
}

// Limits returns the network limits of an instance type.
func (w *World) Limits(instanceType string) (*vpc.VPCLimits, bool) {
	return w.start.Limits(instanceType)
}

// InstanceTypes lists all types, sorted.
func (w *World) InstanceTypes() []string {
	names := slices.Collect(maps.Keys(vpc.Limits))
	for name := range w.start.InstanceTypes {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// VPCs lists all VPCs.
func (w *World) VPCs() []topology.VPC { return append([]topology.VPC{w.VPC}, w.start.VPCs...) }

// VPCOf returns the VPC of a subnet.
func (w *World) VPCOf(s topology.Subnet) topology.VPC { return w.start.VPCOf(s) }
