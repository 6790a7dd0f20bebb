package reservation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/fault"
)

// patience is how many intervals a subnet may go unread before its objects say
// so: an outage writes to each of them, a hiccup to none.
const patience = 2

// stale makes the objects of a subnet say that they show the last known state,
// and of when it is. Nothing else of them changes.
func (r *Reconciler) stale(ctx context.Context, subnetID string, objects []*v1alpha1.ReservedCIDR, cause error) error {
	since := r.ledger.since(subnetID)
	if cause == nil || fault.CodeOf(cause) == fault.CodeCanceled || r.Now().Sub(since) < patience*r.Interval {
		return nil
	}
	var errs []error
	for _, o := range objects {
		before := o.DeepCopy()
		outdate(o, since, cause)
		if !equality.Semantic.DeepEqual(before.Status, o.Status) {
			errs = append(errs, r.patchStatus(ctx, o, before))
		}
	}
	return errors.Join(errs...)
}

// outdate sets the condition of an object that shows the last known state. The
// message stays the same as long as the reason does: it says since when, not
// how long.
func outdate(o *v1alpha1.ReservedCIDR, since time.Time, cause error) {
	reason := reasonOf(cause)
	if fault.CodeOf(cause) == "" {
		reason = ReasonMissing // of the catalog
	}
	now := meta.FindStatusCondition(o.Status.Conditions, v1alpha1.ConditionSynced)
	if now != nil && now.Status == metav1.ConditionFalse && now.Reason == reason {
		return
	}
	if last := o.Status.LastSyncTime; last != nil && last.After(since) {
		since = last.Time // another replica read it later
	}
	what := fault.CodeOf(cause)
	if what == "" {
		what = cause.Error()
	}
	date(&o.Status, since)
	set(&o.Status, o, metav1.Condition{
		Type: v1alpha1.ConditionSynced, Status: metav1.ConditionFalse, Reason: reason,
		Message: fmt.Sprintf("not read from EC2 since %s (%s); this is the last known state", since.UTC().Format(time.RFC3339), what),
	})
}

// date says of when the figures are, if there are any and nobody has said so yet.
func date(s *v1alpha1.ReservedCIDRStatus, since time.Time) {
	if s.StaleSince == nil && s.Used != nil {
		s.StaleSince = &metav1.Time{Time: since}
	}
}
