package blackbox_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// initCase is one run of "ipmgr init". Its zero value is a pod with one ipvlan
// interface on the first Multus ENI of worker 1.
type initCase struct {
	name string

	// What there is.
	cloud    func(*vpcsim.Topology)
	settings string // of the simulator
	faults   []vpcsim.Fault
	nets     []netlab.Net // default: net1 with 10.10.1.81/24
	bare     bool         // no net at all
	via      string       // interface of the default route, default eth0
	env      []string
	envOf    func(*scene) []string // more of it
	// meanwhile happens while ipmgr runs.
	meanwhile func(*scene, *process)

	// What must come of it.
	code    int
	holds   holdings // when ipmgr has ended
	calls   []string // all EC2 calls in alphabetical order; nil looks at none
	message []string // parts of the termination message
	logs    []string // messages that are logged
	never   []string // messages that are not
}

func runInit(t *testing.T, cases []initCase) {
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

func (tt initCase) run(s *scene) {
	s.Helper()
	nets := tt.nets
	if nets == nil && !tt.bare {
		nets = []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24")}
	}
	env := tt.env
	if tt.envOf != nil {
		env = slices.Concat(env, tt.envOf(s))
	}
	p := s.start(s.podLike(netlab.PodSpec{Name: "pod-1", Nets: nets, DefaultVia: tt.via}), "init", env...)
	if tt.meanwhile != nil {
		tt.meanwhile(s, p)
	}
	code := p.wait()
	if code != tt.code {
		s.Errorf("exit code %d, want %d", code, tt.code)
	}
	want := tt.holds
	if want == nil {
		want = holdings{}
	}
	if diff := cmp.Diff(want, s.holdings()); diff != "" {
		s.Errorf("addresses of the ENIs (-want +got):\n%s", diff)
	}
	if tt.calls != nil {
		if diff := cmp.Diff(tt.calls, s.actions()); diff != "" {
			s.Errorf("EC2 calls (-want +got):\n%s", diff)
		}
	}
	tt.checkWords(s, p)
}

// checkWords looks at what ipmgr said.
func (tt initCase) checkWords(s *scene, p *process) {
	s.Helper()
	message := p.message()
	if tt.code == 0 && mounted() && message != "" {
		s.Errorf("termination message %q of a program that did its work", message)
	}
	if tt.code != 0 && (message == "" || strings.Contains(strings.TrimSpace(message), "\n")) {
		s.Errorf("termination message %q, want one line", message)
	}
	for _, part := range tt.message {
		if !strings.Contains(message, part) {
			s.Errorf("termination message %q lacks %q", message, part)
		}
	}
	for _, message := range tt.never {
		if len(p.logged(message)) > 0 {
			s.Errorf("logged %q", message)
		}
	}
	for _, message := range tt.logs {
		if len(p.logged(message)) == 0 {
			s.Errorf("nothing logged with the message %q", message)
		}
	}
}
