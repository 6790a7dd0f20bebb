package inject

import (
	"fmt"
	"slices"
	"strings"
)

// Labels and values of node affinity.
const (
	zoneLabel    = "topology.kubernetes.io/zone" // of nodes
	affinityPath = "/spec/affinity"
	nodePath     = affinityPath + "/nodeAffinity"
	requiredPath = nodePath + "/requiredDuringSchedulingIgnoredDuringExecution"
)

// ZoneAffinityAnnotation on a pod, or on a namespace as its default, adds no zone
// if its value is Disabled.
const ZoneAffinityAnnotation = "multus-ipmgr.io/zone-affinity"

// Affinity is the part of the pod's affinity that is read.
type Affinity struct {
	Node *NodeAffinity `json:"nodeAffinity"`
}

// NodeAffinity is the part of its kind that is read.
type NodeAffinity struct {
	Required *NodeSelector `json:"requiredDuringSchedulingIgnoredDuringExecution"`
}

// NodeSelector matches a node if one of its terms does.
type NodeSelector struct {
	Terms []NodeTerm `json:"nodeSelectorTerms"`
}

// NodeTerm matches a node if all its requirements do, and none if it has none.
type NodeTerm struct {
	Expressions []NodeRequirement `json:"matchExpressions"`
	Fields      []NodeRequirement `json:"matchFields"`
}

// namesNode reports whether only nodes that are named match, as in the term of
// the DaemonSet controller.
func (t NodeTerm) namesNode() bool {
	return slices.ContainsFunc(t.Fields, func(r NodeRequirement) bool { return r.Operator == "In" })
}

// NodeRequirement is one requirement.
type NodeRequirement struct {
	Key      string   `json:"key"`
	Operator string   `json:"operator"`
	Values   []string `json:"values"`
}

// zoneAffinity calls keepInZone, unless the pod, its namespace or the
// installation opts out.
func zoneAffinity(pod Pod, ns Namespace, l location, policy Policy) ([]Operation, string) {
	choice, given := pod.Metadata.Annotations[ZoneAffinityAnnotation]
	if !given {
		choice = ns.Annotations[ZoneAffinityAnnotation]
	}
	if policy.FreeZones || choice == Disabled {
		return nil, ""
	}
	return keepInZone(pod, l)
}

// keepInZone makes the pod run in one of the zones, in addition to its own
// affinity. It returns a warning instead if that is impossible.
func keepInZone(pod Pod, l location) ([]Operation, string) {
	if l.apart {
		return nil, "the pod's networks are in different availability zones, so some of its addresses will not route wherever it runs"
	}
	if len(l.zones) == 0 || pod.Spec.NodeName != "" {
		return nil, ""
	}
	if zone, chosen := pod.Spec.NodeSelector[zoneLabel]; chosen {
		if slices.Contains(l.zones, zone) {
			return nil, ""
		}
		return nil, fmt.Sprintf("nodeSelector asks for zone %s, but the addresses of the pod's networks are in %s: they will not route", zone, strings.Join(l.zones, ", "))
	}
	if n := pod.Spec.Affinity.terms(); n > maxTerms {
		return nil, fmt.Sprintf("node affinity has %d terms, but a zone is added to at most %d: keep the pod in %s with your own term or nodeSelector", n, maxTerms, strings.Join(l.zones, ", "))
	}
	warning := ""
	if pod.Spec.Affinity.elsewhere(l.zones) {
		warning = fmt.Sprintf("node affinity asks for other zones than %s, where the addresses of the pod's networks are: the pod will not be scheduled", strings.Join(l.zones, ", "))
	}
	return requireZone(pod.Spec.Affinity, NodeRequirement{Key: zoneLabel, Operator: "In", Values: l.zones}), warning
}

// terms counts the required terms.
func (a *Affinity) terms() int {
	if a == nil || a.Node == nil || a.Node.Required == nil {
		return 0
	}
	return len(a.Node.Required.Terms)
}

// elsewhere reports whether no required term leaves any of the zones.
func (a *Affinity) elsewhere(zones []string) bool {
	if a.terms() == 0 {
		return false
	}
	among := func(zone string) bool { return slices.Contains(zones, zone) }
	other := func(r NodeRequirement) bool {
		return r.Key == zoneLabel && r.Operator == "In" && !slices.ContainsFunc(r.Values, among)
	}
	leaves := func(t NodeTerm) bool { return !slices.ContainsFunc(t.Expressions, other) }
	return !slices.ContainsFunc(a.Node.Required.Terms, leaves)
}

// requireZone merges a requirement into the pod's affinity. Terms are
// alternatives, so each gets it.
func requireZone(affinity *Affinity, zone NodeRequirement) []Operation {
	expressions := map[string]any{"matchExpressions": []NodeRequirement{zone}}
	terms := map[string]any{"nodeSelectorTerms": []any{expressions}}
	required := map[string]any{"requiredDuringSchedulingIgnoredDuringExecution": terms}
	switch {
	case affinity == nil:
		return []Operation{{Op: "add", Path: affinityPath, Value: map[string]any{"nodeAffinity": required}}}
	case affinity.Node == nil:
		return []Operation{{Op: "add", Path: nodePath, Value: required}}
	case affinity.Node.Required == nil || len(affinity.Node.Required.Terms) == 0:
		return []Operation{{Op: "add", Path: requiredPath, Value: terms}}
	}
	var ops []Operation
	for i, term := range affinity.Node.Required.Terms {
		// A term without requirements matches nothing.
		if len(term.Expressions)+len(term.Fields) > 0 && !term.namesNode() {
			path := fmt.Sprintf("%s/nodeSelectorTerms/%d/matchExpressions", requiredPath, i)
			ops = append(ops, insert(path, len(term.Expressions), "-", zone))
		}
	}
	return ops
}
