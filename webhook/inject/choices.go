package inject

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// Annotations with which a pod, or its namespace as a default, configures its
// container.
const (
	// RequestsAnnotation and LimitsAnnotation are resources such as
	// cpu=10m,memory=16Mi. Resources that they do not name keep the installation's values.
	RequestsAnnotation = "multus-ipmgr.io/requests"
	LimitsAnnotation   = "multus-ipmgr.io/limits"
	// ExcludeAnnotation on a pod lists CIDRs whose addresses are left alone.
	ExcludeAnnotation = "multus-ipmgr.io/exclude-addresses"
)

// longestCIDR is the length of the longest CIDR that is read.
const longestCIDR = 64

// patience is the factor by which init mode tries longer in pods that are never
// restarted: a container that gives up fails such a pod for good, and several
// failed pods fail their Job.
const patience = 5

// leastMemory is the memory limit in bytes below which an annotation must be a
// mistake, for example "16" for "16Mi": the container would never start.
const leastMemory = 16 << 20

// chosen returns the policy for one pod, with the settings of its annotations and
// of its namespace's.
func (p Policy) chosen(pod Pod, ns Namespace, mode spec.Mode) (Policy, error) {
	resources, errResources := p.chosenResources(pod, ns)
	excluded, errExcluded := p.chosenExclusions(pod)
	if err := errors.Join(errResources, errExcluded); err != nil {
		return p, err
	}
	p.Resources = resources
	p.Settings.ExcludeAddresses = slices.Concat(p.Settings.ExcludeAddresses, excluded)
	if mode == spec.Init && pod.Spec.RestartPolicy == string(corev1.RestartPolicyNever) {
		p.Settings.Timeout *= patience
	}
	return p, nil
}

// chosenExclusions reads ExcludeAnnotation as ipmgr will read its setting, in
// which what the installation excludes has to find room too.
func (p Policy) chosenExclusions(pod Pod) ([]netip.Prefix, error) {
	value := strings.TrimSpace(pod.Metadata.Annotations[ExcludeAnnotation])
	if value == "" {
		return nil, nil
	}
	room := spec.MaxExcludeAddresses - len(p.Settings.ExcludeAddresses)
	if strings.Count(value, ",") >= room {
		return nil, fmt.Errorf("the pod's %s has too many elements; there is room for %d CIDRs", ExcludeAnnotation, room)
	}
	var excluded []netip.Prefix
	for item := range strings.SplitSeq(value, ",") {
		one, err := spec.Parse([]string{spec.EnvExcludeAddrs + "=" + item[:min(len(item), longestCIDR)]})
		if err != nil || len(item) > longestCIDR || len(one.ExcludeAddresses) != 1 {
			return nil, fmt.Errorf("the pod's %s has an element %s; want CIDRs separated by commas, such as 10.10.1.120/32,192.168.9.0/24", ExcludeAnnotation, quoted(item))
		}
		excluded = append(excluded, one.ExcludeAddresses...)
	}
	return excluded, nil
}

// chosenResources returns the installation's resources, overridden by the
// annotations.
func (p Policy) chosenResources(pod Pod, ns Namespace) (corev1.ResourceRequirements, error) {
	var chosen corev1.ResourceRequirements
	var mistakes [2]error
	chosen.Requests, mistakes[0] = p.override(pod, ns, RequestsAnnotation, p.Resources.Requests)
	chosen.Limits, mistakes[1] = p.override(pod, ns, LimitsAnnotation, p.Resources.Limits)
	if err := errors.Join(mistakes[:]...); err != nil {
		return chosen, err
	}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		request, limit := chosen.Requests[name], chosen.Limits[name]
		if !limit.IsZero() && request.Cmp(limit) > 0 {
			return chosen, fmt.Errorf("the container would request %s=%s and be limited to %s; raise %s too, or lower %s", name, &request, &limit, LimitsAnnotation, RequestsAnnotation)
		}
	}
	return chosen, nil
}

// override replaces the resources that an annotation names.
func (p Policy) override(pod Pod, ns Namespace, annotation string, standard corev1.ResourceList) (corev1.ResourceList, error) {
	where := "the pod"
	value, given := pod.Metadata.Annotations[annotation]
	if !given {
		where = "namespace " + ns.Name
		value, given = ns.Annotations[annotation]
	}
	if !given {
		return standard, nil
	}
	named, err := ParseResources(value)
	if err != nil {
		return nil, fmt.Errorf("%s says %s=%s: %w; accepted are cpu and memory, such as cpu=10m,memory=16Mi", where, annotation, quoted(value), err)
	}
	merged := corev1.ResourceList{}
	maps.Copy(merged, standard)
	for name, quantity := range named {
		if most := p.mostOf(name); !most.IsZero() && quantity.Cmp(most) > 0 {
			return nil, fmt.Errorf("%s says %s=%s, but the installation allows at most %s=%s (--max-limits)", where, annotation, quoted(value), name, &most)
		}
		if annotation == LimitsAnnotation && name == corev1.ResourceMemory && quantity.Value() < leastMemory {
			return nil, fmt.Errorf("%s says %s=%s, but the container needs memory=16Mi to start", where, annotation, quoted(value))
		}
		merged[name] = quantity
	}
	return merged, nil
}

// mostOf returns the most that an annotation may ask for of a resource: the
// installation's default may exceed MaxLimits.
func (p Policy) mostOf(name corev1.ResourceName) resource.Quantity {
	most, standard := p.MaxLimits[name], p.Resources.Limits[name]
	if !most.IsZero() && standard.Cmp(most) > 0 {
		return standard
	}
	return most
}

// longestQuantity is the length of the longest quantity that is read.
const longestQuantity = 32

// ParseResources reads resources such as cpu=10m,memory=16Mi.
func ParseResources(text string) (corev1.ResourceList, error) {
	list := corev1.ResourceList{}
	for item := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(item), "=")
		name := corev1.ResourceName(key)
		if name != corev1.ResourceCPU && name != corev1.ResourceMemory {
			return nil, errors.New(`want one of ["cpu" "memory"]`)
		}
		if _, twice := list[name]; twice {
			return nil, fmt.Errorf("%s is given twice", name)
		}
		quantity, err := parseQuantity(value)
		if err != nil {
			return nil, fmt.Errorf("%s=%s: %w", name, quoted(value), err)
		}
		list[name] = quantity
	}
	return list, nil
}

func parseQuantity(text string) (resource.Quantity, error) {
	err := errors.New("want a quantity above zero, such as 10m or 16Mi")
	if len(text) > longestQuantity {
		return resource.Quantity{}, err
	}
	quantity, errParse := resource.ParseQuantity(text)
	if errParse != nil || quantity.Sign() <= 0 {
		return resource.Quantity{}, err
	}
	return quantity, nil
}
