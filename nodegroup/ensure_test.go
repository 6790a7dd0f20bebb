package nodegroup_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
)

// served is what a worker has in the end: the first free address of each
// subnet.
var served = []string{"1 n3 10.10.3.4", "2 n6 10.10.6.4"}

func TestAWorkerGetsItsENIs(t *testing.T) {
	inVPC(t, 1, func(r *rig) {
		r.set(`{"latency":"100ms"}`)
		began := time.Now()
		outcome, err := r.ensure(r.group, "i-1")
		if err != nil || outcome.Result != nodegroup.Continue {
			r.t.Fatalf("got %+v, %v", outcome, err)
		}
		if trips := time.Since(began).Seconds() * 10; trips > 9.5 {
			r.t.Errorf("%.1f round trips, want 9 and one for the answer to the hook", trips)
		}
		calls := r.actions()
		if len(calls) > 18 {
			r.t.Errorf("%d calls, want 6 + 6 for each network: %v", len(calls), calls)
		}
		r.wantWorker("i-1", served...)
		for _, e := range r.sim.ENIs() {
			if e.Tags[nodegroup.TagNetwork] != "n3" {
				continue
			}
			want := map[string]string{
				"node.k8s.amazonaws.com/no_manage": "true", "multus-ipmgr.io/nodegroup": "upf", "multus-ipmgr.io/cluster": "telco",
				"multus-ipmgr.io/network": "n3", "multus-ipmgr.io/instance": "i-1", "multus-ipmgr.io/device": "0.1",
				"multus-ipmgr.io/created": began.UTC().Format(time.RFC3339), "Name": "telco/upf/n3",
			}
			if diff := cmp.Diff(want, e.Tags); diff != "" {
				r.t.Error(diff)
			}
			if len(e.IPv6) != 1 || len(r.describe(e.ID).Groups) != 1 {
				r.t.Errorf("IPv6 addresses %v, groups %v", e.IPv6, r.describe(e.ID).Groups)
			}
		}
	})
}

func TestASecondTimeNothingIsDone(t *testing.T) {
	inVPC(t, 1, func(r *rig) {
		for range 2 {
			r.actions()
			if outcome, err := r.ensure(r.group, "i-1"); err != nil || outcome.Result != nodegroup.Continue {
				r.t.Fatalf("got %+v, %v", outcome, err)
			}
		}
		if calls := r.actions(); slices.ContainsFunc(calls, func(c string) bool { return !strings.HasPrefix(c, "Describe") }) {
			r.t.Errorf("calls %v", calls)
		}
		r.wantWorker("i-1", served...)
	})
}

func TestApproachTwoLeavesTheAddressToEC2(t *testing.T) {
	inVPC(t, 1, func(r *rig) {
		r.group.Settings.Networks = networks(func(n []spec.Network) { n[0].Addressing, n[0].SourceDestCheck = spec.Automatic, true })[:1]
		if outcome, err := r.ensure(r.group, "i-1"); err != nil || outcome.Result != nodegroup.Continue {
			r.t.Fatalf("got %+v, %v", outcome, err)
		}
		got := r.attached("i-1")
		if len(got) != 1 || !strings.HasPrefix(got[0], "1 n3 10.10.3.") || !strings.HasSuffix(got[0], " checked") {
			r.t.Errorf("got %v", got)
		}
	})
}

// TestKilledAfterAnyCall ends an invocation after each of its calls took
// effect, before the answer was seen. The next invocation finds by tags what
// there is.
func TestKilledAfterAnyCall(t *testing.T) {
	for number := range int64(19) {
		inVPC(t, 1, func(r *rig) {
			r.lag("3s")
			ctx, kill := context.WithCancel(r.t.Context())
			r.pipe.after = func(n int64) {
				if n == number+1 {
					kill()
				}
			}
			_, _ = r.group.Ensure(ctx, "i-1")
			synctest.Wait()
			kill()
			if outcome, err := r.ensure(r.newGroup("upf", &pipe{handler: r.sim.EC2()}), "i-1"); err != nil || outcome.Result != nodegroup.Continue {
				r.t.Fatalf("killed after call %d: %+v, %v", number+1, outcome, err)
			}
			time.Sleep(10 * time.Second)
			r.wantWorker("i-1", served...)
		})
	}
}

// TestEachCallFails lets each action fail in each way: the first time while
// Describe shows everything at once, and the second time while it lags.
func TestEachCallFails(t *testing.T) {
	for _, action := range []string{"DescribeInstances", "DescribeNetworkInterfaces", "DescribeSubnets", "DescribeInstanceTypes", "GetSubnetCidrReservations",
		"CreateNetworkInterface", "AttachNetworkInterface", "ModifyNetworkInterfaceAttribute"} {
		for name, fault := range map[string]vpcsim.Fault{
			"throttled": {Code: "RequestLimitExceeded", Status: 503}, "fails": {Code: "InternalError", Status: 500}, "is denied once": {Code: "UnauthorizedOperation", Status: 403},
			"loses its answer": {Lose: true}, "is in no state for it": {Code: "IncorrectState", Status: 400}, "is late": {Delay: 20e9},
		} {
			for skip, lag := range []string{"0s", "8s"} {
				inVPC(t, 1, func(r *rig) {
					r.lag(lag)
					fault.Action = action
					if skip > 0 {
						pass := vpcsim.Fault{Action: action, Delay: 1} // the first call is hardly disturbed
						if err := r.sim.Inject(pass); err != nil {
							r.t.Fatal(err)
						}
					}
					if err := r.sim.Inject(fault); err != nil {
						r.t.Fatal(err)
					}
					outcome, err := r.ensure(r.group, "i-1")
					if err != nil || outcome.Result != nodegroup.Continue {
						r.t.Errorf("%s %s, lag %s, after %d: %+v, %v", action, name, lag, skip, outcome, err)
					}
					time.Sleep(10 * time.Second)
					r.wantWorker("i-1", served...)
				})
			}
		}
	}
}

// TestRightsThatComeOneByOne denies three calls once each: each of them is made
// once more, whatever was denied before.
func TestRightsThatComeOneByOne(t *testing.T) {
	inVPC(t, 1, func(r *rig) {
		for _, action := range []string{"DescribeInstances", "CreateNetworkInterface", "AttachNetworkInterface"} {
			if err := r.sim.Inject(vpcsim.Fault{Action: action, Code: "UnauthorizedOperation", Status: 403}); err != nil {
				r.t.Fatal(err)
			}
		}
		if outcome, err := r.ensure(r.group, "i-1"); err != nil || outcome.Result != nodegroup.Continue {
			r.t.Fatalf("got %+v, %v", outcome, err)
		}
		r.wantWorker("i-1", served...)
	})
}

func TestTwoInvocationsAtOnce(t *testing.T) {
	for _, lag := range []string{"0s", "2s", "10s"} {
		inVPC(t, 1, func(r *rig) {
			r.lag(lag)
			r.set(`{"latency":"50ms"}`)
			var both sync.WaitGroup
			for i := range 3 {
				g := r.newGroup("upf", &pipe{handler: r.sim.EC2()})
				both.Go(func() {
					time.Sleep(time.Duration(i) * 120 * time.Millisecond)
					if outcome, err := r.ensure(g, "i-1"); err != nil || outcome.Result != nodegroup.Continue {
						r.t.Errorf("lag %s: got %+v, %v", lag, outcome, err)
					}
				})
			}
			both.Wait()
			time.Sleep(20 * time.Second)
			r.wantWorker("i-1", served...)
		})
	}
}

func TestRefusals(t *testing.T) {
	for _, tc := range []struct {
		name    string
		prepare func(r *rig)
		reason  spec.Reason
		message string
	}{
		{"the account's quota", fails("CreateNetworkInterface", "NetworkInterfaceLimitExceeded"), spec.Quota, "NetworkInterfaceLimitExceeded"},
		{"the second ENI only", func(r *rig) {
			r.group.Settings.Networks = networks(func(n []spec.Network) { n[1].SecurityGroups = []string{"sg-none"} })
		}, spec.GroupMissing, "network n6: InvalidGroup.NotFound"},
		{"no right to create", func(r *rig) { r.set(`{"deny":["CreateNetworkInterface"]}`) }, spec.NotAuthorised, "UnauthorizedOperation"},
		{"no right to attach", func(r *rig) { r.set(`{"deny":["AttachNetworkInterface"]}`) }, spec.NotAuthorised, "UnauthorizedOperation"},
		{"no right to protect", func(r *rig) { r.set(`{"deny":["ModifyNetworkInterfaceAttribute"]}`) }, spec.NotAuthorised, "UnauthorizedOperation"},
		{"a subnet without reservation", func(r *rig) {
			r.group.Settings.Networks = networks(func(n []spec.Network) { n[1].Subnets = []string{"subnet-9a"} })
		}, spec.NoReservation, "subnet-9a has no CIDR reservation"},
		{"no subnet in the zone", func(r *rig) {
			r.group.Settings.Networks = networks(func(n []spec.Network) { n[0].Subnets = []string{"subnet-3b"} })
		}, spec.SubnetMissing, "no subnet of the network is in zone us-west-2a"},
		{"an instance of another node group", func(r *rig) { r.group.Settings.Name = "other" }, spec.SettingsReason, "has no tag multus-ipmgr.io/nodegroup=other"},
		{"a stranger's ENI at the index", func(r *rig) { r.attachStranger("i-1", 2) }, spec.DeviceTaken, "which is not ours"},
		{"too many ENIs", func(r *rig) {
			r.group.Settings.Networks = networks()
			for _, name := range []string{"n4", "n5"} {
				r.group.Settings.Networks = spec.WithDefaults(append(r.group.Settings.Networks, spec.Network{Name: name, Subnets: []string{"subnet-6a"}, SecurityGroups: []string{"sg-1"}}))
			}
		}, spec.ENILimit, "m5.xlarge takes 4 ENIs"},
		{"an instance that nobody knows", func(r *rig) { r.group.Settings.Networks = networks() }, spec.InstanceGone, "EC2 does not know"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inVPC(t, 1, func(r *rig) {
				tc.prepare(r)
				instance := "i-1"
				if tc.reason == spec.InstanceGone {
					instance = "i-none"
				}
				outcome, err := r.ensure(r.group, instance)
				if err != nil && tc.name != "no right to protect" || outcome.Result != nodegroup.Abandon && err == nil {
					r.t.Fatalf("got %+v, %v", outcome, err)
				}
				if len(outcome.Refusals) != 1 || outcome.Refusals[0].Reason != tc.reason || !strings.Contains(outcome.Refusals[0].Message, tc.message) {
					r.t.Errorf("got %+v, want %s: %s", outcome.Refusals, tc.reason, tc.message)
				}
				if left := r.leftOver(); len(left) > 0 {
					r.t.Errorf("left over: %v", left)
				}
				if got := r.attached("i-1"); slices.ContainsFunc(got, func(e string) bool { return strings.Contains(e, " n") && strings.Contains(e, "unprotected") }) {
					r.t.Errorf("an ENI would outlive its worker: %v", got)
				}
			})
		})
	}
}

func fails(action, code string) func(*rig) {
	return func(r *rig) {
		r.t.Helper()
		if err := r.sim.Inject(vpcsim.Fault{Action: action, Code: code, Status: 400, Count: vpcsim.Forever}); err != nil {
			r.t.Fatal(err)
		}
	}
}

// attachStranger does what the VPC CNI does.
func (r *rig) attachStranger(instance string, device int32) {
	r.t.Helper()
	made, err := r.admin.CreateNetworkInterface(r.t.Context(), &ec2.CreateNetworkInterfaceInput{SubnetId: aws.String("subnet-mgmt")})
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.admin.AttachNetworkInterface(r.t.Context(), &ec2.AttachNetworkInterfaceInput{InstanceId: &instance, DeviceIndex: &device, NetworkInterfaceId: made.NetworkInterface.NetworkInterfaceId}); err != nil {
		r.t.Fatal(err)
	}
}

func TestARefusedWorkerThatIsHeldKeepsWhatItHasAndIsServedOnceTheCauseIsGone(t *testing.T) {
	inVPC(t, 1, func(r *rig) {
		r.group.Settings.OnRefusal = spec.OnRefusalAuto
		r.set(`{"deny":["AttachNetworkInterface"]}`)
		outcome, err := r.ensure(r.group, "i-1")
		if err != nil || outcome.Result != nodegroup.Wait || len(outcome.Refusals) == 0 {
			r.t.Fatalf("got %+v, %v", outcome, err)
		}
		if got := r.leftOver(); len(got) != 2 {
			r.t.Errorf("ENIs that wait: %v", got)
		}
		r.set(`{"deny":[]}`)
		if outcome, err := r.ensure(r.group, "i-1"); err != nil || outcome.Result != nodegroup.Continue {
			r.t.Fatalf("got %+v, %v", outcome, err)
		}
		r.wantWorker("i-1", served...)
	})
}

// TestAStorm launches 50 workers at once under EC2's token buckets. With
// nobody to speak to each asks for an address of its own, and all of them have
// the first ones that are free.
func TestAStorm(t *testing.T) {
	for _, lag := range []string{"0s", "3s"} {
		t.Run("views that are "+lag+" old", func(t *testing.T) {
			const workers = 50
			inVPC(t, workers, func(r *rig) {
				r.lag(lag)
				r.set(`{"throttle":true,"latency":"50ms"}`)
				var peers launching
				for i := range workers {
					peers = append(peers, nodegroup.Launch{Instance: fmt.Sprintf("i-%d", i+1), NodeGroup: "upf"})
				}
				var all sync.WaitGroup
				for _, peer := range peers {
					g := r.newGroup("upf", &pipe{handler: r.sim.EC2()})
					g.Peers = peers
					all.Go(func() {
						if outcome, err := r.ensure(g, peer.Instance); err != nil || outcome.Result != nodegroup.Continue {
							r.t.Errorf("%s: %+v, %v", peer.Instance, outcome, err)
						}
					})
				}
				all.Wait()
				r.wantFirstAddresses(workers)
				creates := 0
				for _, call := range r.actions() {
					if strings.HasPrefix(call, "CreateNetworkInterface ") && !strings.HasSuffix(call, "RequestLimitExceeded") {
						creates++
					}
				}
				if perENI := float64(creates) / (2 * workers); perENI > 1.3 {
					r.t.Errorf("%.2f requests for each ENI, want at most 1.3", perENI)
				}
			})
		})
	}
}

// wantFirstAddresses checks that the ENIs of each network have the first
// addresses of their subnet, and each worker has one of each.
func (r *rig) wantFirstAddresses(workers int) {
	r.t.Helper()
	got := map[string][]int{}
	for _, e := range r.sim.ENIs() {
		if network := e.Tags[nodegroup.TagNetwork]; network != "" {
			got[network] = append(got[network], int(e.Primary.As4()[3]))
			if e.Instance != e.Tags[nodegroup.TagInstance] {
				r.t.Errorf("ENI %s of %s is attached to %q", e.ID, e.Tags[nodegroup.TagInstance], e.Instance)
			}
		}
	}
	var want []int
	for i := range workers {
		want = append(want, i+4)
	}
	for _, network := range []string{"n3", "n6"} {
		slices.Sort(got[network])
		if !slices.Equal(got[network], want) {
			r.t.Errorf("addresses of %s: %v", network, got[network])
		}
	}
}
