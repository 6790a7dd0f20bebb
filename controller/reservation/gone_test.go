package reservation_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/controller/reservation"
	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// tagged is a rig that selects by tag: subnet-a and subnet-b have it.
func tagged(t bubble, objects ...client.Object) *rig {
	r := newRig(t, objects...)
	r.Selection = vpc.Selection{TagKey: "multus", TagValue: "yes"}
	r.restart()
	r.cloud.subnets["subnet-b"] = vpc.Subnet{ID: "subnet-b", Zone: "us-west-2a", CIDRs: []netip.Prefix{netip.MustParsePrefix("10.2.0.0/16")}}
	return r
}

// restart is another replica that takes over: it knows the objects only.
func (r *rig) restart() { r.Reconciler = reservation.New(r.Options) }

func (r *rig) exists(name string) bool {
	r.t.Helper()
	err := r.client.Get(r.t.Context(), client.ObjectKey{Name: name}, &v1alpha1.ReservedCIDR{})
	if client.IgnoreNotFound(err) != nil {
		r.t.Fatal(err)
	}
	return err == nil
}

func TestASubnetThatOneListLacksIsNotGone(t *testing.T) {
	// Each list has (true) or lacks (false) subnet-a; restart comes before the
	// list of that number.
	for _, c := range []struct {
		name    string
		lists   []bool
		restart int
		gone    int // the list after which its objects are gone, 0 if never
	}{
		{name: "one list lacks it", lists: []bool{true, false, true, true}},
		{name: "every other list lacks it", lists: []bool{true, false, true, false, true, false}},
		{name: "two in a row lack it: its tag is gone", lists: []bool{true, false, false}, gone: 3},
		{name: "the first list of another replica lacks it", lists: []bool{true, false, true}, restart: 2},
		{name: "the first two of another replica lack it", lists: []bool{true, false, false}, restart: 2, gone: 3},
		{name: "the last list of one replica and the first of another lack it", lists: []bool{true, false, false, true}, restart: 3},
		{name: "it comes back and goes for good", lists: []bool{true, false, true, false, false}, gone: 5},
	} {
		virtually(t, c.name, func(t bubble) {
			r := tagged(t)
			r.mirrored(3)
			subnet := r.cloud.subnets["subnet-a"]
			for i, listed := range c.lists {
				delete(r.cloud.subnets, "subnet-a")
				if listed {
					r.cloud.subnets["subnet-a"] = subnet
				}
				if c.restart == i+1 {
					r.restart()
				}
				r.pass()
				r.pass0() // a change of an object makes a pass without a look
				for _, name := range []string{"scr-m0", "scr-m1", "scr-m2"} {
					if want := c.gone == 0 || i+1 < c.gone; r.exists(name) != want {
						t.Fatalf("after list %d: %s exists: %t, want %t", i+1, name, !want, want)
					}
				}
				time.Sleep(time.Minute)
			}
		})
	}
}

// pass0 makes a pass without looking at EC2's subnets before.
func (r *rig) pass0() {
	r.t.Helper()
	if _, err := r.Reconcile(r.t.Context(), "subnet-a"); err != nil {
		r.t.Fatal(err)
	}
}

func TestAFailureBetweenTwoListsProvesNothing(t *testing.T) {
	virtually(t, "a list that lacks the subnet, an error, and one that has it", func(t bubble) {
		r := tagged(t)
		r.mirrored(1)
		r.pass()
		subnet := r.cloud.subnets["subnet-a"]
		delete(r.cloud.subnets, "subnet-a")
		r.pass()
		for range 3 {
			r.cloud.err = failure("RequestLimitExceeded", fault.Throttled)
			r.pass()
		}
		r.cloud.err = nil
		r.cloud.subnets["subnet-a"] = subnet
		r.pass()
		if !r.exists("scr-m0") {
			t.Error("the object is gone")
		}
	})
}

func TestAListAfterAFailedChangeIsNotAllThereIs(t *testing.T) {
	virtually(t, "what it lacks stays mirrored", func(t bubble) {
		r := newRig(t)
		r.mirrored(3)
		r.pass()
		before := r.get("scr-m2")
		if err := r.client.Create(t.Context(), wish("pool", "10.1.9.0/26")); err != nil {
			t.Fatal(err)
		}
		r.cloud.refuse = failure("InternalError", fault.Transient)
		r.cloud.gap = true // in the list that looks whether the change took effect
		r.cloud.gapAfter = 1
		r.pass()
		if !r.exists("scr-m2") {
			t.Fatal("the object that the list lacks is gone")
		}
		if diff := cmp.Diff(before, r.get("scr-m2")); diff != "" {
			t.Errorf("object (-before +after):\n%s", diff)
		}
	})
}

func TestOneAnswerThatASubnetIsGoneLeavesNoReservationBehind(t *testing.T) {
	virtually(t, "its object goes when EC2 says so twice, or with its reservation", func(t bubble) {
		r := newRig(t, wish("pool", "10.1.0.64/26"))
		r.pass()
		time.Sleep(time.Minute)
		if err := r.client.Delete(t.Context(), r.get("pool")); err != nil {
			t.Fatal(err)
		}
		clear(r.cloud.subnets)
		r.look()
		r.look() // the subnet counts as missing now
		r.cloud.once = failure("InvalidSubnetID.NotFound", fault.Missing)
		r.pass0()
		if r.exists("pool") || len(r.cloud.reservations) > 0 {
			t.Errorf("the object exists: %t; left in EC2: %v", r.exists("pool"), r.cloud.reservations)
		}
	})
}

func TestOneAnswerThatAReservationIsGoneLeavesNoneBehind(t *testing.T) {
	for _, c := range []struct {
		name   string
		deaf   int  // releases to which EC2 says that there is no such reservation
		list   bool // the list after the release fails
		passes int  // until the object is gone
	}{
		{name: "EC2 deletes it", passes: 1},
		{name: "EC2 does not find it once", deaf: 1, passes: 2},
		{name: "EC2 does not find it three times", deaf: 3, passes: 4},
		{name: "nobody can say whether it is gone", list: true, passes: 2},
	} {
		virtually(t, c.name, func(t bubble) {
			r := newRig(t, wish("pool", "10.1.0.64/26"))
			r.pass()
			time.Sleep(time.Minute)
			if err := r.client.Delete(t.Context(), r.get("pool")); err != nil {
				t.Fatal(err)
			}
			r.cloud.deaf = c.deaf
			for pass := 1; ; pass++ {
				if c.list && pass == 1 {
					r.cloud.failAfter(1, failure("Unavailable", fault.Transient))
				}
				again := r.pass().RequeueAfter
				if !r.exists("pool") {
					if pass != c.passes || len(r.cloud.reservations) > 0 {
						t.Errorf("the object is gone after pass %d, want %d; left in EC2: %v", pass, c.passes, r.cloud.reservations)
					}
					return
				}
				if pass == c.passes || again == 0 {
					t.Fatalf("the object exists after pass %d, want it gone after %d; the next one is in %s", pass, c.passes, again)
				}
				if got := condition(r.get("pool"), v1alpha1.ConditionReserved); got.Reason == reservation.ReasonDeleted {
					t.Errorf("pass %d says that the reservation is deleted", pass)
				}
				time.Sleep(again)
			}
		})
	}
}

func TestAWishInASubnetThatNoListHasYetWaits(t *testing.T) {
	virtually(t, "for two lists before it is reported", func(t bubble) {
		o := &v1alpha1.ReservedCIDR{
			ObjectMeta: metav1.ObjectMeta{Name: "pool", UID: types.UID("uid of pool")},
			Spec: v1alpha1.ReservedCIDRSpec{CIDR: "10.9.0.0/26", SubnetID: "subnet-x", Type: v1alpha1.Explicit,
				Source: v1alpha1.Manual, Create: true},
		}
		r := tagged(t, o)
		for i, want := range []string{"", reservation.ReasonNotSelected} {
			r.look()
			if _, err := r.Reconcile(t.Context(), "subnet-x"); err != nil {
				t.Fatal(err)
			}
			if got := condition(r.get("pool"), v1alpha1.ConditionReserved).Reason; got != want {
				t.Errorf("after list %d: reason %q, want %q", i+1, got, want)
			}
		}
	})
}
