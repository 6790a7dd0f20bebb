package finding

import (
	"context"
	"fmt"
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
)

// everything is the one unit of work: all NADs that are due. Many changes make
// one pass.
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
		source.TypedKind(manager.GetCache(), &v1alpha1.ReservedCIDR{}, soon(func(*v1alpha1.ReservedCIDR) {}), grounds()),
		source.TypedKind(manager.GetCache(), &nadv1.NetworkAttachmentDefinition{}, soon(w.changedNAD)),
	} {
		if err := c.Watch(s); err != nil {
			return fmt.Errorf("watching reservations and NADs: %w", err)
		}
	}
	return nil
}

func (w *Watcher) changedNAD(o *nadv1.NetworkAttachmentDefinition) {
	w.changed(client.ObjectKeyFromObject(o))
}

// await requests the first check of everything once it is mirrored and has had
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

// grounds passes on changes that may break a NAD. Of a status that is only that a
// reservation could not be made.
func grounds() predicate.TypedPredicate[*v1alpha1.ReservedCIDR] {
	return predicate.TypedFuncs[*v1alpha1.ReservedCIDR]{
		UpdateFunc: func(e event.TypedUpdateEvent[*v1alpha1.ReservedCIDR]) bool {
			return e.ObjectOld.Generation != e.ObjectNew.Generation || e.ObjectOld.Counts() != e.ObjectNew.Counts()
		},
	}
}

// soon requests a pass a moment after a change. changed takes the object before.
func soon[T client.Object](changed func(T)) handler.TypedEventHandler[T, string] {
	type queue = workqueue.TypedRateLimitingInterface[string]
	due := func(o T, q queue) {
		changed(o)
		q.AddAfter(everything, settling)
	}
	return handler.TypedFuncs[T, string]{
		CreateFunc: func(_ context.Context, e event.TypedCreateEvent[T], q queue) { due(e.Object, q) },
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[T], q queue) { due(e.ObjectNew, q) },
		DeleteFunc: func(_ context.Context, e event.TypedDeleteEvent[T], q queue) { due(e.Object, q) },
	}
}
