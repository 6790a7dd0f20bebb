// Package world is the state of the simulated VPC and the rules by which EC2
// changes it: subnets, reservations, instances and ENIs behind one lock. It
// knows AWS's codes and sentences, since they belong to the rules, but nothing
// of protocols, signatures or HTTP.
//
// All methods are safe for concurrent use and every change is atomic: a request
// that is refused has changed nothing. Refusals are *apierr.Error.
package world

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

// Instance is one worker.
type Instance struct {
	ID, Type, Zone, Role string
	// State is EC2's word, such as running.
	State string
	// Launched is when the simulation started.
	Launched time.Time
	Tags     map[string]string
	Metadata Metadata
}

// Metadata are an instance's metadata options.
type Metadata struct {
	HopLimit                 int
	TokensOptional, Disabled bool
}

// World is everything that exists.
type World struct {
	// Region, Account and VPC never change. VPC is the first of several.
	Region, Account string
	VPC             topology.VPC

	start topology.Topology // of which VPCs, groups and types never change

	now      func() time.Time
	rand     *rand.Rand
	settings *settings.Store

	mu           sync.RWMutex
	subnets      ordered[topology.Subnet]
	reservations ordered[topology.Reservation]
	instances    ordered[Instance]
	enis         ordered[history[*ENI]]           // a deleted ENI has a nil latest version
	holders      map[netip.Addr]string            // address -> ENI, now
	blocks       map[netip.Prefix]string          // delegated prefix -> ENI, now
	routes       map[netip.Prefix]history[string] // address or prefix -> ENI, over time
	created      map[string]creation              // client token -> what it created
	changed      chan struct{}                    // closed by announce; nil while nobody waits
}

// ordered is a map that remembers the order in which keys were added.
type ordered[T any] struct {
	keys  []string
	value map[string]T
}

func (o *ordered[T]) set(key string, v T) {
	if o.value == nil {
		o.value = map[string]T{}
	}
	if _, known := o.value[key]; !known {
		o.keys = append(o.keys, key)
	}
	o.value[key] = v
}

func (o *ordered[T]) remove(key string) {
	delete(o.value, key)
	o.keys = slices.DeleteFunc(o.keys, func(k string) bool { return k == key })
}

func (o *ordered[T]) list() []T {
	out := make([]T, 0, len(o.keys))
	for _, k := range o.keys {
		out = append(out, o.value[k])
	}
	return out
}

// New builds the world that a loaded topology describes.
func New(t topology.Topology, store *settings.Store, now func() time.Time, r *rand.Rand) *World {
	w := &World{
		Region: t.Region, Account: t.Account, VPC: t.VPC, start: t, now: now, rand: r, settings: store,
		holders: map[netip.Addr]string{}, blocks: map[netip.Prefix]string{},
		routes: map[netip.Prefix]history[string]{}, created: map[string]creation{},
	}
	for _, s := range t.Subnets {
		w.subnets.set(s.ID, s)
	}
	for _, res := range t.Reservations {
		if res.ID == "" {
			res.ID = w.newID("scr")
		}
		w.reservations.set(res.ID, res)
	}
	start := moment{at: now()} // no lag: the past is visible everywhere
	for _, in := range t.Instances {
		w.addInstance(in, start)
	}
	for _, e := range t.ENIs {
		made := fromTopology(e, t.Account)
		if e.Requester != "" {
			made.Attachment = &Attachment{ID: w.newID("ela-attach"), Owner: e.Requester, DeviceIndex: 1, At: start.at}
		}
		w.store(made, start)
	}
	return w
}

func (w *World) addInstance(in topology.Instance, start moment) {
	w.instances.set(in.ID, Instance{
		ID: in.ID, Type: in.Type, Zone: in.Zone, Role: in.Role, State: cmp.Or(in.State, topology.Running), Launched: start.at, Tags: maps.Clone(in.Tags),
		Metadata: Metadata{HopLimit: in.HopLimit, TokensOptional: in.TokensOptional},
	})
	for _, te := range in.ENIs {
		e := fromTopology(te, w.Account)
		e.Attachment = &Attachment{
			ID: w.newID("eni-attach"), Instance: in.ID, Owner: w.Account, DeviceIndex: te.DeviceIndex, NetworkCard: te.NetworkCard,
			At: start.at, DeleteOnTermination: true,
		}
		w.store(e, start)
	}
}

// newID returns an id of the form that EC2 uses: 17 hexadecimal digits.
func (w *World) newID(kind string) string {
	return fmt.Sprintf("%s-0%016x", kind, w.rand.Uint64())
}

// put stores a new version of an ENI as a change made now.
func (w *World) put(e *ENI) { w.store(e, moment{at: w.now(), lags: w.lags()}) }

// store records a version and follows it in the indexes.
func (w *World) store(e *ENI, m moment) {
	var old *ENI
	if h := w.enis.value[e.ID]; len(h) > 0 {
		old = h.latest()
	} else {
		w.announce()
	}
	w.enis.set(e.ID, w.enis.value[e.ID].add(e, m))
	w.reindex(e.ID, old, e, m)
}

// erase records that an ENI no longer exists.
func (w *World) erase(e *ENI) {
	m := moment{at: w.now(), lags: w.lags()}
	w.enis.set(e.ID, w.enis.value[e.ID].add(nil, m))
	w.reindex(e.ID, e, nil, m)
	w.announce()
}

// reindex moves holders, blocks and routes from one version to the next.
func (w *World) reindex(id string, old, e *ENI, m moment) {
	var before, after []netip.Prefix
	if old != nil {
		before = old.routes()
	}
	if e != nil {
		after = e.routes()
	}
	for _, p := range before {
		if !slices.Contains(after, p) {
			w.unroute(p, id, m)
		}
	}
	for _, p := range after {
		if !slices.Contains(before, p) {
			w.route(p, id, m)
		}
	}
}

func (w *World) route(p netip.Prefix, id string, m moment) {
	if p.IsSingleIP() {
		w.holders[p.Addr()] = id
	} else {
		w.blocks[p] = id
	}
	w.routes[p] = w.routes[p].add(id, m)
}

// unroute ignores an address that another ENI has taken over already.
func (w *World) unroute(p netip.Prefix, id string, m moment) {
	switch {
	case p.IsSingleIP() && w.holders[p.Addr()] == id:
		delete(w.holders, p.Addr())
	case !p.IsSingleIP() && w.blocks[p] == id:
		delete(w.blocks, p)
	default:
		return
	}
	w.routes[p] = w.routes[p].add("", m)
}
