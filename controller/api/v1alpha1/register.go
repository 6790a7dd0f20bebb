package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Names of the API group and of its one resource.
const (
	Group    = "multus-ipmgr.io"
	Version  = "v1alpha1"
	Kind     = "ReservedCIDR"
	Resource = "reservedcidrs"
)

// GroupVersion returns the group and version of the types in this package.
func GroupVersion() schema.GroupVersion { return schema.GroupVersion{Group: Group, Version: Version} }

// GroupVersionResource returns what dynamic clients need to read ReservedCIDRs.
func GroupVersionResource() schema.GroupVersionResource { return GroupVersion().WithResource(Resource) }

// AddToScheme makes the types of this package known to s.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion(), &ReservedCIDR{}, &ReservedCIDRList{})
	metav1.AddToGroupVersion(s, GroupVersion())
	return nil
}
