// Package feed lists and watches one resource of the API server in bounded
// memory and time, and knows when it last heard of it.
//
// It knows no resource: what becomes of an object is its user's.
package feed

import (
	"context"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// grace is how long after its end a watch may go on that the API server, or a
// proxy on the way, does not end.
const grace = time.Minute

// Feed follows one resource.
type Feed struct {
	now   func() time.Time
	heard atomic.Pointer[time.Time]
}

// New returns a feed that has heard of its resource now.
func New(now func() time.Time) *Feed {
	f := &Feed{now: now}
	f.hear()
	return f
}

// Age is how long ago the API server last said something of the resource: a
// list, the beginning of a watch, a change, or a bookmark, of which API servers
// send one each minute. What is cached is no older than that.
func (f *Feed) Age() time.Duration { return f.now().Sub(*f.heard.Load()) }

func (f *Feed) hear() {
	now := f.now()
	f.heard.Store(&now)
}

// Follow returns a source that lists and watches as source does.
func (f *Feed) Follow(source cache.ListerWatcherWithContext) *cache.ListWatch {
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list, err := source.ListWithContext(ctx, options)
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
