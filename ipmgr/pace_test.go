package ipmgr_test

import (
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// toggle adds and removes what next names, every 20 ms in all, for a while.
func toggle(p *pod, d time.Duration, next func(i int) string) {
	for i := range int(d / (20 * time.Millisecond)) {
		ip := next(i)
		p.add(ip, "net1", mac1)
		time.Sleep(10 * time.Millisecond)
		p.remove(ip)
		time.Sleep(10 * time.Millisecond)
	}
}

func numbered(i int) string { return fmt.Sprintf("10.10.1.%d", 100+i) }

func TestFollowCallsLittleForAddressesThatComeAndGo(t *testing.T) {
	tests := []struct {
		name    string
		next    func(i int) string
		calls   int // in a minute, at the most
		looks   int
		release bool
		outside bool
	}{
		{name: "one address", next: func(int) string { return vip }, calls: 1 + 5 + 15, looks: 80},
		{name: "one address, with release", next: func(int) string { return vip }, calls: 1 + 5 + 15, looks: 80, release: true},
		{name: "thirty addresses in turn", next: func(i int) string { return numbered(i % 30) }, calls: 1 + 30 + 24 + 30, looks: 300},
		{name: "a new address each time", next: func(i int) string { return fmt.Sprintf("10.10.%d.%d", 2+i/250, 1+i%250) }, calls: 1 + 64 + 60, looks: 300},
		{name: "an address outside the subnet", next: func(int) string { return "192.168.9.9" }, outside: true, calls: 1, looks: 32 + 30 + 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVPC()
				c, p := newCloud(v, "eni-1"), newPod("10.10.1.81")
				if !tt.outside {
					c.enis[0].Subnets = []netip.Prefix{netip.MustParsePrefix("10.10.0.0/16")}
				}
				stop := follow(t, manager(p, c, func(s *spec.Settings) { s.Release = tt.release }))
				time.Sleep(time.Second)
				toggle(p, time.Minute, tt.next)
				if got := len(c.tries()); got > tt.calls {
					t.Errorf("%d assignments in a minute, want %d or fewer", got, tt.calls)
				}
				if looks, _, _ := c.load(); looks > tt.looks {
					t.Errorf("%d looks in a minute, want %d or fewer", looks, tt.looks)
				}
				if tt.outside {
					_ = stop()
					return
				}
				// It is still claimed in the end, and another one is not in its way.
				p.add(vip, "net1", mac1)
				p.add("10.10.1.99", "net1", mac1)
				time.Sleep(200 * time.Millisecond)
				if tt.name == "one address" {
					wantOwner(t, v, "10.10.1.99", "eni-1")
				}
				time.Sleep(5 * time.Second)
				wantOwner(t, v, vip, "eni-1")
				wantOwner(t, v, "10.10.1.99", "eni-1")
				_ = stop()
			})
		})
	}
}

func TestFollowSaysOnceThatAnAddressComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := newCloud(newVPC(), "eni-1"), newPod("10.10.1.81")
		m := manager(p, c, nil)
		var log strings.Builder
		m.Log = slog.New(slog.NewTextHandler(&log, nil))
		stop := follow(t, m)
		time.Sleep(time.Second)
		toggle(p, 10*time.Second, func(int) string { return vip })
		p.add(vip, "net1", mac1)
		time.Sleep(10 * time.Millisecond)
		if err := m.Status().Err; err == nil || !strings.Contains(err.Error(), "comes and goes") {
			t.Errorf("status %v does not say that the address comes and goes", err)
		}
		_ = stop()
		if got := strings.Count(log.String(), "its claims are delayed"); got != 1 {
			t.Errorf("said %d times, want once", got)
		}
		if lines := strings.Count(log.String(), "\n"); lines > 60 {
			t.Errorf("%d lines of log for 500 changes", lines)
		}
	})
}

func TestFollowClaimsEveryAddressAtOnceTheFirstTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := newCloud(newVPC(), "eni-1"), newPod("10.10.1.81")
		c.latency = time.Millisecond
		stop := follow(t, manager(p, c, nil))
		time.Sleep(time.Second)
		for i := range 40 { // as the figure of the design is measured
			appeared := time.Now()
			ip := numbered(i % 20)
			p.add(ip, "net1", mac1)
			time.Sleep(150 * time.Millisecond)
			tries := c.tries()
			if last := tries[len(tries)-1]; !last.Equal(appeared) {
				t.Errorf("claim %d of %s came after %v, want at once", i/20+1, ip, last.Sub(appeared))
			}
			p.remove(ip)
		}
		_ = stop()
	})
}

func TestFollowMakesOneAssignmentAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81")
		stop := follow(t, manager(p, c, nil))
		time.Sleep(time.Second)
		c.change(func() { c.latency = time.Second })
		for i := range 9 {
			p.add(numbered(i), "net1", mac1)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		for i := range 9 {
			wantOwner(t, v, numbered(i), "eni-1")
		}
		_, sizes, busiest := c.load()
		if got := sizes[1:]; len(got) != 2 || got[0] != 1 || got[1] != 8 {
			t.Errorf("assignments of %v addresses, want the first one alone and the others together", got)
		}
		if busiest != 1 {
			t.Errorf("%d assignments at a time", busiest)
		}
		_ = stop()
	})
}

func TestFollowPilesUpNothingWhileEC2Hangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := newCloud(newVPC(), "eni-1"), newPod("10.10.1.81")
		stop := follow(t, manager(p, c, func(s *spec.Settings) { s.Release = true }))
		time.Sleep(time.Second)
		before := runtime.NumGoroutine()
		c.change(func() { c.latency = time.Hour })
		toggle(p, 10*time.Minute, func(i int) string { return numbered(i % 100) })
		if more := runtime.NumGoroutine() - before; more > 20 {
			t.Errorf("%d goroutines more than before", more)
		}
		if _, _, busiest := c.load(); busiest > 1 {
			t.Errorf("%d assignments at a time", busiest)
		}
		_ = stop()
	})
}

// A pod that misbehaves must not take the budget of others.
func TestHonestPodsStartBesideOneThatFlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		bucket := rate.NewLimiter(5, 20) // of the account
		wild := newCloud(v, "eni-1")
		wild.throttle = bucket
		p := newPod("10.10.1.81")
		stop := follow(t, manager(p, wild, nil))
		go toggle(p, 10*time.Minute, func(i int) string { return numbered(i % 30) })
		time.Sleep(time.Minute)
		for i := range 6 {
			c := newCloud(v, fmt.Sprintf("eni-%d", 10+i))
			c.throttle = bucket
			began := time.Now()
			if err := manager(newPod(fmt.Sprintf("10.10.1.%d", 10+i)), c, nil).Once(t.Context()); err != nil {
				t.Errorf("pod %d failed: %v", i, err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("pod %d took %v", i, took)
			}
		}
		time.Sleep(10 * time.Minute)
		_ = stop()
	})
}

func TestThrottlingIsRememberedForAllAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81")
		c.enis = append(c.enis, twin())
		for i := range 20 {
			p.put(bound(numbered(i), "net2", twin().MAC))
		}
		c.failures = 1e6
		stop := follow(t, manager(p, c, nil))
		time.Sleep(2 * time.Minute)
		if got := len(c.tries()); got > 30 {
			t.Errorf("%d assignments while EC2 throttles, want two each time", got)
		}
		_ = stop()
	})
}

// Each of them has tokens of its own left when it comes back.
func TestAddressesThatComeBackWaitForTheEndOfThrottling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := newCloud(newVPC(), "eni-1"), newPod("10.10.1.81")
		stop := follow(t, manager(p, c, nil))
		time.Sleep(time.Second)
		const addresses = 20
		comeAndGo := func(i int) {
			p.add(numbered(i%addresses), "net1", mac1)
			time.Sleep(250 * time.Millisecond)
			p.remove(numbered(i % addresses))
			time.Sleep(250 * time.Millisecond)
		}
		for i := range addresses {
			comeAndGo(i)
		}
		c.change(func() { c.failures = 1e6 })
		before := len(c.tries())
		for i := range 2 * addresses {
			comeAndGo(i)
		}
		if got := len(c.tries()) - before; got > 8 {
			t.Errorf("%d assignments in 20 s while EC2 throttles, want one for each pause", got)
		}
		_ = stop()
	})
}

// IMDS lags and shows none of the addresses: EC2 is asked who has them.
func TestFewQuestionsForOwnersAreUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := newCloud(newVPC(), "eni-1"), newPod()
		for i := range 40 {
			p.add(numbered(i), "net1", mac1)
		}
		m := manager(p, c, nil)
		stop := follow(t, m)
		time.Sleep(time.Second)
		c.change(func() { c.latency, c.frozen = time.Second, map[string][]netip.Addr{"eni-1": nil} })
		time.Sleep(90 * time.Second)
		c.change(func() { c.frozen = nil })
		time.Sleep(90 * time.Second)
		if c.mostQuestions == 0 || c.mostQuestions > 4 {
			t.Errorf("%d questions at a time, want some and 4 at most", c.mostQuestions)
		}
		if err := m.Status().Err; err != nil || len(c.tries()) != 1 {
			t.Errorf("status %v, %d assignments: EC2 said that all is well", err, len(c.tries()))
		}
		_ = stop()
	})
}

func TestAFloatingAddressDoesNotWaitForTheEndOfThrottling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81")
		c.failures = 8
		stop := follow(t, manager(p, c, nil))
		time.Sleep(40 * time.Second)
		c.change(func() { c.failures = 0 })
		appeared := time.Now()
		p.add(vip, "net1", mac1)
		time.Sleep(100 * time.Millisecond)
		wantOwner(t, v, vip, "eni-1")
		wantOwner(t, v, "10.10.1.81", "eni-1") // goes with it
		if tries := c.tries(); !tries[len(tries)-1].Equal(appeared) {
			t.Errorf("claimed %v after it appeared", tries[len(tries)-1].Sub(appeared))
		}
		_ = stop()
	})
}

// dice returns numbers that differ from call to call.
func dice() func() float64 {
	sum := 0.0
	return func() float64 { sum += 0.17; return sum - float64(int(sum)) }
}

func TestRefusedAddressesOfOneENIAreTriedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod()
		c.room = 14
		for i := range 40 {
			p.add(numbered(i), "net1", mac1)
		}
		m := manager(p, c, nil)
		m.Random = dice()
		stop := follow(t, m)
		time.Sleep(75 * time.Second)
		if got := len(c.tries()); got > 4 {
			t.Errorf("%d assignments in 75 s, want one for each pause", got)
		}
		if got := len(v.held("eni-1")); got != 14 {
			t.Errorf("%d addresses on the ENI, want the 14 that it takes", got)
		}
		c.change(func() { c.room = 0 })
		time.Sleep(10 * time.Minute)
		if got := len(v.held("eni-1")); got != 40 {
			t.Errorf("%d addresses on the ENI when there is room again, want 40", got)
		}
		_ = stop()
	})
}

func TestFailedAddressesOfOneENIAreTriedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod()
		for i := range 40 {
			p.add(numbered(i), "net1", mac1)
			c.refuse[numbered(i)] = &fault.Error{Code: "InternalError"}
		}
		m := manager(p, c, nil)
		m.Random = dice()
		stop := follow(t, m)
		time.Sleep(time.Minute)
		if got := len(c.tries()); got > 12 {
			t.Errorf("%d assignments in a minute, want one for each pause", got)
		}
		_ = stop()
	})
}

func TestFollowClaimsWhatWasFixedWhenItsPrefixIsTakenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81")
		c.enis[0].Prefixes = []netip.Prefix{netip.MustParsePrefix("10.10.1.80/28")}
		m := manager(p, c, nil)
		stop := follow(t, m)
		time.Sleep(time.Second)
		if got := len(c.tries()); got != 0 || m.Status().Err != nil {
			t.Errorf("%d assignments for an address of a delegated prefix, status %v", got, m.Status().Err)
		}
		c.change(func() { c.enis[0].Prefixes = nil })
		time.Sleep(2 * spec.Default().Resync)
		wantOwner(t, v, "10.10.1.81", "eni-1")
		_ = stop()
	})
}

// A pod on the same worker had the address, and releases it late.
func TestFollowLooksAgainAfterItTookAnAddressThatItsENIHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		v.set(vip, "eni-1") // for a sibling
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81")
		stop := follow(t, manager(p, c, func(s *spec.Settings) { s.Resync = time.Hour }))
		time.Sleep(time.Second)
		p.add(vip, "net1", mac1)
		time.Sleep(500 * time.Millisecond)
		v.set(vip, "") // by the sibling's sidecar
		time.Sleep(time.Second)
		wantOwner(t, v, vip, "eni-1")
		before, _, _ := c.load()
		time.Sleep(10 * time.Minute)
		if after, _, _ := c.load(); after > before {
			t.Errorf("%d more looks", after-before)
		}
		_ = stop()
	})
}

func TestFollowDoesNotWatchAnAddressThatIsInAPrefixToo(t *testing.T) {
	for name, before := range map[string]bool{"since before it came": true, "since it came": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVPC()
				v.set(vip, "eni-1") // for a sibling
				c, p := newCloud(v, "eni-1"), newPod("10.10.1.81")
				delegate := func() { c.enis[0].Prefixes = []netip.Prefix{netip.MustParsePrefix("10.10.1.192/28")} }
				if before {
					delegate()
				}
				stop := follow(t, manager(p, c, func(s *spec.Settings) { s.Resync = time.Hour }))
				time.Sleep(time.Second)
				p.add(vip, "net1", mac1)
				time.Sleep(500 * time.Millisecond)
				c.change(delegate)
				time.Sleep(2 * time.Second)
				looks, _, _ := c.load()
				time.Sleep(10 * time.Minute)
				if after, _, _ := c.load(); after > looks {
					t.Errorf("%d more looks", after-looks)
				}
				_ = stop()
			})
		})
	}
}

func TestStepsOfManyAddressesAreMadeInTime(t *testing.T) {
	var placements []plan.Placement
	addr := netip.MustParseAddr("10.0.0.1")
	for range 50_000 { // with n squared this takes a minute
		placements = append(placements, plan.Placement{Address: plan.Address{Addr: addr}, ENI: plan.ENI{ID: "eni-1"}})
		addr = addr.Next()
	}
	if steps := plan.Steps(placements); len(steps) != 1 || len(steps[0].Addrs) != 50_000 {
		t.Errorf("%d steps", len(steps))
	}
}
