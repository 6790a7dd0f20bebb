package ipmgr_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

func permanent(ip string) error {
	return &fault.Error{Addr: netip.MustParseAddr(ip), ENI: "eni-1", Code: "PrivateIpAddressLimitExceeded", Meaning: fault.Refused}
}

func TestOnceAssignsWhatThePodHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81", "10.10.1.82", "2600::1")
		c.enis[0].Subnets = nil
		if err := manager(p, c, nil).Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, ip := range []string{"10.10.1.81", "10.10.1.82", "2600::1"} {
			wantOwner(t, v, ip, "eni-1")
		}
		if got := len(c.tries()); got != 2 {
			t.Errorf("%d assignments, want one per family", got)
		}
	})
}

func TestOnceRetriesTransientFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c := newCloud(v, "eni-1")
		c.failures = 5
		if err := manager(newPod("10.10.1.81"), c, nil).Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantOwner(t, v, "10.10.1.81", "eni-1")
	})
}

func TestOnceEndsWithTheLastFailureWhenTheTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(newVPC(), "eni-1")
		c.failures = 1e6
		started := time.Now()
		err := manager(newPod("10.10.1.81"), c, nil).Once(t.Context())
		if err == nil || fault.IsPermanent(err) || fault.CodeOf(err) != "RequestLimitExceeded" {
			t.Errorf("error %v, want the transient RequestLimitExceeded", err)
		}
		if took := time.Since(started); took != spec.Default().Timeout {
			t.Errorf("gave up after %v, want the timeout", took)
		}
	})
}

func TestOnceAssignsTheOthersWhenOneIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c := newCloud(v, "eni-1")
		c.refuse["10.10.1.82"] = permanent("10.10.1.82")
		started := time.Now()
		err := manager(newPod("10.10.1.81", "10.10.1.82", "10.10.1.83"), c, nil).Once(t.Context())
		if !fault.IsPermanent(err) || !strings.Contains(err.Error(), "10.10.1.82") {
			t.Errorf("error %v, want a permanent one that names 10.10.1.82", err)
		}
		wantOwner(t, v, "10.10.1.81", "eni-1")
		wantOwner(t, v, "10.10.1.83", "eni-1")
		if took := time.Since(started); took > time.Second {
			t.Errorf("a permanent refusal took %v to be reported", took)
		}
	})
}

func TestOnceFinishesTransientWorkBeforeItReportsARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81", "10.10.9.9")
		c.failures = 3
		err := manager(p, c, nil).Once(t.Context())
		if !fault.IsPermanent(err) || fault.CodeOf(err) != fault.CodeOutsideSubnet {
			t.Errorf("error %v, want the permanent %s", err, fault.CodeOutsideSubnet)
		}
		wantOwner(t, v, "10.10.1.81", "eni-1")
	})
}

func TestOnceWaitsUntilTheCloudShowsTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(newVPC(), "eni-1")
		c.frozen = map[string][]netip.Addr{"eni-1": nil}
		time.AfterFunc(5*time.Second, func() { c.change(func() { c.frozen = nil }) })
		started := time.Now()
		if err := manager(newPod("10.10.1.81"), c, nil).Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(started); took < 5*time.Second {
			t.Errorf("success after %v, before the cloud showed the address", took)
		}
	})
}

func TestOnceFailsWhenTheCloudNeverShowsTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(newVPC(), "eni-1")
		c.frozen = map[string][]netip.Addr{"eni-1": nil}
		err := manager(newPod("10.10.1.81"), c, nil).Once(t.Context())
		if fault.CodeOf(err) != fault.CodeNotVisible {
			t.Errorf("error %v, want %s", err, fault.CodeNotVisible)
		}
	})
}

func TestOnceTrustsEC2sAnswerWithoutVerification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(newVPC(), "eni-1")
		c.frozen = map[string][]netip.Addr{"eni-1": nil}
		m := manager(newPod("10.10.1.81"), c, func(s *spec.Settings) { s.Verify = false })
		if err := m.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestOnceDoesNotTrustAViewThatIsOlderThanTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		v.set("10.10.1.81", "eni-2")
		c := newCloud(v, "eni-1")
		c.frozen = map[string][]netip.Addr{"eni-1": {netip.MustParseAddr("10.10.1.81")}} // it was ours a moment ago
		if err := manager(newPod("10.10.1.81"), c, nil).Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantOwner(t, v, "10.10.1.81", "eni-1")
	})
}

func TestOnceWaitsForARequiredInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81")
		time.AfterFunc(3*time.Second, func() { p.add("10.10.1.82", "net2", "02:00:00:00:00:01") })
		m := manager(p, c, func(s *spec.Settings) { s.Interfaces = []string{"net1", "net2"} })
		if err := m.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantOwner(t, v, "10.10.1.82", "eni-1")
	})
}

func TestOnceFailsWithoutAddresses(t *testing.T) {
	for name, interfaces := range map[string][]string{"and a required interface": {"net1"}, "and no required interface": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := manager(newPod(), newCloud(newVPC(), "eni-1"), func(s *spec.Settings) { s.Interfaces = interfaces })
				if err := m.Once(t.Context()); fault.CodeOf(err) != fault.CodeNoAddress || fault.IsPermanent(err) {
					t.Errorf("error %v, want the transient %s", err, fault.CodeNoAddress)
				}
			})
		})
	}
}

func TestOnceLeavesForeignAddressesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81")
		p.add("192.168.1.1", "br0", "")
		if err := manager(p, c, nil).Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantOwner(t, v, "192.168.1.1", "")
	})
}

func TestOnceNeverTouchesAnExcludedAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81", "10.10.1.82", "192.168.9.9")
		m := manager(p, c, func(s *spec.Settings) {
			s.ExcludeAddresses = []netip.Prefix{netip.MustParsePrefix("10.10.1.82/32"), netip.MustParsePrefix("192.168.0.0/16")}
		})
		if err := m.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantOwner(t, v, "10.10.1.81", "eni-1")
		wantOwner(t, v, "10.10.1.82", "")
	})
}

func TestOnceNeedsAnAddressBesidesExcludedOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		m := manager(newPod("10.10.1.81"), newCloud(v, "eni-1"), func(s *spec.Settings) {
			s.ExcludeAddresses = []netip.Prefix{netip.MustParsePrefix("10.10.1.0/24")}
		})
		if err := m.Once(t.Context()); fault.CodeOf(err) != fault.CodeNoAddress {
			t.Errorf("error %v, want %s", err, fault.CodeNoAddress)
		}
		wantOwner(t, v, "10.10.1.81", "")
	})
}

func TestOnceChangesNothingInADryRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c := newCloud(v, "eni-1")
		m := manager(newPod("10.10.1.81"), c, func(s *spec.Settings) { s.DryRun = true })
		if err := m.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(v.changes()) != 0 || len(c.tries()) != 0 {
			t.Errorf("a dry run changed %v with %d assignments", v.changes(), len(c.tries()))
		}
	})
}

func TestOnceReportsThatTheWorkerCannotBeRead(t *testing.T) {
	tests := []struct {
		name      string
		meaning   fault.Meaning
		permanent bool
	}{{"as transient when the cloud is down", fault.Transient, false}, {"as permanent when it is forbidden", fault.Denied, true}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCloud(newVPC(), "eni-1")
				c.attached = &fault.Error{Code: "X", Meaning: tt.meaning, Err: errors.New("no")}
				started := time.Now()
				err := manager(newPod("10.10.1.81"), c, nil).Once(t.Context())
				if fault.IsPermanent(err) != tt.permanent || !strings.Contains(err.Error(), "X") {
					t.Errorf("error %v, want code X, permanent %v", err, tt.permanent)
				}
				if quick := time.Since(started) < time.Second; quick != tt.permanent {
					t.Errorf("reported after %v", time.Since(started))
				}
			})
		})
	}
}

func TestOnceFindsTheENIAgainWhenItWasReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c := newCloud(v, "eni-gone")
		stale := &fault.Error{ENI: "eni-gone", Code: "InvalidNetworkInterfaceID.NotFound", Meaning: fault.Missing}
		c.refuse["10.10.1.81"] = stale
		time.AfterFunc(time.Second, func() {
			c.change(func() { c.enis[0].ID = "eni-new"; delete(c.refuse, "10.10.1.81") })
		})
		if err := manager(newPod("10.10.1.81"), c, nil).Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantOwner(t, v, "10.10.1.81", "eni-new")
	})
}

func TestOnceWaitsForAnENIThatIsNotListedYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c := newCloud(v, "eni-1")
		attached := c.enis
		c.enis = nil
		time.AfterFunc(2*time.Second, func() { c.change(func() { c.enis = attached }) })
		if err := manager(newPod("10.10.1.81"), c, nil).Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantOwner(t, v, "10.10.1.81", "eni-1")
	})
}

func TestOnceReportsAnENIThatWasDetached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(newVPC(), "eni-gone")
		c.refuse["10.10.1.81"] = &fault.Error{ENI: "eni-gone", Code: "InvalidNetworkInterfaceID.NotFound", Meaning: fault.Missing}
		time.AfterFunc(time.Millisecond*100, func() { c.change(func() { c.enis = []plan.ENI{} }) })
		err := manager(newPod("10.10.1.81"), c, nil).Once(t.Context())
		if fault.CodeOf(err) != fault.CodeNoENI {
			t.Errorf("error %v, want %s", err, fault.CodeNoENI)
		}
	})
}

func TestOnceRefusesAnAddressWithoutENIWhenItsENIHadTimeToAppear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(newVPC(), "eni-1")
		c.enis = []plan.ENI{}
		started := time.Now()
		err := manager(newPod("10.10.1.81"), c, nil).Once(t.Context())
		if fault.CodeOf(err) != fault.CodeNoENI || !fault.IsPermanent(err) {
			t.Errorf("error %v, want a permanent %s", err, fault.CodeNoENI)
		}
		if took := time.Since(started); took > 6*time.Second {
			t.Errorf("it took %v, want 5 s and a little", took)
		}
	})
}

func TestOnceEndsWhenItIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(newVPC(), "eni-1")
		c.latency = 10 * time.Second
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		started := time.Now()
		if err := manager(newPod("10.10.1.81"), c, nil).Once(ctx); err == nil {
			t.Error("an interrupted run reports success")
		}
		if took := time.Since(started); took > 1100*time.Millisecond {
			t.Errorf("ended %v after the interrupt", took-time.Second)
		}
	})
}

func TestOnceReportsThatTheKernelDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod("10.10.1.81")
		p.fail = errors.New("operation not permitted")
		err := manager(p, newCloud(newVPC(), "eni-1"), nil).Once(t.Context())
		if fault.CodeOf(err) != fault.CodeKernel {
			t.Errorf("error %v, want %s", err, fault.CodeKernel)
		}
	})
}
