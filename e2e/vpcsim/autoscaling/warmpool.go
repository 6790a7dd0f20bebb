package autoscaling

import (
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

// intoPool is a new instance on its way into the warm pool.
func intoPool() *passage {
	return &passage{
		topology.Launching, placeEC2, placePool, "Launch", WarmPendingWait, WarmPendingProceed,
		(*Scaling).park, (*Scaling).giveUp,
	}
}

// outOfPool is one from the warm pool on its way into the group.
func outOfPool() *passage {
	return &passage{
		topology.Launching, placePool, placeGroup, "Launch", PendingWait, PendingProceed,
		(*Scaling).inService, (*Scaling).giveUp,
	}
}

// backToPool is one that the group no longer needs. It lives on, though the
// terminating hooks wait.
func backToPool() *passage {
	return &passage{
		topology.Terminating, placeGroup, placePool, "Terminate", WarmPendingWait, WarmPendingProceed,
		(*Scaling).park, (*Scaling).terminate,
	}
}

// leavePool is one from the warm pool on its way out.
func leavePool() *passage {
	return &passage{
		topology.Terminating, placePool, placeEC2, "Terminate", WarmTerminatingWait, WarmTerminatingGo,
		(*Scaling).kill, (*Scaling).killOrRetain,
	}
}

// balancePool brings a warm pool to its size: what the group may have prepared
// and does not need.
func (s *Scaling) balancePool(g *group) {
	if g.WarmPool == nil {
		return
	}
	prepared := g.WarmPool.MaxPrepared
	if prepared < 0 {
		prepared = g.Max
	}
	want, have := max(g.WarmPool.MinSize, prepared-g.Desired), 0
	for _, m := range g.members {
		if m.pooled() {
			have++
		}
	}
	for ; have < want; have++ {
		if !s.launch(g, WarmPending, intoPool()) {
			return
		}
	}
	for ; have > want; have-- {
		if m := s.warmest(g); m != nil {
			s.terminate(m)
		}
	}
}

// warmest is the member of the warm pool that has been ready for longest, or
// nil.
func (s *Scaling) warmest(g *group) *member {
	for _, m := range g.members {
		switch m.state() {
		case WarmStopped, WarmRunning, WarmHibernated:
			return m
		}
	}
	return nil
}

// park stops an instance where the warm pool keeps stopped ones.
func (s *Scaling) park(m *member) {
	if m.group.WarmPool.State == topology.PoolRunning {
		s.move(m, WarmRunning)
		return
	}
	if err := s.World.StopInstance(m.instance()); err != nil { // somebody else ended it
		s.stopped(m)
	}
}

// moveIn begins to bring a member of the warm pool into the group.
func (s *Scaling) moveIn(m *member) {
	running := m.state() == WarmRunning
	s.move(m, Pending)
	if running {
		s.enter(m, outOfPool())
		return
	}
	m.next = outOfPool()
	if err := s.World.StartInstance(m.instance()); err != nil { // somebody else ended it
		m.unhealthy = true
		s.terminate(m)
	}
}

// moveBack takes a member of the group into the warm pool.
func (s *Scaling) moveBack(m *member) {
	s.move(m, WarmPending)
	s.enter(m, backToPool())
}
