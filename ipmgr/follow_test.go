package ipmgr_test

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

const vip = "10.10.1.200"

func TestFollowClaimsAnAddressThatAppears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81")
		stop := follow(t, manager(p, c, nil))
		time.Sleep(time.Second)
		appeared := time.Now()
		p.add(vip, "net1", "02:00:00:00:00:01")
		time.Sleep(100 * time.Millisecond)
		wantOwner(t, v, vip, "eni-1")
		tries := c.tries()
		if last := tries[len(tries)-1]; !last.Equal(appeared) {
			t.Errorf("claimed %v after it appeared, want at once", last.Sub(appeared))
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestFollowIsReadyOnceAllIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(newVPC(), "eni-1")
		c.frozen = map[string][]netip.Addr{"eni-1": nil}
		m := manager(newPod("10.10.1.81"), c, nil)
		if m.Status().Err == nil {
			t.Error("ready before it started")
		}
		stop := follow(t, m)
		time.Sleep(3 * time.Second)
		if err := m.Status().Err; fault.CodeOf(err) != fault.CodeNotVisible {
			t.Errorf("status %v while the cloud does not show the address, want %s", err, fault.CodeNotVisible)
		}
		c.change(func() { c.frozen = nil })
		time.Sleep(3 * time.Second)
		if err := m.Status().Err; err != nil {
			t.Errorf("not ready although the address is held: %v", err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestFollowIsReadyForFloatingAddressesInAPodWithoutOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod()
		m := manager(p, c, func(s *spec.Settings) { s.Interfaces = nil })
		stop := follow(t, m)
		time.Sleep(time.Second)
		if err := m.Status().Err; err != nil {
			t.Errorf("not ready: %v", err)
		}
		p.add(vip, "net1", "02:00:00:00:00:01")
		time.Sleep(time.Second)
		wantOwner(t, v, vip, "eni-1")
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestFollowClaimsAnAddressAgainWhenItComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81", vip)
		stop := follow(t, manager(p, c, nil))
		time.Sleep(time.Second)
		p.remove(vip)
		time.Sleep(time.Second)
		v.set(vip, "eni-2") // the other worker took it
		c.change(func() {
			c.frozen = map[string][]netip.Addr{"eni-1": {netip.MustParseAddr("10.10.1.81"), netip.MustParseAddr(vip)}}
		})
		p.add(vip, "net1", "02:00:00:00:00:01")
		time.Sleep(100 * time.Millisecond)
		wantOwner(t, v, vip, "eni-1")
		_ = stop()
	})
}

// A busy worker may let the pod's application run, and its sidecar wait.
func TestFollowClaimsAnAddressThatLeftAndCameBackUnseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81", vip)
		stop := follow(t, manager(p, c, nil))
		time.Sleep(time.Second)
		v.set(vip, "eni-2") // the other worker took it meanwhile
		p.flap(vip)
		time.Sleep(100 * time.Millisecond)
		wantOwner(t, v, vip, "eni-1")
		wantOwner(t, v, "10.10.1.81", "eni-1")
		if got := len(c.tries()); got != 2 {
			t.Errorf("%d assignments, want one for the start and one for the address that came back", got)
		}
		_ = stop()
	})
}

func TestFollowRepairsWhatTheCloudLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81", vip)
		stop := follow(t, manager(p, c, nil))
		time.Sleep(time.Second)
		v.set(vip, "eni-2") // a standby was master for a moment: the address never left our link
		v.set("10.10.1.81", "")
		time.Sleep(45 * time.Second)
		wantOwner(t, v, vip, "eni-1")
		wantOwner(t, v, "10.10.1.81", "eni-1")
		_ = stop()
	})
}

func TestFollowDoesNotMistakeALaggingViewForALoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81")
		m := manager(p, c, nil)
		stop := follow(t, m)
		time.Sleep(time.Second)
		before := len(c.tries())
		c.change(func() { c.frozen = map[string][]netip.Addr{"eni-1": nil} })
		time.Sleep(2 * time.Minute)
		if got := len(c.tries()); got != before {
			t.Errorf("%d needless assignments", got-before)
		}
		if s := m.Status(); s.Losses != 0 || s.Err != nil {
			t.Errorf("status %+v, want no loss", s)
		}
		_ = stop()
	})
}

func TestFollowBacksOffWhenTwoPodsFightOverAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c1, c2 := newCloud(v, "eni-1"), newCloud(v, "eni-2")
		m1, m2 := manager(newPod(vip), c1, nil), manager(newPod(vip), c2, nil)
		stop1 := follow(t, m1)
		time.Sleep(5 * time.Second)
		stop2 := follow(t, m2)
		time.Sleep(10 * time.Minute)
		early := len(v.changes())
		time.Sleep(50 * time.Minute)
		late := len(v.changes()) - early
		if early < 3 || late > 5*early {
			t.Errorf("%d moves in the first ten minutes, %d in the next fifty: want both to try again, ever more slowly", early, late)
		}
		if late > 20 {
			t.Errorf("%d moves in fifty minutes: no back-off", late)
		}
		if m1.Status().Losses == 0 || m2.Status().Losses == 0 {
			t.Error("the fight is not visible in the status")
		}
		_, _ = stop1(), stop2()
	})
}

func TestFollowKeepsTryingWhatWasRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81", "10.10.1.82")
		c.refuse["10.10.1.82"] = permanent("10.10.1.82")
		m := manager(p, c, nil)
		stop := follow(t, m)
		time.Sleep(10 * time.Second)
		wantOwner(t, v, "10.10.1.81", "eni-1")
		if err := m.Status().Err; err == nil || !strings.Contains(err.Error(), "10.10.1.82") {
			t.Errorf("status %v does not name the refused address", err)
		}
		c.change(func() { delete(c.refuse, "10.10.1.82") })
		time.Sleep(time.Hour)
		wantOwner(t, v, "10.10.1.82", "eni-1")
		_ = stop()
	})
}

func TestFollowReportsARefusalWhenItEndsBeforeItWasReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(newVPC(), "eni-1")
		c.refuse["10.10.1.81"] = permanent("10.10.1.81")
		stop := follow(t, manager(newPod("10.10.1.81"), c, nil))
		time.Sleep(10 * time.Second)
		if err := stop(); !fault.IsPermanent(err) {
			t.Errorf("ended with %v, want the refusal", err)
		}
	})
}

func TestFollowFollowsAHotPluggedNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81")
		stop := follow(t, manager(p, c, nil))
		time.Sleep(time.Second)
		c.change(func() {
			c.enis = append(c.enis, plan.ENI{ID: "eni-9", MAC: "02:00:00:00:00:09", DeviceIndex: 2, Subnets: []netip.Prefix{netip.MustParsePrefix("10.10.2.0/24")}})
		})
		p.add("10.10.2.81", "net2", "02:00:00:00:00:09")
		time.Sleep(time.Second)
		wantOwner(t, v, "10.10.2.81", "eni-9")
		_ = stop()
	})
}

func TestFollowSubscribesAgainWhenTheKernelDropsEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81")
		stop := follow(t, manager(p, c, nil))
		time.Sleep(time.Second)
		p.drop()
		time.Sleep(time.Second)
		p.add(vip, "net1", "02:00:00:00:00:01")
		time.Sleep(time.Second)
		wantOwner(t, v, vip, "eni-1")
		_ = stop()
	})
}

func TestFollowReleases(t *testing.T) {
	tests := []struct {
		name      string
		release   bool
		neighbour bool
		stolen    bool
		want      string
	}{
		{name: "nothing unless it is asked to", want: "eni-1"},
		{name: "an address that left the pod", release: true, want: ""},
		{name: "nothing that a pod on the same worker has now", release: true, neighbour: true, want: "eni-1"},
		{name: "nothing that another ENI has now", release: true, stolen: true, want: "eni-2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVPC()
				c, p := newCloud(v, "eni-1"), newPod("10.10.1.81", vip)
				p.neighbours[vip] = tt.neighbour
				stop := follow(t, manager(p, c, func(s *spec.Settings) { s.Release = tt.release }))
				time.Sleep(time.Second)
				if tt.stolen {
					v.set(vip, "eni-2")
				}
				p.remove(vip)
				time.Sleep(time.Second)
				wantOwner(t, v, vip, tt.want)
				wantOwner(t, v, "10.10.1.81", "eni-1")
				_ = stop()
			})
		})
	}
}

func TestFollowClaimsAnAddressThatReturnsWhileItIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81", vip)
		stop := follow(t, manager(p, c, func(s *spec.Settings) { s.Release = true }))
		time.Sleep(time.Second)
		p.remove(vip)
		time.Sleep(c.latency / 2)
		p.add(vip, "net1", "02:00:00:00:00:01")
		time.Sleep(time.Second)
		wantOwner(t, v, vip, "eni-1")
		_ = stop()
	})
}

func TestFollowReleasesEverythingAtItsEndWithinASecond(t *testing.T) {
	for name, latency := range map[string]time.Duration{"when EC2 answers": 100 * time.Millisecond, "when EC2 hangs": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVPC()
				c := newCloud(v, "eni-1")
				stop := follow(t, manager(newPod("10.10.1.81", vip), c, func(s *spec.Settings) { s.Release = true }))
				time.Sleep(time.Second)
				c.change(func() { c.latency = latency })
				ended := time.Now()
				if err := stop(); err != nil {
					t.Error(err)
				}
				if took := time.Since(ended); took >= time.Second {
					t.Errorf("the end took %v", took)
				}
				if latency < time.Second {
					wantOwner(t, v, "10.10.1.81", "")
					wantOwner(t, v, vip, "")
				}
			})
		})
	}
}

func TestFollowLooksLessOftenWhileTheCloudRefusesToBeLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81")
		m := manager(p, c, nil)
		stop := follow(t, m)
		time.Sleep(time.Second)
		c.change(func() { c.attached = &fault.Error{Code: "RequestLimitExceeded"} })
		time.Sleep(time.Hour)
		if err := m.Status().Err; err != nil {
			t.Errorf("a cloud that does not answer makes a held address count as lost: %v", err)
		}
		c.change(func() { c.attached = nil })
		v.set("10.10.1.81", "eni-2")
		time.Sleep(time.Hour)
		wantOwner(t, v, "10.10.1.81", "eni-1")
		_ = stop()
	})
}

// The application of a pod that ends is gone before the sidecar is: its last
// floating address leaves, and SIGTERM comes while it is being released.
func TestFollowEndsTheReleasesUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81", vip)
		stop := follow(t, manager(p, c, func(s *spec.Settings) { s.Release = true }))
		time.Sleep(time.Second)
		p.remove(vip)
		time.Sleep(c.latency / 2)
		if err := stop(); err != nil {
			t.Error(err)
		}
		wantOwner(t, v, vip, "")
	})
}

// The address may go to a neighbour and SIGTERM come before the kernel's event
// was read.
func TestFollowLooksAtThePodOnceMoreBeforeItReleasesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81", vip)
		p.neighbours[vip] = true
		stop := follow(t, manager(p, c, func(s *spec.Settings) { s.Release = true }))
		time.Sleep(time.Second)
		p.mu.Lock()
		p.addrs = p.addrs[:1] // nobody is told
		p.mu.Unlock()
		if err := stop(); err != nil {
			t.Error(err)
		}
		wantOwner(t, v, vip, "eni-1")
		wantOwner(t, v, "10.10.1.81", "")
	})
}

func TestFollowReleasesAnAddressThatLeftWhileItWasClaimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81")
		stop := follow(t, manager(p, c, func(s *spec.Settings) { s.Release = true }))
		time.Sleep(time.Second)
		c.change(func() { c.latency = 100 * time.Millisecond })
		p.add(vip, "net1", "02:00:00:00:00:01")
		time.Sleep(time.Millisecond)
		c.change(func() { c.latency = 10 * time.Millisecond }) // the release overtakes the claim
		p.remove(vip)
		time.Sleep(time.Second)
		wantOwner(t, v, vip, "")
		_ = stop()
	})
}

func TestFollowBlamesNoPodForAnAddressThatNobodyTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81")
		m := manager(p, c, nil)
		var log strings.Builder
		m.Log = slog.New(slog.NewTextHandler(&log, nil))
		stop := follow(t, m)
		for range 2 {
			time.Sleep(2 * time.Minute)
			v.set("10.10.1.81", "") // somebody unassigns it
		}
		time.Sleep(2 * time.Minute)
		wantOwner(t, v, "10.10.1.81", "eni-1")
		_ = stop()
		if got := m.Status().Addresses[0].Contests; got != 0 {
			t.Errorf("%d contests", got)
		}
		if strings.Contains(log.String(), "two pods") || strings.Count(log.String(), "address was lost") != 2 {
			t.Errorf("log:\n%s", log.String())
		}
	})
}

// EC2's answer to a take-over does not name the former owner. Here it is known
// from the question who has the address now.
func TestFollowNamesTheENIFromWhichItTakesAnAddressBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81", vip)
		m := manager(p, c, nil)
		var log strings.Builder
		m.Log = slog.New(slog.NewTextHandler(&log, nil))
		stop := follow(t, m)
		time.Sleep(time.Second)
		v.set(vip, "eni-2")     // a standby took it for a moment
		v.set("10.10.1.81", "") // somebody unassigned it
		time.Sleep(45 * time.Second)
		wantOwner(t, v, vip, "eni-1")
		_ = stop()
		if got := m.Status().TakeOvers; got != 1 {
			t.Errorf("%d take-overs, want one", got)
		}
		if want := "formerENI=eni-2"; strings.Count(log.String(), "address was taken over") != 1 || !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %s once:\n%s", want, log.String())
		}
	})
}
