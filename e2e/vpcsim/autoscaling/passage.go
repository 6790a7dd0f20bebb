package autoscaling

import (
	"slices"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

// passage is one way on which members go by hooks.
type passage struct {
	// transition says which hooks wait.
	transition string
	// origin, destination and action are those of the event.
	origin, destination, action string
	wait, proceed               State
	done, abandoned             func(*Scaling, *member)
}

// The places between which instances go, in the words of the events.
const (
	placeEC2   = "EC2"
	placeGroup = "AutoScalingGroup"
	placePool  = "WarmPool"
)

// launch is a new instance on its way into the group.
func launch() *passage {
	return &passage{
		topology.Launching, placeEC2, placeGroup, "Launch", PendingWait, PendingProceed,
		(*Scaling).inService, (*Scaling).giveUp,
	}
}

// leave is an instance of the group on its way out.
func leave() *passage {
	return &passage{
		topology.Terminating, placeGroup, placeEC2, "Terminate", TerminatingWait, TerminatingProceed,
		(*Scaling).kill, (*Scaling).killOrRetain,
	}
}

// wait is a hook that has not been answered.
type wait struct {
	hook             topology.Hook
	token            string
	deadline, global time.Time
}

// enter begins a passage: the member waits for all hooks of the transition at
// once, and goes on if there are none.
func (s *Scaling) enter(m *member, p *passage) {
	m.epoch++
	m.at, m.waits = p, nil
	for _, h := range m.group.Hooks {
		if h.Transition == p.transition {
			now := s.Now()
			m.waits = append(m.waits, &wait{h, s.uuid(), now.Add(h.Heartbeat), now.Add(h.GlobalTimeout())})
		}
	}
	if len(m.waits) == 0 {
		s.proceed(m)
		return
	}
	s.move(m, p.wait)
	for _, w := range m.waits {
		s.announce(m, p, w)
		s.expect(m, w)
	}
}

// expect plans what happens when nobody answers in time. A heartbeat puts that
// off.
func (s *Scaling) expect(m *member, w *wait) {
	s.Agenda.After(w.deadline.Sub(s.Now()), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case !slices.Contains(m.waits, w): // answered
		case s.Now().Before(w.deadline):
			s.expect(m, w)
		default:
			s.answer(m, w, w.hook.Default)
		}
	})
}

// answer is the end of a wait.
func (s *Scaling) answer(m *member, w *wait, result string) {
	m.waits = slices.DeleteFunc(m.waits, func(o *wait) bool { return o == w })
	switch {
	case result == topology.Abandon: // the other hooks are not waited for
		p := m.at
		m.epoch++
		m.at, m.waits = nil, nil
		p.abandoned(s, m)
		s.balance(m.group)
	case len(m.waits) == 0:
		s.proceed(m)
	}
}

// proceed is the way on, after the last hook.
func (s *Scaling) proceed(m *member) {
	p := m.at
	m.epoch++
	m.at = nil
	s.move(m, p.proceed)
	epoch := m.epoch
	s.Agenda.After(s.Settings.Get().ProceedTime.Value(), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if m.epoch == epoch {
			p.done(s, m)
			s.balance(m.group)
		}
	})
}

func (s *Scaling) inService(m *member) { s.move(m, InService) }

// giveUp ends an instance whose launch was abandoned. The group tries again
// after a while.
func (s *Scaling) giveUp(m *member) {
	s.holdBack(m.group)
	s.terminate(m)
}

// terminate begins the way out, whatever a member does: what it waited for can
// no longer be answered.
func (s *Scaling) terminate(m *member) {
	switch {
	case m.state().ending():
	case m.state().warm():
		s.move(m, WarmTerminating)
		m.next = nil
		s.enter(m, leavePool())
	default:
		s.move(m, Terminating)
		m.next = nil
		s.enter(m, leave())
	}
}

// killOrRetain is what an abandoned terminate hook leads to.
func (s *Scaling) killOrRetain(m *member) {
	switch {
	case !m.group.Retain || m.unhealthy:
		s.move(m, m.outward())
		s.kill(m)
	case m.state().warm():
		s.move(m, WarmTerminatingRetain)
	default:
		s.move(m, TerminatingRetained)
	}
}

// outward is the state in which the instance of a member is ended.
func (m *member) outward() State {
	if m.state().warm() {
		return WarmTerminatingGo
	}
	return TerminatingProceed
}

// waiting finds a wait by the token of its event, or by hook and instance.
func (s *Scaling) waiting(q Query) (*member, *wait, error) {
	g, err := s.group(q.Group)
	if err != nil {
		return nil, nil, err
	}
	if q.Token == "" && q.Instance == "" {
		return nil, nil, errInvalid("Either InstanceId or LifecycleActionToken must be specified.")
	}
	candidates := g.members
	if q.Instance != "" {
		candidates = nil
		if m := s.member[q.Instance]; m != nil && m.group == g {
			candidates = []*member{m}
		}
	}
	for _, m := range candidates {
		for _, w := range m.waits {
			if w.hook.Name == q.Hook && (q.Token == "" || w.token == q.Token) {
				return m, w, nil
			}
		}
	}
	return nil, nil, errNoAction(q)
}

// Query names a lifecycle action: by the token of its event, by instance, or by
// both.
type Query struct{ Group, Hook, Token, Instance string }

// Complete answers a lifecycle action.
func (s *Scaling) Complete(q Query, result string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, w, err := s.waiting(q)
	if err != nil {
		return err
	}
	s.answer(m, w, result)
	return nil
}

// Heartbeat gives a lifecycle action its time anew, up to the global time-out.
func (s *Scaling) Heartbeat(q Query) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, w, err := s.waiting(q)
	if err != nil {
		return err
	}
	w.deadline = s.Now().Add(w.hook.Heartbeat)
	if w.deadline.After(w.global) {
		w.deadline = w.global
	}
	return nil
}
