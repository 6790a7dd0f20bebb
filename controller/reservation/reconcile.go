package reservation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// IndexSubnet is the field by which the cache finds the objects of a subnet.
const IndexSubnet = "spec.subnetID"

// passTimeout bounds one pass over a subnet.
const passTimeout = 5 * time.Minute

// Reconcile makes objects and reservations of one subnet the same.
func (r *Reconciler) Reconcile(ctx context.Context, subnetID string) (reconcile.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	objects, err := r.objects(ctx, subnetID)
	if err == nil {
		err = r.pass(ctx, subnetID, objects)
	}
	return r.finish(ctx, subnetID, err), nil
}

func (r *Reconciler) pass(ctx context.Context, subnetID string, objects []*v1alpha1.ReservedCIDR) error {
	subnet, standing, err := r.catalog.find(subnetID)
	if standing == dropped {
		r.ledger.forget(subnetID)
		return r.retire(ctx, subnet, objects)
	}
	r.ledger.expect(subnetID)
	switch standing {
	case selected:
		return r.sync(ctx, subnet, objects)
	case missing:
		r.first.done(subnetID, r.catalog.ids())
		return errors.Join(err, r.stale(ctx, subnetID, objects, err), r.finalizeAll(ctx, subnet, objects))
	case unknown, dropped:
	}
	return r.stale(ctx, subnetID, objects, err)
}

// errSettling means that EC2 may not list yet what was just made.
var errSettling = errors.New("waiting until EC2 lists what was just reserved")

// errListed means that EC2 may still list what it has just deleted, or that it
// has not deleted it.
var errListed = errors.New("waiting until EC2 does not list what was just deleted")

// finish reports what changed and says when to look again: soon after a
// failure, and otherwise when Poll says so.
func (r *Reconciler) finish(ctx context.Context, subnetID string, err error) reconcile.Result {
	if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return reconcile.Result{} // the lease is gone, or the program ends
	}
	if errors.Is(err, errSettling) || errors.Is(err, errListed) {
		return reconcile.Result{RequeueAfter: r.Settle}
	}
	switch changed := r.ledger.outcome(subnetID, troubleOf(err)); {
	case changed && err != nil:
		r.Log.LogAttrs(ctx, slog.LevelError, "subnet not synced", slog.String(keySubnet, subnetID), slog.Any(keyError, err))
	case changed:
		r.Log.LogAttrs(ctx, slog.LevelInfo, "subnet synced again", slog.String(keySubnet, subnetID))
	}
	if err == nil {
		r.Limiter.Forget(subnetID)
		return reconcile.Result{}
	}
	return reconcile.Result{RequeueAfter: r.Limiter.When(subnetID)} // an error would be logged each time
}

// sync is a pass over a subnet that is to be mirrored.
func (r *Reconciler) sync(ctx context.Context, subnet vpc.Subnet, objects []*v1alpha1.ReservedCIDR) error {
	view, err := r.read(ctx, subnet, objects)
	if err != nil {
		return errors.Join(err, r.stale(ctx, subnet.ID, objects, err))
	}
	claimed := r.claims(ctx, view, objects)
	mirrored := r.mirror(ctx, view, objects)
	r.ledger.synced(view)
	if mirrored == nil {
		r.first.done(subnet.ID, r.catalog.ids())
	}
	return errors.Join(claimed, mirrored, view.enisErr)
}

// read asks EC2 for all there is to know of a subnet. That nobody can say who
// holds which address does not keep its reservations from being known.
func (r *Reconciler) read(ctx context.Context, subnet vpc.Subnet, objects []*v1alpha1.ReservedCIDR) (*snapshot, error) {
	view := &snapshot{subnet: subnet, at: r.Now()}
	var err error
	if view.reservations, err = r.reservations(ctx, subnet.ID, objects); err != nil {
		return nil, err
	}
	view.enis, view.enisErr = r.Cloud.ENIs(ctx, subnet.ID)
	return view, nil
}

// reservations lists those of a subnet. If one is missing that an object shows
// or holds, it lists them again and returns what either list has: pages are not
// of one moment, and where a token counts, one that stays is left out when
// another is deleted meanwhile.
func (r *Reconciler) reservations(ctx context.Context, subnetID string, objects []*v1alpha1.ReservedCIDR) ([]vpc.Reservation, error) {
	listed, err := r.Cloud.Reservations(ctx, subnetID)
	view := &snapshot{reservations: listed}
	if err != nil || !slices.ContainsFunc(objects, view.lacks) {
		return listed, err
	}
	again, err := r.Cloud.Reservations(ctx, subnetID)
	if err != nil {
		return nil, err
	}
	view.add(again)
	return view.reservations, nil
}

// objects returns those of a subnet that are the controller's to change.
func (r *Reconciler) objects(ctx context.Context, subnetID string) ([]*v1alpha1.ReservedCIDR, error) {
	var list v1alpha1.ReservedCIDRList
	if err := r.Client.List(ctx, &list, client.MatchingFields{IndexSubnet: subnetID}); err != nil {
		return nil, fmt.Errorf("listing the ReservedCIDRs of subnet %s: %w", subnetID, err)
	}
	var objects []*v1alpha1.ReservedCIDR
	for i := range list.Items {
		if ours(&list.Items[i]) {
			objects = append(objects, &list.Items[i])
		}
	}
	// Of two that want the same range the older one gets it.
	slices.SortFunc(objects, func(a, b *v1alpha1.ReservedCIDR) int {
		if byAge := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); byAge != 0 {
			return byAge
		}
		return strings.Compare(a.Name, b.Name)
	})
	return objects, nil
}

// ours reports whether the controller may change anything of an object.
func ours(o *v1alpha1.ReservedCIDR) bool { return isMirror(o) || isClaim(o) }

// isMirror reports whether an object shows a reservation that others made.
func isMirror(o *v1alpha1.ReservedCIDR) bool { return o.Spec.Source == v1alpha1.AWS }

// isClaim reports whether an object asks for a reservation, or has one.
func isClaim(o *v1alpha1.ReservedCIDR) bool {
	return o.Spec.Create || controllerutil.ContainsFinalizer(o, Finalizer)
}
