package blackbox_test

import (
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/chaos"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

// first is what the standard pod holds.
var first = holdings{w1eth1: "10.10.1.81"}

func TestSidecarIsReadyOnlyWhenAllAddressesAreHeld(t *testing.T) {
	runSidecar(t, []sidecarCase{
		{
			name: "not while EC2 throttles", faults: []vpcsim.Fault{fails(assign4, "RequestLimitExceeded", 503, chaos.Forever)},
			phases: []phase{
				{name: "throttled", holds: holdings{}, missing: []string{"not ready", "10.10.1.81", w1eth1, "RequestLimitExceeded"}},
				{name: "healed", do: func(s *scene, _ *process) { s.heal() }, holds: first, ready: true, logs: "all addresses are assigned"},
			},
		}, {
			name: "not before the cloud shows the address", settings: `{"imdsLag": "1h"}`,
			phases: []phase{
				{name: "assigned", holds: first, missing: []string{"10.10.1.81", w1eth1, "NotVisible"}},
				{name: "shown", do: func(s *scene, _ *process) { s.set(`{"imdsLag": "0s"}`) }, holds: first, ready: true},
			},
		}, {
			name: "at once in a pod that has no address so far", nets: []netlab.Net{like(w1eth1, "net1")},
			phases: []phase{
				{name: "none", holds: holdings{}, ready: true},
				{name: "a floating one comes", do: func(s *scene, p *process) { s.add(p.pod, "net1", "10.10.1.81/32") }, holds: first, ready: true},
			},
		}, {
			name: "not before a required interface is there", env: []string{"IPMGR_INTERFACES=net1,net2"},
			phases: []phase{
				{name: "net1 alone", holds: first, missing: []string{"NoAddress", "net2"}},
				{
					name: "net2 is plugged", do: func(s *scene, p *process) { s.do(p.pod.AddLink(like(w1eth2, "net2", "10.10.2.81/24"))) },
					holds: holdings{w1eth1: "10.10.1.81", w1eth2: "10.10.2.81"}, ready: true,
				},
			},
		}, {
			name: "not while one of several is refused, and the others are held all the same",
			nets: []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24", "10.10.1.2/24", "10.10.1.82/24")},
			phases: []phase{
				{name: "one is reserved by AWS", holds: holdings{w1eth1: "10.10.1.81 10.10.1.82"}, missing: []string{"10.10.1.2", w1eth1, "InvalidParameterValue"}, logs: "address refused"},
				{name: "one more comes", do: func(s *scene, p *process) { s.add(p.pod, "net1", "10.10.1.83/24") }, holds: holdings{w1eth1: sequence("10.10.1.81", 3)}},
				{name: "the bad one goes", do: func(s *scene, p *process) { s.remove(p.pod, "net1", "10.10.1.2/24") }, holds: holdings{w1eth1: sequence("10.10.1.81", 3)}, ready: true},
			},
		}, {
			name: "not when an address comes that cannot be had",
			phases: []phase{
				{name: "ready", holds: first, ready: true},
				{name: "a foreign address comes", do: func(s *scene, p *process) { s.add(p.pod, "net1", "10.10.2.90/32") }, holds: first, missing: []string{"10.10.2.90", "OutsideSubnet"}, logs: "not all addresses are assigned"},
			},
		},
	})
}

func TestReadyWithoutSidecarIsNotReady(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p := &process{scene: s, pod: s.pod("pod-1", like(w1eth1, "net1", "10.10.1.81/24"))}
	if code, said := p.ready(); code != 1 || !strings.Contains(said, "no ipmgr sidecar answers") {
		t.Errorf("exit code %d and %q, want 1 and that no sidecar answers", code, said)
	}
}

func TestSidecarThatWasNeverReadySaysWhy(t *testing.T) {
	runSidecar(t, []sidecarCase{{
		name: "by its exit code", settings: `{"deny": ["AssignPrivateIpAddresses"]}`,
		phases: []phase{{name: "not authorised", holds: holdings{}, missing: []string{"UnauthorizedOperation", "ec2:AssignPrivateIpAddresses"}}},
		code:   3,
	}})
}

func TestSidecarFollowsItsPod(t *testing.T) {
	floating := holdings{w1eth1: "10.10.1.81 10.10.1.90"}
	runSidecar(t, []sidecarCase{
		{
			name: "a floating address comes, goes, and comes back after another worker had it",
			phases: []phase{
				{name: "before", holds: first, ready: true},
				{name: "it comes", do: func(s *scene, p *process) { s.add(p.pod, "net1", "10.10.1.90/32") }, holds: floating, ready: true},
				{name: "it goes, and stays on the ENI", do: func(s *scene, p *process) { s.remove(p.pod, "net1", "10.10.1.90/32") }, holds: floating, logs: "address left the pod"},
				{name: "another worker takes it", do: func(s *scene, _ *process) { s.take(w2eth1, "10.10.1.90") }, holds: holdings{w1eth1: "10.10.1.81", w2eth1: "10.10.1.90"}, ready: true},
				{name: "it comes back", do: func(s *scene, p *process) { s.add(p.pod, "net1", "10.10.1.90/32") }, holds: floating, ready: true},
			},
		}, {
			name: "an address comes and goes faster than EC2 answers", settings: `{"latency": "50ms"}`,
			phases: []phase{{name: "all at once", do: func(s *scene, p *process) {
				for range 10 {
					s.add(p.pod, "net1", "10.10.1.90/32")
					s.remove(p.pod, "net1", "10.10.1.90/32")
				}
				s.add(p.pod, "net1", "10.10.1.90/32")
			}, holds: floating, ready: true}},
		}, {
			name: "an address moves to another interface on another ENI", cloud: oneSubnet, nets: []netlab.Net{like(w1eth1, "net1", "10.10.1.81/24", "10.10.1.90/32"), like(w1eth2, "net2", "10.10.1.82/24")},
			phases: []phase{
				{name: "before", holds: holdings{w1eth1: "10.10.1.81 10.10.1.90", w1eth2: "10.10.1.82"}, ready: true},
				{name: "it moves", do: func(s *scene, p *process) {
					s.remove(p.pod, "net1", "10.10.1.90/32")
					s.add(p.pod, "net2", "10.10.1.90/32")
				}, holds: holdings{w1eth1: "10.10.1.81", w1eth2: "10.10.1.82 10.10.1.90"}, ready: true},
			},
		}, {
			name: "IPv6 floats too", cloud: holding(w2eth1, "2600:1f13:0:1::90"),
			phases: []phase{
				{name: "before", holds: holdings{w1eth1: "10.10.1.81", w2eth1: "2600:1f13:0:1::90"}, ready: true},
				{name: "it comes", do: func(s *scene, p *process) { s.add(p.pod, "net1", "2600:1f13:0:1::90/128") }, holds: holdings{w1eth1: "10.10.1.81 2600:1f13:0:1::90"}, ready: true},
			},
		}, {
			name: "an interface is plugged and unplugged",
			phases: []phase{
				{name: "before", holds: first, ready: true},
				{name: "plugged", do: func(s *scene, p *process) { s.do(p.pod.AddLink(like(w1eth2, "net2", "10.10.2.81/24"))) }, holds: holdings{w1eth1: "10.10.1.81", w1eth2: "10.10.2.81"}, ready: true},
				{name: "unplugged", do: func(s *scene, p *process) { s.do(p.pod.DelLink("net2")) }, holds: holdings{w1eth1: "10.10.1.81", w1eth2: "10.10.2.81"}, logs: "address left the pod", ready: true},
			},
		}, {
			name: "an ENI is attached while the pod runs", cloud: func(vpc *vpcsim.Topology) {
				vpc.ENIs = append(vpc.ENIs, vpc.Instances[0].ENIs[2])
				vpc.Instances[0].ENIs = vpc.Instances[0].ENIs[:2]
			},
			phases: []phase{
				{name: "before", holds: first, ready: true},
				{name: "an interface without ENI", do: func(s *scene, p *process) { s.do(p.pod.AddLink(like(w1eth2, "net2", "10.10.2.81/24"))) }, holds: first, missing: []string{"10.10.2.81", "NoENI"}},
				{name: "its ENI comes", do: func(s *scene, _ *process) { s.attach(w1eth2, worker1, 2) }, holds: holdings{w1eth1: "10.10.1.81", w1eth2: "10.10.2.81"}, ready: true},
			},
		}, {
			name: "its ENI is detached, and another one of the subnet takes its place", cloud: oneSubnet, nets: []netlab.Net{own("net1", "10.10.1.81/24")},
			phases: []phase{
				{name: "before", holds: first, ready: true},
				{name: "detached", do: func(s *scene, _ *process) { s.detach(w1eth1) }, holds: holdings{w1eth2: "10.10.1.81"}, ready: true},
			},
		}, {
			name: "an ENI that was full has room again", cloud: crowded(w1eth1, 0),
			phases: []phase{
				{name: "full", holds: holdings{w1eth1: sequence("10.10.1.200", 14)}, missing: []string{"PrivateIpAddressLimitExceeded"}},
				{name: "room", do: func(s *scene, _ *process) { s.drop(w1eth1, "10.10.1.213") }, holds: holdings{w1eth1: sequence("10.10.1.200", 13) + " 10.10.1.81"}, ready: true},
			},
		}, {
			name: "a dry run assigns nothing", env: []string{"IPMGR_DRY_RUN=true", "IPMGR_RELEASE=true"},
			phases: []phase{
				{name: "start", holds: holdings{}, logs: "would assign address"},
				{name: "an address goes", do: func(s *scene, p *process) { s.remove(p.pod, "net1", "10.10.1.81/24") }, holds: holdings{}, logs: "would release addresses", check: func(s *scene, p *process) {
					for _, lie := range []string{"address assigned", "all addresses are assigned", "addresses released"} {
						if len(p.logged(lie)) > 0 {
							s.Errorf("logged %q", lie)
						}
					}
				}},
			},
		},
	})
}

func TestSidecarRepairsDrift(t *testing.T) {
	lost := []phase{
		{name: "before", holds: first, ready: true},
		{name: "another ENI takes the address", do: func(s *scene, _ *process) { s.take(w2eth1, "10.10.1.81") }, logs: "address was lost, claiming it again", holds: first, ready: true},
		{name: "somebody unassigns it", do: func(s *scene, _ *process) { s.drop(w1eth1, "10.10.1.81") }, holds: first, ready: true},
	}
	runSidecar(t, []sidecarCase{
		{name: "as IMDS shows it", phases: lost},
		{name: "as EC2 shows it where IMDS is out of reach", cloud: hopLimit(1), phases: lost},
		{
			name: "of an IPv6 address", nets: []netlab.Net{like(w1eth1, "net1", "2600:1f13:0:1::81/64")},
			phases: []phase{
				{name: "before", holds: holdings{w1eth1: "2600:1f13:0:1::81"}, ready: true},
				{name: "lost", do: func(s *scene, _ *process) { s.drop6(w1eth1, "2600:1f13:0:1::81") }, logs: "address was lost, claiming it again", holds: holdings{w1eth1: "2600:1f13:0:1::81"}, ready: true},
			},
		}, {
			name: "but believes EC2 more than an IMDS that lags behind", settings: `{"imdsLag": "1s"}`,
			phases: []phase{
				{name: "before", holds: first, ready: true},
				{name: "EC2 shows it all the time", do: func(s *scene, p *process) {
					s.add(p.pod, "net1", "10.10.1.90/32")
					p.awaitReady()
				}, check: func(s *scene, p *process) {
					if n := len(p.logged("address was lost, claiming it again")); n != 0 {
						s.Errorf("%d losses reported, want none", n)
					}
				}, holds: holdings{w1eth1: "10.10.1.81 10.10.1.90"}},
			},
		}, {
			name: "although EC2 was out of reach meanwhile",
			phases: []phase{
				{name: "before", holds: first, ready: true},
				{name: "lost, and EC2 is down", do: func(s *scene, _ *process) {
					s.drop(w1eth1, "10.10.1.81")
					s.set(`{"ec2": "refused"}`)
				}, holds: holdings{}, missing: []string{"10.10.1.81"}},
				{name: "EC2 is back", do: func(s *scene, _ *process) { s.set(`{"ec2": "up"}`) }, holds: first, ready: true},
			},
		}, {
			name: "although IMDS was out of reach meanwhile",
			phases: []phase{
				{name: "before", holds: first, ready: true},
				{name: "lost, and IMDS is down", do: func(s *scene, _ *process) {
					s.set(`{"imds": "refused"}`)
					s.drop(w1eth1, "10.10.1.81")
				}, logs: "address was lost, claiming it again", holds: first, ready: true},
			},
		},
	})
}

func TestSidecarStaysReadyWhileTheCloudIsAway(t *testing.T) {
	runSidecar(t, []sidecarCase{{
		name: "both EC2 and IMDS",
		phases: []phase{
			{name: "before", holds: first, ready: true},
			{
				name: "away", do: func(s *scene, _ *process) { s.set(`{"ec2": "refused", "imds": "refused"}`) },
				logs: "the worker's ENIs could not be read, will be retried", holds: first, ready: true,
			},
			{name: "back", do: func(s *scene, _ *process) {
				s.set(`{"ec2": "up", "imds": "up"}`)
				s.take(w2eth1, "10.10.1.81")
			}, holds: first, ready: true},
		},
	}})
}

func TestSidecarServesMetrics(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	pod := s.pod("pod-1", like(w1eth1, "net1", "10.10.1.81/24", "10.10.1.2/24"))
	p := s.start(pod, "sidecar", "IPMGR_METRICS_ADDRESS=:9100", "IPMGR_RESYNC=1h")
	p.awaitMissing("10.10.1.2")
	p.awaitLog("address assigned", 1)
	var text string
	for _, want := range []string{
		"multus_ipmgr_ready 0\n",
		`multus_ipmgr_address{address="10.10.1.81",interface="net1",eni="` + w1eth1 + `",state="held"} 1` + "\n",
		`multus_ipmgr_address{address="10.10.1.2",interface="net1",eni="` + w1eth1 + `",state="refused"} 1` + "\n",
		`multus_ipmgr_address_contested{address="10.10.1.81",interface="net1",eni="` + w1eth1 + `"} 0` + "\n",
		"multus_ipmgr_assigned_total 1\n", "multus_ipmgr_lost_total 0\n", "multus_ipmgr_released_total 0\n",
		`multus_ipmgr_ec2_calls_total{action="AssignPrivateIpAddresses",code="ok"} `,
		`multus_ipmgr_ec2_calls_total{action="AssignPrivateIpAddresses",code="InvalidParameterValue"} `,
		`multus_ipmgr_ec2_call_seconds_total{action="AssignPrivateIpAddresses",code="ok"} `,
	} {
		s.eventually("metrics with "+want, func() (bool, any) {
			text = s.metrics(pod)
			return strings.Contains(text, want), text
		})
	}
	s.remove(pod, "net1", "10.10.1.2/24")
	s.eventually("readiness in the metrics", func() (bool, any) {
		text = s.metrics(pod)
		return strings.Contains(text, "multus_ipmgr_ready 1\n") && !strings.Contains(text, `"10.10.1.2"`), text
	})
}

// metrics reads what the sidecar of a pod serves on port 9100.
func (s *scene) metrics(pod *netlab.Pod) string {
	s.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := client.Get("http://" + netip.AddrPortFrom(s.eth0[pod], 9100).String() + "/metrics")
	s.do(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	s.do(err)
	return string(text)
}

func TestSidecarsHandAFloatingAddressToAndFro(t *testing.T) {
	for _, tt := range []struct{ name, vip string }{{"IPv4", "10.10.1.90/32"}, {"IPv6", "2600:1f13:0:1::90/128"}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			vip := netip.MustParsePrefix(tt.vip).Addr().String()
			one := s.start(s.pod("pod-1", like(w1eth1, "net1", "10.10.1.81/24")), "sidecar")
			two := s.startOn(worker2, s.pod("pod-2", like(w2eth1, "net1", "10.10.1.82/24")), "sidecar")
			one.awaitReady()
			two.awaitReady()
			at := map[*process]holdings{
				one: {w1eth1: "10.10.1.81 " + vip, w2eth1: "10.10.1.82"},
				two: {w1eth1: "10.10.1.81", w2eth1: "10.10.1.82 " + vip},
			}
			for range 3 {
				for _, p := range []*process{one, two} {
					s.add(p.pod, "net1", tt.vip)
					s.awaitHoldings("the address moves to "+p.pod.Name, at[p])
					p.awaitReady()
					s.remove(p.pod, "net1", tt.vip)
				}
			}
			for _, p := range []*process{one, two} {
				if code := p.terminate(); code != 0 {
					t.Errorf("%s: exit code %d, want 0", p.pod.Name, code)
				}
			}
		})
	}
}

func TestSidecarsThatFightOverAnAddressBackOffAndSaySo(t *testing.T) {
	t.Parallel()
	const resync = 100 * time.Millisecond
	s := newScene(t)
	one := s.start(s.pod("pod-1", like(w1eth1, "net1", "10.10.1.90/32")), "sidecar", "IPMGR_RESYNC="+resync.String())
	two := s.startOn(worker2, s.pod("pod-2", like(w2eth1, "net1", "10.10.1.90/32")), "sidecar", "IPMGR_RESYNC="+resync.String())
	const complaint = "two pods claim this address: remove it from one of them"
	for p, other := range map[*process]string{one: w2eth1, two: w1eth1} {
		for _, r := range p.awaitLog(complaint, 2) {
			wait, err := time.ParseDuration(r.NextTry)
			// The pause doubles from loss to loss, up to sixteen times, less up to half.
			if least := min(resync<<(r.Losses-2), 8*resync); err != nil || wait < least {
				t.Errorf("next try after %q at loss %d, want %v or more", r.NextTry, r.Losses, least)
			}
			if r.Owner != other || r.Address != "10.10.1.90" {
				t.Errorf("the complaint names %s of %s, want 10.10.1.90 of %s", r.Address, r.Owner, other)
			}
		}
	}
	s.remove(two.pod, "net1", "10.10.1.90/32") // as the pods were asked to
	s.awaitHoldings("the fight is over", holdings{w1eth1: "10.10.1.90"})
	one.awaitReady()
}

func TestSidecarLeavesDelegatedPrefixesAlone(t *testing.T) {
	prefix := netip.MustParsePrefix("10.10.1.128/28")
	runSidecar(t, []sidecarCase{{
		name:  "in all phases",
		cloud: change(w1eth1, func(e *topology.ENI) { e.IPv4Prefixes = []netip.Prefix{prefix} }),
		nets:  []netlab.Net{like(w1eth1, "net1", "10.10.1.130/24")}, env: []string{"IPMGR_RELEASE=true"},
		phases: []phase{{name: "start", holds: holdings{}, ready: true}, {
			name: "the address goes", do: func(s *scene, p *process) { s.remove(p.pod, "net1", "10.10.1.130/24") }, logs: "address left the pod", holds: holdings{},
			check: func(s *scene, _ *process) {
				if calls := s.actions(); len(calls) > 0 {
					s.Errorf("EC2 calls %q, want none", calls)
				}
			},
		}},
	}})
}
