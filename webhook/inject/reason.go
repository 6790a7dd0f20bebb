package inject

import "github.com/multus-ipmgr/multus-ipmgr/webhook/nad"

// Reason says why a pod was or was not changed. The set is closed. The log, the
// metrics, the audit annotation, the command line and the tests all use it.
type Reason string

// All reasons.
const (
	// Injected means that the container was added.
	Injected Reason = "injected"
	// MovedFirst means that the container was there already, but another webhook
	// had moved it from the first place.
	MovedFirst Reason = "moved-first"

	// NoNetworks means that the pod selects no Multus network.
	NoNetworks Reason = "no-networks"
	// ProtectedNamespace means that kube-system and our own namespace are left
	// alone.
	ProtectedNamespace Reason = "protected-namespace"
	// MirrorPod means that the pod mirrors a static pod; the kubelet runs the
	// static pod's file.
	MirrorPod Reason = "mirror-pod"
	// HostNetwork means that the pod has the worker's own interfaces.
	HostNetwork Reason = "host-network"
	// Windows means that Multus does not serve Windows pods.
	Windows Reason = "windows"
	// Fargate means that Multus does not run on Fargate.
	Fargate Reason = "fargate"
	// PodDisabled means that the pod's label opts it out.
	PodDisabled Reason = "pod-disabled"
	// NamespaceNotEnabled means that neither the namespace nor the pod opts in.
	NamespaceNotEnabled Reason = "namespace-not-enabled"
	// AlreadyInjected means that the container is in its place already.
	AlreadyInjected Reason = "already-injected"
	// NoManagedNetwork means that no address of the selected networks belongs to
	// an ENI.
	NoManagedNetwork Reason = "no-managed-network"
	// NoAddress means that, in init mode, there is no address to assign.
	NoAddress Reason = "no-address"

	// InvalidMode means that the mode is neither init nor sidecar.
	InvalidMode Reason = "invalid-mode"
	// InvalidSetting means that an annotation of the pod or its namespace cannot be
	// read, or asks for more than the installation allows.
	InvalidSetting Reason = "invalid-setting"
	// InvalidAnnotation means that Multus could not read its networks annotation.
	InvalidAnnotation Reason = "invalid-annotation"
	// InvalidAddresses means that the pod asks for static addresses that it must
	// not have.
	InvalidAddresses Reason = "invalid-addresses"
	// NameTaken means that the pod has its own container with our container's name.
	NameTaken Reason = "name-taken"
)

// Outcome says what happened to the pod.
type Outcome string

// The outcomes of a decision.
const (
	Patched Outcome = "patched" // admitted and changed
	Skipped Outcome = "skipped" // admitted as it is
	Denied  Outcome = "denied"  // not admitted: the user must change something
)

// Reasons lists all reasons in the order in which they are documented.
func Reasons() []Reason {
	return []Reason{
		Injected, MovedFirst,
		NoNetworks, ProtectedNamespace, MirrorPod, HostNetwork, Windows, Fargate,
		PodDisabled, NamespaceNotEnabled, AlreadyInjected, NoManagedNetwork, NoAddress,
		InvalidMode, InvalidSetting, InvalidAnnotation, InvalidAddresses, NameTaken,
	}
}

// Outcome returns what happens to a pod for this reason.
func (r Reason) Outcome() Outcome {
	switch r {
	case Injected, MovedFirst:
		return Patched
	case InvalidMode, InvalidSetting, InvalidAnnotation, InvalidAddresses, NameTaken:
		return Denied
	default:
		return Skipped
	}
}

// Sentence explains the reason to a user. It is empty for a reason that is not
// in the set.
func (r Reason) Sentence() string {
	switch r {
	case Injected:
		return "The IP manager was added as the pod's first container."
	case MovedFirst:
		return "The IP manager was there already and was moved back to the first place."
	case NoNetworks:
		return "The pod selects no Multus network."
	case ProtectedNamespace:
		return "Pods of kube-system and of the webhook's own namespace are never changed."
	case MirrorPod:
		return "The pod mirrors a static pod, which only its file on the worker can change."
	case HostNetwork:
		return "The pod uses the worker's network, so it has no Multus interfaces."
	case Windows:
		return "The pod runs on Windows, where Multus does not."
	case Fargate:
		return "The pod runs on Fargate, where Multus does not."
	case PodDisabled:
		return "The pod opts out by its label " + InjectLabel + "=disabled."
	case NamespaceNotEnabled:
		return "Neither the namespace nor the pod opts in by the label " + InjectLabel + "=enabled."
	case AlreadyInjected:
		return "The IP manager is in its place already."
	case NoManagedNetwork:
		return "None of the pod's networks has addresses that belong to ENIs."
	case NoAddress:
		return "None of the pod's managed networks has an address at start, as they have no IPAM; mode sidecar follows addresses that the application adds."
	case InvalidMode:
		return "The annotation " + ModeAnnotation + " has a value that is not accepted."
	case InvalidSetting:
		return "An annotation for the injected container has a value that is not accepted."
	case InvalidAnnotation:
		return "The annotation " + nad.NetworksAnnotation + " cannot be read."
	case InvalidAddresses:
		return "The pod asks for addresses that it must not have."
	case NameTaken:
		return "The pod has a container of its own called " + ContainerName + "."
	}
	return ""
}
