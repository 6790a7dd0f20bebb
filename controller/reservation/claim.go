package reservation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// claims makes the reservations that objects ask for, and deletes those of
// objects that are being deleted.
func (r *Reconciler) claims(ctx context.Context, view *snapshot, objects []*v1alpha1.ReservedCIDR) error {
	var errs []error
	for _, o := range objects {
		switch {
		case !isClaim(o):
		case !o.DeletionTimestamp.IsZero():
			errs = append(errs, r.finalize(ctx, view, o))
		default:
			errs = append(errs, r.claim(ctx, view, o))
		}
	}
	return errors.Join(errs...)
}

// claim makes sure that the reservation of o exists. It is recognised by its
// tag, which EC2 sets in the same step: a controller that ends between making
// it and writing that down finds it again.
func (r *Reconciler) claim(ctx context.Context, view *snapshot, o *v1alpha1.ReservedCIDR) error {
	made, found := view.madeFor(o)
	if !found && r.settling(o) {
		return errSettling
	}
	if !found {
		var refused refusal
		var err error
		if made, refused, err = r.make(ctx, view, o); refused.reason != "" {
			return errors.Join(err, r.writeStatus(ctx, o, view.at, func(s *v1alpha1.ReservedCIDRStatus) { refused.show(s, o) }))
		}
	}
	if err := errors.Join(r.hold(ctx, o), r.place(ctx, view, made.CIDR, o)); err != nil {
		return err
	}
	return r.writeStatus(ctx, o, view.at, func(s *v1alpha1.ReservedCIDRStatus) {
		s.ReservationID = made.ID
		set(s, o, metav1.Condition{
			Type: v1alpha1.ConditionReserved, Status: metav1.ConditionTrue, Reason: ReasonReserved,
			Message: "EC2 holds the reservation " + made.ID,
		})
		showSync(s, o, view)
	})
}

// make makes the reservation of o and adds it to the view. Without one comes
// the reason, and an error if trying again may help.
func (r *Reconciler) make(ctx context.Context, view *snapshot, o *v1alpha1.ReservedCIDR) (made vpc.Reservation, refused refusal, err error) {
	cidr, refused := view.refuse(o)
	if refused.reason != "" {
		return made, refused, nil
	}
	// The finalizer comes first, or a crash would leave a reservation behind
	// that nobody deletes.
	if err := r.hold(ctx, o); err != nil {
		return made, refusal{ReasonUnavailable, "the finalizer cannot be set"}, err
	}
	made, err = r.Cloud.Reserve(ctx, vpc.Request{
		SubnetID: view.subnet.ID, CIDR: cidr, Description: "made by multus-ipmgr for a ReservedCIDR",
		Tags: map[string]string{TagUID: string(o.UID), TagName: o.Name},
	})
	if err != nil {
		return r.afterFailure(ctx, view, o, err)
	}
	view.add([]vpc.Reservation{made})
	r.Log.LogAttrs(ctx, slog.LevelInfo, "range reserved", slog.String(keyName, o.Name), slog.String(keyCIDR, o.Spec.CIDR),
		slog.String(keySubnet, view.subnet.ID), slog.String(keyReservation, made.ID))
	return made, refusal{}, nil
}

// afterFailure looks whether a call that failed took effect after all: its
// answer may have been lost, and the second attempt then overlaps the first.
func (r *Reconciler) afterFailure(ctx context.Context, view *snapshot, o *v1alpha1.ReservedCIDR, failure error) (made vpc.Reservation, refused refusal, err error) {
	refused = refusalOf(failure, "ec2:CreateSubnetCidrReservation")
	reservations, err := r.Cloud.Reservations(ctx, view.subnet.ID)
	if err != nil {
		return made, refused, errors.Join(failure, err)
	}
	view.add(reservations)
	if made, found := view.madeFor(o); found {
		return made, refusal{}, nil
	}
	return made, refused, failure
}

// place fills in what o leaves out of its subnet: networks are checked against
// it, and pods are kept in its zone. What the owner wrote stays.
func (r *Reconciler) place(ctx context.Context, view *snapshot, cidr netip.Prefix, o *v1alpha1.ReservedCIDR) error {
	before := o.DeepCopy()
	if block, inside := view.subnet.Around(cidr); inside && o.Spec.SubnetCIDR == "" {
		o.Spec.SubnetCIDR = block.String()
	}
	if o.Spec.AvailabilityZone == "" {
		o.Spec.AvailabilityZone = view.subnet.Zone
	}
	if o.Spec == before.Spec {
		return nil
	}
	if err := r.Client.Patch(ctx, o, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("writing the subnet's zone and CIDR to ReservedCIDR %s: %w", o.Name, err)
	}
	return nil
}

// hold sets the finalizer.
func (r *Reconciler) hold(ctx context.Context, o *v1alpha1.ReservedCIDR) error {
	before := o.DeepCopy()
	if !controllerutil.AddFinalizer(o, Finalizer) {
		return nil
	}
	// The lock refuses to overwrite finalizers of others, and to revive an
	// object that the cache still shows.
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, o, patch); err != nil {
		return fmt.Errorf("setting the finalizer of ReservedCIDR %s: %w", o.Name, err)
	}
	return nil
}

// finalizeAll finalizes the objects of a subnet that is not to be mirrored. It
// asks EC2 only if there are any.
func (r *Reconciler) finalizeAll(ctx context.Context, subnet vpc.Subnet, objects []*v1alpha1.ReservedCIDR) error {
	var errs []error
	var view *snapshot
	for _, o := range objects {
		if !isClaim(o) || o.DeletionTimestamp.IsZero() {
			continue
		}
		if view == nil {
			reservations, err := r.reservations(ctx, subnet.ID, objects)
			if fault.MeaningOf(err) == fault.Missing { // one answer may be wrong, and would leave a reservation behind
				reservations, err = r.reservations(ctx, subnet.ID, objects)
			}
			if err != nil && fault.MeaningOf(err) != fault.Missing { // they went with the subnet
				return err
			}
			view = &snapshot{subnet: subnet, reservations: reservations, at: r.Now()}
		}
		errs = append(errs, r.finalize(ctx, view, o))
	}
	return errors.Join(errs...)
}

// finalize deletes the reservation that was made for o and lets o go.
func (r *Reconciler) finalize(ctx context.Context, view *snapshot, o *v1alpha1.ReservedCIDR) error {
	made, found := view.madeFor(o)
	if !found && r.settling(o) {
		return errSettling
	}
	if found {
		if err := r.release(ctx, view, o, made); err != nil {
			return err
		}
	}
	before := o.DeepCopy()
	if !controllerutil.RemoveFinalizer(o, Finalizer) {
		return nil
	}
	if err := r.Client.Patch(ctx, o, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return client.IgnoreNotFound(err)
	}
	return nil
}

// release deletes the reservation of o. EC2's answer alone is not believed, as it
// may say that there is no such reservation when it only does not find it: the
// list must lack it, too. That it is gone is written down before the finalizer
// goes: if that fails, the next pass need not wonder.
func (r *Reconciler) release(ctx context.Context, view *snapshot, o *v1alpha1.ReservedCIDR, made vpc.Reservation) error {
	if err := r.Cloud.Release(ctx, made.ID); err != nil {
		refused := refusalOf(err, "ec2:DeleteSubnetCidrReservation")
		return errors.Join(err, r.writeStatus(ctx, o, view.at, func(s *v1alpha1.ReservedCIDRStatus) { refused.show(s, o) }))
	}
	listed, err := r.Cloud.Reservations(ctx, view.subnet.ID)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(listed, func(other vpc.Reservation) bool { return other.ID == made.ID }) {
		return errListed
	}
	view.forget(made.ID)
	r.Log.LogAttrs(ctx, slog.LevelInfo, "reservation deleted", slog.String(keyName, o.Name), slog.String(keyCIDR, o.Spec.CIDR),
		slog.String(keySubnet, view.subnet.ID), slog.String(keyReservation, made.ID))
	return r.writeStatus(ctx, o, view.at, func(s *v1alpha1.ReservedCIDRStatus) {
		set(s, o, metav1.Condition{
			Type: v1alpha1.ConditionReserved, Status: metav1.ConditionFalse, Reason: ReasonDeleted,
			Message: "the reservation " + made.ID + " is deleted",
		})
	})
}

// settling reports whether EC2 said a moment ago that it made the reservation
// of o: then it may merely not list it yet.
func (r *Reconciler) settling(o *v1alpha1.ReservedCIDR) bool {
	reserved := meta.FindStatusCondition(o.Status.Conditions, v1alpha1.ConditionReserved)
	return reserved != nil && reserved.Status == metav1.ConditionTrue && r.Now().Sub(reserved.LastTransitionTime.Time) < r.Settle
}
