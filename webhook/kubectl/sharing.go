package kubectl

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/kubectl/manifest"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// sharing remembers which object's pods have which fixed address: two pods of
// one address take it from each other.
type sharing struct {
	taken  map[netip.Addr]string
	scaled scaled
}

// sharing returns one that knows the bundle's autoscalers.
func (b *bundle) sharing() sharing { return sharing{map[netip.Addr]string{}, b.scaled} }

// scaled is how many pods an autoscaler lets an object have, by the object's
// namespace, kind and name.
type scaled map[[3]string]int64

// note remembers what an autoscaler says.
func (s scaled) note(o *object) {
	var autoscaler struct {
		Spec struct {
			MaxReplicas    int64 `json:"maxReplicas"`
			ScaleTargetRef struct {
				Kind string `json:"kind"`
				Name string `json:"name"`
			} `json:"scaleTargetRef"`
		} `json:"spec"`
	}
	if manifest.Decode(o.Raw, &autoscaler) == nil { // else the API server refuses it
		target := autoscaler.Spec.ScaleTargetRef
		s[[3]string{o.Namespace, target.Kind, target.Name}] = autoscaler.Spec.MaxReplicas
	}
}

// judge finds addresses that several pods of an object have, or those of
// another object.
func (s sharing) judge(o object, template manifest.Template, selections []nad.Selection, find inject.FindNAD) []nad.Finding {
	several := s.severalPods(o)
	me := o.Kind + " " + o.id() + " " + template.Field
	var found []nad.Finding
	for i, selection := range selections {
		network, known := find(selection.Namespace, selection.Name)
		if known && !network.Managed {
			continue
		}
		field := fmt.Sprintf("%s%s[%d]", template.Field, networksField, i)
		addrs := network.Fixed(selection)
		if several != "" && len(addrs) > 0 {
			found = append(found, o.find(nad.AddressShared, field, fmt.Sprintf("%s, and each gets %s: each pod takes that from the one before; give each pod an address of its own (one object for each, or IPAM whereabouts)", several, listed(addrs))))
		}
		for _, addr := range addrs {
			other, taken := s.taken[addr]
			if !taken {
				s.taken[addr] = me
				continue
			}
			if other != me {
				found = append(found, o.find(nad.AddressShared, field, fmt.Sprintf("%s is the address of the pods of %s, too: each pod takes it from the other", addr, strings.TrimSpace(strings.TrimSuffix(other, ".")))))
			}
		}
	}
	return found
}

func listed(addrs []netip.Addr) string {
	var texts []string
	for _, addr := range addrs[:min(len(addrs), mostListed)] {
		texts = append(texts, addr.String())
	}
	if more := len(addrs) - mostListed; more > 0 {
		texts = append(texts, fmt.Sprintf("%d more", more))
	}
	return strings.Join(texts, ", ")
}

// workload is what says how many pods an object runs at once.
type workload struct {
	Spec struct {
		Replicas          *int64 `json:"replicas"`
		Parallelism       *int64 `json:"parallelism"`
		ConcurrencyPolicy string `json:"concurrencyPolicy"`
		JobTemplate       struct {
			Spec struct {
				Parallelism *int64 `json:"parallelism"`
			} `json:"spec"`
		} `json:"jobTemplate"`
	} `json:"spec"`
}

// severalPods says how an object comes to several pods at once, or nothing.
func (s sharing) severalPods(o object) string {
	var w workload
	if manifest.Decode(o.Raw, &w) != nil {
		return ""
	}
	more := func(n *int64) bool { return n != nil && *n > 1 }
	most := s.scaled[[3]string{o.Namespace, o.Kind, o.Name}]
	switch {
	case strings.HasSuffix(o.Kind, "DaemonSet"):
		return "a " + o.Kind + " runs a pod on every worker"
	case more(w.Spec.Replicas):
		return fmt.Sprintf("the %s runs %d replicas", o.Kind, *w.Spec.Replicas)
	case most > 1:
		return fmt.Sprintf("a HorizontalPodAutoscaler lets the %s run %d replicas", o.Kind, most)
	case more(w.Spec.Parallelism):
		return fmt.Sprintf("the %s runs %d pods at once", o.Kind, *w.Spec.Parallelism)
	case more(w.Spec.JobTemplate.Spec.Parallelism):
		return fmt.Sprintf("the %s runs %d pods at once", o.Kind, *w.Spec.JobTemplate.Spec.Parallelism)
	case o.Kind == "CronJob" && (w.Spec.ConcurrencyPolicy == "" || w.Spec.ConcurrencyPolicy == "Allow"):
		return "runs of the CronJob may overlap (concurrencyPolicy: Forbid or Replace keeps them apart)"
	}
	return ""
}
