package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
)

// mirror keeps all objects of one resource in memory, each reduced to a T.
type mirror[T any] struct {
	resource schema.GroupVersionResource
	client   dynamic.NamespaceableResourceInterface
	informer cache.SharedIndexInformer
	reduce   func(*unstructured.Unstructured) T
	log      *slog.Logger
	trouble  atomic.Pointer[string] // why the last list or watch failed, or nil

	// optional: a cluster that does not serve the resource, or does not let us
	// read it, has none of it.
	optional bool
	withheld atomic.Bool // the cluster does not serve it, or not to us

	changes atomic.Uint64 // of the store
	listing atomic.Pointer[listing[T]]
}

// listing is all that was in the store after so many changes.
type listing[T any] struct {
	changes uint64
	values  []T
}

// entry is an object in the cache. Informers find its key by the metadata.
type entry[T any] struct {
	metav1.ObjectMeta
	value T
}

func newMirror[T any](client dynamic.Interface, resource schema.GroupVersionResource, log *slog.Logger, reduce func(*unstructured.Unstructured) T) (*mirror[T], error) {
	m := &mirror[T]{resource: resource, client: client.Resource(resource), reduce: reduce, log: log}
	m.informer = cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list, err := m.client.List(ctx, options)
			m.observe(ctx, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			events, err := m.client.Watch(ctx, options)
			m.observe(ctx, err)
			return events, err
		},
	}, client), &unstructured.Unstructured{}, 0, cache.Indexers{})
	count := func() { m.changes.Add(1) }
	_, err := m.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { count() }, UpdateFunc: func(any, any) { count() }, DeleteFunc: func(any) { count() },
	})
	return m, errors.Join(err, m.informer.SetTransform(m.transform), m.informer.SetWatchErrorHandlerWithContext(silent))
}

// transform drops everything but T before an object is stored.
func (m *mirror[T]) transform(object any) (any, error) {
	u, ok := object.(*unstructured.Unstructured)
	if !ok {
		return object, nil // transformed before
	}
	return &entry[T]{
		ObjectMeta: metav1.ObjectMeta{Namespace: u.GetNamespace(), Name: u.GetName(), ResourceVersion: u.GetResourceVersion()},
		value:      m.reduce(u),
	}, nil
}

// observe logs why the resource cannot be read when the reason changes, and
// when it can be read again. client-go tells of some reasons only, and of
// those again and again. That a watch expires is everyday life.
func (m *mirror[T]) observe(ctx context.Context, err error) {
	if err == nil {
		if m.trouble.Swap(nil) != nil {
			m.log.LogAttrs(ctx, slog.LevelInfo, "resource is read again", slog.String(keyResource, m.resource.Resource))
		}
		return
	}
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) || ctx.Err() != nil {
		return
	}
	if request, ok := errors.AsType[*url.Error](err); ok { // its URL has a new timeout each time
		err = request.Err
	}
	m.withheld.Store(apierrors.IsNotFound(err) || apierrors.IsForbidden(err))
	text := err.Error()
	if last := m.trouble.Swap(&text); last == nil || *last != text {
		m.log.LogAttrs(ctx, slog.LevelWarn, "resource cannot be read", slog.String(keyResource, m.resource.Resource), slog.Any(keyError, err))
	}
}

// silent replaces client-go's log of what observe has told.
func silent(context.Context, *cache.Reflector, error) {}

// ready says why the mirror is not complete yet.
func (m *mirror[T]) ready() error {
	if m.informer.HasSynced() || m.optional && m.withheld.Load() {
		return nil
	}
	if trouble := m.trouble.Load(); trouble != nil {
		return fmt.Errorf("%s are not read yet: %s", m.resource.GroupResource(), *trouble)
	}
	return fmt.Errorf("%s are not read yet", m.resource.GroupResource())
}

// cached reads from memory.
func (m *mirror[T]) cached(namespace, name string) (T, bool) {
	object, found, err := m.informer.GetStore().GetByKey(cache.NewObjectName(namespace, name).String())
	if e, ok := object.(*entry[T]); ok && found && err == nil {
		return e.value, true
	}
	var none T
	return none, false
}

// live reads from the API server. It reports false when there is no such
// object.
func (m *mirror[T]) live(ctx context.Context, namespace, name string) (T, bool, error) {
	var none T
	object, err := m.client.Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return none, false, nil
	case err != nil:
		return none, false, fmt.Errorf("reading %s %s: %w", m.resource.GroupResource(), cache.NewObjectName(namespace, name), err)
	}
	return m.reduce(object), true, nil
}

// all reads everything from memory, in the order of names. The caller must not
// change it.
func (m *mirror[T]) all() []T {
	changes := m.changes.Load()
	if last := m.listing.Load(); last != nil && last.changes == changes {
		return last.values
	}
	store := m.informer.GetStore()
	keys := store.ListKeys()
	slices.Sort(keys)
	values := make([]T, 0, len(keys))
	for _, key := range keys {
		object, found, err := store.GetByKey(key)
		if e, ok := object.(*entry[T]); ok && found && err == nil {
			values = append(values, e.value)
		}
	}
	m.listing.Store(&listing[T]{changes, values})
	return values
}

// liveAll reads everything from the API server.
func (m *mirror[T]) liveAll(ctx context.Context) ([]T, error) {
	list, err := m.client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", m.resource.GroupResource(), err)
	}
	values := make([]T, len(list.Items))
	for i := range list.Items {
		values[i] = m.reduce(&list.Items[i])
	}
	return values, nil
}
