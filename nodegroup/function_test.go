package nodegroup_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
)

const asg = "telco-upf"

func TestALaunchIsAnsweredOnceTheWorkerHasItsENIs(t *testing.T) {
	inGroups(t, scalingGroup(), func(f *fleet) {
		f.resize(asg, 1)
		f.wait(11 * time.Second)
		f.actions()
		f.wait(10 * time.Second)
		ec2, scaling, writes := f.callsOf()
		f.wantStates("InService")
		f.wantWorker(f.one(), served...)
		if ec2 > 18 || scaling != 2 || len(writes) != 9 {
			f.t.Errorf("%d calls to EC2 and %d to Auto Scaling, of which %v write; want 18 and 2, and 4 for each ENI and the answer write", ec2, scaling, writes)
		}
		outcomes := f.logs.outcomes(f.t)
		if len(outcomes) != 1 || outcomes[0].Instance != f.one() || outcomes[0].Result != "CONTINUE" || outcomes[0].Reason != "" || outcomes[0].Calls != ec2+scaling {
			f.t.Errorf("outcomes %+v, want one CONTINUE with %d calls", outcomes, ec2+scaling)
		}
	})
}

// TestAWorkerThroughAllRows takes a worker through a warm pool, service, a
// replacement of its root volume, and back: it keeps its ENIs all the time, and
// every row of origins and destinations is answered.
func TestAWorkerThroughAllRows(t *testing.T) {
	group := scalingGroup(
		"hooks: [{name: "+hook+", transition: launching}, {name: "+ending+", transition: terminating}]",
		"warmPool: {minSize: 1, maxGroupPreparedCapacity: 1, poolState: Stopped, reuseOnScaleIn: true}")
	inGroups(t, group, func(f *fleet) {
		f.configure(func(s *spec.Settings) { s.Hooks = []string{hook, ending} })
		f.wait(2 * time.Minute)
		f.wantStates("Warmed:Stopped")
		worker := f.one()
		f.wantWorker(worker, served...)
		enis := f.attachedIDs(worker)
		for _, step := range []struct {
			name  string
			do    func()
			state string
		}{
			{"into service", func() { f.resize(asg, 1) }, "InService"},
			{"its root volume is replaced", func() { f.command(worker, "replace-root-volume") }, "InService"},
			{"back to the pool", func() { f.resize(asg, 0) }, "Warmed:Stopped"},
			{"into service again", func() { f.resize(asg, 1) }, "InService"},
		} {
			step.do()
			f.wait(3 * time.Minute)
			if got := f.members()[worker]; got != step.state {
				f.t.Errorf("%s: the worker is %s, want %s", step.name, got, step.state)
			}
			if got := f.attachedIDs(worker); !slices.Equal(got, enis) {
				f.t.Errorf("%s: ENIs %q, want %q", step.name, got, enis)
			}
		}
		f.command(worker, "terminate")
		f.wait(3 * time.Minute)
		for _, e := range f.sim.ENIs() {
			if slices.Contains(enis, e.ID) {
				f.t.Errorf("ENI %s outlives its worker", e.ID)
			}
		}
		rows, answers := f.rows(), f.logs.outcomes(f.t)
		want := []string{
			"AutoScalingGroup to AutoScalingGroup LAUNCHING", "AutoScalingGroup to AutoScalingGroup TERMINATING", "AutoScalingGroup to EC2 TERMINATING",
			"AutoScalingGroup to WarmPool TERMINATING", "EC2 to WarmPool LAUNCHING", "WarmPool to AutoScalingGroup LAUNCHING", "WarmPool to EC2 TERMINATING",
		}
		if diff := cmp.Diff(want, slices.Compact(slices.Sorted(slices.Values(rows)))); diff != "" {
			f.t.Errorf("events (-want +got):\n%s", diff)
		}
		if len(answers) != len(rows) || slices.ContainsFunc(answers, func(l line) bool { return l.Result != "CONTINUE" }) {
			f.t.Errorf("%d events and the outcomes %+v", len(rows), answers)
		}
	})
}

// rows lists origin, destination and transition of the events so far.
func (f *fleet) rows() []string {
	f.t.Helper()
	var rows []string
	for _, data := range f.sim.Events() {
		var e struct {
			Detail struct{ Origin, Destination, LifecycleTransition string }
		}
		if err := json.Unmarshal(data, &e); err != nil {
			f.t.Fatal(err)
		}
		_, transition, _ := strings.Cut(e.Detail.LifecycleTransition, "_INSTANCE_")
		rows = append(rows, e.Detail.Origin+" to "+e.Detail.Destination+" "+transition)
	}
	return rows
}

// attachedIDs lists the ids of a worker's ENIs.
func (f *fleet) attachedIDs(instance string) []string {
	var ids []string
	for _, e := range f.sim.ENIs() {
		if e.Instance == instance {
			ids = append(ids, e.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

func (f *fleet) command(instance, do string) {
	f.t.Helper()
	if err := f.sim.Command(instance, do); err != nil {
		f.t.Fatal(err)
	}
}

func TestEventsThatComeTwiceLateOrInAnotherOrder(t *testing.T) {
	inGroups(t, scalingGroup(), func(f *fleet) {
		f.set(`{"eventDuplicates":1,"eventReorder":1,"eventLag":"2s"}`)
		f.resize(asg, 4)
		f.wait(2 * time.Minute)
		f.wantStates("InService", "InService", "InService", "InService")
		for _, id := range f.ids(asg) {
			if got := f.attached(id); len(got) != 2 {
				f.t.Errorf("%s has %q", id, got)
			}
		}
		if left := f.leftOver(); len(left) > 0 {
			f.t.Errorf("left over: %v", left)
		}
		f.logs.outcomes(f.t)
		old := f.sim.Events()
		f.actions()
		for _, data := range old {
			if err := f.invoke(data); err != nil {
				f.t.Error(err)
			}
		}
		if _, _, writes := f.callsOf(); slices.ContainsFunc(writes, func(w string) bool { return w != "RecordLifecycleActionHeartbeat" }) {
			f.t.Errorf("events that are two minutes late cause %v", writes)
		}
		f.wantOutcomes("IGNORE", "IGNORE", "IGNORE", "IGNORE")

		f.resize(asg, 0)
		f.wait(2 * time.Minute)
		for _, data := range old {
			if err := f.invoke(data); err != nil {
				f.t.Error(err)
			}
		}
		if got := f.nodeGroupENIs(); len(got) > 0 {
			f.t.Errorf("events of workers that are gone leave %v", got)
		}
	})
}

// nodeGroupENIs lists all ENIs with the tag of a node group.
func (f *fleet) nodeGroupENIs() []string {
	var list []string
	for _, e := range f.sim.ENIs() {
		if e.Tags["multus-ipmgr.io/nodegroup"] != "" {
			list = append(list, e.ID)
		}
	}
	return list
}

func TestALostEventIsMadeGoodWithin75Seconds(t *testing.T) {
	inGroups(t, scalingGroup(), func(f *fleet) {
		f.set(`{"eventLoss":1}`)
		f.sweepEachMinute()
		f.wait(50 * time.Second) // the worst moment: it waits just after a sweep
		f.resize(asg, 1)
		f.wait(13 * time.Second)
		f.wantStates("Pending:Wait")
		f.wait(75 * time.Second)
		f.wantStates("InService")
		f.wantWorker(f.one(), served...)
		f.wantOutcomes("CONTINUE")
	})
}

// TestAnInstanceEndsWhileItIsServed takes the instance away at different moments
// of the work.
func TestAnInstanceEndsWhileItIsServed(t *testing.T) {
	for calls := range 20 {
		inGroups(t, scalingGroup(), func(f *fleet) {
			f.set(`{"latency":"200ms"}`)
			f.sweepEachMinute()
			f.configure(func(s *spec.Settings) { s.SweepAge = 5 * time.Minute })
			f.resize(asg, 1)
			f.wait(12*time.Second + time.Duration(calls)*150*time.Millisecond)
			first := f.one()
			f.command(first, "terminate")
			f.wait(10 * time.Minute)
			for _, e := range f.sim.ENIs() {
				if e.Tags["multus-ipmgr.io/instance"] == first {
					f.t.Errorf("terminated after %d times 150 ms: ENI %s is left", calls, e.ID)
				}
			}
			if id := f.one(); id == first {
				f.t.Errorf("%s was not replaced", first)
			} else {
				f.wantWorker(id, served...)
			}
		})
	}
}

func TestAnEventThatCannotBeRead(t *testing.T) {
	inGroups(t, scalingGroup(), func(f *fleet) {
		for _, data := range []string{"hello", "", `{"detail":7}`} {
			if err := f.invoke([]byte(data)); err == nil {
				f.t.Errorf("%q: no error", data)
			}
		}
		foreign := `{"source":"aws.autoscaling","detail":{"LifecycleHookName":"drain","EC2InstanceId":"i-1","AutoScalingGroupName":"a"}}`
		for _, data := range []string{foreign, `{"Event":"autoscaling:TEST_NOTIFICATION"}`, `{}`} {
			if err := f.invoke([]byte(data)); err != nil {
				f.t.Errorf("%s: %v", data, err)
			}
		}
		if calls := f.actions(); len(calls) > 0 {
			f.t.Errorf("calls %v", calls)
		}
	})
}

// TestAnOldEventOfAWorkerThatStillWaitsIsServed serves an event that was sent long
// ago: the heartbeat tells that the hook still waits.
func TestAnOldEventOfAWorkerThatStillWaitsIsServed(t *testing.T) {
	inGroups(t, scalingGroup("hooks: [{name: "+hook+", transition: launching, heartbeat: 7200s}]"), func(f *fleet) {
		f.set(`{"eventLoss":1}`)
		f.resize(asg, 1)
		f.wait(time.Hour)
		if err := f.invoke(f.sim.Events()[0]); err != nil {
			f.t.Fatal(err)
		}
		f.wantStates("InService")
		f.wantWorker(f.one(), served...)
	})
}

// TestAStormOfEvents launches 50 workers under EC2's token buckets, with doubled
// events and lost answers.
func TestAStormOfEvents(t *testing.T) {
	for _, tc := range []struct{ name, settings string }{
		{"views that agree", `{"throttle":true,"latency":"50ms"}`},
		{"views up to 3 s old and of different moments", `{"throttle":true,"latency":"50ms","describeLag":"3s","describeJitter":true}`},
		{"doubled events", `{"throttle":true,"latency":"50ms","eventDuplicates":1,"eventReorder":0.2}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inGroups(t, scalingGroup(), func(f *fleet) {
				f.set(tc.settings)
				f.sweepEachMinute()
				f.resize(asg, 50)
				f.wait(4 * time.Minute)
				f.wantStates(slices.Repeat([]string{"InService"}, 50)...)
				f.wantFirstAddresses(50)
				creates := 0
				for _, call := range f.actions() {
					if strings.HasPrefix(call, "CreateNetworkInterface ") && !strings.HasSuffix(call, "RequestLimitExceeded") {
						creates++
					}
				}
				if perENI := float64(creates) / 100; perENI > 1.3 && !strings.Contains(tc.settings, "Duplicates") {
					f.t.Errorf("%.2f requests for each ENI, want at most 1.3", perENI)
				}
			})
		})
	}
}

// TestAStormWithLostAnswers loses the answer to one Create in twenty and doubles
// each event. No sweep cleans up behind it.
func TestAStormWithLostAnswers(t *testing.T) {
	inGroups(t, scalingGroup(), func(f *fleet) {
		f.set(`{"throttle":true,"latency":"50ms","eventDuplicates":1,"describeLag":"3s","describeJitter":true}`)
		f.resize(asg, 50)
		f.wait(12 * time.Second)
		for range 5 {
			if err := f.sim.Inject(vpcsim.Fault{Action: "CreateNetworkInterface", Lose: true}); err != nil {
				f.t.Fatal(err)
			}
			f.wait(300 * time.Millisecond)
		}
		f.wait(4 * time.Minute)
		if lost := f.logs.count("connection reset by peer"); lost < 5 {
			f.t.Errorf("%d answers were lost, want 5", lost)
		}
		f.wantStates(slices.Repeat([]string{"InService"}, 50)...)
		f.wantFirstAddresses(50)
	})
}

// TestALateEventDoesNotAnswerALaterWait delivers the event of a worker's way into
// the warm pool while the worker waits on its way out of it: the token is that of
// the first wait.
func TestALateEventDoesNotAnswerALaterWait(t *testing.T) {
	for _, after := range []time.Duration{5 * time.Second, 2 * time.Minute} {
		inGroups(t, scalingGroup("warmPool: {minSize: 1, maxGroupPreparedCapacity: 1, poolState: Stopped}"), func(f *fleet) {
			f.wait(time.Minute)
			f.wantStates("Warmed:Stopped")
			worker, first := f.one(), f.sim.Events()[0]
			f.set(`{"eventLoss":1}`)
			f.resize(asg, 1)
			f.wait(12*time.Second + after)
			if got := f.members()[worker]; got != "Pending:Wait" {
				f.t.Fatalf("the worker is %s", got)
			}
			if err := f.invoke(first); err != nil {
				f.t.Error(err)
			}
			if got := f.members()[worker]; got != "Pending:Wait" {
				f.t.Errorf("the worker is %s after the event of an earlier wait", got)
			}
			f.sweep()
			if got := f.members()[worker]; got != "InService" {
				f.t.Errorf("the worker is %s after a sweep", got)
			}
		})
	}
}
