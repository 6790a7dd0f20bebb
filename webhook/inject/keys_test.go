package inject_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
)

func TestKeysWithoutMeaningAreTold(t *testing.T) {
	for _, c := range []struct {
		name, key, value string
		kind             inject.Kind
		label            bool
		want             string // the end of the message; empty: nothing is wrong
	}{
		{name: "right", kind: inject.KindPod, label: true, key: "multus-ipmgr.io/inject", value: "enabled"},
		{name: "of others", kind: inject.KindPod, label: true, key: "app.kubernetes.io/name", value: "x"},
		{name: "of others, with our name in it", kind: inject.KindPod, label: true, key: "app", value: "multus-ipmgr"},
		{name: "Multus's own status", kind: inject.KindPod, key: "k8s.v1.cni.cncf.io/network-status", value: "[]"},
		{name: "Multus's own, of a NAD", kind: inject.KindNAD, key: "k8s.v1.cni.cncf.io/resourceName", value: "x"},
		{name: "a capital", kind: inject.KindPod, label: true, key: "multus-ipmgr.io/Inject", value: "enabled", want: "multus-ipmgr.io/inject is probably meant"},
		{name: "swapped letters", kind: inject.KindNamespace, label: true, key: "multus-ipmgr.io/ijnect", value: "enabled", want: "multus-ipmgr.io/inject is probably meant"},
		{name: "another domain", kind: inject.KindNamespace, label: true, key: "multus-ipmgr/inject", value: "enabled", want: "multus-ipmgr.io/inject is probably meant"},
		{name: "a misspelt domain", kind: inject.KindNamespace, label: true, key: "mutlus-ipmgr.io/inject", value: "enabled", want: "multus-ipmgr.io/inject is probably meant"},
		{name: "half of the domain", kind: inject.KindNamespace, key: "ipmgr.io/mode", value: "sidecar", want: "multus-ipmgr.io/mode is probably meant"},
		{name: "a value", kind: inject.KindNamespace, label: true, key: "multus-ipmgr.io/inject", value: "enable", want: `accepted are "enabled" and "disabled"; "enabled" is probably meant`},
		{name: "a value of another language", kind: inject.KindPod, key: "multus-ipmgr.io/zone-affinity", value: "none", want: `accepted is "disabled"`},
		{name: "an annotation for a label", kind: inject.KindNamespace, key: "multus-ipmgr.io/validate", value: "off", want: "it is read as a label"},
		{name: "on another kind", kind: inject.KindNamespace, key: "multus-ipmgr.io/exclude-addresses", value: "10.0.0.0/8", want: "it is read on a Pod"},
		{name: "Multus's, in the singular", kind: inject.KindPod, key: "k8s.v1.cni.cncf.io/network", value: "net-a", want: "k8s.v1.cni.cncf.io/networks is probably meant"},
		{name: "Multus's, without the version", kind: inject.KindPod, key: "k8s.cni.cncf.io/networks", value: "net-a", want: "k8s.v1.cni.cncf.io/networks is probably meant"},
		{name: "nothing that is known", kind: inject.KindNAD, label: true, key: "multus-ipmgr.io/team", value: "core", want: "on a NetworkAttachmentDefinition there are multus-ipmgr.io/managed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			labels, annotations := map[string]string{c.key: c.value}, map[string]string(nil)
			if !c.label {
				labels, annotations = annotations, labels
			}
			found := inject.KeyMistakes(c.kind, labels, annotations)
			switch {
			case c.want == "" && len(found) > 0:
				t.Errorf("found %+v, want nothing", found)
			case c.want != "" && (len(found) != 1 || !strings.HasSuffix(found[0].Message, c.want) || !strings.HasSuffix(found[0].Field, "["+c.key+"]")):
				t.Errorf("found %+v, want %q", found, c.want)
			}
		})
	}
}

func TestWhatIsToldOfKeysIsBounded(t *testing.T) {
	annotations := map[string]string{}
	for i := range 10_000 {
		annotations[fmt.Sprintf("multus-ipmgr.io/x%d", i)] = strings.Repeat("x", 1000)
	}
	if got := len(inject.KeyMistakes(inject.KindPod, nil, annotations)); got != 16 {
		t.Errorf("%d mistakes, want 16", got)
	}
}
