package autoscaling

import (
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/lag"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/world"
)

// State is a lifecycle state, in AWS's words.
type State string

// The states that members go through. Those before a colon are the beginning
// of a passage.
const (
	Pending               State = "Pending"
	PendingWait           State = "Pending:Wait"
	PendingProceed        State = "Pending:Proceed"
	InService             State = "InService"
	Terminating           State = "Terminating"
	TerminatingWait       State = "Terminating:Wait"
	TerminatingProceed    State = "Terminating:Proceed"
	TerminatingRetained   State = "Terminating:Retained"
	Terminated            State = "Terminated"
	ReplacingRoot         State = "ReplacingRootVolume"
	ReplacingRootWait     State = "ReplacingRootVolume:Wait"
	ReplacingRootProceed  State = "ReplacingRootVolume:Proceed"
	RootReplaced          State = "RootVolumeReplaced"
	WarmPending           State = "Warmed:Pending"
	WarmPendingWait       State = "Warmed:Pending:Wait"
	WarmPendingProceed    State = "Warmed:Pending:Proceed"
	WarmTerminating       State = "Warmed:Terminating"
	WarmTerminatingWait   State = "Warmed:Terminating:Wait"
	WarmTerminatingGo     State = "Warmed:Terminating:Proceed"
	WarmTerminatingRetain State = "Warmed:Terminating:Retained"
	WarmStopped           State = "Warmed:Stopped"
	WarmRunning           State = "Warmed:Running"
	WarmHibernated        State = "Warmed:Hibernated"
)

// warm reports whether a member is in the warm pool.
func (s State) warm() bool { return strings.HasPrefix(string(s), "Warmed:") }

// ending reports whether a member is on its way out, or gone.
func (s State) ending() bool {
	return strings.Contains(string(s), "Terminat")
}

// Member is an instance of a group as the Describe calls show it.
type Member struct {
	Instance, Type, Zone, Group string
	State                       State
	Unhealthy                   bool
}

// member is one instance of a group.
type member struct {
	group   *group
	history lag.History[Member]
	// next is the passage that begins once the instance runs.
	next *passage
	// at is the passage on which it waits, with the waits that are left.
	at    *passage
	waits []*wait
	// epoch tells the passages of a member apart: what was planned for an
	// earlier one does not happen.
	epoch int
	// unhealthy says that the instance was stopped or ended by others.
	unhealthy bool
}

func (m *member) instance() string { return m.history.Latest().Instance }
func (m *member) state() State     { return m.history.Latest().State }

// capacity reports whether a member counts for the desired capacity.
func (m *member) capacity() bool { return !m.state().warm() && !m.state().ending() }

// pooled reports whether it counts for the warm pool.
func (m *member) pooled() bool { return m.state().warm() && !m.state().ending() }

// target is the state that it will come to.
func (m *member) target() string {
	switch state := m.state(); {
	case state.ending() && state.warm():
		return "Warmed:Terminated"
	case state.ending():
		return string(Terminated)
	case state.warm():
		return "Warmed:" + m.group.WarmPool.State
	default:
		return string(InService)
	}
}

// move gives a member another state.
func (s *Scaling) move(m *member, state State) {
	next := m.history.Latest()
	next.State, next.Unhealthy = state, m.unhealthy
	m.history = m.history.Add(next, s.moment())
}

func (s *Scaling) moment() lag.Moment {
	return lag.Moment{At: s.Now(), Lags: lag.Draw(s.Settings.Get(), s.Rand)}
}

// follow hears of a new state of an instance.
func (s *Scaling) follow(in world.Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.member[in.ID]
	if m == nil {
		return
	}
	switch in.State {
	case topology.Running:
		if m.next != nil {
			p := m.next
			m.next = nil
			s.enter(m, p)
		}
	case topology.Stopped:
		s.stopped(m)
	case topology.Terminated:
		s.ended(m)
	}
	s.balance(m.group)
}

// stopped is when an instance has stopped: into the warm pool, or because
// somebody stopped it, which makes it unhealthy.
func (s *Scaling) stopped(m *member) {
	switch {
	case m.state() == WarmPendingProceed:
		s.move(m, State("Warmed:"+m.group.WarmPool.State))
	case !m.state().ending() && !(m.pooled() && m.at == nil):
		m.unhealthy = true
		s.terminate(m)
	}
}

// ended is when an instance has terminated. If the group did not want that, its
// terminate hooks run all the same.
func (s *Scaling) ended(m *member) {
	switch m.state() {
	case TerminatingProceed, WarmTerminatingGo, TerminatingRetained, WarmTerminatingRetain:
		s.remove(m)
	case TerminatingWait, WarmTerminatingWait: // it goes once they are answered
	default:
		m.unhealthy = true
		s.terminate(m)
	}
}

// kill ends the instance of a member.
func (s *Scaling) kill(m *member) {
	in, err := s.World.Instance(m.instance())
	if err != nil || in.State == topology.Terminated {
		s.remove(m)
		return
	}
	_ = s.World.TerminateInstance(in.ID) // it exists
}

// remove takes a member that has ended off its group.
func (s *Scaling) remove(m *member) {
	id := m.instance()
	at := s.moment()
	m.epoch++
	m.history = m.history.Add(Member{}, at)
	delete(s.member, id)
	s.bury(m, at)
}
