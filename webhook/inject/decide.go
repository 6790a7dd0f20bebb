// Package inject decides whether a pod gets the IP manager, and how: as a list
// of explicit JSON patch operations.
//
// It is pure. A decision never writes the pod back, it only adds to it, so
// fields that this version of Kubernetes's API does not know are safe, and a
// second pass over its own output changes nothing.
package inject

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// View is what a decision knows about the cluster.
type View struct {
	// Networks finds the networks that the pod selects.
	Networks *Lookup
	// Others knows the ranges of all networks, for pods that ask for static
	// addresses. It may be nil.
	Others *nad.Index
	// Reservations are the known subnet CIDR reservations.
	Reservations []nad.Reservation
}

// Decision says what to do with one pod.
type Decision struct {
	Reason Reason
	// Detail of a denial: what is wrong and what is accepted.
	Detail string
	// Mode and Interfaces (those that must carry an address) of the injected
	// container.
	Mode       spec.Mode
	Interfaces []string
	// Warnings are shown to the user who creates the pod.
	Warnings []string
	// Patch is empty if the pod is not changed.
	Patch []Operation
}

// Message returns the whole answer in words.
func (d Decision) Message() string {
	if d.Detail == "" {
		return d.Reason.Sentence()
	}
	return strings.TrimSuffix(d.Reason.Sentence(), ".") + ": " + d.Detail
}

// Decide returns what to do with a pod that is created in namespace ns.
//
// Two labels decide which pods it concerns; a pod's own label wins. Any other
// value counts as no label:
//
//	namespace  pod        decision
//	---------  ---------  --------------------------
//	enabled    -          inject
//	enabled    enabled    inject
//	enabled    disabled   skip: pod-disabled
//	-          -          skip: namespace-not-enabled
//	-          enabled    inject
//	-          disabled   skip: pod-disabled
//
// A pod that cannot have Multus interfaces is skipped before its labels are
// read, and only pods that are opted in are ever denied.
//
// An error says that ctx ended before there was a decision.
func Decide(ctx context.Context, pod Pod, ns Namespace, view View, policy Policy) (Decision, error) {
	if pod.Spec == nil {
		pod.Spec, pod.bare = new(PodSpec), true
	}
	d, err := decide(ctx, pod, ns, view, policy)
	d.Warnings = Bounded(d.Warnings, "warnings", MaxWarnings)
	d.Detail = strings.Join(Bounded(strings.Split(d.Detail, "\n"), "errors", MaxDetail), "\n")
	return d, err
}

func decide(ctx context.Context, pod Pod, ns Namespace, view View, policy Policy) (Decision, error) {
	if reason, skip := unconcerned(pod, ns, policy); skip {
		return Decision{Reason: reason, Warnings: skippedWarnings(reason, pod, ns)}, nil
	}
	present, found := findContainer(pod)
	if _, ours := pod.Metadata.Annotations[InjectedAnnotation]; found && ours {
		return injectedBefore(present), nil
	}
	mode, err := modeOf(pod, ns)
	if err != nil {
		return refusal(InvalidMode, err), nil
	}
	if policy, err = policy.chosen(pod, ns, mode); err != nil {
		return refusal(InvalidSetting, err), nil
	}
	selections, err := nad.Selections(ns.Name, pod.Metadata.Annotations[nad.NetworksAnnotation])
	if err != nil {
		return refusal(InvalidAnnotation, err), nil
	}
	return decideOn(ctx, selections, mode, pod, ns, view, policy)
}

// refusal is the decision about a pod that its author must correct.
func refusal(reason Reason, err error) Decision {
	return Decision{Reason: reason, Detail: err.Error()}
}

// decideOn decides by the networks that the pod selects.
func decideOn(ctx context.Context, selections []nad.Selection, mode spec.Mode, pod Pod, ns Namespace, view View, policy Policy) (Decision, error) {
	networks, err := classify(ctx, selections, view.Networks, policy.Settings.Exclude)
	if err != nil {
		return Decision{}, err
	}
	present, found := findContainer(pod)
	switch {
	case len(selections) == 0:
		return Decision{Reason: NoNetworks}, nil
	case len(networks.managed) == 0:
		return Decision{Reason: NoManagedNetwork, Warnings: networks.warnings}, nil
	case len(networks.required) == 0 && mode == spec.Init:
		return Decision{Reason: NoAddress, Mode: mode, Warnings: networks.warnings}, nil
	case found:
		return Decision{Reason: NameTaken, Detail: fmt.Sprintf("%s[%d]; give it another name, or label the pod %s=%s", present.list, present.index, InjectLabel, Disabled)}, nil
	}
	how := policy.ValidationIn(ns)
	errors, mild, err := checkAddresses(ctx, selections, view, policy, how)
	if err != nil {
		return Decision{}, err
	}
	if how == Enforce && len(errors) > 0 {
		return denyAddresses(errors, slices.Concat(networks.warnings, mild)), nil
	}
	warnings := slices.Concat(errors, networks.warnings, mild)
	where := locate(networks.uses, view.Reservations)
	if networks.missing && len(view.Reservations) > 0 {
		warnings = append(warnings, lacking)
	}
	affinity, warning := zoneAffinity(pod, ns, where, policy)
	if warning != "" {
		warnings = append(warnings, warning)
	}
	return Decision{
		Reason:     Injected,
		Mode:       mode,
		Interfaces: networks.required,
		Warnings:   slices.Concat(warnings, everywhere(pod, networks.uses), defaultNetworkWarnings(pod, view.Networks.nad), exposure(pod, mode), keyWarnings(pod, ns)),
		Patch:      append(patch(pod, mode, networks, where.settings(policy)), affinity...),
	}, nil
}

// unconcerned is the table of Decide, after the cases that exclude Multus.
func unconcerned(pod Pod, ns Namespace, policy Policy) (Reason, bool) {
	_, mirror := pod.Metadata.Annotations["kubernetes.io/config.mirror"]
	_, fargate := pod.Metadata.Labels["eks.amazonaws.com/fargate-profile"]
	windows := pod.Spec.OS.Name == "windows" || pod.Spec.NodeSelector["kubernetes.io/os"] == "windows"
	label := pod.Metadata.Labels[InjectLabel]
	switch {
	case pod.Metadata.Annotations[nad.NetworksAnnotation] == "":
		return NoNetworks, true
	case slices.Contains(policy.Protected, ns.Name):
		return ProtectedNamespace, true
	case mirror:
		return MirrorPod, true
	case pod.Spec.HostNetwork:
		return HostNetwork, true
	case windows:
		return Windows, true
	case fargate || pod.Spec.SchedulerName == "fargate-scheduler":
		return Fargate, true
	case label == Disabled:
		return PodDisabled, true
	case label != Enabled && ns.Labels[InjectLabel] != Enabled:
		return NamespaceNotEnabled, true
	}
	return "", false
}

// injectedBefore answers for a pod that has our container: it belongs in the
// first place, whatever other webhooks put before it.
func injectedBefore(p place) Decision {
	if p.index == 0 {
		return Decision{Reason: AlreadyInjected}
	}
	return Decision{Reason: MovedFirst, Patch: []Operation{p.moveFirst()}}
}

// modeOf reads the mode from the pod, else from its namespace.
func modeOf(pod Pod, ns Namespace) (spec.Mode, error) {
	where := "the pod"
	value, given := pod.Metadata.Annotations[ModeAnnotation]
	if !given {
		where = "namespace " + ns.Name
		value, given = ns.Annotations[ModeAnnotation]
	}
	if !given {
		return spec.Modes()[0], nil
	}
	if mode := spec.Mode(value); slices.Contains(spec.Modes(), mode) {
		return mode, nil
	}
	return "", fmt.Errorf("%s says %q; accepted are %q and %q", where, value, spec.Init, spec.Sidecar)
}

// lacking is the warning for a pod that was created before its networks.
const lacking = "the pod was created before its network: it gets no pools (IPMGR_POOLS) and is not kept in the zone of that network's reservations; create networks first, and recreate such a pod"

// skippedWarnings looks for misspelt keys where a key is what is missing.
func skippedWarnings(reason Reason, pod Pod, ns Namespace) []string {
	if reason != NamespaceNotEnabled {
		return nil
	}
	return keyWarnings(pod, ns)
}

// keyWarnings warns about labels and annotations that have no meaning, on the pod
// and on its namespace.
func keyWarnings(pod Pod, ns Namespace) []string {
	var texts []string
	for _, m := range KeyMistakes(KindPod, pod.Metadata.Labels, pod.Metadata.Annotations) {
		texts = append(texts, m.Message)
	}
	for _, m := range KeyMistakes(KindNamespace, ns.Labels, ns.Annotations) {
		texts = append(texts, "namespace "+ns.Name+": "+m.Message)
	}
	return texts
}
