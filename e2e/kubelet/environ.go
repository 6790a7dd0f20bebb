package kubelet

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Environ resolves the environment of a container as the kubelet does: values
// with $(NAME) expanded by the variables before them, and fields of the pod.
// The image adds nothing. Sources that need the API server are refused, and so
// is a status field that is not set: the kubelet always knows it.
func Environ(pod *corev1.Pod, c corev1.Container) ([]string, error) {
	var env []string
	var errs []error
	if len(c.EnvFrom) > 0 {
		errs = append(errs, errors.New("envFrom is not supported"))
	}
	for _, v := range c.Env {
		value, err := resolve(pod, v, env)
		if err != nil {
			errs = append(errs, fmt.Errorf("variable %s: %w", v.Name, err))
			continue
		}
		env = slices.DeleteFunc(env, func(entry string) bool { return strings.HasPrefix(entry, v.Name+"=") })
		env = append(env, v.Name+"="+value)
	}
	// Not nil: that would be this process's environment to os/exec.
	return append([]string{}, env...), errors.Join(errs...)
}

func resolve(pod *corev1.Pod, v corev1.EnvVar, before []string) (string, error) {
	switch {
	case v.ValueFrom == nil:
		return expand(v.Value, before), nil
	case v.ValueFrom.FieldRef != nil:
		return field(pod, v.ValueFrom.FieldRef.FieldPath)
	}
	return "", errors.New("only values and fieldRef are supported")
}

// expand replaces $(NAME) by the value of NAME and $$ by $. A reference to an
// unknown name stays as it is, and so does a dollar before anything else.
func expand(text string, env []string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		switch {
		case strings.HasPrefix(rest, "$"):
			out.WriteByte('$')
			text = rest[1:]
		case strings.HasPrefix(rest, "(") && strings.Contains(rest, ")"):
			name, after, _ := strings.Cut(rest[1:], ")")
			out.WriteString(lookup(name, env))
			text = after
		default:
			out.WriteByte('$')
			text = rest
		}
	}
}

// lookup returns the value of name, or the reference where there is none.
func lookup(name string, env []string) string {
	for _, entry := range env {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return "$(" + name + ")"
}

// field reads what a fieldRef may name in a variable.
func field(pod *corev1.Pod, path string) (string, error) {
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.hostIP":
		return known(path, pod.Status.HostIP)
	case "status.podIP":
		return known(path, pod.Status.PodIP)
	}
	for prefix, values := range map[string]map[string]string{"metadata.labels": pod.Labels, "metadata.annotations": pod.Annotations} {
		if key, ok := strings.CutPrefix(path, prefix+"['"); ok {
			return values[strings.TrimSuffix(key, "']")], nil
		}
	}
	return "", fmt.Errorf("field %s is not supported", path)
}

func known(path, value string) (string, error) {
	if value == "" {
		return "", fmt.Errorf("%s is not set: report the pod's status first", path)
	}
	return value, nil
}
