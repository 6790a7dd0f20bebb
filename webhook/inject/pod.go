package inject

import "bytes"

// Pod is what a decision reads of a core/v1 Pod, in the shape of its JSON.
// Decoding into it ignores everything else, which cannot be lost by that: a decision adds to the pod and never writes it back.
type Pod struct {
	Metadata Metadata `json:"metadata"`
	// Spec is nil when it is absent or null.
	Spec *PodSpec `json:"spec"`

	bare bool // Spec was nil, and is to be added
}

// Metadata is the part of the pod's ObjectMeta that is read.
type Metadata struct {
	Name         string            `json:"name"`
	GenerateName string            `json:"generateName"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	Owners       []Owner           `json:"ownerReferences"`
}

// Owner is what made the pod.
type Owner struct {
	Kind string `json:"kind"`
}

// PodSpec is the part of the pod's specification that is read.
type PodSpec struct {
	HostNetwork                  bool              `json:"hostNetwork"`
	HostPID                      bool              `json:"hostPID"`
	ShareProcessNamespace        bool              `json:"shareProcessNamespace"`
	AutomountServiceAccountToken *bool             `json:"automountServiceAccountToken"`
	RestartPolicy                string            `json:"restartPolicy"`
	SecurityContext              SecurityContext   `json:"securityContext"`
	ImagePullSecrets             []Reference       `json:"imagePullSecrets"`
	NodeName                     string            `json:"nodeName"`
	Affinity                     *Affinity         `json:"affinity"`
	SchedulerName                string            `json:"schedulerName"`
	NodeSelector                 map[string]string `json:"nodeSelector"`
	OS                           OS                `json:"os"`
	Resources                    Resources         `json:"resources"`
	InitContainers               []Container       `json:"initContainers"`
	Containers                   []Container       `json:"containers"`
	Volumes                      []Volume          `json:"volumes"`
}

// OS is the operating system that the pod says it needs.
type OS struct {
	Name string `json:"name"`
}

// Container is the part of a container that is read.
type Container struct {
	Name            string          `json:"name"`
	Resources       Resources       `json:"resources"`
	SecurityContext SecurityContext `json:"securityContext"`
}

// SecurityContext is the part of a pod's or a container's that is read.
type SecurityContext struct {
	RunAsUser    *int64       `json:"runAsUser"`
	Privileged   bool         `json:"privileged"`
	Capabilities Capabilities `json:"capabilities"`
}

// Capabilities are what a container may do beyond its user's rights.
type Capabilities struct {
	Add []string `json:"add"`
}

// Reference names an object in the pod's namespace.
type Reference struct {
	Name string `json:"name"`
}

// Resources are requests and limits by resource name, as quantities.
type Resources struct {
	Requests map[string]Quantity `json:"requests"`
	Limits   map[string]Quantity `json:"limits"`
}

// Quantity is a quantity as it is written. The API server writes strings,
// people may write numbers.
type Quantity string

// UnmarshalJSON takes a string or a number.
func (q *Quantity) UnmarshalJSON(data []byte) error {
	*q = Quantity(bytes.Trim(data, `"`))
	return nil
}

// Volume is the part of a volume that is read.
type Volume struct {
	Name string `json:"name"`
}

// Namespace is what a decision reads of the pod's namespace. It comes from the
// admission request and the cluster: a pod that a controller creates does not
// say its namespace.
type Namespace struct {
	Name        string
	Labels      map[string]string
	Annotations map[string]string
}

// Labels and annotations of the contract with users.
const (
	// InjectLabel opts namespaces and pods in and out.
	InjectLabel = "multus-ipmgr.io/inject"
	// ModeAnnotation on a pod, or on a namespace as its default, is a
	// spec.Mode.
	ModeAnnotation = "multus-ipmgr.io/mode"
	// InjectedAnnotation is written by the webhook: the mode and the version
	// that were injected, separated by a space.
	InjectedAnnotation = "multus-ipmgr.io/injected"
	// ContainerName is the name of the injected container.
	ContainerName = "multus-ipmgr"
)

// Values of InjectLabel. Any other value counts as no label.
const (
	Enabled  = "enabled"
	Disabled = "disabled"
)
