package nodegroup

import (
	"fmt"
	"maps"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
)

// The keys of tags. Instance and group carry the first two as well.
const (
	TagNodeGroup = "multus-ipmgr.io/nodegroup"
	TagCluster   = "multus-ipmgr.io/cluster"
	TagNetwork   = "multus-ipmgr.io/network"
	TagInstance  = "multus-ipmgr.io/instance"
	TagDevice    = "multus-ipmgr.io/device" // CARD.INDEX
	TagCreated   = "multus-ipmgr.io/created"
	// TagNoManage keeps the VPC CNI away, and allows pods to take addresses.
	TagNoManage = "node.k8s.amazonaws.com/no_manage"
	// TagCNI with the value 0 keeps the VPC CNI out of a subnet.
	TagCNI = "kubernetes.io/role/cni"
)

// tagsOf returns the tags of a new ENI. It has them from its creation: between
// creation and tagging the VPC CNI could adopt it, and nobody would know whose
// it is.
func tagsOf(s *spec.Settings, n *spec.Network, instance string, device int, now time.Time) map[string]string {
	tags := map[string]string{"Name": fmt.Sprintf("%s/%s/%s", s.Cluster, s.Name, n.Name)}
	maps.Copy(tags, n.Tags)
	maps.Copy(tags, map[string]string{
		TagNoManage: "true", TagCluster: s.Cluster, TagNodeGroup: s.Name, TagNetwork: n.Name, TagInstance: instance,
		TagDevice: fmt.Sprintf("%d.%d", n.NetworkCard, device), TagCreated: now.UTC().Format(time.RFC3339),
	})
	return tags
}
