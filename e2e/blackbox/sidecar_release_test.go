package blackbox_test

import (
	"net"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

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
			name: "nothing when it was never ready, and its application may run on", nets: []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24", "10.10.1.82/24")}, env: release, cloud: both(untagged(w2eth1), holding(w2eth1, "10.10.1.82")),
			phases: []phase{{name: "start", holds: holdings{w1eth1: "10.10.1.81", w2eth1: "10.10.1.82"}, missing: []string{"10.10.1.82", "ForeignOwner"}}},
			code:   3, leaves: holdings{w1eth1: "10.10.1.81", w2eth1: "10.10.1.82"},
		}, {
			name: "not at the price of hanging when EC2 is away", env: release,
			phases: []phase{
				{name: "start", holds: first, ready: true},
				{name: "EC2 goes", do: func(s *scene, _ *process) { s.set(`{"ec2": "down"}`) }, holds: first},
			}, leaves: first,
		},
	})
}

func TestSidecarDoesNotReleaseWhatItsNeighbourHas(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	one, two := s.pod("pod-1"), s.pod("pod-2")
	s.connect(one, two)
	s.add(one, "net1", "10.10.1.81/24")
	s.add(two, "net1", "10.10.1.82/24")
	s.add(one, "net1", "10.10.1.90/32")
	first := s.start(one, "sidecar", "IPMGR_RELEASE=true", "IPMGR_RESYNC=1h")
	second := s.start(two, "sidecar", "IPMGR_RELEASE=true", "IPMGR_RESYNC=1h")
	first.awaitReady()
	second.awaitReady()
	s.add(two, "net1", "10.10.1.90/32") // a new pod on the same worker takes over
	second.awaitReady()
	s.remove(one, "net1", "10.10.1.90/32")
	first.awaitLog("address kept, another pod on this worker has it", 1)
	s.awaitHoldings("the neighbour keeps the address", holdings{w1eth1: "10.10.1.81 10.10.1.82 10.10.1.90"})
	first.terminate()
	s.awaitHoldings("the first pod has gone", holdings{w1eth1: "10.10.1.82 10.10.1.90"})
}

// connect gives two pods a net1 each with the MAC of one ENI, and lets them
// reach each other, as ipvlan does on a worker.
func (s *scene) connect(one, two *netlab.Pod) {
	s.Helper()
	mac, err := net.ParseMAC(macs[w1eth1])
	s.do(err)
	ns := netns.None()
	s.do(two.Do(func() (err error) {
		ns, err = netns.Get()
		return err
	}))
	defer ns.Close()
	s.do(one.Do(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.HardwareAddr = "net1", mac
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "net1", PeerNamespace: netlink.NsFd(ns), PeerHardwareAddr: mac})
	}))
	s.Cleanup(func() { s.do(one.DelLink("net1")) })
	s.do(one.SetLink("net1", true))
	s.do(two.SetLink("net1", true))
}
