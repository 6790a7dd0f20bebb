package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/multus-ipmgr/multus-ipmgr/feed"
)

// Bounds of a mirror.
const (
	// busyLimit is how long one object may take to be read. A mirror that is
	// busy for longer is behind what the API server says.
	busyLimit = 10 * time.Second
	// liveReads is how many reads past a mirror may be under way at a time, each
	// with an object of up to 1.5 MB.
	liveReads = 4
)

// upstream is the way to the API server.
type upstream struct {
	lists  rest.Interface    // fills mirrors
	caches dynamic.Interface // the same
	past   rest.Interface    // reads past them; its rate limit is its own
	live   dynamic.Interface // the same
}

func newUpstream(config *rest.Config) (upstream, error) {
	config = dynamic.ConfigFor(config)
	config.AcceptContentTypes, config.GroupVersion = runtime.ContentTypeJSON, &schema.GroupVersion{}
	config.APIPath = "/no-path" // none is relative to it
	lists, err := rest.RESTClientFor(config)
	if err != nil {
		return upstream{}, err
	}
	past, err := rest.RESTClientFor(config)
	if err != nil {
		return upstream{}, err
	}
	return upstream{lists: lists, caches: dynamic.New(lists), past: past, live: dynamic.New(past)}, nil
}

// mirror keeps all objects of one resource in memory, each reduced to a T.
type mirror[T any] struct {
	resource schema.GroupVersionResource
	client   dynamic.NamespaceableResourceInterface // past the mirror
	lists    rest.Interface                         // past the mirror
	reading  *semaphore.Weighted                    // of client
	informer cache.SharedIndexInformer
	handled  []cache.ResourceEventHandlerRegistration
	feed     *feed.Feed
	reduce   func(*unstructured.Unstructured) T
	log      *slog.Logger
	trouble  atomic.Pointer[string] // why the last list or watch failed, or nil

	// optional: a cluster that does not serve the resource, or does not let us
	// read it, has none of it.
	optional bool
	withheld atomic.Bool // the cluster does not serve it, or not to us

	busy    atomic.Pointer[time.Time] // since when one object is being read, or nil
	changes atomic.Uint64             // of the store
	listing atomic.Pointer[listing[T]]
	fresh   chan *fresh[T] // holds the newest list past the mirror
}

// listing is all that was in the store after so many changes.
type listing[T any] struct {
	changes uint64
	values  []T
}

// fresh is a list past the mirror, and when it began.
type fresh[T any] struct {
	values []T
	began  time.Time
}

// entry is an object in the cache. Informers find its key by the metadata.
type entry[T any] struct {
	metav1.ObjectMeta
	value T
}

// GetObjectKind implements runtime.Object.
func (*entry[T]) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject implements runtime.Object. Nobody changes an entry.
func (e *entry[T]) DeepCopyObject() runtime.Object { return e }

func newMirror[T any](up upstream, resource schema.GroupVersionResource, log *slog.Logger, reduce func(*unstructured.Unstructured) T) (*mirror[T], error) {
	m := &mirror[T]{
		resource: resource, client: up.live.Resource(resource), lists: up.past, reading: semaphore.NewWeighted(liveReads),
		feed: feed.New(time.Now), reduce: reduce, log: log, fresh: make(chan *fresh[T], 1),
	}
	m.fresh <- &fresh[T]{}
	m.informer = cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(m.feed.Follow(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list, err := feed.List(ctx, up.lists, path(resource), options, m.item)
			m.observe(ctx, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			events, err := up.caches.Resource(resource).Watch(ctx, options)
			m.observe(ctx, err)
			return events, err
		},
	}), up.caches), &unstructured.Unstructured{}, 0, cache.Indexers{})
	count := func() { m.changes.Add(1) }
	err := m.handle(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { count() }, UpdateFunc: func(any, any) { count() }, DeleteFunc: func(any) { count() },
	})
	return m, errors.Join(err, m.informer.SetTransform(m.transform), m.informer.SetWatchErrorHandlerWithContext(silent))
}

// handle adds a handler of all changes. The mirror is not complete before the
// handler has seen the first list.
func (m *mirror[T]) handle(handler cache.ResourceEventHandler) error {
	registration, err := m.informer.AddEventHandler(handler)
	m.handled = append(m.handled, registration)
	return err
}

// path is where a resource is listed.
func path(resource schema.GroupVersionResource) string {
	if resource.Group == "" {
		return "/api/" + resource.Version + "/" + resource.Resource
	}
	return "/apis/" + resource.Group + "/" + resource.Version + "/" + resource.Resource
}

// item is an object of a list.
func (m *mirror[T]) item(text []byte) (runtime.Object, error) {
	var u unstructured.Unstructured
	if err := json.Unmarshal(text, &u.Object); err != nil {
		return nil, err
	}
	return m.entry(&u), nil
}

// entry reduces an object.
func (m *mirror[T]) entry(u *unstructured.Unstructured) *entry[T] {
	began := time.Now()
	m.busy.Store(&began)
	defer m.busy.Store(nil)
	return &entry[T]{
		ObjectMeta: metav1.ObjectMeta{Namespace: u.GetNamespace(), Name: u.GetName(), ResourceVersion: u.GetResourceVersion()},
		value:      m.reduce(u),
	}
}

// transform drops everything but T before an object of a watch is stored.
func (m *mirror[T]) transform(object any) (any, error) {
	u, ok := object.(*unstructured.Unstructured)
	if !ok {
		return object, nil // transformed before
	}
	return m.entry(u), nil
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

// ready says why the mirror is not complete yet, or not up to date for a reason
// that is this replica's own. That the API server says nothing is no such
// reason: all replicas would leave at once, and nobody would answer any more.
func (m *mirror[T]) ready() error {
	if began := m.busy.Load(); began != nil && time.Since(*began) > busyLimit {
		return fmt.Errorf("%s are behind: one of them has been read for %s", m.resource.GroupResource(), time.Since(*began).Round(time.Second))
	}
	if m.synced() || m.optional && m.withheld.Load() {
		return nil
	}
	if trouble := m.trouble.Load(); trouble != nil {
		return fmt.Errorf("%s are not read yet: %s", m.resource.GroupResource(), *trouble)
	}
	return fmt.Errorf("%s are not read yet", m.resource.GroupResource())
}

// synced reports whether all that there was is stored, and all handlers know.
func (m *mirror[T]) synced() bool {
	return m.informer.HasSynced() && !slices.ContainsFunc(m.handled, func(r cache.ResourceEventHandlerRegistration) bool { return !r.HasSynced() })
}

// name is the name of the resource.
func (m *mirror[T]) name() string { return m.resource.Resource }

// age is how old the mirror may be. A resource that there is not has no age.
func (m *mirror[T]) age() (time.Duration, bool) {
	return m.feed.Age(), !m.optional || !m.withheld.Load()
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
	if err := m.reading.Acquire(ctx, 1); err != nil {
		return none, false, fmt.Errorf("reading %s %s: %w", m.resource.GroupResource(), cache.NewObjectName(namespace, name), err)
	}
	defer m.reading.Release(1)
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

// liveAll reads everything from the API server, one list at a time. Whoever
// waited for his turn takes the list of another that began after he came.
func (m *mirror[T]) liveAll(ctx context.Context) ([]T, error) {
	came := time.Now()
	var last *fresh[T]
	select {
	case last = <-m.fresh:
	case <-ctx.Done():
		return nil, fmt.Errorf("reading %s: %w", m.resource.GroupResource(), ctx.Err())
	}
	defer func() { m.fresh <- last }()
	if last.began.After(came) {
		return last.values, nil
	}
	began := time.Now()
	list, err := feed.List(ctx, m.lists, path(m.resource), metav1.ListOptions{}, m.item)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", m.resource.GroupResource(), err)
	}
	var values []T
	err = meta.EachListItem(list, func(object runtime.Object) error {
		if e, ok := object.(*entry[T]); ok {
			values = append(values, e.value)
		}
		return nil
	})
	last = &fresh[T]{values, began}
	return values, err
}
