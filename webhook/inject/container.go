package inject

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// user is the numeric user and group of the container. Kubernetes can check
// runAsNonRoot for a number only. No other image uses it: with
// shareProcessNamespace a process of the same user can read the container's
// credentials, and many images run as 65532 ("nonroot") or 65534 ("nobody").
const user int64 = 48713

// Where the web identity token is.
const (
	tokenVolumeName = "multus-ipmgr-aws-token"
	tokenDirectory  = "/var/run/secrets/multus-ipmgr.io/serviceaccount"
	tokenFile       = "token"
)

// The pod's own token for the API server, which the program never calls.
const (
	// noTokenVolumeName names the volume that takes the token's place. The API
	// server mounts the token into each container that mounts nothing there.
	noTokenVolumeName = "multus-ipmgr-no-token"
	podTokenDirectory = "/var/run/secrets/kubernetes.io/serviceaccount"
)

// container is the IP manager as it is added to the pod.
func container(pod Pod, mode spec.Mode, n networks, policy Policy) corev1.Container {
	c := corev1.Container{
		Name:                     ContainerName,
		Image:                    policy.Image,
		ImagePullPolicy:          policy.PullPolicy,
		Args:                     []string{string(mode)},
		Env:                      environment(n, policy),
		Resources:                resources(pod, policy.Resources),
		SecurityContext:          restricted(),
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
	if policy.WebIdentity.RoleARN != "" {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: tokenVolumeName, MountPath: tokenDirectory, ReadOnly: true})
	}
	if _, wanted := noTokenVolume(pod); wanted {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: noTokenVolumeName, MountPath: podTokenDirectory, ReadOnly: true})
	}
	if mode == spec.Sidecar {
		c.StartupProbe = startupProbe()
	}
	if mode == spec.Sidecar && policy.Style == Native {
		always := corev1.ContainerRestartPolicyAlways
		c.RestartPolicy = &always
	}
	return c
}

// environment implements the contract with ipmgr (package spec): the identity of
// the pod and the installation's settings.
func environment(n networks, policy Policy) []corev1.EnvVar {
	settings := policy.Settings
	settings.Interfaces = n.required
	settings.Exclude = slices.Concat(settings.Exclude, n.foreign)
	var env []corev1.EnvVar
	for _, entry := range spec.Environ(settings) {
		name, value, _ := strings.Cut(entry, "=")
		// The kubelet expands $(NAME) and takes $$ for a dollar.
		env = append(env, corev1.EnvVar{Name: name, Value: strings.ReplaceAll(value, "$", "$$")})
	}
	env = append(env,
		fromField(spec.EnvHostIP, "status.hostIP"),
		fromField("POD_NAME", "metadata.name"),
		fromField("POD_NAMESPACE", "metadata.namespace"),
	)
	env = append(env, policy.Env...)
	if id := policy.WebIdentity; id.RoleARN != "" {
		env = append(env,
			corev1.EnvVar{Name: "AWS_ROLE_ARN", Value: id.RoleARN},
			corev1.EnvVar{Name: "AWS_WEB_IDENTITY_TOKEN_FILE", Value: tokenDirectory + "/" + tokenFile},
		)
	}
	return env
}

func fromField(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
}

// restricted satisfies the Pod Security Standard of that name. It is said in
// full on the container, because a pod's own securityContext may say otherwise.
func restricted() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		RunAsNonRoot:             new(true),
		RunAsUser:                new(user),
		RunAsGroup:               new(user),
		AllowPrivilegeEscalation: new(false),
		ReadOnlyRootFilesystem:   new(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

// startupProbe holds the application back until the addresses route. A sidecar
// keeps trying by itself; after five minutes the kubelet starts it afresh, so
// that the failure shows as restarts of the pod.
func startupProbe() *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:     corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"/ipmgr", "ready"}}},
		PeriodSeconds:    1,
		TimeoutSeconds:   5,
		FailureThreshold: 300,
	}
}

// tokenVolume projects a token of the pod's service account for AWS STS. Only
// our container mounts it.
func tokenVolume(id WebIdentity) (corev1.Volume, bool) {
	token := corev1.ServiceAccountTokenProjection{Audience: id.Audience, ExpirationSeconds: &id.Expiry, Path: tokenFile}
	return corev1.Volume{
		Name: tokenVolumeName,
		VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &token}},
		}},
	}, id.RoleARN != ""
}

// noTokenVolume holds only the name of the pod's namespace, which is next to the
// token if there is one. It is not an emptyDir: those keep
// kubectl drain and the cluster autoscaler from emptying a worker.
func noTokenVolume(pod Pod) (corev1.Volume, bool) {
	mounts := pod.Spec.AutomountServiceAccountToken
	name := corev1.DownwardAPIVolumeFile{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"}}
	return corev1.Volume{
		Name:         noTokenVolumeName,
		VolumeSource: corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: []corev1.DownwardAPIVolumeFile{name}}},
	}, mounts == nil || *mounts
}
