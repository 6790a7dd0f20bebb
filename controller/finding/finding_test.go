package finding

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

func reserve(cidr string, kind v1alpha1.ReservationType) v1alpha1.ReservedCIDR {
	return v1alpha1.ReservedCIDR{Spec: v1alpha1.ReservedCIDRSpec{CIDR: cidr, Type: kind, SubnetID: "subnet-a", SubnetCIDR: "10.0.1.0/24"}}
}

// asked is an object with create, and what the controller says of it.
func asked(status metav1.ConditionStatus) v1alpha1.ReservedCIDR {
	o := reserve("10.0.1.64/26", v1alpha1.Explicit)
	o.Spec.Create = true
	o.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReserved, Status: status}}
	return o
}

// network hands out the addresses of a range.
func network(name, plugin, first, last string) *nadv1.NetworkAttachmentDefinition {
	o := &nadv1.NetworkAttachmentDefinition{ObjectMeta: metav1.ObjectMeta{Namespace: "core", Name: name}}
	o.Spec.Config = `{"cniVersion":"1.0.0","type":"` + plugin + `",
		"ipam":{"type":"whereabouts","range":"10.0.1.0/24","range_start":"` + first + `","range_end":"` + last + `"}}`
	return o
}

func TestJudge(t *testing.T) {
	pods := network("pods", "ipvlan", "10.0.1.70", "10.0.1.80")
	unmanaged := pods.DeepCopy()
	unmanaged.Labels = map[string]string{nad.ManagedLabel: "false"}
	broken := pods.DeepCopy()
	broken.Spec.Config = "{"
	for _, c := range []struct {
		name     string
		reserved []v1alpha1.ReservedCIDR
		known    bool
		network  *nadv1.NetworkAttachmentDefinition
		want     []nad.Rule
	}{
		{"the range is reserved", []v1alpha1.ReservedCIDR{reserve("10.0.1.64/26", v1alpha1.Explicit)}, true, pods, nil},
		{"two reservations share it", []v1alpha1.ReservedCIDR{reserve("10.0.1.64/28", v1alpha1.Explicit), reserve("10.0.1.80/28", v1alpha1.Explicit)}, true, pods, nil},
		{"part of it is reserved", []v1alpha1.ReservedCIDR{reserve("10.0.1.64/28", v1alpha1.Explicit)}, true, pods, []nad.Rule{nad.NotReserved}},
		{"it is reserved for prefixes", []v1alpha1.ReservedCIDR{reserve("10.0.1.64/26", v1alpha1.Prefix)}, true, pods, []nad.Rule{nad.PrefixReservation}},
		{"it turns out to hold the router", []v1alpha1.ReservedCIDR{reserve("10.0.1.0/26", v1alpha1.Explicit)}, true, network("pods", "ipvlan", "10.0.1.1", "10.0.1.9"), []nad.Rule{nad.AWSReserved}},
		{"nothing was ever reserved", nil, false, pods, nil},
		{"the last reservation is gone", nil, true, pods, []nad.Rule{nad.NotReserved}},
		{"the reservation that was asked for exists", []v1alpha1.ReservedCIDR{asked(metav1.ConditionTrue)}, true, pods, nil},
		{"EC2 refuses the reservation that was asked for", []v1alpha1.ReservedCIDR{asked(metav1.ConditionFalse)}, true, pods, []nad.Rule{nad.NotReserved}},
		{"the NAD is none of ours", nil, true, unmanaged, nil},
		{"the plugin is none of ours", nil, true, network("pods", "bridge", "10.0.1.70", "10.0.1.80"), nil},
		{"what else is wrong with it is not our concern", []v1alpha1.ReservedCIDR{reserve("10.0.1.64/26", v1alpha1.Explicit)}, true, network("pods", "macvlan", "10.0.1.70", "10.0.1.80"), nil},
		{"it cannot be read", nil, true, broken, nil},
		{"a reservation cannot be read", []v1alpha1.ReservedCIDR{reserve("x", v1alpha1.Explicit), reserve("10.0.1.64/26", v1alpha1.Explicit)}, true, pods, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, err := judge(t.Context(), newChecker(reservations(c.reserved), c.known), c.network)
			if err != nil {
				t.Fatal(err)
			}
			var rules []nad.Rule
			for _, f := range found {
				rules = append(rules, f.Rule)
				if reasonOf(f.Rule) == "" {
					t.Errorf("an event about %s has no reason", f.Rule)
				}
			}
			if diff := cmp.Diff(c.want, rules); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.want, verdictOf(found).rules); diff != "" {
				t.Errorf("rules of the verdict (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOfAStatusOnlyARefusalIsLookedAt(t *testing.T) {
	made, refused, figures := asked(metav1.ConditionTrue), asked(metav1.ConditionFalse), asked(metav1.ConditionTrue)
	figures.Status.Used = new(int64(7))
	changed := made
	changed.Generation++
	for _, c := range []struct {
		name     string
		old, now v1alpha1.ReservedCIDR
		want     bool
	}{
		{"the reservation cannot be made", made, refused, true},
		{"the reservation is made after all", refused, made, true},
		{"the spec is another", made, changed, true},
		{"the figures are others", made, figures, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := grounds().Update(event.TypedUpdateEvent[*v1alpha1.ReservedCIDR]{ObjectOld: &c.old, ObjectNew: &c.now}); got != c.want {
				t.Errorf("looked at: %t, want %t", got, c.want)
			}
		})
	}
	if !grounds().Create(event.TypedCreateEvent[*v1alpha1.ReservedCIDR]{Object: &made}) || !grounds().Delete(event.TypedDeleteEvent[*v1alpha1.ReservedCIDR]{Object: &made}) {
		t.Error("objects that come and go are not looked at")
	}
}

func TestVerdictsDifferAsFindingsDo(t *testing.T) {
	one, two := nad.Finding{Rule: nad.NotReserved, Message: "one"}, nad.Finding{Rule: nad.NotReserved, Message: "two"}
	first := verdictOf([]nad.Finding{one, two})
	if got := verdictOf([]nad.Finding{one, two}); got.digest != first.digest {
		t.Error("the same findings make two verdicts")
	}
	for _, other := range [][]nad.Finding{nil, {one}, {two, one}, {one, two, two}} {
		if verdictOf(other).digest == first.digest {
			t.Errorf("%v make the verdict of two findings", other)
		}
	}
	if v := verdictOf(nil); v.rules != nil || v.digest != (verdict{}).digest {
		t.Errorf("no findings make the verdict %v", v)
	}
}

func TestNote(t *testing.T) {
	short := nad.Finding{Rule: nad.NotReserved, Field: "spec.config", Message: "nothing covers it"}
	if got, want := note([]nad.Finding{short}), "spec.config: nothing covers it (not-reserved)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := note([]nad.Finding{short, short, short}), "spec.config: nothing covers it (not-reserved); and 2 more: see kubectl ipmgr check"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	long := short
	long.Message = "x" + strings.Repeat("ü", longestNote) // cut in the middle of one
	if got := note([]nad.Finding{long, short}); len(got) > longestNote || !utf8.ValidString(got) || !strings.HasSuffix(got, "...") {
		t.Errorf("a long note has %d bytes and ends with %q", len(got), got[len(got)-8:])
	}
}

func TestReservationsAreComparedInAnyOrder(t *testing.T) {
	a, b := reserve("10.0.1.0/26", v1alpha1.Explicit), reserve("10.0.1.64/26", v1alpha1.Prefix)
	c := b
	c.Spec.AvailabilityZone = "us-west-2a"
	want := reservations([]v1alpha1.ReservedCIDR{a, b, c})
	for _, other := range [][]v1alpha1.ReservedCIDR{{c, b, a}, {b, a, c}} {
		if diff := cmp.Diff(want, reservations(other), cmp.Comparer(func(a, b nad.Reservation) bool { return a == b })); diff != "" {
			t.Errorf("the order of objects matters (-one +other):\n%s", diff)
		}
	}
}
