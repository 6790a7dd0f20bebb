package inject_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// Each part of a pod on the way of one of our operations may be absent, null,
// empty, or hold something; the patch has to apply to all of them.
func TestPatchesApplyWhateverIsAbsentOrNull(t *testing.T) {
	const term = `{"matchExpressions":[{"key":"k","operator":"Exists"}]}`
	lists := []string{"", `"%s":null`, `"%s":[]`, `"%s":[{"name":"x"}]`}
	affinities := []string{
		"", `"affinity":null`, `"affinity":{}`, `"affinity":{"nodeAffinity":null}`, `"affinity":{"nodeAffinity":{}}`,
		`"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":null}}`,
		`"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{}}}`,
		`"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":null}}}`,
		`"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[null,{},` + term + `]}}}`,
		`"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":null,"matchFields":[{"key":"f","operator":"Exists"}]}]}}}`,
	}
	specs := []string{"", `"spec":null`, `"spec":{}`}
	for _, key := range []string{"initContainers", "containers", "volumes", "imagePullSecrets"} {
		for _, list := range lists {
			for _, affinity := range affinities {
				given := list
				if given != "" {
					given = fmt.Sprintf(list, key)
				}
				comma := ""
				if given != "" && affinity != "" {
					comma = ","
				}
				specs = append(specs, `"spec":{`+given+comma+affinity+`}`)
			}
		}
	}
	policy := inject.DefaultPolicy()
	policy.Image, policy.WebIdentity.RoleARN, policy.PullSecrets = "ipmgr", "arn", []string{"registry"}
	reservation, err := nad.ParseReservation("10.10.1.64/26", "", "subnet-a", "10.10.1.0/24", "us-west-2a")
	if err != nil {
		t.Fatal(err)
	}
	network := nad.Read(nad.Definition{Namespace: "apps", Name: "n", Config: `{"cniVersion":"1.0.0","type":"ipvlan","ipam":{"type":"whereabouts","range":"10.10.1.64/26"}}`})
	find := func(string, string) (nad.Network, bool) { return network, true }
	for _, mode := range []string{"init", "sidecar"} {
		for _, style := range []inject.SidecarStyle{inject.Native, inject.Plain} {
			policy.Style = style
			for _, text := range specs {
				pod := fmt.Sprintf(`{"metadata":{"annotations":{%q:"n",%q:%q}}`, nad.NetworksAnnotation, inject.ModeAnnotation, mode)
				if text != "" {
					pod += "," + text
				}
				pod += "}"
				view := inject.View{Networks: inject.NewLookup(find, nil), Reservations: []nad.Reservation{reservation}}
				d, err := inject.Decide(t.Context(), decodePod(t, []byte(pod)), inject.Namespace{Name: "apps", Labels: label(inject.Enabled)}, view, policy)
				if err != nil || d.Reason != inject.Injected {
					t.Fatalf("%s: %s, %v", pod, d.Reason, err)
				}
				var patched struct {
					Spec struct{ InitContainers, Containers []struct{ Name string } }
				}
				if err := json.Unmarshal(apply(t, []byte(pod), d.Patch), &patched); err != nil {
					t.Fatal(err)
				}
				first := patched.Spec.InitContainers
				if mode == "sidecar" && style == inject.Plain {
					first = patched.Spec.Containers
				}
				if len(first) == 0 || first[0].Name != inject.ContainerName {
					t.Errorf("%s: containers %v, want ours first", pod, first)
				}
			}
		}
	}
}

func TestFewNetworksAreReadLive(t *testing.T) {
	reads := 0
	live := func(string, string) (nad.Network, bool, error) { reads++; return nad.Network{}, false, nil }
	none := func(string, string) (nad.Network, bool) { return nad.Network{}, false }
	pod := decodePod(t, fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"a,b,c,d,e,f,a,e"}},"spec":{"containers":[{"name":"x"}]}}`, nad.NetworksAnnotation))
	view := inject.View{Networks: inject.NewLookup(none, live)}
	for range 3 { // as often as one admission decides
		d, err := inject.Decide(t.Context(), pod, inject.Namespace{Name: "apps", Labels: label(inject.Enabled)}, view, inject.DefaultPolicy())
		if err != nil || len(d.Warnings) != 6 {
			t.Errorf("warnings %q, %v; want one of each network", d.Warnings, err)
		}
	}
	if reads != inject.MaxLiveReads {
		t.Errorf("%d networks are read, want %d", reads, inject.MaxLiveReads)
	}
}

func TestADecisionEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	pod := decodePod(t, fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"a"}},"spec":{"containers":[{"name":"x"}]}}`, nad.NetworksAnnotation))
	_, err := inject.Decide(ctx, pod, inject.Namespace{Name: "apps", Labels: label(inject.Enabled)}, inject.View{Networks: inject.NewLookup(findManaged, nil)}, inject.DefaultPolicy())
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	long := make([]string, 100)
	for i := range long {
		long[i] = fmt.Sprintf("%03d", i) + strings.Repeat("é", 2000)
	}
	got := inject.Bounded(long, "warnings", inject.MaxWarnings)
	if n := len([]rune(strings.Join(got, ""))); n > inject.MaxWarnings+40 || !strings.HasPrefix(got[0], "000") {
		t.Errorf("%d characters in %d texts", n, len(got))
	}
	if want := fmt.Sprintf("and %d more warnings", 100-len(got)+1); got[len(got)-1] != want {
		t.Errorf("the last is %q, want %q", got[len(got)-1], want)
	}
	if few := inject.Bounded([]string{"a", "b"}, "warnings", 2); len(few) != 2 {
		t.Errorf("%q, want both", few)
	}
}
