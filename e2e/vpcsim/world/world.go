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

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/agenda"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/lag"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

// Instance is one worker.
type Instance struct {
	ID, Type, Zone, Role string
	// State is EC2's word, such as running.
	State string
	// Launched is when it was launched or started last.
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
	agenda   *agenda.Agenda

	mu           sync.RWMutex
	subnets      ordered[topology.Subnet]
	reservations ordered[topology.Reservation]
	instances    ordered[lag.History[Instance]]       // one that is gone has no id
	enis         ordered[lag.History[*ENI]]           // a deleted ENI has a nil latest version
	holders      map[netip.Addr]string                // address -> ENI, now
	blocks       map[netip.Prefix]string              // delegated prefix -> ENI, now
	routes       map[netip.Prefix]lag.History[string] // address or prefix -> ENI, over time
	followers    []func(Instance)                     // of the states of instances
	graves       []grave
	created      ordered[creation] // client token -> what it created
	changed      chan struct{}     // closed by announce; nil while nobody waits
}

// New builds the world that a loaded topology describes.
func New(t topology.Topology, store *settings.Store, now func() time.Time, r *rand.Rand, a *agenda.Agenda) *World {
	w := &World{
		Region: t.Region, Account: t.Account, VPC: t.VPC, start: t, now: now, rand: r, settings: store, agenda: a,
		holders: map[netip.Addr]string{}, blocks: map[netip.Prefix]string{},
		routes: map[netip.Prefix]lag.History[string]{},
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
	start := lag.Moment{At: now()} // no lag: the past is visible everywhere
	for _, in := range t.Instances {
		w.addInstance(in, start)
	}
	for _, e := range t.ENIs {
		made := fromTopology(e, t.Account)
		if e.Requester != "" {
			made.Attachment = &Attachment{ID: w.newID("ela-attach"), Owner: e.Requester, DeviceIndex: 1, At: start.At, Status: AttachmentDone}
		}
		w.store(made, start)
	}
	return w
}

func (w *World) addInstance(in topology.Instance, start lag.Moment) {
	w.instances.set(in.ID, lag.History[Instance]{}.Add(Instance{
		ID: in.ID, Type: in.Type, Zone: in.Zone, Role: in.Role, State: cmp.Or(in.State, topology.Running), Launched: start.At,
		Tags: maps.Clone(in.Tags), Metadata: Metadata{HopLimit: in.HopLimit, TokensOptional: in.TokensOptional},
	}, start))
	for _, te := range in.ENIs {
		e := fromTopology(te, w.Account)
		e.Attachment = &Attachment{
			ID: w.newID("eni-attach"), Instance: in.ID, Owner: w.Account, DeviceIndex: te.DeviceIndex, NetworkCard: te.NetworkCard,
			At: start.At, DeleteOnTermination: true, Status: AttachmentDone,
		}
		w.store(e, start)
	}
}

// newID returns an id of the form that EC2 uses: 17 hexadecimal digits.
func (w *World) newID(kind string) string {
	return fmt.Sprintf("%s-0%016x", kind, w.rand.Uint64())
}

// moment is now, with the lags that a change made now has.
func (w *World) moment() lag.Moment {
	return lag.Moment{At: w.now(), Lags: lag.Draw(w.settings.Get(), w.rand)}
}

// bounds are the longest lags.
func (w *World) bounds() lag.Lags { return lag.Bounds(w.settings.Get()) }

// put stores a new version of an ENI as a change made now.
func (w *World) put(e *ENI) { w.store(e, w.moment()) }

// store records a version and follows it in the indexes.
func (w *World) store(e *ENI, m lag.Moment) {
	var old *ENI
	if h := w.enis.value[e.ID]; len(h) > 0 {
		old = h.Latest()
	} else {
		w.announce()
	}
	w.enis.set(e.ID, w.enis.value[e.ID].Add(e, m))
	w.reindex(e.ID, old, e, m)
}

// erase records that an ENI no longer exists.
func (w *World) erase(e *ENI) {
	m := w.moment()
	w.enis.set(e.ID, w.enis.value[e.ID].Add(nil, m))
	w.bury(m, func() { w.enis.remove(e.ID) })
	w.reindex(e.ID, e, nil, m)
	w.announce()
}

// reindex moves holders, blocks and routes from one version to the next.
func (w *World) reindex(id string, old, e *ENI, m lag.Moment) {
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

func (w *World) route(p netip.Prefix, id string, m lag.Moment) {
	if p.IsSingleIP() {
		w.holders[p.Addr()] = id
	} else {
		w.blocks[p] = id
	}
	w.routes[p] = w.routes[p].Add(id, m)
}

// unroute ignores an address that another ENI has taken over already.
func (w *World) unroute(p netip.Prefix, id string, m lag.Moment) {
	switch {
	case p.IsSingleIP() && w.holders[p.Addr()] == id:
		delete(w.holders, p.Addr())
	case !p.IsSingleIP() && w.blocks[p] == id:
		delete(w.blocks, p)
	default:
		return
	}
	w.routes[p] = w.routes[p].Add("", m)
	w.bury(m, func() {
		if h := w.routes[p]; len(h) > 0 && h.Latest() == "" && h.Settled(w.now()) {
			delete(w.routes, p)
		}
	})
}
