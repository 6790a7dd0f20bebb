package nodegroup_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/plan"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
)

func (f *fleet) sweep() {
	f.t.Helper()
	if err := f.invoke([]byte(`{"sweep":true}`)); err != nil {
		f.t.Errorf("sweep: %v", err)
	}
}

func TestAnIdleSweepMakesTwoCalls(t *testing.T) {
	for _, tc := range []struct {
		name, group string
		want        int
	}{
		{"one group", scalingGroup(), 2},
		{"one with a warm pool", scalingGroup("warmPool: {minSize: 0, maxGroupPreparedCapacity: 3, poolState: Stopped}"), 3},
		{"two groups of the node group", scalingGroup() + strings.Replace(groupOf("telco", "upf"), "telco-upf", "second", 1), 2},
		{"no group", scalingGroup() + groupOf("telco", "other"), 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inGroups(t, tc.group, func(f *fleet) {
				f.resize(asg, 3)
				f.wait(time.Minute)
				f.actions()
				f.sweep()
				if calls := f.actions(); len(calls) != tc.want {
					f.t.Errorf("calls %v, want %d", calls, tc.want)
				}
			})
		})
	}
}

// TestSweepsAloneLaunchAStorm loses all events.
func TestSweepsAloneLaunchAStorm(t *testing.T) {
	inGroups(t, scalingGroup(), func(f *fleet) {
		f.set(`{"throttle":true,"latency":"50ms","eventLoss":1}`)
		f.sweepEachMinute()
		f.resize(asg, 50)
		f.wait(6 * time.Minute)
		f.wantStates(slices.Repeat([]string{"InService"}, 50)...)
		f.wantFirstAddresses(50)
	})
}

// leave makes an ENI with all tags, as an invocation leaves it that is killed.
func (f *fleet) leave(instance, network string) string {
	f.t.Helper()
	var tags []types.Tag
	for key, value := range map[string]string{
		nodegroup.TagCluster: "telco", nodegroup.TagNodeGroup: "upf", nodegroup.TagInstance: instance, nodegroup.TagNetwork: network,
		nodegroup.TagCreated: time.Now().UTC().Format(time.RFC3339),
	} {
		tags = append(tags, types.Tag{Key: aws.String(key), Value: aws.String(value)})
	}
	out, err := f.admin.CreateNetworkInterface(f.t.Context(), &ec2.CreateNetworkInterfaceInput{
		SubnetId: aws.String("subnet-3a"), TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeNetworkInterface, Tags: tags}},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return *out.NetworkInterface.NetworkInterfaceId
}

func TestWhichENIsASweepDeletes(t *testing.T) {
	inGroups(t, scalingGroup(), func(f *fleet) {
		// workers are held
		f.configure(func(s *spec.Settings) { s.Networks[1].SecurityGroups = []string{"sg-none"} })
		f.sweepEachMinute()
		f.resize(asg, 1)
		f.wait(time.Minute)
		held := f.one()
		surplus := f.leave(held, "n3") // it has one already
		gone := f.leave("i-gone", "n3")
		foreign, err := f.admin.CreateNetworkInterface(f.t.Context(), &ec2.CreateNetworkInterfaceInput{SubnetId: aws.String("subnet-3a")})
		if err != nil {
			f.t.Fatal(err)
		}
		f.wait(14 * time.Minute)
		if enis := f.unattached(); !slices.Contains(enis, gone) {
			f.t.Errorf("%s was deleted before its time: %v", gone, enis)
		}
		young := f.leave("i-gone", "n6")
		f.wait(3 * time.Minute)
		enis := f.unattached()
		for id, kept := range map[string]bool{surplus: false, gone: false, young: true, *foreign.NetworkInterface.NetworkInterfaceId: true} {
			if slices.Contains(enis, id) != kept {
				f.t.Errorf("of the unattached %v: %s is kept: %t, want %t", enis, id, !kept, kept)
			}
		}
		f.wantStates("Pending:Wait")
		if got := f.tagged(held, "n3"); len(got) != 1 {
			f.t.Errorf("ENIs of the worker that is held: %v", got)
		}
	})
}

// unattached lists all ENIs that are attached to nothing.
func (f *fleet) unattached() []string {
	var ids []string
	for _, e := range f.sim.ENIs() {
		if e.Instance == "" {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// tagged lists the ENIs of an instance and a network.
func (f *fleet) tagged(instance, network string) []string {
	var ids []string
	for _, e := range f.sim.ENIs() {
		if e.Tags[nodegroup.TagInstance] == instance && e.Tags[nodegroup.TagNetwork] == network {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

func TestASweepDeletesNoMoreThanItsBound(t *testing.T) {
	inGroups(t, scalingGroup(), func(f *fleet) {
		for i := range plan.MaxGarbage + 5 {
			f.leave(fmt.Sprintf("i-%d", i), "n3")
		}
		f.wait(16 * time.Minute)
		for _, want := range []int{5, 0} {
			f.sweep()
			if got := len(f.unattached()); got != want {
				f.t.Errorf("%d ENIs are left, want %d", got, want)
			}
		}
	})
}

// TestASweepThatCannotLookDeletesNothing: an error says nothing about ENIs.
func TestASweepThatCannotLookDeletesNothing(t *testing.T) {
	for _, action := range []string{"DescribeAutoScalingGroups", "DescribeAutoScalingInstances", "DescribeNetworkInterfaces"} {
		inGroups(t, scalingGroup(), func(f *fleet) {
			f.leave("i-gone", "n3")
			f.wait(16 * time.Minute)
			f.set(`{"deny":["` + action + `"]}`)
			if err := f.invoke([]byte(`{"sweep":true}`)); err == nil {
				f.t.Errorf("%s is denied, and the sweep does not fail", action)
			}
			if got := f.unattached(); len(got) != 1 {
				f.t.Errorf("%s is denied, and of the ENIs %v are left", action, got)
			}
		})
	}
}

// TestAHeldWorkerIsKeptUntilTheGlobalTimeOut holds a worker while nobody fixes
// the cause. It ends with the hook's own end, and leaves nothing.
func TestAHeldWorkerIsKeptUntilTheGlobalTimeOut(t *testing.T) {
	inGroups(t, scalingGroup(), func(f *fleet) {
		f.configure(func(s *spec.Settings) { s.Networks[1].SecurityGroups = []string{"sg-none"} })
		f.sweepEachMinute()
		f.resize(asg, 1)
		f.wait(8 * time.Hour)
		f.wantStates("Pending:Wait")
		first := f.one()
		f.resize(asg, 0)
		f.wait(30 * time.Minute)
		if left := f.nodeGroupENIs(); len(left) > 0 || len(f.members()) > 0 {
			f.t.Errorf("of %s there are the ENIs %v, and members %v", first, left, f.members())
		}
	})
}

// TestAnotherHookHoldsTheWorker: its wait is not ours to answer.
func TestAnotherHookHoldsTheWorker(t *testing.T) {
	group := scalingGroup("hooks: [{name: " + hook + ", transition: launching}, {name: other, transition: launching}, {name: drain, transition: terminating}]")
	inGroups(t, group, func(f *fleet) {
		f.sweepEachMinute()
		f.resize(asg, 1)
		f.wait(5 * time.Minute)
		f.wantStates("Pending:Wait")
		f.wantOutcomes("CONTINUE")
		f.actions()
		f.sweep()
		if _, _, writes := f.callsOf(); !slices.Equal(writes, []string{"RecordLifecycleActionHeartbeat"}) {
			f.t.Errorf("a sweep writes %v", writes)
		}
	})
}

// TestALostTerminationIsAnswered: a hook for terminations need not be ours, and
// is answered if it is.
func TestALostTerminationIsAnswered(t *testing.T) {
	group := scalingGroup("hooks: [{name: " + hook + ", transition: launching}, {name: " + ending + ", transition: terminating, heartbeat: 3600s}]")
	inGroups(t, group, func(f *fleet) {
		f.configure(func(s *spec.Settings) { s.Hooks = []string{hook, ending} })
		f.resize(asg, 1)
		f.wait(time.Minute)
		f.set(`{"eventLoss":1}`)
		f.resize(asg, 0)
		f.wait(time.Minute)
		f.wantStates("Terminating:Wait")
		f.sweep()
		f.wait(time.Minute)
		f.wantStates()
		f.wantOutcomes("CONTINUE", "CONTINUE")
	})
}

func TestRefusedWorkersAreHeldOrAbandoned(t *testing.T) {
	for _, tc := range []struct {
		name    string
		prepare func(f *fleet)
		reason  spec.Reason
		auto    string // what becomes of it by default
	}{
		{"no subnet in the zone", func(f *fleet) { f.configure(func(s *spec.Settings) { s.Networks[0].Subnets = []string{"subnet-3b"} }) }, spec.SubnetMissing, "WAIT"},
		{"no reservation", func(f *fleet) { f.configure(func(s *spec.Settings) { s.Networks[1].Subnets = []string{"subnet-9a"} }) }, spec.NoReservation, "WAIT"},
		{"a full subnet", func(f *fleet) {
			f.configure(func(s *spec.Settings) {
				s.Networks = networks(func(n []spec.Network) {
					n[1].Subnets, n[1].Reservation, n[1].Workers = []string{"subnet-9a"}, spec.Off, spec.AllSubnets("10.10.9.4-10.10.9.4")
				})
			})
			f.take("subnet-9a", "10.10.9.4")
		}, spec.SubnetFull, "ABANDON"},
		{"too many ENIs", func(f *fleet) {
			for _, name := range []string{"n4", "n5"} {
				f.configure(func(s *spec.Settings) {
					s.Networks = spec.WithDefaults(append(s.Networks, spec.Network{Name: name, Subnets: []string{"subnet-6a"}, SecurityGroups: []string{"sg-1"}}))
				})
			}
		}, spec.ENILimit, "WAIT"},
		{"an unknown security group", func(f *fleet) {
			f.configure(func(s *spec.Settings) { s.Networks[1].SecurityGroups = []string{"sg-none"} })
		}, spec.GroupMissing, "WAIT"},
		{"no right", func(f *fleet) { f.set(`{"deny":["AttachNetworkInterface"]}`) }, spec.NotAuthorised, "WAIT"},
		{"no quota", func(f *fleet) { fails("CreateNetworkInterface", "NetworkInterfaceLimitExceeded")(f.rig) }, spec.Quota, "WAIT"},
		{"no IPv6 range", func(f *fleet) { f.configure(func(s *spec.Settings) { s.Networks[1].IPv6 = spec.IPv6Required }) }, spec.IPv6Missing, "WAIT"},
		{"a range for workers that is not of the subnet", func(f *fleet) {
			f.configure(func(s *spec.Settings) { s.Networks[1].Workers = spec.AllSubnets("10.99.0.0/24") })
		}, spec.SettingsReason, "WAIT"},
		{"a taken index", func(f *fleet) { f.attachStranger(f.one(), 2) }, spec.DeviceTaken, "ABANDON"},
		{"an instance that ends", func(f *fleet) { f.command(f.one(), "terminate") }, spec.InstanceGone, "ABANDON"},
	} {
		for _, on := range []spec.OnRefusal{spec.OnRefusalAuto, spec.OnRefusalHold, spec.OnRefusalAbandon} {
			t.Run(fmt.Sprintf("%s, %s", tc.name, on), func(t *testing.T) {
				inGroups(t, scalingGroup(), func(f *fleet) {
					f.configure(func(s *spec.Settings) { s.OnRefusal = on })
					f.set(`{"eventLag":"5s","relaunchTime":"1h"}`)
					f.resize(asg, 1)
					f.wait(13 * time.Second) // it runs, and its event is under way
					worker := f.one()
					tc.prepare(f)
					f.wait(45 * time.Second)
					want := map[spec.OnRefusal]string{spec.OnRefusalAuto: tc.auto, spec.OnRefusalHold: "WAIT", spec.OnRefusalAbandon: "ABANDON"}[on]
					if tc.reason == spec.InstanceGone {
						want = "ABANDON"
					}
					f.wantOutcomes(want + " " + string(tc.reason))
					state, waits := f.members()[worker], want == "WAIT"
					if (state == "Pending:Wait") != waits {
						f.t.Errorf("the worker is %q after %s", state, want)
					}
					if left := f.leftOver(); !waits && len(left) > 0 {
						f.t.Errorf("left over: %v", left)
					}
				})
			})
		}
	}
}

// take gives an address to somebody else.
func (f *fleet) take(subnet, address string) {
	f.t.Helper()
	if _, err := f.admin.CreateNetworkInterface(f.t.Context(), &ec2.CreateNetworkInterfaceInput{SubnetId: &subnet, PrivateIpAddress: &address}); err != nil {
		f.t.Fatal(err)
	}
}
