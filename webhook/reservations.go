package webhook

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/feed"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// reservations are all ReservedCIDRs, which every decision needs: they are put
// together when they change, and not for each decision.
type reservations struct {
	*collection
	cache cache.Cache
	live  client.Reader // past the cache

	changes  atomic.Uint64
	together atomic.Pointer[together]
	fresh    chan *fresh // holds the newest list past the cache
}

// together is all that was cached after so many changes.
type together struct {
	changes uint64
	values  []nad.Reservation
}

// fresh is a list past the cache, and when it began.
type fresh struct {
	values []nad.Reservation
	began  time.Time
}

func newReservations(f *feed.Feed, caches cache.Cache, live client.Reader) *reservations {
	r := &reservations{cache: caches, live: live, fresh: make(chan *fresh, 1)}
	r.fresh <- &fresh{}
	count := func() { r.changes.Add(1) }
	r.collection = newCollection(f, &v1alpha1.ReservedCIDR{}, toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { count() }, UpdateFunc: func(any, any) { count() }, DeleteFunc: func(any) { count() },
	})
	return r
}

// all is what is cached, in the order of names. The caller must not change it.
func (r *reservations) all(ctx context.Context) []nad.Reservation {
	changes := r.changes.Load()
	if last := r.together.Load(); last != nil && last.changes == changes {
		return last.values
	}
	var list v1alpha1.ReservedCIDRList
	if !r.complete() || r.cache.List(ctx, &list) != nil {
		return nil
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.ReservedCIDR) int { return cmp.Compare(a.Name, b.Name) })
	values := reservationsOf(list.Items)
	r.together.Store(&together{changes, values})
	return values
}

// reservationsOf reads objects. What the CRD's schema should have refused covers
// nothing.
func reservationsOf(objects []v1alpha1.ReservedCIDR) []nad.Reservation {
	values := make([]nad.Reservation, 0, len(objects))
	for i := range objects {
		r, _ := objects[i].Reservation()
		values = append(values, r)
	}
	return values
}

// liveAll reads everything from the API server, one list at a time. A
// caller that had to wait takes another's list if that began after it came.
func (r *reservations) liveAll(ctx context.Context) ([]nad.Reservation, error) {
	came := time.Now()
	var last *fresh
	select {
	case last = <-r.fresh:
	case <-ctx.Done():
		return nil, fmt.Errorf("reading %s: %w", r.Name, ctx.Err())
	}
	defer func() { r.fresh <- last }()
	if last.began.After(came) {
		return last.values, nil
	}
	began := time.Now()
	values, err := r.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", r.Name, err)
	}
	last = &fresh{values, began}
	return values, nil
}

// list reads page by page past the cache.
func (r *reservations) list(ctx context.Context) ([]nad.Reservation, error) {
	var values []nad.Reservation
	for next := ""; ; {
		var page v1alpha1.ReservedCIDRList
		if err := r.live.List(ctx, &page, client.Limit(r.Page), client.Continue(next)); err != nil {
			return nil, err
		}
		values = append(values, reservationsOf(page.Items)...)
		if next = page.Continue; next == "" {
			return values, nil
		}
	}
}
