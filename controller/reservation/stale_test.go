package reservation_test

import (
	"errors"
	"testing"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/fault"
)

func TestFiguresSaySinceWhenTheyAreOld(t *testing.T) {
	since := func(o *v1alpha1.ReservedCIDR) time.Time {
		if o.Status.StaleSince == nil {
			return time.Time{}
		}
		return o.Status.StaleSince.Time
	}
	virtually(t, "when EC2 cannot be read, from the last time that it was", func(t bubble) {
		r := newRig(t)
		r.mirrored(1)
		r.pass()
		time.Sleep(8 * time.Minute)
		r.pass() // nothing changed, so nothing is written
		read := time.Now()
		for minute := range 30 {
			time.Sleep(time.Minute)
			r.cloud.err = failure("Unavailable", fault.Transient)
			r.pass()
			old := minute+1 >= 2
			if got := since(r.get("scr-m0")); got.Equal(read) != old || !old && !got.IsZero() {
				t.Fatalf("after %d minutes: stale since %v, read at %v", minute+1, got, read)
			}
		}
		r.cloud.err = failure("UnauthorizedOperation", fault.Denied) // another reason, the same figures
		r.pass()
		if got := since(r.get("scr-m0")); !got.Equal(read) {
			t.Errorf("stale since %v, want %v still", got, read)
		}
		r.cloud.err = nil
		r.pass()
		if got := since(r.get("scr-m0")); !got.IsZero() {
			t.Errorf("read again, and still stale since %v", got)
		}
	})
	virtually(t, "when only the addresses of ENIs cannot be read", func(t bubble) {
		r := newRig(t)
		r.mirrored(1)
		r.pass()
		wrote := r.get("scr-m0").Status.LastSyncTime.Time
		for range 60 {
			time.Sleep(time.Minute)
			r.cloud.enisErr = failure("UnauthorizedOperation", fault.Denied)
			r.pass()
			if got := since(r.get("scr-m0")); !got.Equal(wrote) {
				t.Fatalf("stale since %v, want %v", got, wrote)
			}
		}
		r.cloud.enisErr = nil
		r.pass()
		if got := since(r.get("scr-m0")); !got.IsZero() {
			t.Errorf("read again, and still stale since %v", got)
		}
	})
	virtually(t, "but not where there are none", func(t bubble) {
		r := newRig(t)
		r.mirrored(1)
		r.cloud.enisErr = errors.New("never")
		r.pass()
		time.Sleep(time.Hour)
		r.pass()
		if o := r.get("scr-m0"); o.Status.StaleSince != nil || o.Status.Used != nil {
			t.Errorf("status %+v, want no figures and no date", o.Status)
		}
	})
}
