package kubectl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/kubectl/manifest"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// networksField is where a pod selects its networks.
const networksField = "metadata.annotations[" + nad.NetworksAnnotation + "]"

// pods returns the pods that an object makes, and what hides them from us.
func (o object) pods() ([]manifest.Template, []nad.Finding) {
	if o.MakesPods() {
		template, found := o.Template()
		if !found {
			return nil, misplacedKeys(o, manifest.Template{}, inject.Pod{})
		}
		return []manifest.Template{template}, nil
	}
	if known := kinds()[o.group()]; slices.Contains(known, o.Kind) {
		return nil, misplacedKeys(o, manifest.Template{}, inject.Pod{})
	}
	templates := o.Search()
	multus := o.Mentions(nad.NetworksAnnotation) || o.Mentions("multus")
	switch {
	case len(templates) == 0 && multus:
		return nil, []nad.Finding{o.find(nad.KindUnknown, "kind", fmt.Sprintf("%s of %s selects Multus networks in a way that is not known here, so its pods are not checked; the webhook decides about them when they are created", o.Kind, o.APIVersion))}
	case len(templates) > 0 && multus:
		return templates, []nad.Finding{o.find(nad.KindUnknown, "kind", fmt.Sprintf("%s of %s is not known here; what looks like its pods (%s) is judged as such, once each", o.Kind, o.APIVersion, fields(templates)))}
	}
	return templates, nil
}

// fields lists where templates are.
func fields(templates []manifest.Template) string {
	var texts []string
	for _, t := range templates[:min(len(templates), mostListed)] {
		texts = append(texts, strings.TrimSuffix(t.Field, "."))
	}
	if more := len(templates) - mostListed; more > 0 {
		texts = append(texts, fmt.Sprintf("%d more", more))
	}
	return strings.Join(texts, ", ")
}

// mostListed limits how many items a message lists.
const mostListed = 8

// advise finds what keeps a pod from starting or its eth0 from working, as
// "inject" warns of it.
func advise(o object, template manifest.Template, pod inject.Pod, selections []nad.Selection, find inject.FindNAD) []nad.Finding {
	var found []nad.Finding
	again := inject.Twice(selections)
	for i := range selections {
		if message, twice := again[i]; twice {
			found = append(found, o.find(nad.InterfaceTwice, fmt.Sprintf("%s%s[%d]", template.Field, networksField, i), message))
		}
	}
	if value := pod.Metadata.Annotations[nad.DefaultNetworkAnnotation]; value != "" {
		if message := inject.DefaultNetworkMessage(value, find); message != "" {
			found = append(found, o.find(nad.DefaultNetworkManaged, template.Field+"metadata.annotations["+nad.DefaultNetworkAnnotation+"]", message))
		}
	}
	return found
}

// checkKeys looks for misspelt keys of ours on the objects that carry some.
func checkKeys(o object) []nad.Finding {
	m, err := metadataOf(o.Raw)
	if err != nil {
		return nil
	}
	switch {
	case o.is("", "Namespace"):
		return inject.KeyFindings(inject.KindNamespace, o.id(), "", m.Labels, m.Annotations)
	case o.is("", "Pod"):
		return inject.KeyFindings(inject.KindPod, o.id(), "", m.Labels, m.Annotations)
	case o.is(groupNAD, "NetworkAttachmentDefinition"):
		return inject.KeyFindings(inject.KindNAD, o.id(), "", m.Labels, m.Annotations)
	}
	return nil
}

// misplacedKeys finds what is meant for pods on the object that makes them, or
// on the Jobs that make them.
func misplacedKeys(o object, template manifest.Template, pod inject.Pod) []nad.Finding {
	m, err := metadataOf(o.Raw)
	if err != nil || slices.Contains([]string{"Pod", "Namespace", "NetworkAttachmentDefinition"}, o.Kind) { // see checkKeys
		return nil
	}
	found := misplacedIn(o, "", m, template, pod)
	var jobs struct {
		Spec struct {
			JobTemplate struct {
				Metadata metadata `json:"metadata"`
			} `json:"jobTemplate"`
		} `json:"spec"`
	}
	if manifest.Decode(o.Raw, &jobs) != nil {
		return found
	}
	return append(found, misplacedIn(o, "spec.jobTemplate.", jobs.Spec.JobTemplate.Metadata, template, pod)...)
}

// misplacedIn finds it in the metadata at one place of the object.
func misplacedIn(o object, place string, m metadata, template manifest.Template, pod inject.Pod) []nad.Finding {
	where := template.Field + "metadata"
	if template.Field == "" {
		where = "the pod's metadata"
	}
	var found []nad.Finding
	misplaced := func(kind string, own, of map[string]string, keys []string) {
		for _, key := range keys {
			if _, there := own[key]; !there {
				continue
			}
			if _, there := of[key]; !there {
				found = append(found, o.find(nad.AnnotationMisplaced, fmt.Sprintf("%smetadata.%ss[%s]", place, kind, key), fmt.Sprintf("this %s of the %s means nothing to its pods; write it into %s", kind, o.Kind, where)))
			}
		}
	}
	misplaced("label", m.Labels, pod.Metadata.Labels, []string{inject.InjectLabel})
	misplaced("annotation", m.Annotations, pod.Metadata.Annotations, []string{
		nad.NetworksAnnotation, nad.DefaultNetworkAnnotation, inject.ModeAnnotation, inject.ZoneAffinityAnnotation,
		inject.RequestsAnnotation, inject.LimitsAnnotation, inject.ExcludeAnnotation,
	})
	return found
}
