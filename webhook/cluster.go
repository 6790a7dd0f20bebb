package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

const (
	// liveTimeout bounds a read that goes to the API server.
	liveTimeout = 3 * time.Second
	// decisionTimeout bounds all that are made for one decision, one after
	// another. The API server waits ten seconds for the answer about a pod and
	// five for that about a NAD; then failurePolicy decides, and not we.
	decisionTimeout = 4 * time.Second
)

// ownPrefix begins the labels and annotations that are kept in memory.
const ownPrefix = "multus-ipmgr.io/"

// mirrored is a Cluster of caches. That a cache lacks something may only mean
// that it is new (one "kubectl apply" may create a namespace, its NADs and its
// pods), so a miss is confirmed by the API server.
type mirrored struct {
	namespaces   *mirror[inject.Namespace]
	nads         *mirror[nad.Network]
	reservations *mirror[nad.Reservation]
	ranges       *nad.Index // of nads
	log          *slog.Logger
}

func newMirrored(up upstream, log *slog.Logger) (*mirrored, error) {
	namespaces, errNamespaces := newMirror(up, schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, log, reduceNamespace)
	nads, errNADs := newMirror(up, schema.GroupVersionResource{Group: "k8s.cni.cncf.io", Version: "v1", Resource: "network-attachment-definitions"}, log, reduceNAD)
	reservations, errReservations := newMirror(up, v1alpha1.GroupVersionResource(), log, reduceReservation)
	if err := errors.Join(errNamespaces, errNADs, errReservations); err != nil {
		return nil, err
	}
	reservations.optional = true // pods are injected without any
	ranges := nad.NewIndex()
	if err := nads.handle(indexed(ranges)); err != nil {
		return nil, err
	}
	return &mirrored{namespaces: namespaces, nads: nads, reservations: reservations, ranges: ranges, log: log}, nil
}

// indexed keeps an index up to date with the cache of NADs.
func indexed(ranges *nad.Index) cache.ResourceEventHandler {
	put := func(object any) {
		if e, ok := object.(*entry[nad.Network]); ok {
			ranges.Put(e.value)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    put,
		UpdateFunc: func(_, object any) { put(object) },
		DeleteFunc: func(object any) {
			if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
				ranges.Delete(key)
			}
		},
	}
}

func reduceNamespace(u *unstructured.Unstructured) inject.Namespace {
	return inject.Namespace{Name: u.GetName(), Labels: own(u.GetLabels()), Annotations: own(u.GetAnnotations())}
}

// reduceNAD reads a NAD once, not once for each pod.
func reduceNAD(u *unstructured.Unstructured) nad.Network {
	config, _, err := unstructured.NestedString(u.Object, "spec", "config")
	if err != nil {
		return nad.Unknown(err)
	}
	return nad.Read(nad.Definition{Namespace: u.GetNamespace(), Name: u.GetName(), Labels: u.GetLabels(), Annotations: u.GetAnnotations(), Config: config}).Kept()
}

// reduceReservation reads a ReservedCIDR. One that the CRD's schema should have
// refused, or that does not count, is the zero Reservation, which covers
// nothing.
func reduceReservation(u *unstructured.Unstructured) nad.Reservation {
	var o v1alpha1.ReservedCIDR
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &o); err != nil {
		return nad.Reservation{}
	}
	r, _ := o.Reservation()
	return r
}

// own keeps what is ours of labels or annotations: others may be long.
func own(all map[string]string) map[string]string {
	maps.DeleteFunc(all, func(key, _ string) bool { return !strings.HasPrefix(key, ownPrefix) })
	return all
}

// run keeps the caches up to date until ctx ends.
func (c *mirrored) run(ctx context.Context) {
	var group sync.WaitGroup
	group.Go(func() { c.namespaces.informer.RunWithContext(ctx) })
	group.Go(func() { c.nads.informer.RunWithContext(ctx) })
	group.Go(func() { c.reservations.informer.RunWithContext(ctx) })
	group.Wait()
}

// ready says which cache is not complete yet.
func (c *mirrored) ready() error {
	return errors.Join(c.namespaces.ready(), c.nads.ready(), c.reservations.ready())
}

// ages says how old each cache may be, by resource.
func (c *mirrored) ages() map[string]time.Duration {
	ages := map[string]time.Duration{}
	for _, m := range []interface {
		age() (time.Duration, bool)
		name() string
	}{c.namespaces, c.nads, c.reservations} {
		if age, served := m.age(); served {
			ages[m.name()] = age
		}
	}
	return ages
}

// Namespace implements Cluster.
func (c *mirrored) Namespace(ctx context.Context, name string, fresh bool) (inject.Namespace, error) {
	if ns, found := c.namespaces.cached("", name); found && !fresh {
		return ns, nil
	}
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	ns, found, err := c.namespaces.live(ctx, "", name)
	if err == nil && !found {
		err = fmt.Errorf("namespace %q does not exist", name)
	}
	return ns, err
}

// CachedNAD implements Cluster.
func (c *mirrored) CachedNAD(namespace, name string) (nad.Network, bool) {
	return c.nads.cached(namespace, name)
}

// LiveNAD implements Cluster.
func (c *mirrored) LiveNAD(ctx context.Context, namespace, name string) (nad.Network, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	network, found, err := c.nads.live(ctx, namespace, name)
	if err != nil {
		c.log.LogAttrs(ctx, slog.LevelWarn, "missing network not confirmed", slog.String(keyNamespace, namespace), slog.String(keyName, name), slog.Any(keyError, err))
	}
	return network, found, err
}

// Ranges implements Cluster.
func (c *mirrored) Ranges() *nad.Index { return c.ranges }

// Reservations implements Cluster.
func (c *mirrored) Reservations(ctx context.Context, fresh bool) []nad.Reservation {
	if !fresh {
		return c.reservations.all()
	}
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	reservations, err := c.reservations.liveAll(ctx)
	if err != nil {
		c.log.LogAttrs(ctx, slog.LevelWarn, "reservations not confirmed", slog.Any(keyError, err))
		return c.reservations.all()
	}
	return reservations
}
