package nodegroup_test

import (
	"strings"
	"testing"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
)

// TestEC2IsDownForMinutes holds the worker by heartbeats, though the hook's time
// is shorter than the outage.
func TestEC2IsDownForMinutes(t *testing.T) {
	inGroups(t, scalingGroup("hooks: [{name: "+hook+", transition: launching, heartbeat: 120s}]"), func(f *fleet) {
		f.sweepEachMinute()
		f.resize(asg, 1)
		f.wait(11 * time.Second)
		f.set(`{"ec2":"failing"}`)
		f.wait(9 * time.Minute)
		f.wantStates("Pending:Wait")
		f.set(`{"ec2":"up"}`)
		f.wait(3 * time.Minute)
		f.wantStates("InService")
		f.wantWorker(f.one(), served...)
	})
}

// TestEachCallOfAutoScalingFails lets each action fail in each way, the first
// time and the second.
func TestEachCallOfAutoScalingFails(t *testing.T) {
	for _, action := range []string{"CompleteLifecycleAction", "RecordLifecycleActionHeartbeat", "DescribeAutoScalingGroups"} {
		for name, fault := range map[string]vpcsim.Fault{
			"is throttled": {Code: "Throttling", Status: 400}, "fails": {Code: "InternalFailure", Status: 500}, "is denied once": {Code: "AccessDenied", Status: 403},
			"loses its answer": {Lose: true}, "is late": {Delay: 20e9},
		} {
			for _, lag := range []string{"0s", "70s"} { // a late event begins with a heartbeat
				t.Run(action+" "+name+", the event comes after "+lag, func(t *testing.T) {
					inGroups(t, scalingGroup(), func(f *fleet) {
						f.set(`{"eventLag":"` + lag + `"}`)
						f.resize(asg, 1)
						f.wait(time.Second)
						fault.Action = action
						if err := f.sim.Inject(fault); err != nil {
							f.t.Fatal(err)
						}
						f.wait(3 * time.Minute)
						f.wantStates("InService")
						f.wantWorker(f.one(), served...)
					})
				})
			}
		}
	}
}

func TestAnAnswerThatIsNotAllowedIsAnError(t *testing.T) {
	inGroups(t, scalingGroup(), func(f *fleet) {
		f.set(`{"deny":["CompleteLifecycleAction"]}`)
		f.resize(asg, 1)
		f.wait(100 * time.Second)
		outcomes := f.logs.outcomes(f.t)
		if len(outcomes) != 1 || outcomes[0].Result != "WAIT" || !strings.Contains(outcomes[0].Error, "is not answered for with CONTINUE") {
			f.t.Errorf("outcomes %+v, want an error that says which answer was not given", outcomes)
		}
		f.wantStates("Pending:Wait")
		f.wantWorker(f.one(), served...) // the ENIs stay, for the next try
		f.set(`{"deny":[]}`)
		f.wait(3 * time.Minute)
		f.wantStates("InService")
	})
}

// TestTheFunctionIsKilled ends invocations at the function's time-out: the next
// ones go on where they were.
func TestTheFunctionIsKilled(t *testing.T) {
	inGroups(t, scalingGroup(), func(f *fleet) {
		f.set(`{"latency":"1s"}`)
		f.timeout = 14 * time.Second // of which 5 s are for the answer
		f.sweepEachMinute()
		f.resize(asg, 1)
		f.wait(8 * time.Minute)
		f.wantStates("InService")
		f.wantWorker(f.one(), served...)
	})
}

func TestTheBudgetEndsTheWorkAndLeavesTheWorkerWaiting(t *testing.T) {
	inGroups(t, scalingGroup(), func(f *fleet) {
		f.configure(func(s *spec.Settings) { s.Budget = 30 * time.Second })
		f.resize(asg, 1)
		f.wait(11 * time.Second)
		f.set(`{"ec2":"failing"}`)
		f.wait(35 * time.Second)
		outcomes := f.logs.outcomes(f.t)
		if len(outcomes) != 1 || outcomes[0].Result != "WAIT" || outcomes[0].Duration < 30 || outcomes[0].Duration > 31 || outcomes[0].Error == "" {
			f.t.Errorf("outcomes %+v, want one WAIT after 30 s", outcomes)
		}
		f.wantStates("Pending:Wait")
		if actions := f.actions(); actions[len(actions)-1] != "RecordLifecycleActionHeartbeat ok" {
			f.t.Errorf("the last call is %q, want a heartbeat", actions[len(actions)-1])
		}
	})
}
