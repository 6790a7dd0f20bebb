// Package feed fills the informers of a cache in bounded memory, and knows how
// old what they hold may be.
//
// It knows no resource: what is kept of an object is its user's.
package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/multus-ipmgr/multus-ipmgr/process"
)

const (
	// grace is how long after its end a watch may go on that the API server, or a
	// proxy on the way, does not end.
	grace = time.Minute
	// busyLimit is how long the reduction of one object may take. A cache that
	// waits for longer is behind what the API server says.
	busyLimit = 10 * time.Second
)

// Resource is what a feed follows.
type Resource struct {
	Object runtime.Object       // one of the type that the cache holds
	Name   schema.GroupResource // by its name in the API
	// Page is how many objects are listed at a time. Memory holds one page as it
	// is, and of all other objects what Reduce keeps.
	Page int64
	// Reduce keeps of an object what is needed. It gets objects that it returned
	// before, too.
	Reduce cache.TransformFunc
	// Optional: a cluster that does not serve the resource, or does not let us
	// read it, has none of it.
	Optional bool
}

// Feed follows one resource.
type Feed struct {
	Resource
	now func() time.Time
	log *slog.Logger

	heard    atomic.Pointer[time.Time] // nil until it is followed
	busy     atomic.Pointer[time.Time] // since when one object is being reduced, or nil
	trouble  process.Trouble           // of the last list or watch
	withheld atomic.Bool               // the cluster does not serve the resource, or not to us
}

// New returns a feed.
func New(r Resource, now func() time.Time, log *slog.Logger) *Feed {
	return &Feed{Resource: r, now: now, log: log}
}

// Age is how long ago the API server last said something of the resource: a
// list, the beginning of a watch, a change, or a bookmark, of which API servers
// send one each minute. What is cached is no older than that. Nothing has an age
// before it is followed, and while an optional resource is withheld.
func (f *Feed) Age() (age time.Duration, known bool) {
	heard := f.heard.Load()
	if heard == nil || f.Withheld() {
		return 0, false
	}
	return f.now().Sub(*heard), true
}

// Withheld reports whether an optional resource is one that the cluster does not
// serve, or does not let us read.
func (f *Feed) Withheld() bool { return f.Optional && f.withheld.Load() }

// Unread says why the cache lacks what the API server has, as far as it is known.
func (f *Feed) Unread() error {
	if trouble := f.trouble.Last(); trouble != "" {
		return fmt.Errorf("%s are not read yet: %s", f.Name, trouble)
	}
	return fmt.Errorf("%s are not read yet", f.Name)
}

// Behind says that the cache does not follow the API server, because the
// reduction of one object does not end.
func (f *Feed) Behind() error {
	if began := f.busy.Load(); began != nil && f.now().Sub(*began) > busyLimit {
		return fmt.Errorf("%s are behind: one of them has been read for %s", f.Name, f.now().Sub(*began).Round(time.Second))
	}
	return nil
}

// Transform reduces an object. It is for cache.ByObject.
func (f *Feed) Transform(object any) (any, error) {
	began := f.now()
	f.busy.Store(&began)
	defer f.busy.Store(nil)
	return f.Reduce(object)
}

func (f *Feed) hear() {
	now := f.now()
	f.heard.Store(&now)
}

// observe logs why the resource cannot be read when the reason changes, and
// when it can be read again. client-go reports some reasons only, and
// reports those again and again. A watch that expires is normal.
func (f *Feed) observe(ctx context.Context, err error) {
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) || err != nil && ctx.Err() != nil {
		return
	}
	if request, ok := errors.AsType[*url.Error](err); ok { // its URL has a new timeout each time
		err = request.Err
	}
	f.withheld.Store(apierrors.IsNotFound(err) || apierrors.IsForbidden(err))
	if !f.trouble.Changed(err) {
		return
	}
	if err != nil {
		f.log.LogAttrs(ctx, slog.LevelWarn, "resource cannot be read", slog.String("resource", f.Name.Resource), slog.Any("error", err))
		return
	}
	f.log.LogAttrs(ctx, slog.LevelInfo, "resource is read again", slog.String("resource", f.Name.Resource))
}

// Silent is for cache.Options.DefaultWatchErrorHandler: the feed logs itself.
func Silent(context.Context, *cache.Reflector, error) {}

// Follow returns a source that lists and watches as source does.
func (f *Feed) Follow(source cache.ListerWatcherWithContext) *cache.ListWatch {
	f.hear()
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list, err := f.list(ctx, source, options)
			f.observe(ctx, err)
			if err == nil {
				f.hear()
			}
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return f.watch(ctx, source, options)
		},
	}
}

// watch ends what would go on for ever: client-go leaves it to the API server
// to end a watch, and waits.
func (f *Feed) watch(ctx context.Context, source cache.ListerWatcherWithContext, options metav1.ListOptions) (watch.Interface, error) {
	cancel := func() {}
	if options.TimeoutSeconds != nil {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(*options.TimeoutSeconds)*time.Second+grace)
	}
	events, err := source.WatchWithContext(ctx, options)
	if streamed := options.SendInitialEvents != nil; !streamed || !apierrors.IsInvalid(err) { // it lists where that is not known
		f.observe(ctx, err)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	f.hear()
	ended := &bounded{Interface: events, cancel: cancel}
	return watch.Filter(ended, func(e watch.Event) (watch.Event, bool) {
		if e.Type != watch.Error {
			f.hear()
		}
		return e, true
	}), nil
}

// bounded is a watch with a deadline.
type bounded struct {
	watch.Interface
	cancel context.CancelFunc
}

// Stop implements watch.Interface.
func (b *bounded) Stop() {
	b.cancel()
	b.Interface.Stop()
}

// Set is the feeds of one cache.
type Set []*Feed

// Informer makes the informer of a type, with its feed if there is one. It is
// for cache.Options.NewInformer.
func (s Set) Informer(source cache.ListerWatcher, object runtime.Object, resync time.Duration, indexers cache.Indexers) cache.SharedIndexInformer {
	for _, f := range s {
		if reflect.TypeOf(f.Object) == reflect.TypeOf(object) {
			followed := f.Follow(cache.ToListerWatcherWithContext(source))
			return cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(followed, source), object, resync, indexers)
		}
	}
	return cache.NewSharedIndexInformer(source, object, resync, indexers)
}
