// Package vpcsim simulates the parts of AWS that move IP addresses between
// workers: the EC2 and Auto Scaling Query APIs, the instance metadata service and
// the VPC's data path, with AWS's rules, limits, errors and delays. It shares no code with the
// product that is tested against it.
//
// A [Sim] is made of a [Topology] and gives http.Handlers, so that tests may run
// it in their own process, under testing/synctest too; [Sim.Listen] serves them
// on sockets, and [Command] is the program of that name.
//
// Where AWS's answers have been recorded, the simulator gives the same ones:
// the words of refusals, the order of elements and of checks, tokens, pages.
// Where no public source settles a behaviour there is a setting for it.
//
// The packages below it own one thing each: topology what exists at the start,
// world the state and EC2's rules, autoscaling groups and their hooks, eventbus
// events and their delivery, agenda what happens by itself, lag who sees a change
// when, ec2api, autoscalingapi and imds the protocols, query what the first two
// have in common, sigv4 signatures, throttle the token buckets, chaos the faults,
// journal the calls, settings what can be changed meanwhile, and control the
// interface for tests. Of the data path, fabric decides about frames, wire is the
// cable to a worker, dataplane joins the two over the world, and pcap writes what
// passes.
package vpcsim

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/agenda"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/autoscaling"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/autoscalingapi"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/chaos"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/control"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/credentials"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/dataplane"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/ec2api"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/eventbus"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/imds"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/journal"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/outage"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/sigv4"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/throttle"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/world"
)

// Forever as a count keeps a [Fault] until the next reset.
const Forever = chaos.Forever

// The types that users of a [Sim] meet.
type (
	// Topology is what exists at the start.
	Topology = topology.Topology
	// Settings is what can be changed while the simulator runs.
	Settings = settings.Settings
	// Fault is what happens to the next calls of an action.
	Fault = chaos.Fault
	// Call is one request to EC2 or Auto Scaling that arrived.
	Call = journal.Call
	// ENI is an ENI as the control API lists it.
	ENI = control.ENI
	// Group is an Auto Scaling group as the control API lists it.
	Group = control.Group
	// DataPlane is where packets go, with counters and captures.
	DataPlane = dataplane.Plane
)

// The key pair that signs requests, which is AWS's published example.
const (
	AccessKeyID     = credentials.ExampleKeyID
	SecretAccessKey = credentials.ExampleSecret
)

// How far a caller of [Sim.IMDS] is from the metadata service.
const (
	HostHops = imds.HostHops
	PodHops  = imds.PodHops
)

// Load reads a topology file. The error lists all of its mistakes.
func Load(r io.Reader) (Topology, error) { return topology.Load(r) }

// Options replaces time and chance. The zero value uses the real ones.
type Options struct {
	// Now is the clock, by default time.Now.
	Now func() time.Time
	// Sleep waits for a time or until closing is closed, by default with a
	// timer.
	Sleep func(d time.Duration, closing <-chan struct{})
	// Rand chooses addresses, ids and keys, by default at random.
	Rand rand.Source
}

// Sim is one simulated VPC.
type Sim struct {
	world       *world.World
	ec2         *ec2api.API
	autoscaling *autoscalingapi.API
	bus         *eventbus.Bus
	imds        *imds.Service
	control     *control.Control
	sleep       func(time.Duration) error
	closing     <-chan struct{}
	close       func()
}

// New builds a simulator. The error lists the topology's mistakes.
func New(t Topology, o Options) (*Sim, error) {
	if err := topology.Check(t); err != nil {
		return nil, err
	}
	s := settings.Defaults()
	if len(t.Settings) > 0 {
		var err error
		if s, err = s.With(t.Settings); err != nil {
			return nil, err
		}
	}
	o.fill()
	return newSim(t, settings.NewStore(s), o), nil
}

func newSim(t Topology, store *settings.Store, o Options) *Sim {
	r, closing := rand.New(&lockedSource{src: o.Rand}), make(chan struct{})
	sleep := func(d time.Duration) error { return sleepUntil(closing, o.Sleep, d) }
	plans := agenda.New(o.Now, o.Sleep)
	w, keys := world.New(t, store, o.Now, r, plans), credentials.NewStore(r)
	bus := eventbus.New(eventbus.Config{Settings: store, Agenda: plans, Rand: r, Now: o.Now, Account: t.Account, Region: t.Region})
	scaling := autoscaling.New(autoscaling.Config{World: w, Settings: store, Agenda: plans, Bus: bus, Rand: r, Now: o.Now}, t.Groups)
	faults, calls, buckets := chaos.NewQueue(slices.Concat(ec2api.Actions(), autoscalingapi.Actions())), &journal.Journal{}, throttle.New()
	metadata := imds.New(imds.Config{
		World: w, Settings: store, Faults: faults, Credentials: keys, Rand: r, Now: o.Now, Sleep: sleep,
		Closing: closing, Target: scaling.Target,
	})
	service := func(name string) query.Service {
		return query.Service{
			Settings: store, Faults: faults, Journal: calls, Rand: r, Now: o.Now, Sleep: sleep, CatchUp: plans.Run, Closing: closing,
			Verifier: sigv4.Verifier{
				Region: t.Region, Service: name, Lookup: keys.Lookup,
				ExpiredCode: func() string { return store.Get().ExpiredTokenCode },
			},
		}
	}
	return &Sim{
		world: w, imds: metadata, bus: bus, sleep: sleep, closing: closing,
		close: sync.OnceFunc(func() {
			close(closing)
			plans.Close()
		}),
		ec2:         &ec2api.API{Service: service("ec2"), World: w, Buckets: buckets},
		autoscaling: &autoscalingapi.API{Service: service("autoscaling"), World: w, Scaling: scaling},
		control: &control.Control{
			World: w, Settings: store, Faults: faults, Journal: calls, Buckets: buckets, IMDS: metadata,
			DataPlane: dataplane.New(dataplane.View{World: w}, o.Now), Closing: closing,
			Scaling: scaling, Bus: bus, CatchUp: plans.Run,
		},
	}
}

// EC2 serves the EC2 Query API. It may be shared by any number of servers.
func (s *Sim) EC2() http.Handler { return s.ec2 }

// AutoScaling serves the Auto Scaling Query API. It may be shared by any number
// of servers.
func (s *Sim) AutoScaling() http.Handler { return s.autoscaling }

// Subscribe has each event of Auto Scaling delivered as EventBridge would: as
// JSON, late or not at all as the settings say, each in a goroutine of its own.
func (s *Sim) Subscribe(deliver func(event []byte)) { s.bus.Subscribe(deliver) }

// Events lists all events so far as JSON, delivered or not.
func (s *Sim) Events() [][]byte { return s.bus.Events() }

// IMDS serves the metadata of one instance as a caller sees it that is hops
// away: [HostHops] or [PodHops]. The error says that there is no such instance.
func (s *Sim) IMDS(instance string, hops int) (http.Handler, error) {
	return s.imds.Handler(instance, hops)
}

// Control serves the control API.
func (s *Sim) Control() http.Handler { return s.control.Handler() }

// RoutedTo names the ENI to which the VPC delivers packets for addr, later than
// EC2 says so by the setting dataPathLag.
func (s *Sim) RoutedTo(addr netip.Addr) (eni string, ok bool) { return s.world.RoutedTo(addr) }

// DataPlane is what carries frames between the workers' cables, which
// [Sim.Listen] lays as sockets.
func (s *Sim) DataPlane() *DataPlane { return s.control.DataPlane }

// ENIs lists all ENIs as they are now, in the order of their creation.
func (s *Sim) ENIs() []ENI { return s.control.ENIs() }

// Groups lists all Auto Scaling groups as they are now.
func (s *Sim) Groups() []Group { return s.control.Groups() }

// SetDesired changes how many instances an Auto Scaling group shall have.
func (s *Sim) SetDesired(group string, n int) error { return s.control.SetDesired(group, n) }

// Command starts, stops, reboots or terminates an instance, or replaces its root
// volume ("replace-root-volume").
func (s *Sim) Command(instance, do string) error { return s.control.Command(instance, do) }

// Calls lists the calls of EC2 and Auto Scaling so far, with pending also those under way.
func (s *Sim) Calls(pending bool) []Call { return s.control.Journal.Calls(pending) }

// Settings returns the current settings.
func (s *Sim) Settings() Settings { return s.control.Settings.Get() }

// Set changes settings by a JSON object as the control API takes it. The error
// names what is wrong, and then nothing has changed.
func (s *Sim) Set(patch string) error {
	_, err := s.control.Settings.Patch([]byte(patch))
	return err
}

// Inject adds faults: all of them or, with an error, none.
func (s *Sim) Inject(faults ...Fault) error { return s.control.Faults.Add(faults...) }

// Reset forgets calls, faults, events and the data plane's counters and fills the
// token buckets. World and settings stay.
func (s *Sim) Reset() { s.control.Reset() }

// Close ends all requests that hang or wait, and nothing happens by itself any
// more. The simulator must not be used afterwards.
func (s *Sim) Close() { s.close() }

func (o *Options) fill() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = wait
	}
	if o.Rand == nil {
		o.Rand = rand.NewPCG(rand.Uint64(), rand.Uint64())
	}
}

// sleepUntil sleeps, and says when the simulator has closed meanwhile.
func sleepUntil(closing <-chan struct{}, sleep func(time.Duration, <-chan struct{}), d time.Duration) error {
	if d > 0 {
		sleep(d, closing)
	}
	select {
	case <-closing:
		return outage.ErrClosed
	default:
		return nil
	}
}

// wait sleeps until d has passed or closing is closed.
func wait(d time.Duration, closing <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-closing:
	}
}

// lockedSource lets all parts share one source.
type lockedSource struct {
	mu  sync.Mutex
	src rand.Source
}

// Uint64 implements rand.Source.
func (s *lockedSource) Uint64() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.src.Uint64()
}
