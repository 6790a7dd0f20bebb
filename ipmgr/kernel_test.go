package ipmgr_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// deaf is a pod whose kernel ends each subscription at once, or refuses it.
type deaf struct {
	*pod
	refusal error
	asked   int
}

func (d *deaf) Changes(context.Context) (<-chan struct{}, error) {
	d.asked++
	ended := make(chan struct{})
	close(ended)
	return ended, d.refusal
}

func TestFollowNeitherSpinsNorMissesAnAddressWithoutASubscription(t *testing.T) {
	for name, refusal := range map[string]error{
		"that ends at once": nil,
		"that is refused":   errors.New("operation not permitted"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVPC()
				p := &deaf{pod: newPod("10.10.1.81"), refusal: refusal}
				var log strings.Builder
				m := manager(p.pod, newCloud(v, "eni-1"), nil)
				m.Links, m.Log = p, slog.New(slog.NewTextHandler(&log, nil))
				stop := follow(t, m)
				time.Sleep(time.Minute)
				p.add(vip, "net1", "02:00:00:00:00:01")
				time.Sleep(time.Second)
				wantOwner(t, v, vip, "eni-1")
				if err := stop(); err != nil {
					t.Error(err)
				}
				if p.asked > 1000 {
					t.Errorf("asked %d times in a minute", p.asked)
				}
				if got := strings.Count(log.String(), "does not report changes"); refusal != nil && got != 1 {
					t.Errorf("logged %d times:\n%s", got, log.String())
				}
			})
		})
	}
}

func TestFollowSaysOnceThatTheKernelListsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		p := newPod("10.10.1.81")
		p.fail = errors.New("operation not permitted")
		var log strings.Builder
		m := manager(p, newCloud(v, "eni-1"), nil)
		m.Log = slog.New(slog.NewTextHandler(&log, nil))
		stop := follow(t, m)
		time.Sleep(time.Minute)
		p.mu.Lock()
		p.fail = nil
		p.mu.Unlock()
		time.Sleep(time.Second)
		wantOwner(t, v, "10.10.1.81", "eni-1")
		_ = stop()
		if got := strings.Count(log.String(), "does not list"); got != 1 {
			t.Errorf("logged %d times:\n%s", got, log.String())
		}
	})
}
