package autoscaling

import (
	"cmp"
	"maps"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/lag"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/world"
)

// balance brings a group and its warm pool to their sizes.
func (s *Scaling) balance(g *group) {
	active := 0
	for _, m := range g.members {
		if m.capacity() {
			active++
		}
	}
	for ; active > g.Desired; active-- {
		s.shrink(g)
	}
	for ; active < g.Desired; active++ {
		if !s.grow(g) {
			break
		}
	}
	s.balancePool(g)
}

// grow takes a member from the warm pool, or launches one. It reports whether
// that could be done.
func (s *Scaling) grow(g *group) bool {
	if m := s.warmest(g); m != nil {
		s.moveIn(m)
		return true
	}
	return s.launch(g, Pending, launch())
}

// launch launches an instance for a passage that begins once it runs.
func (s *Scaling) launch(g *group, state State, next *passage) bool {
	if s.Now().Before(g.retry) {
		return false
	}
	in, err := s.World.Launch(s.order(g))
	if err != nil {
		s.holdBack(g)
		s.announceFailure(g, err)
		return false
	}
	m := &member{group: g, next: next}
	m.history = lag.History[Member]{}.Add(Member{Instance: in.ID, Type: in.Type, Zone: in.Zone, Group: g.Name, State: state}, s.moment())
	g.members = append(g.members, m)
	s.member[in.ID] = m
	return true
}

// order says what the next instance of a group is.
func (s *Scaling) order(g *group) world.Launch {
	tags := map[string]string{
		"aws:autoscaling:groupName": g.Name, "aws:ec2launchtemplate:id": TemplateID, "aws:ec2launchtemplate:version": TemplateVersion,
	}
	for _, t := range g.Tags {
		if t.AtLaunch {
			tags[t.Key] = t.Value
		}
	}
	return world.Launch{
		Type: g.Type, Subnet: s.emptiest(g), Role: g.Role, HopLimit: g.HopLimit, Groups: slices.Clone(g.SecurityGroups), Tags: maps.Clone(tags),
	}
}

// The launch template of all groups.
const (
	TemplateID      = "lt-0123456789abcdef0"
	TemplateVersion = "1"
)

// emptiest is the subnet in the zone with the fewest members.
func (s *Scaling) emptiest(g *group) string {
	in := map[string]int{}
	for _, m := range g.members {
		if !m.state().ending() {
			in[m.history.Latest().Zone]++
		}
	}
	return slices.MinFunc(g.Subnets, func(a, b string) int { return cmp.Compare(in[s.zone(a)], in[s.zone(b)]) })
}

func (s *Scaling) zone(subnet string) string {
	found, _ := s.World.Subnet(subnet) // the topology was checked
	return found.Zone
}

// holdBack keeps a group from launching for a while.
func (s *Scaling) holdBack(g *group) {
	wait := s.Settings.Get().RelaunchTime.Value()
	g.retry = s.Now().Add(wait)
	s.Agenda.After(wait, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.balance(g)
	})
}

// shrink ends the oldest member in the zone that has most, or takes it back
// into the warm pool.
func (s *Scaling) shrink(g *group) {
	in := map[string]int{}
	for _, m := range g.members {
		if m.capacity() {
			in[m.history.Latest().Zone]++
		}
	}
	var victim *member
	for _, m := range g.members {
		if m.capacity() && (victim == nil || in[m.history.Latest().Zone] > in[victim.history.Latest().Zone]) {
			victim = m
		}
	}
	if g.WarmPool != nil && g.WarmPool.Reuse && victim.state() == InService {
		s.moveBack(victim)
		return
	}
	s.terminate(victim)
}

// grave is a member that is gone, and that the Describe calls may still show.
type grave struct {
	m  *member
	at lag.Moment
}

// bury forgets a member once nobody shows it any more.
func (s *Scaling) bury(m *member, at lag.Moment) {
	s.gone = append(s.gone, grave{m, at})
	now, settled := s.Now(), 0
	for _, g := range s.gone {
		if !g.at.Settled(now) {
			break
		}
		g.m.group.members = slices.DeleteFunc(g.m.group.members, func(o *member) bool { return o == g.m })
		settled++
	}
	clear(s.gone[:settled])
	s.gone = s.gone[settled:]
}
