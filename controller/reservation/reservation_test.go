package reservation_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/controller/reservation"
	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// bubble is a test whose time costs nothing.
type bubble struct{ *testing.T }

// virtually runs a test in a bubble.
func virtually(t *testing.T, name string, test func(bubble)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(bubble{t}) })
	})
}

func TestOutage(t *testing.T) {
	virtually(t, "a minute without EC2 writes to no object", func(t bubble) {
		r := newRig(t)
		r.mirrored(20)
		r.pass()
		before := len(r.written)
		clear(r.written)
		r.cloud.err = failure("RequestLimitExceeded", fault.Throttled)
		for range 6 {
			time.Sleep(10 * time.Second)
			r.pass()
		}
		r.cloud.err = nil
		r.pass()
		if len(r.written) > 0 || before != 20 {
			t.Errorf("%d objects were written, %d before", len(r.written), before)
		}
		if failed, well := r.said("subnet not synced"), r.said("subnet synced again"); failed != 1 || well != 1 {
			t.Errorf("the outage was reported %d times, its end %d times", failed, well)
		}
	})
	virtually(t, "an hour without EC2 writes once to each object, and once after", func(t bubble) {
		r := newRig(t)
		r.mirrored(20)
		r.pass()
		last := time.Now()
		clear(r.written)
		for range 60 {
			time.Sleep(time.Minute)
			r.cloud.err = failure("Unavailable", fault.Transient) // with another request id each time
			r.pass()
		}
		for name, n := range r.written {
			if n != 1 {
				t.Errorf("%s was written %d times during the outage", name, n)
			}
		}
		synced := condition(r.get("scr-m0"), v1alpha1.ConditionSynced)
		want := "not read from EC2 since " + last.UTC().Format(time.RFC3339) + " (Unavailable); this is the last known state"
		if synced.Status != metav1.ConditionFalse || synced.Reason != reservation.ReasonUnavailable || synced.Message != want {
			t.Errorf("condition %+v, want the message %q", synced, want)
		}
		if free := r.get("scr-m0").Status.Free; free == nil || *free != 252 {
			t.Errorf("free is %v, want the last known figure", free)
		}
		if age := r.gather()[`multus_ipmgr_reservation_age_seconds subnet=subnet-a`]; age != 3600 {
			t.Errorf("the age is %g s, want an hour", age)
		}
		r.cloud.err = nil
		r.pass()
		if synced := condition(r.get("scr-m0"), v1alpha1.ConditionSynced); synced.Status != metav1.ConditionTrue {
			t.Errorf("condition after the outage: %+v", synced)
		}
	})
	virtually(t, "another reason is reported, the same is not", func(t bubble) {
		r := newRig(t)
		r.pass()
		for _, code := range []string{"Unavailable", "Unavailable", "InternalError", "InternalError"} {
			r.cloud.err = failure(code, fault.Transient)
			r.pass()
		}
		if n := r.said("subnet not synced"); n != 2 {
			t.Errorf("reported %d times, want once for each code", n)
		}
	})
	virtually(t, "failures are followed by longer and longer waits", func(t bubble) {
		r := newRig(t)
		r.pass()
		var waits []time.Duration
		for range 8 {
			r.cloud.err = failure("RequestLimitExceeded", fault.Throttled)
			waits = append(waits, r.pass().RequeueAfter)
		}
		r.cloud.err = nil
		waits = append(waits, r.pass().RequeueAfter)
		seconds := func(n int) time.Duration { return time.Duration(n) * time.Second }
		want := []time.Duration{seconds(1), seconds(2), seconds(4), seconds(8), seconds(16), seconds(32), seconds(60), seconds(60), 0}
		if diff := cmp.Diff(want, waits); diff != "" {
			t.Errorf("waits (-want +got):\n%s", diff)
		}
	})
}

func TestUnchangedStatusIsConfirmedNowAndThen(t *testing.T) {
	virtually(t, "in an hour", func(t bubble) {
		r := newRig(t)
		r.mirrored(50)
		r.pass()
		clear(r.written)
		most := 0
		for range 60 {
			time.Sleep(time.Minute)
			before := total(r.written)
			r.pass()
			most = max(most, total(r.written)-before)
		}
		for name, n := range r.written {
			if n < 3 || n > 6 {
				t.Errorf("%s was confirmed %d times in an hour, want every 10 to 15 minutes", name, n)
			}
		}
		if len(r.written) != 50 || most > 30 {
			t.Errorf("%d of 50 objects were confirmed, up to %d at once", len(r.written), most)
		}
	})
}

func total(written map[string]int) int {
	sum := 0
	for _, n := range written {
		sum += n
	}
	return sum
}

func TestSettling(t *testing.T) {
	virtually(t, "a reservation that is not listed yet is not made again", func(t bubble) {
		r := newRig(t, wish("pool", "10.1.0.64/26"))
		r.pass()
		r.cloud.unlisted = true
		if wait := r.pass().RequeueAfter; wait != 30*time.Second {
			t.Errorf("the next look is after %s", wait)
		}
		if reserved := condition(r.get("pool"), v1alpha1.ConditionReserved); r.cloud.made != 1 || reserved.Status != metav1.ConditionTrue {
			t.Errorf("%d were made; condition %+v", r.cloud.made, reserved)
		}
		time.Sleep(30 * time.Second)
		r.cloud.reservations = nil // it is gone indeed
		r.cloud.unlisted = false
		r.pass()
		if r.cloud.made != 2 {
			t.Errorf("%d were made, want another one", r.cloud.made)
		}
	})
	virtually(t, "an object does not go before its reservation is seen", func(t bubble) {
		r := newRig(t, wish("pool", "10.1.0.64/26"))
		r.pass()
		if err := r.client.Delete(t.Context(), r.get("pool")); err != nil {
			t.Fatal(err)
		}
		r.cloud.unlisted = true
		r.pass()
		r.get("pool") // is still there
		r.cloud.unlisted = false
		r.pass()
		err := r.client.Get(t.Context(), client.ObjectKey{Name: "pool"}, &v1alpha1.ReservedCIDR{})
		if client.IgnoreNotFound(err) != nil || err == nil || len(r.cloud.reservations) > 0 {
			t.Errorf("get: %v; left: %v", err, r.cloud.reservations)
		}
	})
	virtually(t, "an object without reservation goes although EC2 is silent", func(t bubble) {
		r := newRig(t, wish("outside", "10.9.0.0/26"))
		r.pass()
		r.cloud.err = failure("Unavailable", fault.Transient)
		if err := r.client.Delete(t.Context(), r.get("outside")); err != nil {
			t.Fatal(err)
		}
		if err := r.client.Get(t.Context(), client.ObjectKey{Name: "outside"}, &v1alpha1.ReservedCIDR{}); err == nil {
			t.Error("it is still there")
		}
	})
}

func TestOneThatOnlyOneListLacksIsNotGone(t *testing.T) {
	virtually(t, "its mirrored object stays as it is", func(t bubble) {
		r := newRig(t)
		r.mirrored(3)
		r.pass()
		before := r.get("scr-m2")
		r.cloud.reservations = slices.Delete(r.cloud.reservations, 0, 1)
		r.cloud.gap = true
		r.pass()
		if diff := cmp.Diff(before, r.get("scr-m2")); diff != "" {
			t.Errorf("object (-before +after):\n%s", diff)
		}
		err := r.client.Get(t.Context(), client.ObjectKey{Name: "scr-m0"}, &v1alpha1.ReservedCIDR{})
		if err == nil {
			t.Error("the object of the deleted reservation is still there")
		}
	})
	virtually(t, "it is deleted with the object that it was made for", func(t bubble) {
		r := newRig(t, wish("pool", "10.1.0.64/26"))
		r.pass()
		time.Sleep(time.Minute) // nothing is settling any more
		if err := r.client.Delete(t.Context(), r.get("pool")); err != nil {
			t.Fatal(err)
		}
		r.cloud.gap = true
		r.pass()
		if len(r.cloud.reservations) > 0 {
			t.Errorf("left: %v", r.cloud.reservations)
		}
	})
	virtually(t, "also if EC2 does not list its subnet any more", func(t bubble) {
		r := newRig(t, wish("pool", "10.1.0.64/26"))
		r.pass()
		time.Sleep(time.Minute)
		if err := r.client.Delete(t.Context(), r.get("pool")); err != nil {
			t.Fatal(err)
		}
		r.cloud.subnets = map[string]vpc.Subnet{}
		r.cloud.gap = true
		r.pass()
		if len(r.cloud.reservations) > 0 {
			t.Errorf("left: %v", r.cloud.reservations)
		}
	})
}

func TestRefusals(t *testing.T) {
	other := vpc.Reservation{ID: "scr-other", SubnetID: "subnet-a", CIDR: netip.MustParsePrefix("10.1.0.64/26"), Type: "explicit"}
	restored := other
	restored.Tags = map[string]string{reservation.TagUID: "uid of an earlier object", reservation.TagName: "pool"}
	for _, c := range []struct {
		name   string
		cidr   string
		exists *vpc.Reservation
		reason string
		remedy string
	}{
		{"the range is outside of the subnet", "10.2.0.0/26", nil, reservation.ReasonOutside, "create one with a range of the subnet"},
		{"the range is larger than the subnet", "10.0.0.0/8", nil, reservation.ReasonOutside, "create one with a range of the subnet"},
		{"part of it is reserved", "10.1.0.0/24", &other, reservation.ReasonOverlap, "aws ec2 delete-subnet-cidr-reservation --subnet-cidr-reservation-id scr-other"},
		{"all of it is reserved", "10.1.0.64/26", &other, reservation.ReasonOverlap, "ReservedCIDR scr-other shows: this object is not needed"},
		{"it was restored from a backup", "10.1.0.64/26", &restored, reservation.ReasonOverlap,
			"aws ec2 create-tags --resources scr-other --tags Key=multus-ipmgr.io/reservedcidr-uid,Value=uid of pool"},
	} {
		virtually(t, c.name, func(t bubble) {
			r := newRig(t, wish("pool", c.cidr))
			if c.exists != nil {
				r.cloud.reservations = []vpc.Reservation{*c.exists}
			}
			r.pass()
			got := condition(r.get("pool"), v1alpha1.ConditionReserved)
			if got.Status != metav1.ConditionFalse || got.Reason != c.reason || !strings.Contains(got.Message, c.remedy) {
				t.Errorf("condition %+v\nwant %s with %q", got, c.reason, c.remedy)
			}
			if len(r.get("pool").Finalizers) > 0 || r.cloud.made > 0 {
				t.Error("something was made")
			}
		})
	}
}

func TestOfTwoWishesTheOlderIsGranted(t *testing.T) {
	virtually(t, "both for the same range", func(t bubble) {
		older, younger := wish("z-older", "10.1.0.64/26"), wish("a-younger", "10.1.0.0/24")
		older.CreationTimestamp = metav1.NewTime(time.Now().Add(-time.Hour))
		younger.CreationTimestamp = metav1.NewTime(time.Now())
		r := newRig(t, younger, older)
		r.pass()
		if reserved := condition(r.get("z-older"), v1alpha1.ConditionReserved); reserved.Status != metav1.ConditionTrue {
			t.Errorf("the older: %+v", reserved)
		}
		if reserved := condition(r.get("a-younger"), v1alpha1.ConditionReserved); reserved.Reason != reservation.ReasonOverlap {
			t.Errorf("the younger: %+v", reserved)
		}
	})
}

func TestWhatAnObjectLeavesOutOfItsSubnetIsFilledIn(t *testing.T) {
	virtually(t, "once its reservation is made", func(t bubble) {
		silent, outspoken := wish("silent", "10.1.0.64/26"), wish("outspoken", "10.1.1.0/26")
		outspoken.Spec.AvailabilityZone, outspoken.Spec.SubnetCIDR = "us-west-2d", "10.1.0.0/20"
		r := newRig(t, silent, outspoken, wish("refused", "10.2.0.0/26"))
		r.pass()
		r.pass()
		for name, want := range map[string][2]string{
			"silent": {"us-west-2a", "10.1.0.0/16"}, "outspoken": {"us-west-2d", "10.1.0.0/20"}, "refused": {},
		} {
			o := r.get(name)
			if got := [2]string{o.Spec.AvailabilityZone, o.Spec.SubnetCIDR}; got != want {
				t.Errorf("%s: zone and CIDR %q, want %q", name, got, want)
			}
		}
		if got := condition(r.get("silent"), v1alpha1.ConditionReserved); got.Status != metav1.ConditionTrue {
			t.Errorf("condition %+v", got)
		}
	})
}

func TestMirroredObjectsAreRestored(t *testing.T) {
	virtually(t, "after edits", func(t bubble) {
		r := newRig(t)
		r.mirrored(1)
		r.pass()
		want := r.get("scr-m0").Spec
		edited := r.get("scr-m0")
		edited.Spec.AvailabilityZone, edited.Spec.SubnetCIDR = "us-west-2d", ""
		if err := r.client.Update(t.Context(), edited); err != nil {
			t.Fatal(err)
		}
		r.pass()
		if diff := cmp.Diff(want, r.get("scr-m0").Spec); diff != "" {
			t.Errorf("spec (-want +got):\n%s", diff)
		}
	})
	virtually(t, "after one of another range took the name", func(t bubble) {
		r := newRig(t)
		r.mirrored(1)
		wrong := &v1alpha1.ReservedCIDR{ObjectMeta: metav1.ObjectMeta{Name: "scr-m0"}, Spec: v1alpha1.ReservedCIDRSpec{
			CIDR: "10.1.9.0/24", SubnetID: "subnet-a", Type: v1alpha1.Explicit, Source: v1alpha1.AWS}}
		if err := r.client.Create(t.Context(), wrong); err != nil {
			t.Fatal(err)
		}
		r.pass()
		r.pass()
		if cidr := r.get("scr-m0").Spec.CIDR; cidr != "10.1.0.0/24" {
			t.Errorf("the object shows %s", cidr)
		}
	})
}

func TestPollFindsDueWhatIsSelectedAndWhatIsLeft(t *testing.T) {
	virtually(t, "objects of a subnet that is not selected any more", func(t bubble) {
		left := &v1alpha1.ReservedCIDR{ObjectMeta: metav1.ObjectMeta{Name: "scr-left"}, Spec: v1alpha1.ReservedCIDRSpec{
			CIDR: "10.9.0.0/24", SubnetID: "subnet-old", Source: v1alpha1.AWS}}
		manual := &v1alpha1.ReservedCIDR{ObjectMeta: metav1.ObjectMeta{Name: "by-hand"}, Spec: v1alpha1.ReservedCIDRSpec{
			CIDR: "10.8.0.0/24", SubnetID: "subnet-other", Source: v1alpha1.Manual}}
		r := newRig(t, left, manual)
		if diff := cmp.Diff([]string{"subnet-a", "subnet-old"}, r.look()); diff != "" {
			t.Errorf("due (-want +got):\n%s", diff)
		}
		if _, err := r.Reconcile(t.Context(), "subnet-old"); err != nil {
			t.Fatal(err)
		}
		if err := r.client.Get(t.Context(), client.ObjectKey{Name: "scr-left"}, &v1alpha1.ReservedCIDR{}); client.IgnoreNotFound(err) != nil || err == nil {
			t.Errorf("what is left: %v, want it gone", err)
		}
		r.get("by-hand")
	})
	virtually(t, "at every interval, give or take a tenth", func(t bubble) {
		r := newRig(t)
		q := workqueue.NewTyped[string]()
		defer q.ShutDown()
		ctx, cancel := context.WithCancel(t.Context())
		go r.Poll(ctx, q)
		var at []time.Time
		for range 5 {
			id, _ := q.Get()
			at = append(at, time.Now())
			q.Done(id)
		}
		cancel()
		for i := range at[1:] {
			if wait := at[i+1].Sub(at[i]); wait < 54*time.Second || wait > 66*time.Second {
				t.Errorf("wait of %s, want a minute, give or take a tenth", wait)
			}
		}
	})
}

func TestMetrics(t *testing.T) {
	virtually(t, "of two reservations", func(t bubble) {
		r := newRig(t)
		r.cloud.enis = []vpc.ENI{{ID: "eni-1", Instance: "i-1", Addresses: []netip.Prefix{
			netip.MustParsePrefix("10.1.1.70/32"), netip.MustParsePrefix("10.1.1.71/32"), netip.MustParsePrefix("2600:1f13:0:1::5/128"),
		}, Prefixes: []netip.Prefix{netip.MustParsePrefix("10.1.1.80/28")}}}
		r.mirrored(2)
		r.pass()
		time.Sleep(time.Minute)
		want := map[string]float64{
			"multus_ipmgr_reservation_age_seconds subnet=subnet-a":                                      60,
			"multus_ipmgr_reservations subnet=subnet-a type=explicit":                                   2,
			"multus_ipmgr_reservations subnet=subnet-a type=prefix":                                     0,
			"multus_ipmgr_reserved_addresses cidr=10.1.0.0/24 state=free subnet=subnet-a type=explicit": 252,
			"multus_ipmgr_reserved_addresses cidr=10.1.0.0/24 state=used subnet=subnet-a type=explicit": 0,
			"multus_ipmgr_reserved_addresses cidr=10.1.1.0/24 state=free subnet=subnet-a type=explicit": 238,
			"multus_ipmgr_reserved_addresses cidr=10.1.1.0/24 state=used subnet=subnet-a type=explicit": 18,
			"multus_ipmgr_eni_addresses eni=eni-1 family=ipv4 instance=i-1 subnet=subnet-a":             2,
			"multus_ipmgr_eni_addresses eni=eni-1 family=ipv6 instance=i-1 subnet=subnet-a":             1,
		}
		if diff := cmp.Diff(want, r.gather()); diff != "" {
			t.Errorf("metrics (-want +got):\n%s", diff)
		}
	})
}

func TestMirroredOnceAllSelectedSubnetsAre(t *testing.T) {
	mirrored := func(r *rig) bool {
		select {
		case <-r.Mirrored():
			return true
		default:
			return false
		}
	}
	virtually(t, "not while EC2 cannot be read", func(t bubble) {
		r := newRig(t)
		r.mirrored(2)
		r.cloud.err = failure("UnauthorizedOperation", fault.Denied)
		r.pass()
		if mirrored(r) {
			t.Error("mirrored without having been read")
		}
		r.cloud.err = nil
		r.pass()
		r.pass()
		if !mirrored(r) {
			t.Error("not mirrored after a pass")
		}
	})
	virtually(t, "not while a reservation has no object", func(t bubble) {
		other := wish("scr-m0", "10.9.0.0/24")
		other.Spec.Create = false // written by hand, under the name of a reservation
		r := newRig(t, other)
		r.mirrored(2)
		r.pass()
		if mirrored(r) {
			t.Error("mirrored although scr-m0 is not")
		}
		if err := r.client.Delete(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		r.pass()
		if !mirrored(r) {
			t.Error("not mirrored after scr-m0 is")
		}
	})
	virtually(t, "not before the second subnet", func(t bubble) {
		r := newRig(t)
		second := r.cloud.subnets["subnet-a"]
		second.ID = "subnet-b"
		r.cloud.subnets["subnet-b"] = second
		r.pass()
		if mirrored(r) {
			t.Error("mirrored although subnet-b is not")
		}
		if _, err := r.Reconcile(t.Context(), "subnet-b"); err != nil {
			t.Fatal(err)
		}
		if !mirrored(r) {
			t.Error("not mirrored after both are")
		}
	})
	virtually(t, "without waiting for a subnet that does not exist", func(t bubble) {
		r := newRig(t)
		clear(r.cloud.subnets)
		r.pass()
		if !mirrored(r) {
			t.Error("waiting for a subnet that does not exist")
		}
	})
}
