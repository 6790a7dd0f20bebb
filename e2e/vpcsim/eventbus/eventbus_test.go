package eventbus_test

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/agenda"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/eventbus"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/outage"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func bus(change func(*settings.Settings)) (*eventbus.Bus, *agenda.Agenda) {
	s := settings.Defaults()
	if change != nil {
		change(&s)
	}
	a := agenda.New(time.Now, func(d time.Duration, until <-chan struct{}) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-until:
		}
	})
	return eventbus.New(eventbus.Config{
		Settings: settings.NewStore(s), Agenda: a, Rand: rand.New(rand.NewPCG(1, 2)), Now: time.Now, Account: "1", Region: "us-west-2",
	}), a
}

func TestEventsThatAreKeptAreBounded(t *testing.T) {
	b, a := bus(nil)
	defer a.Close()
	for range eventbus.MaxKept + 1 {
		b.Publish(eventbus.Event{Source: "test"})
	}
	if n := len(b.Events()); n != eventbus.MaxKept/2+1 {
		t.Errorf("%d events are kept, want the younger half of %d, and one", n, eventbus.MaxKept)
	}
	b.Reset()
	if n := len(b.Events()); n != 0 {
		t.Errorf("%d events after a reset", n)
	}
}

func TestDeliveriesUnderWayAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, a := bus(nil)
		defer a.Close()
		release, delivered := make(chan struct{}), atomic.Int64{}
		b.Subscribe(func([]byte) {
			delivered.Add(1)
			<-release
		})
		for range eventbus.MaxDeliveries + 10 {
			b.Publish(eventbus.Event{Source: "test"})
		}
		synctest.Wait()
		if n := delivered.Load(); n != eventbus.MaxDeliveries {
			t.Errorf("%d deliveries are under way, want %d", n, eventbus.MaxDeliveries)
		}
		close(release)
		b.Wait()
		b.Publish(eventbus.Event{Source: "test"})
		synctest.Wait()
		if n := delivered.Load(); n != eventbus.MaxDeliveries+1 {
			t.Errorf("%d were delivered after there was room again", n)
		}
	})
}

func TestPostingGivesUp(t *testing.T) {
	for _, tc := range []struct {
		name          string
		failures      int64
		closed        bool
		least, arrive int64
	}{
		{"at once", 0, false, 1, 1},
		{"after four failures", 4, false, 5, 5},
		{"never", 100, false, 5, 5},
		{"the simulator closes meanwhile", 100, true, 0, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var tries atomic.Int64
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if tries.Add(1) <= tc.failures {
					w.WriteHeader(http.StatusInternalServerError)
				}
			}))
			defer srv.Close()
			closing := make(chan struct{})
			sleep := func(time.Duration) error { return nil }
			if tc.closed {
				close(closing)
				sleep = func(time.Duration) error { return outage.ErrClosed }
			}
			eventbus.Post(srv.URL, srv.Client(), sleep, closing)([]byte("{}"))
			if n := tries.Load(); n < tc.least || n > tc.arrive {
				t.Errorf("%d tries, want %d to %d", n, tc.least, tc.arrive)
			}
		})
	}
}
