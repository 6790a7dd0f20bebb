package webhook

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/feed"
)

// How many objects are listed at a time. One NAD is up to 1.5 MB, annotations are
// up to 256 KiB.
const (
	networkPage = 10
	objectPage  = 50
)

// feeds fill the cache.
type feeds struct{ namespaces, nads, reservations *feed.Feed }

func newFeeds(log *slog.Logger) *feeds {
	return &feeds{
		namespaces: feed.New(feed.Resource{
			Object: newNamespace(), Name: schema.GroupResource{Resource: "namespaces"}, Page: objectPage, Reduce: reduceNamespace,
		}, time.Now, log),
		nads: feed.New(feed.Resource{
			Object: &network{}, Name: schema.GroupResource{Group: networkKind().Group, Resource: "network-attachment-definitions"}, Page: networkPage, Reduce: reduceNetwork,
		}, time.Now, log),
		reservations: feed.New(feed.Resource{
			Object: &v1alpha1.ReservedCIDR{}, Name: v1alpha1.GroupVersionResource().GroupResource(), Page: objectPage, Reduce: reduceReservation,
			Optional: true, // pods are injected without any
		}, time.Now, log),
	}
}

// options are the cache's. What it holds is read only, so that it need not be
// copied for each who looks.
func (f *feeds) options() cache.Options {
	all := feed.Set{f.namespaces, f.nads, f.reservations}
	by, shared := map[client.Object]cache.ByObject{}, true
	for _, one := range all {
		if object, ok := one.Object.(client.Object); ok {
			by[object] = cache.ByObject{Transform: one.Transform, UnsafeDisableDeepCopy: &shared}
		}
	}
	return cache.Options{ByObject: by, NewInformer: all.Informer, DefaultWatchErrorHandler: feed.Silent}
}

// collection is what is cached of one kind.
type collection struct {
	*feed.Feed
	object  client.Object
	handler toolscache.ResourceEventHandler
	synced  atomic.Pointer[func() bool] // nil until it is followed
}

// newCollection returns a collection whose changes a handler gets, or nobody.
func newCollection(f *feed.Feed, object client.Object, handler toolscache.ResourceEventHandler) *collection {
	if handler == nil {
		handler = toolscache.ResourceEventHandlerFuncs{}
	}
	return &collection{Feed: f, object: object, handler: handler}
}

// follow has the cache list and watch the resource.
func (r *collection) follow(ctx context.Context, caches cache.Cache) error {
	informer, err := caches.GetInformer(ctx, r.object, cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("caching %s: %w", r.Name, err)
	}
	handled, err := informer.AddEventHandler(r.handler)
	if err != nil {
		return fmt.Errorf("caching %s: %w", r.Name, err)
	}
	synced := func() bool { return informer.HasSynced() && handled.HasSynced() }
	r.synced.Store(&synced)
	return nil
}

// complete reports whether all that there was is cached, and the handler knows.
func (r *collection) complete() bool {
	synced := r.synced.Load()
	return synced != nil && (*synced)()
}

// get reads from memory. The cache itself would wait until it is complete.
func (r *collection) get(caches cache.Cache, key client.ObjectKey, into client.Object) bool {
	return r.complete() && caches.Get(context.Background(), key, into) == nil //nolint:forbidigo // Nothing in memory waits for a context.
}

// ready says why the cache is not complete yet, or not up to date for a reason
// that is this replica's own. A silent API server is not such a
// reason: all replicas would leave at once, and none would answer any more.
func (r *collection) ready() error {
	if err := r.Behind(); err != nil {
		return err
	}
	if r.complete() || r.Withheld() {
		return nil
	}
	return r.Unread()
}
