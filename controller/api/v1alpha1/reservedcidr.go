package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ReservedCIDR is a range of a subnet that EC2 gives to no one who does not
// ask for it by name: a subnet CIDR reservation, or a range that the planner
// keeps free by other means. NetworkAttachmentDefinitions are checked against
// them.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=reservedcidrs,singular=reservedcidr,scope=Cluster,shortName=rcidr,categories=multus-ipmgr
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="CIDR",type=string,JSONPath=`.spec.cidr`
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Subnet",type=string,JSONPath=`.spec.subnetID`
// +kubebuilder:printcolumn:name="Zone",type=string,JSONPath=`.spec.availabilityZone`
// +kubebuilder:printcolumn:name="Source",type=string,JSONPath=`.spec.source`
// +kubebuilder:printcolumn:name="Used",type=integer,JSONPath=`.status.used`
// +kubebuilder:printcolumn:name="Free",type=integer,JSONPath=`.status.free`
// +kubebuilder:printcolumn:name="Stale",type=date,JSONPath=`.status.staleSince`,description="Since when used and free are not up to date; empty while they are"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Synced",type=string,JSONPath=`.status.conditions[?(@.type=="Synced")].status`,priority=1
// +kubebuilder:printcolumn:name="Reserved",type=string,JSONPath=`.status.conditions[?(@.type=="Reserved")].status`,priority=1
// +kubebuilder:printcolumn:name="Reservation",type=string,JSONPath=`.status.reservationID`,priority=1
// +kubebuilder:selectablefield:JSONPath=`.spec.source`
// +kubebuilder:selectablefield:JSONPath=`.spec.subnetID`
// +kubebuilder:selectablefield:JSONPath=`.spec.type`
// +kubebuilder:validation:XValidation:rule="self.spec.source != 'aws' || self.metadata.name.startsWith('scr-')",message="objects with source aws belong to the controller, which names them after the reservation (scr-...): leave source out"
type ReservedCIDR struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the range and where it lies.
	// +required
	Spec ReservedCIDRSpec `json:"spec"`
	// Status is what EC2 said last about the range. It stays empty where source
	// is manual and create is false: nobody but you writes to such an object.
	// +optional
	Status ReservedCIDRStatus `json:"status,omitempty"`
}

// ReservationType is the type of a subnet CIDR reservation in EC2.
//
// +kubebuilder:validation:Enum=explicit;prefix
type ReservationType string

// The types of subnet CIDR reservations.
const (
	// Explicit ranges are given out by name only: the home of pod addresses.
	Explicit ReservationType = "explicit"
	// Prefix ranges belong to EC2's prefix delegation.
	Prefix ReservationType = "prefix"
)

// Source says who keeps an object.
//
// +kubebuilder:validation:Enum=manual;aws
type Source string

// The sources of objects.
const (
	// Manual objects are written by people and charts. Of those that say create
	// the controller writes status and finalizer, and fills in the subnet's CIDR
	// and zone where they are left out; of others it changes nothing.
	Manual Source = "manual"
	// AWS objects mirror a reservation in EC2 and are the controller's.
	AWS Source = "aws"
)

// ReservedCIDRSpec is the range and where it lies.
//
// +kubebuilder:validation:XValidation:rule="!has(self.subnetCIDR) || !isCIDR(self.subnetCIDR) || !isCIDR(self.cidr) || cidr(self.subnetCIDR).containsCIDR(cidr(self.cidr))",message="cidr must lie within subnetCIDR"
// +kubebuilder:validation:XValidation:rule="!self.create || has(self.subnetID)",message="create needs subnetID: the subnet to make the reservation in"
// +kubebuilder:validation:XValidation:rule="!self.create || self.type == 'explicit'",message="create makes reservations of type explicit only; make those of type prefix with aws ec2 create-subnet-cidr-reservation"
// +kubebuilder:validation:XValidation:rule="!self.create || self.source == 'manual'",message="create is for objects with source manual"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.subnetID) || has(self.subnetID) && self.subnetID == oldSelf.subnetID",message="subnetID is immutable: delete the object and create another"
// +kubebuilder:validation:XValidation:rule="!oldSelf.create || self.create",message="create cannot be taken back: delete the object to delete its reservation"
type ReservedCIDRSpec struct {
	// CIDR is the range, in canonical form (10.0.1.64/26, 2600:1f13:0:1::/80).
	//
	// +required
	// +kubebuilder:validation:MinLength=4
	// +kubebuilder:validation:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="isCIDR(self)",message="want a CIDR such as 10.0.1.64/26"
	// +kubebuilder:validation:XValidation:rule="!isCIDR(self) || string(cidr(self).masked()) == self",message="want the canonical form: no address bits beyond the prefix length, IPv6 in lower case and shortest form"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="cidr is immutable: delete the object and create another"
	CIDR string `json:"cidr"`

	// Type is the type of the reservation: explicit for addresses that are
	// assigned by name, prefix for EC2's prefix delegation.
	//
	// +optional
	// +kubebuilder:default=explicit
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="type is immutable: delete the object and create another"
	Type ReservationType `json:"type,omitempty"`

	// SubnetID is the subnet of the range.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^subnet-[0-9A-Za-z-]+$`
	SubnetID string `json:"subnetID,omitempty"`

	// SubnetCIDR is the CIDR of that subnet, of the same family as cidr.
	//
	// +optional
	// +kubebuilder:validation:MinLength=4
	// +kubebuilder:validation:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="isCIDR(self)",message="want a CIDR such as 10.0.1.0/24"
	// +kubebuilder:validation:XValidation:rule="!isCIDR(self) || string(cidr(self).masked()) == self",message="want the canonical form: no address bits beyond the prefix length, IPv6 in lower case and shortest form"
	SubnetCIDR string `json:"subnetCIDR,omitempty"`

	// AvailabilityZone is the zone of that subnet, such as us-west-2a. An
	// address cannot leave it.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[0-9a-z-]+$`
	AvailabilityZone string `json:"availabilityZone,omitempty"`

	// Source says who keeps this object: manual is you, aws is the controller,
	// which overwrites and deletes it as the reservation in EC2 changes.
	//
	// +optional
	// +kubebuilder:default=manual
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="source is immutable"
	Source Source `json:"source,omitempty"`

	// Create asks the controller to make the reservation in EC2, of type
	// explicit, and to delete it with this object.
	//
	// +optional
	// +kubebuilder:default=false
	Create bool `json:"create,omitempty"`
}

// Types of conditions.
const (
	// ConditionSynced says whether the object shows what EC2 has: False means
	// that it is the last known state, and the message says of when.
	ConditionSynced = "Synced"
	// ConditionReserved says whether the reservation that the object asks for
	// exists in EC2. Only objects with create have it.
	ConditionReserved = "Reserved"
)

// ReservedCIDRStatus is what EC2 said last about the range.
type ReservedCIDRStatus struct {
	// ReservationID is the reservation in EC2 (scr-...).
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	ReservationID string `json:"reservationID,omitempty"`

	// Used counts the addresses of the range that ENIs hold, those of delegated
	// prefixes included.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Used *int64 `json:"used,omitempty"`

	// Free counts the addresses of the range that no ENI holds and that AWS
	// does not keep for itself (the first four and the last of a subnet). It
	// ends at 9223372036854775807, which an IPv6 /65 exceeds.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Free *int64 `json:"free,omitempty"`

	// LastSyncTime is when EC2 was read, at the last change of this status. An
	// unchanged status is confirmed every quarter of an hour, not at every sync.
	//
	// +optional
	LastSyncTime *metav1.Time `json:"lastSyncTime,omitempty"`

	// StaleSince is when EC2 was read last, where used and free are the figures
	// of then: EC2 cannot be read now, as the condition Synced says. It is absent
	// while they are up to date.
	//
	// +optional
	StaleSince *metav1.Time `json:"staleSince,omitempty"`

	// ObservedGeneration is the generation of the spec that this status is about.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions are Synced and, for objects with create, Reserved.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ReservedCIDRList is a list of ReservedCIDRs.
//
// +kubebuilder:object:root=true
type ReservedCIDRList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// Items are the objects of the list.
	Items []ReservedCIDR `json:"items"`
}
