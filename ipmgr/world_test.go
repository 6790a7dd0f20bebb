package ipmgr_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// vpc is who owns which address, as EC2 knows it.
type vpc struct {
	mu      sync.Mutex
	owner   map[netip.Addr]string
	history []string // every change of an owner, "address eni"
}

func newVPC() *vpc { return &vpc{owner: map[netip.Addr]string{}} }

func (v *vpc) set(ip, eni string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.owner[netip.MustParseAddr(ip)] = eni
	v.history = append(v.history, ip+" "+eni)
}

func (v *vpc) get(ip string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.owner[netip.MustParseAddr(ip)]
}

func (v *vpc) changes() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.history)
}

func (v *vpc) held(eni string) []netip.Addr {
	v.mu.Lock()
	defer v.mu.Unlock()
	var addrs []netip.Addr
	for addr, id := range v.owner {
		if id == eni {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// cloud is one worker's way to the VPC. Each call takes latency.
type cloud struct {
	vpc     *vpc
	latency time.Duration

	mu                       sync.Mutex
	enis                     []plan.ENI
	frozen                   map[string][]netip.Addr // what IMDS shows while it lags, by ENI
	attached                 error                   // fails Attached
	byMAC                    bool                    // Attached shows only the ENIs with the MACs it is asked for
	refuse                   map[string]error        // fails the assignment of an address
	failures                 int                     // fails that many assignments with a transient fault
	assigns                  []time.Time             // when assignments were tried
	sizes                    []int                   // how many addresses each of them had
	looks                    int
	busy                     int // assignments under way
	busiest                  int // the most at a time
	questions, mostQuestions int // for owners that are under way, and the most at a time

	throttle *rate.Limiter // EC2's token bucket of assignments; nil has no end
	room     int           // addresses that the ENI takes; 0 has no end
}

func newCloud(v *vpc, eni string) *cloud {
	return &cloud{vpc: v, latency: 10 * time.Millisecond, refuse: map[string]error{}, enis: []plan.ENI{{
		ID: eni, MAC: "02:00:00:00:00:01", DeviceIndex: 1,
		Primary: netip.MustParseAddr("10.10.1.11"), Subnets: []netip.Prefix{netip.MustParsePrefix("10.10.1.0/24")},
	}}}
}

func (c *cloud) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// load tells how often the worker was looked at, how many addresses the
// assignments had, and how many of them were under way at a time.
func (c *cloud) load() (looks int, sizes []int, busiest int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.looks, slices.Clone(c.sizes), c.busiest
}

func (c *cloud) tries() []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.assigns)
}

func (c *cloud) wait(ctx context.Context) error {
	c.mu.Lock()
	latency := c.latency
	c.mu.Unlock()
	select {
	case <-time.After(latency):
		return nil
	case <-ctx.Done():
		return &fault.Error{Code: "Unreachable", Err: ctx.Err()}
	}
}

func (c *cloud) Attached(ctx context.Context, addrs []plan.Address) ([]plan.ENI, error) {
	c.change(func() { c.looks++ })
	if err := c.wait(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.attached != nil {
		return nil, c.attached
	}
	enis := slices.Clone(c.enis)
	if c.byMAC {
		enis = slices.DeleteFunc(enis, func(e plan.ENI) bool {
			return !slices.ContainsFunc(addrs, func(a plan.Address) bool { return a.MAC == e.MAC })
		})
	}
	for i := range enis {
		enis[i].Addresses = c.vpc.held(enis[i].ID)
		if shown, ok := c.frozen[enis[i].ID]; ok {
			enis[i].Addresses = shown
		}
	}
	return enis, nil
}

func (c *cloud) Assign(ctx context.Context, step plan.Step) (map[netip.Addr]error, map[netip.Addr]plan.Holder) {
	c.change(func() {
		c.assigns, c.sizes = append(c.assigns, time.Now()), append(c.sizes, len(step.Addrs))
		c.busy++
		c.busiest = max(c.busiest, c.busy)
	})
	errs := map[netip.Addr]error{}
	err := c.wait(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy--
	if c.failures > 0 || c.throttle != nil && !c.throttle.Allow() {
		c.failures--
		err = &fault.Error{ENI: step.ENI.ID, Code: "RequestLimitExceeded", Meaning: fault.Throttled, Err: errors.New("slow down")}
	}
	for _, addr := range step.Addrs {
		if refusal := c.refuse[addr.String()]; err != nil || refusal != nil {
			errs[addr] = errors.Join(err, refusal)
			continue
		}
		if c.room > 0 && len(c.vpc.held(step.ENI.ID)) >= c.room && c.vpc.get(addr.String()) != step.ENI.ID {
			errs[addr] = permanent(addr.String())
			continue
		}
		c.vpc.set(addr.String(), step.ENI.ID)
	}
	return errs, nil
}

func (c *cloud) Unassign(ctx context.Context, eni plan.ENI, addrs []netip.Addr) error {
	if err := c.wait(ctx); err != nil {
		return err
	}
	for _, addr := range addrs {
		if c.vpc.get(addr.String()) == eni.ID {
			c.vpc.set(addr.String(), "")
		}
	}
	return nil
}

func (c *cloud) Owner(ctx context.Context, addr netip.Addr) (plan.Holder, error) {
	c.change(func() {
		c.questions++
		c.mostQuestions = max(c.mostQuestions, c.questions)
	})
	defer c.change(func() { c.questions-- })
	return plan.Holder{ENI: c.vpc.get(addr.String())}, c.wait(ctx)
}

// pod is a network namespace.
type pod struct {
	mu         sync.Mutex
	addrs      []plan.Address
	wake       chan struct{}
	fail       error
	neighbours map[string]bool
	answered   map[string]time.Time // when a neighbour that had an address then said so; the kernel remembers it
	silent     error                // nobody can be asked for an address
	questions  []time.Time          // when a neighbour was asked for
	left       []netip.Addr
	links      []string // without an address
}

func newPod(ips ...string) *pod {
	p := &pod{wake: make(chan struct{}, 1), neighbours: map[string]bool{}, answered: map[string]time.Time{}, links: []string{"net1"}}
	for _, ip := range ips {
		p.add(ip, "net1", "02:00:00:00:00:01")
	}
	return p
}

func (p *pod) add(ip, link, mac string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addrs = append(p.addrs, plan.Address{Addr: netip.MustParseAddr(ip), Interface: link, MAC: mac})
	p.poke()
}

// put gives the pod an address with everything that the kernel says about it.
func (p *pod) put(a plan.Address) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addrs = append(p.addrs, a)
	p.poke()
}

func (p *pod) remove(ip string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addrs = slices.DeleteFunc(p.addrs, func(a plan.Address) bool { return a.Addr.String() == ip })
	p.left = append(p.left, netip.MustParseAddr(ip))
	p.poke()
}

// flap lets an address leave and come back faster than anyone can look.
func (p *pod) flap(ip string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = append(p.left, netip.MustParseAddr(ip))
	p.poke()
}

// Left is what was removed.
func (p *pod) Left() []netip.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.left
	p.left = nil
	return left
}

func (p *pod) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pod) Addresses(context.Context) ([]plan.Address, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.addrs), p.fail
}

func (p *pod) Interfaces(context.Context) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	names := []string{"lo", "eth0"}
	for _, a := range p.addrs {
		names = append(names, a.Interface)
	}
	return append(names, p.links...), p.fail
}

func (p *pod) Changes(ctx context.Context) (<-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wake, out := p.wake, make(chan struct{}, 1)
	go func() {
		defer close(out)
		for {
			select {
			case _, open := <-wake:
				if !open {
					return
				}
				out <- struct{}{}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

// drop makes the kernel lose the subscription.
func (p *pod) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.wake)
	p.wake = make(chan struct{}, 1)
}

func (p *pod) HeldByNeighbour(_ context.Context, _ string, addr netip.Addr, since time.Time) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.questions = append(p.questions, time.Now())
	if at, remembered := p.answered[addr.String()]; remembered && at.After(since) {
		return true, nil
	}
	return p.neighbours[addr.String()], p.silent
}

func manager(p *pod, c *cloud, change func(*spec.Settings)) *ipmgr.Manager {
	settings := spec.Default()
	settings.Interfaces = []string{"net1"}
	if change != nil {
		change(&settings)
	}
	return &ipmgr.Manager{Settings: settings, Links: p, ENIs: c, Log: slog.New(slog.DiscardHandler), Random: func() float64 { return 0.5 }}
}

// follow runs the manager until the returned function ends it.
func follow(t *testing.T, m *ipmgr.Manager) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Follow(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

func wantOwner(t *testing.T, v *vpc, ip, eni string) {
	t.Helper()
	if got := v.get(ip); got != eni {
		t.Errorf("%s is on ENI %q, want %q", ip, got, eni)
	}
}
