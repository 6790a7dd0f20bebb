package eni_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

const (
	describeOK = "DescribeNetworkInterfaces ok"
	subnetsOK  = "DescribeSubnets ok"
)

var hostIP = netip.MustParseAddr("10.10.12.11")

func byEC2(s *setup)     { s.opts.Discovery = spec.DiscoverEC2 }
func onlyIMDS(s *setup)  { s.opts.Discovery = spec.DiscoverIMDS }
func withHost(s *setup)  { byEC2(s); s.opts.HostIP = hostIP }
func hopLimit1(s *setup) { s.hopLimit = 1 }

func TestIMDSFindsTheENIOfAMAC(t *testing.T) {
	t.Parallel()
	inVPC(t, nil, func(r *rig) {
		pod := onLink(macEth1, "10.10.1.70", "2600:1f13:0:1::70")
		r.attached(pod, eth1())
		if tokens, reads := r.imdsReads(); tokens != 1 || reads > 8 {
			r.t.Errorf("first look: %d token requests and %d reads, want 1 and at most 8", tokens, reads)
		}
		r.attached(pod, eth1())
		if tokens, reads := r.imdsReads(); tokens != 0 || reads != 6 {
			r.t.Errorf("second look: %d token requests and %d reads, want none and the lists of addresses, prefixes and subnet CIDRs", tokens, reads)
		}
		r.wantCalls()
	})
}

func TestIMDSShowsAddressesAsTheyChange(t *testing.T) {
	t.Parallel()
	inVPC(t, nil, func(r *rig) {
		r.set(`{"imdsLag":"1s","imdsTrailingNewline":true}`)
		pod := onLink(macEth1, "10.10.1.70")
		r.attached(pod, eth1())
		r.assign(true, []string{"10.10.1.70", "10.10.1.71"}, nil)
		r.assign(true, []string{"2600:1f13:0:1::70"}, nil)
		r.attached(pod, eth1())
		time.Sleep(time.Second)
		r.attached(pod, withAddrs(eth1(), "10.10.1.70", "10.10.1.71", "2600:1f13:0:1::70"))
	})
}

func TestIMDSListsAllENIsWhenAMACIsNoENIs(t *testing.T) {
	t.Parallel()
	tests := map[string][]plan.Address{
		"a macvlan link has a MAC of its own": onLink(macPod, "10.10.1.70"),
		"one of two links is macvlan":         append(onLink(macEth1, "10.10.1.71"), onLink(macPod, "10.10.1.70")...),
		"a link has no MAC":                   onLink("", "10.10.1.70"),
	}
	for name, pod := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inVPC(t, nil, func(r *rig) {
				r.attached(pod, eth0(), eth1())
				r.attached(pod, eth0(), eth1())
				r.wantCalls()
			})
		})
	}
}

func TestIMDSShowsDelegatedPrefixes(t *testing.T) {
	t.Parallel()
	withPrefixes := func(s *setup) {
		s.topology = strings.Replace(s.topology, "primary: 10.10.1.11,", `primary: 10.10.1.11, ipv4Prefixes: [10.10.1.32/28], ipv6Prefixes: ["2600:1f13:0:1:1::/80"],`, 1)
	}
	want := eth1()
	want.Prefixes = []netip.Prefix{netip.MustParsePrefix("10.10.1.32/28"), netip.MustParsePrefix("2600:1f13:0:1:1::/80")}
	inVPC(t, withPrefixes, func(r *rig) { r.attached(onLink(macEth1, "10.10.1.33"), want) })
	inVPC(t, func(s *setup) { withPrefixes(s); byEC2(s) }, func(r *rig) {
		r.attached(onLink(macEth1, "10.10.1.33"), withoutSubnets(want))
	})
}

func TestNoAddressesNeedNoENIs(t *testing.T) {
	t.Parallel()
	inVPC(t, nil, func(r *rig) {
		r.attached(nil)
		r.wantCalls()
		if tokens, reads := r.imdsReads(); tokens+reads != 0 {
			r.t.Errorf("%d requests to IMDS, want none", tokens+reads)
		}
	})
}

// detach takes worker 1's Multus ENI off; attach puts an ENI in its place.
func (r *rig) detach() {
	r.t.Helper()
	id := "eni-w1-eth1"
	out, err := r.admin.DescribeNetworkInterfaces(r.t.Context(), &ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{id}})
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.admin.DetachNetworkInterface(r.t.Context(), &ec2.DetachNetworkInterfaceInput{AttachmentId: out.NetworkInterfaces[0].Attachment.AttachmentId}); err != nil {
		r.t.Fatal(err)
	}
	r.calls()
}

func (r *rig) attach(id string, index int32) {
	r.t.Helper()
	_, err := r.admin.AttachNetworkInterface(r.t.Context(), &ec2.AttachNetworkInterfaceInput{
		NetworkInterfaceId: &id, InstanceId: aws.String("i-worker1"), DeviceIndex: &index,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.calls()
}

func TestAnENIThatWasDetachedOrAttachedIsSeen(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*setup){nil, withHost} {
		inVPC(t, change, func(r *rig) {
			pod := onLink(macPod, "10.10.1.70")
			r.attached(pod, eth0(), eth1())
			r.detach()
			r.attached(pod, eth0())
			r.attach("eni-spare", 2)
			spare := plan.ENI{ID: "eni-spare", MAC: "02:00:00:00:09:01", DeviceIndex: 2, Primary: netip.MustParseAddr("10.10.1.19"), Subnets: eth1().Subnets}
			r.attached(pod, eth0(), spare)
		})
	}
}

func TestHopLimitCostsHalfASecondOnce(t *testing.T) {
	t.Parallel()
	inVPC(t, hopLimit1, func(r *rig) {
		start := time.Now()
		for range 3 {
			r.attached(onLink(macEth1, "10.10.1.70"), withoutSubnets(eth1()))
		}
		if took := time.Since(start); took != 500*time.Millisecond {
			r.t.Errorf("three looks took %v, want 500ms for the first to find IMDS silent", took)
		}
		r.wantCalls(repeat(describeOK, 3)...)
	})
}

func TestIMDSIsTriedAgainAnHourLater(t *testing.T) {
	t.Parallel()
	inVPC(t, nil, func(r *rig) {
		r.set(`{"imds":"down"}`)
		r.attached(onLink(macEth1, "10.10.1.70"), withoutSubnets(eth1()))
		r.set(`{"imds":"up"}`)
		r.attached(onLink(macEth1, "10.10.1.70"), withoutSubnets(eth1()))
		time.Sleep(time.Hour)
		r.calls()
		r.attached(onLink(macEth1, "10.10.1.70"), eth1())
		r.wantCalls()
	})
}

func TestIMDSThatDoesNotServe(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*setup, *rig){
		"it is off for the instance":    func(_ *setup, r *rig) { r.set(`{"imds":"off"}`) },
		"it refuses connections":        func(_ *setup, r *rig) { r.set(`{"imds":"refused"}`) },
		"it fails":                      func(_ *setup, r *rig) { r.set(`{"imds":"failing"}`) },
		"the user disabled it":          func(s *setup, _ *rig) { s.env["AWS_EC2_METADATA_DISABLED"] = "true" },
		"nothing listens at its place":  func(s *setup, _ *rig) { s.env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = "http://203.0.113.9" },
		"discovery is EC2's by setting": func(s *setup, _ *rig) { byEC2(s) },
	}
	for name, arrange := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := func(s *setup) {
				if strings.Contains(name, "by setting") || strings.Contains(name, "user") || strings.Contains(name, "nothing") {
					arrange(s, nil)
				}
			}
			inVPC(t, before, func(r *rig) {
				arrange(&setup{env: map[string]string{}}, r)
				start := time.Now()
				r.attached(onLink(macEth1, "10.10.1.70"), withoutSubnets(eth1()))
				if took := time.Since(start); took != 0 {
					r.t.Errorf("finding out took %v, want nothing: it was told at once", took)
				}
				r.wantCalls(describeOK)
			})
		})
	}
}

func TestEC2StandsInWhileIMDSFails(t *testing.T) {
	t.Parallel()
	inVPC(t, nil, func(r *rig) {
		pod := onLink(macEth1, "10.10.1.70")
		r.attached(pod, eth1())
		r.set(`{"imds":"failing"}`)
		r.attached(pod, withoutSubnets(eth1()))
		r.wantCalls(describeOK)
		r.set(`{"imds":"up"}`)
		r.attached(pod, eth1())
		r.wantCalls()
	})
}

// A role may be allowed to assign addresses and nothing else: IMDS shows the
// ENIs. That IMDS fails for a moment must not end an init container for good.
func TestEC2ThatMayNotStandInIsNoRefusalWhileIMDSFails(t *testing.T) {
	t.Parallel()
	denied := vpcsim.Fault{Action: "DescribeNetworkInterfaces", Code: "UnauthorizedOperation", Status: 403}
	pod := onLink(macEth1, "10.10.1.70")
	inVPC(t, nil, func(r *rig) {
		r.attached(pod, eth1())
		r.set(`{"imds":"failing"}`)
		r.inject(denied)
		_, err := r.cloud.Attached(r.t.Context(), pod)
		if diff := gocmp.Diff(outcome{"UnauthorizedOperation", false}, outcomeOf(r.t, err)); diff != "" {
			r.t.Errorf("outcome (-want +got):\n%s", diff)
		}
	})
	inVPC(t, hopLimit1, func(r *rig) {
		r.inject(denied)
		_, err := r.cloud.Attached(r.t.Context(), pod)
		if diff := gocmp.Diff(outcome{"UnauthorizedOperation", true}, outcomeOf(r.t, err)); diff != "" {
			r.t.Errorf("outcome where IMDS never answers (-want +got):\n%s", diff)
		}
	})
}

func TestDiscoveryByIMDSOnlySaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	inVPC(t, func(s *setup) { onlyIMDS(s); hopLimit1(s) }, func(r *rig) {
		_, err := r.cloud.Attached(r.t.Context(), onLink(macEth1, "10.10.1.70"))
		if diff := gocmp.Diff(outcome{Code: fault.CodeIMDS}, outcomeOf(r.t, err)); diff != "" {
			r.t.Errorf("outcome (-want +got):\n%s", diff)
		}
		if err != nil && !strings.Contains(err.Error(), "hop limit") {
			r.t.Errorf("error %q does not speak of the hop limit", err)
		}
		r.wantCalls()
	})
	inVPC(t, onlyIMDS, func(r *rig) {
		r.set(`{"imds":"down"}`)
		if _, err := r.cloud.Attached(r.t.Context(), onLink(macEth1, "10.10.1.70")); err == nil {
			r.t.Error("no error though IMDS is down")
		}
		r.set(`{"imds":"up"}`)
		r.attached(onLink(macEth1, "10.10.1.70"), eth1())
	})
}

func TestEC2FindsTheENIOfAMAC(t *testing.T) {
	t.Parallel()
	inVPC(t, byEC2, func(r *rig) {
		pod := onLink(macEth1, "10.10.1.70", "2600:1f13:0:1::70")
		r.attached(pod, withoutSubnets(eth1()))
		r.assign(true, []string{"10.10.1.70"}, nil)
		r.attached(pod, withAddrs(withoutSubnets(eth1()), "10.10.1.70"))
		r.wantCalls(describeOK, "AssignPrivateIpAddresses ok", describeOK)
		if tokens, reads := r.imdsReads(); tokens+reads != 0 {
			r.t.Errorf("%d requests to IMDS, want none", tokens+reads)
		}
	})
}

func TestEC2FindsTheWorkerByItsAddress(t *testing.T) {
	t.Parallel()
	inVPC(t, withHost, func(r *rig) {
		pod := onLink(macPod, "10.10.1.70")
		r.attached(pod, eth0(), eth1())
		r.wantCalls(describeOK, describeOK, describeOK, subnetsOK) // by MAC, by HostIP, by instance
		r.attached(pod, eth0(), eth1())
		r.wantCalls(describeOK)
	})
}

func TestEC2FindsTheWorkerByTheMACOfAnotherLink(t *testing.T) {
	t.Parallel()
	inVPC(t, byEC2, func(r *rig) {
		pod := append(onLink(macEth1, "10.10.1.71"), onLink(macPod, "10.10.1.70")...)
		r.attached(pod, eth0(), eth1())
		r.wantCalls(describeOK, describeOK, subnetsOK)
		r.attached(pod, eth0(), eth1())
		r.attached(pod[:1], eth1())
		r.wantCalls(describeOK, describeOK)
	})
}

func TestEC2LooksAgainWhenALinkOfAnotherENIAppears(t *testing.T) {
	t.Parallel()
	inVPC(t, byEC2, func(r *rig) {
		r.attached(onLink(macEth1, "10.10.1.70"), withoutSubnets(eth1()))
		pod := append(onLink(macEth1, "10.10.1.70"), onLink(macEth0, "10.10.12.70")...)
		r.attached(pod, withoutSubnets(eth0()), withoutSubnets(eth1()))
		r.attached(pod, withoutSubnets(eth0()), withoutSubnets(eth1()))
		r.wantCalls(repeat(describeOK, 3)...)
	})
}

func TestEC2ReadsShortPagesToTheEnd(t *testing.T) {
	t.Parallel()
	inVPC(t, withHost, func(r *rig) {
		r.set(`{"shortPages":true}`)
		r.inject(vpcsim.Fault{Action: "DescribeNetworkInterfaces", Code: "OperationNotPermitted", Status: 400})
		r.attached(onLink(macPod, "10.10.1.70"), eth0(), eth1())
		paged := false
		for _, call := range r.sim.Calls(false) {
			paged = paged || call.Params["MaxResults"] != ""
		}
		if !paged {
			r.t.Error("no call asked for a page although EC2 insisted")
		}
	})
}

func TestNoENIOfTheWorkerIsFound(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*setup)
		advice string
	}{
		"no host address is known":              {byEC2, "IPMGR_HOST_IP"},
		"no ENI has the host address":           {func(s *setup) { byEC2(s); s.opts.HostIP = netip.MustParseAddr("10.10.12.99") }, "AWS_REGION"},
		"no ENI has the host's IPv6 address":    {func(s *setup) { byEC2(s); s.opts.HostIP = netip.MustParseAddr("2600::1") }, "AWS_REGION"},
		"the host address is of a detached ENI": {func(s *setup) { byEC2(s); s.opts.HostIP = netip.MustParseAddr("10.10.1.19") }, "AWS_REGION"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inVPC(t, test.change, func(r *rig) {
				_, err := r.cloud.Attached(r.t.Context(), onLink(macPod, "10.10.1.70"))
				if diff := gocmp.Diff(outcome{Code: fault.CodeNoENI}, outcomeOf(r.t, err)); diff != "" {
					r.t.Errorf("outcome (-want +got):\n%s", diff)
				}
				if err != nil && !strings.Contains(err.Error(), test.advice) {
					r.t.Errorf("error %q does not speak of %s", err, test.advice)
				}
			})
		})
	}
}

func TestEC2RediscoversOnceWhenAnENIIsGone(t *testing.T) {
	t.Parallel()
	noENI := outcome{Code: fault.CodeNoENI}
	inVPC(t, byEC2, func(r *rig) {
		pod := onLink(macEth1, "10.10.1.70")
		r.attached(pod, withoutSubnets(eth1()))
		r.detach()
		_, err := r.cloud.Attached(r.t.Context(), pod)
		if diff := gocmp.Diff(noENI, outcomeOf(r.t, err)); diff != "" {
			r.t.Errorf("detached: outcome (-want +got):\n%s", diff)
		}
		r.wantCalls(describeOK, describeOK)

		if _, err := r.admin.DeleteNetworkInterface(r.t.Context(), &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: aws.String("eni-w1-eth1")}); err != nil {
			r.t.Fatal(err)
		}
		_, err = r.cloud.Attached(r.t.Context(), pod)
		if diff := gocmp.Diff(noENI, outcomeOf(r.t, err)); diff != "" {
			r.t.Errorf("deleted: outcome (-want +got):\n%s", diff)
		}
	})
	inVPC(t, byEC2, func(r *rig) {
		pod := onLink(macEth1, "10.10.1.70")
		r.attached(pod, withoutSubnets(eth1()))
		r.inject(vpcsim.Fault{Action: "DescribeNetworkInterfaces", Code: "InvalidNetworkInterfaceID.NotFound", Status: 400})
		r.attached(pod, withoutSubnets(eth1()))
	})
}

func TestFailuresOfALook(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault vpcsim.Fault
		want  outcome
	}{
		"not authorised to describe ENIs":    {vpcsim.Fault{Action: "DescribeNetworkInterfaces", Code: "UnauthorizedOperation", Status: 403}, outcome{"UnauthorizedOperation", true}},
		"not authorised to describe subnets": {vpcsim.Fault{Action: "DescribeSubnets", Code: "UnauthorizedOperation", Status: 403}, outcome{"UnauthorizedOperation", true}},
		"throttled":                          {vpcsim.Fault{Action: "DescribeNetworkInterfaces", Code: "RequestLimitExceeded", Status: 503}, outcome{"RequestLimitExceeded", false}},
		"an unknown failure of the service":  {vpcsim.Fault{Action: "DescribeNetworkInterfaces", Code: "Surprise", Status: 500}, outcome{"Surprise", false}},
		"the answer is lost":                 {vpcsim.Fault{Action: "DescribeNetworkInterfaces", Lose: true}, outcome{fault.CodeUnreachable, false}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inVPC(t, withHost, func(r *rig) {
				r.inject(test.fault)
				pod := onLink(macPod, "10.10.1.70")
				_, err := r.cloud.Attached(r.t.Context(), pod)
				if diff := gocmp.Diff(test.want, outcomeOf(r.t, err)); diff != "" {
					r.t.Errorf("outcome (-want +got):\n%s", diff)
				}
				r.attached(pod, eth0(), eth1()) // and the next look succeeds
			})
		})
	}
}
