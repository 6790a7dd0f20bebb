package ipmgr

import (
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

// EC2 lets all pods of an account share 5 assignments a second, so what one pod
// may take of them is bounded, whatever comes and goes on its links. The first
// claims are free: a floating address is claimed at once when it appears, and
// again at once when it comes back a few times.
const (
	addressBurst, addressEvery     = 5, 4 * time.Second // claims of one address; a retry has its own pause
	againBurst, againEvery         = 24, 2 * time.Second
	firstBurst, firstEvery         = 64, time.Second
	lookBurst, lookEvery           = 32, 2 * time.Second
	readinessBurst, readinessEvery = 20, 10 * time.Second
	// maxRemembered bounds the addresses whose claims are remembered after
	// they left. Beyond it the budgets of their ENI bound them alone.
	maxRemembered = 1024
	// maxQuestions bounds the questions for owners that are under way.
	maxQuestions = 4
)

// route is what one assignment is for: an ENI, and a family of addresses.
type route struct {
	eni string
	is4 bool
}

func routeOf(p plan.Placement) route { return route{p.ENI.ID, p.Address.Is4()} }

func routeOfStep(s plan.Step) route { return route{s.ENI.ID, s.Addrs[0].Is4()} }

// budget bounds the assignments of one route.
type budget struct {
	first *rate.Limiter // with an address that was not claimed before
	again *rate.Limiter // with none but such that were
	busy  bool          // one is under way
}

// pace remembers how often EC2 was called for what.
type pace struct {
	addresses map[netip.Addr]*claims // also of addresses that left
	budgets   map[route]*budget
	looks     *rate.Limiter // looks for the ENI of an address that appeared
	readiness *rate.Limiter // changes of readiness in the log
}

// claims bounds those of one address.
type claims struct {
	*rate.Limiter

	logged bool // it was logged that they are delayed
}

func newPace() *pace {
	return &pace{addresses: map[netip.Addr]*claims{}, budgets: map[route]*budget{}, looks: every(lookEvery, lookBurst), readiness: every(readinessEvery, readinessBurst)}
}

func every(d time.Duration, burst int) *rate.Limiter { return rate.NewLimiter(rate.Every(d), burst) }

// timeToToken is the time until l has a token. It is never a little too short.
func timeToToken(l *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - l.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing/float64(l.Limit())*float64(time.Second)) + time.Millisecond
}

func (p *pace) budget(r route) *budget {
	b := p.budgets[r]
	if b == nil {
		b = &budget{first: every(firstEvery, firstBurst), again: every(againEvery, againBurst)}
		p.budgets[r] = b
	}
	return b
}

// claimedLately reports whether the address was claimed lately.
func (p *pace) claimedLately(addr netip.Addr) bool { return p.addresses[addr] != nil }

// claimDelay is how long the claim of an entry has to wait for its tokens.
func (p *pace) claimDelay(e *entry, r route, now time.Time) time.Duration {
	b := p.budget(r)
	shared := b.first
	if e.claimedBefore {
		shared = b.again
	}
	return max(p.addressDelay(e, now), timeToToken(shared, now))
}

// addressDelay is the delay that is due to the address alone.
func (p *pace) addressDelay(e *entry, now time.Time) time.Duration {
	if own := p.addresses[e.address.Addr]; own != nil && e.tries == 0 {
		return timeToToken(own.Limiter, now)
	}
	return 0
}

// spendTokens takes the tokens of one assignment.
func (p *pace) spendTokens(r route, entries []*entry, now time.Time) {
	again := true
	for _, e := range entries {
		again = again && e.claimedBefore
		if e.tries == 0 {
			p.spendOfAddress(e.address.Addr, now)
		}
	}
	b := p.budget(r)
	if again {
		b.again.AllowN(now, 1)
	} else {
		b.first.AllowN(now, 1)
	}
}

func (p *pace) spendOfAddress(addr netip.Addr, now time.Time) {
	own := p.addresses[addr]
	if own == nil {
		p.forgetRested(now)
		if len(p.addresses) >= maxRemembered {
			return
		}
		own = &claims{Limiter: every(addressEvery, addressBurst)}
		p.addresses[addr] = own
	}
	own.AllowN(now, 1)
}

// forgetRested drops the addresses whose tokens are all there again, which are like
// new ones, when there are too many.
func (p *pace) forgetRested(now time.Time) {
	if len(p.addresses) < maxRemembered {
		return
	}
	for addr, own := range p.addresses {
		if own.TokensAt(now) >= addressBurst {
			delete(p.addresses, addr)
		}
	}
}
