package kubectl

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// API groups whose kinds are known.
const (
	groupNAD  = "k8s.cni.cncf.io"
	groupOurs = v1alpha1.Group
)

// kinds are all kinds of the API groups in which a misspelt one would be passed
// over.
func kinds() map[string][]string {
	return map[string][]string{
		"": {
			"Pod", "Namespace", "PodTemplate", "ReplicationController", "ConfigMap", "Secret", "Service", "ServiceAccount", "Endpoints", "Event",
			"LimitRange", "ResourceQuota", "Node", "PersistentVolume", "PersistentVolumeClaim", "Binding", "ComponentStatus", "List",
		},
		"apps":    {"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ControllerRevision"},
		"batch":   {"Job", "CronJob"},
		groupNAD:  {"NetworkAttachmentDefinition", "MultiNetworkPolicy", "IPAMClaim"},
		groupOurs: {"ReservedCIDR"},
	}
}

// versions are those that exist of the kinds that are read here.
func versions() map[string]string {
	return map[string]string{
		groupNAD + "/NetworkAttachmentDefinition": groupNAD + "/v1",
		groupOurs + "/ReservedCIDR":               groupOurs + "/v1alpha1",
	}
}

// checkKind says what is wrong with an object's kind: nothing would be checked
// of it, and nobody told.
func checkKind(o object) []nad.Finding {
	all := kinds()
	if known, group := all[o.group()]; group {
		if !slices.Contains(known, o.Kind) {
			return []nad.Finding{o.find(nad.KindUnknown, "kind", unknownKind(o, known))}
		}
		if want := versions()[o.group()+"/"+o.Kind]; want != "" && want != o.APIVersion {
			return []nad.Finding{o.find(nad.KindUnknown, "apiVersion", fmt.Sprintf("%s is of %s, not of %s", o.Kind, want, o.APIVersion))}
		}
		return nil
	}
	groups := slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(group string) bool { return group == "" })
	meant := nad.Nearest(o.group(), groups)
	if meant == "" || !slices.Contains(all[meant], o.Kind) {
		meant = groupOfOwn(o.Kind)
	}
	if meant == "" {
		return nil
	}
	return []nad.Finding{o.find(nad.KindUnknown, "apiVersion", fmt.Sprintf("%s is of the API group %s, not of %s, so nothing of it is checked", o.Kind, meant, o.APIVersion))}
}

// groupOfOwn is the group of kinds that no other group should have.
func groupOfOwn(kind string) string {
	for _, group := range []string{groupNAD, groupOurs} {
		if slices.Contains(kinds()[group], kind) && kind != "MultiNetworkPolicy" {
			return group
		}
	}
	return ""
}

func unknownKind(o object, known []string) string {
	if meant := nad.Nearest(o.Kind, known); meant != "" {
		return fmt.Sprintf("%s has no kind %s, so nothing of it is checked; %s is probably meant", o.APIVersion, o.Kind, meant)
	}
	for _, group := range slices.Sorted(maps.Keys(kinds())) {
		if slices.Contains(kinds()[group], o.Kind) {
			return fmt.Sprintf("%s has no kind %s, which is of the API group %q, so nothing of it is checked", o.APIVersion, o.Kind, group)
		}
	}
	return fmt.Sprintf("%s has no kind %s, so nothing of it is checked; there are %s", o.APIVersion, o.Kind, strings.Join(known, ", "))
}
