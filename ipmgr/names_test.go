package ipmgr_test

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

const otherMAC = "9a:00:00:00:00:07"

// Multus puts its default networks before the pod's own: net1 is then not the
// first network of the annotation, which is all that the webhook knows.
func TestOnceFindsTheInterfacesThatAreMeant(t *testing.T) {
	tests := []struct {
		name    string
		exclude []string
		fill    func(*pod)
	}{
		{name: "beside a default network that is a bridge", exclude: []string{"lo", "eth0"}, fill: func(p *pod) {
			p.put(on("172.16.0.5", "net1", otherMAC))
			p.put(bound("10.10.1.81", "net2", mac1))
		}},
		{name: "beside a default network and one that is excluded", exclude: []string{"lo", "eth0", "net2"}, fill: func(p *pod) {
			p.put(on("172.16.0.5", "net1", otherMAC))
			p.put(bound("10.10.1.81", "net2", mac1))
			p.put(on("172.17.0.9", "net3", otherMAC))
		}},
		{name: "without a default network", exclude: []string{"lo", "eth0", "net2"}, fill: func(p *pod) {
			p.put(bound("10.10.1.81", "net1", mac1))
			p.put(on("10.10.1.99", "net2", otherMAC))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVPC()
				p := newPod()
				p.links = nil
				tt.fill(p)
				m := manager(p, newCloud(v, "eni-1"), func(s *spec.Settings) { s.Exclude = tt.exclude })
				if err := m.Once(t.Context()); err != nil {
					t.Fatal(err)
				}
				wantOwner(t, v, "10.10.1.81", "eni-1")
				wantOwner(t, v, "10.10.1.99", "")
			})
		})
	}
}

func TestOnceDoesNotSucceedWhenTheMovedInterfaceHasNoAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod()
		p.links = []string{"net2"}
		p.put(on("172.16.0.5", "net1", otherMAC)) // Multus's
		if err := manager(p, newCloud(newVPC(), "eni-1"), nil).Once(t.Context()); err == nil {
			t.Error("success without an address on the pod's own network")
		}
	})
}

func TestOnceSaysThatAnInterfaceIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod()
		p.links = nil
		err := manager(p, newCloud(newVPC(), "eni-1"), nil).Once(t.Context())
		if fault.CodeOf(err) != fault.CodeNoAddress || fault.IsPermanent(err) {
			t.Errorf("error %v, want the transient %s", err, fault.CodeNoAddress)
		}
		for _, part := range []string{"net1 is missing", "delete the pod", "Multus"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v does not say %q", err, part)
			}
		}
	})
}

func TestOnceLogsWhatItWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCloud(newVPC(), "eni-1")
		c.failures = 1e6
		m := manager(newPod("10.10.1.81"), c, nil)
		var log strings.Builder
		m.Log = slog.New(slog.NewTextHandler(&log, nil))
		_ = m.Once(t.Context())
		if got := strings.Count(log.String(), `msg="still waiting" code=RequestLimitExceeded`); got < 6 || got > 8 {
			t.Errorf("logged %d times in two minutes, want every 15 s:\n%s", got, log.String())
		}
	})
}

// The kubelet ends and starts a sidecar that does not become ready. The
// application may run beside it, with addresses that work.
func TestFollowReleasesNothingWhenItWasNeverReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81", "10.10.1.82")
		c.refuse["10.10.1.82"] = permanent("10.10.1.82")
		stop := follow(t, manager(p, c, func(s *spec.Settings) { s.Release = true }))
		time.Sleep(time.Minute)
		if err := stop(); err == nil {
			t.Error("ended without an error")
		}
		wantOwner(t, v, "10.10.1.81", "eni-1")
	})
}

func TestFollowSaysWhoTookAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81")
		m := manager(p, c, nil)
		stop := follow(t, m)
		for range 3 { // the first time it is only taken back
			time.Sleep(time.Minute)
			v.set("10.10.1.81", "eni-2")
			c.change(func() { c.refuse["10.10.1.81"] = &fault.Error{Code: "InternalError"} })
			time.Sleep(40 * time.Second)
			c.change(func() { delete(c.refuse, "10.10.1.81") })
			time.Sleep(10 * time.Minute)
		}
		v.set("10.10.1.81", "eni-2")
		var err error
		for range 1000 {
			time.Sleep(100 * time.Millisecond)
			if err = m.Status().Err; fault.CodeOf(err) == fault.CodeTakenOver {
				break
			}
		}
		if fault.CodeOf(err) != fault.CodeTakenOver || !strings.Contains(err.Error(), "eni-2") {
			t.Errorf("status %v does not say who took the address", err)
		}
		if got := m.Status().Addresses[0]; got.Taker.ENI != "eni-2" {
			t.Errorf("status %+v, want eni-2 as the taker", got)
		}
		_ = stop()
	})
}
