package reservation

import (
	"context"
	"fmt"

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
)

// workers is how many subnets are worked on at once.
const workers = 4

// Index lets the cache of a manager find the objects of a subnet. A Reconciler
// needs it.
func Index(ctx context.Context, indexer client.FieldIndexer) error {
	err := indexer.IndexField(ctx, &v1alpha1.ReservedCIDR{}, IndexSubnet, func(o client.Object) []string {
		return []string{subnetOf(o)}
	})
	if err != nil {
		return fmt.Errorf("indexing ReservedCIDRs by subnet: %w", err)
	}
	return nil
}

// Setup makes a manager run the reconciler while it holds the lease.
func (r *Reconciler) Setup(manager ctrl.Manager) error {
	unique := true // of the process, which may hold two managers in tests
	c, err := controller.NewTyped("reservation", manager, controller.TypedOptions[string]{
		Reconciler: r, MaxConcurrentReconciles: workers, SkipNameValidation: &unique,
	})
	if err != nil {
		return err
	}
	poll := source.TypedFunc[string](func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[string]) error {
		go r.Poll(ctx, queue)
		return nil
	})
	changes := source.TypedKind(manager.GetCache(), &v1alpha1.ReservedCIDR{},
		handler.TypedEnqueueRequestsFromMapFunc(func(_ context.Context, o *v1alpha1.ReservedCIDR) []string {
			return []string{o.Spec.SubnetID}
		}), wishes())
	for _, s := range []source.TypedSource[string]{poll, changes} {
		if err := c.Watch(s); err != nil {
			return fmt.Errorf("watching ReservedCIDRs: %w", err)
		}
	}
	return nil
}

// wishes passes on objects that want a reservation, or want to be rid of it.
// What the controller itself writes changes no generation.
func wishes() predicate.TypedPredicate[*v1alpha1.ReservedCIDR] {
	return predicate.TypedFuncs[*v1alpha1.ReservedCIDR]{
		CreateFunc: func(e event.TypedCreateEvent[*v1alpha1.ReservedCIDR]) bool { return isClaim(e.Object) },
		UpdateFunc: func(e event.TypedUpdateEvent[*v1alpha1.ReservedCIDR]) bool {
			return isClaim(e.ObjectNew) && e.ObjectOld.Generation != e.ObjectNew.Generation
		},
		DeleteFunc:  func(event.TypedDeleteEvent[*v1alpha1.ReservedCIDR]) bool { return false },
		GenericFunc: func(event.TypedGenericEvent[*v1alpha1.ReservedCIDR]) bool { return false },
	}
}

func subnetOf(o client.Object) string {
	if reserved, ok := o.(*v1alpha1.ReservedCIDR); ok {
		return reserved.Spec.SubnetID
	}
	return ""
}
