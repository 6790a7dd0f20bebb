// Package cluster plays an API server for the demo, in memory: it stores
// namespaces, networks and reservations, and asks the webhook's own handlers
// about each network and each pod that is created, as a real one does over TLS.
package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/review"
)

// Cluster is what the API server knows. It is safe for concurrent use.
type Cluster struct {
	webhook http.Handler
	ranges  *nad.Index

	mu           sync.Mutex
	namespaces   map[string]inject.Namespace
	nads         map[string]nad.Network
	reservations []nad.Reservation
}

// New returns an empty cluster whose webhook has a policy.
func New(policy inject.Policy, log *slog.Logger) *Cluster {
	c := &Cluster{ranges: nad.NewIndex(), namespaces: map[string]inject.Namespace{}, nads: map[string]nad.Network{}}
	c.webhook = review.New(c, policy, log)
	return c
}

// CreateNamespace creates a namespace without labels.
func (c *Cluster) CreateNamespace(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.namespaces[name] = inject.Namespace{Name: name}
}

// Label gives a namespace a label.
func (c *Cluster) Label(namespace, key, value string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	ns, ok := c.namespaces[namespace]
	if !ok {
		return fmt.Errorf("namespace %q does not exist", namespace)
	}
	ns.Labels = maps.Clone(ns.Labels) // a review may be reading the old ones
	if ns.Labels == nil {
		ns.Labels = map[string]string{}
	}
	ns.Labels[key] = value
	c.namespaces[namespace] = ns
	return nil
}

// Reserve replaces the reservations, which the controller reads from EC2 in a
// real cluster.
func (c *Cluster) Reserve(reservations []nad.Reservation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reservations = slices.Clone(reservations)
}

// Network returns a network that was created.
func (c *Cluster) Network(namespace, name string) (nad.Network, error) {
	network, ok := c.CachedNAD(namespace, name)
	if !ok {
		return network, fmt.Errorf("NetworkAttachmentDefinition %s/%s does not exist", namespace, name)
	}
	return network, nil
}

// Namespace implements review.Cluster.
func (c *Cluster) Namespace(_ context.Context, name string, _ bool) (inject.Namespace, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ns, ok := c.namespaces[name]
	if !ok {
		return ns, fmt.Errorf("namespace %q does not exist", name)
	}
	return ns, nil
}

// CachedNAD implements review.Cluster.
func (c *Cluster) CachedNAD(namespace, name string) (nad.Network, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	network, ok := c.nads[namespace+"/"+name]
	return network, ok
}

// LiveNAD implements review.Cluster.
func (c *Cluster) LiveNAD(_ context.Context, namespace, name string) (nad.Network, bool, error) {
	network, ok := c.CachedNAD(namespace, name)
	return network, ok, nil
}

// Ranges implements review.Cluster.
func (c *Cluster) Ranges() *nad.Index { return c.ranges }

// Reservations implements review.Cluster.
func (c *Cluster) Reservations(context.Context, bool) []nad.Reservation {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reservations
}
