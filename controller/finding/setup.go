package finding

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// everything is the one unit of work: all NADs.
const everything = "all"

// Setup makes a manager run the watcher while it holds the lease.
func (w *Watcher) Setup(manager ctrl.Manager) error {
	unique := true // of the process, which may hold two managers in tests
	c, err := controller.NewTyped("finding", manager, controller.TypedOptions[string]{Reconciler: w, SkipNameValidation: &unique})
	if err != nil {
		return err
	}
	first := source.TypedFunc[string](func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[string]) error {
		go w.await(ctx, queue)
		return nil
	})
	for _, s := range []source.TypedSource[string]{
		first,
		source.TypedKind(manager.GetCache(), &v1alpha1.ReservedCIDR{}, soon[*v1alpha1.ReservedCIDR](), grounds()),
		source.TypedKind(manager.GetCache(), &nadv1.NetworkAttachmentDefinition{}, soon[*nadv1.NetworkAttachmentDefinition]()),
	} {
		if err := c.Watch(s); err != nil {
			return fmt.Errorf("watching reservations and NADs: %w", err)
		}
	}
	return nil
}

// await has everything checked for the first time once it is mirrored and had
// time to reach the cache.
func (w *Watcher) await(ctx context.Context, queue workqueue.TypedInterface[string]) {
	select {
	case <-ctx.Done():
		return
	case <-w.Mirrored:
	}
	timer := time.NewTimer(settling)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
		close(w.settled)
		queue.Add(everything)
	}
}

// grounds passes on what may break a NAD: of a status, only that a reservation
// could not be made.
func grounds() predicate.TypedPredicate[*v1alpha1.ReservedCIDR] {
	return predicate.TypedFuncs[*v1alpha1.ReservedCIDR]{
		UpdateFunc: func(e event.TypedUpdateEvent[*v1alpha1.ReservedCIDR]) bool {
			return e.ObjectOld.Generation != e.ObjectNew.Generation || e.ObjectOld.Counts() != e.ObjectNew.Counts()
		},
	}
}

// soon has everything checked a moment after a change.
func soon[T client.Object]() handler.TypedEventHandler[T, string] {
	type queue = workqueue.TypedRateLimitingInterface[string]
	return handler.TypedFuncs[T, string]{
		CreateFunc: func(_ context.Context, _ event.TypedCreateEvent[T], q queue) { q.AddAfter(everything, settling) },
		UpdateFunc: func(_ context.Context, _ event.TypedUpdateEvent[T], q queue) { q.AddAfter(everything, settling) },
		DeleteFunc: func(_ context.Context, _ event.TypedDeleteEvent[T], q queue) { q.AddAfter(everything, settling) },
	}
}

// Strip leaves of a NAD in the cache what is read of it. One that is too long to
// be checked stays too long.
func Strip(object any) (any, error) {
	if o, ok := object.(*nadv1.NetworkAttachmentDefinition); ok {
		o.ManagedFields = nil
		maps.DeleteFunc(o.Annotations, func(key, _ string) bool { return key != nad.ResourceAnnotation })
		if len(o.Spec.Config) > nad.MaxConfig {
			o.Spec.Config = strings.Clone(o.Spec.Config[:nad.MaxConfig+1])
		}
	}
	return object, nil
}
