package inject_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// lateWorld is a view in which "free" has no addresses of ENIs, and every other
// network has.
func lateWorld() inject.View {
	return inject.View{Networks: inject.NewLookup(func(_, name string) (nad.Network, bool) {
		return nad.Network{Managed: name != "free", Addressed: true}, true
	}, nil)}
}

// injected has an IP manager.
func injected(pod inject.Pod) inject.Pod {
	pod.Metadata.Annotations[inject.InjectedAnnotation] = "init v0"
	pod.Spec.InitContainers = []inject.Container{{Name: inject.ContainerName}}
	return pod
}

func late(networks string) inject.Pod {
	return inject.Pod{
		Metadata: inject.Metadata{Name: "upf", Annotations: map[string]string{nad.NetworksAnnotation: networks}},
		Spec:     &inject.PodSpec{Containers: []inject.Container{{Name: "upf"}}},
	}
}

func disabled(pod inject.Pod) inject.Pod {
	pod.Metadata.Labels = map[string]string{inject.InjectLabel: inject.Disabled}
	return pod
}

func TestNetworksThatComeLateAreJudged(t *testing.T) {
	const none, by, created, stale = "", "sorts before \"multus-ipmgr\"", "before it is created", "recreate the pod"
	for _, c := range []struct {
		name   string
		change inject.LateChange
		pod    inject.Pod
		off    bool   // the namespace did not opt in
		says   string // in a denial or, where it is not enforced, a warning
		warns  string // whatever is enforced
	}{
		{name: "another webhook added networks", change: inject.ByWebhook, pod: late("net-a"), says: by},
		{name: "somebody added networks to a pod that exists", change: inject.ByUpdate, pod: late("net-a"), says: created},
		{name: "an annotation that cannot be read", change: inject.ByUpdate, pod: late("a/b/c"), says: "has more than one"},
		{name: "networks without addresses of ENIs", change: inject.ByUpdate, pod: late("free"), says: none},
		{name: "the networks were taken away", change: inject.ByUpdate, pod: late(""), says: none},
		{name: "a pod that opts out", change: inject.ByUpdate, pod: disabled(late("net-a")), says: none},
		{name: "a namespace that did not opt in", change: inject.ByUpdate, pod: late("net-a"), off: true, says: none},
		{name: "a pod that was injected, as it was created", change: inject.ByWebhook, pod: injected(late("net-a")), says: none},
		{name: "other networks for an injected pod", change: inject.ByUpdate, pod: injected(late("net-b")), warns: stale},
		{name: "an unreadable annotation for an injected pod", change: inject.ByUpdate, pod: injected(late("a/b/c")), says: "has more than one"},
		{name: "an unreadable annotation for an injected pod, by a webhook", change: inject.ByWebhook, pod: injected(late("a/b/c")), says: "has more than one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, how := range inject.Validations() {
				ns := inject.Namespace{Name: "apps", Labels: map[string]string{inject.InjectLabel: inject.Enabled, inject.ValidateLabel: string(how)}}
				if c.off {
					delete(ns.Labels, inject.InjectLabel)
				}
				got, err := inject.Judge(t.Context(), c.change, c.pod, ns, lateWorld(), inject.DefaultPolicy())
				if err != nil {
					t.Fatal(err)
				}
				warnings := strings.Join(got.Warnings, "\n")
				denied, warned := how == inject.Enforce && c.says != "", how == inject.WarnOnly && c.says != "" || how != inject.Off && c.warns != ""
				if (got.Denial != "") != denied || (warnings != "") != warned ||
					denied && !strings.Contains(got.Denial, c.says) || warned && !strings.Contains(warnings, c.says+c.warns) {
					t.Errorf("%s: denial %q, warnings %q", how, got.Denial, warnings)
				}
			}
		})
	}
}

func TestAddressesThatComeLateToAnInjectedPodAreChecked(t *testing.T) {
	fixed := nad.Read(nad.Definition{Namespace: "apps", Name: "fixed", Config: `{"cniVersion":"0.3.1","type":"ipvlan","master":"eth1","capabilities":{"ips":true},"ipam":{"type":"static"}}`})
	reserved, err := nad.ParseReservation("10.10.1.64/26", "", "", "", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change inject.LateChange
		ip     string
		denial string
	}{
		{"a reserved one by an update", inject.ByUpdate, "10.10.1.100", ""},
		{"one that is not reserved by an update", inject.ByUpdate, "10.10.1.200", "10.10.1.200"},
		{"one that is not reserved by a webhook", inject.ByWebhook, "10.10.1.200", "10.10.1.200"},
	} {
		t.Run(c.name, func(t *testing.T) {
			view := inject.View{
				Networks:     inject.NewLookup(func(string, string) (nad.Network, bool) { return fixed, true }, nil),
				Reservations: []nad.Reservation{reserved},
			}
			pod := injected(late(`[{"name":"fixed","ips":["` + c.ip + `/24"]}]`))
			ns := inject.Namespace{Name: "apps", Labels: map[string]string{inject.InjectLabel: inject.Enabled}}
			got, err := inject.Judge(t.Context(), c.change, pod, ns, view, inject.DefaultPolicy())
			if err != nil {
				t.Fatal(err)
			}
			if (got.Denial == "") != (c.denial == "") || !strings.Contains(got.Denial, c.denial) {
				t.Errorf("denial %q, want one with %q", got.Denial, c.denial)
			}
		})
	}
}

func TestBindingsMustNotBringNetworks(t *testing.T) {
	networks := map[string]string{nad.NetworksAnnotation: "net-a"}
	for _, c := range []struct {
		name        string
		annotations map[string]string
		ns          inject.Namespace
		denied      bool
		warnings    int
	}{
		{"in a namespace that opted in", networks, inject.Namespace{Name: "apps", Labels: map[string]string{inject.InjectLabel: inject.Enabled}}, true, 0},
		{"in one that wants to be warned", networks, inject.Namespace{Name: "apps", Labels: map[string]string{inject.InjectLabel: inject.Enabled, inject.ValidateLabel: "warn"}}, false, 1},
		{"in one that wants no checks", networks, inject.Namespace{Name: "apps", Labels: map[string]string{inject.InjectLabel: inject.Enabled, inject.ValidateLabel: "off"}}, false, 0},
		{"in one that did not opt in", networks, inject.Namespace{Name: "plain"}, false, 0},
		{"in kube-system", networks, inject.Namespace{Name: "kube-system", Labels: map[string]string{inject.InjectLabel: inject.Enabled}}, false, 0},
		{"a scheduler's", nil, inject.Namespace{Name: "apps", Labels: map[string]string{inject.InjectLabel: inject.Enabled}}, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := inject.JudgeBinding(c.annotations, c.ns, inject.DefaultPolicy())
			if diff := cmp.Diff([]any{c.denied, c.warnings}, []any{got.Denial != "", len(got.Warnings)}); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", got, diff)
			}
		})
	}
}
