package nodegroup_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// TestTheFaultMatrix lets each call fail in each way, the first time or a later
// one, while the Describe calls show moments that are up to 15 s apart: in the
// end both workers have exactly their ENIs, and nothing is left.
func TestTheFaultMatrix(t *testing.T) {
	refused := map[string]string{
		"CreateNetworkInterface": "NetworkInterfaceLimitExceeded", "AttachNetworkInterface": "AttachmentLimitExceeded", "CompleteLifecycleAction": "ValidationError",
	}
	for _, action := range []string{
		"DescribeInstances", "DescribeNetworkInterfaces", "DescribeAutoScalingGroups", "CreateNetworkInterface", "AttachNetworkInterface",
		"ModifyNetworkInterfaceAttribute", "RecordLifecycleActionHeartbeat", "CompleteLifecycleAction",
	} {
		faults := map[string]vpcsim.Fault{
			"throttled": {Code: "Throttling", Status: 503, Count: 3}, "fails": {Code: "InternalError", Status: 500, Count: 3},
			"denied": {Code: "UnauthorizedOperation", Status: 403}, "loses its answer": {Lose: true, Count: 2}, "late": {Delay: 20e9},
		}
		if code, ok := refused[action]; ok {
			faults["refused"] = vpcsim.Fault{Code: code, Status: 400}
		}
		for name, fault := range faults {
			for pass := range 3 {
				t.Run(fmt.Sprintf("%s is %s after %d", action, name, pass), func(t *testing.T) {
					inGroups(t, scalingGroup(), func(f *fleet) {
						time.Sleep(time.Minute)
						f.set(`{"describeLag":"15s","describeJitter":true,"latency":"50ms","attachTime":"2s","eventDuplicates":0.5,"eventLoss":0.3}`)
						f.sweepEachMinute()
						fault.Action = action
						if pass > 0 {
							if err := f.sim.Inject(vpcsim.Fault{Action: action, Delay: 1, Count: pass}); err != nil {
								f.t.Fatal(err)
							}
						}
						if err := f.sim.Inject(fault); err != nil {
							f.t.Fatal(err)
						}
						f.resize(asg, 2)
						f.wait(15 * time.Minute)
						f.wantStates("InService", "InService")
						for _, id := range f.ids(asg) {
							f.wantServed(id)
						}
					})
				})
			}
		}
	}
}

// wantServed checks that a worker has one ENI of each network, whatever its
// address, that none lacks anything, and that none is left over.
func (f *fleet) wantServed(instance string) {
	f.t.Helper()
	got := f.attached(instance)
	var one, six int
	for _, text := range got {
		var index int
		var network, address, more string
		_, _ = fmt.Sscan(text, &index, &network, &address, &more)
		switch {
		case index == 1 && network == "n3" && more == "":
			one++
		case index == 2 && network == "n6" && more == "":
			six++
		}
	}
	if one != 1 || six != 1 || len(got) != 2 {
		f.t.Errorf("%s has %q", instance, got)
	}
	if left := f.leftOver(); len(left) > 0 {
		f.t.Errorf("left over: %v", left)
	}
}

// TestTheFunctionIsKilledAfterAnyCall ends the only invocation after each of its
// calls took effect, before the answer was seen, while the Describe calls show
// different moments: the sweep goes on where it was.
func TestTheFunctionIsKilledAfterAnyCall(t *testing.T) {
	for number := range int64(22) {
		t.Run(fmt.Sprintf("after call %d", number+1), func(t *testing.T) {
			inGroups(t, scalingGroup(), func(f *fleet) {
				time.Sleep(time.Minute)
				f.set(`{"describeLag":"15s","describeJitter":true,"eventLoss":1}`)
				f.resize(asg, 1)
				f.wait(30 * time.Second)
				ctx, kill := context.WithCancel(f.t.Context())
				defer kill()
				p := &pipe{handler: f.handler, after: func(n int64) {
					if n == number+1 {
						kill()
					}
				}}
				_ = f.functionBy(p).Handle(ctx, f.sim.Events()[0])
				f.sweepEachMinute()
				f.wait(20 * time.Minute)
				f.wantStates("InService")
				f.wantServed(f.one())
			})
		})
	}
}
