package inject

import (
	"context"
	"fmt"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// Judgement is the decision about a pod to which nothing can be added any more.
type Judgement struct {
	// Reason is the decision that the pod would get if it were created now.
	Reason Reason
	// Denial says why the change is refused. It is empty if it is admitted.
	Denial string
	// Warnings are shown to the user.
	Warnings []string
}

// LateChange says how a networks annotation came to a pod after its admission.
type LateChange string

// The ways in which an annotation can come late.
const (
	// ByWebhook means that another mutating webhook may have written it after ours.
	ByWebhook LateChange = "webhook"
	// ByUpdate means that the annotation of an existing pod has changed.
	ByUpdate LateChange = "update"
)

// Judge checks a pod that all mutating webhooks have seen, or that exists
// already. A pod that would be injected now and has no IP manager, or that asks
// for addresses that it must not have, is denied or causes a warning, as its
// namespace validates. If the namespace validates nothing, there is no answer.
func Judge(ctx context.Context, change LateChange, pod Pod, ns Namespace, view View, policy Policy) (Judgement, error) {
	how := policy.ValidationIn(ns)
	if how == Off {
		return Judgement{}, nil
	}
	d, err := Decide(ctx, pod, ns, view, policy)
	if err != nil {
		return Judgement{}, err
	}
	switch {
	case d.Reason == Injected:
		return late(d.Reason, how, missing(change)), nil
	case d.Reason == AlreadyInjected || d.Reason == MovedFirst:
		return judgeInjected(ctx, change, d.Reason, pod, ns, view, policy)
	case d.Reason.Outcome() == Denied:
		return late(d.Reason, how, d.Message()), nil
	}
	return Judgement{Reason: d.Reason}, nil
}

// judgeInjected checks what a pod with an IP manager asks of networks that the
// IP manager may not know.
func judgeInjected(ctx context.Context, change LateChange, reason Reason, pod Pod, ns Namespace, view View, policy Policy) (Judgement, error) {
	how := policy.ValidationIn(ns)
	selections, err := nad.Selections(ns.Name, pod.Metadata.Annotations[nad.NetworksAnnotation])
	if err != nil {
		return late(InvalidAnnotation, how, Decision{Reason: InvalidAnnotation, Detail: err.Error()}.Message()), nil //nolint:nilerr // the pod is judged by it
	}
	errors, warnings, err := checkAddresses(ctx, selections, view, policy, how)
	if err != nil {
		return Judgement{}, err
	}
	if len(errors) > 0 {
		return late(InvalidAddresses, how, denyAddresses(errors, nil).Message()), nil
	}
	if change == ByWebhook {
		return Judgement{Reason: reason}, nil // its user was warned a moment ago
	}
	return Judgement{Reason: reason, Warnings: append([]string{stale}, warnings...)}, nil
}

// stale is the warning for an injected pod whose networks change.
const stale = "the IP manager of this pod was configured for the networks that the annotation selected when the pod was created: it does not wait for the interfaces of other networks and does not have their pools (IPMGR_POOLS); recreate the pod with this annotation"

// missing says that the pod has no IP manager, and what to do.
func missing(change LateChange) string {
	const what = "the pod has no IP manager, but its networks have addresses that belong to ENIs, which would not be routed; "
	if change == ByWebhook {
		return what + "another mutating webhook added the annotation " + nad.NetworksAnnotation + " after ours had run: " +
			"give its configuration a name that sorts before \"multus-ipmgr\", or write the annotation into the pod"
	}
	return what + "a container cannot be added to an existing pod: write the annotation " + nad.NetworksAnnotation + " into the pod before it is created, for example into its template"
}

// JudgeBinding checks the annotations of a Binding, which the API server
// copies to the pod that it binds. Nothing of the pod is known.
func JudgeBinding(annotations map[string]string, ns Namespace, policy Policy) Judgement {
	var pod Pod
	pod.Spec = new(PodSpec)
	pod.Metadata.Annotations = map[string]string{nad.NetworksAnnotation: annotations[nad.NetworksAnnotation]}
	how := policy.ValidationIn(ns)
	reason, skip := unconcerned(pod, ns, policy)
	if skip || how == Off {
		return Judgement{Reason: reason}
	}
	return late(InvalidAnnotation, how, fmt.Sprintf("a Binding must not set the annotation %s: the pod was admitted without it and has no IP manager for these networks; write it into the pod before it is created", nad.NetworksAnnotation))
}

// late is a denial where errors are enforced, and a warning otherwise.
func late(reason Reason, how Validation, text string) Judgement {
	if how == Enforce {
		return Judgement{Reason: reason, Denial: text + "\n" + toAdmit}
	}
	return Judgement{Reason: reason, Warnings: strings.Split(text, "\n")}
}

const toAdmit = "To admit it anyway, label its namespace " + ValidateLabel + "=" + string(WarnOnly) + "."
