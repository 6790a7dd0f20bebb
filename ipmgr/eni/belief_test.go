package eni_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

// played is IMDS as an application plays it: it has what values say and the
// rest from the worker's own.
func (r *rig) played(values map[string]string) {
	r.t.Helper()
	served, err := r.sim.IMDS("i-worker1", vpcsim.PodHops)
	if err != nil {
		r.t.Fatal(err)
	}
	r.net.serve(r.t, imdsHost, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		value, ok := values[strings.TrimPrefix(request.URL.Path, "/latest/meta-data/network/interfaces/macs/")]
		switch {
		case !ok:
			served.ServeHTTP(w, request)
		case value == "":
			http.NotFound(w, request)
		default:
			_, _ = io.WriteString(w, value)
		}
	}))
	r.cloud.Close() // no connection to the real one is left
}

const macPlayed = "02:00:00:00:66:66"

// another is the ENI of worker 2 as an application of worker 1 plays it.
func another(mac string) map[string]string {
	return map[string]string{
		mac + "/interface-id": "eni-w2-eth1", mac + "/device-number": "1", mac + "/local-ipv4s": "10.10.1.12",
		mac + "/subnet-ipv4-cidr-block": "10.10.1.0/24", mac + "/ipv6s": "", mac + "/subnet-ipv6-cidr-blocks": "", mac + "/ipv4-prefix": "", mac + "/ipv6-prefix": "",
		"": macEth0 + "/\n" + macEth1 + "/\n" + mac + "/",
	}
}

func TestAnENIThatAppearsLaterIsBelievedOnlyIfItIsTheWorkers(t *testing.T) {
	t.Parallel()
	first := onLink(macEth1, "10.10.1.70")
	both := append(onLink(macPlayed, "10.10.1.71"), first...)
	for name, change := range map[string]func(*rig){
		"EC2 says that it is another's": func(*rig) {},
		"EC2 may not be asked":          func(r *rig) { r.set(`{"deny":["DescribeNetworkInterfaces"]}`) },
		"EC2 does not answer":           func(r *rig) { r.set(`{"ec2":"refused"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inVPC(t, nil, func(r *rig) {
				r.attached(first, eth1())
				r.played(another(macPlayed))
				change(r)
				for range 3 {
					got, err := r.cloud.Attached(r.t.Context(), both)
					if err != nil {
						r.t.Fatal(err)
					}
					for _, e := range got {
						if e.ID == "eni-w2-eth1" {
							r.t.Error("the ENI of another worker was believed to be this one's")
						}
					}
				}
				if calls := r.calls(); len(calls) > 1 {
					r.t.Errorf("calls %v, want one question", calls)
				}
			})
		})
	}
}

// The application gives a MAC that is known another ENI: first it lets the ENI
// vanish.
func TestAKnownMACGetsNoOtherENI(t *testing.T) {
	t.Parallel()
	inVPC(t, nil, func(r *rig) {
		pod := onLink(macEth1, "10.10.1.70")
		r.attached(pod, eth1())
		gone := another(macEth1)
		for leaf := range gone {
			gone[leaf] = ""
		}
		r.played(gone)
		_, _ = r.cloud.Attached(r.t.Context(), pod)
		r.played(another(macEth1))
		got, err := r.cloud.Attached(r.t.Context(), pod)
		if err != nil || len(got) != 0 {
			r.t.Errorf("ENIs %v and error %v, want none", got, err)
		}
	})
}

func TestAnENIOfTheWorkerThatAppearsLaterCostsOneQuestion(t *testing.T) {
	t.Parallel()
	inVPC(t, nil, func(r *rig) {
		r.attached(onLink(macEth1, "10.10.1.70"), eth1())
		r.attach("eni-spare", 2)
		spare := plan.ENI{ID: "eni-spare", MAC: "02:00:00:00:09:01", DeviceIndex: 2, Primary: netip.MustParseAddr("10.10.1.19"), Subnets: eth1().Subnets}
		pod := onLink("02:00:00:00:09:01", "10.10.1.71")
		r.attached(pod, spare)
		r.attached(pod, spare)
		r.wantCalls(describeOK)
	})
}

// An ENI that was just attached may be missing when the pod starts, and no
// right to describe ENIs is needed then.
func TestAnENIThatIMDSShowsLateAtTheStartIsBelieved(t *testing.T) {
	t.Parallel()
	inVPC(t, nil, func(r *rig) {
		r.set(`{"deny":["DescribeNetworkInterfaces"]}`)
		pod := onLink("02:00:00:00:09:01", "10.99.1.71")
		r.attached(pod, eth0(), eth1())
		r.attach("eni-spare", 2)
		time.Sleep(2 * time.Second)
		spare := plan.ENI{ID: "eni-spare", MAC: "02:00:00:00:09:01", DeviceIndex: 2, Primary: netip.MustParseAddr("10.10.1.19"), Subnets: eth1().Subnets}
		r.attached(pod, spare)
		r.wantCalls()
	})
}

func TestWhatChangesWhileAnENIIsAttachedIsSeen(t *testing.T) {
	t.Parallel()
	inVPC(t, nil, func(r *rig) {
		pod := onLink(macEth1, "10.10.1.70")
		r.attached(pod, eth1())
		with := eth1()
		with.Prefixes = []netip.Prefix{netip.MustParsePrefix("10.10.1.64/28"), netip.MustParsePrefix("2600:1f13:0:1:1::/80")}
		with.Subnets = append(with.Subnets, netip.MustParsePrefix("2600:1f13:0:9::/64"))
		r.played(map[string]string{
			macEth1 + "/ipv4-prefix": "10.10.1.64/28", macEth1 + "/ipv6-prefix": "2600:1f13:0:1:1::/80",
			macEth1 + "/subnet-ipv6-cidr-blocks": "2600:1f13:0:1::/64\n2600:1f13:0:9::/64",
		})
		r.attached(pod, with)
		r.played(nil)
		r.attached(pod, eth1())
	})
}

func TestTheSubnetsThatEC2ShowsAreReadAgain(t *testing.T) {
	t.Parallel()
	inVPC(t, withHost, func(r *rig) {
		pod := onLink(macPod, "10.10.1.70")
		r.attached(pod, eth0(), eth1())
		r.calls()
		r.attached(pod, eth0(), eth1())
		r.wantCalls(describeOK)
		time.Sleep(30 * time.Second)
		r.attached(pod, eth0(), eth1())
		r.wantCalls(describeOK, subnetsOK)
		time.Sleep(30 * time.Second)
		r.set(`{"deny":["DescribeSubnets"]}`)
		r.attached(pod, eth0(), eth1()) // what was read before serves
	})
}

// A pod may make as many links as it likes: IMDS is not asked for each.
func TestManyLinksCostOneListOfENIs(t *testing.T) {
	t.Parallel()
	inVPC(t, nil, func(r *rig) {
		pod := onLink(macEth1, "10.10.1.70")
		for i := range 500 {
			pod = append(pod, onLink(fmt.Sprintf("aa:00:00:00:%02x:%02x", i/256, i%256), "192.168.1.1")...)
		}
		r.attached(pod, eth0(), eth1())
		if _, reads := r.imdsReads(); reads > 20 {
			r.t.Errorf("%d reads of IMDS", reads)
		}
	})
}

func TestServicesOfTheWorkerAreDialledAsSuch(t *testing.T) {
	file := tokenFile(t)
	tests := map[string]struct {
		change func(*setup)
		host   string // serves credentials
		worker bool
	}{
		"IMDS":                     {withoutKeys, imdsHost, true},
		"the agent for identities": {podIdentity(file), agentHost, true},
		"an agent on loopback": {func(s *setup) {
			podIdentity(file)(s)
			s.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://127.0.0.1/v1"
		}, "127.0.0.1:80", false},
		"IMDS at an endpoint of the user's": {func(s *setup) {
			withoutKeys(s)
			s.env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = "http://127.0.0.2"
		}, "127.0.0.2:80", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inVPC(t, test.change, func(r *rig) {
				service := &tokenService{}
				if test.host != imdsHost && !strings.HasPrefix(name, "IMDS") {
					r.net.serve(r.t, test.host, service)
				} else if test.host != imdsHost {
					served, err := r.sim.IMDS("i-worker1", vpcsim.PodHops)
					if err != nil {
						r.t.Fatal(err)
					}
					r.net.serve(r.t, test.host, served)
				}
				r.assign(true, []string{"10.10.1.70"}, nil)
				if got := len(r.services) > 0; got != test.worker {
					r.t.Errorf("dialled as a service of the worker: %v, want %v", r.services, test.worker)
				}
			})
		})
	}
}

func TestWhereIMDSIsAsked(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		host string
	}{
		{"at its address", nil, imdsHost},
		{"at its address of IPv6", map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6"}, "[fd00:ec2::254]:80"},
		{"where the user says", map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1338/"}, "127.0.0.1:1338"},
		{"if it is not disabled", map[string]string{"AWS_EC2_METADATA_DISABLED": "False"}, imdsHost},
		{"if it is not disabled, by rumour", map[string]string{"AWS_EC2_METADATA_DISABLED": "1"}, imdsHost},
		{"nowhere if it is", map[string]string{"AWS_EC2_METADATA_DISABLED": "TRUE"}, ec2Host},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inVPC(t, func(s *setup) { inEnvironment(s); maps.Copy(s.env, test.env) }, func(r *rig) {
				served, err := r.sim.IMDS("i-worker1", vpcsim.PodHops)
				if err != nil {
					r.t.Fatal(err)
				}
				if test.host != ec2Host {
					r.net.serve(r.t, test.host, served)
				}
				if _, err := r.cloud.Attached(r.t.Context(), onLink(macEth1, "10.10.1.70")); err != nil {
					r.t.Error(err)
				}
				if dialled := slices.Compact(r.net.dialled); !slices.Equal(dialled, []string{test.host}) {
					r.t.Errorf("dialled %v, want %s", dialled, test.host)
				}
			})
		})
	}
}

// The application gives a link of its own the MAC of another worker's ENI while
// IMDS does not answer.
func TestTheMACOfAnotherWorkersENILeadsNowhere(t *testing.T) {
	t.Parallel()
	const macOther = "02:00:00:00:02:01"
	inVPC(t, nil, func(r *rig) {
		pod := onLink(macEth1, "10.10.1.70")
		r.attached(pod, eth1())
		r.set(`{"imds":"failing"}`)
		r.attached(onLink(macOther, "10.10.1.71"))
		r.attached(pod, withoutSubnets(eth1()))
	})
	inVPC(t, byEC2, func(r *rig) {
		pod := onLink(macEth1, "10.10.1.70")
		r.attached(pod, withoutSubnets(eth1()))
		r.attached(append(onLink(macOther, "10.10.1.71"), pod...), eth0(), eth1())
	})
}

func TestWithoutApplicationsEveryENIIsBelieved(t *testing.T) {
	t.Parallel()
	inVPC(t, func(s *setup) { s.opts.Alone = true }, func(r *rig) {
		r.set(`{"deny":["DescribeNetworkInterfaces"]}`)
		r.attached(onLink(macEth1, "10.10.1.70"), eth1())
		time.Sleep(time.Minute)
		r.attach("eni-spare", 2)
		spare := plan.ENI{ID: "eni-spare", MAC: "02:00:00:00:09:01", DeviceIndex: 2, Primary: netip.MustParseAddr("10.10.1.19"), Subnets: eth1().Subnets}
		r.attached(onLink("02:00:00:00:09:01", "10.10.1.71"), spare)
		r.wantCalls()
	})
}
