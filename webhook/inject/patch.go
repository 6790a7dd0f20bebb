package inject

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// Operation is one operation of a JSON patch (RFC 6902).
type Operation struct {
	Op    string `json:"op"`
	From  string `json:"from,omitempty"` // of a move
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"` // of an add
}

// Lists of containers in a pod.
const (
	initContainers = "spec.initContainers"
	containers     = "spec.containers"
)

// place says where a container is.
type place struct {
	list  string // initContainers or containers
	index int
}

func (p place) pointer(index int) string {
	return fmt.Sprintf("/%s/%d", strings.ReplaceAll(p.list, ".", "/"), index)
}

func (p place) moveFirst() Operation {
	return Operation{Op: "move", From: p.pointer(p.index), Path: p.pointer(0)}
}

// findContainer looks for a container of our name.
func findContainer(pod Pod) (place, bool) {
	ours := func(c Container) bool { return c.Name == ContainerName }
	if i := slices.IndexFunc(pod.Spec.InitContainers, ours); i >= 0 {
		return place{initContainers, i}, true
	}
	if i := slices.IndexFunc(pod.Spec.Containers, ours); i >= 0 {
		return place{containers, i}, true
	}
	return place{}, false
}

// patch adds the container, its volumes, the Secrets of its image and the
// annotation. Each operation adds one of our objects; none replaces or repeats
// the user's.
func patch(pod Pod, mode spec.Mode, n networks, policy Policy) []Operation {
	ops := []Operation{annotate(pod, string(mode)+" "+policy.Version)}
	if pod.bare {
		ops = append(ops, Operation{Op: "add", Path: "/spec", Value: struct{}{}})
	}
	ops = append(ops, addVolumes(pod, policy)...)
	ops = append(ops, addPullSecrets(pod, policy.PullSecrets)...)
	c := container(pod, mode, n, policy)
	if mode == spec.Sidecar && policy.Style == Plain {
		return append(ops, insert("/spec/containers", len(pod.Spec.Containers), "0", c))
	}
	return append(ops, insert("/spec/initContainers", len(pod.Spec.InitContainers), "0", c))
}

func annotate(pod Pod, value string) Operation {
	if len(pod.Metadata.Annotations) == 0 {
		return Operation{Op: "add", Path: "/metadata/annotations", Value: map[string]string{InjectedAnnotation: value}}
	}
	return Operation{Op: "add", Path: "/metadata/annotations/" + strings.ReplaceAll(InjectedAnnotation, "/", "~1"), Value: value}
}

// insert puts value into a list of the given length, at an index or at the end
// ("-"). An empty list may be absent, and is then created.
func insert[T any](path string, length int, at string, value T) Operation {
	if length == 0 {
		return Operation{Op: "add", Path: path, Value: []T{value}}
	}
	return Operation{Op: "add", Path: path + "/" + at, Value: value}
}

func addVolumes(pod Pod, policy Policy) (ops []Operation) {
	length := len(pod.Spec.Volumes)
	add := func(volume corev1.Volume, wanted bool) {
		if wanted && !hasVolume(pod, volume.Name) {
			ops = append(ops, insert("/spec/volumes", length, "-", volume))
			length++
		}
	}
	add(tokenVolume(policy.WebIdentity))
	add(noTokenVolume(pod))
	return ops
}

// addPullSecrets adds what the pod lacks. By now the API server has given a pod
// without any those of its service account.
func addPullSecrets(pod Pod, names []string) (ops []Operation) {
	length := len(pod.Spec.ImagePullSecrets)
	for _, name := range names {
		if slices.Contains(pod.Spec.ImagePullSecrets, Reference{name}) {
			continue
		}
		ops = append(ops, insert("/spec/imagePullSecrets", length, "-", Reference{name}))
		length++
	}
	return ops
}

func hasVolume(pod Pod, name string) bool {
	return slices.ContainsFunc(pod.Spec.Volumes, func(v Volume) bool { return v.Name == name })
}
