package controller_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/controller/reservation"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/docs"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

const (
	synced   = v1alpha1.ConditionSynced
	reserved = v1alpha1.ConditionReserved
)

// oneSubnet has a worker whose ENI holds a primary address and two others.
const oneSubnet = `
subnets:
- {id: subnet-a, cidr: 10.1.0.0/24, ipv6Cidr: "2600:1f13:0:1::/64", zone: us-west-2a, tags: {multus: "yes"}}
- {id: subnet-b, cidr: 10.2.0.0/24, zone: us-west-2b}
instances:
- id: i-1
  type: m5.xlarge
  zone: us-west-2a
  enis:
  - id: eni-1
    subnet: subnet-a
    deviceIndex: 0
    mac: "02:00:00:00:01:01"
    primary: 10.1.0.65
    secondaries: [10.1.0.70, 10.1.0.200]
    ipv6: ["2600:1f13:0:1:1::5"]
`

var subnetA = vpc.Selection{IDs: []string{"subnet-a"}}

func TestAgainstARealAPIServer(t *testing.T) {
	c := newCluster(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *cluster)
	}{
		{"reservations are mirrored with what is used and free", mirrors},
		{"600 reservations in one subnet are mirrored, changed and deleted", mirrorsManyPages},
		{"subnets are found by tag, and dropped with it", selectsByTag},
		{"an outage keeps the last known state and says of when it is", survivesOutage},
		{"a page that fails deletes nothing", survivesHalfAList},
		{"throttled calls are repeated, and counted", survivesThrottling},
		{"reservations stay known while nobody can say who holds which address", survivesWithoutAddresses},
		{"hand-written objects are never touched", leavesManualObjects},
		{"the lease moves without a gap", changesLeader},
		{"a reservation is made, kept and deleted with its object", createsAndDeletes},
		{"a reservation whose answer was lost is found again", findsLostAnswer},
		{"a reservation made before a crash is found again", findsAfterCrash},
		{"a reservation of someone else is not deleted", deletesOnlyItsOwn},
		{"a reservation that vanished is made again", makesAgain},
		{"a refusal says what to do", explainsRefusals},
		{"a reservation deleted under a NAD is told to its owner", tellsOwnersOfNADs},
		{"a NAD that was there before the controller is not judged by half of the objects", judgesNADsOnceAllIsMirrored},
		{"a subnet that is not selected is said to be so", explainsSelection},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, c) })
	}
}

func mirrors(t *testing.T, c *cluster) {
	t.Helper()
	w := newWorld(t, c, oneSubnet)
	id4, id6 := w.reserve("subnet-a", "10.1.0.64/26", nil), w.reserve("subnet-a", "2600:1f13:0:1:1::/80", nil)
	w.reserve("subnet-b", "10.2.0.64/26", nil)
	r := w.start(subnetA)
	w.eventually("both are synced", func() bool {
		return condition(w.get(id4), synced) == "True/Synced" && condition(w.get(id6), synced) == "True/Synced"
	})
	objects := w.objects()
	if len(objects) != 2 {
		t.Errorf("%d objects, want those of subnet-a only", len(objects))
	}
	want := v1alpha1.ReservedCIDRSpec{
		CIDR: "10.1.0.64/26", SubnetID: "subnet-a", SubnetCIDR: "10.1.0.0/24", AvailabilityZone: "us-west-2a",
		Type: v1alpha1.Explicit, Source: v1alpha1.AWS,
	}
	if diff := cmp.Diff(want, objects[id4].Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	want.CIDR, want.SubnetCIDR = "2600:1f13:0:1:1::/80", "2600:1f13:0:1::/64"
	if diff := cmp.Diff(want, objects[id6].Spec); diff != "" {
		t.Errorf("IPv6 spec (-want +got):\n%s", diff)
	}
	wantRows := map[string]string{
		id4: id4 + " 10.1.0.64/26 explicit subnet-a us-west-2a aws 2 62 <nil>", // not stale
		id6: id6 + " 2600:1f13:0:1:1::/80 explicit subnet-a us-west-2a aws 1 281474976710655 <nil>",
	}
	heads, rows := w.table()
	if diff := cmp.Diff([]string{"Name", "CIDR", "Type", "Subnet", "Zone", "Source", "Used", "Free", "Stale", "Age"}, heads); diff != "" {
		t.Errorf("columns that kubectl get shows (-want +got):\n%s", diff)
	}
	for name, row := range rows {
		cells, age := cutLast(row, " ")
		if d, err := time.ParseDuration(age); err != nil || d < 0 || d > patience {
			t.Errorf("age of %s is %q: %v", name, age, err)
		}
		rows[name] = cells
	}
	if diff := cmp.Diff(wantRows, rows); diff != "" {
		t.Errorf("what kubectl get shows, but for the age (-want +got):\n%s", diff)
	}
	for _, line := range []string{
		`multus_ipmgr_reservations{subnet="subnet-a",type="explicit"} 2`,
		`multus_ipmgr_reserved_addresses{cidr="10.1.0.64/26",state="used",subnet="subnet-a",type="explicit"} 2`,
		`multus_ipmgr_reservation_age_seconds{subnet="subnet-a"}`,
		`multus_ipmgr_ec2_calls_total{action="GetSubnetCidrReservations",code="ok"}`,
	} {
		if name, _, _ := strings.Cut(line, "{"); !strings.Contains(r.metric(name), line) {
			t.Errorf("metrics lack %s:\n%s", line, r.metric("multus_ipmgr"))
		}
	}
	response, err := http.Get(r.ops + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("readyz: %s", response.Status)
	}
}

// table returns the columns that kubectl get prints, and what is in them for
// each object.
func (w *world) table() (heads []string, rows map[string]string) {
	w.t.Helper()
	httpClient, err := rest.HTTPClientFor(w.plane.Config())
	if err != nil {
		w.t.Fatal(err)
	}
	config := w.plane.Config()
	config.GroupVersion, config.NegotiatedSerializer = new(v1alpha1.GroupVersion()), nopSerializer()
	config.APIPath = "/apis"
	api, err := rest.RESTClientForConfigAndClient(config, httpClient)
	if err != nil {
		w.t.Fatal(err)
	}
	var table metav1.Table
	err = api.Get().Resource(v1alpha1.Resource).SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(w.t.Context()).Into(&table)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, column := range table.ColumnDefinitions {
		if column.Priority == 0 {
			heads = append(heads, column.Name)
		}
	}
	rows = map[string]string{}
	for _, row := range table.Rows {
		var cells []string
		for i, column := range table.ColumnDefinitions {
			if column.Priority == 0 {
				cells = append(cells, fmt.Sprint(row.Cells[i]))
			}
		}
		rows[cells[0]] = strings.Join(cells, " ")
	}
	return heads, rows
}

// cutLast cuts s around the last separator.
func cutLast(s, separator string) (before, after string) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i+len(separator):]
}

// many describes a subnet with n reservations of 16 addresses.
func many(n int) string {
	var b strings.Builder
	b.WriteString("subnets:\n- {id: subnet-a, cidr: 10.1.0.0/16, zone: us-west-2a}\nreservations:\n")
	for i := range n {
		kind := "explicit"
		if i%3 == 0 {
			kind = "prefix"
		}
		fmt.Fprintf(&b, "- {subnet: subnet-a, cidr: 10.1.%d.%d/28, type: %s}\n", i/16, i%16*16, kind)
	}
	return b.String()
}

func mirrorsManyPages(t *testing.T, c *cluster) {
	t.Helper()
	w := newWorld(t, c, many(600))
	w.start(subnetA)
	w.eventually("all are synced", func() bool {
		n := 0
		for _, o := range w.objects() {
			if condition(&o, synced) == "True/Synced" {
				n++
			}
		}
		return n == 600
	})
	w.passes(2) // the cache has them, too
	before := w.objects()
	var gone string
	for name := range before {
		gone = name
		break
	}
	w.unreserve(gone)
	added := w.reserve("subnet-a", "10.1.200.0/24", nil)
	w.eventually("the objects follow", func() bool { return w.get(gone) == nil && w.get(added) != nil })
	after := w.objects()
	for name, o := range before {
		if now, found := after[name]; name != gone && (!found || now.UID != o.UID || now.ResourceVersion != o.ResourceVersion) {
			t.Errorf("%s was written again although nothing changed", name)
		}
	}
	if len(after) != 600 {
		t.Errorf("%d objects, want 600", len(after))
	}
}

func selectsByTag(t *testing.T, c *cluster) {
	t.Helper()
	w := newWorld(t, c, oneSubnet)
	inA, inB := w.reserve("subnet-a", "10.1.0.64/26", nil), w.reserve("subnet-b", "10.2.0.64/26", nil)
	w.start(vpc.Selection{TagKey: "multus", TagValue: "yes"})
	w.eventually("only subnet-a is mirrored", func() bool { return w.get(inA) != nil && w.get(inB) == nil })
	w.tag("subnet-b", "multus", "yes")
	w.eventually("subnet-b is mirrored too", func() bool { return w.get(inB) != nil })
	w.tag("subnet-a", "multus", "no")
	w.eventually("subnet-a is dropped", func() bool { return w.get(inA) == nil })
	w.tag("subnet-b", "multus", "no")
	before := w.calls("DescribeSubnets")
	w.eventually("subnets are listed again", func() bool { return w.calls("DescribeSubnets") > before+3 })
	if w.get(inB) == nil {
		t.Error("the last subnet was dropped although the tag is more likely a mistake")
	}
}

func survivesOutage(t *testing.T, c *cluster) {
	t.Helper()
	w := newWorld(t, c, oneSubnet)
	id := w.reserve("subnet-a", "10.1.0.64/26", nil)
	r := w.start(subnetA)
	w.eventually("it is synced", func() bool { return condition(w.get(id), synced) == "True/Synced" })
	healthy := w.get(id)

	w.set(`{"ec2": "refused"}`)
	w.eventually("the outage is reported", func() bool { return condition(w.get(id), synced) == "False/Unavailable" })
	old := w.get(id)
	if diff := cmp.Diff(healthy.Spec, old.Spec); diff != "" || old.UID != healthy.UID {
		t.Errorf("the last known state changed (-before +after):\n%s", diff)
	}
	if *old.Status.Used != 2 || *old.Status.Free != 62 {
		t.Errorf("used and free are %d and %d, want the last known figures", *old.Status.Used, *old.Status.Free)
	}
	if text := message(old, synced); !strings.HasPrefix(text, "not read from EC2 since 20") || !strings.Contains(text, "last known state") {
		t.Errorf("message %q, want it to say of when the state is", text)
	}
	_, rows := w.table()
	cells, _ := cutLast(rows[id], " ")
	if _, stale := cutLast(cells, " "); old.Status.StaleSince == nil || stale == "<nil>" {
		t.Errorf("kubectl get shows %q, want it to say since when the figures are old", rows[id])
	} else if _, err := time.ParseDuration(stale); err != nil {
		t.Errorf("the figures are stale since %q: %v", stale, err)
	}
	if age := r.metric("multus_ipmgr_reservation_age_seconds"); age == "" || strings.HasSuffix(strings.TrimSpace(age), " 0") {
		t.Errorf("metric %q, want the age", age)
	}

	w.set(`{"ec2": "up"}`)
	w.eventually("all is well again", func() bool { return condition(w.get(id), synced) == "True/Synced" })
	if n := strings.Count(r.log.String(), `"msg":"subnet not synced"`); n > 1 {
		t.Errorf("one outage was logged %d times", n)
	}
}

func survivesHalfAList(t *testing.T, c *cluster) {
	t.Helper()
	w := newWorld(t, c, many(300))
	w.start(subnetA)
	w.eventually("all are mirrored", func() bool { return len(w.objects()) == 300 })
	deletions := w.deletions()
	cut := w.cutSecondPages()
	w.eventually("lists were cut off", func() bool { return cut() >= 5 })
	if names := deletions(); len(names) > 0 {
		t.Errorf("deleted: %v", names)
	}
}

func survivesThrottling(t *testing.T, c *cluster) {
	t.Helper()
	w := newWorld(t, c, many(300))
	w.inject(vpcsim.Fault{Action: "GetSubnetCidrReservations", Code: "RequestLimitExceeded", Status: 503, Count: 2},
		vpcsim.Fault{Action: "DescribeNetworkInterfaces", Code: "RequestLimitExceeded", Status: 503, Count: 1})
	r := w.start(subnetA)
	w.eventually("all are mirrored", func() bool { return len(w.objects()) == 300 })
	if text := r.metric("multus_ipmgr_ec2_throttles_total"); !strings.Contains(text, `{action="GetSubnetCidrReservations"} 2`) {
		t.Errorf("throttles counted:\n%s", text)
	}
	w.set(`{"throttle": true}`) // the real buckets
	before := len(w.sim.Calls(false))
	w.passes(3)
	for _, call := range w.sim.Calls(false)[before:] {
		if call.Result != "ok" {
			t.Errorf("%s: %s, want the controller to stay below EC2's limits", call.Action, call.Result)
		}
	}
}

func survivesWithoutAddresses(t *testing.T, c *cluster) {
	t.Helper()
	w := newWorld(t, c, oneSubnet)
	first := w.reserve("subnet-a", "10.1.0.64/26", nil)
	w.start(subnetA)
	w.eventually("it is synced", func() bool { return condition(w.get(first), synced) == "True/Synced" })
	w.set(`{"deny": ["DescribeNetworkInterfaces"]}`)
	second := w.reserve("subnet-a", "10.1.0.128/26", nil)
	w.eventually("both say so", func() bool {
		return condition(w.get(first), synced) == "False/Denied" && condition(w.get(second), synced) == "False/Denied"
	})
	if used := w.get(first).Status.Used; used == nil || *used != 2 {
		t.Errorf("used is %v, want the last known figure", used)
	}
	if used := w.get(second).Status.Used; used != nil {
		t.Errorf("used is %d, which nobody knows", *used)
	}
}

func leavesManualObjects(t *testing.T, c *cluster) {
	t.Helper()
	w := newWorld(t, c, oneSubnet)
	id := w.reserve("subnet-a", "10.1.0.64/26", nil)
	w.create("by-hand", v1alpha1.ReservedCIDRSpec{CIDR: "10.1.0.64/26", SubnetID: "subnet-a", Type: v1alpha1.Explicit})
	w.create("elsewhere", v1alpha1.ReservedCIDRSpec{CIDR: "192.168.0.0/24"})
	w.create("scr-mine", v1alpha1.ReservedCIDRSpec{CIDR: "10.1.0.128/26", SubnetID: "subnet-a"})
	taken := w.reserve("subnet-a", "10.1.0.192/28", nil)
	w.create(taken, v1alpha1.ReservedCIDRSpec{CIDR: "10.9.0.0/24"})
	before := w.objects()
	r := w.start(subnetA)
	w.eventually("the reservation is mirrored", func() bool { return w.get(id) != nil })
	w.passes(2)
	w.unreserve(id)
	w.unreserve(taken)
	w.eventually("the mirror is gone", func() bool { return w.get(id) == nil })
	if diff := cmp.Diff(before, w.objects()); diff != "" {
		t.Errorf("hand-written objects (-before +after):\n%s", diff)
	}
	if !strings.Contains(r.log.String(), taken+" cannot be mirrored") {
		t.Error("that a name is taken is not told")
	}
}

func changesLeader(t *testing.T, c *cluster) {
	t.Helper()
	w := newWorld(t, c, many(20))
	first := w.start(subnetA)
	w.eventually("all are mirrored", func() bool { return len(w.objects()) == 20 })
	deletions := w.deletions()
	second := w.start(subnetA)
	w.passes(1)
	if text := second.metric("multus_ipmgr_reservation_age_seconds"); text != "" {
		t.Errorf("the one in waiting shows %q", text)
	}
	first.stop()
	added := w.reserve("subnet-a", "10.1.200.0/24", nil)
	w.eventually("the second goes on", func() bool { return w.get(added) != nil })
	w.passes(2)
	if names := deletions(); len(names) > 0 {
		t.Errorf("deleted in between: %v", names)
	}
	if text := second.metric("multus_ipmgr_reservation_age_seconds"); text == "" {
		t.Error("the new leader does not show the age")
	}
}

// deletions watches objects and returns what tells the names of those deleted.
func (w *world) deletions() func() []string {
	w.t.Helper()
	watcher, err := w.admin.Watch(w.t.Context(), &v1alpha1.ReservedCIDRList{})
	if err != nil {
		w.t.Fatal(err)
	}
	over := make(chan []string, 1)
	go func() {
		var names []string
		for e := range watcher.ResultChan() {
			if o, ok := e.Object.(*v1alpha1.ReservedCIDR); ok && e.Type == watch.Deleted {
				names = append(names, o.Name)
			}
		}
		over <- names
	}()
	return func() []string {
		watcher.Stop()
		return <-over
	}
}

func wish(cidr string) v1alpha1.ReservedCIDRSpec {
	return v1alpha1.ReservedCIDRSpec{CIDR: cidr, SubnetID: "subnet-a", Create: true}
}

func createsAndDeletes(t *testing.T, c *cluster) {
	t.Helper()
	w := newWorld(t, c, oneSubnet)
	w.start(subnetA)
	w.create("pool", wish("10.1.0.64/26"))
	w.eventually("it is reserved", func() bool { return condition(w.get("pool"), reserved) == "True/Reserved" })
	pool := w.get("pool")
	want := map[string]string{pool.Status.ReservationID: "10.1.0.64/26"}
	if diff := cmp.Diff(want, w.reservations("subnet-a")); diff != "" {
		t.Errorf("reservations (-want +got):\n%s", diff)
	}
	w.passes(2)
	if len(w.objects()) != 1 {
		t.Errorf("the reservation is shown twice:\n%s", w)
	}
	if *pool.Status.Used != 2 || *pool.Status.Free != 62 || condition(pool, synced) != "True/Synced" {
		t.Errorf("status: %+v", pool.Status)
	}
	if pool.Spec.AvailabilityZone != "us-west-2a" || pool.Spec.SubnetCIDR != "10.1.0.0/24" || pool.Status.ObservedGeneration != pool.Generation {
		t.Errorf("the subnet is not filled in: %+v, generation %d of %d", pool.Spec, pool.Status.ObservedGeneration, pool.Generation)
	}
	w.delete("pool")
	w.eventually("the object is gone", func() bool { return w.get("pool") == nil })
	if left := w.reservations("subnet-a"); len(left) > 0 {
		t.Errorf("reservations left: %v", left)
	}
}

func findsLostAnswer(t *testing.T, c *cluster) {
	t.Helper()
	w := newWorld(t, c, oneSubnet)
	w.inject(vpcsim.Fault{Action: "CreateSubnetCidrReservation", Lose: true})
	w.start(subnetA)
	w.create("pool", wish("10.1.0.64/26"))
	w.eventually("it is reserved", func() bool { return condition(w.get("pool"), reserved) == "True/Reserved" })
	if got := w.reservations("subnet-a"); len(got) != 1 || got[w.get("pool").Status.ReservationID] == "" {
		t.Errorf("reservations: %v, want the one of the object", got)
	}
}

func findsAfterCrash(t *testing.T, c *cluster) {
	t.Helper()
	w := newWorld(t, c, oneSubnet)
	kept := w.create("kept", wish("10.1.0.64/26"))
	dropped := w.create("dropped", wish("10.1.0.128/26"))
	for _, o := range []*v1alpha1.ReservedCIDR{kept, dropped} {
		o.Finalizers = []string{reservation.Finalizer}
		if err := w.admin.Update(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	id := w.reserve("subnet-a", "10.1.0.64/26", map[string]string{reservation.TagUID: string(kept.UID)})
	w.reserve("subnet-a", "10.1.0.128/26", map[string]string{reservation.TagUID: string(dropped.UID)})
	w.delete("dropped")

	w.start(subnetA)
	w.eventually("both are found", func() bool {
		return condition(w.get("kept"), reserved) == "True/Reserved" && w.get("dropped") == nil
	})
	if got := w.get("kept").Status.ReservationID; got != id {
		t.Errorf("reservation %q, want %q", got, id)
	}
	if diff := cmp.Diff(map[string]string{id: "10.1.0.64/26"}, w.reservations("subnet-a")); diff != "" {
		t.Errorf("reservations (-want +got):\n%s", diff)
	}
}

func deletesOnlyItsOwn(t *testing.T, c *cluster) {
	t.Helper()
	w := newWorld(t, c, oneSubnet)
	foreign := w.reserve("subnet-a", "10.1.0.64/26", nil)
	o := w.create("pool", wish("10.1.0.64/26"))
	o.Finalizers = []string{reservation.Finalizer}
	if err := w.admin.Update(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	o.Status.ReservationID = foreign // a lie
	if err := w.admin.Status().Update(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	w.start(subnetA)
	w.eventually("the overlap is reported", func() bool { return condition(w.get("pool"), reserved) == "False/Overlap" })
	if text := message(w.get("pool"), reserved); !strings.Contains(text, "ReservedCIDR "+foreign) {
		t.Errorf("message %q, want it to name the object that shows the reservation", text)
	}
	w.delete("pool")
	w.eventually("the object is gone", func() bool { return w.get("pool") == nil })
	if got := w.reservations("subnet-a"); got[foreign] == "" {
		t.Error("a reservation was deleted that the controller did not make")
	}
}

func makesAgain(t *testing.T, c *cluster) {
	t.Helper()
	w := newWorld(t, c, oneSubnet)
	w.start(subnetA)
	w.create("pool", wish("10.1.0.64/26"))
	w.eventually("it is reserved", func() bool { return condition(w.get("pool"), reserved) == "True/Reserved" })
	first := w.get("pool").Status.ReservationID
	w.unreserve(first)
	w.eventually("it is reserved again", func() bool {
		o := w.get("pool")
		return condition(o, reserved) == "True/Reserved" && o.Status.ReservationID != first
	})
	if got := w.reservations("subnet-a"); len(got) != 1 {
		t.Errorf("reservations: %v", got)
	}
}

func explainsRefusals(t *testing.T, c *cluster) {
	t.Helper()
	w := newWorld(t, c, oneSubnet)
	other := w.reserve("subnet-a", "10.1.0.64/26", nil)
	w.set(`{"deny": ["CreateSubnetCidrReservation"]}`)
	w.start(subnetA)
	w.create("overlap", wish("10.1.0.96/27"))
	w.create("outside", wish("10.2.0.0/26"))
	w.create("denied", wish("10.1.0.128/26"))
	for name, want := range map[string]string{
		"overlap": "False/Overlap aws ec2 delete-subnet-cidr-reservation --subnet-cidr-reservation-id " + other,
		"outside": "False/OutsideSubnet 10.2.0.0/26 is not within subnet subnet-a [10.1.0.0/24 2600:1f13:0:1::/64]",
		"denied":  "False/Denied allow the controller's role ec2:CreateSubnetCidrReservation",
	} {
		state, text, _ := strings.Cut(want, " ")
		w.eventually(name+" is reported", func() bool { return condition(w.get(name), reserved) == state })
		if got := message(w.get(name), reserved); !strings.Contains(got, text) {
			t.Errorf("%s: message %q, want %q in it", name, got, text)
		}
	}
	w.set(`{"deny": []}`)
	w.unreserve(other)
	for _, name := range []string{"overlap", "denied"} {
		w.eventually(name+" is reserved", func() bool { return condition(w.get(name), reserved) == "True/Reserved" })
	}
	w.delete("outside")
	w.eventually("what never was reserved goes at once", func() bool { return w.get("outside") == nil })
}

func explainsSelection(t *testing.T, c *cluster) {
	t.Helper()
	w := newWorld(t, c, oneSubnet)
	w.start(vpc.Selection{IDs: []string{"subnet-a", "subnet-x"}})
	spec := wish("10.2.0.64/26")
	spec.SubnetID = "subnet-b"
	w.create("unselected", spec)
	w.eventually("it is reported", func() bool { return condition(w.get("unselected"), reserved) == "False/SubnetNotSelected" })
	spec.SubnetID = "subnet-x"
	w.create("absent", spec)
	w.eventually("it is reported", func() bool { return condition(w.get("absent"), synced) == "False/NotFound" })
	if text := message(w.get("absent"), synced); !strings.Contains(text, "check --subnets and AWS_REGION") {
		t.Errorf("message %q, want what to do", text)
	}
}

func tellsOwnersOfNADs(t *testing.T, c *cluster) {
	t.Helper()
	w := newWorld(t, c, oneSubnet)
	if err := c.plane.CreateNamespace(t.Context(), "core", nil); err != nil {
		t.Fatal(err)
	}
	w.reserve("subnet-a", "10.1.0.160/28", nil)
	id := w.reserve("subnet-a", "10.1.0.64/26", nil)
	r := w.start(subnetA)
	w.eventually("it is mirrored", func() bool { return w.get(id) != nil })
	for name, config := range map[string]string{
		"pods":     `{"cniVersion":"1.0.0","type":"ipvlan","master":"eth1","ipam":{"type":"whereabouts","range":"10.1.0.64/24","range_start":"10.1.0.70","range_end":"10.1.0.80"}}`,
		"elsewise": `{"cniVersion":"1.0.0","type":"bridge","ipam":{"type":"host-local","subnet":"192.168.0.0/24"}}`,
	} {
		o := &nadv1.NetworkAttachmentDefinition{ObjectMeta: metav1.ObjectMeta{Namespace: "core", Name: name}}
		o.Spec.Config = config
		if err := w.admin.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.admin.Delete(context.WithoutCancel(t.Context()), o) })
	}
	w.passes(2)
	if got := w.events("core"); len(got) > 0 {
		t.Errorf("events of NADs that nothing is wrong with: %v", got)
	}
	w.unreserve(id)
	w.eventually("the owner is told", func() bool { return len(w.events("core")) == 1 })
	if got := w.events("core")[0]; !strings.HasPrefix(got, "Warning core/pods NotReserved spec.config.ipam") {
		t.Errorf("event %q", got)
	}
	if text := r.metric("multus_ipmgr_nads_broken"); !strings.Contains(text, `{name="pods",namespace="core",rule="not-reserved"} 1`) {
		t.Errorf("metric: %s", text)
	}
	// Of each metric there is a series now.
	diff, err := docs.MetricDifferences("../docs/metrics.md", "Controller", r.metric("multus_ipmgr"))
	if err != nil || diff != "" {
		t.Errorf("error %v, docs/metrics.md and the program (-page +program):\n%s", err, diff)
	}
	w.reserve("subnet-a", "10.1.0.64/27", nil)
	w.eventually("the owner learns of the end", func() bool {
		return slices.Contains(w.events("core"), "Normal core/pods ReservedAgain the addresses are reserved again")
	})
	if text := r.metric("multus_ipmgr_nads_broken"); text != "" {
		t.Errorf("metric after the end: %s", text)
	}
}

// judgesNADsOnceAllIsMirrored installs the controller in a cluster with a NAD
// whose reservation is among the last to be mirrored. What the namespace wants
// of the webhook does not keep its owners from being told.
func judgesNADsOnceAllIsMirrored(t *testing.T, c *cluster) {
	t.Helper()
	w := newWorld(t, c, many(600))
	if err := c.plane.CreateNamespace(t.Context(), "early", map[string]string{"multus-ipmgr.io/validate": "off"}); err != nil {
		t.Fatal(err)
	}
	for name, bounds := range map[string]string{"good": `"10.1.36.226","range_end":"10.1.36.230"`, "bad": `"10.1.99.1","range_end":"10.1.99.9"`} {
		o := &nadv1.NetworkAttachmentDefinition{ObjectMeta: metav1.ObjectMeta{Namespace: "early", Name: name}}
		o.Spec.Config = `{"cniVersion":"1.0.0","type":"ipvlan","master":"eth1","ipam":{"type":"whereabouts","range":"10.1.0.0/16","range_start":` + bounds + `}}`
		if err := w.admin.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.admin.Delete(context.WithoutCancel(t.Context()), o) })
	}
	r := w.start(subnetA)
	w.eventually("the owner of the bad one is told", func() bool { return len(w.events("early")) > 0 })
	if n := len(w.objects()); n != 600 {
		t.Errorf("an owner was told when %d of 600 reservations were mirrored", n)
	}
	w.passes(2)
	if got := w.events("early"); len(got) != 1 || !strings.HasPrefix(got[0], "Warning early/bad NotReserved") {
		t.Errorf("events %q, want one, of the bad NAD", got)
	}
	if text := r.metric("multus_ipmgr_nads_broken"); strings.Count(text, "\n") != 1 || !strings.Contains(text, `name="bad"`) {
		t.Errorf("metric: %s", text)
	}
}

// events returns the events of the NADs of a namespace.
func (w *world) events(namespace string) []string {
	w.t.Helper()
	var list eventsv1.EventList
	if err := w.admin.List(w.t.Context(), &list, client.InNamespace(namespace)); err != nil {
		w.t.Fatal(err)
	}
	var texts []string
	for _, e := range list.Items {
		texts = append(texts, fmt.Sprintf("%s %s/%s %s %s", e.Type, e.Regarding.Namespace, e.Regarding.Name, e.Reason, e.Note))
	}
	return texts
}
