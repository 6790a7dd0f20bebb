package inject_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// decideOn decides on a pod with one network of zone us-west-2a and one
// container.
func decideOn(t *testing.T, affinity, resources, annotations string) (inject.Decision, []byte) {
	t.Helper()
	pod := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"n"%s}},"spec":{%s"containers":[{"name":"x","resources":{%s}}]}}`, nad.NetworksAnnotation, annotations, affinity, resources)
	reservation, err := nad.ParseReservation("10.10.1.64/26", "", "subnet-a", "10.10.1.0/24", "us-west-2a")
	if err != nil {
		t.Fatal(err)
	}
	network := nad.Read(nad.Definition{Namespace: "apps", Name: "n", Config: `{"cniVersion":"1.0.0","type":"ipvlan","master":"eth1","ipam":{"type":"whereabouts","range":"10.10.1.64/26"}}`})
	find := func(string, string) (nad.Network, bool) { return network, true }
	view := inject.View{Networks: inject.NewLookup(find, nil), Reservations: []nad.Reservation{reservation}}
	d, err := inject.Decide(t.Context(), decodePod(t, pod), inject.Namespace{Name: "apps", Labels: label(inject.Enabled)}, view, inject.DefaultPolicy())
	if err != nil {
		t.Fatal(err)
	}
	return d, pod
}

func TestAZoneIsAddedToManyTermsAndNotToMore(t *testing.T) {
	const most = 1000
	for n, zones := range map[int]int{most: most, most + 1: 0} {
		terms := strings.Repeat(`,{"matchExpressions":[{"key":"k","operator":"Exists"}]}`, n)[1:]
		d, pod := decideOn(t, `"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[`+terms+`]}}},`, "", "")
		if d.Reason != inject.Injected {
			t.Fatalf("%d terms: %s, %s", n, d.Reason, d.Detail)
		}
		if got := strings.Count(string(apply(t, pod, d.Patch)), `"us-west-2a"`); got != zones {
			t.Errorf("%d terms: the zone is added to %d, want %d", n, got, zones)
		}
		said := strings.Contains(strings.Join(d.Warnings, "\n"), "node affinity has 1001 terms, but a zone is added to at most 1000")
		if said != (zones == 0) {
			t.Errorf("%d terms: warnings %q", n, d.Warnings)
		}
	}
}

// A quantity takes work to read that grows with its length.
func TestLongQuantitiesOfContainersAreNotRead(t *testing.T) {
	for length, guaranteed := range map[int]bool{32: true, 33: false} {
		long := "2." + strings.Repeat("0", length-2)
		resources := fmt.Sprintf(`"limits":{"cpu":"2","memory":"1Gi"},"requests":{"cpu":%q,"memory":"1Gi"}`, long)
		d, pod := decideOn(t, "", resources, "")
		var patched struct {
			Spec struct {
				InitContainers []struct {
					Resources struct{ Requests, Limits map[string]string }
				}
			}
		}
		if err := json.Unmarshal(apply(t, pod, d.Patch), &patched); err != nil {
			t.Fatal(err)
		}
		ours := patched.Spec.InitContainers[0].Resources
		if same := cmp.Equal(ours.Requests, ours.Limits); same != guaranteed {
			t.Errorf("a request of %d characters: ours are %+v, and the pod is taken for Guaranteed: %t, want %t", length, ours, same, guaranteed)
		}
	}
}

func TestLongQuantitiesOfAnnotationsAreDenied(t *testing.T) {
	for length, want := range map[int]inject.Outcome{32: inject.Patched, 33: inject.Denied} {
		quantity := "0.1" + strings.Repeat("0", length-3)
		d, _ := decideOn(t, "", "", `,"multus-ipmgr.io/limits":"cpu=`+quantity+`"`)
		if d.Reason.Outcome() != want {
			t.Errorf("a limit of %d characters: %s (%s), want %s", length, d.Reason, d.Detail, want)
		}
	}
}
