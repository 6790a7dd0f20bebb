package reservation

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// Reasons of conditions.
const (
	ReasonSynced      = "Synced"            // the object shows what EC2 has
	ReasonReserved    = "Reserved"          // the reservation exists
	ReasonOverlap     = "Overlap"           // another reservation is in the way
	ReasonOutside     = "OutsideSubnet"     // the range is not in the subnet
	ReasonNotSelected = "SubnetNotSelected" // the controller does not manage the subnet
	ReasonMissing     = "NotFound"          // the subnet does not exist
	ReasonDenied      = "Denied"            // IAM says no
	ReasonThrottled   = "Throttled"         // EC2 asks for fewer calls
	ReasonUnavailable = "Unavailable"       // EC2 does not answer
	ReasonRefused     = "Refused"           // EC2 says no
	ReasonDeleted     = "Deleted"           // with its object
)

// refusal says why there is no reservation, or why it cannot be deleted.
type refusal struct{ reason, message string }

func (f refusal) show(s *v1alpha1.ReservedCIDRStatus, o *v1alpha1.ReservedCIDR) {
	status := metav1.ConditionTrue // it should be deleted but is not
	if o.DeletionTimestamp.IsZero() {
		status = metav1.ConditionFalse
		s.ReservationID, s.Used, s.Free, s.StaleSince = "", nil, nil, nil
		meta.RemoveStatusCondition(&s.Conditions, v1alpha1.ConditionSynced)
	}
	set(s, o, metav1.Condition{Type: v1alpha1.ConditionReserved, Status: status, Reason: f.reason, Message: f.message})
}

// refusalOf describes an error of EC2 and its remedy.
func refusalOf(err error, permission string) refusal {
	reason, message := reasonOf(err), "EC2 says: "+vpc.Message(err)
	switch {
	case isOfClock(err): // the message says what to do
	case reason == ReasonDenied:
		message += fmt.Sprintf("; allow the controller's role %s (config/iam/controller.json)", permission)
	case reason == ReasonThrottled || reason == ReasonUnavailable:
		message += "; it will be retried"
	}
	return refusal{reason, message}
}

func reasonOf(err error) string {
	switch fault.MeaningOf(err) {
	case fault.Throttled:
		return ReasonThrottled
	case fault.Transient, fault.Expired:
		return ReasonUnavailable
	case fault.Denied, fault.Unsigned:
		return ReasonDenied
	case fault.Missing:
		return ReasonMissing
	case fault.Done, fault.Refused, fault.Full, fault.Invalid, fault.Unknown:
	}
	return ReasonRefused
}

// isOfClock reports whether the worker's clock may be why EC2 refused.
func isOfClock(err error) bool {
	f, ok := errors.AsType[*fault.Error](err)
	return ok && f.Skew != 0
}

// troubleOf names an error so that the same trouble has the same name: the
// texts of errors hold ids of requests.
func troubleOf(err error) string {
	switch {
	case err == nil:
		return ""
	case fault.CodeOf(err) != "":
		return fault.CodeOf(err)
	default:
		return err.Error()
	}
}

func set(s *v1alpha1.ReservedCIDRStatus, o *v1alpha1.ReservedCIDR, c metav1.Condition) {
	c.ObservedGeneration = o.Generation
	meta.SetStatusCondition(&s.Conditions, c)
	s.ObservedGeneration = o.Generation
}

// showSync writes what a complete view says of the range of o. Without the
// addresses that ENIs hold, the last known figures stay.
func showSync(s *v1alpha1.ReservedCIDRStatus, o *v1alpha1.ReservedCIDR, view *snapshot) {
	if view.enisErr != nil {
		if s.LastSyncTime != nil { // the figures were right then, or later
			date(s, s.LastSyncTime.Time)
		}
		set(s, o, metav1.Condition{
			Type: v1alpha1.ConditionSynced, Status: metav1.ConditionFalse, Reason: reasonOf(view.enisErr),
			Message: "the reservation is as EC2 has it, but used and free are the last known figures: " + vpc.Message(view.enisErr),
		})
		return
	}
	if cidr, err := netip.ParsePrefix(o.Spec.CIDR); err == nil {
		count := view.count(cidr)
		s.Used, s.Free, s.StaleSince = &count.Used, &count.Free, nil
	}
	set(s, o, metav1.Condition{
		Type: v1alpha1.ConditionSynced, Status: metav1.ConditionTrue, Reason: ReasonSynced, Message: "the object shows what EC2 has",
	})
}

// writeStatus writes the status of o if it has changed or was last confirmed long
// ago.
func (r *Reconciler) writeStatus(ctx context.Context, o *v1alpha1.ReservedCIDR, at time.Time, change func(*v1alpha1.ReservedCIDRStatus)) error {
	before := o.DeepCopy()
	change(&o.Status)
	if equality.Semantic.DeepEqual(before.Status, o.Status) && confirmed(o, at) {
		return nil
	}
	o.Status.LastSyncTime = &metav1.Time{Time: at}
	return r.patchStatus(ctx, o, before)
}

func (r *Reconciler) patchStatus(ctx context.Context, o, before *v1alpha1.ReservedCIDR) error {
	err := r.Client.Status().Patch(ctx, o, client.MergeFrom(before))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("writing the status of ReservedCIDR %s: %w", o.Name, err)
	}
	return nil
}

// confirmed reports whether the status of o is young enough to be left alone:
// 10 to 15 minutes, depending on the object, so that not all are written in one
// pass.
func confirmed(o *v1alpha1.ReservedCIDR, now time.Time) bool {
	if o.Status.LastSyncTime == nil {
		return false
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(o.UID)) // fnv never fails
	spread := time.Duration(h.Sum32()%300) * time.Second
	return now.Sub(o.Status.LastSyncTime.Time) < 10*time.Minute+spread
}
