package ipmgr_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// place is an address on an ENI.
type place struct {
	addr netip.Addr
	eni  string
}

// witness stands between the manager and the cloud, remembers what each of them
// was told, and objects to what breaks a rule of the design.
type witness struct {
	*cloud
	pod *pod

	mu       sync.Mutex
	tried    map[place]bool      // an assignment, which may have been made although it failed
	accepted map[place]time.Time // the assignment's answer
	shown    map[place]time.Time // start of the last look that showed it
	fixed    map[place]bool      // by the last look
	owned    map[place]bool      // by EC2's answer to who owns it
	refused  map[netip.Addr]bool // and not assigned since
	leaving  map[place]bool      // an unassignment is in flight
	verify   bool
	ended    bool
	breaches []string
}

func newWitness(c *cloud, p *pod, verify bool) *witness {
	return &witness{
		cloud: c, pod: p, verify: verify, tried: map[place]bool{},
		accepted: map[place]time.Time{}, shown: map[place]time.Time{}, fixed: map[place]bool{}, owned: map[place]bool{},
		refused: map[netip.Addr]bool{}, leaving: map[place]bool{},
	}
}

func (w *witness) breach(format string, args ...any) {
	w.breaches = append(w.breaches, fmt.Sprintf(format, args...))
}

func (w *witness) note(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *witness) Attached(ctx context.Context, addrs []plan.Address) ([]plan.ENI, error) {
	started := time.Now()
	enis, err := w.cloud.Attached(ctx, addrs)
	w.note(func() {
		for _, e := range enis {
			for _, addr := range e.Addresses {
				w.shown[place{addr, e.ID}] = started
			}
			for _, a := range addrs {
				w.fixed[place{a.Addr, e.ID}] = e.Fixes(a.Addr)
			}
		}
	})
	return enis, err
}

func (w *witness) Assign(ctx context.Context, step plan.Step) (map[netip.Addr]error, map[netip.Addr]plan.Holder) {
	w.note(func() {
		for _, addr := range step.Addrs {
			w.tried[place{addr, step.ENI.ID}] = true
			if w.leaving[place{addr, step.ENI.ID}] {
				w.breach("%s is assigned while it is being released, and either may come first", addr)
			}
		}
	})
	errs, from := w.cloud.Assign(ctx, step)
	w.note(func() {
		for _, addr := range step.Addrs {
			if errs[addr] == nil {
				w.accepted[place{addr, step.ENI.ID}] = time.Now()
				delete(w.owned, place{addr, step.ENI.ID})
			}
		}
	})
	return errs, from
}

func (w *witness) Owner(ctx context.Context, addr netip.Addr) (plan.Holder, error) {
	owner, err := w.cloud.Owner(ctx, addr)
	w.note(func() { w.owned[place{addr, owner.ENI}] = true })
	return owner, err
}

// Unassign objects to a release of what the pod or one beside it has (rule 5).
func (w *witness) Unassign(ctx context.Context, eni plan.ENI, addrs []netip.Addr) error {
	for _, addr := range addrs {
		had, neighbour := w.pod.has(addr)
		w.note(func() {
			switch {
			case had && !w.ended:
				w.breach("%s is released, which the pod has", addr)
			case neighbour && !had:
				w.breach("%s is released, which a pod on the same worker has", addr)
			case !w.tried[place{addr, eni.ID}]:
				w.breach("%s is released, which was never to be assigned to %s", addr, eni.ID)
			}
			w.leaving[place{addr, eni.ID}] = true
		})
	}
	err := w.cloud.Unassign(ctx, eni, addrs)
	w.note(func() {
		for _, addr := range addrs {
			delete(w.leaving, place{addr, eni.ID})
		}
	})
	return err
}

// proven reports whether an address may count as held: the cloud was seen to
// have it on the ENI, since EC2 accepted that (rule 1).
func (w *witness) proven(p place) bool {
	accepted, claimed := w.accepted[p]
	shown, seen := w.shown[p]
	verified := seen && !shown.Before(accepted) || !w.verify
	return w.fixed[p] || claimed && (verified || w.owned[p])
}

// Handle reads the log: an address is reported as assigned at the moment when
// it becomes held.
func (w *witness) Handle(_ context.Context, r slog.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch r.Message {
	case "the address is in a phase that knows no such event, please report this":
		w.breach("%s", text(r))
	case "address refused":
		w.refused[placeOf(r).addr] = true
	case "address assigned":
		p := placeOf(r)
		delete(w.refused, p.addr)
		if !w.proven(p) {
			w.breach("%s is reported on %s without proof", p.addr, p.eni)
		}
	}
	return nil
}

func (w *witness) Enabled(context.Context, slog.Level) bool { return true }
func (w *witness) WithGroup(string) slog.Handler            { return w }
func (w *witness) WithAttrs(attrs []slog.Attr) slog.Handler { return &bearer{w, attrs} }

// bearer is the witness as handler of a logger with attributes.
type bearer struct {
	*witness

	attrs []slog.Attr
}

func (b *bearer) Handle(ctx context.Context, r slog.Record) error {
	r.AddAttrs(b.attrs...)
	return b.witness.Handle(ctx, r)
}

func text(r slog.Record) string {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	return line
}

func placeOf(r slog.Record) (p place) {
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "address":
			p.addr = netip.MustParseAddr(a.Value.String())
		case "eni":
			p.eni = a.Value.String()
		}
		return true
	})
	return p
}

// has reports who has an address: the pod, and one beside it.
func (p *pod) has(addr netip.Addr) (here, beside bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	here = slices.ContainsFunc(p.addrs, func(a plan.Address) bool { return a.Addr == addr })
	return here, p.neighbours[addr.String()]
}

// judge compares the published status with what the manager was told.
func (w *witness) judge(s ipmgr.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range s.Addresses {
		switch a.State {
		case "held":
			if p := (place{a.Addr, a.ENI}); !w.proven(p) {
				w.breach("%s counts as held by %s without proof", p.addr, p.eni)
			}
		case "foreign":
		case "refused":
			if s.Err == nil && a.Interface == "net1" {
				w.breach("ready although %s was refused", a.Addr)
			}
		default: // what was refused where no address is required does not block, also while it is tried again
			if s.Err == nil && (a.Interface == "net1" || !w.refused[a.Addr]) {
				w.breach("ready although %s is %s", a.Addr, a.State)
			}
		}
	}
}

// drama is a world in which a script lets things happen.
type drama struct {
	vpc     *vpc
	cloud   *cloud
	pod     *pod
	witness *witness
	enis    []plan.ENI // all that were ever attached
}

var cast = []string{"10.10.1.81", "10.10.1.82", "10.10.1.83", "10.10.9.9"}

func newDrama(verify bool) *drama {
	v := newVPC()
	d := &drama{vpc: v, cloud: newCloud(v, "eni-1"), pod: newPod()}
	d.cloud.enis = append(d.cloud.enis, twin())
	d.enis = slices.Clone(d.cloud.enis)
	d.pod.put(bound(cast[0], "net1", mac1))
	d.witness = newWitness(d.cloud, d.pod, verify)
	return d
}

// attached is which ENIs the worker has, by the bits of n.
func (d *drama) attach(n int) {
	d.cloud.change(func() {
		d.cloud.enis = nil
		for i, e := range d.enis {
			if n>>i&1 == 0 {
				d.cloud.enis = append(d.cloud.enis, e)
				continue
			}
			for _, addr := range d.vpc.held(e.ID) {
				d.vpc.set(addr.String(), "")
			}
		}
	})
}

// happen carries out one line of the script.
func (d *drama) happen(what, arg int) {
	ip := cast[arg%len(cast)]
	here, _ := d.pod.has(netip.MustParseAddr(ip))
	switch what % 14 {
	case 0, 1:
		if !here {
			d.pod.put(bound(ip, []string{"net1", "sig0"}[arg>>2&1], []string{mac1, twin().MAC}[arg>>2&1]))
		}
	case 2:
		if here {
			d.pod.remove(ip)
		}
	case 3:
		if here {
			d.pod.flap(ip)
		}
	case 4:
		d.vpc.set(ip, []string{"eni-9", ""}[arg>>2&1])
	case 5:
		d.cloud.change(func() {
			d.cloud.frozen = nil
			if arg&1 == 0 {
				d.cloud.frozen = map[string][]netip.Addr{"eni-1": d.vpc.held("eni-1"), "eni-2": nil}
			}
		})
	case 6:
		d.cloud.change(func() { d.cloud.failures = arg % 4 })
	case 7:
		d.cloud.change(func() { d.cloud.refuse[ip] = permanent(ip) })
	case 8:
		d.cloud.change(func() {
			d.cloud.refuse[ip] = &fault.Error{Code: "InternalError", Meaning: []fault.Meaning{fault.Transient, fault.Missing}[arg>>2&1]}
		})
	case 9:
		d.cloud.change(func() { clear(d.cloud.refuse) })
	case 10:
		d.attach(arg % 4)
	case 11:
		d.pod.mu.Lock()
		d.pod.neighbours[ip] = !here && arg&4 != 0
		d.pod.mu.Unlock()
	case 12:
		d.pod.silence([]error{nil, errors.New("no route")}[arg&1])
	case 13:
		d.cloud.change(func() {
			d.cloud.attached = []error{nil, &fault.Error{Code: "Unreachable"}}[arg&1]
			d.cloud.latency = []time.Duration{10 * time.Millisecond, 300 * time.Millisecond}[arg>>1&1]
			for i := range d.cloud.enis {
				d.cloud.enis[i].Prefixes = nil
				if arg&4 != 0 {
					d.cloud.enis[i].Prefixes = []netip.Prefix{netip.MustParsePrefix("10.10.1.82/31")}
				}
			}
		})
	}
}

// heal ends all that stands in the way of the pod's addresses.
func (d *drama) heal() {
	d.cloud.change(func() {
		d.cloud.frozen, d.cloud.failures, d.cloud.attached = nil, 0, nil
		d.cloud.enis = slices.Clone(d.enis)
		clear(d.cloud.refuse)
	})
	d.pod.silence(nil)
}

// play lets a script happen to a pod, and then all be well. Two bytes are one
// event and the time until the next.
func (d *drama) play(t *testing.T, m *ipmgr.Manager, script []byte) {
	t.Helper()
	stop, began, events := follow(t, m), time.Now(), len(script)/2
	pauses := []time.Duration{0, time.Millisecond, 8 * time.Millisecond, 40 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second, 20 * time.Second, 90 * time.Second}
	for len(script) >= 2 {
		d.happen(int(script[0]), int(script[1]))
		time.Sleep(pauses[int(script[0])>>4%len(pauses)])
		script = script[2:]
		synctest.Wait()
		d.witness.judge(m.Status())
	}
	// The first look is owed to the start, however short the script.
	if looks, _, _ := d.cloud.load(); float64(looks) > 1+time.Since(began).Seconds()+60*float64(events) {
		t.Errorf("%d looks in %v with %d events", looks, time.Since(began), events)
	}
	d.heal()
	time.Sleep(30 * time.Minute)
	d.wantRest(t, 10*time.Minute)
	synctest.Wait()
	d.witness.judge(m.Status())
	d.wantAllAssigned(t, m.Status())
	d.witness.note(func() { d.witness.ended = true })
	_ = stop()
	for _, breach := range d.witness.breaches {
		t.Error(breach)
	}
}

// wantRest fails unless nothing but resyncs happens for a while (rule 7).
func (d *drama) wantRest(t *testing.T, while time.Duration) {
	t.Helper()
	looks, sizes, _ := d.cloud.load()
	time.Sleep(while)
	looksThen, sizesThen, _ := d.cloud.load()
	if got := looksThen - looks; got > int(while/(spec.Default().Resync/2)) {
		t.Errorf("%d looks in %v at rest", got, while)
	}
	if got := len(sizesThen) - len(sizes); got > 0 {
		t.Errorf("%d assignments in %v at rest", got, while)
	}
}

func (d *drama) wantAllAssigned(t *testing.T, s ipmgr.Status) {
	t.Helper()
	outside := false
	for _, a := range d.pod.addrs {
		if !d.enis[0].Subnets[0].Contains(a.Addr) {
			outside = outside || a.Interface == "net1"
			continue
		}
		wantOwner(t, d.vpc, a.Addr.String(), map[string]string{"net1": "eni-1", "sig0": "eni-2"}[a.Interface])
	}
	carried := slices.ContainsFunc(d.pod.addrs, func(a plan.Address) bool { return a.Interface == "net1" })
	if ready := s.Err == nil; ready != (carried && !outside) {
		t.Errorf("forty minutes after all was well: %v, the pod has %v", s.Err, d.pod.addrs)
	}
}

// longestScript bounds how long one life takes to play.
const longestScript = 400

func live(t *testing.T, script []byte) {
	t.Helper()
	if len(script) == 0 {
		return // nothing happens in this life
	}
	script = script[:min(len(script), longestScript)]
	synctest.Test(t, func(t *testing.T) {
		verify := script[0]&3 != 0
		d := newDrama(verify)
		m := manager(d.pod, d.cloud, func(s *spec.Settings) { s.Release, s.Verify = script[0]&4 != 0, verify })
		m.ENIs, m.Log, m.Random = d.witness, slog.New(d.witness), dice()
		d.play(t, m, script[1:])
	})
}

// FuzzLife lets anything happen to the addresses of a pod: they come, go and
// flap, other ENIs take them, ENIs go, EC2 fails, refuses and lags, and
// neighbours hold them. Whatever it is, an address counts as held on proof only
// (rule 1), nothing is released that somebody has (rule 5), all is well forty
// minutes after the world is (rules 2 and 3), and nothing is polled (rule 7).
func FuzzLife(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 150 {
		script := []byte{byte(random.IntN(256))}
		arg := random.IntN(256)
		for range random.IntN(60) {
			if random.IntN(2) == 0 { // else the same address again
				arg = random.IntN(256)
			}
			script = append(script, byte(random.IntN(256)), byte(arg))
		}
		f.Add(script)
	}
	f.Fuzz(live)
}
