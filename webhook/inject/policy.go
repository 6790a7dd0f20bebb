package inject

import (
	"errors"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// SidecarStyle says how a sidecar is added to the pod.
type SidecarStyle string

// The styles of sidecars.
const (
	// Native sidecars are init containers that keep running: application
	// containers start only once the addresses route, and Jobs complete.
	Native SidecarStyle = "native"
	// Plain sidecars are the first of the ordinary containers, for clusters
	// whose policies refuse native ones. Applications do not wait for the
	// addresses, only the pod's readiness does, and a Job with one never
	// completes.
	Plain SidecarStyle = "container"
)

// Policy is an installation's configuration of all injected containers.
type Policy struct {
	Image      string
	PullPolicy corev1.PullPolicy // empty: Kubernetes's default for the image's tag
	// PullSecrets name Secrets, in the pods' namespaces, that pull the image.
	PullSecrets []string
	Version     string // written to InjectedAnnotation
	Style       SidecarStyle
	// Settings of ipmgr. Interfaces are those of the pod, and interfaces of
	// networks that are not managed join Exclude.
	Settings spec.Settings
	// Env is passed on as it is: AWS_REGION, AWS_ENDPOINT_URL_EC2, ...
	Env       []corev1.EnvVar
	Resources corev1.ResourceRequirements
	// MaxLimits is the most that annotations of pods and namespaces may ask for.
	MaxLimits   corev1.ResourceList
	WebIdentity WebIdentity
	// Validation says what happens to objects with errors, unless a namespace's
	// label overrides it.
	Validation Validation
	// AllowForeign lets pods ask for addresses in ranges of networks of other
	// namespaces, with a warning.
	AllowForeign bool
	// FreeZones adds no zone affinity to pods.
	FreeZones bool
	// Protected namespaces are left alone whatever their labels say.
	Protected []string
}

// AddEnv adds an entry NAME=VALUE to the environment of all injected containers.
// It reports true instead if the entry is one of ipmgr's settings, which package
// spec reads.
func AddEnv(env []corev1.EnvVar, entry string) (_ []corev1.EnvVar, setting bool, _ error) {
	name, value, ok := strings.Cut(entry, "=")
	switch {
	case !ok || name == "":
		return env, false, errors.New("want NAME=VALUE")
	case slices.Contains([]string{spec.EnvInterfaces, spec.EnvHostIP, "POD_NAME", "POD_NAMESPACE"}, name):
		return env, false, errors.New("is set for each pod")
	case slices.ContainsFunc(env, func(e corev1.EnvVar) bool { return e.Name == name }):
		return env, false, errors.New("is given twice")
	case strings.HasPrefix(name, "IPMGR_"):
		return env, true, nil
	}
	return append(env, corev1.EnvVar{Name: name, Value: value}), false, nil
}

// WebIdentity gives the injected container, and no other container of the pod,
// AWS credentials through a token of the pod's service account.
type WebIdentity struct {
	RoleARN string // empty: credentials come from elsewhere
	// Audience of the token: sts.amazonaws.com unless the role's trust policy
	// says otherwise.
	Audience string
	// Expiry of the token in seconds; the kubelet renews it at four fifths.
	Expiry int64
}

// DefaultPolicy returns the defaults, without Image and Version.
func DefaultPolicy() Policy {
	return Policy{
		Style:     Native,
		Settings:  spec.Default(),
		Resources: defaultResources(),
		MaxLimits: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("1"),
			corev1.ResourceMemory: resource.MustParse("512Mi"),
		},
		WebIdentity: WebIdentity{Audience: "sts.amazonaws.com", Expiry: 86400},
		Validation:  Enforce,
		Protected:   []string{"kube-system"},
	}
}

// defaultResources returns the default resources. A start takes about 20 ms of
// CPU, a sidecar at rest none and 12 MiB. The CPU limit lets a start finish within two of the kernel's 100 ms
// quota periods, and the memory limit leaves much room for the SDK's buffers
// and the trusted certificates.
func defaultResources() corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("10m"),
			corev1.ResourceMemory: resource.MustParse("16Mi"),
		},
		Limits: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("200m"),
			corev1.ResourceMemory: resource.MustParse("64Mi"),
		},
	}
}
