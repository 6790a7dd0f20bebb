package reservation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// tally counts what a pass did to mirrored objects.
type tally struct{ created, changed, deleted int }

// mirror makes the mirrored objects of a subnet show its reservations. One that
// fails does not keep the others from it.
func (r *Reconciler) mirror(ctx context.Context, view *snapshot, objects []*v1alpha1.ReservedCIDR) error {
	claimed := map[string]bool{} // by tag
	extra := map[string]*v1alpha1.ReservedCIDR{}
	for _, o := range objects {
		if isClaim(o) {
			claimed[string(o.UID)] = true
		} else {
			extra[o.Name] = o
		}
	}
	var done tally
	var errs []error
	for _, reservation := range view.reservations {
		if claimed[reservation.Tags[TagUID]] {
			continue
		}
		o := extra[reservation.ID]
		delete(extra, reservation.ID)
		errs = append(errs, r.show(ctx, view, reservation, o, &done))
	}
	for _, o := range extra {
		errs = append(errs, r.remove(ctx, o, &done))
	}
	if done != (tally{}) {
		r.Log.LogAttrs(ctx, slog.LevelInfo, "reservations mirrored", slog.String(keySubnet, view.subnet.ID),
			slog.Int(keyCreated, done.created), slog.Int(keyChanged, done.changed), slog.Int(keyDeleted, done.deleted))
	}
	return errors.Join(errs...)
}

// show makes o, which may be nil, show a reservation.
func (r *Reconciler) show(ctx context.Context, view *snapshot, reservation vpc.Reservation, o *v1alpha1.ReservedCIDR, done *tally) error {
	want := specOf(reservation, view.subnet)
	switch {
	case o == nil:
		o = &v1alpha1.ReservedCIDR{ObjectMeta: metav1.ObjectMeta{Name: reservation.ID}, Spec: want}
		if err := r.Client.Create(ctx, o); err != nil {
			return r.occupied(ctx, o, err)
		}
		done.created++
	case !o.DeletionTimestamp.IsZero():
		return nil // the next pass makes another
	case o.Spec.CIDR != want.CIDR || o.Spec.Type != want.Type:
		return r.remove(ctx, o, done) // immutable; the next pass makes another
	case o.Spec != want:
		before := o.DeepCopy()
		o.Spec = want
		if err := r.Client.Patch(ctx, o, client.MergeFrom(before)); err != nil {
			return client.IgnoreNotFound(err)
		}
		done.changed++
	}
	return r.writeStatus(ctx, o, view.at, func(s *v1alpha1.ReservedCIDRStatus) {
		s.ReservationID = reservation.ID
		showSync(s, o, view)
	})
}

func specOf(reservation vpc.Reservation, subnet vpc.Subnet) v1alpha1.ReservedCIDRSpec {
	spec := v1alpha1.ReservedCIDRSpec{
		CIDR: reservation.CIDR.String(), Type: v1alpha1.ReservationType(reservation.Type), Source: v1alpha1.AWS,
		SubnetID: subnet.ID, AvailabilityZone: subnet.Zone,
	}
	if block, ok := subnet.Around(reservation.CIDR); ok {
		spec.SubnetCIDR = block.String()
	}
	return spec
}

// occupied looks at why an object could not be created. That it is the
// controller's already only means that the cache is late.
func (r *Reconciler) occupied(ctx context.Context, o *v1alpha1.ReservedCIDR, err error) error {
	if !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating ReservedCIDR %s: %w", o.Name, err)
	}
	var other v1alpha1.ReservedCIDR
	if err := r.Client.Get(ctx, client.ObjectKeyFromObject(o), &other); err != nil {
		return client.IgnoreNotFound(err)
	}
	if isMirror(&other) {
		return nil
	}
	return fmt.Errorf("reservation %s cannot be mirrored: a ReservedCIDR of this name has source %s, which the controller does not touch: give that object another name", o.Name, other.Spec.Source)
}

// remove deletes an object if it is still the one that was looked at.
func (r *Reconciler) remove(ctx context.Context, o *v1alpha1.ReservedCIDR, done *tally) error {
	err := r.Client.Delete(ctx, o, client.Preconditions{UID: &o.UID})
	switch {
	case apierrors.IsNotFound(err) || apierrors.IsConflict(err):
		return nil
	case err != nil:
		return fmt.Errorf("deleting ReservedCIDR %s: %w", o.Name, err)
	}
	done.deleted++
	return nil
}

// retire is a pass over a subnet that is not selected: its mirrored objects go,
// and objects with create get its status.
func (r *Reconciler) retire(ctx context.Context, subnet vpc.Subnet, objects []*v1alpha1.ReservedCIDR) error {
	var done tally
	errs := []error{r.finalizeAll(ctx, subnet, objects)}
	for _, o := range objects {
		switch {
		case !isClaim(o):
			errs = append(errs, r.remove(ctx, o, &done))
		case o.DeletionTimestamp.IsZero():
			errs = append(errs, r.writeStatus(ctx, o, r.Now(), func(s *v1alpha1.ReservedCIDRStatus) {
				refusal{ReasonNotSelected, fmt.Sprintf("the controller does not look after subnet %s: name it in --subnets, or give it the tag of --subnet-tag", subnet.ID)}.show(s, o)
			}))
		}
	}
	if done.deleted > 0 {
		r.Log.LogAttrs(ctx, slog.LevelInfo, "subnet not selected any more", slog.String(keySubnet, subnet.ID), slog.Int(keyDeleted, done.deleted))
	}
	return errors.Join(errs...)
}
