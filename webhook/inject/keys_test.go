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
		{name: "another separator", kind: inject.KindNamespace, label: true, key: "multus-ipmgr.io-inject", value: "enabled", want: "multus-ipmgr.io/inject is probably meant"},
		{name: "a dot for the separator", kind: inject.KindPod, key: "multus-ipmgr.io.mode", value: "sidecar", want: "multus-ipmgr.io/mode is probably meant"},
		{name: "of others, with our name and no domain", kind: inject.KindNamespace, label: true, key: "uses-multus-ipmgr", value: "true"},
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

// A cache keeps little of a namespace, and the same mistakes are found in it.
func TestWhatIsKeptOfKeysTellsTheSame(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, c := range []struct {
		name, key, value string
		label            bool
		want             string // what is kept
		dropped          bool
	}{
		{name: "right", label: true, key: "multus-ipmgr.io/inject", value: "enabled", want: "enabled"},
		{name: "a wrong value", label: true, key: "multus-ipmgr.io/inject", value: "enable", want: "enable"},
		{name: "resources", key: "multus-ipmgr.io/limits", value: "cpu=100m,memory=32Mi", want: "cpu=100m,memory=32Mi"},
		{name: "a misspelt key", label: true, key: "multus-ipmgr.io/injct", value: "enabled"},
		{name: "a misspelt domain", key: "mutlus-ipmgr.io/mode", value: "sidecar"},
		{name: "a label for an annotation", label: true, key: "multus-ipmgr.io/mode", value: "sidecar", want: "sidecar"},
		{name: "on another kind", key: "k8s.v1.cni.cncf.io/networks", value: "net-a", want: "net-a"},
		{name: "of others", key: "example.com/mode", value: long, dropped: true},
		{name: "a long value of a misspelt key", key: "multus-ipmgr.io/mod", value: long},
		{name: "a long value", key: "multus-ipmgr.io/mode", value: long, want: long[:1024] + "..."},
		{name: "a value that would be right if it were cut", key: "multus-ipmgr.io/limits", value: "cpu=100m" + strings.Repeat(" ", 1100) + "x", want: "cpu=100m" + strings.Repeat(" ", 1016) + "..."},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := map[string]string{c.key: c.value}
			kept := inject.Kept(inject.KindNamespace, all, c.label)
			if value, found := kept[c.key]; found == c.dropped || value != c.want {
				t.Errorf("kept %d bytes %.40q, found %t", len(value), value, found)
			}
			mistakes := func(m map[string]string) string {
				if c.label {
					return fmt.Sprint(inject.KeyMistakes(inject.KindNamespace, m, nil))
				}
				return fmt.Sprint(inject.KeyMistakes(inject.KindNamespace, nil, m))
			}
			if before, after := mistakes(all), mistakes(kept); before != after {
				t.Errorf("mistakes %s, and in what is kept %s", before, after)
			}
		})
	}
}

// domains are as many keys of other domains of the length of ours.
func domains(n int) map[string]string {
	all := map[string]string{}
	for i := range n {
		all[fmt.Sprintf("multus-opmgr.%05d/x", i)] = ""
	}
	return all
}

func TestKeysCostLittleHoweverManyThereAre(t *testing.T) {
	all := domains(10_000)
	all["multus-ipmgr.io/injct"] = "enabled"
	if got := inject.KeyMistakes(inject.KindNamespace, all, nil); len(got) != 1 {
		t.Errorf("mistakes %v, want one", got)
	}
	few, many := domains(300), domains(10_000)
	for name, look := range map[string]func(map[string]string){
		"KeyMistakes": func(all map[string]string) { inject.KeyMistakes(inject.KindNamespace, nil, all) },
		"Kept":        func(all map[string]string) { inject.Kept(inject.KindNamespace, all, false) },
	} {
		least, most := testing.AllocsPerRun(1, func() { look(few) }), testing.AllocsPerRun(1, func() { look(many) })
		if most > least+100 {
			t.Errorf("%s allocates %v times for %d keys of other domains and %v for %d", name, least, len(few), most, len(many))
		}
	}
}

func TestWhatIsKeptOfKeysIsBounded(t *testing.T) {
	all := map[string]string{"multus-ipmgr.io/mode": strings.Repeat("x", 100_000), "multus-ipmgr.io/limits": strings.Repeat("x", 100_000)}
	for i := range 1000 {
		all[fmt.Sprintf("multus-ipmgr.io/%060d", i)] = strings.Repeat("x", 100)
	}
	size := 0
	for name, value := range inject.Kept(inject.KindNamespace, all, false) {
		size += len(name) + len(value)
	}
	if size > 3000 {
		t.Errorf("%d bytes are kept", size)
	}
	all["multus-ipmgr.io/mode"] = "sidecar"
	if got := inject.Kept(inject.KindNamespace, all, false)["multus-ipmgr.io/mode"]; got != "sidecar" {
		t.Errorf("the mode is %q beside many misspelt keys", got)
	}
}
