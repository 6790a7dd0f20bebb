// Package eventbus is EventBridge as far as the simulated services use it: what
// they publish is delivered late, not at all, twice or in another order, as the
// settings say.
package eventbus

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/agenda"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
)

// Bounds. Of more events than are kept the older half is forgotten; deliveries
// beyond those that may be under way are lost.
const (
	MaxKept       = 20_000
	MaxDeliveries = 10_000
)

// MaxHold is how much longer than others an event takes that is overtaken.
const MaxHold = 30 * time.Second

// Event is what a service publishes.
type Event struct {
	Source, Kind string
	Resources    []string
	Detail       any
}

// envelope is an event as EventBridge delivers it.
type envelope struct {
	Version   string   `json:"version"`
	ID        string   `json:"id"`
	Kind      string   `json:"detail-type"`
	Source    string   `json:"source"`
	Account   string   `json:"account"`
	Time      string   `json:"time"`
	Region    string   `json:"region"`
	Resources []string `json:"resources"`
	Detail    any      `json:"detail"`
}

// Config is what a bus needs. All fields are required.
type Config struct {
	Settings        *settings.Store
	Agenda          *agenda.Agenda
	Rand            *rand.Rand
	Now             func() time.Time
	Account, Region string
}

// Bus delivers events to all who subscribed.
type Bus struct {
	Config
	mu          sync.Mutex
	kept        [][]byte
	subscribers []func([]byte)
	underWay    int
	done        sync.WaitGroup
}

// New returns a bus without subscribers.
func New(c Config) *Bus { return &Bus{Config: c} }

// Subscribe has each event delivered as JSON, each in a goroutine of its own.
func (b *Bus) Subscribe(deliver func(event []byte)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subscribers = append(b.subscribers, deliver)
}

// Publish sends an event on its way.
func (b *Bus) Publish(e Event) {
	data, err := json.Marshal(envelope{
		Version: "0", ID: query.UUID(b.Rand), Kind: e.Kind, Source: e.Source, Account: b.Account,
		Time: b.Now().UTC().Format(time.RFC3339), Region: b.Region, Resources: e.Resources, Detail: e.Detail,
	})
	if err != nil {
		return // details are plain structures
	}
	b.keep(data)
	s := b.Settings.Get()
	if b.Rand.Float64() < s.EventLoss {
		return
	}
	b.deliver(s, data)
	if b.Rand.Float64() < s.EventDuplicates {
		b.deliver(s, data)
	}
}

func (b *Bus) keep(data []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.kept) == MaxKept {
		b.kept = slices.Clone(b.kept[MaxKept/2:])
	}
	b.kept = append(b.kept, data)
}

// Events returns all events that were published, delivered or not.
func (b *Bus) Events() [][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.kept)
}

// deliver plans one delivery to each subscriber.
func (b *Bus) deliver(s settings.Settings, data []byte) {
	wait := s.EventLag.Value()
	if b.Rand.Float64() < s.EventReorder {
		wait += time.Duration(b.Rand.Int64N(int64(MaxHold)))
	}
	b.Agenda.After(wait, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, to := range b.subscribers {
			if b.underWay == MaxDeliveries {
				return
			}
			b.underWay++
			b.done.Go(func() {
				to(data)
				b.mu.Lock()
				defer b.mu.Unlock()
				b.underWay--
			})
		}
	})
}

// Wait waits for the deliveries that are under way.
func (b *Bus) Wait() { b.done.Wait() }

// Reset forgets the events that were published.
func (b *Bus) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = nil
}
