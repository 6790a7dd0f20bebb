package inject

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// resources keeps the pod's quality-of-service class. A Guaranteed pod, which
// may have processors of its own, stays one only if our container requests
// what its limits are; a pod with resources of its own (pod-level resources)
// shares them with our container.
func resources(pod Pod, standard corev1.ResourceRequirements) corev1.ResourceRequirements {
	switch {
	case len(pod.Spec.Resources.Requests)+len(pod.Spec.Resources.Limits) > 0:
		return corev1.ResourceRequirements{}
	case guaranteed(pod):
		return corev1.ResourceRequirements{Requests: standard.Limits, Limits: standard.Limits}
	}
	return standard
}

func guaranteed(pod Pod) bool {
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if !settled(c.Resources, "cpu") || !settled(c.Resources, "memory") {
			return false
		}
	}
	return true
}

// settled reports whether a container requests its limit of a resource. A
// request that is not given is the limit.
func settled(r Resources, name string) bool {
	limit, request := r.Limits[name], r.Requests[name]
	if limit == "" || request == "" || limit == request {
		return limit != ""
	}
	if max(len(limit), len(request)) > longestQuantity {
		return false // the API server writes none like it
	}
	l, errLimit := resource.ParseQuantity(string(limit))
	q, errRequest := resource.ParseQuantity(string(request))
	return errLimit == nil && errRequest == nil && l.Cmp(q) == 0
}
