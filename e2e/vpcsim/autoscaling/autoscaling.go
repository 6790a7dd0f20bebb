// Package autoscaling is Auto Scaling: groups that launch and end instances,
// lifecycle hooks that make them wait, and warm pools. It decides what becomes
// of an instance, and leaves to package world what an instance is.
//
// A member of a group goes by hooks on passages (see passage): it waits there
// until each hook is answered or runs out, and then goes on. All that happens
// by itself is on the agenda.
package autoscaling

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/agenda"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/eventbus"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/lag"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/world"
)

// Config is what Auto Scaling needs. All fields are required.
type Config struct {
	World    *world.World
	Settings *settings.Store
	Agenda   *agenda.Agenda
	Bus      *eventbus.Bus
	Rand     *rand.Rand
	Now      func() time.Time
}

// Scaling is the Auto Scaling of one account in one Region.
type Scaling struct {
	Config
	mu     sync.Mutex
	groups []*group
	member map[string]*member // by instance
	gone   []grave
}

// group is one Auto Scaling group.
type group struct {
	topology.Group
	arn     string
	created time.Time
	members []*member // in the order of their launch
	// retry is when the group may launch again after a failure.
	retry time.Time
}

// Group is a group as the Describe calls show it.
type Group struct {
	topology.Group
	ARN     string
	Created time.Time
	Zones   []string
	// Members are those of the group and Pool those of its warm pool.
	Members, Pool []Member
}

// New returns the groups of a topology, which begin to launch their instances.
func New(c Config, groups []topology.Group) *Scaling {
	s := &Scaling{Config: c, member: map[string]*member{}}
	for _, g := range groups {
		s.groups = append(s.groups, &group{Group: g, arn: s.arn(g.Name), created: c.Now()})
	}
	if len(groups) > 0 {
		c.World.Follow(s.follow)
		c.Agenda.After(0, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, g := range s.groups {
				s.balance(g)
			}
		})
	}
	return s
}

func (s *Scaling) arn(group string) string {
	return "arn:aws:autoscaling:" + s.World.Region + ":" + s.World.Account + ":autoScalingGroup:" + s.uuid() + ":autoScalingGroupName/" + group
}

// Groups lists all groups as a view shows their members.
func (s *Scaling) Groups(v lag.View) []Group {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Group, 0, len(s.groups))
	for _, g := range s.groups {
		out = append(out, s.show(g, v))
	}
	return out
}

// Group returns one group.
func (s *Scaling) Group(name string, v lag.View) (Group, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.group(name)
	if err != nil {
		return Group{}, err
	}
	return s.show(g, v), nil
}

func (s *Scaling) group(name string) (*group, error) {
	i := slices.IndexFunc(s.groups, func(g *group) bool { return g.Name == name })
	if i < 0 {
		return nil, errNoGroup(name)
	}
	return s.groups[i], nil
}

func (s *Scaling) show(g *group, v lag.View) Group {
	out := Group{Group: g.Group, ARN: g.arn, Created: g.created, Zones: s.zones(g)}
	now, bounds := s.Now(), lag.Bounds(s.Settings.Get())
	for _, m := range g.members {
		switch shown := m.history.At(v, now, bounds); {
		case shown.Instance == "":
		case shown.State.warm():
			out.Pool = append(out.Pool, shown)
		default:
			out.Members = append(out.Members, shown)
		}
	}
	return out
}

func (s *Scaling) zones(g *group) []string {
	var zones []string
	for _, id := range g.Subnets {
		subnet, _ := s.World.Subnet(id) // the topology was checked
		if !slices.Contains(zones, subnet.Zone) {
			zones = append(zones, subnet.Zone)
		}
	}
	return zones
}

// SetDesired changes how many instances a group shall have.
func (s *Scaling) SetDesired(name string, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.group(name)
	switch {
	case err != nil:
		return err
	case n > g.Max:
		return errInvalid("New SetDesiredCapacity value %d is above max value %d for the AutoScalingGroup.", n, g.Max)
	case n < g.Min:
		return errInvalid("New SetDesiredCapacity value %d is below min value %d for the AutoScalingGroup.", n, g.Min)
	}
	g.Desired, g.retry = n, time.Time{}
	s.balance(g)
	return nil
}

// Terminate ends an instance of a group, which launches another unless decrement
// says that it shall be one smaller.
func (s *Scaling) Terminate(instance string, decrement bool) (Member, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.member[instance]
	if m == nil {
		return Member{}, errInvalid("Instance Id not found - No managed instance found for instance ID: %s", instance)
	}
	g := m.group
	if decrement && m.capacity() {
		if g.Desired <= g.Min {
			return Member{}, errInvalid("Currently, desiredSize equals minSize (%d). Terminating instance without replacement will violate group's min size "+
				"constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.", g.Min)
		}
		g.Desired--
	}
	s.terminate(m)
	s.balance(g)
	return m.history.Latest(), nil
}

// Target is the state that an instance is on its way to, as its metadata say.
func (s *Scaling) Target(instance string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.member[instance]; m != nil {
		return m.target()
	}
	return ""
}

func (s *Scaling) uuid() string { return query.UUID(s.Rand) }
