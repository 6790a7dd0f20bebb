package blackbox_test

import (
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
)

func TestSidecarReleasesWhatItIsToldTo(t *testing.T) {
	release := []string{"IPMGR_RELEASE=true"}
	two := []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24", "10.10.1.90/32", "2600:1f13:0:1::81/64"), like(w1eth2, "net2", "10.10.2.81/24")}
	all := holdings{w1eth1: "10.10.1.81 10.10.1.90 2600:1f13:0:1::81", w1eth2: "10.10.2.81"}
	runSidecar(t, []sidecarCase{
		{
			name: "everything at the end", nets: two, env: release,
			phases: []phase{{name: "start", holds: all, ready: true}}, leaves: holdings{},
		}, {
			name: "nothing by default", nets: two,
			phases: []phase{
				{name: "start", holds: all, ready: true},
				{name: "one goes", do: func(s *scene, p *process) { s.remove(p.pod, "net1", "10.10.1.90/32") }, logs: "address left the pod", holds: all},
			},
		}, {
			name: "what left the pod", nets: two, env: release,
			phases: []phase{
				{name: "start", holds: all, ready: true},
				{name: "one goes", do: func(s *scene, p *process) { s.remove(p.pod, "net1", "10.10.1.90/32") }, holds: holdings{w1eth1: "10.10.1.81 2600:1f13:0:1::81", w1eth2: "10.10.2.81"}, logs: "addresses released"},
				{name: "it comes back", do: func(s *scene, p *process) { s.add(p.pod, "net1", "10.10.1.90/32") }, holds: all, ready: true},
				{name: "an interface goes", do: func(s *scene, p *process) { s.do(p.pod.DelLink("net2")) }, holds: holdings{w1eth1: "10.10.1.81 10.10.1.90 2600:1f13:0:1::81"}},
			}, leaves: holdings{},
		}, {
			name: "not what another ENI holds by then", env: append(release, "IPMGR_RESYNC=1h"), nets: []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24", "10.10.1.90/32", "10.10.1.91/32")},
			phases: []phase{
				{name: "start", holds: holdings{w1eth1: "10.10.1.81 10.10.1.90 10.10.1.91"}, ready: true},
				{name: "another worker takes two", do: func(s *scene, _ *process) { s.take(w2eth1, "10.10.1.90", "10.10.1.91") }},
				{
					name: "the first goes", do: func(s *scene, p *process) {
						s.remove(p.pod, "net1", "10.10.1.90/32")
						p.awaitLog("address left the pod", 1)
						p.awaitLog("addresses released", 1) // nothing is left to be released
					},
					holds: holdings{w1eth1: "10.10.1.81", w2eth1: "10.10.1.90 10.10.1.91"},
				},
			}, leaves: holdings{w2eth1: "10.10.1.90 10.10.1.91"},
		}, {
			name: "not the primary address of host-device", nets: []netlab.Net{like(w1eth1, "net1", "10.10.1.11/24", "10.10.1.81/24")}, env: release,
			phases: []phase{{name: "start", holds: first, ready: true}}, leaves: holdings{},
		}, {
			name: "not what was refused", nets: []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24", "10.10.1.82/24")}, env: release, cloud: both(untagged(w2eth1), holding(w2eth1, "10.10.1.82")),
			phases: []phase{{name: "start", holds: holdings{w1eth1: "10.10.1.81", w2eth1: "10.10.1.82"}, missing: []string{"10.10.1.82", "ForeignOwner"}}},
			code:   3, leaves: holdings{w2eth1: "10.10.1.82"},
		}, {
			name: "not at the price of hanging when EC2 is away", env: release,
			phases: []phase{
				{name: "start", holds: first, ready: true},
				{name: "EC2 goes", do: func(s *scene, _ *process) { s.set(`{"ec2": "down"}`) }, holds: first},
			}, leaves: first,
		},
	})
}
