package blackbox_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// sidecarCase is the life of one "ipmgr sidecar", in phases. Its zero value is
// a pod with one ipvlan interface on the first Multus ENI of worker 1, whose
// sidecar looks for drift five times a second.
type sidecarCase struct {
	name string

	// What there is.
	cloud    func(*vpcsim.Topology)
	settings string // of the simulator
	faults   []vpcsim.Fault
	nets     []netlab.Net // default: net1 with 10.10.1.81/24
	env      []string

	phases []phase

	// What SIGTERM leaves.
	code   int
	leaves holdings // nil: what the last phase held
}

// phase is something that happens, and what must come of it sooner or later.
// What is not set is not looked at.
type phase struct {
	name    string
	do      func(*scene, *process)
	holds   holdings // the ENIs hold exactly this
	ready   bool     // "ipmgr ready" exits with 0
	missing []string // or it exits with 1, and what it says has these parts
	logs    string   // a message was logged
	check   func(*scene, *process)
}

func runSidecar(t *testing.T, cases []sidecarCase) {
	t.Helper()
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, tt.cloud)
			s.set(tt.settings)
			s.inject(tt.faults...)
			tt.run(s)
		})
	}
}

func (tt sidecarCase) run(s *scene) {
	s.Helper()
	nets := tt.nets
	if nets == nil {
		nets = []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24")}
	}
	p := s.start(s.pod("pod-1", nets...), "sidecar", override([]string{"IPMGR_RESYNC=200ms"}, tt.env)...)
	for _, ph := range tt.phases {
		s.Log("phase: " + ph.name)
		ph.run(s, p)
	}
	if code := p.terminate(); code != tt.code {
		s.Errorf("exit code %d after SIGTERM, want %d", code, tt.code)
	}
	leaves := tt.leaves
	if leaves == nil {
		leaves = tt.phases[len(tt.phases)-1].holds
	}
	if diff := cmp.Diff(leaves, s.holdings()); diff != "" {
		s.Errorf("addresses of the ENIs after SIGTERM (-want +got):\n%s", diff)
	}
}

func (ph phase) run(s *scene, p *process) {
	s.Helper()
	if ph.do != nil {
		ph.do(s, p)
	}
	if ph.holds != nil {
		s.awaitHoldings(ph.name, ph.holds)
	}
	if ph.ready {
		p.awaitReady()
	}
	if ph.missing != nil {
		p.awaitMissing(ph.missing...)
	}
	if ph.logs != "" {
		p.awaitLog(ph.logs, 1)
	}
	if ph.check != nil {
		ph.check(s, p)
	}
}

// awaitHoldings waits until the ENIs hold exactly what is wanted.
func (s *scene) awaitHoldings(when string, want holdings) {
	s.Helper()
	s.eventually("addresses: "+when, func() (bool, any) {
		diff := cmp.Diff(want, s.holdings())
		return diff == "", "(-want +got):\n" + diff
	})
}
