package ipmgr_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// silence makes it impossible to find out whether a neighbour has an address.
func (p *pod) silence(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = err
}

func (p *pod) asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.questions)
}

func TestFollowKeepsAnAddressThatANeighbourMayHaveUntilOneCanBeAsked(t *testing.T) {
	for name, neighbour := range map[string]bool{"a neighbour has it": true, "no neighbour has it": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVPC()
				c, p := newCloud(v, "eni-1"), newPod("10.10.1.81", vip)
				p.neighbours[vip] = neighbour
				p.silence(errors.New("the interface has no route to it"))
				stop := follow(t, manager(p, c, func(s *spec.Settings) { s.Release = true }))
				time.Sleep(time.Second)
				p.remove(vip)
				time.Sleep(time.Hour)
				wantOwner(t, v, vip, "eni-1")
				if asked := p.asked(); asked < 100 || asked > 1000 {
					t.Errorf("asked %d times in an hour", asked)
				}
				p.silence(nil)
				time.Sleep(10 * time.Second)
				wantOwner(t, v, vip, map[bool]string{true: "eni-1", false: ""}[neighbour])
				_ = stop()
			})
		})
	}
}

// A sibling had the address before this pod took it, and the kernel remembers its
// answer. It says nothing about who has the address now.
func TestFollowReleasesWhatANeighbourHadBeforeItLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81", vip)
		p.answered[vip] = time.Now().Add(-time.Minute)
		stop := follow(t, manager(p, c, func(s *spec.Settings) { s.Release = true }))
		time.Sleep(time.Second)
		p.remove(vip)
		time.Sleep(time.Minute)
		wantOwner(t, v, vip, "")
		_ = stop()
	})
}

func TestFollowReleasesNothingAtItsEndThatANeighbourMayHave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81", vip)
		p.silence(errors.New("the interface has no route to it"))
		stop := follow(t, manager(p, c, func(s *spec.Settings) { s.Release = true }))
		time.Sleep(time.Second)
		p.remove(vip)
		time.Sleep(time.Minute)
		ended := time.Now()
		_ = stop()
		if took := time.Since(ended); took >= time.Second {
			t.Errorf("the end took %v", took)
		}
		wantOwner(t, v, vip, "eni-1")
		wantOwner(t, v, "10.10.1.81", "") // what the pod still has is nobody else's
	})
}

func TestFollowClaimsAtOnceWhatReturnsBeforeANeighbourCouldBeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVPC()
		c, p := newCloud(v, "eni-1"), newPod("10.10.1.81", vip)
		p.silence(errors.New("the interface has no route to it"))
		stop := follow(t, manager(p, c, func(s *spec.Settings) { s.Release = true }))
		time.Sleep(time.Second)
		p.remove(vip)
		time.Sleep(time.Minute)
		v.set(vip, "eni-2")
		p.add(vip, "net1", "02:00:00:00:00:01")
		time.Sleep(100 * time.Millisecond)
		wantOwner(t, v, vip, "eni-1")
		_ = stop()
	})
}
