package autoscaling

import (
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

// replaceRoot is the word of the events of both passages.
const replaceRoot = "ReplaceRootVolume"

// rootOut and rootIn are an instance that gets another root volume: it leaves
// the group and comes back, with the ENIs that it had.
func rootOut() *passage {
	return &passage{
		topology.Terminating, placeGroup, placeGroup, replaceRoot, ReplacingRootWait, ReplacingRootProceed,
		(*Scaling).rootReplaced, (*Scaling).terminate,
	}
}

func rootIn() *passage {
	return &passage{
		topology.Launching, placeGroup, placeGroup, replaceRoot, PendingWait, PendingProceed,
		(*Scaling).inService, (*Scaling).giveUp,
	}
}

// ReplaceRootVolume replaces the root volume of an instance in service, as an
// instance refresh can do.
func (s *Scaling) ReplaceRootVolume(instance string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.member[instance]
	if m == nil || m.state() != InService {
		return apierr.New("ValidationError", "The instance %s is not in service in a group.", instance)
	}
	s.move(m, ReplacingRoot)
	s.enter(m, rootOut())
	return nil
}

func (s *Scaling) rootReplaced(m *member) {
	s.move(m, RootReplaced)
	s.enter(m, rootIn())
}
