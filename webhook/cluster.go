package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/semaphore"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/multus-ipmgr/multus-ipmgr/feed"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

const (
	// liveTimeout bounds a read that goes to the API server.
	liveTimeout = 3 * time.Second
	// liveReads is how many NADs may be read past the cache at a time, each of up
	// to 1.5 MB.
	liveReads = 4
)

// cached is a review.Cluster of controller-runtime's typed cache. That a cache lacks
// something may only mean that it is new (one "kubectl apply" may create a
// namespace, its NADs and its pods), so a miss is confirmed by the API server.
type cached struct {
	cache   cache.Cache
	live    client.Reader // past the cache
	reading *semaphore.Weighted
	log     *slog.Logger

	namespaces   *collection
	spelling     *spelling // of namespaces
	nads         *collection
	ranges       *nad.Index // of nads
	reservations *reservations
}

func newCached(caches cache.Cache, live client.Reader, feeds *feeds, log *slog.Logger) *cached {
	ranges, spelling := nad.NewIndex(), newSpelling(log)
	return &cached{
		cache: caches, live: live, reading: semaphore.NewWeighted(liveReads), log: log,
		namespaces: newCollection(feeds.namespaces, newNamespace(), spelling.handler()), spelling: spelling,
		nads: newCollection(feeds.nads, &network{}, indexed(ranges)), ranges: ranges,
		reservations: newReservations(feeds.reservations, caches, live),
	}
}

// indexed keeps an index up to date with the cache of NADs.
func indexed(ranges *nad.Index) toolscache.ResourceEventHandler {
	put := func(object any) {
		if n, ok := object.(*network); ok {
			ranges.Put(n.read())
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    put,
		UpdateFunc: func(_, object any) { put(object) },
		DeleteFunc: func(object any) {
			if key, err := toolscache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
				ranges.Delete(key)
			}
		},
	}
}

// Start fills the caches and keeps them up to date until ctx ends. The manager
// cannot be given them before it starts: it would wait for all of them, and
// that a resource is not there yet, or never, must not keep it from starting
// and ending.
func (c *cached) Start(ctx context.Context) error {
	for _, r := range c.resources() {
		if err := r.follow(ctx, c.cache); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

// NeedLeaderElection tells the manager that every replica needs its caches.
func (*cached) NeedLeaderElection() bool { return false }

func (c *cached) resources() []*collection {
	return []*collection{c.namespaces, c.nads, c.reservations.collection}
}

// ready says which cache is not complete yet.
func (c *cached) ready() error {
	var missing []error
	for _, r := range c.resources() {
		missing = append(missing, r.ready())
	}
	return errors.Join(missing...)
}

// ages shows how old each cache may be.
func (c *cached) ages() feed.Set {
	return feed.Set{c.namespaces.Feed, c.nads.Feed, c.reservations.Feed}
}

// Namespace implements review.Cluster.
func (c *cached) Namespace(ctx context.Context, name string, fresh bool) (inject.Namespace, error) {
	o := newNamespace()
	if !fresh && c.namespaces.get(c.cache, client.ObjectKey{Name: name}, o) {
		return namespaceOf(o), nil
	}
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	err := c.live.Get(ctx, client.ObjectKey{Name: name}, o)
	switch {
	case apierrors.IsNotFound(err):
		return inject.Namespace{}, fmt.Errorf("namespace %q does not exist", name)
	case err != nil:
		return inject.Namespace{}, fmt.Errorf("reading namespaces %s: %w", name, err)
	}
	return namespaceOf(o), nil
}

// misspelt is how many namespaces have misspelt keys of ours.
func (c *cached) misspelt() int { return c.spelling.misspelt() }

// CachedNAD implements review.Cluster.
func (c *cached) CachedNAD(namespace, name string) (nad.Network, bool) {
	var n network
	if !c.nads.get(c.cache, client.ObjectKey{Namespace: namespace, Name: name}, &n) {
		return nad.Network{}, false
	}
	return n.read(), true
}

// LiveNAD implements review.Cluster.
func (c *cached) LiveNAD(ctx context.Context, namespace, name string) (nad.Network, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	n, err := c.liveNAD(ctx, client.ObjectKey{Namespace: namespace, Name: name})
	switch {
	case apierrors.IsNotFound(err):
		return nad.Network{}, false, nil
	case err != nil:
		err = fmt.Errorf("reading %s %s/%s: %w", c.nads.Name, namespace, name, err)
		c.log.LogAttrs(ctx, slog.LevelWarn, "missing network not confirmed", slog.String(keyNamespace, namespace), slog.String(keyName, name), slog.Any(keyError, err))
		return nad.Network{}, false, err
	}
	return n.read(), true, nil
}

func (c *cached) liveNAD(ctx context.Context, key client.ObjectKey) (*network, error) {
	if err := c.reading.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer c.reading.Release(1)
	n := &network{}
	return n, c.live.Get(ctx, key, n)
}

// Ranges implements review.Cluster.
func (c *cached) Ranges() *nad.Index { return c.ranges }

// Reservations implements review.Cluster.
func (c *cached) Reservations(ctx context.Context, fresh bool) []nad.Reservation {
	if !fresh {
		return c.reservations.all(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	reservations, err := c.reservations.liveAll(ctx)
	if err != nil {
		c.log.LogAttrs(ctx, slog.LevelWarn, "reservations not confirmed", slog.Any(keyError, err))
		return c.reservations.all(ctx)
	}
	return reservations
}
